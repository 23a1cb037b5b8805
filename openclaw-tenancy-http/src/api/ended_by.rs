//! Which call ends what waits for somebody: the core says what is wrong, and here is by which of our calls it ends.

use openclaw_tenancy::host::{Host, HostState};
use openclaw_tenancy::id::HostId;
use openclaw_tenancy::tenant::{HoldReason, Tenant};

use crate::access::caller::Caller;

/// Who reads of a tenant: a call is named to whoever may make it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader {
    owns: bool,
    administers: bool,
}

impl Reader {
    /// The owner of the tenant, who may administer the deployment as well.
    pub(crate) const fn owner(caller: &Caller) -> Self {
        Self {
            owns: true,
            administers: caller.account.rights.admin,
        }
    }

    /// An administrator, of whoever's tenant.
    pub(crate) const fn administrator() -> Self {
        Self {
            owns: false,
            administers: true,
        }
    }
}

/// The call that ends a tenant's hold, such as `POST /api/tenants/me/restart`, if this reader may make it.
pub(crate) fn tenant(tenant: &Tenant, reader: Reader) -> Option<String> {
    let hold = tenant.observed.hold.as_ref()?;
    match hold.reason {
        HoldReason::GhostSuspected | HoldReason::Conflict => reader
            .administers
            .then(|| format!("POST /api/tenants/{}/release", tenant.id)),
        // A release takes what is there as it is, which is more than a repaired configuration needs.
        HoldReason::Configuration => reader
            .owns
            .then(|| "POST /api/tenants/me/restart".to_owned()),
        HoldReason::HostQuarantined => {
            let location = tenant.observed.location().filter(|_| reader.administers)?;
            Some(release_host(&location.host))
        }
    }
}

/// The call that ends a host's quarantine.
pub(crate) fn host(host: &Host) -> Option<String> {
    matches!(host.state, HostState::Quarantined { .. }).then(|| release_host(&host.id))
}

fn release_host(host: &HostId) -> String {
    format!("POST /api/hosts/{host}/release")
}
