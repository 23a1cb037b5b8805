//! Which host: pure and deterministic. It never reserves; the store does, and a conflict places anew.

mod binpack;
mod fleet;
mod spread;

pub use binpack::BinPack;
pub use fleet::{Candidate, Fleet, Placed, Refusal, Request};
pub use spread::Spread;

/// Chooses a host for an instance.
///
/// A policy is a score whose order is the policy; [`Spread`] and [`BinPack`] are given.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait HostScheduler: std::fmt::Debug + Send + Sync + 'static {
    /// The host for `request`, or why no host has room, host by host.
    ///
    /// # Errors
    /// [`Refusal`] when no host can take it now.
    ///
    /// # Idempotency
    /// Pure: the same arguments give the same host.
    fn place(&self, request: &Request, fleet: &Fleet) -> Result<Placed, Refusal>;
}
