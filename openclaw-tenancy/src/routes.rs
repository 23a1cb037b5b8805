//! Where an instance is reached, and who may pass.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, Generation, Slug, TenantId};
use crate::status::Phase;

/// How the edge reaches an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upstream {
    /// The edge stands on the worker and dials the bridge address.
    Direct(SocketAddr),
}

/// One row of the route table: a tenant's host name and what is behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The host-name label.
    pub slug: Slug,
    /// Whose.
    pub tenant: TenantId,
    /// Only this account may pass.
    pub owner: AccountId,
    /// The generation behind it; an instance session is bound to the tenant, not to it.
    pub generation: Generation,
    /// Where it is, while it is ready.
    pub upstream: Option<Upstream>,
    /// What the waiting page says.
    pub phase: Phase,
}
