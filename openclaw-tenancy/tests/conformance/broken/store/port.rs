//! Each method with the bugs that are in it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::event::{Event, EventKind};
use openclaw_tenancy::host::Host;
use openclaw_tenancy::id::{AccountId, Fence, Generation, HostId, Revision, TenantId, WorkerId};
use openclaw_tenancy::quantity::Bytes;
use openclaw_tenancy::store::{
    Change, Changes, Claim, ClaimRequest, Cordon, Created, HostSettlement, PlaceRequest,
    Settlement, StoreError, TenantPage, TenantStore,
};
use openclaw_tenancy::tenant::{
    Certainty, IdempotencyKey, Location, NewTenant, Power, Settings, Tenant,
};
use tokio::task::yield_now;

use super::{Broken, Bug, HOUR, nobody};

#[async_trait]
impl TenantStore for Broken {
    async fn create(&self, mut new: NewTenant) -> Result<Created, StoreError> {
        let inner = &self.inner;
        match self.bug {
            Bug::LosesSettings => new.settings = Settings::default(),
            Bug::SlugFreeAtOnce => new.created_at = new.created_at.plus(HOUR * 24 * 30),
            Bug::NoSeats => new.seats = None,
            Bug::NoKeys => new.idempotency = None,
            Bug::KeysForEver => new.created_at = Timestamp::from_seconds(1_790_000_000),
            Bug::AnyRequestOfAKey => {
                if let Some(key) = &mut new.idempotency {
                    key.request.clear();
                }
            }
            Bug::KeysOfEverybody => {
                let everybody = AccountId::from_uuid(uuid::Uuid::nil());
                return self.create_by_own_keys(new, everybody).await;
            }
            Bug::RacyKey => {
                let owner = new.owner;
                return self.create_by_own_keys(new, owner).await;
            }
            Bug::RacySeats => {
                let taken = self.all().await.len() as u64;
                if let Some(seats) = new.seats.take().filter(|seats| *seats <= taken) {
                    return Err(StoreError::NoSeat { seats });
                }
                yield_now().await;
            }
            Bug::RacyOwner => {
                if let Some(existing) = inner.find_by_owner(new.owner).await? {
                    let existing = existing.id;
                    return Err(StoreError::AlreadyHasTenant { existing });
                }
                yield_now().await;
                new.owner = self.another_owner();
            }
            Bug::RacySlug => {
                if self.seen.lock().unwrap().slugs.contains(&new.slug) {
                    return Err(StoreError::SlugTaken { slug: new.slug });
                }
                yield_now().await;
                self.seen.lock().unwrap().slugs.insert(new.slug.clone());
                new.slug = self.another_slug();
            }
            Bug::RefusalsUseUpKeys => {
                if let Some(IdempotencyKey { key, request }) = new.idempotency.clone() {
                    let mut seen = self.seen.lock().unwrap();
                    let used = seen.keys.entry((new.owner, key));
                    if used.or_insert((request.clone(), new.id)).0 != request {
                        return Err(StoreError::IdempotencyMismatch);
                    }
                }
            }
            _ => {}
        }
        let answer = inner.create(new.clone()).await;
        match (self.bug, answer) {
            (Bug::MadeButNotDue, Ok(created)) => {
                self.undue(None).await?;
                Ok(created)
            }
            (Bug::SecondTenantOfAnOwner, Err(StoreError::AlreadyHasTenant { .. })) => {
                new.owner = self.another_owner();
                inner.create(new).await
            }
            (Bug::SecondTenantOfASlug, Err(StoreError::SlugTaken { .. })) => {
                new.slug = self.another_slug();
                inner.create(new).await
            }
            (Bug::SecondTenantOfAnId, Err(StoreError::Conflict { .. })) => {
                new.id = self.another_id();
                inner.create(new).await
            }
            (Bug::KeysEndWithTheTenant, Ok(Created::Replayed(tenant)))
                if tenant.desired.power == Power::Deleted =>
            {
                new.idempotency = None;
                inner.create(new).await
            }
            (_, answer) => answer,
        }
    }

    async fn get(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        match (self.bug, self.inner.get(id).await?) {
            (Bug::GetsAnother, None) => Ok(self.first().await),
            (_, found) => Ok(found),
        }
    }

