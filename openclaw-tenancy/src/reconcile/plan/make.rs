//! No container yet.

use crate::container::{
    InstanceSpec, NetworkSpec, ObjectRef, ObjectSpec, SeenNetwork, VolumeRole, VolumeSpec,
};
use crate::instance;
use crate::reconcile::observe::Seen;
use crate::tenant::{HoldReason, Location};

use super::{Situation, Step};

/// Makes what the container stands on, then it.
pub(super) fn make(s: &Situation<'_>, location: &Location) -> Step {
    if !s.seen.pass.prepared {
        return Step::Prepare;
    }
    let tenant = s.tenant.id;
    let fits = |network: &&SeenNetwork| network.subnet == Some(location.subnet);
    match s.seen.networks.as_slice() {
        // The store gives another subnet.
        [] if location.subnet_taken && nothing_is_there(s.seen, location) => return Step::Leave,
        [] => {
            return Step::Make(ObjectSpec::Network(NetworkSpec {
                tenant,
                subnet: location.subnet,
            }));
        }
        [network] if fits(&network) => {}
        networks => {
            // Keep one that fits, remove the rest: a container joins by name, which must be unambiguous.
            let keep = networks.iter().position(|network| fits(&network));
            let excess = networks
                .iter()
                .enumerate()
                .find(|(at, _)| Some(*at) != keep);
            if let Some((_, network)) = excess {
                return Step::Remove(ObjectRef::Network(network.id.clone()));
            }
        }
    }
    if !s.seen.data {
        if location.has_data {
            return Step::Hold(
                HoldReason::Conflict,
                format!(
                    "host {}: the data volume is gone; an empty one would hide the loss. Restore it, or release the hold to begin anew",
                    location.host
                ),
            );
        }
        return Step::Make(ObjectSpec::Volume(VolumeSpec {
            tenant,
            role: VolumeRole::Data,
        }));
    }
    if !s.seen.config {
        return Step::Make(ObjectSpec::Volume(VolumeSpec {
            tenant,
            role: VolumeRole::Config,
        }));
    }
    Step::Make(ObjectSpec::Instance(Box::new(instance_spec(s, location))))
}

/// Whether leaving the place would leave nothing behind.
pub(crate) fn nothing_is_there(seen: &Seen, location: &Location) -> bool {
    !location.has_data && seen.volumes.is_empty() && seen.others.is_empty()
}

pub(super) fn instance_spec(s: &Situation<'_>, location: &Location) -> InstanceSpec {
    InstanceSpec {
        tenant: s.tenant.id,
        generation: location.generation,
        image: s.tenant.desired.image.clone(),
        limits: location.granted,
        env: instance::environment(&s.tenant.settings),
        subnet: location.subnet,
    }
}
