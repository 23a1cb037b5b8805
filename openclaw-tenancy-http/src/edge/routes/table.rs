//! The snapshot that requests look into: no lock, no waiting, and a change costs what it touches.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Site;

/// A change copies one shard of the table, so that a million sites cost a change no more than four thousand.
const SHARDS: usize = 256;

type Shard = HashMap<Box<str>, Arc<Site>>;

/// What is to be at a slug: a site, or nothing.
pub(super) type Put = (Box<str>, Option<Arc<Site>>);

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
    pub(super) fn apply(&self, changes: Vec<Put>) {
        let mut by_shard: HashMap<usize, Vec<Put>> = HashMap::new();
        for change in changes {
            by_shard
                .entry(self.shard_of(&change.0))
                .or_default()
                .push(change);
        }
        for (shard, changes) in by_shard {
            let mut next = Shard::clone(&self.shards[shard].load());
            for (slug, site) in changes {
                let before = match &site {
                    Some(site) => next.insert(slug, Arc::clone(site)),
                    None => next.remove(&slug),
                };
                retire_replaced(before.as_deref(), site.as_deref());
            }
            self.shards[shard].store(Arc::new(next));
        }
    }
}

/// Ends what goes through a backend that is not the site's any more.
fn retire_replaced(before: Option<&Site>, after: Option<&Site>) {
    let Some(old) = before.and_then(|site| site.backend.as_ref()) else {
        return;
    };
    let kept = after
        .and_then(|site| site.backend.as_ref())
        .is_some_and(|new| Arc::ptr_eq(old, new));
    if !kept {
        old.retire();
    }
}
