//! Many callers at once.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Barrier;

/// How many callers race in a rule.
pub(super) const CALLERS: u32 = 32;

/// What [`CALLERS`] tasks answer that begin together, in the order of their numbers.
pub(super) async fn race<T, F>(call: impl Fn(u32) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(CALLERS as usize));
    let tasks: Vec<_> = (0..CALLERS)
        .map(|n| {
            let (start, call) = (Arc::clone(&start), call(n));
            tokio::spawn(async move {
                start.wait().await;
                call.await
            })
        })
        .collect();
    let mut answers = Vec::with_capacity(tasks.len());
    for task in tasks {
        answers.push(task.await.expect("a caller does not panic"));
    }
    answers
}
