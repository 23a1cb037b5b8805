//! What the control plane and the edge rely on, held against a running instance.
//!
//! The same calls are made to the stand-in and to OpenClaw itself; a claim that only one of them keeps is a bug here.
//!
//! ```no_run
//! # async fn run() {
//! use stand_in::contract::{Target, check};
//!
//! let target = Target {
//!     address: ([10, 89, 0, 2], 18789).into(),
//!     origin: "http://a1.localhost:8080".to_owned(),
//!     client: [198, 51, 100, 7].into(),
//!     user_header: "x-claw-user".to_owned(),
//!     user: "u-0001".to_owned(),
//!     required: vec![
//!         ("x-claw-proxy".to_owned(), "1".to_owned()),
//!         ("x-forwarded-proto".to_owned(), "http".to_owned()),
//!     ],
//! };
//! for claim in check(&target).await {
//!     assert!(claim.ok, "{}: {}", claim.name, claim.detail);
//! }
//! # }
//! ```

mod admission;
mod client;
mod http;
mod lifecycle;
mod socket;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

pub use lifecycle::{Write, check_reload, check_shutdown};

/// An instance in trusted-proxy mode, and how its proxy speaks to it.
///
/// The caller must stand where the proxy stands: its address as the instance sees it is in `gateway.trustedProxies`.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where the instance listens.
    pub address: SocketAddr,
    /// The one entry of `gateway.controlUi.allowedOrigins`; its authority is sent as `Host`.
    pub origin: String,
    /// The client that the proxy names in `X-Forwarded-For`; must not be loopback.
    pub client: IpAddr,
    /// `gateway.auth.trustedProxy.userHeader`.
    pub user_header: String,
    /// The one entry of `gateway.auth.trustedProxy.allowUsers`, with `operator.admin` in `identityScopes`.
    pub user: String,
    /// `gateway.auth.trustedProxy.requiredHeaders`, with the values to send.
    pub required: Vec<(String, String)>,
}

impl Target {
    fn host(&self) -> &str {
        self.origin
            .split_once("://")
            .map_or(self.origin.as_str(), |(_, authority)| authority)
    }
}

/// One thing that the contract says of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What is claimed; stable, so that two runs can be compared by it.
    pub name: &'static str,
    /// Whether the instance kept it.
    pub ok: bool,
    /// What was seen instead; empty when it was kept.
    pub detail: String,
}

impl Claim {
    fn new(name: &'static str, outcome: Outcome) -> Self {
        let (ok, detail) = match outcome {
            Ok(()) => (true, String::new()),
            Err(detail) => (false, detail),
        };
        Self { name, ok, detail }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.ok { "ok  " } else { "FAIL" };
        write!(formatter, "{verdict} {}", self.name)?;
        if !self.ok {
            write!(formatter, ": {}", self.detail)?;
        }
        Ok(())
    }
}

/// Nothing, or what was seen instead of what was claimed.
type Outcome = Result<(), String>;

/// Holds a started instance against every claim that needs nothing but a connection to it.
///
/// Takes about 16 s, most of it the wait for the handshake's timeout.
/// Leaves the instance as it was: every socket is closed again and nothing is written.
pub async fn check(target: &Target) -> Vec<Claim> {
    let (plain, admission, sockets) = tokio::join!(
        http::check(target),
        admission::check(target),
        socket::check(target)
    );
    [plain, admission, sockets].concat()
}

/// Fails with both sides when they differ.
#[expect(
    clippy::needless_pass_by_value,
    reason = "claims are literals, which read best unborrowed"
)]
fn expect_eq<T: PartialEq + fmt::Debug>(what: &str, expected: T, seen: T) -> Outcome {
    if expected == seen {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, saw {seen:?}"))
    }
}
