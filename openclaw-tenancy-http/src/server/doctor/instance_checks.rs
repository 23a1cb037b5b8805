//! What the database says of the instances: which do not go on, and what ends that.

use std::collections::BTreeMap;

use openclaw_tenancy::error::chain;
use openclaw_tenancy::status::{Deadlines, Phase, status};
use openclaw_tenancy::store::{StoreError, TenantStore};
use openclaw_tenancy::tenant::Tenant;

use super::Check;
use crate::api::ended_by::{self, Reader};

const SUBJECT: &str = "instances";

/// So many instances are named; an outage can have thousands, all for one reason.
const NAMED: usize = 10;

/// Rows of one question.
const PAGE: u32 = 500;

pub(super) async fn examine(store: &dyn TenantStore, deadlines: &Deadlines) -> Vec<Check> {
    let mut found = Found::default();
    match found.count(store, deadlines).await {
        Ok(()) => found.checks(),
        Err(error) => {
            let fix = "see that the database runs";
            vec![Check::fail(SUBJECT, chain(&error), fix)]
        }
    }
}

#[derive(Default)]
struct Found {
    phases: BTreeMap<&'static str, usize>,
    troubled: usize,
    named: Vec<Check>,
}

impl Found {
    async fn count(
        &mut self,
        store: &dyn TenantStore,
        deadlines: &Deadlines,
    ) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = store.list(after, PAGE).await?;
            for tenant in &page.tenants {
                self.add(tenant, deadlines);
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn add(&mut self, tenant: &Tenant, deadlines: &Deadlines) {
        let status = status(tenant, deadlines);
        *self.phases.entry(status.phase.name()).or_default() += 1;
        let fix = match status.phase {
            Phase::Held { .. } => match ended_by::tenant(tenant, Reader::administrator()) {
                Some(call) => format!(
                    "put right what it names, then: {call} with the token of an administrator \
                     (`openclaw-tenancy token`)"
                ),
                None => "its owner puts it right and restarts it".to_owned(),
            },
            Phase::Failed { .. } | Phase::HostLost { .. } => {
                "put right what it names; it is tried again by itself, within 5 minutes".to_owned()
            }
            Phase::Queued
            | Phase::Provisioning
            | Phase::Starting
            | Phase::Running
            | Phase::Stopping
            | Phase::Suspended
            | Phase::Deleting => return,
        };
        self.troubled += 1;
        if self.named.len() < NAMED {
            let message = status.message.unwrap_or_default();
            self.named.push(Check::warn(
                format!("instance {}", tenant.slug),
                format!("{}: {message}", status.phase),
                fix,
            ));
        }
    }

    fn checks(self) -> Vec<Check> {
        let phases: Vec<_> = self
            .phases
            .iter()
            .map(|(phase, count)| format!("{count} {phase}"))
            .collect();
        let all = if phases.is_empty() {
            "none yet".to_owned()
        } else {
            phases.join(", ")
        };
        let summary = match self.troubled - self.named.len() {
            0 => Check::ok(SUBJECT, all),
            more => Check::warn(
                SUBJECT,
                format!("{all}; {more} more do not go on than are named here"),
                "GET /api/tenants names them all",
            ),
        };
        std::iter::once(summary).chain(self.named).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use openclaw_tenancy::clock::{Clock as _, ManualClock, SeededEntropy, Timestamp};
    use openclaw_tenancy::container::Image;
    use openclaw_tenancy::id::{AccountId, Slug, TenantId, WorkerId};
    use openclaw_tenancy::memory::MemoryStore;
    use openclaw_tenancy::plan::PlanCatalog;
    use openclaw_tenancy::store::{ClaimRequest, Settlement};
    use openclaw_tenancy::tenant::{
        Desired, Failure, FailureReason, Hold, HoldReason, NewTenant, Observed, Power, Settings,
    };

    use super::super::Outcome;
    use super::*;

    async fn made(store: &MemoryStore, clock: &ManualClock, number: u64) {
        let entropy = SeededEntropy::new(number);
        let plans = PlanCatalog::default();
        let plan = plans.iter().next().unwrap();
        let slug = Slug::try_from(format!("slug{number:06}")).unwrap();
        let new = NewTenant {
            id: TenantId::generate(clock, &entropy),
            slug,
            owner: AccountId::generate(clock, &entropy),
            settings: Settings::default(),
            desired: Desired {
                power: Power::Running,
                plan: plan.name.clone(),
                limits: plan.limits,
                image: Image {
                    reference: "image".to_owned(),
                    digest: None,
                },
                restart_epoch: 0,
            },
            created_at: clock.now(),
            seats: None,
            idempotency: None,
        };
        store.create(new).await.unwrap();
    }

    async fn settle(
        store: &MemoryStore,
        clock: &ManualClock,
        change: impl Fn(usize, &mut Observed),
    ) {
        let request = ClaimRequest {
            worker: WorkerId::new("w1").unwrap(),
            limit: 100,
            lease: Duration::from_secs(30),
        };
        let claims = store.claim_tenants(request).await.unwrap();
        for (number, claim) in claims.into_iter().enumerate() {
            let mut observed = claim.item.observed;
            change(number, &mut observed);
            let settlement = Settlement {
                observed,
                pin: None,
                next_due: Duration::from_secs(60),
                events: Vec::new(),
                gone: false,
            };
            let settled = store.settle(claim.item.id, claim.fence, settlement, clock.now());
            settled.await.unwrap();
        }
    }

    #[tokio::test]
    async fn those_that_do_not_go_on_are_named_with_what_ends_it() {
        let clock = ManualClock::new(Timestamp::from_seconds(1_800_000_000));
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let deadlines = Deadlines::default();
        let none = examine(&store, &deadlines).await;
        assert_eq!(none, [Check::ok(SUBJECT, "none yet")]);

        for number in 0..NAMED as u64 + 5 {
            made(&store, &clock, number).await;
        }
        let all = examine(&store, &deadlines).await;
        assert_eq!(all, [Check::ok(SUBJECT, "15 queued")]);

        settle(&store, &clock, |number, observed| match number {
            0 => {
                observed.hold = Some(Hold {
                    reason: HoldReason::Conflict,
                    message: "something else has its name".to_owned(),
                    since: clock.now(),
                });
            }
            1 => {}
            _ => {
                observed.failure = Some(Failure {
                    reason: FailureReason::Image,
                    message: "no such image".to_owned(),
                    attempts: 1,
                    since: clock.now(),
                    retry_at: clock.now(),
                });
            }
        })
        .await;
        let checks = examine(&store, &deadlines).await;
        assert_eq!(checks.len(), 1 + NAMED);
        assert!(checks.iter().all(|check| check.outcome == Outcome::Warn));
        assert_eq!(
            checks[0].found,
            "13 failed, 1 held, 1 queued; 4 more do not go on than are named here"
        );
        assert_eq!(checks[1].found, "held: something else has its name");
        let fix = checks[1].fix.as_deref().unwrap();
        assert!(fix.contains("/release"), "{fix}");
        assert_eq!(checks[2].found, "failed: no such image");
    }
}
