//! An access store that can be switched off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use openclaw_tenancy::access::{
    AccessStore, Account, Grant, GrantKind, Replace, Rights, SecretHash,
};
use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::id::AccountId;
use openclaw_tenancy::identity::Identity;
use openclaw_tenancy::store::StoreError;
use secrecy::SecretString;

/// Answers "unavailable" while it is down. Or loses a race each time: whoever is given a session at an instance has
/// just signed out.
#[derive(Debug)]
pub(crate) struct Outage {
    pub(crate) inner: Arc<dyn AccessStore>,
    pub(crate) down: Arc<AtomicBool>,
    pub(crate) signs_out: bool,
    /// How often a grant was to be taken, which is a write.
    pub(crate) takes: Arc<AtomicUsize>,
}

impl Outage {
    fn up(&self) -> Result<&dyn AccessStore, StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable {
                what: "an outage",
                source: None,
            });
        }
        Ok(&*self.inner)
    }
}

#[async_trait]
impl AccessStore for Outage {
    async fn put_grant(&self, grant: Grant) -> Result<(), StoreError> {
        let up = self.up()?;
        if let (true, GrantKind::InstanceSession, Some(account)) =
            (self.signs_out, grant.kind, grant.account)
        {
            for kind in [GrantKind::InstanceSession, GrantKind::Session] {
                up.revoke_grants(kind, account).await?;
            }
        }
        up.put_grant(grant).await
    }
    async fn grant(
        &self,
        kind: GrantKind,
        secret: SecretHash,
        now: Timestamp,
    ) -> Result<Option<Grant>, StoreError> {
        self.up()?.grant(kind, secret, now).await
    }
    async fn take_grant(
        &self,
        kind: GrantKind,
        secret: SecretHash,
        now: Timestamp,
    ) -> Result<Option<Grant>, StoreError> {
        self.takes.fetch_add(1, Ordering::SeqCst);
        self.up()?.take_grant(kind, secret, now).await
    }
    async fn revoke_grants(&self, kind: GrantKind, account: AccountId) -> Result<u64, StoreError> {
        self.up()?.revoke_grants(kind, account).await
    }
    async fn sweep_grants(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.up()?.sweep_grants(now, limit).await
    }
    async fn sign_in(
        &self,
        identity: Identity,
        id: AccountId,
        now: Timestamp,
    ) -> Result<Account, StoreError> {
        self.up()?.sign_in(identity, id, now).await
    }
    async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        self.up()?.account(id).await
    }
    async fn accounts(
        &self,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError> {
        self.up()?.accounts(after, limit).await
    }
    async fn set_account_rights(
        &self,
        id: AccountId,
        rights: Rights,
    ) -> Result<Account, StoreError> {
        self.up()?.set_account_rights(id, rights).await
    }
    async fn has_admin(&self) -> Result<bool, StoreError> {
        self.up()?.has_admin().await
    }
    async fn put_password(
        &self,
        username: String,
        phc: SecretString,
        replace: Replace,
    ) -> Result<bool, StoreError> {
        self.up()?.put_password(username, phc, replace).await
    }
    async fn password(&self, username: &str) -> Result<Option<SecretString>, StoreError> {
        self.up()?.password(username).await
    }
    async fn meta(&self, name: &str, value: SecretString) -> Result<SecretString, StoreError> {
        self.up()?.meta(name, value).await
    }
}
