//! Random callers, and what they were answered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::model::{Answer, Call, Operation, Shown, Wish, power};
use super::{Violation, check, is_answer, store_of};
use crate::clock::{SeededEntropy, Timestamp};
use crate::host::Capacity;
use crate::id::{AccountId, Fence, HostId, Revision, TenantId, WorkerId};
use crate::quantity::Bytes;
use crate::store::{
    Change, Claim, ClaimRequest, PlaceRequest, Settlement, StoreError, TenantStore,
};
use crate::tenant::{Power, Tenant};

/// A lease that lasts as long as a history.
pub(super) const LASTING: Duration = Duration::from_secs(3600);
/// How many owners there are: few, so that callers meet.
const OWNERS: u64 = 2;

/// What callers asked and were answered.
#[derive(Debug)]
pub struct History {
    seed: u64,
    operations: Vec<Operation>,
}

impl History {
    /// Looks for an order of the calls that explains every answer.
    ///
    /// # Errors
    /// [`Violation`] when there is none.
    pub fn check(self) -> Result<(), Violation> {
        if check::is_linearizable(&self.operations) {
            return Ok(());
        }
        let Self {
            seed,
            mut operations,
        } = self;
        operations.sort_by_key(|operation| operation.began);
        Err(Violation { seed, operations })
    }

    /// How many calls were not answered.
    #[must_use]
    pub fn lost(&self) -> usize {
        let lost = |operation: &&Operation| operation.answer == Answer::Lost;
        self.operations.iter().filter(lost).count()
    }
}

/// Lets `callers` make `calls` random calls each, at once, on stores that share their rows.
///
/// The stores must hold no tenant that is due. At most 128 calls in all.
pub async fn record(
    stores: &[Arc<dyn TenantStore>],
    seed: u64,
    callers: u32,
    calls: u32,
) -> History {
    let shared = Arc::new(Shared {
        seed,
        time: AtomicU64::new(0),
        ids: Mutex::default(),
    });
    // The host is made by whoever comes first after the database is back, where it is killed meanwhile.
    let host = HostId::new("history").expect("a host id");
    while let Err(error) = stores[0].put_host(host.clone(), Default::default()).await {
        assert!(!is_answer(&error), "{error:?}");
    }
    let tasks: Vec<_> = (0..callers)
        .map(|number| {
            let caller = Caller {
                number,
                store: store_of(stores, number),
                random: SeededEntropy::new(seed << 8 | u64::from(number)),
                shared: Arc::clone(&shared),
                claim: None,
                operations: Vec::new(),
            };
            tokio::spawn(caller.run(calls))
        })
        .collect();
    let mut operations = Vec::new();
    for task in tasks {
        operations.extend(task.await.expect("a caller does not panic"));
    }
    History { seed, operations }
}

#[derive(Debug)]
struct Shared {
    seed: u64,
    time: AtomicU64,
    /// Every id that somebody asked for, with the last revision somebody saw.
    ids: Mutex<Vec<(TenantId, u64)>>,
}

#[derive(Debug)]
struct Caller {
    number: u32,
    store: Arc<dyn TenantStore>,
    random: SeededEntropy,
    shared: Arc<Shared>,
    claim: Option<Claim<Tenant>>,
    operations: Vec<Operation>,
}

impl Caller {
    async fn run(mut self, calls: u32) -> Vec<Operation> {
        for _ in 0..calls {
            // A store in memory never waits: without this each caller would finish before the next begins.
            for _ in 0..self.below(3) {
                tokio::task::yield_now().await;
            }
            let call = self.choose();
            let began = self.tick();
            let answer = match self.call(&call).await {
                Ok(answer) => answer,
                Err(error) => answer_of(&error),
            };
            if let (Answer::Lost, Call::Place { .. }) = (&answer, &call) {
                // It does not know its place, so it cannot say whether it keeps it.
                self.claim = None;
            }
            let ended = self.tick();
            self.operations.push(Operation {
                caller: self.number,
                call,
                answer,
                began,
                ended,
            });
        }
        self.operations
    }

    fn tick(&self) -> u64 {
        self.shared.time.fetch_add(1, Ordering::SeqCst)
    }

    fn below(&self, n: u64) -> u64 {
        self.random.next_u64() % n
    }

    fn choose(&mut self) -> Call {
        let known = {
            let ids = self
                .shared
                .ids
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let n = u64::try_from(ids.len()).unwrap_or(u64::MAX);
            (n > 0).then(|| ids[usize::try_from(self.below(n)).unwrap_or(0)])
        };
        let held = self
            .claim
            .as_ref()
            .map(|claim| (claim.item.id, claim.fence.0));
        match (self.below(10), known, held) {
            (0..=1, ..) | (_, None, _) => self.create(),
            (2, Some((id, _)), _) => Call::Get { id },
            (3..=4, Some((id, revision)), _) => self.change(id, revision),
            (5..=6, _, Some((id, fence))) => Call::Place { id, fence },
            (7..=8, _, Some((id, fence))) => Call::Settle {
                id,
                fence,
                keeps: self.below(2) == 0,
                gone: self.below(3) == 0,
            },
            _ => Call::Claim {
                lasts: self.below(2) == 0,
            },
        }
    }

