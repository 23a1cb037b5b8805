//! Rows of either database as the core's types.

use std::collections::BTreeMap;

use openclaw_tenancy::access::{Account, Grant, GrantKind, Rights, SecretHash};
use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::event::{Event, NewEvent};
use openclaw_tenancy::host::{Host, HostFacts, HostState, Reserved};
use openclaw_tenancy::id::{AccountId, Fence, Generation, HostId, Revision, Slug, TenantId};
use openclaw_tenancy::identity::Subject;
use openclaw_tenancy::plan::PlanName;
use openclaw_tenancy::quantity::{Bytes, MilliCpus};
use openclaw_tenancy::store::StoreError;
use openclaw_tenancy::store::rules::{self, Meanwhile};
use openclaw_tenancy::tenant::{Desired, Hold, Location, Observed, Settings, Tenant};
use serde::Serialize;
use sqlx::types::Json;
use sqlx::{FromRow, Row};
use uuid::Uuid;

/// A tenant with its claim.
#[derive(Debug)]
pub(crate) struct TenantRow {
    /// As it is stored: what is at its places is written there as it was last settled.
    pub(crate) stored: Tenant,
    pub(crate) fence: Fence,
    /// The claim that was not settled, if there is one.
    open: Option<Meanwhile>,
}

impl TenantRow {
    /// The tenant as reads show it: while a claim is open, nobody knows what is at its places.
    ///
    /// So a claim need not rewrite what was observed; its own row says it.
    pub(crate) fn shown(mut self) -> Tenant {
        if self.open.is_some() {
            self.stored.observed.mark_unknown();
        }
        self.stored
    }

    pub(crate) const fn is_claimed(&self) -> bool {
        self.open.is_some()
    }

    /// The claim, if this fence is its fence.
    pub(crate) fn held_by(&self, fence: Fence) -> Result<&Meanwhile, StoreError> {
        let open = self.open.as_ref().filter(|_| self.fence == fence);
        open.ok_or(StoreError::Fenced)
    }
}

/// One row of many: nothing, and a word in the log, where it cannot be read.
///
/// One damaged row, or one that a newer release wrote, must not keep a worker from all others. Whoever asks
/// for that row alone gets the error.
#[derive(Debug)]
pub(crate) struct OneOfMany<T>(pub(crate) Option<T>);

impl<'r, R: Row, T: FromRow<'r, R>> FromRow<'r, R> for OneOfMany<T> {
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        match T::from_row(row) {
            Ok(value) => Ok(Self(Some(value))),
            Err(sqlx::Error::Decode(error)) => {
                let error = openclaw_tenancy::error::chain(&*error);
                tracing::error!(error, "a stored row is passed over");
                Ok(Self(None))
            }
            Err(error) => Err(error),
        }
    }
}

/// Which row cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{kind} {id} cannot be read: damaged, or written by a newer release")]
struct UnreadableRow {
    kind: &'static str,
    id: String,
    source: sqlx::Error,
}

/// An error in reading the row of `id`, with its name.
fn in_row(kind: &'static str, id: impl std::fmt::Display, source: sqlx::Error) -> sqlx::Error {
    let id = id.to_string();
    unreadable(UnreadableRow { kind, id, source })
}

/// A host with its claim's fence.
#[derive(Debug)]
pub(crate) struct HostRow {
    pub(crate) host: Host,
    pub(crate) fence: Fence,
}

/// What is kept of a tenant that is gone.
#[derive(Debug)]
pub(crate) struct GoneRow(pub(crate) Tenant);

#[derive(Debug)]
pub(crate) struct EventRow(pub(crate) Event);

/// What a grant is beside its kind and secret, by which it is found.
#[derive(Debug)]
pub(crate) struct GrantRow {
    account: Option<AccountId>,
    data: String,
    created_at: Timestamp,
    expires_at: Timestamp,
}

impl GrantRow {
    pub(crate) fn grant(self, kind: GrantKind, secret: SecretHash) -> Grant {
        Grant {
            kind,
            secret,
            account: self.account,
            data: self.data,
            created_at: self.created_at,
            expires_at: self.expires_at,
        }
    }
}

#[derive(Debug)]
pub(crate) struct AccountRow(pub(crate) Account);

/// A number as a database keeps it: signed, 64 bits.
pub(crate) fn to_db(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A time span in whole milliseconds.
pub(crate) fn millis(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX >> 1)
}

pub(crate) fn from_db(n: i64) -> Result<u64, sqlx::Error> {
    u64::try_from(n).map_err(unreadable)
}

/// A value as a database keeps it.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

/// What the places of one tenant take more (or, below zero, less) of a host than before.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Delta {
    pub(crate) cpu: i64,
    pub(crate) memory: i64,
    pub(crate) swap: i64,
    pub(crate) instances: i64,
}

/// The hosts on which the reservation changes, in the order of their ids: the order of their locks.
pub(crate) fn deltas<'a>(
    before: &'a [Location],
    after: &'a [Location],
) -> BTreeMap<&'a HostId, Delta> {
    let mut deltas: BTreeMap<&HostId, Delta> = BTreeMap::new();
    for (sign, locations) in [(-1, before), (1, after)] {
        for location in locations {
            let delta = deltas.entry(&location.host).or_default();
            let one = Reserved::default().with(&location.granted);
            delta.cpu += sign * to_db(one.cpu.0);
            delta.memory += sign * to_db(one.memory.0);
            delta.swap += sign * to_db(one.swap.0);
            delta.instances += sign * to_db(one.instances);
        }
    }
    deltas.retain(|_, delta| *delta != Delta::default());
    deltas
}