    async fn find_by_owner(&self, owner: AccountId) -> Result<Option<Tenant>, StoreError> {
        match self.bug {
            Bug::FindsAnother => Ok(self.first().await),
            _ => self.inner.find_by_owner(owner).await,
        }
    }

    async fn list(&self, after: Option<TenantId>, limit: u32) -> Result<TenantPage, StoreError> {
        let mut page = self.inner.list(after, limit).await?;
        if self.bug == Bug::EndlessPages {
            page.next = page.tenants.last().map(|tenant| tenant.id);
        }
        Ok(page)
    }

    async fn queue_position(&self, id: TenantId) -> Result<Option<u64>, StoreError> {
        let position = self.inner.queue_position(id).await?;
        Ok(match self.bug {
            Bug::AlwaysFirstInTheQueue => position.and(Some(0)),
            _ => position,
        })
    }

    async fn change(
        &self,
        id: TenantId,
        mut expected: Option<Revision>,
        mut change: Change,
        now: Timestamp,
    ) -> Result<Tenant, StoreError> {
        let before = self.inner.get(id).await?;
        match (&self.bug, &before) {
            (Bug::ForgetsSettingsChange, Some(tenant)) if matches!(change, Change::Settings(_)) => {
                return Ok(tenant.clone());
            }
            (Bug::TakesStaleRevisions, _) => expected = None,
            (Bug::SamePowerIsAChange, Some(tenant))
                if change == Change::Power(tenant.desired.power) =>
            {
                (expected, change) = (None, Change::Restart);
            }
            (Bug::OneRestart, Some(tenant)) if tenant.desired.restart_epoch > 0 => {
                return Ok(tenant.clone());
            }
            (Bug::RacyRevision, Some(tenant)) => {
                if let Some(expected) = expected
                    && expected != tenant.revision
                {
                    let current = tenant.revision;
                    return Err(StoreError::StaleRevision { current });
                }
                expected = None;
                yield_now().await;
            }
            _ => {}
        }
        let answer = self.inner.change(id, expected, change, now).await;
        match (self.bug, answer, before) {
            (Bug::TakesBackDeletion, Err(StoreError::Deleting), Some(before)) => Ok(before),
            (Bug::ChangesWhatIsNotThere, Err(StoreError::NotFound { .. }), None) => {
                Ok(nobody(id, self.another_owner(), self.another_slug()))
            }
            (Bug::ChangedButNotDue, Ok(tenant), _) => {
                self.undue(None).await?;
                Ok(tenant)
            }
            (Bug::ChangeKeepsWaits, Ok(tenant), Some(before)) => Ok(Tenant {
                observed: before.observed,
                ..tenant
            }),
            (_, answer, _) => answer,
        }
    }

    async fn release(&self, id: TenantId, now: Timestamp) -> Result<Tenant, StoreError> {
        let before = self.inner.get(id).await?;
        let held = before.as_ref().is_some_and(|t| t.observed.hold.is_some());
        match (self.bug, before) {
            (Bug::ReleasesNothing, Some(tenant)) => Ok(tenant),
            (Bug::ReleaseIsAlwaysAChange, Some(_)) if !held => {
                self.inner.change(id, None, Change::Restart, now).await
            }
            _ => self.inner.release(id, now).await,
        }
    }

    async fn claim_tenants(
        &self,
        mut request: ClaimRequest,
    ) -> Result<Vec<Claim<Tenant>>, StoreError> {
        match self.bug {
            Bug::EverythingIsDue => self.stir_all().await?,
            Bug::NoLease => request.lease = Duration::ZERO,
            Bug::EndlessLease => request.lease = HOUR * 24 * 365,
            _ => {}
        }
        let mut claims = self.inner.claim_tenants(request).await?;
        match self.bug {
            Bug::LongestDueLast => claims.reverse(),
            Bug::AnswersAsMarked => {
                for claim in &mut claims {
                    claim.item.observed.mark_unknown();
                }
            }
            _ => {}
        }
        let mut seen = self.seen.lock().unwrap();
        for claim in &claims {
            seen.fences.insert(claim.item.id, claim.fence);
        }
        Ok(claims)
    }

