//! The store port: desired and observed state, claims, hosts and events.

use std::time::Duration;

use async_trait::async_trait;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::container::Image;
use crate::event::{Event, NewEvent};
use crate::host::{Capacity, Host, HostFacts, HostState};
use crate::id::{AccountId, Fence, HostId, Revision, TenantId, WorkerId};
use crate::tenant::{NewTenant, Observed, Power, Settings, Tenant};

mod error;
pub mod rules;

pub use error::StoreError;

/// What a create came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// The tenant was made now.
    New(Tenant),
    /// The same request with the same idempotency key had made it before.
    Replayed(Tenant),
}

impl Created {
    /// The tenant.
    #[must_use]
    pub fn tenant(self) -> Tenant {
        match self {
            Self::New(tenant) | Self::Replayed(tenant) => tenant,
        }
    }
}

/// A change of what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Run, suspend or delete. What is deleted stays deleted.
    Power(Power),
    /// Restart the instance.
    Restart,
    /// Replace the settings.
    Settings(Settings),
}

/// A page of tenants, by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantPage {
    /// The tenants.
    pub tenants: Vec<Tenant>,
    /// Give it as `after` for the next page; `None` after the last.
    pub next: Option<TenantId>,
}

/// What a worker asks to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    /// Who asks.
    pub worker: WorkerId,
    /// At most this many.
    pub limit: u32,
    /// For this long, by the store's clock.
    pub lease: Duration,
}

/// The right to work on an item until the lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<T> {
    /// The item, as the last settle or change left it: a location that reads
    /// [`Certainty::Known`](crate::tenant::Certainty::Known) was settled by whoever held it last.
    pub item: T,
    /// Who holds it.
    pub worker: WorkerId,
    /// The fencing token: a later claim of the item has a higher one.
    pub fence: Fence,
}

/// A host chosen for a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceRequest {
    /// The host.
    pub host: HostId,
    /// What limits on it may add up to.
    pub capacity: Capacity,
    /// What the image needs of memory and swap together, in bytes.
    pub floor: crate::quantity::Bytes,
    /// Subnets are given out of this pool, one `/29` for each tenant of a host.
    pub pool: Ipv4Net,
}

/// What a worker did and saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// What was seen. Reservations at hosts that are not among its locations are freed.
    pub observed: Observed,
    /// The image and its digest, when it was resolved now: the tenant's from now on unless its own has a digest.
    pub pin: Option<Image>,
    /// When the item is due again, from now; it is due at once when it was changed meanwhile.
    pub next_due: Duration,
    /// What happened.
    pub events: Vec<NewEvent>,
    /// Whether the tenant is gone: its row is removed, its slug kept back.
    pub gone: bool,
}

/// What was seen of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSettlement {
    /// Whether it answers.
    pub state: HostState,
    /// What it has; `None` leaves what was known.
    pub facts: Option<HostFacts>,
    /// The marker it was given now; `None` leaves what was known.
    pub marker: Option<String>,
    /// When it is due again, from now.
    pub next_due: Duration,
    /// Tenants whose objects changed since they were last seen: they become due at once.
    pub stirred: Vec<TenantId>,
}

