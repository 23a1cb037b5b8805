//! The ways to sign in, from the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Context as _;
use openclaw_tenancy::access::AccessStore;
use openclaw_tenancy::clock::{Clock, Entropy};
use openclaw_tenancy::identity::Subject;
use openclaw_tenancy::plan::{PlanCatalog, PlanName};
use url::Url;

use super::config::{ClientAuth, IdentitySection, OidcSection};
use crate::access::rights::{GroupRights, RightsPolicy};
use crate::identity::fetch::PlainHttp;
use crate::identity::oidc::{ClientCredential, OidcConfig, OidcProvider};

/// The plan that whoever administers may have, where there is one of this name.
const ADMIN_PLAN: &str = "pro";

/// The provider that `section` describes. It is asked nothing yet.
///
/// # Errors
/// What is wrong with the section, by its keys.
pub(crate) fn provider(
    section: &OidcSection,
    public_url: &Url,
    access: Arc<dyn AccessStore>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> anyhow::Result<OidcProvider> {
    let name = || {
        format!(
            "the provider {} of identity.oidc cannot be used",
            section.id
        )
    };
    let credential = match (section.client_auth, &section.client_secret) {
        (ClientAuth::Basic, Some(secret)) => ClientCredential::Basic(secret.inner().clone()),
        (ClientAuth::Post, Some(secret)) => ClientCredential::Post(secret.inner().clone()),
        (ClientAuth::None, _) | (ClientAuth::Basic | ClientAuth::Post, None) => {
            ClientCredential::Public
        }
    };
    let redirect = public_url
        .join(&format!("/api/auth/callback/{}", section.id))
        .with_context(name)?;
    let mut config = OidcConfig::new(&section.issuer, &section.client_id, credential, redirect);
    config.scopes.clone_from(&section.scopes);
    config.bearer_audience.clone_from(&section.audience);
    config.groups_claim.clone_from(&section.groups_claim);
    if section.plain_http_loopback {
        config.plain_http = PlainHttp::LoopbackOnly;
    }
    if let Some(file) = &section.ca_file {
        let pem = std::fs::read(file)
            .with_context(|| format!("{} cannot be read", file.display()))
            .with_context(name)?;
        config.extra_roots_pem = Some(pem);
    }
    OidcProvider::new(config, access, clock, entropy).with_context(name)
}

/// Who administers, and what providers' groups stand for.
///
/// # Errors
/// When a plan's name cannot be one; never for a checked configuration.
pub(crate) fn rights(
    section: &IdentitySection,
    catalog: &PlanCatalog,
) -> anyhow::Result<RightsPolicy> {
    let mut groups = BTreeMap::new();
    for provider in &section.oidc {
        let plans = provider
            .plan_groups
            .iter()
            .map(|(group, plan)| Ok((group.clone(), PlanName::new(plan)?)))
            .collect::<anyhow::Result<BTreeMap<_, _>>>()?;
        let rights = GroupRights {
            admins: provider.admin_groups.clone(),
            plans,
        };
        groups.insert(provider.issuer.clone(), rights);
    }
    let admins: BTreeSet<Subject> = section.admins.iter().map(Subject::from).collect();
    Ok(RightsPolicy {
        admins,
        admin_plan: admin_plan(catalog),
        groups,
    })
}

/// The plan of administrators: Pro, or without one the highest there is.
#[must_use]
pub(crate) fn admin_plan(catalog: &PlanCatalog) -> Option<PlanName> {
    let pro = catalog.iter().find(|plan| plan.name.as_str() == ADMIN_PLAN);
    pro.or_else(|| catalog.iter().last())
        .map(|plan| plan.name.clone())
}