    async fn renew(
        &self,
        id: TenantId,
        fence: Fence,
        worker: WorkerId,
        lease: Duration,
    ) -> Result<(), StoreError> {
        if self.bug == Bug::RenewsNothing {
            return Ok(());
        }
        match self.inner.renew(id, fence, worker, lease).await {
            Err(StoreError::Fenced) if self.bug == Bug::RenewsForAnybody => Ok(()),
            answer => answer,
        }
    }

    async fn place(
        &self,
        id: TenantId,
        mut fence: Fence,
        mut request: PlaceRequest,
    ) -> Result<Location, StoreError> {
        let inner = &self.inner;
        let tenant = inner.get(id).await?;
        let swap = tenant.as_ref().map(|tenant| tenant.desired.limits.swap);
        let placed = tenant.is_some_and(|tenant| !tenant.observed.locations.is_empty());
        match self.bug {
            Bug::NoCapacity => request.capacity.cpu.0 = u64::MAX,
            Bug::PlacesOnCordonedHosts => inner.cordon(request.host.clone(), Cordon::Open).await?,
            Bug::PlacesForAnybody => fence = self.newest(id, fence),
            Bug::SubnetsOfNoPool => request.pool = "10.0.0.0/8".parse().unwrap(),
            Bug::RacyCapacity => {
                let hosts = inner.hosts().await?;
                let host = hosts.into_iter().find(|host| host.id == request.host);
                let used = host.map(|host| host.reserved.cpu).unwrap_or_default();
                yield_now().await;
                if used < request.capacity.cpu {
                    request.capacity.cpu.0 = u64::MAX;
                    request.capacity.memory = Bytes(u64::MAX);
                }
            }
            _ => {}
        }
        let mut answer = inner.place(id, fence, request.clone()).await;
        if self.bug == Bug::PlacesOnForgottenHosts && answer.is_err() {
            inner
                .put_host(request.host.clone(), BTreeMap::new())
                .await?;
            answer = inner.place(id, fence, request).await;
        }
        let mut location = answer?;
        match self.bug {
            Bug::PlacesAsKnown => location.certainty = Certainty::Known,
            Bug::AnotherPlaceEachTime if placed => {
                location.subnet = "10.99.0.0/29".parse().unwrap();
            }
            Bug::GrantsAllSwap => location.granted.swap = swap.unwrap_or_default(),
            Bug::OneSubnet => location.subnet = "10.99.0.0/29".parse().unwrap(),
            _ => {}
        }
        Ok(location)
    }

    async fn settle(
        &self,
        id: TenantId,
        mut fence: Fence,
        mut settlement: Settlement,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let inner = &self.inner;
        match self.bug {
            Bug::LosesFailures => settlement.observed.failure = None,
            Bug::DueAtOnceAlways => settlement.next_due = Duration::ZERO,
            Bug::SettlesForAnybody => fence = self.newest(id, fence),
            Bug::NeverPins => settlement.pin = None,
            Bug::LosesGenerations => settlement.observed.generation = Generation(0),
            Bug::KeepsWhatIsGone => settlement.gone = false,
            Bug::KeepsLeftPlaces if settlement.observed.locations.is_empty() => {
                let stored = inner.get(id).await?.map(|tenant| tenant.observed);
                settlement.observed.locations = stored.unwrap_or_default().locations;
            }
            Bug::RemovesAnything if settlement.gone => {
                let deleted = Change::Power(Power::Deleted);
                inner.change(id, None, deleted, now).await?;
            }
            _ => {}
        }
        let answer = inner.settle(id, fence, settlement.clone(), now).await;
        match (self.bug, answer) {
            (Bug::SettlesTwice, Err(StoreError::Fenced)) => Ok(()),
            (Bug::LastSettleWins, Ok(())) => {
                let stored = inner.get(id).await?.map(|tenant| tenant.observed);
                if stored.as_ref() != Some(&settlement.observed) {
                    self.stir_all().await?;
                    self.undue(Some(settlement.observed)).await?;
                }
                Ok(())
            }
            (_, answer) => answer,
        }
    }

