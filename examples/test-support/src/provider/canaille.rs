//! The Python package `Canaille`: an identity server that people run, with forms of its own.
//!
//! It checks PKCE, the nonce's presence and the client's credential, and promises `iss` (RFC 9207). It never says that
//! an e-mail address is verified, and what a client gets depends on how it is registered there. Its access tokens are
//! made of the person, the client and the second: it fails (500) to give out two of one.

use std::path::Path;

use serde_json::{Value, json};

use super::program::{PASSWORD, PEOPLE, Person, ProviderProgram};
use super::python;

/// Its name in `TENANCY_TEST_REQUIRE`.
pub const SERVICE: &str = "canaille";

/// A client as its console registers one: itself in its audience, RS256, `client_secret_basic`.
pub const CLIENT_ID: &str = "tenancy";
/// The same without an audience, as its command line makes one unless it is told: its tokens say `"aud": []`.
pub const WITHOUT_AUDIENCE: &str = "without-audience";
/// The same without an algorithm, as its command line makes one unless it is told: RS512, which the key does not name.
pub const WITHOUT_ALGORITHM: &str = "without-algorithm";
/// Has [`AWKWARD_SECRET`], by `client_secret_basic`.
pub const AWKWARD_BASIC: &str = "awkward-basic";
/// Has [`AWKWARD_SECRET`], by `client_secret_post`.
pub const AWKWARD_POST: &str = "awkward-post";
/// Has no secret.
pub const PUBLIC: &str = "public";

/// A secret such as it makes them.
pub const CLIENT_SECRET: &str = "kD8sPq2vX0zL4tYwB7nRjHcMfE6uG3aT";
/// A secret of what form encoding changes.
pub const AWKWARD_SECRET: &str = "a secret: with + and % and &=";

/// Starts it with these clients, which all come back to `redirect_uri`.
///
/// # Panics
/// When the package is missing or does not start; with its last words.
pub async fn start(python: &Path, redirect_uri: &str) -> ProviderProgram {
    let client = |id: &str, field: &str, value: Value| {
        let mut client = json!({
            "client_id": id,
            "client_name": "Tenancy",
            "client_secret": CLIENT_SECRET,
            "is_audience": true,
            "id_token_signed_response_alg": "RS256",
            "token_endpoint_auth_method": "client_secret_basic",
            "redirect_uris": [redirect_uri],
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
            "scope": ["openid", "email", "profile", "groups"],
        });
        client[field] = value;
        client
    };
    let mut awkward_post = client(AWKWARD_POST, "client_secret", json!(AWKWARD_SECRET));
    awkward_post["token_endpoint_auth_method"] = json!("client_secret_post");
    let configuration = json!({
        "users": PEOPLE.map(|person| user(&person)),
        "clients": [
            client(CLIENT_ID, "is_audience", json!(true)),
            client(WITHOUT_AUDIENCE, "is_audience", json!(false)),
            client(WITHOUT_ALGORITHM, "id_token_signed_response_alg", Value::Null),
            client(AWKWARD_BASIC, "client_secret", json!(AWKWARD_SECRET)),
            awkward_post,
            client(PUBLIC, "token_endpoint_auth_method", json!("none")),
        ],
    });
    let command = python::run(python, "canaille_provider.py", &configuration.to_string());
    ProviderProgram::start(command, redirect_uri, ("answer", "deny")).await
}

fn user(person: &Person) -> Value {
    json!({
        "user_name": person.login,
        "password": PASSWORD,
        "formatted_name": person.name,
        "family_name": person.name,
        "emails": [person.email()],
        "groups": person.groups,
    })
}
