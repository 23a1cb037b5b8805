#![doc = include_str!("../../README.md")]

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

pub use backend::{BackendError, ContainerBackend};
pub use identity::{IdentityError, IdentityProvider};
pub use probe::InstanceProbe;
pub use scheduler::HostScheduler;
pub use store::{StoreError, TenantStore};
pub use tenancy::{CreateRequest, Creation, Tenancy, TenancyBuilder, TenancyError, TenantView};
