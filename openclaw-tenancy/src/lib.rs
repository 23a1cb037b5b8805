//! An OpenClaw instance for every person of an organisation: tenants, quotas, placement, and the loop that makes
//! what is wanted so.
//!
//! [`Tenancy`] is the way in: it writes what is wanted to a [`TenantStore`], and [`Tenancy::run`] is the loop that
//! makes it so through a [`ContainerBackend`], on hosts that a [`HostScheduler`] chooses. Both are safe to kill at
//! any instant: every step may be repeated, and nothing is concluded from an answer that was lost.
//!
//! - [`plan`] has the plans and their limits, [`quota`] who may have what.
//! - [`reconcile::plan`] is the pure function from what is wanted and seen to the next step.
//! - [`status`] derives the phase that a person is shown; [`routes`] what a router needs.
//! - [`identity`] and [`access`] are who people are, and what they may do.
//! - [`memory`] implements every trait in memory, the engines and the store with faults at any call: for tests of your
//!   own, and the semantics that others are held to.
//!
//! Engines are in `openclaw-tenancy-portainer`, databases in `openclaw-tenancy-postgres`, and the REST API, sign-in,
//! edge and reference server in `openclaw-tenancy-http`. This crate opens no connection of its own.
//!
//! # From a person to an instance
//! An [`IdentityProvider`], or whatever signs people in where you are, proves an [`Identity`](identity::Identity).
//! [`AccessStore::sign_in`](access::AccessStore::sign_in) makes an [`Account`] of it, and gives the same one the next
//! time: keep that store as durable as the tenants'; the stores of `openclaw-tenancy-postgres` are both.
//! [`Tenancy::create`] asks for the account's instance, [`Tenancy::wait_until`] waits for it.
//!
//! # Features
//! - `conformance`: one named test for each rule of each trait, to hold an implementation of yours to. Its macros make
//!   `tokio` tests, and its fixtures are `async_trait`s.
//! - `mock`: [mockall](https://docs.rs/mockall)'s `Mock…` of the ports, such as `MockTenantStore`, for a single call of
//!   yours. For the whole loop, `memory::Faulty…` over the backends in memory is of more use.
//!
//! # Example
//! ```
//! use std::sync::Arc;
//! use openclaw_tenancy::clock::SystemClock;
//! use openclaw_tenancy::id::{DeploymentId, HostId};
//! use openclaw_tenancy::instance::OriginTemplate;
//! use openclaw_tenancy::labels::LabelKeys;
//! use openclaw_tenancy::memory::{MemoryBackend, MemoryStore};
//! use openclaw_tenancy::quantity::Bytes;
//! use openclaw_tenancy::Tenancy;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let deployment = DeploymentId::new("acme")?;
//! let keys = Arc::new(LabelKeys::new(deployment.clone(), "k1", [7; 32]));
//! let engines =
//!     MemoryBackend::new(keys, Arc::new(SystemClock)).with_host(HostId::new("h1")?, "openclaw");
//! let tenancy = Tenancy::builder()
//!     .backend(Arc::new(engines.clone()))
//!     .probe(Arc::new(engines))
//!     .store(Arc::new(MemoryStore::new(Arc::new(SystemClock))))
//!     .deployment(deployment)
//!     .origins(OriginTemplate::new("https://{slug}.claw.example.org")?)
//!     .image("openclaw", Bytes::gib(1))
//!     .build()?;
//! assert_eq!(tenancy.plans().iter().count(), 4);
//! // `tenancy.run(shutdown).await` in one task, then `tenancy.create(..)` and `tenancy.wait_until(..)`.
//! # Ok(())
//! # }
//! ```

pub mod access;
pub mod backend;
pub mod clock;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod container;
pub mod error;
pub mod event;
pub mod host;
pub mod id;
pub mod identity;
pub mod instance;
pub mod labels;
pub mod memory;
pub mod plan;
pub mod probe;
pub mod quantity;
pub mod quota;
pub mod reconcile;
pub mod routes;
pub mod scheduler;
pub mod status;
pub mod store;
pub mod tenancy;
pub mod tenant;

pub use access::Account;
pub use backend::{BackendError, ContainerBackend};
pub use identity::{IdentityError, IdentityProvider};
pub use probe::InstanceProbe;
pub use scheduler::HostScheduler;
pub use status::Phase;
pub use store::{StoreError, TenantStore};
pub use tenancy::{
    BuildError, CreateRequest, Creation, Tenancy, TenancyBuilder, TenancyError, TenantView,
};
pub use tenant::Power;

/// The README's example is tried as well. It stands beside the packages and not in this one.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// So is the Chinese one's.
#[cfg(doctest)]
#[doc = include_str!("../../README.zh-CN.md")]
struct ReadmeZhCn;
