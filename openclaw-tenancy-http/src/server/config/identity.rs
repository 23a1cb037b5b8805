//! `[identity]`: who may sign in, and who administers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use openclaw_tenancy::identity::Subject;
use openclaw_tenancy::plan::PlanCatalog;
use serde::{Deserialize, Serialize};

use super::error::Problem;
use super::secret::Secret;

/// `[identity]`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct IdentitySection {
    /// Whether accounts with a password of their own may sign in: unless it is set, only where no provider is.
    pub(crate) local: Option<bool>,
    /// People who administer, by the provider's id of them.
    pub(crate) admins: Vec<AdminSection>,
    /// Identity providers.
    pub(crate) oidc: Vec<OidcSection>,
}

impl IdentitySection {
    /// Whether there are local accounts.
    #[must_use]
    pub(crate) fn has_local(&self) -> bool {
        self.local.unwrap_or(self.oidc.is_empty())
    }
}

/// Somebody who administers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct AdminSection {
    /// The provider's issuer, or `local`.
    pub(crate) issuer: String,
    /// The provider's id of the person (`sub`), or the local user name.
    pub(crate) subject: String,
}

impl From<&AdminSection> for Subject {
    fn from(admin: &AdminSection) -> Self {
        Self {
            issuer: admin.issuer.clone(),
            subject: admin.subject.clone(),
        }
    }
}

/// `[[identity.oidc]]`: an `OpenID` Connect provider.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub(crate) struct OidcSection {
    /// Your name for it: it stands in its callback, `/api/auth/callback/{id}`.
    pub(crate) id: String,
    /// Its name on the button that leads there; the id unless it is set.
    #[serde(default)]
    pub(crate) label: Option<String>,
    /// Its issuer, to the letter.
    pub(crate) issuer: String,
    /// Our client id.
    pub(crate) client_id: String,
    /// Our client secret.
    #[serde(default)]
    pub(crate) client_secret: Option<Secret>,
    /// How the secret is shown to the provider.
    #[serde(default)]
    pub(crate) client_auth: ClientAuth,
    /// The audience of its access tokens that the API takes as bearers; without one it takes none.
    #[serde(default)]
    pub(crate) audience: Option<String>,
    /// Scopes beside `openid`.
    #[serde(default = "scopes")]
    pub(crate) scopes: Vec<String>,
    /// The claim with the person's groups; dots lead into objects.
    #[serde(default = "groups_claim")]
    pub(crate) groups_claim: String,
    /// Groups whose members administer.
    #[serde(default)]
    pub(crate) admin_groups: BTreeSet<String>,
    /// The plan that members of a group may have.
    #[serde(default)]
    pub(crate) plan_groups: BTreeMap<String, String>,
    /// A CA to trust for this provider beside the system's, PEM.
    #[serde(default)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Accepts plain `http` to a provider on loopback.
    #[serde(default)]
    pub(crate) plain_http_loopback: bool,
}

fn scopes() -> Vec<String> {
    vec!["email".to_owned(), "profile".to_owned()]
}

fn groups_claim() -> String {
    "groups".to_owned()
}

/// How we prove to be the client (OIDC Core §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClientAuth {
    /// The secret in the Authorization header.
    #[default]
    Basic,
    /// The secret in the form.
    Post,
    /// No secret.
    None,
}

pub(super) fn check(section: &IdentitySection, catalog: &PlanCatalog) -> Vec<Problem> {
    let mut problems = Vec::new();
    if section.oidc.is_empty() && section.local == Some(false) {
        problems.push(
            Problem::new(
                "identity.local",
                "nobody could sign in",
                "set it to true, or add an [[identity.oidc]]",
            )
            .value("false"),
        );
    }
    let mut seen = BTreeSet::new();
    for (at, provider) in section.oidc.iter().enumerate() {
        let key = |field: &str| format!("identity.oidc[{at}].{field}");
        let label = provider
            .id
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if provider.id.is_empty() || provider.id.len() > 63 || !label {
            problems.push(
                Problem::new(
                    key("id"),
                    "is no name for a provider",
                    "write 1 to 63 of a-z, 0-9 and -",
                )
                .value(format_args!("{:?}", provider.id)),
            );
        }
        if !seen.insert(("id", &provider.id)) || !seen.insert(("issuer", &provider.issuer)) {
            problems.push(
                Problem::new(
                    format!("identity.oidc[{at}]"),
                    "has the id or the issuer of another provider",
                    "give each provider once",
                )
                .value(format_args!("{} {}", provider.id, provider.issuer)),
            );
        }
        match (provider.client_auth, &provider.client_secret) {
            (ClientAuth::None, Some(_)) => problems.push(Problem::new(
                key("client_secret"),
                "is set although client_auth is none",
                "remove it, or set client_auth to basic or post",
            )),
            (ClientAuth::Basic | ClientAuth::Post, None) => problems.push(Problem::new(
                key("client_secret"),
                "is missing",
                "set it or client_secret_file, or client_auth = \"none\" for a public client",
            )),
            (ClientAuth::None, None) | (ClientAuth::Basic | ClientAuth::Post, Some(_)) => {}
        }
        for (group, plan) in &provider.plan_groups {
            if catalog.iter().all(|known| known.name.as_str() != plan) {
                let known: Vec<_> = catalog.iter().map(|plan| plan.name.as_str()).collect();
                problems.push(
                    Problem::new(
                        key(&format!("plan_groups.{group}")),
                        "there is no such plan",
                        format!("the plans are {}", known.join(", ")),
                    )
                    .value(format_args!("{plan:?}")),
                );
            }
        }
    }
    problems
}