    async fn put_host(
        &self,
        id: HostId,
        labels: BTreeMap<String, String>,
    ) -> Result<(), StoreError> {
        self.inner.put_host(id.clone(), labels).await?;
        match self.bug {
            Bug::CordonsNewHosts => self.inner.cordon(id, Cordon::Closed).await,
            Bug::PutOpensHosts => self.inner.cordon(id, Cordon::Open).await,
            _ => Ok(()),
        }
    }

    async fn cordon(&self, id: HostId, cordon: Cordon) -> Result<(), StoreError> {
        let cordon = match self.bug {
            Bug::CordonsForEver => Cordon::Closed,
            _ => cordon,
        };
        self.inner.cordon(id, cordon).await
    }

    async fn release_host(&self, id: HostId) -> Result<(), StoreError> {
        match self.bug {
            Bug::ReleasesNoHost => Ok(()),
            Bug::ReleaseForgetsLabels => {
                self.inner.release_host(id.clone()).await?;
                self.inner.put_host(id, BTreeMap::new()).await
            }
            _ => self.inner.release_host(id).await,
        }
    }

    async fn remove_host(&self, id: HostId) -> Result<(), StoreError> {
        match self.bug {
            Bug::ForgetsNoHost => Ok(()),
            Bug::ForgetsHostsInUse => match self.inner.remove_host(id).await {
                Err(StoreError::HostInUse { .. }) => Ok(()),
                answer => answer,
            },
            _ => self.inner.remove_host(id).await,
        }
    }

    async fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        let mut hosts = self.inner.hosts().await?;
        if self.bug == Bug::HostsInReverse {
            hosts.reverse();
        }
        Ok(hosts)
    }

    async fn claim_hosts(&self, mut request: ClaimRequest) -> Result<Vec<Claim<Host>>, StoreError> {
        match self.bug {
            Bug::NoHostLease => request.lease = Duration::ZERO,
            Bug::EndlessHostLease => request.lease = HOUR * 24 * 365,
            _ => {}
        }
        self.inner.claim_hosts(request).await
    }

    async fn settle_host(
        &self,
        id: HostId,
        fence: Fence,
        mut settlement: HostSettlement,
    ) -> Result<(), StoreError> {
        match self.bug {
            Bug::LosesMarkers => settlement.marker = None,
            Bug::StirsNobody => settlement.stirred.clear(),
            Bug::ForgetsTheHostsSubnets => {
                if let Some(facts) = &mut settlement.facts {
                    facts.subnets.clear();
                }
            }
            _ => {}
        }
        match self.inner.settle_host(id, fence, settlement).await {
            Err(StoreError::Fenced) if self.bug == Bug::SettlesHostsTwice => Ok(()),
            answer => answer,
        }
    }

    async fn tenants_on(&self, host: HostId) -> Result<Vec<Tenant>, StoreError> {
        match self.bug {
            Bug::EverybodyIsEverywhere => Ok(self.all().await),
            _ => self.inner.tenants_on(host).await,
        }
    }

    async fn events(
        &self,
        tenant: Option<TenantId>,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let mut events = self.inner.events(tenant, after, limit).await?;
        match self.bug {
            Bug::EventsInReverse => events.reverse(),
            Bug::TellsNoChanges => events.retain(|event| event.event.kind != EventKind::Changed),
            Bug::FewEvents => events.truncate(100),
            _ => {}
        }
        Ok(events)
    }

    async fn change_seq(&self) -> Result<u64, StoreError> {
        match self.bug {
            Bug::OneChange => Ok(1),
            _ => self.inner.change_seq().await,
        }
    }

    async fn changed_since(&self, after: u64, limit: u32) -> Result<Changes, StoreError> {
        let mut changes = self.inner.changed_since(after, limit).await?;
        match self.bug {
            Bug::NobodyGoes => changes.gone.clear(),
            Bug::SkipsChanges => changes.next = self.inner.change_seq().await?,
            _ => {}
        }
        Ok(changes)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        match self.bug {
            Bug::NeverAnswers => Err(StoreError::Unavailable {
                what: "ping",
                source: None,
            }),
            _ => self.inner.ping().await,
        }
    }
}
