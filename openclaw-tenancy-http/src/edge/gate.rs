//! Who may pass: the session of a browser with one instance.
//!
//! What the store said of a session holds for [`FRESH`], and not beyond a sign-out that this process knows of; then
//! it is asked again, by one request for all. While the store does not answer, sessions that it knew stay: nobody can
//! sign out meanwhile either, so nothing is lost.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use openclaw_tenancy::access::{AccessStore, Grant, GrantKind, SecretHash};
use openclaw_tenancy::clock::{Clock, Timestamp};
use openclaw_tenancy::error::chain;
use openclaw_tenancy::id::{AccountId, Generation, TenantId};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::routes::Site;
use super::signed_out::SignedOut;
use crate::access::limit::Rate;
use crate::access::missed::{Look, Missed};

/// What was answered holds for so long: a sign-out at another replica shows at the latest then.
const FRESH: Duration = Duration::from_millis(1500);
/// A store that is slower than this counts as not answering.
const PATIENCE: Duration = Duration::from_secs(1);
/// A store that did not answer is left alone for so long.
const LEFT_ALONE: Duration = Duration::from_secs(2);
/// A session that the store last confirmed longer ago than this does not pass while it is down.
const GRACE: Duration = Duration::from_secs(3600);
/// Sessions remembered at once.
const REMEMBERED: u64 = 100_000;

/// What an instance session is good for: the data of its grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Audience {
    pub(super) tenant: TenantId,
    pub(super) generation: Generation,
}

/// A session that the store knows, or knew when last asked.
#[derive(Debug)]
pub(super) struct Session {
    secret: SecretHash,
    account: AccountId,
    audience: Audience,
    expires_at: Timestamp,
    checked_at: AtomicI64,
    /// How many had signed out in this process before the store was asked.
    sign_outs: AtomicU64,
    /// Held by the one who asks the store again.
    asking: Mutex<()>,
}

/// The store does not answer, and nothing is known of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unavailable;

/// Looks sessions up.
#[derive(Debug)]
pub(super) struct Gate {
    access: Arc<dyn AccessStore>,
    clock: Arc<dyn Clock>,
    known: moka::sync::Cache<SecretHash, Arc<Session>>,
    left_alone_until: AtomicI64,
    signed_out: SignedOut,
    missed: Missed,
}

impl Gate {
    pub(super) fn new(access: Arc<dyn AccessStore>, clock: Arc<dyn Clock>, missed: Rate) -> Self {
        let known = moka::sync::Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_idle(GRACE)
            .build();
        Self {
            access,
            missed: Missed::new(missed, Arc::clone(&clock)),
            clock,
            known,
            left_alone_until: AtomicI64::new(0),
            signed_out: SignedOut::default(),
        }
    }

    /// Sessions of `account` have ended, and the store knows: it is asked before one of them passes again.
    pub(super) fn signed_out(&self, account: AccountId) {
        self.signed_out.note(account);
    }

    /// A session was written here: it is asked for whatever else comes from its address.
    pub(super) fn written(&self, secret: SecretHash) {
        self.missed.remember(secret);
    }

    /// The session of this secret, which came from `address`, if it is one for `site`. Where too many of an address
    /// were nobody's, one that was never good here is not asked for: its browser can sign in anew.
    ///
    /// The store is asked before the site is looked at, so that the time it takes does not tell whether there is
    /// such a site.
    pub(super) async fn session(
        &self,
        secret: &str,
        address: IpAddr,
        site: Option<&Arc<Site>>,
    ) -> Result<Option<Arc<Session>>, Unavailable> {
        let secret = SecretHash::of(secret);
        let session = match self.known.get(&secret) {
            Some(session) => self.still_good(&session).await.then_some(session),
            None => match self.missed.look(address, secret) {
                Ok(look) => self.look_up(secret, look).await?,
                Err(_wait) => None,
            },
        };
        Ok(session.filter(|session| site.is_some_and(|site| session.is_for(site))))
    }