    fn create(&self) -> Call {
        let owner = u128::from(self.shared.seed) << 64 | u128::from(self.below(OWNERS));
        let id = u128::from(self.shared.seed) << 64 | u128::from(self.random.next_u64());
        let id = TenantId::from_uuid(Uuid::from_u128(id));
        let mut ids = self
            .shared
            .ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        ids.push((id, 1));
        Call::Create {
            owner: AccountId::from_uuid(Uuid::from_u128(owner)),
            id,
        }
    }

    fn change(&self, id: TenantId, revision: u64) -> Call {
        let wish = match self.below(6) {
            0..=1 => Wish::Power(Power::Deleted),
            2 => Wish::Power(Power::Suspended),
            3 => Wish::Power(Power::Running),
            _ => Wish::Restart,
        };
        let expected = (self.below(2) == 0).then_some(revision);
        Call::Change { id, expected, wish }
    }

    async fn call(&mut self, call: &Call) -> Result<Answer, StoreError> {
        let store = Arc::clone(&self.store);
        Ok(match *call {
            Call::Create { owner, id } => {
                let mut new = crate::conformance::store::given::new_tenant();
                (new.id, new.owner) = (id, owner);
                store.create(new).await?;
                Answer::Made
            }
            Call::Get { id } => match store.get(id).await? {
                Some(tenant) => Answer::Found(self.seen(&tenant)),
                None => Answer::Nothing,
            },
            Call::Change { id, expected, wish } => {
                let change = match wish {
                    Wish::Power(power) => Change::Power(power),
                    Wish::Restart => Change::Restart,
                };
                let now = Timestamp::default();
                let changed = store
                    .change(id, expected.map(Revision), change, now)
                    .await?;
                Answer::Found(self.seen(&changed))
            }
            Call::Claim { lasts } => {
                let request = ClaimRequest {
                    worker: WorkerId::new(format!("w{}", self.number)).expect("a worker id"),
                    limit: 1,
                    lease: if lasts { LASTING } else { Duration::ZERO },
                };
                let Some(claim) = store.claim_tenants(request).await?.pop() else {
                    return Ok(Answer::Nothing);
                };
                let shown = self.seen(&claim.item);
                let (id, fence) = (claim.item.id, claim.fence.0);
                self.claim = Some(claim);
                Answer::Claimed { id, fence, shown }
            }
            Call::Place { id, fence } => {
                let location = store.place(id, Fence(fence), room_for_one()).await?;
                if let Some(claim) = &mut self.claim {
                    claim.item.observed.locations = vec![location];
                }
                Answer::Done
            }
            Call::Settle {
                id,
                fence,
                keeps,
                gone,
            } => {
                let claim = self.claim.as_ref().map(|claim| claim.item.observed.clone());
                let mut observed = claim.unwrap_or_default();
                if !keeps {
                    observed.locations.clear();
                }
                let settlement = Settlement {
                    observed,
                    pin: None,
                    next_due: Duration::ZERO,
                    events: Vec::new(),
                    gone,
                };
                store
                    .settle(id, Fence(fence), settlement, Timestamp::default())
                    .await?;
                Answer::Done
            }
        })
    }

    fn seen(&self, tenant: &Tenant) -> Shown {
        let mut ids = self
            .shared
            .ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (id, revision) in ids.iter_mut().filter(|(id, _)| *id == tenant.id) {
            debug_assert_eq!(*id, tenant.id);
            *revision = tenant.revision.0;
        }
        Shown {
            revision: tenant.revision.0,
            epoch: tenant.desired.restart_epoch,
            power: power(tenant.desired.power),
            placed: !tenant.observed.locations.is_empty(),
        }
    }
}

fn answer_of(error: &StoreError) -> Answer {
    match error {
        StoreError::AlreadyHasTenant { existing } => Answer::Has(*existing),
        StoreError::StaleRevision { current } => Answer::Stale(current.0),
        StoreError::Deleting => Answer::Deleting,
        StoreError::NotFound { .. } => Answer::NotFound,
        StoreError::Fenced => Answer::Fenced,
        StoreError::NoRoom { .. } => Answer::NoRoom,
        StoreError::Conflict { .. } => Answer::NotToGo,
        StoreError::Unavailable { .. } => Answer::Lost,
        StoreError::SlugTaken { .. }
        | StoreError::NoSeat { .. }
        | StoreError::IdempotencyMismatch
        | StoreError::HostInUse { .. }
        | StoreError::Corrupt { .. } => panic!("no call of a history leads here: {error:?}"),
    }
}

/// The host has room for one of the instances of these rules.
fn room_for_one() -> PlaceRequest {
    let limits = crate::conformance::store::given::LIMITS;
    PlaceRequest {
        host: HostId::new("history").expect("a host id"),
        capacity: Capacity {
            cpu_per_instance: limits.cpu,
            cpu: limits.cpu,
            memory: limits.memory,
            swap: limits.swap,
        },
        floor: Bytes(0),
        pool: "10.213.0.0/16".parse().expect("a network"),
    }
}
