//! The calls of the two ports as values, so that a call can be made again after a conflict.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use openclaw_tenancy::access::{Account, Grant, GrantKind, Replace, Rights, SecretHash};
use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::event::Event;
use openclaw_tenancy::host::Host;
use openclaw_tenancy::id::{AccountId, Fence, HostId, Revision, TenantId, WorkerId};
use openclaw_tenancy::identity::Identity;
use openclaw_tenancy::store::{
    Change, Changes, Claim, ClaimRequest, Cordon, Created, HostSettlement, PlaceRequest,
    Settlement, TenantPage,
};
use openclaw_tenancy::tenant::{Location, NewTenant, Tenant};
use secrecy::SecretString;

use crate::error::Failure;

/// A call.
pub(crate) trait Op: Sync {
    /// What it answers.
    type Answer: Send;
    /// What is tried, for errors.
    const WHAT: &'static str;
    /// Whether it writes.
    const KIND: Kind;
}

/// A call that can be made on a connection `C`.
pub(crate) trait Run<C>: Op {
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
    ($($kind:ident $name:ident { $($field:ident: $type:ty),* } -> $answer:ty: $what:literal;)*) => {
        $(
            #[derive(Debug)]
            pub(crate) struct $name {
                $(pub(crate) $field: $type),*
            }

            impl Op for $name {
                type Answer = $answer;
                const WHAT: &'static str = $what;
                const KIND: Kind = Kind::$kind;
            }
        )*
    };
}

// The tenant store's.
ops! {
    Write Create { new: NewTenant } -> Created: "making a tenant";
    Read Get { id: TenantId } -> Option<Tenant>: "reading a tenant";
    Read FindByOwner { owner: AccountId } -> Option<Tenant>: "finding an owner's tenant";
    Read List { after: Option<TenantId>, limit: u32 } -> TenantPage: "listing tenants";
    Read QueuePosition { id: TenantId } -> Option<u64>: "reading the queue";
    Write ChangeDesired { id: TenantId, expected: Option<Revision>, change: Change, now: Timestamp } -> Tenant: "changing a tenant";
    Write Release { id: TenantId, now: Timestamp } -> Tenant: "ending a hold";
    Write ClaimTenants { request: ClaimRequest } -> Vec<Claim<Tenant>>: "claiming tenants";
    Write Renew { id: TenantId, fence: Fence, worker: WorkerId, lease: Duration } -> (): "renewing a claim";
    Write Place { id: TenantId, fence: Fence, request: PlaceRequest } -> Location: "reserving a place";
    Write Settle { id: TenantId, fence: Fence, settlement: Settlement, now: Timestamp } -> (): "settling a tenant";
    Write PutHost { id: HostId, labels: BTreeMap<String, String> } -> (): "making a host known";
    Write SetCordon { id: HostId, cordon: Cordon } -> (): "cordoning a host";
    Write ReleaseHost { id: HostId } -> (): "releasing a host";
    Write RemoveHost { id: HostId } -> (): "forgetting a host";
    Read Hosts {} -> Vec<Host>: "listing hosts";
    Write ClaimHosts { request: ClaimRequest } -> Vec<Claim<Host>>: "claiming hosts";
    Write SettleHost { id: HostId, fence: Fence, settlement: HostSettlement } -> (): "settling a host";
    Read TenantsOn { host: HostId } -> Vec<Tenant>: "listing a host's tenants";
    Read Events { tenant: Option<TenantId>, after: u64, limit: u32 } -> Vec<Event>: "reading events";
    Read ChangeSeq {} -> u64: "reading the number of the last change";
    Read ChangedSince { after: u64, limit: u32 } -> Changes: "reading what changed";
    Read Ping {} -> (): "asking whether the database answers";
}

// The access store's.
ops! {
    Write PutGrant { grant: Grant } -> (): "writing a grant";
    Read ReadGrant { kind: GrantKind, secret: SecretHash, now: Timestamp } -> Option<Grant>: "reading a grant";
    Write TakeGrant { kind: GrantKind, secret: SecretHash, now: Timestamp } -> Option<Grant>: "taking a grant";
    Write RevokeGrants { kind: GrantKind, account: AccountId } -> u64: "revoking grants";
    Write SweepGrants { now: Timestamp, limit: u32 } -> u64: "removing expired grants";
    Write SignIn { identity: Identity, id: AccountId, now: Timestamp } -> Account: "signing in";
    Read ReadAccount { id: AccountId } -> Option<Account>: "reading an account";
    Read ListAccounts { after: Option<AccountId>, limit: u32 } -> Vec<Account>: "listing accounts";
    Write SetRights { id: AccountId, rights: Rights } -> Account: "changing an account's rights";
    Read HasAdmin {} -> bool: "looking for an administrator";
    Write PutPassword { username: String, phc: SecretString, replace: Replace } -> bool: "writing a password";
    Read ReadPassword { username: String } -> Option<SecretString>: "reading a password";
    Write Meta { name: String, value: SecretString } -> SecretString: "reading a value of the server's";
}
