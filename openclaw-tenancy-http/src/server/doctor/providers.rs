//! Identity providers: whether each describes itself acceptably.

use std::sync::Arc;

use openclaw_tenancy::clock::{SystemClock, SystemEntropy};
use openclaw_tenancy::error::chain;
use openclaw_tenancy::identity::IdentityError;
use openclaw_tenancy::memory::MemoryAccess;

use super::Check;
use crate::server::config::Config;
use crate::server::identity;

pub(super) async fn examine(config: &Config) -> Vec<Check> {
    let mut checks = Vec::new();
    for (at, section) in config.identity.oidc.iter().enumerate() {
        let subject = format!("provider {}", section.id);
        // Nothing is kept: only its own description is asked for.
        let access = Arc::new(MemoryAccess::new());
        let public_url = match config.public_url(config.server.listen.port()) {
            Ok(url) => url,
            Err(error) => {
                checks.push(Check::fail(
                    subject,
                    error.to_string(),
                    "set server.public_url",
                ));
                continue;
            }
        };
        let made = identity::provider(
            section,
            &public_url,
            access,
            Arc::new(SystemClock),
            Arc::new(SystemEntropy),
        );
        let key = format!("identity.oidc[{at}]");
        checks.push(match made {
            Err(error) => Check::fail(subject, format!("{error:#}"), format!("correct {key}")),
            Ok(provider) => match provider.check().await {
                Ok(()) => Check::ok(subject, format!("{} answers", section.issuer)),
                Err(error @ IdentityError::Misconfigured { .. }) => {
                    Check::fail(subject, chain(&error), format!("correct {key}"))
                }
                Err(error) => Check::fail(
                    subject,
                    chain(&error),
                    format!("nobody can sign in with it until it answers; see {key}.issuer"),
                ),
            },
        });
    }
    checks
}
