//! Reads.

use std::ops::Bound;

use super::State;
use crate::event::Event;
use crate::host::Host;
use crate::id::{AccountId, HostId, TenantId};
use crate::store::{Changes, TenantPage, rules};
use crate::tenant::Tenant;

impl State {
    pub(in super::super) fn get(&self, id: TenantId) -> Option<&Tenant> {
        self.tenants.get(&id).map(|row| &row.tenant)
    }

    pub(in super::super) fn find_by_owner(&self, owner: AccountId) -> Option<&Tenant> {
        self.owners.get(&owner).and_then(|id| self.get(*id))
    }

    pub(in super::super) fn list(&self, after: Option<TenantId>, limit: u32) -> TenantPage {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self
            .tenants
            .range((start, Bound::Unbounded))
            .map(|(_, row)| &row.tenant);
        let tenants: Vec<Tenant> = rest.by_ref().take(limit as usize).cloned().collect();
        let next = rest.next().and(tenants.last()).map(|last| last.id);
        TenantPage { tenants, next }
    }

    pub(in super::super) fn queue_position(&self, id: TenantId) -> Option<u64> {
        let tenant = self.get(id).filter(|tenant| rules::waits(tenant))?;
        let before = self.waiting.range(..(tenant.created_at, id)).count();
        u64::try_from(before).ok()
    }

    /// Every tenant and every host, where they stand.
    pub(in super::super) fn rows(&self) -> (Vec<&Tenant>, Vec<&Host>) {
        let tenants = self.tenants.values().map(|row| &row.tenant);
        let hosts = self.hosts.values().map(|row| &row.host);
        (tenants.collect(), hosts.collect())
    }

    pub(in super::super) fn hosts(&self) -> Vec<Host> {
        self.hosts.values().map(|row| row.host.clone()).collect()
    }

    pub(in super::super) fn tenants_on(&self, host: &HostId) -> Vec<Tenant> {
        self.hosts
            .get(host)
            .into_iter()
            .flat_map(|row| &row.tenants)
            .filter_map(|id| self.get(*id).cloned())
            .collect()
    }

    pub(in super::super) fn events(
        &self,
        tenant: Option<TenantId>,
        after: u64,
        limit: u32,
    ) -> Vec<Event> {
        self.log.events(tenant, after, limit)
    }

    pub(in super::super) const fn change_seq(&self) -> u64 {
        self.log.last_change()
    }

    pub(in super::super) fn changed_since(&self, after: u64, limit: u32) -> Changes {
        let mut changes = Changes {
            next: after,
            ..Changes::default()
        };
        for (seq, id) in self.log.changes(after).take(limit as usize) {
            changes.next = seq;
            match self.get(id) {
                Some(tenant) => changes.tenants.push(tenant.clone()),
                None => changes.gone.push(id),
            }
        }
        changes
    }
}
