//! Ports for what has to be known before anybody listens.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// A port of loopback that nobody uses. It lies below those that a system gives to outgoing connections, and no two
/// calls of a process answer the same.
///
/// # Panics
/// When every port is in use.
#[must_use]
#[expect(clippy::unwrap_used, reason = "less than 1000 fits")]
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 1000).unwrap() * 10;
    loop {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(next < 10_000, "every port is in use");
        let port = 20_000 + (first + next) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
