//! `account`: accounts, made and signed out by whoever runs the server.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use openclaw_tenancy::access::Rights;
use openclaw_tenancy::identity::IdentityError;
use openclaw_tenancy::plan::{PlanCatalog, PlanName};
use secrecy::ExposeSecret as _;

use super::cli::AddAccount;
use super::commands::{existing, find};
use super::config::Loaded;
use super::identity;
use crate::api::audit;
use crate::identity::local::LocalAccounts;
use crate::identity::sign_out::end_everywhere;

/// Makes the account, and returns its password.
///
/// # Errors
/// Whatever is wrong with what was given, with the fix; that local accounts are off; that the database fails.
pub(super) async fn add(loaded: &Loaded, account: &AddAccount) -> anyhow::Result<String> {
    if !loaded.config.identity.has_local() {
        bail!(
            "{:?} could not sign in, since local accounts are off; set identity.local = true and restart the \
             server, or let its person sign in at the provider",
            account.username
        );
    }
    let catalog = loaded.config.catalog()?;
    let rights = Rights {
        admin: account.admin,
        plan: match &account.plan {
            Some(plan) => Some(known(plan, &catalog)?),
            None if account.admin => identity::admin_plan(&catalog),
            None => None,
        },
    };
    let email = account.email.as_deref().map(address).transpose()?;
    let foundation = existing(loaded).await?;
    let (clock, entropy) = (
        Arc::clone(&foundation.clock),
        Arc::clone(&foundation.entropy),
    );
    let local = LocalAccounts::new(foundation.database.access(), clock, entropy)?;
    let added = local.add(&account.username, email, rights).await;
    let not_made = || format!("the account {:?} is not made", account.username);
    let password = match added {
        // There was no credential that could be refused.
        Err(IdentityError::Refused { reason }) => bail!("{}: {reason}", not_made()),
        added => added.with_context(not_made)?,
    };
    let made = find(&foundation, &account.username).await?;
    audit::by_command("account.add", made.id);
    foundation.database.close().await;
    Ok(password.expose_secret().to_owned())
}

/// Ends every session and token of ours that the account `whose` names has.
///
/// # Errors
/// That there is no such account; that the database fails. Repeating it is safe.
pub(super) async fn sign_out(loaded: &Loaded, whose: &str) -> anyhow::Result<()> {
    let foundation = existing(loaded).await?;
    let account = find(&foundation, whose).await?;
    end_everywhere(&*foundation.database.access(), account.id)
        .await
        .with_context(|| format!("{whose:?} is not signed out"))?;
    audit::by_command("account.sign-out", account.id);
    foundation.database.close().await;
    Ok(())
}

fn known(name: &str, catalog: &PlanCatalog) -> anyhow::Result<PlanName> {
    let plans = || catalog.iter().map(|plan| &plan.name);
    let found = plans().find(|plan| plan.as_str() == name);
    found.cloned().with_context(|| {
        let plans: Vec<_> = plans().map(PlanName::as_str).collect();
        format!(
            "--plan {name:?}: there is no such plan; the plans are {}",
            plans.join(", ")
        )
    })
}

/// Contact text, and shown: no more is asked of it than that it can be one address.
fn address(text: &str) -> anyhow::Result<String> {
    let fits = text.len() <= 254
        && text.bytes().all(|b| b.is_ascii_graphic())
        && text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        });
    if fits {
        Ok(text.to_owned())
    } else {
        bail!("--email {text:?}: this is no e-mail address; write it as ann@example.com")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_address() {
        for good in ["ann@example.com", "a+b@c"] {
            assert_eq!(address(good).unwrap(), good);
        }
        for bad in ["", "ann", "@b", "a@", "a@b@c", "a b@c", "a@b\n", "ä@b"] {
            assert!(address(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_plan_that_is_not_there_is_named_with_those_that_are() {
        let catalog = PlanCatalog::default();
        assert_eq!(known("pro", &catalog).unwrap().as_str(), "pro");
        let error = known("prro", &catalog).unwrap_err().to_string();
        assert!(
            error.contains("\"prro\"") && error.contains("pro"),
            "{error}"
        );
    }
}
