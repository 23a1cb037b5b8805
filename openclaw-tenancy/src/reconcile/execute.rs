//! Doing: one pass over one tenant, from its claim to its settlement.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};

use crate::backend::{BackendError, Signal};
use crate::clock::Timestamp;
use crate::container::{CONFIG_PATH, DATA_PATH, ObjectRef, ObjectSpec};
use crate::event::{EventKind, NewEvent};
use crate::host::{Host, HostState};
use crate::instance::{self, InstanceFiles};
use crate::probe::Readiness;
use crate::routes::upstream;
use crate::scheduler::{Fleet, Refusal, Request};
use crate::store::{Claim, PlaceRequest, Settlement, StoreError};
use crate::tenant::{
    Certainty, ContainerRecord, Failure, FailureReason, Hold, HoldReason, Power, Tenant,
};

use super::observe::{PassMemory, Seen, absorb, look};
use super::plan::{Situation, Step};
use super::{Blueprint, Context, Pace};

/// The most steps of one pass: far more than any tenant needs, so that an error in the plan cannot spin.
const MOST_STEPS: usize = 64;

/// A place is looked for this often when others take it first.
const PLACE_ATTEMPTS: usize = 4;

/// How a pass ended without a settlement.
#[derive(Debug)]
pub enum PassError {
    /// The claim has passed on: this worker has nothing more to say.
    Fenced,
    /// The store failed: the claim runs out, and another pass begins with what is written.
    Store(StoreError),
}

impl From<StoreError> for PassError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Fenced => Self::Fenced,
            other => Self::Store(other),
        }
    }
}

/// What happens after a step.
enum After {
    /// Look again and plan.
    Again,
    /// Settle, and come back after this.
    Rest(Duration),
    /// Settle: the tenant is gone.
    Gone,
}

/// A pass under way.
struct Pass<'a> {
    context: &'a Context,
    claim: &'a Claim<Tenant>,
    tenant: Tenant,
    memory: PassMemory,
    events: Vec<NewEvent>,
    pin: Option<String>,
    files: Option<Arc<InstanceFiles>>,
    /// The lease runs at least from here on, by our clock.
    kept_at: Timestamp,
}

