//! The calls of the two ports as values, so that a call can be made again after a conflict.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use openclaw_tenancy::access::{Grant, GrantKind, Replace, Rights, SecretHash};
use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::id::{AccountId, Fence, HostId, Revision, TenantId, WorkerId};
use openclaw_tenancy::identity::Identity;
use openclaw_tenancy::store::{
    Change, ClaimRequest, Cordon, HostSettlement, PlaceRequest, Settlement,
};
use openclaw_tenancy::tenant::NewTenant;
use secrecy::SecretString;

use crate::error::Failure;

/// A call, made on a connection `C`.
pub(crate) trait Op<C>: Sync {
    /// What it answers.
    type Answer: Send;
    /// What is tried, for errors.
    const WHAT: &'static str;
    /// Whether it writes.
    const KIND: Kind;

    /// Makes one attempt. What it wrote counts only when the caller commits.
    fn run(&self, on: &mut C) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One statement that reads.
    Read,
    /// A transaction.
    Write,
}

macro_rules! ops {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub(crate) struct $name {
                $(pub(crate) $field: $type),*
            }
        )*
    };
}

// The tenant store's.
ops! {
    Create { new: NewTenant }
    Get { id: TenantId }
    FindByOwner { owner: AccountId }
    List { after: Option<TenantId>, limit: u32 }
    QueuePosition { id: TenantId }
    ChangeDesired { id: TenantId, expected: Option<Revision>, change: Change, now: Timestamp }
    Release { id: TenantId, now: Timestamp }
    ClaimTenants { request: ClaimRequest }
    Renew { id: TenantId, fence: Fence, worker: WorkerId, lease: Duration }
    Place { id: TenantId, fence: Fence, request: PlaceRequest }
    Settle { id: TenantId, fence: Fence, settlement: Settlement, now: Timestamp }
    PutHost { id: HostId, labels: BTreeMap<String, String> }
    SetCordon { id: HostId, cordon: Cordon }
    Hosts {}
    ClaimHosts { request: ClaimRequest }
    SettleHost { id: HostId, fence: Fence, settlement: HostSettlement }
    TenantsOn { host: HostId }
    Events { tenant: Option<TenantId>, after: u64, limit: u32 }
    ChangeSeq {}
    ChangedSince { after: u64, limit: u32 }
    Ping {}
}

// The access store's.
ops! {
    PutGrant { grant: Grant }
    ReadGrant { kind: GrantKind, secret: SecretHash, now: Timestamp }
    TakeGrant { kind: GrantKind, secret: SecretHash, now: Timestamp }
    RevokeGrants { kind: GrantKind, account: AccountId }
    SweepGrants { now: Timestamp, limit: u32 }
    SignIn { identity: Identity, id: AccountId, now: Timestamp }
    ReadAccount { id: AccountId }
    SetRights { id: AccountId, rights: Rights }
    HasAdmin {}
    PutPassword { username: String, phc: SecretString, replace: Replace }
    ReadPassword { username: String }
    Meta { name: String, value: SecretString }
}
