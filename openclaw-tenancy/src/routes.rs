//! Where an instance is reached, and who may pass.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::container::{INSTANCE_PORT, instance_address};
use crate::id::{AccountId, Generation, Slug, TenantId};
use crate::status::{Deadlines, Phase, is_routable, status};
use crate::tenant::{Location, Tenant};

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
    /// The generation behind it; an instance session is bound to it.
    pub generation: Generation,
    /// Where it is, while it is ready.
    pub upstream: Option<Upstream>,
    /// What the waiting page says.
    pub phase: Phase,
}

/// How the instance at a location is reached.
#[must_use]
pub fn upstream(location: &Location) -> Upstream {
    let address = IpAddr::V4(instance_address(location.subnet));
    Upstream::Direct(SocketAddr::new(address, INSTANCE_PORT))
}

/// The row of a tenant.
#[must_use]
pub fn route(tenant: &Tenant, deadlines: &Deadlines) -> Route {
    let location = tenant.observed.location();
    Route {
        slug: tenant.slug.clone(),
        tenant: tenant.id,
        owner: tenant.owner,
        generation: location
            .map(|location| location.generation)
            .unwrap_or_default(),
        upstream: location.filter(|_| is_routable(tenant)).map(upstream),
        phase: status(tenant, deadlines).phase,
    }
}