/// Makes what is wanted of a claimed tenant so, as far as it goes now, and settles.
///
/// `asked_at` is the time just before the claim was asked for: the lease runs at least from then on.
/// `stop` is asked between steps: when it says so, the pass settles where it stands.
///
/// # Errors
/// [`PassError`]; nothing is lost by it, since the claim left everything marked as unknown.
pub async fn pass(
    context: &Context,
    claim: &Claim<Tenant>,
    asked_at: Timestamp,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<(), PassError> {
    let mut pass = Pass {
        context,
        claim,
        tenant: claim.item.clone(),
        memory: PassMemory::default(),
        events: Vec::new(),
        pin: None,
        files: None,
        kept_at: asked_at,
    };
    let mut after = After::Rest(Duration::ZERO);
    if let Some(reason) = pass.quarantine().await? {
        pass.hold(HoldReason::HostQuarantined, reason);
        after = After::Rest(context.pace.resync);
    } else {
        let mut steps = 0;
        loop {
            if stop() {
                break;
            }
            after = pass.step().await?;
            match after {
                After::Again => {}
                After::Rest(_) | After::Gone => break,
            }
            steps += 1;
            if steps == MOST_STEPS {
                let message = format!("{MOST_STEPS} steps led nowhere; this is an error of ours");
                after = pass.fail(FailureReason::Engine, message);
                break;
            }
        }
    }
    let (next_due, gone) = match after {
        After::Again => (Duration::ZERO, false),
        After::Rest(wait) => (wait, false),
        After::Gone => (Duration::ZERO, true),
    };
    let settlement = Settlement {
        observed: pass.tenant.observed,
        pin_digest: pass.pin,
        next_due,
        events: pass.events,
        gone,
    };
    let now = context.clock.now();
    context
        .store
        .settle(claim.item.id, claim.fence, settlement, now)
        .await?;
    Ok(())
}

impl Pass<'_> {
    /// Looks, plans and does one step.
    async fn step(&mut self) -> Result<After, PassError> {
        let Some(location) = self.tenant.observed.location().cloned() else {
            let step = self.plan(&Seen::default(), "");
            return self.act(step, &Seen::default(), None).await;
        };
        let context = self.context;
        let (tenant, memory) = (self.tenant.id, self.memory.clone());
        let looking = look(&*context.backend, tenant, &location, memory);
        let looked = self.call(context.pace.call, looking).await?;
        let seen = match looked {
            Ok(seen) => seen,
            Err(error) => return Ok(self.failed(&error)),
        };
        let power = self.tenant.desired.power;
        let observed = &mut self.tenant.observed;
        if let Some(location) = observed.locations.first_mut() {
            let before = location.generation;
            absorb(location, &mut observed.generation, power, &seen);
            if location.generation != before {
                self.memory = PassMemory {
                    prepared: self.memory.prepared,
                    ..PassMemory::default()
                };
            }
        }
        let files = self.files(location.subnet);
        let step = self.plan(&seen, &files.digest);
        self.act(step, &seen, Some(files)).await
    }

    /// The instance's files: the same throughout a pass.
    fn files(&mut self, subnet: ipnet::Ipv4Net) -> Arc<InstanceFiles> {
        let Blueprint {
            origins, overlay, ..
        } = &self.context.blueprint;
        let tenant = &self.tenant;
        let render = || Arc::new(instance::files(tenant, subnet, origins, overlay));
        Arc::clone(self.files.get_or_insert_with(render))
    }

    fn plan(&self, seen: &Seen, config: &str) -> Step {
        let seen = Seen {
            pass: self.memory.clone(),
            ..seen.clone()
        };
        (self.context.planner)(&Situation {
            tenant: &self.tenant,
            seen: &seen,
            blueprint: &self.context.blueprint,
            pace: &self.context.pace,
            config,
            now: self.context.clock.now(),
        })
    }

    /// Does one step.
    async fn act(
        &mut self,
        step: Step,
        seen: &Seen,
        files: Option<Arc<InstanceFiles>>,
    ) -> Result<After, PassError> {
        let done = match step {
            Step::Place => return self.place().await,
            Step::Prepare => self.prepare().await?,
            Step::Make(spec) => self.make(spec).await?,
            Step::Seed(id) => {
                let seed = files.map(|files| files.seed.clone()).unwrap_or_default();
                let host = self.host()?;
                let backend = &self.context.backend;
                let seeding = async {
                    if !backend.path_exists(&host, &id, instance::SEED_PATH).await? {
                        backend.put_files(&host, &id, DATA_PATH, seed).await?;
                    }
                    Ok(())
                };
                let done = self.call(self.pace().call, seeding).await?;
                self.memory.seeded = done.is_ok();
                done
            }
            Step::Configure(id) => {
                let Some(files) = files else {
                    return Ok(After::Again);
                };
                let host = self.host()?;
                let config = files.config.clone();
                let putting = self
                    .context
                    .backend
                    .put_files(&host, &id, CONFIG_PATH, config);
                let done = self.call(self.pace().call, putting).await?;
                if done.is_ok() {
                    self.record(|record| record.config = Some(files.digest.clone()));
                }
                done
            }
            Step::Start(id) => {
                let host = self.host()?;
                let starting = self.context.backend.start(&host, &id);
                let done = self.call(self.pace().call, starting).await?;
                self.started(done)
            }
            Step::Probe => {
                self.probe().await?;
                Ok(())
            }
            Step::Update(id) => {
                let (host, granted) = self.host_and_limits()?;
                let updating = self.context.backend.update(&host, &id, &granted);
                self.call(self.pace().call, updating).await?
            }
            Step::Signal(id, signal) => {
                let host = self.host()?;
                let signalling = self.context.backend.signal(&host, &id, signal);
                match self.call(self.pace().call, signalling).await? {
                    Ok(()) => return Ok(self.signalled(signal)),
                    Err(error) => Err(error),
                }
            }
            Step::GiveUp(id, message) => {
                let host = self.host()?;
                let signalling = self.context.backend.signal(&host, &id, Signal::Terminate);
                match self.call(self.pace().call, signalling).await? {
                    Ok(()) => {
                        self.signalled(Signal::Terminate);
                        return Ok(self.fail(FailureReason::StartTimeout, message));
                    }
                    Err(error) => Err(error),
                }
            }
            Step::Remove(object) => {
                let host = self.host()?;
                let removing = self.context.backend.remove(&host, &object);
                let done = self.call(self.pace().call, removing).await?;
                if done.is_ok() && matches!(object, ObjectRef::Container(_)) {
                    // The next look decides by what is there, not by this answer.
                    self.memory.broken = false;
                }
                done
            }
            Step::Leave => {
                self.tenant.observed.locations.remove(0);
                Ok(())
            }
            Step::Erase => {
                self.event(EventKind::Deleted, "everything of the instance is gone");
                return Ok(After::Gone);
            }
            Step::Fail(reason, message) => {
                let kind = match reason {
                    FailureReason::OutOfMemory => EventKind::OutOfMemory,
                    FailureReason::Crashed => EventKind::Ended,
                    FailureReason::HostUnreachable
                    | FailureReason::Engine
                    | FailureReason::Image
                    | FailureReason::Capacity
                    | FailureReason::Storage
                    | FailureReason::StartTimeout
                    | FailureReason::Configuration => EventKind::Failed,
                };
                self.event(kind, &message);
                // The end is accounted for: the next start is the retry.
                self.record(|record| record.started_at = None);
                return Ok(self.fail(reason, message));
            }
            Step::Hold(reason, message) => {
                // The end that led to it is accounted for: after the release comes a start.
                self.record(|record| record.started_at = None);
                self.hold(reason, message);
                return Ok(After::Rest(self.pace().resync));
            }
            Step::Wait(wait) => return Ok(After::Rest(wait)),
            Step::Converged => return Ok(self.converged(seen)),
        };
        match done {
            Ok(()) => Ok(After::Again),
            Err(error) => Ok(self.failed(&error)),
        }
    }

    async fn place(&mut self) -> Result<After, PassError> {
        let blueprint = &self.context.blueprint;
        let request = Request {
            limits: self.tenant.desired.limits,
            floor: blueprint.floor,
            labels: std::collections::BTreeMap::new(),
        };
        let mut refusal = None;
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
                    self.tenant.observed.queued = None;
                    self.tenant.observed.generation = location.generation;
                    self.tenant.observed.locations.push(location);
                    return Ok(After::Again);
                }
                // Another tenant was quicker: choose anew.
                Err(StoreError::NoRoom { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let message = queue_message(refusal.as_ref());
        if self.tenant.observed.queued.as_ref() != Some(&message) {
            self.event(EventKind::Queued, &message);
        }
        self.tenant.observed.queued = Some(message);
        Ok(After::Rest(self.pace().watch * 4))
    }

    async fn prepare(&mut self) -> Result<Result<(), BackendError>, PassError> {
        let host = self.host()?;
        let image = self.tenant.desired.image.clone();
        let preparing = self.context.backend.prepare(&host, &image);
        // A pull may take long; the claim is renewed meanwhile.
        let done = self
            .call(self.context.blueprint.deadlines.provision, preparing)
            .await?;
        Ok(done.map(|prepared| {
            self.memory.prepared = true;
            if self.tenant.desired.image.digest.is_none() {
                self.pin.clone_from(&prepared.image.digest);
                self.tenant.desired.image.digest = prepared.image.digest;
            }
        }))
    }

    async fn make(&mut self, spec: ObjectSpec) -> Result<Result<(), BackendError>, PassError> {
        let host = self.host()?;
        let making = self.context.backend.create(&host, &spec);
        let done = self.call(self.pace().call, making).await?;
        if let Err(BackendError::ImageMissing { .. }) = &done {
            self.memory.prepared = false;
        }
        Ok(done.map(|made| {
            if matches!(spec, ObjectSpec::Instance(_)) {
                self.memory.fresh = !made.adopted;
                self.memory.seeded = false;
                if let Some(location) = self.tenant.observed.locations.first_mut() {
                    location.container = Some(ContainerRecord::new(made.id));
                }
            }
        }))
    }

    fn started(&mut self, done: Result<(), BackendError>) -> Result<(), BackendError> {
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
            Err(BackendError::GhostSuspected { .. }) => self.certainty(Certainty::GhostSuspected),
            Err(BackendError::NeverStarts { .. }) => {
                self.memory.broken = true;
                return Ok(());
            }
            Err(error) if error.may_have_happened() => {
                self.memory.fresh = false;
                self.certainty(Certainty::Unknown);
                // Should it run all the same, it runs for this epoch.
                self.record(|record| record.restart_epoch = epoch);
            }
            Err(_) => {}
        }
        done
    }

    async fn probe(&mut self) -> Result<(), PassError> {
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
            self.record(|record| record.ready_at = Some(now));
        }
        Ok(())
    }

    fn signalled(&mut self, signal: Signal) -> After {
        let now = self.context.clock.now();
        let grace = self.context.blueprint.deadlines.stop;
        let mut stuck = false;
        self.record(|record| {
            let asked = *record.stop_asked_at.get_or_insert(now);
            stuck = signal == Signal::Kill && now.since(asked) > grace + grace;
            record.ready_at = None;
        });
        if stuck {
            let message = "the container does not end, not even by SIGKILL".to_owned();
            return self.fail(FailureReason::Engine, message);
        }
        // It ends when it ends; asking at once again would only be noise.
        After::Rest(self.pace().watch)
    }

    fn converged(&mut self, seen: &Seen) -> After {
        let now = self.context.clock.now();
        let pace = self.context.pace.clone();
        let running = self.tenant.desired.power == Power::Running;
        let ready = self
            .tenant
            .observed
            .location()
            .and_then(|location| location.container.as_ref())
            .and_then(|container| container.ready_at);
        let observed = &mut self.tenant.observed;
        if observed.hold.is_none() {
            let newly = observed.converged != Some(self.tenant.revision);
            observed.converged = Some(self.tenant.revision);
            let over = !running || ready.is_some_and(|since| now.since(since) >= pace.stable);
            if over {
                observed.failure = None;
            }
            if newly && !running && seen.container.is_some() {
                self.event(EventKind::Stopped, "the instance is stopped");
            }
        }
        let waiting_for_stable = self.tenant.observed.failure.is_some() && running;
        After::Rest(if waiting_for_stable {
            pace.stable
        } else {
            pace.resync
        })
    }

    /// Writes a failure with its backoff.
    fn fail(&mut self, reason: FailureReason, message: String) -> After {
        let now = self.context.clock.now();
        let before = self.tenant.observed.failure.as_ref();
        let attempts = before
            .map_or(0, |failure| failure.attempts)
            .saturating_add(1);
        let since = before.map_or(now, |failure| failure.since);
        let wait = self.backoff(attempts);
        self.tenant.observed.failure = Some(Failure {
            reason,
            message,
            attempts,
            since,
            retry_at: now.plus(wait),
        });
        After::Rest(wait)
    }

    /// Sorts a backend's error: what holds, what is tried again and what it is called.
    fn failed(&mut self, error: &BackendError) -> After {
        let reason = match error {
            BackendError::GhostSuspected { .. } => {
                self.certainty(Certainty::GhostSuspected);
                return After::Again;
            }
            BackendError::NeverStarts { .. } => {
                self.memory.broken = true;
                return After::Again;
            }
            BackendError::Conflict { .. } | BackendError::Foreign { .. } => {
                self.hold(HoldReason::Conflict, error.to_string());
                return After::Rest(self.pace().resync);
            }
            BackendError::Unreachable { .. } | BackendError::UnknownHost { .. } => {
                FailureReason::HostUnreachable
            }
            BackendError::ImageMissing { .. } => FailureReason::Image,
            BackendError::NoSpace { .. } => FailureReason::Capacity,
            BackendError::StorageMismatch { .. } => FailureReason::Storage,
            BackendError::NotFound { .. }
            | BackendError::Busy { .. }
            | BackendError::Refused { .. }
            | BackendError::Engine { .. } => FailureReason::Engine,
        };
        tracing::warn!(tenant = %self.tenant.id, error = %crate::error::chain(error), "step failed");
        if self
            .tenant
            .observed
            .failure
            .as_ref()
            .is_none_or(|failure| failure.reason != reason)
        {
            self.event(EventKind::Failed, &error.to_string());
        }
        self.fail(reason, error.to_string())
    }

    fn hold(&mut self, reason: HoldReason, message: String) {
        tracing::error!(tenant = %self.tenant.id, ?reason, message, "held");
        self.event(EventKind::Held, &message);
        let since = self.context.clock.now();
        self.tenant.observed.hold = Some(Hold {
            reason,
            message,
            since,
        });
    }

    /// Doubles with each attempt, and is anywhere between half of that and all of it.
    fn backoff(&self, attempts: u32) -> Duration {
        let Pace {
            backoff,
            backoff_most,
            ..
        } = self.context.pace;
        let factor = 1_u32
            .checked_shl(attempts.saturating_sub(1))
            .unwrap_or(u32::MAX);
        let full = backoff.saturating_mul(factor).min(backoff_most);
        let mut random = [0_u8; 2];
        self.context.entropy.fill(&mut random);
        full / 2 + full.mul_f64(f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX) / 2.0)
    }

    /// Awaits a call at most `limit`, and keeps the claim meanwhile.
    ///
    /// No call begins whose end could outlive the lease: a worker that was paused between two steps finds out
    /// here that the claim has passed on, and not by what its late call does.
    async fn call<T: Send>(
        &mut self,
        limit: Duration,
        call: impl Future<Output = Result<T, BackendError>> + Send,
    ) -> Result<Result<T, BackendError>, PassError> {
        let Pace { lease, .. } = self.context.pace;
        let clock = &self.context.clock;
        let deadline = clock.now().plus(limit);
        if clock.now().plus(limit.min(lease / 3)) >= self.kept_at.plus(lease) {
            self.renew().await?;
        }
        let mut call = pin!(call);
        loop {
            let left = deadline.since(clock.now());
            let nap = left.min(lease / 3);
            match select(call.as_mut(), clock.sleep(nap)).await {
                Either::Left((done, _)) => return Ok(done),
                Either::Right(((), _)) if nap == left => {
                    return Ok(Err(BackendError::Unreachable {
                        host: self.host()?,
                        what: "the call took longer than it may",
                        source: None,
                    }));
                }
                Either::Right(((), _)) => self.renew().await?,
            }
        }
    }

    async fn renew(&mut self) -> Result<(), PassError> {
        let now = self.context.clock.now();
        let Claim { fence, worker, .. } = self.claim;
        let lease = self.context.pace.lease;
        self.context
            .store
            .renew(self.tenant.id, *fence, worker.clone(), lease)
            .await?;
        self.kept_at = now;
        Ok(())
    }

    /// Why the tenant's host must not be touched, if it must not.
    async fn quarantine(&self) -> Result<Option<String>, PassError> {
        let observed = &self.tenant.observed;
        let (Some(location), None) = (observed.location(), &observed.hold) else {
            return Ok(None);
        };
        let hosts: Vec<Host> = self.context.store.hosts().await?;
        let host = hosts.into_iter().find(|host| host.id == location.host);
        Ok(match host.map(|host| host.state) {
            Some(HostState::Quarantined { reason, .. }) => {
                Some(format!("host {} is quarantined: {reason}", location.host))
            }
            Some(HostState::New | HostState::Ready | HostState::Unreachable { .. }) | None => None,
        })
    }

    fn pace(&self) -> &Pace {
        &self.context.pace
    }

    fn host(&self) -> Result<crate::id::HostId, PassError> {
        self.host_and_limits().map(|(host, _)| host)
    }

    fn host_and_limits(&self) -> Result<(crate::id::HostId, crate::plan::Limits), PassError> {
        // A step that acts on a host is planned only where there is one.
        let missing = PassError::Store(StoreError::NotFound { what: "location" });
        let location = self.tenant.observed.location().ok_or(missing)?;
        Ok((location.host.clone(), location.granted))
    }

    fn certainty(&mut self, certainty: Certainty) {
        if let Some(location) = self.tenant.observed.locations.first_mut() {
            location.certainty = certainty;
        }
    }

    fn record(&mut self, change: impl FnOnce(&mut ContainerRecord)) {
        let location = self.tenant.observed.locations.first_mut();
        if let Some(record) = location.and_then(|location| location.container.as_mut()) {
            change(record);
        }
    }

    fn event(&mut self, kind: EventKind, detail: &str) {
        self.events.push(NewEvent {
            kind,
            detail: detail.to_owned(),
        });
    }
}

fn queue_message(refusal: Option<&Refusal>) -> String {
    let Some(refusal) = refusal else {
        return "other instances took the room first".to_owned();
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
