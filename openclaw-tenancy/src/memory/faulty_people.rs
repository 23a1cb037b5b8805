//! The ports about people wrapped so that their calls meet faults.

use async_trait::async_trait;
use secrecy::SecretString;

use super::faulty::{Faulty, store_error};
use crate::access::{AccessStore, Account, Grant, GrantKind, Replace, Rights, SecretHash};
use crate::clock::Timestamp;
use crate::id::AccountId;
use crate::identity::{
    Identity, IdentityError, IdentityProvider, LoggedIn, LoginAnswer, LoginRequest, LoginStep,
};
use crate::store::StoreError;

#[async_trait]
impl<P: AccessStore + ?Sized> AccessStore for Faulty<P> {
    async fn put_grant(&self, grant: Grant) -> Result<(), StoreError> {
        let call = self.inner.put_grant(grant);
        self.faults.run("access.put_grant", call, store_error).await
    }

    async fn grant(
        &self,
        kind: GrantKind,
        secret: SecretHash,
        now: Timestamp,
    ) -> Result<Option<Grant>, StoreError> {
        let call = self.inner.grant(kind, secret, now);
        self.faults.run("access.grant", call, store_error).await
    }

    async fn take_grant(
        &self,
        kind: GrantKind,
        secret: SecretHash,
        now: Timestamp,
    ) -> Result<Option<Grant>, StoreError> {
        let call = self.inner.take_grant(kind, secret, now);
        self.faults
            .run("access.take_grant", call, store_error)
            .await
    }

    async fn revoke_grants(&self, kind: GrantKind, account: AccountId) -> Result<u64, StoreError> {
        let call = self.inner.revoke_grants(kind, account);
        self.faults
            .run("access.revoke_grants", call, store_error)
            .await
    }

    async fn sweep_grants(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let call = self.inner.sweep_grants(now, limit);
        self.faults
            .run("access.sweep_grants", call, store_error)
            .await
    }

    async fn sign_in(
        &self,
        identity: Identity,
        id: AccountId,
        now: Timestamp,
    ) -> Result<Account, StoreError> {
        let call = self.inner.sign_in(identity, id, now);
        self.faults.run("access.sign_in", call, store_error).await
    }

    async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let call = self.inner.account(id);
        self.faults.run("access.account", call, store_error).await
    }

    async fn accounts(
        &self,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError> {
        let call = self.inner.accounts(after, limit);
        self.faults.run("access.accounts", call, store_error).await
    }

    async fn set_account_rights(
        &self,
        id: AccountId,
        rights: Rights,
    ) -> Result<Account, StoreError> {
        let call = self.inner.set_account_rights(id, rights);
        self.faults
            .run("access.set_account_rights", call, store_error)
            .await
    }

    async fn has_admin(&self) -> Result<bool, StoreError> {
        let call = self.inner.has_admin();
        self.faults.run("access.has_admin", call, store_error).await
    }

    async fn put_password(
        &self,
        username: String,
        phc: SecretString,
        replace: Replace,
    ) -> Result<bool, StoreError> {
        let call = self.inner.put_password(username, phc, replace);
        self.faults
            .run("access.put_password", call, store_error)
            .await
    }

    async fn password(&self, username: &str) -> Result<Option<SecretString>, StoreError> {
        let call = self.inner.password(username);
        self.faults.run("access.password", call, store_error).await
    }

    async fn meta(&self, name: &str, value: SecretString) -> Result<SecretString, StoreError> {
        let call = self.inner.meta(name, value);
        self.faults.run("access.meta", call, store_error).await
    }
}

fn identity_error() -> IdentityError {
    IdentityError::Unavailable {
        reason: "injected fault".to_owned(),
        source: None,
    }
}

#[async_trait]
impl<P: IdentityProvider + ?Sized> IdentityProvider for Faulty<P> {
    fn issuer(&self) -> &str {
        self.inner.issuer()
    }

    async fn verify(&self, token: &SecretString) -> Result<Identity, IdentityError> {
        let call = self.inner.verify(token);
        self.faults
            .run("identity.verify", call, identity_error)
            .await
    }

    async fn begin(&self, request: LoginRequest) -> Result<LoginStep, IdentityError> {
        let call = self.inner.begin(request);
        self.faults
            .run("identity.begin", call, identity_error)
            .await
    }

    async fn finish(&self, answer: LoginAnswer) -> Result<LoggedIn, IdentityError> {
        let call = self.inner.finish(answer);
        self.faults
            .run("identity.finish", call, identity_error)
            .await
    }
}
