//! Implementations with one bug each.

pub(crate) mod access;
pub(crate) mod backend;
pub(crate) mod identity;
pub(crate) mod probe;
pub(crate) mod scheduler;
pub(crate) mod store;