/// Desired and observed state on one database.
///
/// Implemented in memory (the reference semantics), for SQLite and for PostgreSQL. Object-safe; hold it as
/// `Arc<dyn TenantStore>`.
///
/// # Contract
/// - Each method is one transaction: all of it happened or none, and an answer comes after it is durable.
/// - An error [`StoreError::Unavailable`] leaves open which.
/// - Leases and due times run by the store's own clock, everything else by the caller's.
/// - What a method does to a tenant is [`rules`]; a store author writes queries, not semantics.
/// - Creates, changes and releases write their own event; of one tenant the newest [`rules::EVENTS_KEPT`] stay.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait TenantStore: std::fmt::Debug + Send + Sync + 'static {
    /// Makes a tenant, due at once.
    ///
    /// # Behavior
    /// In the same transaction: no other live tenant of the owner (one being deleted counts as live), the
    /// slug free and not kept back (for 30 days after its tenant is gone), fewer live tenants with the plan
    /// than `seats`. What is refused uses up nothing, neither the key nor a seat.
    ///
    /// # Errors
    /// [`StoreError::AlreadyHasTenant`], [`StoreError::SlugTaken`], [`StoreError::NoSeat`],
    /// [`StoreError::IdempotencyMismatch`]; [`StoreError::Conflict`] for an id in use.
    ///
    /// # Idempotency
    /// By the key in the request, scoped to its owner, for 24 hours: the same request again gives
    /// [`Created::Replayed`], even when the tenant is gone meanwhile: then as to be deleted, without its
    /// settings.
    async fn create(&self, tenant: NewTenant) -> Result<Created, StoreError>;

    /// The tenant, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Reads only.
    async fn get(&self, id: TenantId) -> Result<Option<Tenant>, StoreError>;

    /// The live tenant of this owner, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Reads only.
    async fn find_by_owner(&self, owner: AccountId) -> Result<Option<Tenant>, StoreError>;

    /// At most `limit` tenants with ids after `after`, by id.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Reads only.
    async fn list(&self, after: Option<TenantId>, limit: u32) -> Result<TenantPage, StoreError>;

    /// How many tenants that wait for a host were made before this one; `None` when it does not wait.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Reads only.
    async fn queue_position(&self, id: TenantId) -> Result<Option<u64>, StoreError>;

    /// Changes what is wanted, and makes the tenant due at once.
    ///
    /// # Behavior
    /// `expected` is the revision the change was decided on; `None` takes any. A change that changes
    /// something raises the revision and does [`Observed::stir`].
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::StaleRevision`]; [`StoreError::Deleting`] when it is to be
    /// deleted and the change is anything else.
    ///
    /// # Idempotency
    /// Asking for the power that is wanted already changes nothing and succeeds, whatever `expected` is, so
    /// that a caller whose answer was lost can ask again. A restart is one each time.
    async fn change(
        &self,
        id: TenantId,
        expected: Option<Revision>,
        change: Change,
        now: Timestamp,
    ) -> Result<Tenant, StoreError>;

    /// Ends a hold, as an operator does: [`Observed::release`], and the tenant is due at once.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    ///
    /// # Idempotency
    /// Without a hold it changes nothing.
    async fn release(&self, id: TenantId, now: Timestamp) -> Result<Tenant, StoreError>;

    /// Takes tenants that are due and not held by another worker, the longest due first.
    ///
    /// # Behavior
    /// The stored rows are marked by [`Observed::mark_unknown`] in the same transaction, since whatever
    /// the worker does next may be lost; the answer has them as they were before. So a worker that finds
    /// `Unknown` knows that the one before it never settled.
    /// Any number of workers may claim at once; none waits for another.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Not: each claim raises the fence.
    async fn claim_tenants(&self, request: ClaimRequest) -> Result<Vec<Claim<Tenant>>, StoreError>;

    /// Makes a claim's lease begin anew.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the claim has passed on.
    ///
    /// # Idempotency
    /// Again is success.
    async fn renew(
        &self,
        id: TenantId,
        fence: Fence,
        worker: WorkerId,
        lease: Duration,
    ) -> Result<(), StoreError>;

    /// Reserves a place on a host for a claimed tenant that has none: CPU, memory, swap, a subnet.
    ///
    /// # Behavior
    /// The sum over the host is checked in the same transaction, and that the host is neither cordoned nor
    /// quarantined. The answer is the location, added to the tenant's observed ones with
    /// [`Certainty::Unknown`](crate::tenant::Certainty::Unknown) and a generation of its own, which becomes
    /// the tenant's highest.
    ///
    /// # Errors
    /// [`StoreError::NoRoom`] names what lacks; [`StoreError::Fenced`]; [`StoreError::NotFound`] for an
    /// unknown host.
    ///
    /// # Idempotency
    /// A tenant that has a location at this host is given that.
    async fn place(
        &self,
        id: TenantId,
        fence: Fence,
        request: PlaceRequest,
    ) -> Result<crate::tenant::Location, StoreError>;

    /// Writes what a worker saw and gives the claim back.
    ///
    /// # Behavior
    /// What happened since the claim is not undone: after a change [`Observed::stir`] is done once more, and
    /// a hold that was released meanwhile does not come back, though another one does. The highest
    /// generation never falls. What is reserved is what the settled locations say.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the claim has passed on; [`StoreError::Conflict`] for a tenant that is to
    /// be `gone` without being wanted [`Power::Deleted`]. Nothing was written.
    ///
    /// # Idempotency
    /// A second settle of one claim is fenced.
    async fn settle(
        &self,
        id: TenantId,
        fence: Fence,
        settlement: Settlement,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Makes a host known, due at once, or brings its labels up to date.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Again is success.
    async fn put_host(
        &self,
        id: HostId,
        labels: std::collections::BTreeMap<String, String>,
    ) -> Result<(), StoreError>;

    /// Stops or allows new instances on a host.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    ///
    /// # Idempotency
    /// Again is success.
    async fn cordon(&self, id: HostId, cordon: Cordon) -> Result<(), StoreError>;

    /// Ends a host's quarantine, as an operator does who has looked at it: [`rules::release_host`], and it is due
    /// at once.
    ///
    /// # Behavior
    /// Whoever is looking at it is fenced: what they saw is of before. Its tenants are not touched: who is held for
    /// the host goes on by a pass of their own once it is [`HostState::Ready`].
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    ///
    /// # Idempotency
    /// Without a quarantine it changes nothing.
    async fn release_host(&self, id: HostId) -> Result<(), StoreError>;

    /// Forgets a host that holds no tenant.
    ///
    /// # Behavior
    /// Whoever is looking at it is fenced, and stays so if the host is made known again, which it then is as one
    /// never seen. Nothing on the host itself is touched.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::HostInUse`] while a tenant has a location there.
    ///
    /// # Idempotency
    /// A host that was forgotten is not found.
    async fn remove_host(&self, id: HostId) -> Result<(), StoreError>;

    /// Every host with what is reserved on it, by id.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Reads only.
    async fn hosts(&self) -> Result<Vec<Host>, StoreError>;

    /// Takes hosts that are due, as [`claim_tenants`](Self::claim_tenants) does tenants.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Not: each claim raises the fence.
    async fn claim_hosts(&self, request: ClaimRequest) -> Result<Vec<Claim<Host>>, StoreError>;

    /// Writes what a worker saw of a host and gives the claim back.
    ///
    /// # Errors
    /// [`StoreError::Fenced`].
    ///
    /// # Idempotency
    /// A second settle of one claim is fenced.
    async fn settle_host(
        &self,
        id: HostId,
        fence: Fence,
        settlement: HostSettlement,
    ) -> Result<(), StoreError>;

    /// The tenants that have a location on this host.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Reads only.
    async fn tenants_on(&self, host: HostId) -> Result<Vec<Tenant>, StoreError>;

    /// Events with numbers after `after`, of one tenant or of all, in order, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Reads only.
    async fn events(
        &self,
        tenant: Option<TenantId>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError>;

    /// A number that grows whenever a tenant was made, changed, settled or removed: a hint to look again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Reads only.
    async fn change_seq(&self) -> Result<u64, StoreError>;

    /// The tenants that changed after `after`, and those that are gone, with the number to go on from.
    ///
    /// # Behavior
    /// A change is never missed: what commits later has a higher number than any answered before.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Reads only.
    async fn changed_since(&self, after: u64, limit: u32) -> Result<Changes, StoreError>;

    /// Whether the store answers, within a second.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    ///
    /// # Idempotency
    /// Reads only.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// What changed since a number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Made or changed.
    pub tenants: Vec<Tenant>,
    /// Gone.
    pub gone: Vec<TenantId>,
    /// Go on from here. The same as was asked for when there is nothing more.
    pub next: u64,
}

/// Whether a host takes new instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cordon {
    /// It does not.
    Closed,
    /// It does.
    Open,
}
