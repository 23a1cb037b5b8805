//! The two ports over a type that can run every call.

/// Implements both ports for `$store` by its method `run`, which makes one call.
macro_rules! ports {
    ($store:ty) => {
        #[async_trait]
        impl TenantStore for $store {
            async fn create(&self, new: NewTenant) -> Result<Created, StoreError> {
                self.run(&ops::Create { new }).await
            }

            async fn get(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
                self.run(&ops::Get { id }).await
            }

            async fn find_by_owner(&self, owner: AccountId) -> Result<Option<Tenant>, StoreError> {
                self.run(&ops::FindByOwner { owner }).await
            }

            async fn list(
                &self,
                after: Option<TenantId>,
                limit: u32,
            ) -> Result<TenantPage, StoreError> {
                self.run(&ops::List { after, limit }).await
            }

            async fn queue_position(&self, id: TenantId) -> Result<Option<u64>, StoreError> {
                self.run(&ops::QueuePosition { id }).await
            }

            async fn change(
                &self,
                id: TenantId,
                expected: Option<Revision>,
                change: Change,
                now: Timestamp,
            ) -> Result<Tenant, StoreError> {
                let op = ops::ChangeDesired {
                    id,
                    expected,
                    change,
                    now,
                };
                self.run(&op).await
            }

            async fn release(&self, id: TenantId, now: Timestamp) -> Result<Tenant, StoreError> {
                self.run(&ops::Release { id, now }).await
            }

            async fn claim_tenants(
                &self,
                request: ClaimRequest,
            ) -> Result<Vec<Claim<Tenant>>, StoreError> {
                self.run(&ops::ClaimTenants { request }).await
            }

            async fn renew(
                &self,
                id: TenantId,
                fence: Fence,
                worker: WorkerId,
                lease: Duration,
            ) -> Result<(), StoreError> {
                self.run(&ops::Renew {
                    id,
                    fence,
                    worker,
                    lease,
                })
                .await
            }

            async fn place(
                &self,
                id: TenantId,
                fence: Fence,
                request: PlaceRequest,
            ) -> Result<Location, StoreError> {
                self.run(&ops::Place { id, fence, request }).await
            }

            async fn settle(
                &self,
                id: TenantId,
                fence: Fence,
                settlement: Settlement,
                now: Timestamp,
            ) -> Result<(), StoreError> {
                let op = ops::Settle {
                    id,
                    fence,
                    settlement,
                    now,
                };
                self.run(&op).await
            }

            async fn put_host(
                &self,
                id: HostId,
                labels: BTreeMap<String, String>,
            ) -> Result<(), StoreError> {
                self.run(&ops::PutHost { id, labels }).await
            }

            async fn cordon(&self, id: HostId, cordon: Cordon) -> Result<(), StoreError> {
                self.run(&ops::SetCordon { id, cordon }).await
            }

            async fn release_host(&self, id: HostId) -> Result<(), StoreError> {
                self.run(&ops::ReleaseHost { id }).await
            }

            async fn remove_host(&self, id: HostId) -> Result<(), StoreError> {
                self.run(&ops::RemoveHost { id }).await
            }

            async fn hosts(&self) -> Result<Vec<Host>, StoreError> {
                self.run(&ops::Hosts {}).await
            }

            async fn claim_hosts(
                &self,
                request: ClaimRequest,
            ) -> Result<Vec<Claim<Host>>, StoreError> {
                self.run(&ops::ClaimHosts { request }).await
            }

            async fn settle_host(
                &self,
                id: HostId,
                fence: Fence,
                settlement: HostSettlement,
            ) -> Result<(), StoreError> {
                self.run(&ops::SettleHost {
                    id,
                    fence,
                    settlement,
                })
                .await
            }

            async fn tenants_on(&self, host: HostId) -> Result<Vec<Tenant>, StoreError> {
                self.run(&ops::TenantsOn { host }).await
            }

            async fn events(
                &self,
                tenant: Option<TenantId>,
                after: u64,
                limit: u32,
            ) -> Result<Vec<Event>, StoreError> {
                self.run(&ops::Events {
                    tenant,
                    after,
                    limit,
                })
                .await
            }

            async fn change_seq(&self) -> Result<u64, StoreError> {
                self.run(&ops::ChangeSeq {}).await
            }

            async fn changed_since(&self, after: u64, limit: u32) -> Result<Changes, StoreError> {
                self.run(&ops::ChangedSince { after, limit }).await
            }

            async fn ping(&self) -> Result<(), StoreError> {
                let answer = self.run(&ops::Ping {});
                tokio::time::timeout(Duration::from_secs(1), answer)
                    .await
                    .unwrap_or(Err(crate::error::too_late(
                        "no answer within a second",
                        None,
                    )))
            }
        }

        #[async_trait]
        impl AccessStore for $store {
            async fn put_grant(&self, grant: Grant) -> Result<(), StoreError> {
                self.run(&ops::PutGrant { grant }).await
            }

            async fn grant(
                &self,
                kind: GrantKind,
                secret: SecretHash,
                now: Timestamp,
            ) -> Result<Option<Grant>, StoreError> {
                self.run(&ops::ReadGrant { kind, secret, now }).await
            }

            async fn take_grant(
                &self,
                kind: GrantKind,
                secret: SecretHash,
                now: Timestamp,
            ) -> Result<Option<Grant>, StoreError> {
                self.run(&ops::TakeGrant { kind, secret, now }).await
            }

            async fn revoke_grants(
                &self,
                kind: GrantKind,
                account: AccountId,
            ) -> Result<u64, StoreError> {
                self.run(&ops::RevokeGrants { kind, account }).await
            }

            async fn sweep_grants(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
                self.run(&ops::SweepGrants { now, limit }).await
            }

            async fn sign_in(
                &self,
                identity: Identity,
                id: AccountId,
                now: Timestamp,
            ) -> Result<Account, StoreError> {
                self.run(&ops::SignIn { identity, id, now }).await
            }

            async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
                self.run(&ops::ReadAccount { id }).await
            }

            async fn accounts(
                &self,
                after: Option<AccountId>,
                limit: u32,
            ) -> Result<Vec<Account>, StoreError> {
                self.run(&ops::ListAccounts { after, limit }).await
            }

            async fn set_account_rights(
                &self,
                id: AccountId,
                rights: Rights,
            ) -> Result<Account, StoreError> {
                self.run(&ops::SetRights { id, rights }).await
            }

            async fn has_admin(&self) -> Result<bool, StoreError> {
                self.run(&ops::HasAdmin {}).await
            }

            async fn put_password(
                &self,
                username: String,
                phc: SecretString,
                replace: Replace,
            ) -> Result<bool, StoreError> {
                let op = ops::PutPassword {
                    username,
                    phc,
                    replace,
                };
                self.run(&op).await
            }

            async fn password(&self, username: &str) -> Result<Option<SecretString>, StoreError> {
                let username = username.to_owned();
                self.run(&ops::ReadPassword { username }).await
            }

            async fn meta(
                &self,
                name: &str,
                value: SecretString,
            ) -> Result<SecretString, StoreError> {
                let name = name.to_owned();
                self.run(&ops::Meta { name, value }).await
            }
        }
    };
}

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use openclaw_tenancy::access::{
    AccessStore, Account, Grant, GrantKind, Replace, Rights, SecretHash,
};
use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::event::Event;
use openclaw_tenancy::host::Host;
use openclaw_tenancy::id::{AccountId, Fence, HostId, Revision, TenantId, WorkerId};
use openclaw_tenancy::identity::Identity;
use openclaw_tenancy::store::{
    Change, Changes, Claim, ClaimRequest, Cordon, Created, HostSettlement, PlaceRequest,
    Settlement, StoreError, TenantPage, TenantStore,
};
use openclaw_tenancy::tenant::{Location, NewTenant, Tenant};
use secrecy::SecretString;

use crate::ops;

#[cfg(feature = "postgres")]
ports!(crate::PostgresStore);
#[cfg(feature = "sqlite")]
ports!(crate::SqliteStore);
