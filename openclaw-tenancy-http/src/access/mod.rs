//! Who is asking, and whether they may: sessions, bearers, rights, cross-site writes and how often.
//!
//! - [`session`]: the browser's session, an opaque secret in a cookie and its hash in the store;
//! - [`token`]: bearers of our own, each with a session of its own so that it can be revoked;
//! - [`caller`]: one credential of a request to one [`Caller`](caller::Caller);
//! - [`csrf`]: which writes a cookie may make;
//! - [`rights`]: what configuration and a provider's groups add to an account;
//! - [`claim`]: how the first administrator is made under an external provider;
//! - [`limit`]: how often a caller or an address may try, and `familiar` from where a name has signed in before, of
//!   which `browser` is one;
//! - [`address`]: which address that is;
//! - `accept`: how connections come in and a listener ends, and `places` how many one has at once;
//! - [`host`]: which host name a request gives;
//! - [`cookie`]: the cookies, all of them `__Host-`, and `tossed` for those of others that are too many.

#[cfg(feature = "edge")]
pub(crate) mod accept;
pub mod address;
pub(crate) mod browser;
pub mod caller;
pub mod claim;
pub mod cookie;
pub mod csrf;
pub(crate) mod familiar;
pub mod host;
mod known;
pub mod limit;
pub(crate) mod missed;
#[cfg(feature = "edge")]
pub(crate) mod places;
pub mod rights;
pub mod session;
pub mod token;
#[cfg(feature = "edge")]
pub(crate) mod tossed;