    /// Whether the store still knows the session, as far as can be told.
    pub(super) async fn still_good(&self, session: &Arc<Session>) -> bool {
        if let Some(good) = self.known_good(session) {
            return good;
        }
        let _asking = session.asking.lock().await;
        // Another may have asked while this one waited.
        if let Some(good) = self.known_good(session) {
            return good;
        }
        let sign_outs = self.signed_out.count();
        match self.ask(session.secret).await {
            Ok(Some(_)) => {
                session.sign_outs.store(sign_outs, Ordering::Release);
                session
                    .checked_at
                    .store(self.clock.now().as_millis(), Ordering::Relaxed);
                true
            }
            Ok(None) => {
                self.known.invalidate(&session.secret);
                false
            }
            // Not by whether the store is left alone: asking it may have taken longer than that.
            Err(Unavailable) => self.passes_meanwhile(session),
        }
    }

    /// What can be said without asking the store.
    fn known_good(&self, session: &Session) -> Option<bool> {
        let now = self.clock.now();
        if now >= session.expires_at {
            // A clock that comes back finds it no more.
            self.known.invalidate(&session.secret);
            return Some(false);
        }
        if self.signed_out.since(session.account, &session.sign_outs) {
            return None;
        }
        let age = session.age(now);
        let until = Timestamp::from_millis(self.left_alone_until.load(Ordering::Relaxed));
        let left = until.since(now);
        // More is left where the clock was set back meanwhile.
        let left_alone = !left.is_zero() && left <= LEFT_ALONE;
        let fresh = age.is_some_and(|age| age < FRESH);
        if fresh || (left_alone && age.unwrap_or_default() < GRACE) {
            Some(true)
        } else {
            None
        }
    }

    /// Whether a session passes while the store does not answer.
    fn passes_meanwhile(&self, session: &Session) -> bool {
        let now = self.clock.now();
        let signed_out = self.signed_out.since(session.account, &session.sign_outs);
        session.confirmed_by(now);
        let age = session.age(now).unwrap_or_default();
        now < session.expires_at && age < GRACE && !signed_out
    }

    async fn look_up(
        &self,
        secret: SecretHash,
        look: Look,
    ) -> Result<Option<Arc<Session>>, Unavailable> {
        let sign_outs = self.signed_out.count();
        let asked = self.ask(secret).await;
        let session = match asked {
            Ok(grant) => grant.and_then(|grant| Session::of(&grant, self.clock.now(), sign_outs)),
            Err(Unavailable) => {
                self.missed.unknown(look);
                return Err(Unavailable);
            }
        };
        let Some(session) = session.map(Arc::new) else {
            self.missed.missed(look);
            return Ok(None);
        };
        self.missed.found(look);
        self.known.insert(secret, Arc::clone(&session));
        Ok(Some(session))
    }

    async fn ask(&self, secret: SecretHash) -> Result<Option<Grant>, Unavailable> {
        let now = self.clock.now();
        let asked = self.access.grant(GrantKind::InstanceSession, secret, now);
        match timeout(PATIENCE, asked).await {
            Ok(Ok(grant)) => Ok(grant),
            Ok(Err(error)) => {
                tracing::warn!(error = %chain(&error), "sessions cannot be looked up");
                self.leave_alone();
                Err(Unavailable)
            }
            Err(_elapsed) => {
                tracing::warn!("sessions cannot be looked up: the store is too slow");
                self.leave_alone();
                Err(Unavailable)
            }
        }
    }

    fn leave_alone(&self) {
        let until = self.clock.now().plus(LEFT_ALONE).as_millis();
        self.left_alone_until.store(until, Ordering::Relaxed);
    }
}

impl Session {
    fn of(grant: &Grant, now: Timestamp, sign_outs: u64) -> Option<Self> {
        Some(Self {
            secret: grant.secret,
            account: grant.account?,
            audience: serde_json::from_str(&grant.data).ok()?,
            expires_at: grant.expires_at,
            checked_at: AtomicI64::new(now.as_millis()),
            sign_outs: AtomicU64::new(sign_outs),
            asking: Mutex::new(()),
        })
    }

