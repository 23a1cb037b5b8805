//! The steps that are more than one call.

use std::time::Duration;

use super::{After, Pass, PassError};
use crate::backend::BackendError;
use crate::container::ObjectSpec;
use crate::event::EventKind;
use crate::host::Shortage;
use crate::id::HostId;
use crate::probe::Readiness;
use crate::reconcile::observe::Seen;
use crate::reconcile::plan::nothing_is_there;
use crate::routes::upstream;
use crate::scheduler::{Fleet, Refusal, Request};
use crate::store::{PlaceRequest, StoreError, rules};
use crate::tenant::{Certainty, ContainerRecord};

/// A tenant that waits for less than this is looked at often.
const YOUNG: Duration = Duration::from_secs(30);

/// A place is looked for this often when others take it first.
const PLACE_ATTEMPTS: usize = 4;

impl Pass<'_> {
    pub(super) async fn place(&mut self) -> Result<After, PassError> {
        let blueprint = &self.context.blueprint;
        let request = Request {
            limits: self.tenant.desired.limits,
            floor: blueprint.floor,
            labels: std::collections::BTreeMap::new(),
        };
        let mut refusal = None;
        let mut lacking = None;
        for _ in 0..PLACE_ATTEMPTS {
            let hosts = self.context.store.hosts().await?;
            let fleet = Fleet::new(&hosts, &blueprint.overcommit);
            let placed = match self.context.scheduler.place(&request, &fleet) {
                Ok(placed) => placed,
                Err(none) => {
                    refusal = Some(none);
                    break;
                }
            };
            let host = placed.host.clone();
            let place = PlaceRequest {
                host: placed.host,
                capacity: placed.capacity,
                floor: blueprint.floor,
                pool: blueprint.subnets,
            };
            match self
                .context
                .store
                .place(self.tenant.id, self.claim.fence, place)
                .await
            {
                Ok(mut location) => {
                    // Reserved by this very claim: nothing can have been begun there.
                    location.certainty = Certainty::Known;
                    self.event(EventKind::Placed, &format!("on host {host}"));
                    let observed = &mut self.tenant.observed;
                    observed.begun_at = Some(self.context.clock.now());
                    rules::placed(observed, location);
                    return Ok(After::Again);
                }
                // Another tenant was quicker, or the host lacks what no scheduler sees: choose anew.
                Err(StoreError::NoRoom { host, shortage }) => lacking = Some((host, shortage)),
                Err(error) => return Err(error.into()),
            }
        }
        let message = queue_message(refusal.as_ref(), lacking.as_ref());
        if self.tenant.observed.queued.as_ref() != Some(&message) {
            self.event(EventKind::Queued, &message);
        }
        self.tenant.observed.queued = Some(message);
        // A host that has just come is looked at within moments; later, others must leave first.
        let young = self.context.clock.now().since(self.tenant.created_at) < YOUNG;
        let patience = if young { 1 } else { 8 };
        Ok(After::Rest(self.pace().watch * patience))
    }

    pub(super) async fn prepare(&mut self) -> Result<Result<(), BackendError>, PassError> {
        let host = self.host()?;
        // Nothing was made of what is not pinned: a reference that was wrong, and is corrected, is the corrected one.
        let pinned = self.tenant.desired.image.digest.is_some();
        let image = if pinned {
            self.tenant.desired.image.clone()
        } else {
            self.context.blueprint.image.clone()
        };
        let preparing = self.context.backend.prepare(&host, &image);
        // A pull may take long; the claim is renewed meanwhile.
        let done = self
            .call(self.context.blueprint.deadlines.provision, preparing)
            .await?;
        Ok(done.map(|prepared| {
            self.memory.prepared = true;
            self.tenant.observed.queued = None;
            if !pinned {
                self.pin = Some(prepared.image.clone());
                self.tenant.desired.image = prepared.image;
            }
        }))
    }

    pub(super) async fn make(
        &mut self,
        spec: ObjectSpec,
        seen: &mut Seen,
    ) -> Result<Result<(), BackendError>, PassError> {
        let host = self.host()?;
        let making = self.context.backend.create(&host, &spec);
        let done = self.call(self.pace().call, making).await?;
        if let Err(BackendError::ImageMissing { .. }) = &done {
            self.memory.prepared = false;
        }
        if let (Err(BackendError::SubnetTaken { subnet, .. }), Some(location)) =
            (&done, self.tenant.observed.locations.first_mut())
        {
            location.subnet_taken = true;
            let location = location.clone();
            // Each is refused once at most: one after the other without a wait, and then with it.
            if nothing_is_there(seen, &location) && self.tenant.observed.may_pass_over(&location) {
                let tenant = self.tenant.id;
                tracing::warn!(%tenant, %host, %subnet, "another network holds the subnet; another subnet is taken");
                return Ok(Ok(()));
            }
        }
        Ok(done.map(|made| {
            seen.add(&spec, &made, &self.context.deployment);
            if matches!(spec, ObjectSpec::Instance(_)) {
                self.memory.fresh = !made.adopted;
                self.memory.seeded = false;
                if let Some(location) = self.tenant.observed.locations.first_mut() {
                    location.container = Some(ContainerRecord::new(made.id));
                }
            }
        }))
    }

    pub(super) fn started(&mut self, done: Result<(), BackendError>) -> Result<(), BackendError> {
        let now = self.context.clock.now();
        let epoch = self.tenant.desired.restart_epoch;
        match &done {
            Ok(()) => {
                self.event(EventKind::Started, "the container was started");
                self.certainty(Certainty::Known);
                self.record(|record| {
                    record.started_at = Some(now);
                    record.ready_at = None;
                    record.stop_asked_at = None;
                    record.restart_epoch = epoch;
                });
            }
            Err(BackendError::NeverStarts { .. }) => {
                // It told: nothing of it lives.
                self.certainty(Certainty::Known);
                self.record(|record| record.broken = true);
                return Ok(());
            }
            Err(error) if error.may_have_happened() => {
                self.memory.fresh = false;
                self.certainty(Certainty::StartLost);
                // Should it run all the same, it runs for this epoch.
                self.record(|record| record.restart_epoch = epoch);
            }
            Err(_) => {}
        }
        done
    }

    pub(super) async fn probe(&mut self) -> Result<(), PassError> {
        let Some(location) = self.tenant.observed.location() else {
            return Ok(());
        };
        let upstream = upstream(location);
        let probing = async { Ok(self.context.probe.probe(&upstream).await) };
        let readiness = self
            .call(self.pace().call, probing)
            .await?
            .unwrap_or(Readiness::Starting);
        self.memory.readiness = Some(readiness);
        if readiness == Readiness::Started {
            let now = self.context.clock.now();
            self.event(EventKind::Ready, "the instance is ready");
            match &self.tenant.observed.failure {
                Some(failure) => {
                    let attempts = failure.attempts;
                    tracing::info!(tenant = %self.tenant.id, attempts, "runs again");
                }
                None => tracing::info!(tenant = %self.tenant.id, "runs"),
            }
            self.record(|record| record.ready_at = Some(now));
        }
        Ok(())
    }
}

/// Why nothing was had: what the scheduler said last, or else the store.
fn queue_message(refusal: Option<&Refusal>, lacking: Option<&(HostId, Shortage)>) -> String {
    let Some(refusal) = refusal else {
        return lacking.map_or_else(
            || "other instances took the room first".to_owned(),
            |(host, lack)| format!("no host has room: host {host}: {lack}"),
        );
    };
    if refusal.hosts.is_empty() {
        return "there is no host yet".to_owned();
    }
    let lacks: Vec<String> = refusal
        .hosts
        .iter()
        .take(5)
        .map(|(host, lack)| format!("host {host}: {lack}"))
        .collect();
    format!("no host has room: {}", lacks.join("; "))
}
