//! A [`TenantStore`] with one bug, over the in-memory one.

mod port;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use openclaw_tenancy::clock::{ManualClock, SeededEntropy, Timestamp};
use openclaw_tenancy::conformance::store::StoreFixture;
use openclaw_tenancy::host::HostState;
use openclaw_tenancy::id::{AccountId, Fence, HostId, Revision, Slug, TenantId, WorkerId};
use openclaw_tenancy::memory::MemoryStore;
use openclaw_tenancy::store::{
    ClaimRequest, Created, HostSettlement, Settlement, StoreError, TenantStore,
};
use openclaw_tenancy::tenant::{
    Desired, IdempotencyKey, NewTenant, Observed, Power, Settings, Tenant,
};
use tokio::task::yield_now;

const HOUR: Duration = Duration::from_secs(3600);

/// What is wrong. A bug that is called racy looks, lets others run, and then acts on what it saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    LosesSettings,
    MadeButNotDue,
    SecondTenantOfAnOwner,
    SecondTenantOfASlug,
    SlugFreeAtOnce,
    NoSeats,
    SecondTenantOfAnId,
    RacyOwner,
    RacySlug,
    RacySeats,
    NoKeys,
    AnyRequestOfAKey,
    KeysOfEverybody,
    KeysForEver,
    KeysEndWithTheTenant,
    RefusalsUseUpKeys,
    RacyKey,
    GetsAnother,
    FindsAnother,
    EndlessPages,
    AlwaysFirstInTheQueue,
    NeverAnswers,
    ForgetsSettingsChange,
    ChangedButNotDue,
    TakesStaleRevisions,
    SamePowerIsAChange,
    OneRestart,
    TakesBackDeletion,
    ChangesWhatIsNotThere,
    ChangeKeepsWaits,
    LastSettleWins,
    RacyRevision,
    ReleasesNothing,
    ReleaseIsAlwaysAChange,
    LongestDueLast,
    EverythingIsDue,
    NoLease,
    EndlessLease,
    WaitsForTheClock,
    AnswersAsMarked,
    RenewsNothing,
    RenewsForAnybody,
    PlacesAsKnown,
    ForgetsTheHostsSubnets,
    AnotherPlaceEachTime,
    NoCapacity,
    PlacesOnCordonedHosts,
    PlacesOnForgottenHosts,
    GrantsAllSwap,
    PlacesForAnybody,
    SubnetsOfNoPool,
    RacyCapacity,
    OneSubnet,
    LosesFailures,
    DueAtOnceAlways,
    SettlesTwice,
    SettlesForAnybody,
    KeepsLeftPlaces,
    NeverPins,
    LosesGenerations,
    KeepsWhatIsGone,
    RemovesAnything,
    CordonsNewHosts,
    PutOpensHosts,
    CordonsForEver,
    ReleasesNoHost,
    ReleaseForgetsLabels,
    ForgetsNoHost,
    ForgetsHostsInUse,
    HostsInReverse,
    NoHostLease,
    EndlessHostLease,
    LosesMarkers,
    SettlesHostsTwice,
    StirsNobody,
    EverybodyIsEverywhere,
    EventsInReverse,
    TellsNoChanges,
    FewEvents,
    OneChange,
    NobodyGoes,
    SkipsChanges,
}

/// The store with the bug; what it remembers is what a bug may need.
#[derive(Debug)]
pub(crate) struct Broken {
    bug: Bug,
    inner: MemoryStore,
    random: SeededEntropy,
    clock: ManualClock,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    slugs: BTreeSet<Slug>,
    keys: BTreeMap<(AccountId, String), (String, TenantId)>,
    fences: BTreeMap<TenantId, Fence>,
}

/// A fixture of one broken store.
#[derive(Debug)]
pub(crate) struct Fixture(Arc<Broken>);

impl Fixture {
    pub(crate) fn new(bug: Bug) -> Self {
        let clock = ManualClock::new(Timestamp::from_seconds(1_790_000_000));
        Self(Arc::new(Broken {
            bug,
            inner: MemoryStore::new(Arc::new(clock.clone())),
            random: SeededEntropy::new(1),
            clock,
            seen: Mutex::default(),
        }))
    }
}

#[async_trait]
impl StoreFixture for Fixture {
    fn store(&self) -> Arc<dyn TenantStore> {
        Arc::clone(&self.0) as _
    }

