//! Doing: one pass over one tenant, from its claim to its settlement.

mod lease;
mod outcome;
mod steps;

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{BackendError, Signal};
use crate::clock::Timestamp;
use crate::container::{CONFIG_PATH, DATA_PATH, Image, ObjectRef, ObjectSpec};
use crate::event::{EventKind, NewEvent};
use crate::host::{Host, HostState};
use crate::instance::{self, InstanceFiles};
use crate::store::{Claim, Settlement, StoreError};
use crate::tenant::{
    Certainty, ContainerRecord, FailureReason, HoldReason, Location, Power, Tenant,
};

use super::observe::{PassMemory, Seen, absorb, look};
use super::plan::{Situation, Step};
use super::{Blueprint, Context, Pace};

/// The most steps of one pass: far more than any tenant needs, so that an error in the plan cannot spin.
const MOST_STEPS: usize = 64;

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
    /// What is there, while this pass knows it without looking again.
    seen: Option<Seen>,
    events: Vec<NewEvent>,
    pin: Option<Image>,
    files: Option<Arc<InstanceFiles>>,
    /// The lease runs at least from here on, by our clock.
    kept_at: Timestamp,
}

/// Makes what is wanted of a claimed tenant so, as far as it goes now, and settles.
///
/// `asked_at` is the time just before the claim was asked for: the lease runs at least from then on.
/// `stop` is asked between steps: when it says so, the pass settles where it stands.
///
/// The answer is when the tenant is due again.
///
/// # Errors
/// [`PassError`]; nothing is lost by it, since the claim left everything marked as unknown.
pub async fn pass(
    context: &Context,
    claim: &Claim<Tenant>,
    asked_at: Timestamp,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Duration, PassError> {
    let mut tenant = claim.item.clone();
    if let Some(location) = tenant.observed.locations.first_mut()
        && location.certainty == Certainty::Unknown
        && let Some(record) = &mut location.container
    {
        // The pass before never settled: it may have put the files of a server with another configuration.
        record.config = None;
    }
    let mut pass = Pass {
        context,
        claim,
        tenant,
        memory: PassMemory::default(),
        seen: None,
        events: Vec::new(),
        pin: None,
        files: None,
        kept_at: asked_at,
    };
    let mut after = After::Rest(Duration::ZERO);
    if let Some(reason) = pass.quarantine().await? {
        pass.hold(HoldReason::HostQuarantined, reason);
        // The host's return makes it due before that.
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
        pin: pass.pin,
        next_due,
        events: pass.events,
        gone,
    };
    let now = context.clock.now();
    context
        .store
        .settle(claim.item.id, claim.fence, settlement, now)
        .await?;
    Ok(next_due)
}

impl Pass<'_> {
    /// Looks, plans and does one step.
    async fn step(&mut self) -> Result<After, PassError> {
        let Some(location) = self.tenant.observed.location().cloned() else {
            let mut seen = Seen::default();
            let step = self.plan(&mut seen, "");
            return self.act(step, seen, None).await;
        };
        let mut seen = match self.seen.take() {
            Some(seen) => seen,
            None => match self.look(&location).await? {
                Ok(Some(seen)) => seen,
                // Written before anything of the new generation is made: an engine is never ahead of the store, so that
                // what is newer than the store tells of a backup that was restored.
                Ok(None) => return Ok(After::Rest(Duration::ZERO)),
                Err(error) => return Ok(self.failed(&error)),
            },
        };
        let files = self.files(location.subnet);
        let step = self.plan(&mut seen, &files.digest);
        self.act(step, seen, Some(files)).await
    }

    /// Looks at everything of the tenant, and brings what is written up to it; `None` when that began a new
    /// generation.
    async fn look(
        &mut self,
        location: &Location,
    ) -> Result<Result<Option<Seen>, BackendError>, PassError> {
        let context = self.context;
        let (tenant, memory) = (self.tenant.id, self.memory.clone());
        let looking = look(&*context.backend, tenant, location, memory);
        let seen = match self.call(context.pace.call, looking).await? {
            Ok(seen) => seen,
            Err(error) => return Ok(Err(error)),
        };
        let power = self.tenant.desired.power;
        let observed = &mut self.tenant.observed;
        if let Some(location) = observed.locations.first_mut() {
            let before = location.generation;
            absorb(location, &mut observed.generation, power, &seen);
            if location.generation != before {
                observed.begun_at = Some(context.clock.now());
                self.memory = PassMemory {
                    prepared: self.memory.prepared,
                    ..PassMemory::default()
                };
                return Ok(Ok(None));
            }
        }
        self.tell_of_oom_kills(&seen);
        Ok(Ok(Some(seen)))
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

    fn plan(&self, seen: &mut Seen, config: &str) -> Step {
        seen.pass = self.memory.clone();
        (self.context.planner)(&Situation {
            tenant: &self.tenant,
            seen,
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
        mut seen: Seen,
        files: Option<Arc<InstanceFiles>>,
    ) -> Result<After, PassError> {
        // These change nothing that a look shows, or answer what they change.
        let shown = matches!(
            step,
            Step::Prepare
                | Step::Make(ObjectSpec::Network(_) | ObjectSpec::Volume(_))
                | Step::Seed(_)
                | Step::Configure(_)
        );
        let done = match step {
            Step::Place => return self.place().await,
            Step::Prepare => self.prepare().await?,
            Step::Make(spec) => self.make(spec, &mut seen).await?,
            Step::Seed(id) => {
                let seed = files.map(|files| files.seed.to_vec()).unwrap_or_default();
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
                let config = files.config();
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
            Step::Doubt => {
                self.certainty(Certainty::StartLost);
                return Ok(After::Rest(Duration::ZERO));
            }
            Step::Start(id) => {
                let doubted = !self.memory.fresh;
                let host = self.host()?;
                let starting = self.context.backend.start(&host, &id);
                let done = self.call(self.pace().call, starting).await?;
                match self.started(done) {
                    // What it told is written before anything is done by it.
                    Ok(()) if doubted => return Ok(After::Rest(Duration::ZERO)),
                    done => done,
                }
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
            Step::Replace(id, message) => {
                let host = self.host()?;
                let signalling = self.context.backend.signal(&host, &id, Signal::Terminate);
                match self.call(self.pace().call, signalling).await? {
                    Ok(()) => {
                        self.record(|record| record.unfit = true);
                        self.signalled(Signal::Terminate);
                        self.event(EventKind::Failed, &message);
                        return Ok(self.fail(FailureReason::Engine, message));
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
                    self.record(|record| record.broken = false);
                }
                done
            }
            Step::Leave => {
                let left = self.tenant.observed.locations.remove(0);
                if left.subnet_taken {
                    self.tenant.observed.refused(&left);
                }
                if self.tenant.desired.power == Power::Running {
                    // Given back in the store before another place is asked for: it would give this one again.
                    return Ok(After::Rest(Duration::ZERO));
                }
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
            Step::Converged => return Ok(self.converged(&seen)),
        };
        match done {
            Ok(()) => {
                self.seen = shown.then_some(seen);
                Ok(After::Again)
            }
            Err(error) => Ok(self.failed(&error)),
        }
    }

    /// Why the tenant's host must not be touched, if it must not; a hold for that ends once the host may be again, and
    /// a wait because it did not answer once it does.
    async fn quarantine(&mut self) -> Result<Option<String>, PassError> {
        let observed = &self.tenant.observed;
        let Some(location) = observed.location() else {
            return Ok(None);
        };
        let held = observed.hold.as_ref().map(|hold| hold.reason);
        if !matches!(held, None | Some(HoldReason::HostQuarantined)) {
            return Ok(None);
        }
        let id = location.host.clone();
        let hosts: Vec<Host> = self.context.store.hosts().await?;
        let host = hosts.into_iter().find(|host| host.id == id);
        match (held, host.map(|host| host.state)) {
            (None, Some(HostState::Quarantined { reason, .. })) => {
                return Ok(Some(format!("host {id} is quarantined: {reason}")));
            }
            // Looked at since it was released: what is found of the tenant there decides what is next. A new host,
            // or one that does not answer, was not.
            (Some(_), Some(HostState::Ready)) => {
                self.event(EventKind::Released, &format!("host {id} is used again"));
                tracing::info!(tenant = %self.tenant.id, host = %id, "no longer held: its host is used again");
                let observed = &mut self.tenant.observed;
                observed.hold = None;
                observed.failure = None;
            }
            // Due before its wait is over: the host is back, or something of the tenant's changed there.
            (None, Some(HostState::Ready)) => {
                let now = self.context.clock.now();
                if let Some(failure) = &mut self.tenant.observed.failure
                    && failure.reason == FailureReason::HostUnreachable
                {
                    failure.retry_at = failure.retry_at.min(now);
                }
            }
            (None, Some(HostState::New | HostState::Unreachable { .. }) | None)
            | (
                Some(_),
                Some(
                    HostState::New | HostState::Unreachable { .. } | HostState::Quarantined { .. },
                )
                | None,
            ) => {}
        }
        Ok(None)
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
