//! Events, and the numbers of changes.

use std::collections::{BTreeMap, VecDeque};

use crate::clock::Timestamp;
use crate::event::{Event, NewEvent};
use crate::id::TenantId;
use crate::store::rules::EVENTS_KEPT;

/// What happened, in order.
#[derive(Debug, Default)]
pub(super) struct Log {
    last_event: u64,
    events: BTreeMap<u64, Event>,
    of_tenant: BTreeMap<TenantId, VecDeque<u64>>,
    last_change: u64,
    /// Each tenant once, under the number of its last change.
    changes: BTreeMap<u64, TenantId>,
    changed: BTreeMap<TenantId, u64>,
}

impl Log {
    pub(super) fn write(&mut self, tenant: TenantId, event: NewEvent, at: Timestamp) {
        self.last_event += 1;
        let seq = self.last_event;
        self.events.insert(
            seq,
            Event {
                seq,
                tenant,
                at,
                event,
            },
        );
        let of_tenant = self.of_tenant.entry(tenant).or_default();
        of_tenant.push_back(seq);
        let over = of_tenant.len().saturating_sub(EVENTS_KEPT as usize);
        for old in of_tenant.drain(..over) {
            self.events.remove(&old);
        }
    }

    pub(super) fn events(&self, tenant: Option<TenantId>, after: u64, limit: u32) -> Vec<Event> {
        let limit = limit as usize;
        match tenant {
            None => self
                .events
                .range(after.saturating_add(1)..)
                .take(limit)
                .map(|(_, event)| event.clone())
                .collect(),
            Some(tenant) => self
                .of_tenant
                .get(&tenant)
                .into_iter()
                .flatten()
                .filter(|seq| after < **seq)
                .filter_map(|seq| self.events.get(seq).cloned())
                .take(limit)
                .collect(),
        }
    }

    pub(super) fn changed(&mut self, tenant: TenantId) {
        self.last_change += 1;
        if let Some(before) = self.changed.insert(tenant, self.last_change) {
            self.changes.remove(&before);
        }
        self.changes.insert(self.last_change, tenant);
    }

    pub(super) const fn last_change(&self) -> u64 {
        self.last_change
    }

    pub(super) fn changes(&self, after: u64) -> impl Iterator<Item = (u64, TenantId)> {
        self.changes
            .range(after.saturating_add(1)..)
            .map(|(seq, tenant)| (*seq, *tenant))
    }

    /// Forgets a tenant that has long been gone.
    pub(super) fn forget(&mut self, tenant: TenantId) {
        for seq in self.of_tenant.remove(&tenant).into_iter().flatten() {
            self.events.remove(&seq);
        }
        if let Some(seq) = self.changed.remove(&tenant) {
            self.changes.remove(&seq);
        }
    }
}