    fn replica(&self) -> Arc<dyn TenantStore> {
        self.store()
    }

    async fn set_back(&self, time: Duration) {
        // To a store that goes by due times alone nothing has become due.
        if self.0.bug != Bug::WaitsForTheClock {
            self.0.clock.set_back(time);
        }
    }

    async fn pass(&self, time: Duration) {
        self.0.clock.advance(time);
    }

    async fn finish(&self) {}
}

impl Broken {
    fn another_owner(&self) -> AccountId {
        AccountId::generate(&self.clock, &self.random)
    }

    fn another_id(&self) -> TenantId {
        TenantId::generate(&self.clock, &self.random)
    }

    fn another_slug(&self) -> Slug {
        Slug::generate(&self.random)
    }

    async fn first(&self) -> Option<Tenant> {
        self.inner.list(None, 1).await.ok()?.tenants.pop()
    }

    async fn all(&self) -> Vec<Tenant> {
        let page = self.inner.list(None, u32::MAX).await;
        page.map(|page| page.tenants).unwrap_or_default()
    }

    /// The newest fence of a tenant, whoever holds it.
    fn newest(&self, id: TenantId, given: Fence) -> Fence {
        let seen = self.seen.lock().unwrap();
        seen.fences.get(&id).copied().unwrap_or(given)
    }

    /// Makes every tenant due, through a host of our own.
    async fn stir_all(&self) -> Result<(), StoreError> {
        let host = HostId::new("stirrer").unwrap();
        self.inner.put_host(host.clone(), BTreeMap::new()).await?;
        for claim in self.inner.claim_hosts(request(u32::MAX)).await? {
            let stirred = self.all().await.iter().map(|tenant| tenant.id).collect();
            let settlement = HostSettlement {
                state: HostState::Ready,
                facts: None,
                marker: None,
                next_due: Duration::ZERO,
                stirred,
            };
            self.inner
                .settle_host(claim.item.id, claim.fence, settlement)
                .await?;
        }
        Ok(())
    }

    /// Works on what is due, so that it is not any more.
    async fn undue(&self, observed: Option<Observed>) -> Result<(), StoreError> {
        for claim in self.inner.claim_tenants(request(u32::MAX)).await? {
            let settlement = Settlement {
                observed: observed.clone().unwrap_or(claim.item.observed),
                pin: None,
                next_due: HOUR,
                events: Vec::new(),
                gone: false,
            };
            self.inner
                .settle(claim.item.id, claim.fence, settlement, Timestamp::default())
                .await?;
        }
        Ok(())
    }

    /// The keys as a store of its own, with a look and an act that are not one.
    async fn create_by_own_keys(
        &self,
        new: NewTenant,
        owner_of_keys: AccountId,
    ) -> Result<Created, StoreError> {
        let Some(IdempotencyKey { key, request }) = new.idempotency.clone() else {
            return self.inner.create(new).await;
        };
        let known = {
            let seen = self.seen.lock().unwrap();
            seen.keys.get(&(owner_of_keys, key.clone())).cloned()
        };
        if let Some((_, id)) = known {
            let tenant = self.inner.get(id).await?;
            return tenant.map(Created::Replayed).ok_or(StoreError::Fenced);
        }
        yield_now().await;
        let id = new.id;
        let created = self
            .inner
            .create(NewTenant {
                idempotency: None,
                ..new
            })
            .await?;
        let mut seen = self.seen.lock().unwrap();
        seen.keys.insert((owner_of_keys, key), (request, id));
        Ok(created)
    }
}

fn request(limit: u32) -> ClaimRequest {
    ClaimRequest {
        worker: WorkerId::new("bug").unwrap(),
        limit,
        lease: HOUR,
    }
}

fn nobody(id: TenantId, owner: AccountId, slug: Slug) -> Tenant {
    let plan = openclaw_tenancy::plan::PlanCatalog::default();
    let plan = plan.iter().next().unwrap();
    Tenant {
        id,
        slug,
        owner,
        settings: Settings::default(),
        desired: Desired {
            power: Power::Running,
            plan: plan.name.clone(),
            limits: plan.limits,
            image: openclaw_tenancy::container::Image {
                reference: "none".to_owned(),
                digest: None,
            },
            restart_epoch: 0,
        },
        revision: Revision(1),
        observed: Observed::default(),
        created_at: Timestamp::default(),
    }
}