/// Maps rows of one database. Both have the same columns; only their type for ids differs.
macro_rules! rows_of {
    ($row:ty, $id:ty) => {
        impl FromRow<'_, $row> for TenantRow {
            fn from_row(row: &$row) -> Result<Self, sqlx::Error> {
                let id = Uuid::from(row.try_get::<$id, _>("id")?);
                let read = || {
                    let claimed: Option<i64> = row.try_get("claimed_revision")?;
                    let released: Option<Json<Hold>> = row.try_get("released")?;
                    let open = claimed.map(from_db).transpose()?.map(|claimed| Meanwhile {
                        claimed: Revision(claimed),
                        released: released.map(|hold| hold.0),
                    });
                    let stored = Tenant {
                        id: TenantId::from_uuid(id),
                        slug: slug(row.try_get("slug")?)?,
                        owner: AccountId::from_uuid(Uuid::from(row.try_get::<$id, _>("owner")?)),
                        settings: row.try_get::<Json<Settings>, _>("settings")?.0,
                        desired: row.try_get::<Json<Desired>, _>("desired")?.0,
                        revision: Revision(from_db(row.try_get("revision")?)?),
                        observed: row.try_get::<Json<Observed>, _>("observed")?.0,
                        created_at: Timestamp::from_millis(row.try_get("created_at")?),
                    };
                    let fence = Fence(from_db(row.try_get("fence")?)?);
                    Ok(Self {
                        stored,
                        fence,
                        open,
                    })
                };
                read().map_err(|error| in_row("tenant", id, error))
            }
        }

        impl FromRow<'_, $row> for GoneRow {
            fn from_row(row: &$row) -> Result<Self, sqlx::Error> {
                let tenant = Tenant {
                    id: TenantId::from_uuid(Uuid::from(row.try_get::<$id, _>("id")?)),
                    slug: slug(row.try_get("slug")?)?,
                    owner: AccountId::from_uuid(Uuid::from(row.try_get::<$id, _>("owner")?)),
                    settings: Settings::default(),
                    desired: row.try_get::<Json<Desired>, _>("desired")?.0,
                    revision: Revision(from_db(row.try_get("revision")?)?),
                    observed: Observed {
                        generation: Generation(from_db(row.try_get("generation")?)?),
                        ..Observed::default()
                    },
                    created_at: Timestamp::from_millis(row.try_get("created_at")?),
                };
                Ok(Self(rules::remains(tenant)))
            }
        }

        impl FromRow<'_, $row> for HostRow {
            fn from_row(row: &$row) -> Result<Self, sqlx::Error> {
                let id: String = row.try_get("id")?;
                let read = || {
                    let host = Host {
                        id: HostId::new(id.clone()).map_err(unreadable)?,
                        labels: row
                            .try_get::<Json<BTreeMap<String, String>>, _>("labels")?
                            .0,
                        cordoned: row.try_get("cordoned")?,
                        state: row.try_get::<Json<HostState>, _>("state")?.0,
                        facts: row
                            .try_get::<Option<Json<HostFacts>>, _>("facts")?
                            .map(|f| f.0),
                        marker: row.try_get("marker")?,
                        reserved: Reserved {
                            cpu: MilliCpus(from_db(row.try_get("reserved_cpu")?)?),
                            memory: Bytes(from_db(row.try_get("reserved_memory")?)?),
                            swap: Bytes(from_db(row.try_get("reserved_swap")?)?),
                            instances: from_db(row.try_get("reserved_instances")?)?,
                        },
                    };
                    let fence = Fence(from_db(row.try_get("fence")?)?);
                    Ok(Self { host, fence })
                };
                read().map_err(|error| in_row("host", &id, error))
            }
        }

        impl FromRow<'_, $row> for EventRow {
            fn from_row(row: &$row) -> Result<Self, sqlx::Error> {
                Ok(Self(Event {
                    seq: from_db(row.try_get("number")?)?,
                    tenant: TenantId::from_uuid(Uuid::from(row.try_get::<$id, _>("tenant")?)),
                    at: Timestamp::from_millis(row.try_get("at")?),
                    event: row.try_get::<Json<NewEvent>, _>("event")?.0,
                }))
            }
        }

        impl FromRow<'_, $row> for AccountRow {
            fn from_row(row: &$row) -> Result<Self, sqlx::Error> {
                let plan: Option<String> = row.try_get("plan")?;
                Ok(Self(Account {
                    id: AccountId::from_uuid(Uuid::from(row.try_get::<$id, _>("id")?)),
                    who: Subject {
                        issuer: row.try_get("issuer")?,
                        subject: row.try_get("subject")?,
                    },
                    email: row.try_get("email")?,
                    name: row.try_get("name")?,
                    rights: Rights {
                        admin: row.try_get("admin")?,
                        plan: plan.map(PlanName::new).transpose().map_err(unreadable)?,
                    },
                    created_at: Timestamp::from_millis(row.try_get("created_at")?),
                }))
            }
        }

        impl FromRow<'_, $row> for GrantRow {
            fn from_row(row: &$row) -> Result<Self, sqlx::Error> {
                let account: Option<$id> = row.try_get("account")?;
                Ok(Self {
                    account: account.map(|id| AccountId::from_uuid(Uuid::from(id))),
                    data: row.try_get("data")?,
                    created_at: Timestamp::from_millis(row.try_get("created_at")?),
                    expires_at: Timestamp::from_millis(row.try_get("expires_at")?),
                })
            }
        }
    };
}

fn slug(text: String) -> Result<Slug, sqlx::Error> {
    Slug::try_from(text).map_err(unreadable)
}

#[cfg(feature = "postgres")]
rows_of!(sqlx::postgres::PgRow, Uuid);
#[cfg(feature = "sqlite")]
rows_of!(sqlx::sqlite::SqliteRow, uuid::fmt::Hyphenated);
