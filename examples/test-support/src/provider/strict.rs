//! The npm package `oidc-provider` as a strict provider, run by node.
//!
//! It is a certified implementation by somebody else: what it accepts is not what we believe, but what the
//! standards say. It tells the e-mail address by `UserInfo` only.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::process::Command;

use super::program::{PASSWORD, PEOPLE, Person, ProviderProgram};
use crate::services;

/// Names the folder whose `node_modules` holds `oidc-provider`.
pub const DIR_VARIABLE: &str = "TENANCY_TEST_OIDC_PROVIDER_DIR";

/// The one client's id.
pub const CLIENT_ID: &str = "tenancy";
/// The one client's secret.
pub const CLIENT_SECRET: &str = "a secret: with + and % and &=";

/// The folder that [`DIR_VARIABLE`] names; `None` where it is not set.
///
/// # Panics
/// When it is not set although `TENANCY_TEST_REQUIRE` lists `oidc-provider` or `all`.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    services::given("oidc-provider", DIR_VARIABLE).map(PathBuf::from)
}

/// Starts it with one client that comes back to `redirect_uri`.
///
/// # Panics
/// When node or the package is missing or does not start; with its last words.
pub async fn start(folder: &Path, redirect_uri: &str) -> ProviderProgram {
    let configuration = json!({
        "clientId": CLIENT_ID,
        "clientSecret": CLIENT_SECRET,
        "redirectUris": [redirect_uri],
        "users": PEOPLE.map(|person| user(&person)),
    });
    let mut command = Command::new("node");
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/provider/strict.mjs"))
        .arg(folder)
        .arg(configuration.to_string());
    ProviderProgram::start(command, redirect_uri, ("password", "wrong")).await
}

fn user(person: &Person) -> Value {
    json!({
        "sub": person.login,
        "password": PASSWORD,
        "name": person.name,
        "preferred_username": person.login,
        "email": person.email(),
        "email_verified": true,
        "groups": person.groups,
    })
}
