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
    if s.seen.networks.is_empty() && location.subnet_taken && nothing_is_there(s.seen, location) {
        // The store gives another subnet.
        return Step::Leave;
    }
    if let Some(step) = network(s, location) {
        return step;
    }
    if !s.seen.data {
        if location.has_data {
            return Step::Hold(
                HoldReason::Conflict,
                format!(
                    "host {}: the data volume is gone; an empty one would hide the loss. Release the hold to begin anew with an empty one, into which a backup of its files can be copied",
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

/// Comes to the one network that a container here is to join: it joins by name, which must mean no other.
pub(super) fn network(s: &Situation<'_>, location: &Location) -> Option<Step> {
    let fits = |network: &SeenNetwork| network.subnet == Some(location.subnet);
    let networks = &s.seen.networks;
    let keep = networks.iter().position(fits);
    let mut others = (0..).zip(networks).filter(|(at, _)| Some(*at) != keep);
    if let Some((_, excess)) = others.next() {
        return Some(Step::Remove(ObjectRef::Network(excess.id.clone())));
    }
    let (tenant, subnet) = (s.tenant.id, location.subnet);
    keep.is_none()
        .then_some(Step::Make(ObjectSpec::Network(NetworkSpec {
            tenant,
            subnet,
        })))
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
