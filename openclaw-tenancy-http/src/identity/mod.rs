//! Who somebody is: OpenID Connect, local accounts, and the tokens of both and of our own.
//!
//! - [`oidc`]: sign-in at a provider, and its JWT access tokens as bearers;
//! - [`local`]: accounts with a password, for the first run and for those without a provider;
//! - [`jwt`]: the one verifier of tokens, and our own kinds of them;
//! - [`jwks`]: a provider's keys;
//! - [`fetch`]: the only way to a provider;
//! - [`return_path`]: where a browser may be sent after sign-in;
//! - [`secret`]: random secrets.

mod cached;
pub mod fetch;
pub mod jwks;
pub mod jwt;
pub mod local;
pub mod oidc;
pub(crate) mod once;
pub mod return_path;
pub mod secret;
pub(crate) mod sign_out;
