//! Keeps the table what the store says.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::clock::{Clock, Timestamp};
use openclaw_tenancy::error::chain;
use openclaw_tenancy::id::TenantId;
use openclaw_tenancy::store::{Changes, StoreError, TenantStore};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::table::Put;
use super::{RouteTable, Site, SiteRules};

/// Changes are asked for this often where no hint comes: those of another replica.
const POLL: Duration = Duration::from_millis(250);
/// The whole table is read anew this often: what a restored database took back shows then at the latest.
const RESYNC: Duration = Duration::from_secs(600);
/// One answer has at most so many tenants.
const PAGE: u32 = 1000;
/// A store that is slower than this is asked again.
const PATIENCE: Duration = Duration::from_secs(5);

/// The one writer of a [`RouteTable`].
#[derive(Debug)]
pub(in crate::edge) struct Follower {
    table: Arc<RouteTable>,
    store: Arc<dyn TenantStore>,
    clock: Arc<dyn Clock>,
    rules: Arc<SiteRules>,
    hint: Arc<Notify>,
    reached: watch::Sender<Option<u64>>,
    slugs: HashMap<TenantId, Box<str>>,
    after: u64,
    resynced_at: Option<Timestamp>,
}

impl Follower {
    pub(in crate::edge) fn new(
        table: Arc<RouteTable>,
        store: Arc<dyn TenantStore>,
        clock: Arc<dyn Clock>,
        rules: Arc<SiteRules>,
        hint: Arc<Notify>,
        reached: watch::Sender<Option<u64>>,
    ) -> Self {
        Self {
            table,
            store,
            clock,
            rules,
            hint,
            reached,
            slugs: HashMap::new(),
            after: 0,
            resynced_at: None,
        }
    }

    /// Follows the store; never ends by itself. A store that does not answer leaves the table as it is.
    pub(in crate::edge) async fn run(mut self) {
        loop {
            match self.step().await {
                Ok(()) => {
                    self.reached.send_replace(Some(self.after));
                }
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "routes cannot be brought up to date")
                }
            }
            tokio::select! {
                () = self.hint.notified() => {}
                () = self.clock.sleep(POLL) => {}
            }
        }
    }

    async fn step(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let latest = within_patience(self.store.change_seq()).await?;
        let fresh = self.resynced_at.is_some_and(|at| now.since(at) < RESYNC);
        // A number that has fallen is one of a database that was put back: what it knows is read anew.
        if fresh && latest >= self.after {
            return if latest == self.after {
                Ok(())
            } else {
                self.catch_up(&mut HashSet::new()).await
            };
        }
        self.after = 0;
        self.resynced_at = None;
        let mut seen = HashSet::new();
        self.catch_up(&mut seen).await?;
        self.remove_unseen(&seen);
        self.resynced_at = Some(now);
        Ok(())
    }

    /// Reads changes until there are no more, and remembers whose they were.
    async fn catch_up(&mut self, seen: &mut HashSet<TenantId>) -> Result<(), StoreError> {
        loop {
            let changes = within_patience(self.store.changed_since(self.after, PAGE)).await?;
            let more = changes.next > self.after;
            self.after = changes.next;
            seen.extend(changes.tenants.iter().map(|tenant| tenant.id));
            self.apply(changes);
            if !more {
                return Ok(());
            }
        }
    }

    fn apply(&mut self, changes: Changes) {
        let mut puts = Vec::new();
        for tenant in changes.tenants {
            let slug: Box<str> = tenant.slug.as_str().into();
            let before = self.table.get(&slug);
            let Some(site) = Site::of(&tenant, before.as_deref(), &self.rules) else {
                tracing::error!(tenant = %tenant.id, "the instance has a name that no header can carry");
                continue;
            };
            self.slugs.insert(tenant.id, slug.clone());
            puts.push((slug, Some(Arc::new(site))));
        }
        // Removed first: a slug that is free again may be another tenant's in the same answer.
        let mut all = self.removals(&changes.gone);
        all.extend(puts);
        if !all.is_empty() {
            self.table.apply(all);
        }
    }

    fn removals(&mut self, gone: &[TenantId]) -> Vec<Put> {
        gone.iter()
            .filter_map(|tenant| Some((tenant, self.slugs.remove(tenant)?)))
            .filter(|(tenant, slug)| {
                self.table
                    .get(slug)
                    .is_some_and(|site| site.route.tenant == **tenant)
            })
            .map(|(_, slug)| (slug, None))
            .collect()
    }

    fn remove_unseen(&mut self, seen: &HashSet<TenantId>) {
        let unseen: Vec<TenantId> = self
            .slugs
            .keys()
            .filter(|id| !seen.contains(id))
            .copied()
            .collect();
        let removals = self.removals(&unseen);
        self.table.apply(removals);
    }
}

async fn within_patience<T>(
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(PATIENCE, answer)
        .await
        .unwrap_or(Err(StoreError::Unavailable {
            what: "changes of tenants",
            source: None,
        }))
}
