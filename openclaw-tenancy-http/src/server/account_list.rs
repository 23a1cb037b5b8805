//! `account list`: who has an account, and what it may do.

use anyhow::Context as _;
use comfy_table::{ContentArrangement, Table, presets};
use openclaw_tenancy::access::{AccessStore, Account, Rights};
use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::id::AccountId;
use openclaw_tenancy::plan::{PlanCatalog, PlanName};
use serde::Serialize;

use super::commands::{existing, of};
use super::config::{Loaded, LogFormat};
use super::escape::escape;
use super::identity;
use crate::access::rights::RightsPolicy;

/// Rows of one question.
const PAGE: u32 = 500;

/// A line of the list.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    id: AccountId,
    /// The provider's issuer; `local` for an account with a password of its own.
    issuer: String,
    /// What the provider knows it by; a local account's name.
    subject: String,
    name: Option<String>,
    email: Option<String>,
    admin: bool,
    /// The highest plan it may have beyond those that anybody may.
    plan: Option<PlanName>,
    /// When it first signed in, or was made.
    created_at: Timestamp,
}

impl Entry {
    /// What groups add is not known before its person signs in.
    fn new(account: Account, policy: &RightsPolicy, catalog: &PlanCatalog) -> Self {
        let granted = policy.granted(&of(&account), catalog);
        let Rights { admin, plan } = policy.effective(&account.rights, &granted, catalog);
        Self {
            id: account.id,
            issuer: account.who.issuer,
            subject: account.who.subject,
            name: account.name,
            email: account.email,
            admin,
            plan,
            created_at: account.created_at,
        }
    }

    fn cells(&self) -> [String; 6] {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let admin = self.admin.then(|| "admin".to_owned());
        let plan = self.plan.as_ref().map(|plan| format!("up to {plan}"));
        let rights: Vec<_> = admin.into_iter().chain(plan).collect();
        let rights = (!rights.is_empty()).then(|| rights.join(", "));
        // Providers and people wrote what is in them.
        [
            self.id.to_string(),
            self.issuer.clone(),
            self.subject.clone(),
            or_none(&self.name),
            or_none(&self.email),
            or_none(&rights),
        ]
        .map(|cell| escape(&cell, LogFormat::Text).into_owned())
    }
}

/// Every account, those that are older first.
///
/// # Errors
/// That there is no deployment; that the database fails.
pub(super) async fn list(loaded: &Loaded) -> anyhow::Result<Vec<Entry>> {
    let catalog = loaded.config.catalog()?;
    let policy = identity::rights(&loaded.config.identity, &catalog)?;
    let foundation = existing(loaded).await?;
    let accounts = all(&*foundation.database.access())
        .await
        .context("the accounts cannot be listed")?;
    foundation.database.close().await;
    let entries = accounts.into_iter();
    Ok(entries
        .map(|account| Entry::new(account, &policy, &catalog))
        .collect())
}

async fn all(access: &dyn AccessStore) -> anyhow::Result<Vec<Account>> {
    let mut all: Vec<Account> = Vec::new();
    loop {
        let page = access
            .accounts(all.last().map(|last| last.id), PAGE)
            .await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// One line for each, however wide: what is cut in two cannot be searched.
pub(super) fn table(entries: &[Entry]) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["ACCOUNT", "PROVIDER", "SUBJECT", "NAME", "E-MAIL", "RIGHTS"]);
    for entry in entries {
        table.add_row(entry.cells());
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use openclaw_tenancy::clock::{ManualClock, SeededEntropy};
    use openclaw_tenancy::identity::{Identity, Subject};
    use openclaw_tenancy::memory::MemoryAccess;

    use super::*;

    fn identity(issuer: &str, subject: &str) -> Identity {
        Identity {
            who: Subject {
                issuer: issuer.to_owned(),
                subject: subject.to_owned(),
            },
            email: None,
            email_verified: false,
            name: None,
            groups: std::collections::BTreeSet::new(),
        }
    }

    #[tokio::test]
    async fn every_page_is_listed() {
        let access = MemoryAccess::new();
        let entropy = SeededEntropy::new(1);
        let clock = ManualClock::new(Timestamp::from_seconds(1_800_000_000));
        let people = usize::try_from(PAGE).unwrap() + 1;
        for n in 0..people {
            let id = AccountId::generate(&clock, &entropy);
            let who = identity("local", &n.to_string());
            let made = access.sign_in(who, id, Timestamp::default()).await;
            made.unwrap();
        }
        assert_eq!(all(&access).await.unwrap().len(), people);
    }

    #[test]
    fn a_line_says_what_an_account_may_and_is_one_line() {
        let catalog = PlanCatalog::default();
        let named = Subject {
            issuer: "https://id.example".to_owned(),
            subject: "sub-1".to_owned(),
        };
        let policy = RightsPolicy {
            admins: [named.clone()].into(),
            admin_plan: Some(PlanName::new("pro").unwrap()),
            ..RightsPolicy::default()
        };
        let entropy = SeededEntropy::new(1);
        let clock = ManualClock::new(Timestamp::from_seconds(1_800_000_000));
        let account = |who: Subject, name: Option<&str>, plan: Option<&str>| Account {
            id: AccountId::generate(&clock, &entropy),
            who,
            email: None,
            name: name.map(str::to_owned),
            rights: Rights {
                admin: false,
                plan: plan.map(|plan| PlanName::new(plan).unwrap()),
            },
            created_at: Timestamp::from_seconds(1_800_000_000),
        };
        let local = |name: &str| Subject {
            issuer: "local".to_owned(),
            subject: name.to_owned(),
        };
        let entries: Vec<_> = [
            account(named, Some("Ann\n\u{1b}[31m\u{202e}"), None),
            account(local("bob"), Some("bob"), Some("basic")),
            account(local("eve"), None, None),
        ]
        .into_iter()
        .map(|account| Entry::new(account, &policy, &catalog))
        .collect();
        let table = table(&entries);
        let lines: Vec<Vec<_>> = table
            .lines()
            .map(|line| {
                line.split("  ")
                    .map(str::trim)
                    .filter(|c| !c.is_empty())
                    .collect()
            })
            .collect();
        let id = |n: usize| entries[n].id.to_string();
        let (ann, bob, eve) = (id(0), id(1), id(2));
        assert_eq!(
            lines[1..],
            [
                vec![
                    &*ann,
                    "https://id.example",
                    "sub-1",
                    r"Ann\n\u{1b}[31m\u{202e}",
                    "-",
                    "admin, up to pro"
                ],
                vec![&*bob, "local", "bob", "bob", "-", "up to basic"],
                vec![&*eve, "local", "eve", "-", "-", "-"],
            ],
            "{table}"
        );
    }
}
