//! What the tests of this crate share.

pub(crate) mod database;
pub(crate) mod server;
