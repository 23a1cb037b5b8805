//! The Python package `oidc-provider-mock`: what developers sign in at while they write an application.
//!
//! It is here for what it leaves out, and good for no more than that a sign-in goes through: it takes any client, any
//! secret and any PKCE verifier, promises no `iss`, puts no `kid` into its tokens, and tells neither which ways of
//! client authentication nor which PKCE methods it knows.

use std::path::Path;

use serde_json::json;

use super::program::{PEOPLE, ProviderProgram};
use super::python;

/// Its name in `TENANCY_TEST_REQUIRE`.
pub const SERVICE: &str = "oidc-provider-mock";

/// Starts it. It sends browsers back to wherever it is asked to, `redirect_uri` among others.
///
/// # Panics
/// When the package is missing or does not start; with its last words.
pub async fn start(python: &Path, redirect_uri: &str) -> ProviderProgram {
    let users = PEOPLE.map(|person| {
        json!({
            "sub": person.login,
            "name": person.name,
            "email": person.email(),
            "email_verified": true,
            "groups": person.groups,
        })
    });
    let command = python::run(python, "mock_provider.py", &json!(users).to_string());
    ProviderProgram::start(command, redirect_uri, ("action", "deny")).await
}
