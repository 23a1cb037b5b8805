//! [`AccessStore`] in memory.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use secrecy::SecretString;

use crate::access::{
    AccessStore, Account, GRANTS_KEPT, Grant, GrantKind, Replace, Rights, SecretHash,
};
use crate::clock::Timestamp;
use crate::id::AccountId;
use crate::identity::{Identity, Subject};
use crate::store::StoreError;

/// An [`AccessStore`] whose rows live as long as it does.
#[derive(Debug, Default)]
pub struct MemoryAccess(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    grants: BTreeMap<(GrantKind, SecretHash), Grant>,
    accounts: BTreeMap<AccountId, Account>,
    subjects: BTreeMap<Subject, AccountId>,
    passwords: BTreeMap<String, SecretString>,
    meta: BTreeMap<String, SecretString>,
}

impl Tables {
    /// Ends the oldest grants of `account` beyond [`GRANTS_KEPT`] of the kind; not `written`, the one just written.
    fn keep_newest(&mut self, account: AccountId, written: (GrantKind, SecretHash)) {
        let theirs = self.grants.iter().filter(|(key, grant)| {
            key.0 == written.0 && **key != written && grant.account == Some(account)
        });
        let mut others: Vec<_> = theirs
            .map(|(key, grant)| (grant.created_at, *key))
            .collect();
        let kept = GRANTS_KEPT as usize - 1;
        if others.len() > kept {
            others.sort_unstable_by(|a, b| b.cmp(a));
            for (_, key) in &others[kept..] {
                self.grants.remove(key);
            }
        }
    }
}

impl MemoryAccess {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl AccessStore for MemoryAccess {
    async fn put_grant(&self, grant: Grant) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let key = (grant.kind, grant.secret);
        if tables.grants.contains_key(&key) {
            return Err(StoreError::Conflict { what: "grant" });
        }
        let account = grant.account;
        tables.grants.insert(key, grant);
        if let Some(account) = account {
            tables.keep_newest(account, key);
        }
        Ok(())
    }

    async fn grant(
        &self,
        kind: GrantKind,
        secret: SecretHash,
        now: Timestamp,
    ) -> Result<Option<Grant>, StoreError> {
        let tables = self.tables();
        let grant = tables.grants.get(&(kind, secret));
        Ok(grant.filter(|grant| now < grant.expires_at).cloned())
    }

    async fn take_grant(
        &self,
        kind: GrantKind,
        secret: SecretHash,
        now: Timestamp,
    ) -> Result<Option<Grant>, StoreError> {
        let grant = self.tables().grants.remove(&(kind, secret));
        Ok(grant.filter(|grant| now < grant.expires_at))
    }

    async fn revoke_grants(&self, kind: GrantKind, account: AccountId) -> Result<u64, StoreError> {
        let mut tables = self.tables();
        let before = tables.grants.len();
        tables
            .grants
            .retain(|_, grant| grant.kind != kind || grant.account != Some(account));
        Ok(count(before - tables.grants.len()))
    }

    async fn sweep_grants(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut tables = self.tables();
        let expired: Vec<_> = tables
            .grants
            .iter()
            .filter(|(_, grant)| grant.expires_at <= now)
            .map(|(key, _)| *key)
            .take(limit as usize)
            .collect();
        for key in &expired {
            tables.grants.remove(key);
        }
        Ok(count(expired.len()))
    }

    async fn sign_in(
        &self,
        identity: Identity,
        id: AccountId,
        now: Timestamp,
    ) -> Result<Account, StoreError> {
        let mut tables = self.tables();
        let known = tables.subjects.get(&identity.who).copied();
        if known.is_none() && tables.accounts.contains_key(&id) {
            return Err(StoreError::Conflict { what: "account" });
        }
        let account = tables
            .accounts
            .entry(known.unwrap_or(id))
            .or_insert_with(|| Account {
                id,
                who: identity.who.clone(),
                email: None,
                name: None,
                rights: Rights::default(),
                created_at: now,
            });
        account.update_contact(&identity);
        let account = account.clone();
        tables.subjects.insert(identity.who, account.id);
        Ok(account)
    }

    async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        Ok(self.tables().accounts.get(&id).cloned())
    }

    async fn accounts(
        &self,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let tables = self.tables();
        let page = tables.accounts.range((from, Bound::Unbounded)).take(limit);
        Ok(page.map(|(_, account)| account.clone()).collect())
    }

    async fn set_account_rights(
        &self,
        id: AccountId,
        rights: Rights,
    ) -> Result<Account, StoreError> {
        let mut tables = self.tables();
        let account = tables
            .accounts
            .get_mut(&id)
            .ok_or(StoreError::NotFound { what: "account" })?;
        account.rights = rights;
        Ok(account.clone())
    }

    async fn has_admin(&self) -> Result<bool, StoreError> {
        let tables = self.tables();
        Ok(tables.accounts.values().any(|account| account.rights.admin))
    }

    async fn put_password(
        &self,
        username: String,
        phc: SecretString,
        replace: Replace,
    ) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        if replace == Replace::No && tables.passwords.contains_key(&username) {
            return Ok(false);
        }
        tables.passwords.insert(username, phc);
        Ok(true)
    }

    async fn password(&self, username: &str) -> Result<Option<SecretString>, StoreError> {
        Ok(self.tables().passwords.get(username).cloned())
    }

    async fn meta(&self, name: &str, value: SecretString) -> Result<SecretString, StoreError> {
        let mut tables = self.tables();
        Ok(tables.meta.entry(name.to_owned()).or_insert(value).clone())
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
