//! Keeps the table what the store says.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::clock::{Clock, Timestamp};
use openclaw_tenancy::error::chain;
use openclaw_tenancy::id::TenantId;
use openclaw_tenancy::store::{StoreError, TenantStore};
use openclaw_tenancy::tenant::Tenant;
use tokio::sync::watch;
use tokio::time::timeout;

use super::table::Put;
use super::{Looks, RouteTable, Site, SiteRules};

/// Changes are asked for this often where no hint comes: those of another replica.
const POLL: Duration = Duration::from_millis(250);
/// Between two looks at the store, however many are asked for.
const PAUSE: Duration = Duration::from_millis(20);
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
    looks: Arc<Looks>,
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
        looks: Arc<Looks>,
        reached: watch::Sender<Option<u64>>,
    ) -> Self {
        Self {
            table,
            store,
            clock,
            rules,
            looks,
            reached,
            slugs: HashMap::new(),
            after: 0,
            resynced_at: None,
        }
    }

    /// Follows the store; never ends by itself. A store that does not answer leaves the table as it is.
    pub(in crate::edge) async fn run(mut self) {
        loop {
            let look = self.looks.begin();
            match self.step().await {
                Ok(()) => {
                    self.reached.send_replace(Some(self.after));
                }
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "routes cannot be brought up to date");
                }
            }
            self.looks.end(look);
            self.clock.sleep(PAUSE).await;
            tokio::select! {
                () = self.looks.asked() => {}
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
        // Applied at once: each application copies the shards that it touches.
        let mut puts = Vec::new();
        let read = self.read(seen, &mut puts).await;
        self.table.apply(puts);
        read
    }

    async fn read(
        &mut self,
        seen: &mut HashSet<TenantId>,
        puts: &mut Vec<Put>,
    ) -> Result<(), StoreError> {
        loop {
            let changes = within_patience(self.store.changed_since(self.after, PAGE)).await?;
            let more = changes.next > self.after;
            self.after = changes.next;
            seen.extend(changes.tenants.iter().map(|tenant| tenant.id));
            // Removed first: a slug that is free again may be another tenant's in the same answer.
            puts.extend(self.removals(&changes.gone));
            puts.extend(
                changes
                    .tenants
                    .iter()
                    .filter_map(|tenant| self.site(tenant)),
            );
            if !more {
                return Ok(());
            }
        }
    }

    fn site(&mut self, tenant: &Tenant) -> Option<Put> {
        let slug: Box<str> = tenant.slug.as_str().into();
        let before = self.table.get(&slug);
        let Some(site) = Site::of(tenant, before.as_deref(), &self.rules) else {
            tracing::error!(tenant = %tenant.id, "the instance has a name that no header can carry");
            return None;
        };
        self.slugs.insert(tenant.id, slug.clone());
        Some(Put::Site(slug, Arc::new(site)))
    }

    fn removals(&mut self, gone: &[TenantId]) -> Vec<Put> {
        gone.iter()
            .filter_map(|tenant| Some(Put::Gone(self.slugs.remove(tenant)?, *tenant)))
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
