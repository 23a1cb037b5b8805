//! The sequential model: what each call may answer in a state, and what it leaves.

use std::collections::BTreeMap;
use std::fmt;

use crate::id::{AccountId, TenantId};
use crate::tenant::Power;

/// A call with its answer, and when it began and ended in the order of the whole history.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) caller: u32,
    pub(super) call: Call,
    pub(super) answer: Answer,
    pub(super) began: u64,
    pub(super) ended: u64,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            caller,
            call,
            answer,
            began,
            ended,
        } = self;
        write!(
            f,
            "[{began:3} {ended:3}] caller {caller}: {call:?} -> {answer:?}"
        )
    }
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Create {
        owner: AccountId,
        id: TenantId,
    },
    Get {
        id: TenantId,
    },
    Change {
        id: TenantId,
        expected: Option<u64>,
        wish: Wish,
    },
    /// With a lease that lasts, or that ends at once.
    Claim {
        lasts: bool,
    },
    Place {
        id: TenantId,
        fence: u64,
    },
    /// Keeping the place or leaving it.
    Settle {
        id: TenantId,
        fence: u64,
        keeps: bool,
        gone: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Power(Power),
    Restart,
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Made,
    Has(TenantId),
    Nothing,
    Found(Shown),
    Stale(u64),
    Deleting,
    NotFound,
    Claimed {
        id: TenantId,
        fence: u64,
        shown: Shown,
    },
    Done,
    Fenced,
    NoRoom,
    NotToGo,
    /// The database did not answer: it may happen yet, or never.
    Lost,
}

/// What a read shows of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Shown {
    pub(super) revision: u64,
    pub(super) epoch: u64,
    pub(super) power: u8,
    pub(super) placed: bool,
}

/// [`Power`] in an order of its own, for the states that a search remembers.
pub(super) const fn power(power: Power) -> u8 {
    match power {
        Power::Running => 0,
        Power::Suspended => 1,
        Power::Deleted => 2,
    }
}

const DELETED: u8 = power(Power::Deleted);

/// Every live tenant; the host has room for one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct State(BTreeMap<TenantId, Row>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Row {
    owner: AccountId,
    shown: Shown,
    fence: u64,
    open: Option<Lease>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Lease {
    Lasts,
    Over,
}

impl State {
    /// The states that `call` may leave when it answers `answer`; none, when it may not.
    pub(super) fn after(&self, call: &Call, answer: &Answer) -> Vec<Self> {
        match answer {
            Answer::Lost => self.effects(call),
            known => self
                .outcomes(call, known)
                .filter(|(possible, _)| possible == known)
                .map(|(_, state)| state)
                .collect(),
        }
    }

    /// What a call whose answer was lost may have done.
    fn effects(&self, call: &Call) -> Vec<Self> {
        self.outcomes(call, &Answer::Lost)
            .map(|(_, state)| state)
            .filter(|state| state != self)
            .collect()
    }

    /// Each possible answer with the state it leaves. `hint` names what only the answer tells: the fence.
    fn outcomes(&self, call: &Call, hint: &Answer) -> Box<dyn Iterator<Item = (Answer, Self)>> {
        if let Call::Claim { lasts } = call {
            return Box::new(self.claims(*lasts, hint).into_iter());
        }
        let mut next = self.clone();
        let answer = next.apply(call);
        Box::new(std::iter::once((answer, next)))
    }

    fn claims(&self, lasts: bool, hint: &Answer) -> Vec<(Answer, Self)> {
        let free = |row: &&Row| row.open != Some(Lease::Lasts);
        // A claim may pass over rows that another call holds just now, so it may find nothing.
        let mut outcomes = vec![(Answer::Nothing, self.clone())];
        for (id, row) in self.0.iter().filter(|(_, row)| free(row)) {
            let fence = match hint {
                Answer::Claimed { fence, .. } if row.fence < *fence => *fence,
                _ => row.fence + 1,
            };
            let mut next = self.clone();
            if let Some(row) = next.0.get_mut(id) {
                row.fence = fence;
                row.open = Some(if lasts { Lease::Lasts } else { Lease::Over });
            }
            let shown = row.shown;
            outcomes.push((
                Answer::Claimed {
                    id: *id,
                    fence,
                    shown,
                },
                next,
            ));
        }
        outcomes
    }

    fn apply(&mut self, call: &Call) -> Answer {
        match *call {
            Call::Create { owner, id } => self.create(owner, id),
            Call::Get { id } => match self.0.get(&id) {
                Some(row) => Answer::Found(row.shown),
                None => Answer::Nothing,
            },
            Call::Change { id, expected, wish } => self.change(id, expected, wish),
            Call::Place { id, fence } => self.place(id, fence),
            Call::Settle {
                id,
                fence,
                keeps,
                gone,
            } => self.settle(id, fence, keeps, gone),
            Call::Claim { .. } => Answer::Nothing,
        }
    }

    fn create(&mut self, owner: AccountId, id: TenantId) -> Answer {
        if let Some((has, _)) = self.0.iter().find(|(_, row)| row.owner == owner) {
            return Answer::Has(*has);
        }
        let shown = Shown {
            revision: 1,
            epoch: 0,
            power: power(Power::Running),
            placed: false,
        };
        self.0.insert(
            id,
            Row {
                owner,
                shown,
                fence: 0,
                open: None,
            },
        );
        Answer::Made
    }

    fn change(&mut self, id: TenantId, expected: Option<u64>, wish: Wish) -> Answer {
        let Some(row) = self.0.get_mut(&id) else {
            return Answer::NotFound;
        };
        let shown = &mut row.shown;
        if matches!(wish, Wish::Power(wanted) if power(wanted) == shown.power) {
            return Answer::Found(*shown);
        }
        if shown.power == DELETED {
            return Answer::Deleting;
        }
        if expected.is_some_and(|expected| expected != shown.revision) {
            return Answer::Stale(shown.revision);
        }
        match wish {
            Wish::Power(wanted) => shown.power = power(wanted),
            Wish::Restart => shown.epoch += 1,
        }
        shown.revision += 1;
        Answer::Found(*shown)
    }

    fn place(&mut self, id: TenantId, fence: u64) -> Answer {
        let taken = self
            .0
            .iter()
            .any(|(other, row)| *other != id && row.shown.placed);
        match self.held(id, fence) {
            None => Answer::Fenced,
            Some(row) if row.shown.placed => Answer::Done,
            Some(_) if taken => Answer::NoRoom,
            Some(row) => {
                row.shown.placed = true;
                Answer::Done
            }
        }
    }

    fn settle(&mut self, id: TenantId, fence: u64, keeps: bool, gone: bool) -> Answer {
        let Some(row) = self.held(id, fence) else {
            return Answer::Fenced;
        };
        if gone && row.shown.power != DELETED {
            return Answer::NotToGo;
        }
        row.open = None;
        row.shown.placed &= keeps;
        if gone {
            self.0.remove(&id);
        }
        Answer::Done
    }

    fn held(&mut self, id: TenantId, fence: u64) -> Option<&mut Row> {
        self.0
            .get_mut(&id)
            .filter(|row| row.open.is_some() && row.fence == fence)
    }
}
