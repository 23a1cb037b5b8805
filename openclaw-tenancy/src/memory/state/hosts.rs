//! Hosts, and claims on them.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use super::{HostRow, Open, State};
use crate::clock::Timestamp;
use crate::host::{Host, HostState, Reserved};
use crate::id::{Fence, HostId};
use crate::store::{Claim, ClaimRequest, Cordon, HostSettlement, StoreError, rules};

impl State {
    pub(in super::super) fn put_host(
        &mut self,
        id: HostId,
        labels: BTreeMap<String, String>,
        clock: Timestamp,
    ) {
        if !self.hosts.contains_key(&id) {
            self.hosts_due.insert((clock, id.clone()));
        }
        let fence = self.gone_hosts.remove(&id).unwrap_or_default();
        let row = self.hosts.entry(id.clone()).or_insert_with(|| HostRow {
            host: Host {
                id,
                labels: BTreeMap::new(),
                cordoned: false,
                state: HostState::New,
                facts: None,
                marker: None,
                reserved: Reserved::default(),
            },
            tenants: BTreeSet::new(),
            subnets: BTreeSet::new(),
            due: clock,
            fence,
            claim: None,
        });
        row.host.labels = labels;
    }

    pub(in super::super) fn cordon(
        &mut self,
        id: &HostId,
        cordon: Cordon,
    ) -> Result<(), StoreError> {
        let row = self
            .hosts
            .get_mut(id)
            .ok_or(StoreError::NotFound { what: "host" })?;
        row.host.cordoned = cordon == Cordon::Closed;
        Ok(())
    }

    pub(in super::super) fn release_host(
        &mut self,
        id: &HostId,
        clock: Timestamp,
    ) -> Result<(), StoreError> {
        let row = self
            .hosts
            .get_mut(id)
            .ok_or(StoreError::NotFound { what: "host" })?;
        if rules::release_host(&mut row.host) {
            row.claim = None;
            let was_due = mem::replace(&mut row.due, clock);
            self.hosts_due.remove(&(was_due, id.clone()));
            self.hosts_due.insert((clock, id.clone()));
        }
        Ok(())
    }

    pub(in super::super) fn remove_host(&mut self, id: &HostId) -> Result<(), StoreError> {
        let row = self
            .hosts
            .get(id)
            .ok_or(StoreError::NotFound { what: "host" })?;
        rules::may_forget(&row.host)?;
        self.hosts_due.remove(&(row.due, id.clone()));
        self.gone_hosts.insert(id.clone(), row.fence);
        self.hosts.remove(id);
        Ok(())
    }

    /// What is due later than anything can be was settled before the clock was set back.
    fn mend_hosts_due(&mut self, clock: Timestamp) {
        let farthest = clock.plus(rules::FARTHEST);
        while self
            .hosts_due
            .last()
            .is_some_and(|(due, _)| *due > farthest)
        {
            let Some((_, id)) = self.hosts_due.pop_last() else {
                break;
            };
            if let Some(row) = self.hosts.get_mut(&id) {
                row.due = clock;
            }
            self.hosts_due.insert((clock, id));
        }
    }

    pub(in super::super) fn claim_hosts(
        &mut self,
        request: &ClaimRequest,
        clock: Timestamp,
    ) -> Vec<Claim<Host>> {
        self.mend_hosts_due(clock);
        let mut claims = Vec::new();
        for (due, id) in &self.hosts_due {
            if clock < *due || claims.len() >= request.limit as usize {
                break;
            }
            let Some(row) = self.hosts.get_mut(id) else {
                continue;
            };
            if Open::is_held(row.claim.as_ref(), clock) {
                continue;
            }
            row.fence = row.fence.next();
            row.claim = Some(Open {
                worker: request.worker.clone(),
                until: clock.plus(request.lease),
                at_claim: (),
            });
            claims.push(Claim {
                item: row.host.clone(),
                worker: request.worker.clone(),
                fence: row.fence,
            });
        }
        claims
    }

    pub(in super::super) fn settle_host(
        &mut self,
        id: &HostId,
        fence: Fence,
        settlement: HostSettlement,
        clock: Timestamp,
    ) -> Result<(), StoreError> {
        let row = self
            .hosts
            .get_mut(id)
            .filter(|row| row.claim.is_some() && row.fence == fence)
            .ok_or(StoreError::Fenced)?;
        row.claim = None;
        let was_due = mem::replace(
            &mut row.due,
            clock.plus(rules::due_after(settlement.next_due)),
        );
        self.hosts_due.remove(&(was_due, id.clone()));
        self.hosts_due.insert((row.due, id.clone()));
        row.host.state = settlement.state;
        row.host.facts = settlement.facts.or(row.host.facts.take());
        row.host.marker = settlement.marker.or(row.host.marker.take());
        for tenant in settlement.stirred {
            self.due_at_once(tenant, clock);
        }
        Ok(())
    }
}
