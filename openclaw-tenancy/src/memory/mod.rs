//! The ports in memory: the reference semantics, and what tests and simulations run on.
//!
//! They keep nothing across a restart; their locks are never held across an await.

mod access;
mod backend;
mod controls;
mod engine;
mod faults;
mod faulty;
mod faulty_people;
mod identity;
mod state;
mod store;

pub use access::MemoryAccess;
pub use backend::MemoryBackend;
pub use controls::Reachable;
pub use engine::{Behavior, Process, StartOutcome};
pub use faults::{Fault, Faults};
pub use faulty::Faulty;
pub use identity::MemoryIdentity;
pub use store::MemoryStore;
