//! The snapshot that requests look into: no lock, no waiting, and a change costs what it touches.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use arc_swap::ArcSwap;
use openclaw_tenancy::id::TenantId;

use super::Site;

/// A change copies one shard of the table, so that a million sites cost a change no more than four thousand.
const SHARDS: usize = 256;

type Shard = HashMap<Box<str>, Arc<Site>>;

/// A change of the table.
#[derive(Debug)]
pub(super) enum Put {
    /// This is at the slug now.
    Site(Box<str>, Arc<Site>),
    /// This tenant is not at the slug any more; another one may be.
    Gone(Box<str>, TenantId),
}

impl Put {
    fn slug(&self) -> &str {
        match self {
            Self::Site(slug, _) | Self::Gone(slug, _) => slug,
        }
    }
}

/// Sites by slug.
#[derive(Debug)]
pub(in crate::edge) struct RouteTable {
    shards: Box<[ArcSwap<Shard>]>,
    hasher: RandomState,
}

impl RouteTable {
    pub(in crate::edge) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| ArcSwap::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    fn shard_of(&self, slug: &str) -> usize {
        usize::try_from(self.hasher.hash_one(slug) % SHARDS as u64).unwrap_or_default()
    }

    /// The site of this slug.
    pub(in crate::edge) fn get(&self, slug: &str) -> Option<Arc<Site>> {
        self.shards[self.shard_of(slug)].load().get(slug).cloned()
    }

    /// Puts or removes sites. One writer at a time: the table has one follower.
    pub(super) fn apply(&self, puts: Vec<Put>) {
        let mut by_shard: HashMap<usize, Vec<Put>> = HashMap::new();
        for put in puts {
            let shard = self.shard_of(put.slug());
            by_shard.entry(shard).or_default().push(put);
        }
        for (shard, puts) in by_shard {
            let mut next = Shard::clone(&self.shards[shard].load());
            let mut replaced = Vec::new();
            for put in puts {
                replaced.extend(match put {
                    Put::Site(slug, site) => {
                        let before = next.insert(slug, Arc::clone(&site));
                        before.map(|before| (before, Some(site)))
                    }
                    Put::Gone(slug, tenant) => {
                        let theirs = next
                            .get(&slug)
                            .is_some_and(|site| site.route.tenant == tenant);
                        theirs
                            .then(|| next.remove(&slug))
                            .flatten()
                            .map(|before| (before, None))
                    }
                });
            }
            self.shards[shard].store(Arc::new(next));
            // After the store: no request may find what is being retired.
            for (before, after) in replaced {
                retire_replaced(&before, after.as_deref());
            }
        }
    }
}

/// Ends what goes through a backend that is not the site's any more.
fn retire_replaced(before: &Site, after: Option<&Site>) {
    let Some(old) = &before.backend else { return };
    let kept = after
        .and_then(|site| site.backend.as_ref())
        .is_some_and(|new| Arc::ptr_eq(old, new));
    if !kept {
        old.retire();
    }
}
