//! Faults: which calls fail, hang, are delayed, or happen and lose their answer.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not done, and answers an error.
    Fail,
    /// It is done, and answers an error.
    LoseAnswer,
    /// It is done after a while.
    Delay(Duration),
    /// It is not done, and never answers: the caller is as good as dead.
    HangBefore,
    /// It is done, and never answers: the caller is as good as dead.
    HangAfter,
}

/// Every call that can meet a fault: its port, its method, and what it is of where the method makes several things. In
/// order: a simulation looks each of its calls up here.
const METHODS: &[&str] = &[
    "access.account",
    "access.grant",
    "access.has_admin",
    "access.meta",
    "access.password",
    "access.put_grant",
    "access.put_password",
    "access.revoke_grants",
    "access.set_account_rights",
    "access.sign_in",
    "access.sweep_grants",
    "access.take_grant",
    "backend.create.instance",
    "backend.create.marker",
    "backend.create.network",
    "backend.create.volume",
    "backend.host",
    "backend.hosts",
    "backend.inspect",
    "backend.list",
    "backend.logs",
    "backend.measure_swap",
    "backend.path_exists",
    "backend.prepare",
    "backend.put_files",
    "backend.remove",
    "backend.signal",
    "backend.start",
    "backend.update",
    "identity.begin",
    "identity.finish",
    "identity.verify",
    "probe.probe",
    "store.change",
    "store.change_seq",
    "store.changed_since",
    "store.claim_hosts",
    "store.claim_tenants",
    "store.cordon",
    "store.create",
    "store.events",
    "store.find_by_owner",
    "store.get",
    "store.hosts",
    "store.list",
    "store.ping",
    "store.place",
    "store.put_host",
    "store.queue_position",
    "store.release",
    "store.release_host",
    "store.remove_host",
    "store.renew",
    "store.settle",
    "store.settle_host",
    "store.tenants_on",
];

/// The method of a full name.
fn alone(full: &'static str) -> &'static str {
    full.split('.').nth(1).unwrap_or(full)
}

/// Whether `name` names the call of this full name.
fn names(name: &str, full: &'static str) -> bool {
    let rest = full.strip_prefix(name);
    name == alone(full) || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Looks at what stands before a call.
type Look = Arc<dyn Fn(&'static str) + Send + Sync>;

/// Decides what becomes of calls. Cheap to clone; clones count together.
#[derive(Clone)]
pub struct Faults {
    clock: Arc<dyn Clock>,
    plan: Arc<Mutex<Plan>>,
    look: Option<Look>,
}

impl std::fmt::Debug for Faults {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { clock, plan, .. } = self;
        formatter
            .debug_struct("Faults")
            .field("clock", clock)
            .field("plan", plan)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Plan {
    calls: u64,
    by_number: BTreeMap<u64, Fault>,
    by_name: BTreeMap<&'static str, VecDeque<Option<Fault>>>,
    hung: bool,
    trace: Option<Vec<&'static str>>,
}

impl Faults {
    /// Without any fault yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            plan: Arc::default(),
            look: None,
        }
    }

    /// `look` is called with the full name of each call of this and of its clones to come, before anything becomes of the
    /// call: what the calls before it did stands then, and nothing of this one.
    ///
    /// It must not call a port that is wrapped with these faults.
    #[must_use]
    pub fn with_look(mut self, look: impl Fn(&'static str) + Send + Sync + 'static) -> Self {
        self.look = Some(Arc::new(look));
        self
    }

    /// The call of this number, counted from 0 over every wrapped port, meets `fault`.
    pub fn at(&self, call: u64, fault: Fault) {
        self.plan().by_number.insert(call, fault);
    }

    /// The next call of this method not yet spoken for meets `fault`; `None` leaves it alone.
    ///
    /// A method is named alone (`create`: of every wrapped port), with its port (`backend.create`), or with what it is
    /// of as well (`backend.create.marker`: no other create is hit). Of several names that fit a call the longest is
    /// taken.
    ///
    /// # Panics
    /// When no wrapped port has such a method: a fault that never comes would let a test pass for nothing.
    pub fn next(&self, method: &'static str, fault: Option<Fault>) {
        assert!(
            METHODS.iter().any(|full| names(method, full)),
            "no call is named `{method}`; the calls are {}",
            METHODS.join(", ")
        );
        self.plan()
            .by_name
            .entry(method)
            .or_default()
            .push_back(fault);
    }

    /// No call that is still to come meets a fault.
    pub fn stop(&self) {
        let mut plan = self.plan();
        plan.by_number.clear();
        plan.by_name.clear();
    }

    /// How many calls there have been.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.plan().calls
    }

    /// Whether a call has hung since this was last asked.
    #[must_use]
    pub fn take_hung(&self) -> bool {
        std::mem::take(&mut self.plan().hung)
    }

    /// Keeps the names of calls from now on.
    pub fn trace(&self) {
        self.plan().trace = Some(Vec::new());
    }

    /// The names of the calls since [`trace`](Self::trace).
    #[must_use]
    pub fn traced(&self) -> Vec<&'static str> {
        self.plan().trace.clone().unwrap_or_default()
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, method: &'static str) -> Option<Fault> {
        debug_assert!(
            METHODS.binary_search(&method).is_ok(),
            "`{method}` is not among the calls"
        );
        let mut plan = self.plan();
        let call = plan.calls;
        plan.calls += 1;
        if let Some(trace) = &mut plan.trace {
            trace.push(alone(method));
        }
        let waiting = plan
            .by_name
            .iter_mut()
            .filter(|(name, queue)| names(name, method) && !queue.is_empty())
            .max_by_key(|(name, _)| name.len());
        let by_name = waiting.and_then(|(_, queue)| queue.pop_front()).flatten();
        by_name.or_else(|| plan.by_number.get(&call).copied())
    }

    async fn hang<T>(&self) -> T {
        self.plan().hung = true;
        std::future::pending().await
    }

    /// Makes a call, or what becomes of it.
    pub(super) async fn run<T: Send, E: Send>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T, E>> + Send,
        error: impl FnOnce() -> E + Send,
    ) -> Result<T, E> {
        if let Some(look) = &self.look {
            look(method);
        }
        match self.decide(method) {
            None => call.await,
            Some(Fault::Fail) => Err(error()),
            Some(Fault::LoseAnswer) => {
                let _lost = call.await;
                Err(error())
            }
            Some(Fault::Delay(delay)) => {
                self.clock.sleep(delay).await;
                call.await
            }
            Some(Fault::HangBefore) => self.hang().await,
            Some(Fault::HangAfter) => {
                let _lost = call.await;
                self.hang().await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_found_by_its_name() {
        assert!(METHODS.is_sorted());
        for method in METHODS {
            assert_eq!(
                METHODS.binary_search(method).map(|at| METHODS[at]),
                Ok(*method)
            );
        }
    }
}
