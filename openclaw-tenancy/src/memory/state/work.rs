//! Claims on tenants, and what their holders write.

use std::mem;

use super::{Open, Row, State};
use crate::clock::Timestamp;
use crate::id::{Fence, TenantId, WorkerId};
use crate::store::rules::{self, Meanwhile};
use crate::store::{Claim, ClaimRequest, PlaceRequest, Settlement, StoreError};
use crate::tenant::{Location, Tenant};

impl State {
    pub(in super::super) fn claim_tenants(
        &mut self,
        request: &ClaimRequest,
        clock: Timestamp,
    ) -> Vec<Claim<Tenant>> {
        self.mend_due(clock);
        let mut claims = Vec::new();
        for (due, id) in &self.due {
            if clock < *due || claims.len() >= request.limit as usize {
                break;
            }
            let Some(row) = self.tenants.get_mut(id) else {
                continue;
            };
            if Open::is_held(row.claim.as_ref(), clock) {
                continue;
            }
            row.fence = row.fence.next();
            row.again = false;
            row.claim = Some(Open {
                worker: request.worker.clone(),
                until: clock.plus(request.lease),
                at_claim: Meanwhile {
                    claimed: row.tenant.revision,
                    released: None,
                },
            });
            claims.push(Claim {
                item: row.tenant.clone(),
                worker: request.worker.clone(),
                fence: row.fence,
            });
            row.tenant.observed.mark_unknown();
        }
        claims
    }

    /// What is due later than anything can be was settled before the clock was set back.
    fn mend_due(&mut self, clock: Timestamp) {
        let farthest = clock.plus(rules::FARTHEST);
        while let Some((due, id)) = self.due.last().copied().filter(|(due, _)| *due > farthest) {
            self.due.remove(&(due, id));
            self.due.insert((clock, id));
            if let Some(row) = self.tenants.get_mut(&id) {
                row.due = clock;
            }
        }
    }

    pub(in super::super) fn renew(
        &mut self,
        id: TenantId,
        fence: Fence,
        worker: &WorkerId,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let claim = self.held(id, fence)?.claim.as_mut();
        let claim = claim
            .filter(|claim| claim.worker == *worker)
            .ok_or(StoreError::Fenced)?;
        claim.until = until;
        Ok(())
    }

    pub(in super::super) fn place(
        &mut self,
        id: TenantId,
        fence: Fence,
        request: &PlaceRequest,
    ) -> Result<Location, StoreError> {
        let row = self.held(id, fence)?;
        let observed = &row.tenant.observed;
        if let Some(there) = observed.locations.iter().find(|l| l.host == request.host) {
            return Ok(there.clone());
        }
        let tenant = row.tenant.clone();
        let host = self
            .hosts
            .get(&request.host)
            .ok_or(StoreError::NotFound { what: "host" })?;
        let location = rules::place(&tenant, request, &host.host, &host.subnets)?;
        self.reserve(id, [], [&location]);
        rules::placed(&mut self.held(id, fence)?.tenant.observed, location.clone());
        self.changed(id, [], tenant.created_at);
        Ok(location)
    }

    pub(in super::super) fn settle(
        &mut self,
        id: TenantId,
        fence: Fence,
        settlement: Settlement,
        now: Timestamp,
        clock: Timestamp,
    ) -> Result<(), StoreError> {
        let row = self.held(id, fence)?;
        if settlement.gone {
            rules::may_go(&row.tenant)?;
            self.remove(id, now);
        } else {
            let meanwhile = row.claim.take().ok_or(StoreError::Fenced)?.at_claim;
            let before = row.tenant.observed.locations.clone();
            rules::settle(&mut row.tenant, &meanwhile, &settlement, now);
            let after = row.tenant.observed.locations.clone();
            let due = if mem::take(&mut row.again) {
                clock
            } else {
                clock.plus(rules::due_after(settlement.next_due))
            };
            let was_due = mem::replace(&mut row.due, due);
            self.due.remove(&(was_due, id));
            self.due.insert((due, id));
            self.reserve(id, &before, &after);
        }
        self.changed(id, settlement.events, now);
        Ok(())
    }

    /// The row of a claim that has not passed on and was not settled.
    fn held(&mut self, id: TenantId, fence: Fence) -> Result<&mut Row, StoreError> {
        self.tenants
            .get_mut(&id)
            .filter(|row| row.claim.is_some() && row.fence == fence)
            .ok_or(StoreError::Fenced)
    }

    /// Replaces what is reserved for a tenant.
    fn reserve<'a>(
        &mut self,
        id: TenantId,
        before: impl IntoIterator<Item = &'a Location>,
        after: impl IntoIterator<Item = &'a Location>,
    ) {
        for location in before {
            if let Some(row) = self.hosts.get_mut(&location.host) {
                row.host.reserved = rules::without(row.host.reserved, &location.granted);
                row.subnets.remove(&location.subnet);
                row.tenants.remove(&id);
            }
        }
        for location in after {
            if let Some(row) = self.hosts.get_mut(&location.host) {
                row.host.reserved = row.host.reserved.with(&location.granted);
                row.subnets.insert(location.subnet);
                row.tenants.insert(id);
            }
        }
    }

    fn remove(&mut self, id: TenantId, now: Timestamp) {
        let Some(row) = self.tenants.remove(&id) else {
            return;
        };
        let tenant = row.tenant;
        self.reserve(id, &tenant.observed.locations, []);
        self.due.remove(&(row.due, id));
        self.waiting.remove(&(tenant.created_at, id));
        self.owners.remove(&tenant.owner);
        self.slugs.remove(&tenant.slug);
        if let Some(taken) = self.seats.get_mut(&tenant.desired.plan) {
            *taken = taken.saturating_sub(1);
        }
        let until = now.plus(rules::SLUG_KEPT_BACK);
        self.kept_back.insert(tenant.slug.clone(), until);
        self.kept_end.push_back((until, id));
        self.remains.insert(id, rules::remains(tenant));
    }
}
