//! Stores with one bug each.

pub(crate) mod access;
pub(crate) mod store;
