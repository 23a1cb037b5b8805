//! The section `gateway` of an instance's configuration: how it is signed in to.
//!
//! Written out as types and not as a tree of values: it is rendered in every pass over a tenant, to see whether what the
//! instance has is still it. Members stand in the order of their names, as in the files beside it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Serialize;

use super::{PROXY_HEADER, USER_HEADER};
use crate::container::INSTANCE_PORT;

/// The section.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Gateway<'a> {
    auth: Auth<'a>,
    bind: &'static str,
    control_ui: ControlUi<'a>,
    mode: &'static str,
    port: u16,
    terminal: Switch,
    trusted_proxies: [Ipv4Addr; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Auth<'a> {
    /// Administration of one's own instance comes with the session, never with a stored device.
    identity_scopes: BTreeMap<&'a str, [&'static str; 1]>,
    mode: &'static str,
    trusted_proxy: TrustedProxy<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TrustedProxy<'a> {
    allow_users: [&'a str; 1],
    device_auto_approve: DeviceAutoApprove,
    required_headers: [&'static str; 2],
    user_header: &'static str,
}

#[derive(Debug, Serialize)]
struct DeviceAutoApprove {
    enabled: bool,
    scopes: [&'static str; 3],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ControlUi<'a> {
    allowed_origins: [&'a str; 1],
}

#[derive(Debug, Serialize)]
struct Switch {
    enabled: bool,
}

impl<'a> Gateway<'a> {
    /// Signed in to by the edge alone, which the instance knows by its bridge's address, `edge`, and which names `user`;
    /// its pages are `origin`'s.
    pub(super) fn new(user: &'a str, edge: Ipv4Addr, origin: &'a str) -> Self {
        Self {
            auth: Auth {
                identity_scopes: BTreeMap::from([(user, ["operator.admin"])]),
                mode: "trusted-proxy",
                trusted_proxy: TrustedProxy {
                    allow_users: [user],
                    device_auto_approve: DeviceAutoApprove {
                        enabled: true,
                        scopes: ["operator.read", "operator.write", "operator.approvals"],
                    },
                    required_headers: [PROXY_HEADER, "x-forwarded-proto"],
                    user_header: USER_HEADER,
                },
            },
            bind: "lan",
            control_ui: ControlUi {
                allowed_origins: [origin],
            },
            mode: "local",
            port: INSTANCE_PORT,
            terminal: Switch { enabled: false },
            trusted_proxies: [edge],
        }
    }
}
