//! The search for an order.

use std::collections::BTreeSet;

use super::model::{Answer, Operation, State};

/// Whether some order of the operations explains every answer.
pub(super) fn is_linearizable(operations: &[Operation]) -> bool {
    assert!(operations.len() <= 128, "the search keeps a bit for each");
    Search {
        operations,
        seen: BTreeSet::new(),
    }
    .from(0, &State::default())
}

struct Search<'a> {
    operations: &'a [Operation],
    /// Sets of operations done, with the state they left, that lead nowhere.
    seen: BTreeSet<(u128, State)>,
}

impl Search<'_> {
    fn from(&mut self, done: u128, state: &State) -> bool {
        let operations = self.operations;
        let left = || {
            let open = operations.iter().enumerate();
            open.filter(move |(n, _)| done & (1 << n) == 0)
        };
        // Whatever ended first of what is left bounds what may come next. What was lost never ended.
        let first_end = left()
            .filter(|(_, operation)| operation.answer != Answer::Lost)
            .map(|(_, operation)| operation.ended)
            .min();
        let Some(first_end) = first_end else {
            return true;
        };
        if !self.seen.insert((done, state.clone())) {
            return false;
        }
        let next: Vec<_> = left()
            .filter(|(_, operation)| operation.began < first_end)
            .collect();
        next.into_iter().any(|(n, operation)| {
            let states = state.after(&operation.call, &operation.answer);
            states.iter().any(|next| self.from(done | (1 << n), next))
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::conformance::history::model::{Call, Shown, Wish};
    use crate::id::{AccountId, TenantId};
    use crate::tenant::Power;

    fn id(n: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(n))
    }

    fn create(n: u128) -> Call {
        Call::Create {
            owner: AccountId::from_uuid(Uuid::from_u128(1)),
            id: id(n),
        }
    }

    fn history<const N: usize>(operations: [(Call, Answer, u64, u64); N]) -> Vec<Operation> {
        operations
            .into_iter()
            .map(|(call, answer, began, ended)| Operation {
                caller: 0,
                call,
                answer,
                began,
                ended,
            })
            .collect()
    }

    const NEW: Shown = Shown {
        revision: 1,
        epoch: 0,
        power: 0,
        placed: false,
    };

    #[test]
    fn calls_at_once_may_take_effect_in_either_order() {
        let overlapping = history([
            (create(1), Answer::Has(id(2)), 0, 3),
            (create(2), Answer::Made, 1, 2),
        ]);
        assert!(is_linearizable(&overlapping));
        let in_turn = history([
            (create(1), Answer::Has(id(2)), 0, 1),
            (create(2), Answer::Made, 2, 3),
        ]);
        assert!(
            !is_linearizable(&in_turn),
            "the first answer knows the future"
        );
    }

    #[test]
    fn a_lost_call_may_have_happened_or_not() {
        let get = Call::Get { id: id(1) };
        for (answer, possible) in [(Answer::Found(NEW), true), (Answer::Nothing, true)] {
            let lost = history([(create(1), Answer::Lost, 0, 1), (get, answer, 2, 3)]);
            assert_eq!(is_linearizable(&lost), possible);
        }
        let vanished = history([
            (create(1), Answer::Lost, 0, 1),
            (get, Answer::Found(NEW), 2, 3),
            (get, Answer::Nothing, 4, 5),
        ]);
        assert!(!is_linearizable(&vanished), "what was seen stays");
    }

    #[test]
    fn an_older_claim_writes_nothing() {
        let claimed = |fence| Answer::Claimed {
            id: id(1),
            fence,
            shown: NEW,
        };
        let settle = |fence| Call::Settle {
            id: id(1),
            fence,
            keeps: false,
            gone: false,
        };
        let claim = Call::Claim { lasts: false };
        let settled = |first| {
            history([
                (create(1), Answer::Made, 0, 1),
                (claim, claimed(1), 2, 3),
                (claim, claimed(2), 4, 5),
                (settle(1), first, 6, 7),
                (settle(2), Answer::Done, 8, 9),
            ])
        };
        assert!(is_linearizable(&settled(Answer::Fenced)));
        assert!(!is_linearizable(&settled(Answer::Done)));
    }

    #[test]
    fn a_lost_update_is_found() {
        let restart = Call::Change {
            id: id(1),
            expected: None,
            wish: Wish::Restart,
        };
        let answer = Answer::Found(Shown {
            revision: 2,
            epoch: 1,
            ..NEW
        });
        let both_second = history([
            (create(1), Answer::Made, 0, 1),
            (restart, answer, 2, 4),
            (restart, answer, 3, 5),
        ]);
        assert!(!is_linearizable(&both_second));
        let suspend = Call::Change {
            id: id(1),
            expected: None,
            wish: Wish::Power(Power::Suspended),
        };
        let stale = history([
            (create(1), Answer::Made, 0, 1),
            (suspend, Answer::Stale(2), 2, 3),
        ]);
        assert!(!is_linearizable(&stale), "no change asked for a revision");
    }
}