    /// How long ago the store confirmed it; `None` where the clock was set back since. Taken for a moment ago it would
    /// count as fresh until the clock has caught up, and a sign-out elsewhere would not be heard of.
    fn age(&self, now: Timestamp) -> Option<Duration> {
        let checked_at = Timestamp::from_millis(self.checked_at.load(Ordering::Relaxed));
        (checked_at <= now).then(|| now.since(checked_at))
    }

    /// The store does not answer: where the clock was set back since it confirmed this, the time that is left without it
    /// counts from now.
    fn confirmed_by(&self, now: Timestamp) {
        self.checked_at
            .fetch_min(now.as_millis(), Ordering::Relaxed);
    }

    /// Whether it is its owner's, with this making of this instance. A later making than ours is one that this
    /// replica has not heard of yet.
    pub(super) fn is_for(&self, site: &Site) -> bool {
        self.account == site.route.owner
            && self.audience.tenant == site.route.tenant
            && self.audience.generation >= site.route.generation
    }
}

#[cfg(test)]
mod tests {
    use openclaw_tenancy::access::MockAccessStore;
    use openclaw_tenancy::clock::{ManualClock, SystemClock, SystemEntropy};
    use openclaw_tenancy::store::StoreError;

    use super::*;

    /// A session that the store confirmed just now.
    fn session(clock: &ManualClock) -> Arc<Session> {
        Arc::new(Session {
            secret: SecretHash::of("secret"),
            account: AccountId::generate(&SystemClock, &SystemEntropy),
            audience: Audience {
                tenant: TenantId::generate(&SystemClock, &SystemEntropy),
                generation: Generation(1),
            },
            expires_at: clock.now().plus(GRACE * 2),
            checked_at: AtomicI64::new(clock.now().as_millis()),
            sign_outs: AtomicU64::new(0),
            asking: Mutex::new(()),
        })
    }

    fn gate(access: MockAccessStore, clock: &ManualClock) -> Gate {
        let rate = Rate::new(1, Duration::from_secs(1));
        Gate::new(Arc::new(access), Arc::new(clock.clone()), rate)
    }

    fn outage() -> StoreError {
        StoreError::Unavailable {
            what: "an outage",
            source: None,
        }
    }

    /// A machine under load may take longer to hear of the store's failure than the store would be left alone.
    #[tokio::test]
    async fn f16_store_down_a_known_session_passes_however_long_asking_took() {
        let clock = ManualClock::new(Timestamp::from_seconds(1_800_000_000));
        let session = session(&clock);
        let mut access = MockAccessStore::new();
        let slow = clock.clone();
        access.expect_grant().returning(move |_, _, _| {
            slow.advance(LEFT_ALONE * 3);
            Err(outage())
        });
        let gate = gate(access, &clock);
        for _ in 0..3 {
            clock.advance(LEFT_ALONE);
            assert!(gate.still_good(&session).await);
        }
        clock.advance(GRACE);
        assert!(!gate.still_good(&session).await, "not for ever");
    }

    /// Neither for as long as the clock was set back, nor longer than without a jump once it does not answer again.
    #[tokio::test]
    async fn f25_a_clock_set_back_leaves_a_store_alone_no_longer() {
        let clock = ManualClock::new(Timestamp::from_seconds(1_800_000_000));
        let session = session(&clock);
        let mut access = MockAccessStore::new();
        let mut asked = 0;
        access.expect_grant().returning(move |_, _, _| {
            asked += 1;
            // Down twice, and then it has heard of a sign-out.
            if asked <= 2 { Err(outage()) } else { Ok(None) }
        });
        let gate = gate(access, &clock);
        clock.advance(FRESH);
        assert!(gate.still_good(&session).await, "down");
        clock.set_back(GRACE);
        assert!(gate.still_good(&session).await, "down still");
        clock.advance(LEFT_ALONE);
        assert!(!gate.still_good(&session).await, "asked again");
    }
}
