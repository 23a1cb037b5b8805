//! A document of a provider's, held in memory: loaded when first needed, renewed by age or on demand.
//!
//! Whoever can present a token with an unknown key can make us ask the provider, so asking is rationed
//! ([`bucket`]) and shared: any number of callers wait for one load. What was good stays until something
//! better has come.

mod bucket;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use openclaw_tenancy::clock::{Clock, Timestamp};
use openclaw_tenancy::identity::IdentityError;

use bucket::Bucket;

/// After a renewal by age was begun, others use what is there for this long before one tries again.
const RENEWAL_PAUSE: Duration = Duration::from_secs(60);

type Loaded = Result<(), Failure>;
type Load<T> = dyn Fn() -> BoxFuture<'static, Result<T, IdentityError>> + Send + Sync;

/// See the module's documentation.
pub(super) struct Cached<T> {
    load: Box<Load<T>>,
    max_age: Duration,
    clock: Arc<dyn Clock>,
    good: Arc<ArcSwapOption<Good<T>>>,
    state: Mutex<State>,
}

struct Good<T> {
    value: Arc<T>,
    loaded_at: Timestamp,
}

struct State {
    bucket: Bucket,
    renew_not_before: Timestamp,
    /// The last load, under way or done. Shared instead of spawned: a caller that goes away does not stop it,
    /// because the next one goes on with it.
    flight: Option<Shared<BoxFuture<'static, Loaded>>>,
}

/// How a refresh came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refreshed {
    /// The load began after the call: it saw what the provider has now.
    Begun,
    /// The load was under way before the call: the provider may have changed since it answered.
    Joined,
}

/// Why there is nothing newer. Shared by everybody who waited for it.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// The provider was asked too often lately.
    Busy(Duration),
    /// The load failed.
    Load(Arc<IdentityError>),
}

impl From<Failure> for IdentityError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Busy(retry_after) => Self::Busy { retry_after },
            Failure::Load(error) => match error.as_ref() {
                Self::Misconfigured { what } => Self::Misconfigured { what: what.clone() },
                Self::Unavailable { reason, .. } => Self::Unavailable {
                    reason: reason.clone(),
                    source: Some(Box::new(SharedError(error))),
                },
                other => Self::Unavailable {
                    reason: other.to_string(),
                    source: Some(Box::new(SharedError(error))),
                },
            },
        }
    }
}

#[derive(Debug)]
struct SharedError(Arc<IdentityError>);

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for SharedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl<T: Send + Sync + 'static> Cached<T> {
    /// A cache that `load` fills and that renews what is older than `max_age`.
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        max_age: Duration,
        load: impl Fn() -> BoxFuture<'static, Result<T, IdentityError>> + Send + Sync + 'static,
    ) -> Self {
        let now = clock.now();
        Self {
            load: Box::new(load),
            max_age,
            clock,
            good: Arc::new(ArcSwapOption::empty()),
            state: Mutex::new(State {
                bucket: Bucket::full(now),
                renew_not_before: now,
                flight: None,
            }),
        }
    }

    /// What was good last, however old.
    pub(super) fn last(&self) -> Option<Arc<T>> {
        self.good
            .load()
            .as_ref()
            .map(|good| Arc::clone(&good.value))
    }

    /// The value, loaded if there is none and renewed if it is old. A renewal that fails leaves the old one.
    ///
    /// While the provider may not be asked again, whoever has never had a value is told why the last load failed:
    /// that the person should come back later is not what is wrong.
    pub(super) async fn current(&self) -> Result<Arc<T>, Failure> {
        let loaded_at = self.good.load().as_ref().map(|good| good.loaded_at);
        match loaded_at {
            Some(loaded_at) if !self.is_due(loaded_at) => {}
            Some(_) => {
                if let Err(failure) = self.refresh().await {
                    tracing::warn!(?failure, "keeping the last good document of the provider");
                }
            }
            None => {
                self.refresh().await.map_err(|failure| match failure {
                    Failure::Busy(_) => self.last_failure().unwrap_or(failure),
                    Failure::Load(_) => failure,
                })?;
            }
        }
        // A load that succeeded has put a value there, and none is ever taken away.
        self.last().ok_or(Failure::Busy(RENEWAL_PAUSE))
    }

    /// Asks the provider anew, unless that was done too often lately, or waits for whoever is asking.
    pub(super) async fn refresh(&self) -> Result<Refreshed, Failure> {
        let (flight, how) = self.board()?;
        flight.await.map(|()| how)
    }

    /// Why the last load failed, if it did.
    fn last_failure(&self) -> Option<Failure> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = state.flight.as_ref()?.peek()?;
        ended.clone().err()
    }

    fn is_due(&self, loaded_at: Timestamp) -> bool {
        let now = self.clock.now();
        if now.since(loaded_at) < self.max_age {
            return false;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let due = now >= state.renew_not_before;
        if due {
            state.renew_not_before = now.plus(RENEWAL_PAUSE);
        }
        due
    }

    fn board(&self) -> Result<(Shared<BoxFuture<'static, Loaded>>, Refreshed), Failure> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = state
            .flight
            .as_ref()
            .filter(|flight| flight.peek().is_none())
        {
            return Ok((flight.clone(), Refreshed::Joined));
        }
        state.bucket.take(self.clock.now()).map_err(Failure::Busy)?;
        let (load, good, clock) = (
            (self.load)(),
            Arc::clone(&self.good),
            Arc::clone(&self.clock),
        );
        let flight = async move {
            let value = load.await.map_err(|error| Failure::Load(Arc::new(error)))?;
            good.store(Some(Arc::new(Good {
                value: Arc::new(value),
                loaded_at: clock.now(),
            })));
            Ok(())
        }
        .boxed()
        .shared();
        state.flight = Some(flight.clone());
        Ok((flight, Refreshed::Begun))
    }
}

impl<T> fmt::Debug for Cached<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let loaded_at = self.good.load().as_ref().map(|good| good.loaded_at);
        f.debug_struct("Cached")
            .field("loaded_at", &loaded_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
