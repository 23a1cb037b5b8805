//! An [`AccessStore`] with one bug, over the in-memory one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use openclaw_tenancy::access::{
    AccessStore, Account, Grant, GrantKind, Replace, Rights, SecretHash,
};
use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::conformance::access::AccessFixture;
use openclaw_tenancy::id::AccountId;
use openclaw_tenancy::identity::{Identity, Subject};
use openclaw_tenancy::memory::MemoryAccess;
use openclaw_tenancy::store::StoreError;
use secrecy::SecretString;
use tokio::task::yield_now;

/// What is wrong. A bug that is called racy looks, lets others run, and then acts on what it saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    OverwritesGrants,
    KeepsEveryGrant,
    ReadsOnce,
    NothingExpires,
    AnyKind,
    TakesAgain,
    RacyTake,
    RevokesOfEverybody,
    SweepsAll,
    NewAccountEachTime,
    KeepsOldContact,
    ForgetsContact,
    JoinsByEmail,
    TakesOverIds,
    RacySignIn,
    FindsAnother,
    ListsTheLastAgain,
    ListsMore,
    ListsByTime,
    LosesPlans,
    RightsOfNobody,
    AlwaysAdmin,
    ReplacesPasswords,
    RacyPassword,
    AnyCase,
    LastValueWins,
    RacyValue,
}

#[derive(Debug)]
pub(crate) struct Broken {
    bug: Bug,
    inner: MemoryAccess,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    by_email: BTreeMap<String, Subject>,
    subjects: BTreeSet<Subject>,
    names: BTreeSet<String>,
    accounts: Vec<Account>,
    grants: Vec<Grant>,
}

/// A fixture of one broken store.
#[derive(Debug)]
pub(crate) struct Fixture(Arc<Broken>);

impl Fixture {
    pub(crate) fn new(bug: Bug) -> Self {
        Self(Arc::new(Broken {
            bug,
            inner: MemoryAccess::new(),
            seen: Mutex::default(),
        }))
    }
}

#[async_trait]
impl AccessFixture for Fixture {
    fn access(&self) -> Arc<dyn AccessStore> {
        Arc::clone(&self.0) as _
    }

    fn replica(&self) -> Arc<dyn AccessStore> {
        self.access()
    }

    async fn finish(&self) {}
}

#[async_trait]
impl AccessStore for Broken {
    async fn put_grant(&self, grant: Grant) -> Result<(), StoreError> {
        if self.bug == Bug::OverwritesGrants {
            let now = Timestamp::default();
            self.inner.take_grant(grant.kind, grant.secret, now).await?;
        }
        self.seen.lock().unwrap().grants.push(grant.clone());
        self.inner.put_grant(grant).await
    }

    async fn grant(
        &self,
        kind: GrantKind,
        secret: SecretHash,
        now: Timestamp,
    ) -> Result<Option<Grant>, StoreError> {
        match self.bug {
            Bug::ReadsOnce => self.inner.take_grant(kind, secret, now).await,
            Bug::NothingExpires => self.inner.grant(kind, secret, Timestamp::default()).await,
            Bug::KeepsEveryGrant => {
                let seen = self.seen.lock().unwrap();
                let mut seen = seen.grants.iter();
                let found = seen.find(|grant| (grant.kind, grant.secret) == (kind, secret));
                Ok(found.cloned())
            }
            Bug::AnyKind => {
                let seen = self.seen.lock().unwrap();
                let of_secret = seen.grants.iter().find(|grant| grant.secret == secret);
                Ok(of_secret.cloned())
            }
            _ => self.inner.grant(kind, secret, now).await,
        }
    }

    async fn take_grant(
        &self,
        kind: GrantKind,
        secret: SecretHash,
        now: Timestamp,
    ) -> Result<Option<Grant>, StoreError> {
        match self.bug {
            Bug::TakesAgain => self.inner.grant(kind, secret, now).await,
            Bug::RacyTake => {
                let grant = self.inner.grant(kind, secret, now).await?;
                yield_now().await;
                self.inner.take_grant(kind, secret, now).await?;
                Ok(grant)
            }
            _ => self.inner.take_grant(kind, secret, now).await,
        }
    }

    async fn revoke_grants(&self, kind: GrantKind, account: AccountId) -> Result<u64, StoreError> {
        if self.bug == Bug::RevokesOfEverybody {
            let grants = self.seen.lock().unwrap().grants.clone();
            for grant in grants {
                if grant.account != Some(account) {
                    let now = Timestamp::default();
                    self.inner.take_grant(grant.kind, grant.secret, now).await?;
                }
            }
        }
        self.inner.revoke_grants(kind, account).await
    }

    async fn sweep_grants(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let limit = if self.bug == Bug::SweepsAll {
            u32::MAX
        } else {
            limit
        };
        self.inner.sweep_grants(now, limit).await
    }

