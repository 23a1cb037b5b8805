//! A timer that costs nothing until something has to be waited for, and little then.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Measures one silence at a time.
///
/// Clearing it only forgets when the silence began: the sleep underneath stays where it is and is moved when it
/// fires too early. So a busy connection does not move a timer for each request.
#[derive(Debug, Default)]
pub(super) struct Timer {
    since: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// The silence has ended.
    pub(super) fn clear(&mut self) {
        self.since = None;
    }

    /// Ready once the silence, which began with the first call after a [`clear`](Self::clear), has lasted `allowed`.
    pub(super) fn poll_elapsed(&mut self, cx: &mut Context<'_>, allowed: Duration) -> Poll<()> {
        let until = *self.since.get_or_insert_with(Instant::now) + allowed;
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        if sleep.deadline() > until {
            sleep.as_mut().reset(until);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= until {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(until);
        }
    }
}
