//! Running: many passes at once, bounded, never one tenant twice, until told to stop.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};

use crate::clock::Timestamp;
use crate::host::Host;
use crate::store::{Claim, ClaimRequest, StoreError};
use crate::tenant::Tenant;

use super::execute::{self, PassError};
use super::{Context, Signals, host};

/// How many hosts are looked at at once. Tenants have places of their own: hosts that are silent, each for as long as a
/// call may take, keep no tenant waiting.
const HOSTS_AT_ONCE: usize = 64;

/// Claims due work and passes over it, until `shutdown` resolves; then lets every pass settle.
///
/// `signals` hint that something is due. The store excludes two passes over one tenant, here and on every other
/// replica.
pub(crate) async fn run(
    context: Arc<Context>,
    signals: Arc<Signals>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let stopping = Arc::new(AtomicBool::new(false));
    let mut passes: FuturesUnordered<BoxFuture<'static, Option<Timestamp>>> =
        FuturesUnordered::new();
    let mut looks: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
    // What this worker settled last is often due before the next poll: nobody else would tell.
    let mut soonest: Option<Timestamp> = None;
    let mut shutdown = pin!(shutdown.fuse());
    let mut trouble = 0_u32;
    while !stopping.load(Ordering::Relaxed) {
        let free = context.pace.concurrency.saturating_sub(passes.len());
        // Passes go on meanwhile: one that was given the store's connection would otherwise keep it from us.
        let begun = context.clock.now();
        soonest = soonest.filter(|due| *due > begun);
        let free_looks = HOSTS_AT_ONCE.saturating_sub(looks.len());
        let mut claiming = pin!(claim(&context, free_looks, free).fuse());
        let claimed = loop {
            futures::select! {
                claimed = claiming => break claimed,
                due = passes.select_next_some() => soonest = earlier(soonest, due),
                () = looks.select_next_some() => {}
            }
        };
        for claim in claimed.hosts {
            let look = host_pass(Arc::clone(&context), claim);
            looks.push(told(look, Arc::clone(&signals)));
        }
        let nap = match claimed.tenants {
            Ok(tenants) => {
                trouble = 0;
                // A full claim means that more may be due.
                let more = !tenants.is_empty() && tenants.len() == free;
                for claim in tenants {
                    let (context, stopping) = (Arc::clone(&context), Arc::clone(&stopping));
                    let pass = tenant_pass(context, claim, claimed.asked_at, stopping);
                    passes.push(told(pass, Arc::clone(&signals)));
                }
                if more {
                    Duration::ZERO
                } else {
                    let now = context.clock.now();
                    let poll = context.pace.poll;
                    soonest.map_or(poll, |due| due.since(now).min(poll))
                }
            }
            Err(error) => {
                trouble = trouble.saturating_add(1);
                tracing::error!(error = %crate::error::chain(&error), "cannot claim work");
                context.pace.poll.saturating_mul(trouble.min(20))
            }
        };
        let sleep = context.clock.sleep(nap).fuse();
        let stir = signals.stirred().fuse();
        futures::pin_mut!(sleep, stir);
        futures::select! {
            () = sleep => {}
            () = stir => {}
            due = passes.select_next_some() => soonest = earlier(soonest, due),
            () = looks.select_next_some() => {}
            () = shutdown => stopping.store(true, Ordering::Relaxed),
        }
    }
    // Each pass settles at its next step; a claim of one that cannot runs out by itself.
    let passes = passes.for_each(|_| async {});
    let looks = looks.for_each(|()| async {});
    futures::join!(passes, looks);
}

/// The pass, whose end is told to those who wait for changes.
fn told<T: 'static>(
    pass: impl Future<Output = T> + Send + 'static,
    signals: Arc<Signals>,
) -> BoxFuture<'static, T> {
    Box::pin(pass.inspect(move |_| signals.change()))
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

/// What is due.
struct Claimed {
    hosts: Vec<Claim<Host>>,
    /// An error, also where the hosts could not be claimed.
    tenants: Result<Vec<Claim<Tenant>>, StoreError>,
    /// Just before the tenants were asked for: their leases run at least from then on.
    asked_at: Timestamp,
}

/// Claims at most `free_looks` hosts, and at most `free` tenants.
///
/// Hosts that were claimed are looked at even where the tenants cannot be: nobody else would before their lease ends.
async fn claim(context: &Context, free_looks: usize, free: usize) -> Claimed {
    let request = |limit| ClaimRequest {
        worker: context.worker.clone(),
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
        lease: context.pace.lease,
    };
    let hosts = match free_looks {
        0 => Ok(Vec::new()),
        some => context.store.claim_hosts(request(some)).await,
    };
    let asked_at = context.clock.now();
    let (hosts, tenants) = match hosts {
        Ok(hosts) if free == 0 => (hosts, Ok(Vec::new())),
        Ok(hosts) => (hosts, context.store.claim_tenants(request(free)).await),
        Err(error) => (Vec::new(), Err(error)),
    };
    Claimed {
        hosts,
        tenants,
        asked_at,
    }
}

async fn tenant_pass(
    context: Arc<Context>,
    claim: Claim<Tenant>,
    asked_at: Timestamp,
    stopping: Arc<AtomicBool>,
) -> Option<Timestamp> {
    let stop = || stopping.load(Ordering::Relaxed);
    match execute::pass(&context, &claim, asked_at, &stop).await {
        Ok(next_due) => Some(context.clock.now().plus(next_due)),
        Err(PassError::Fenced) => {
            tracing::info!(tenant = %claim.item.id, "another worker has taken over");
            None
        }
        Err(PassError::Store(error)) => {
            tracing::error!(tenant = %claim.item.id, error = %crate::error::chain(&error), "not settled");
            None
        }
    }
}

async fn host_pass(context: Arc<Context>, claim: Claim<Host>) {
    match host::pass(&context, &claim).await {
        Ok(()) | Err(StoreError::Fenced) => {}
        Err(error) => {
            tracing::error!(host = %claim.item.id, error = %crate::error::chain(&error), "not settled");
        }
    }
}
