//! Making tenants, and changing what is wanted of them.

use super::{Row, State, UsedKey};
use crate::clock::Timestamp;
use crate::event::NewEvent;
use crate::id::{Fence, Revision, TenantId};
use crate::store::{Change, Created, StoreError, rules};
use crate::tenant::{NewTenant, Tenant};

/// No row of this id.
pub(super) const NO_TENANT: StoreError = StoreError::NotFound { what: "tenant" };

impl State {
    pub(in super::super) fn create(
        &mut self,
        new: NewTenant,
        clock: Timestamp,
    ) -> Result<Created, StoreError> {
        let now = new.created_at;
        self.forget_expired(now);
        if let Some(replayed) = self.replay(&new)? {
            return Ok(Created::Replayed(replayed));
        }
        if let Some(existing) = self.owners.get(&new.owner) {
            return Err(StoreError::AlreadyHasTenant {
                existing: *existing,
            });
        }
        let kept = self.kept_back.get(&new.slug).is_some_and(|at| now < *at);
        if kept || self.slugs.contains_key(&new.slug) {
            return Err(StoreError::SlugTaken { slug: new.slug });
        }
        if self.tenants.contains_key(&new.id) || self.remains.contains_key(&new.id) {
            return Err(StoreError::Conflict { what: "tenant" });
        }
        let taken = self.seats.entry(new.desired.plan.clone()).or_default();
        if let Some(seats) = new.seats.filter(|seats| *seats <= *taken) {
            return Err(StoreError::NoSeat { seats });
        }
        *taken += 1;

        if let Some(used) = &new.idempotency {
            let until = now.plus(rules::IDEMPOTENCY_KEPT);
            let of_owner = (new.owner, used.key.clone());
            self.keys_end
                .push_back((until, new.owner, used.key.clone()));
            let used = UsedKey {
                request: used.request.clone(),
                tenant: new.id,
                until,
            };
            self.keys.insert(of_owner, used);
        }
        let tenant = rules::made(new);
        let id = tenant.id;
        self.owners.insert(tenant.owner, id);
        self.slugs.insert(tenant.slug.clone(), id);
        let row = Row {
            tenant: tenant.clone(),
            due: clock,
            fence: Fence::default(),
            claim: None,
            again: false,
        };
        self.tenants.insert(id, row);
        self.due.insert((clock, id));
        self.changed(id, [rules::requested(&tenant)], now);
        Ok(Created::New(tenant))
    }

    /// What an earlier call with the same key came to: one effect, even when it has ended meanwhile.
    fn replay(&self, new: &NewTenant) -> Result<Option<Tenant>, StoreError> {
        let Some(asked) = &new.idempotency else {
            return Ok(None);
        };
        let used = self.keys.get(&(new.owner, asked.key.clone()));
        let Some(used) = used.filter(|used| new.created_at < used.until) else {
            return Ok(None);
        };
        if used.request != asked.request {
            return Err(StoreError::IdempotencyMismatch);
        }
        let live = self.get(used.tenant);
        Ok(live.or_else(|| self.remains.get(&used.tenant)).cloned())
    }

    fn forget_expired(&mut self, now: Timestamp) {
        while let Some((_, owner, key)) = self.keys_end.pop_front_if(|(until, ..)| *until <= now) {
            let of_owner = (owner, key);
            // The key may have been used again since.
            if self
                .keys
                .get(&of_owner)
                .is_some_and(|used| used.until <= now)
            {
                self.keys.remove(&of_owner);
            }
        }
        while let Some((_, id)) = self.kept_end.pop_front_if(|(until, _)| *until <= now) {
            if let Some(tenant) = self.remains.remove(&id) {
                self.kept_back.remove(&tenant.slug);
            }
            self.log.forget(id);
        }
    }

    pub(in super::super) fn change(
        &mut self,
        id: TenantId,
        expected: Option<Revision>,
        change: Change,
        now: Timestamp,
        clock: Timestamp,
    ) -> Result<Tenant, StoreError> {
        let row = self.tenants.get_mut(&id).ok_or(NO_TENANT)?;
        let event = rules::change(&mut row.tenant, expected, change, now)?;
        let tenant = row.tenant.clone();
        if let Some(event) = event {
            self.due_at_once(id, clock);
            self.changed(id, [event], now);
        }
        Ok(tenant)
    }

    pub(in super::super) fn release(
        &mut self,
        id: TenantId,
        now: Timestamp,
        clock: Timestamp,
    ) -> Result<Tenant, StoreError> {
        let row = self.tenants.get_mut(&id).ok_or(NO_TENANT)?;
        let Some((hold, event)) = rules::release(&mut row.tenant.observed) else {
            return Ok(row.tenant.clone());
        };
        if let Some(claim) = &mut row.claim {
            // What the holder is doing may still be lost.
            row.tenant.observed.mark_unknown();
            claim.at_claim.released = Some(hold);
        }
        let tenant = row.tenant.clone();
        self.due_at_once(id, clock);
        self.changed(id, [event], now);
        Ok(tenant)
    }

    /// Makes a tenant due now, and again after the settle if somebody works on it.
    pub(super) fn due_at_once(&mut self, id: TenantId, clock: Timestamp) {
        if let Some(row) = self.tenants.get_mut(&id) {
            row.again = true;
            let due = row.due.min(clock);
            self.due.remove(&(row.due, id));
            row.due = due;
            self.due.insert((due, id));
        }
    }

    /// Gives a change its number, writes its events, and keeps the queue true.
    pub(super) fn changed(
        &mut self,
        id: TenantId,
        events: impl IntoIterator<Item = NewEvent>,
        now: Timestamp,
    ) {
        for event in events {
            self.log.write(id, event, now);
        }
        self.log.changed(id);
        if let Some(row) = self.tenants.get(&id) {
            let place = (row.tenant.created_at, id);
            if rules::waits(&row.tenant) {
                self.waiting.insert(place);
            } else {
                self.waiting.remove(&place);
            }
        }
    }
}
