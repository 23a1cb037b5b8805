//! The cache against a provider that is slow, down, flooded, or whose callers go away.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use openclaw_tenancy::clock::ManualClock;
use tokio::sync::Notify;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

/// A provider whose document is the number of times it was asked.
#[derive(Default)]
struct Provider {
    asked: AtomicUsize,
    down: AtomicBool,
    slow: AtomicBool,
    go_on: Notify,
}

impl Provider {
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn cache() -> (ManualClock, Arc<Provider>, Arc<Cached<usize>>) {
    let clock = ManualClock::new(Timestamp::from_seconds(1_700_000_000));
    let provider = Arc::new(Provider::default());
    let asked = Arc::clone(&provider);
    let cached = Cached::new(Arc::new(clock.clone()), HOUR, move || {
        let provider = Arc::clone(&asked);
        Box::pin(async move {
            let number = provider.asked.fetch_add(1, Ordering::SeqCst) + 1;
            if provider.slow.load(Ordering::SeqCst) {
                provider.go_on.notified().await;
            }
            if provider.down.load(Ordering::SeqCst) {
                return Err(IdentityError::Unavailable {
                    reason: "down".into(),
                    source: None,
                });
            }
            Ok(number)
        })
    });
    (clock, provider, Arc::new(cached))
}

#[tokio::test]
async fn it_is_loaded_once_and_renewed_by_age() {
    let (clock, provider, cached) = cache();
    assert_eq!(*cached.current().await.unwrap(), 1);
    assert_eq!(*cached.current().await.unwrap(), 1);
    clock.advance(HOUR);
    assert_eq!(*cached.current().await.unwrap(), 2);
    assert_eq!(provider.asked(), 2);
}

#[tokio::test]
async fn a_provider_that_is_down_costs_one_try_a_minute_and_the_last_good_stays() {
    let (clock, provider, cached) = cache();
    cached.current().await.unwrap();
    provider.down.store(true, Ordering::SeqCst);
    clock.advance(HOUR);
    for _ in 0..100 {
        assert_eq!(*cached.current().await.unwrap(), 1);
    }
    assert_eq!(provider.asked(), 2);
    clock.advance(RENEWAL_PAUSE);
    assert_eq!(*cached.current().await.unwrap(), 1);
    assert_eq!(provider.asked(), 3);
}

#[tokio::test]
async fn without_anything_good_the_failure_is_told_and_asking_is_rationed() {
    let (_clock, provider, cached) = cache();
    provider.down.store(true, Ordering::SeqCst);
    for _ in 0..10 {
        assert!(matches!(cached.current().await, Err(Failure::Load(_))));
    }
    assert_eq!(provider.asked(), 5);
    assert!(matches!(cached.refresh().await, Err(Failure::Busy(_))));
}

#[tokio::test]
async fn any_number_of_callers_wait_for_one_load() {
    let (_clock, provider, cached) = cache();
    provider.slow.store(true, Ordering::SeqCst);
    let mut callers: Vec<_> = (0..100).map(|_| Box::pin(cached.refresh())).collect();
    for caller in &mut callers {
        assert!(futures::poll!(caller).is_pending());
    }
    provider.go_on.notify_one();
    let done = futures::future::join_all(callers).await;
    let begun = done
        .iter()
        .filter(|how| matches!(how, Ok(Refreshed::Begun)))
        .count();
    assert_eq!((begun, done.len(), provider.asked()), (1, 100, 1));
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_stop_the_load() {
    let (_clock, provider, cached) = cache();
    provider.slow.store(true, Ordering::SeqCst);
    let mut first = Box::pin(cached.refresh());
    assert!(futures::poll!(&mut first).is_pending());
    drop(first);
    provider.go_on.notify_one();
    assert_eq!(cached.refresh().await.unwrap(), Refreshed::Joined);
    assert_eq!(provider.asked(), 1);
}