    async fn sign_in(
        &self,
        mut identity: Identity,
        id: AccountId,
        now: Timestamp,
    ) -> Result<Account, StoreError> {
        let known = {
            let mut seen = self.seen.lock().unwrap();
            let email = identity.email.clone().unwrap_or_default();
            let of_email = seen.by_email.entry(email).or_insert(identity.who.clone());
            if self.bug == Bug::JoinsByEmail {
                identity.who = of_email.clone();
            }
            let of_who = |account: &&Account| account.who == identity.who;
            seen.accounts.iter().find(of_who).cloned()
        };
        match (self.bug, known) {
            (Bug::NewAccountEachTime, _) => identity.who.subject.push_str(&id.simple()),
            (Bug::KeepsOldContact, Some(known)) => return Ok(known),
            (Bug::RacySignIn, _) => {
                let first = !self.seen.lock().unwrap().subjects.contains(&identity.who);
                yield_now().await;
                self.seen
                    .lock()
                    .unwrap()
                    .subjects
                    .insert(identity.who.clone());
                if first {
                    identity.who.subject.push_str(&id.simple());
                }
            }
            _ => {}
        }
        let sent = (identity.email.clone(), identity.name.clone());
        let answer = self.inner.sign_in(identity, id, now).await;
        match (self.bug, answer) {
            (Bug::ForgetsContact, Ok(mut account)) => {
                (account.email, account.name) = sent;
                Ok(account)
            }
            (Bug::TakesOverIds, Err(StoreError::Conflict { .. })) => {
                let account = self.inner.account(id).await?;
                account.ok_or(StoreError::NotFound { what: "account" })
            }
            (_, answer) => {
                let account = answer?;
                self.seen.lock().unwrap().accounts.push(account.clone());
                Ok(account)
            }
        }
    }

    async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        match (self.bug, self.inner.account(id).await?) {
            (Bug::FindsAnother, None) => Ok(self.seen.lock().unwrap().accounts.first().cloned()),
            (_, found) => Ok(found),
        }
    }

    async fn accounts(
        &self,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError> {
        match (self.bug, after) {
            (Bug::ListsTheLastAgain, Some(last)) => {
                let mut page = vec![self.inner.account(last).await?.unwrap()];
                page.extend(self.inner.accounts(after, limit - 1).await?);
                Ok(page)
            }
            (Bug::ListsMore, _) => self.inner.accounts(after, limit + 1).await,
            (Bug::ListsByTime, _) => {
                let seen = self.seen.lock().unwrap().accounts.clone();
                let known = seen.iter().position(|account| Some(account.id) == after);
                let from = known.map_or(0, |place| place + 1);
                let mut page = Vec::new();
                for account in seen.into_iter().skip(from).take(limit as usize) {
                    page.extend(self.inner.account(account.id).await?);
                }
                Ok(page)
            }
            _ => self.inner.accounts(after, limit).await,
        }
    }

    async fn set_account_rights(
        &self,
        id: AccountId,
        mut rights: Rights,
    ) -> Result<Account, StoreError> {
        if self.bug == Bug::LosesPlans {
            rights.plan = None;
        }
        match self.inner.set_account_rights(id, rights.clone()).await {
            Err(StoreError::NotFound { .. }) if self.bug == Bug::RightsOfNobody => Ok(Account {
                id,
                who: Subject {
                    issuer: String::new(),
                    subject: String::new(),
                },
                email: None,
                name: None,
                rights,
                created_at: Timestamp::default(),
            }),
            answer => answer,
        }
    }

    async fn has_admin(&self) -> Result<bool, StoreError> {
        match self.bug {
            Bug::AlwaysAdmin => Ok(true),
            _ => self.inner.has_admin().await,
        }
    }

    async fn put_password(
        &self,
        username: String,
        phc: SecretString,
        mut replace: Replace,
    ) -> Result<bool, StoreError> {
        match self.bug {
            Bug::ReplacesPasswords => replace = Replace::Yes,
            Bug::RacyPassword => {
                let known = self.inner.password(&username).await?.is_some();
                if known && replace == Replace::No {
                    return Ok(false);
                }
                yield_now().await;
                replace = Replace::Yes;
            }
            _ => {}
        }
        self.inner.put_password(username, phc, replace).await
    }

    async fn password(&self, username: &str) -> Result<Option<SecretString>, StoreError> {
        match self.bug {
            Bug::AnyCase => self.inner.password(&username.to_ascii_lowercase()).await,
            _ => self.inner.password(username).await,
        }
    }

    async fn meta(&self, name: &str, value: SecretString) -> Result<SecretString, StoreError> {
        match self.bug {
            Bug::LastValueWins => Ok(value),
            Bug::RacyValue => {
                let known = self.seen.lock().unwrap().names.contains(name);
                yield_now().await;
                self.seen.lock().unwrap().names.insert(name.to_owned());
                if known {
                    return self.inner.meta(name, value).await;
                }
                self.inner.meta(name, value.clone()).await?;
                Ok(value)
            }
            _ => self.inner.meta(name, value).await,
        }
    }
}
