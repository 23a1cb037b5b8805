//! Making tenants.
//!
//! Locks are taken in one order everywhere: idempotency key, tenant, host, plan, numbers.

use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::store::{Created, StoreError, rules};
use openclaw_tenancy::tenant::{IdempotencyKey, NewTenant, Tenant};
use sqlx::types::Uuid;
use sqlx::{PgConnection, Row};

use super::log::announce;
use super::tenant_columns;
use crate::error::Failure;
use crate::ops::{Create, Run};
use crate::rows::{GoneRow, TenantRow, json, to_db};

impl Run<PgConnection> for Create {
    async fn run(&self, on: &mut PgConnection) -> Result<Created, Failure> {
        let new = &self.new;
        forget_expired(on, new.created_at).await?;
        if let Some(key) = &new.idempotency
            && let Some(replayed) = use_key(on, new, key).await?
        {
            return Ok(Created::Replayed(replayed));
        }
        let tenant = rules::made(new.clone());
        insert(on, &tenant).await?;
        check_kept_back(on, new).await?;
        take_seat(on, new).await?;
        announce(on, tenant.id, &[rules::requested(&tenant)], new.created_at).await?;
        Ok(Created::New(tenant))
    }
}

/// Removes a few of the keys and slugs whose time is over: more than one create adds, so they stay few.
async fn forget_expired(on: &mut PgConnection, now: Timestamp) -> Result<(), Failure> {
    sqlx::query(
        "WITH old_keys AS MATERIALIZED (\
             SELECT owner, key FROM idempotency_keys WHERE until <= $1 \
             LIMIT 16 FOR UPDATE SKIP LOCKED\
         ), old_tenants AS MATERIALIZED (\
             SELECT id FROM gone_tenants WHERE until <= $1 \
             LIMIT 16 FOR UPDATE SKIP LOCKED\
         ), forgotten_keys AS (\
             DELETE FROM idempotency_keys k USING old_keys o \
             WHERE k.owner = o.owner AND k.key = o.key\
         ), forgotten_tenants AS (\
             DELETE FROM gone_tenants g USING old_tenants o WHERE g.id = o.id\
         ), forgotten_changes AS (\
             DELETE FROM changes c USING old_tenants o WHERE c.tenant = o.id\
         ) \
         DELETE FROM events e USING old_tenants o WHERE e.tenant = o.id",
    )
    .bind(now.as_millis())
    .execute(on)
    .await?;
    Ok(())
}

/// Takes the key for this request, or answers what its first request came to.
///
/// Of several at once the first inserts, and the others wait for how it ends.
async fn use_key(
    on: &mut PgConnection,
    new: &NewTenant,
    asked: &IdempotencyKey,
) -> Result<Option<Tenant>, Failure> {
    let taken = sqlx::query(
        "INSERT INTO idempotency_keys AS k (owner, key, request, tenant, until) \
         VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (owner, key) DO UPDATE \
         SET request = EXCLUDED.request, tenant = EXCLUDED.tenant, until = EXCLUDED.until \
         WHERE k.until <= $6",
    )
    .bind(new.owner.as_uuid())
    .bind(&asked.key)
    .bind(&asked.request)
    .bind(new.id.as_uuid())
    .bind(new.created_at.plus(rules::IDEMPOTENCY_KEPT).as_millis())
    .bind(new.created_at.as_millis())
    .execute(&mut *on)
    .await?;
    if taken.rows_affected() > 0 {
        return Ok(None);
    }
    let used =
        sqlx::query("SELECT request, tenant FROM idempotency_keys WHERE owner = $1 AND key = $2")
            .bind(new.owner.as_uuid())
            .bind(&asked.key)
            .fetch_optional(&mut *on)
            .await?
            .ok_or(Failure::Overtaken)?;
    if used.try_get::<String, _>("request")? != asked.request {
        return Err(StoreError::IdempotencyMismatch.into());
    }
    let id: Uuid = used.try_get("tenant")?;
    let live: Option<TenantRow> = sqlx::query_as(concat!(
        "SELECT ",
        tenant_columns!(),
        " FROM tenants t WHERE t.id = $1"
    ))
    .bind(id)
    .fetch_optional(&mut *on)
    .await?;
    if let Some(live) = live {
        return Ok(Some(live.shown()));
    }
    let gone: Option<GoneRow> = sqlx::query_as(
        "SELECT id, slug, owner, desired, revision, generation, created_at \
         FROM gone_tenants WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(on)
    .await?;
    // It went between the two reads at most; a new attempt sees it among those that are gone.
    gone.map(|gone| Some(gone.0)).ok_or(Failure::Overtaken)
}

async fn insert(on: &mut PgConnection, tenant: &Tenant) -> Result<(), Failure> {
    let inserted = sqlx::query(
        "INSERT INTO tenants \
         (id, slug, owner, settings, desired, revision, observed, created_at, waiting, due_at) \
         VALUES ($1, $2, $3, $4::json, $5::json, $6, $7::json, $8, $9, tenancy_now()) \
         ON CONFLICT DO NOTHING",
    )
    .bind(tenant.id.as_uuid())
    .bind(tenant.slug.as_str())
    .bind(tenant.owner.as_uuid())
    .bind(json(&tenant.settings)?)
    .bind(json(&tenant.desired)?)
    .bind(to_db(tenant.revision.0))
    .bind(json(&tenant.observed)?)
    .bind(tenant.created_at.as_millis())
    .bind(rules::waits(tenant))
    .execute(&mut *on)
    .await?;
    if inserted.rows_affected() > 0 {
        return Ok(());
    }
    let in_the_way: Vec<TenantRow> = sqlx::query_as(concat!(
        "SELECT ",
        tenant_columns!(),
        " FROM tenants t WHERE t.id = $1 OR t.slug = $2 OR t.owner = $3"
    ))
    .bind(tenant.id.as_uuid())
    .bind(tenant.slug.as_str())
    .bind(tenant.owner.as_uuid())
    .fetch_all(on)
    .await?;
    let in_the_way = || in_the_way.iter().map(|row| &row.stored);
    if let Some(other) = in_the_way().find(|other| other.owner == tenant.owner) {
        let existing = other.id;
        return Err(StoreError::AlreadyHasTenant { existing }.into());
    }
    if in_the_way().any(|other| other.slug == tenant.slug) {
        let slug = tenant.slug.clone();
        return Err(StoreError::SlugTaken { slug }.into());
    }
    Err(match in_the_way().next() {
        Some(_) => StoreError::Conflict { what: "tenant" }.into(),
        None => Failure::Overtaken,
    })
}

/// After the insert: whoever removed the slug's tenant until then has committed, or the insert had waited.
async fn check_kept_back(on: &mut PgConnection, new: &NewTenant) -> Result<(), Failure> {
    let kept: Option<bool> = sqlx::query_scalar(
        "SELECT slug = $1 FROM gone_tenants WHERE (slug = $1 AND until > $2) OR id = $3 LIMIT 1",
    )
    .bind(new.slug.as_str())
    .bind(new.created_at.as_millis())
    .bind(new.id.as_uuid())
    .fetch_optional(on)
    .await?;
    match kept {
        None => Ok(()),
        Some(true) => Err(StoreError::SlugTaken {
            slug: new.slug.clone(),
        }
        .into()),
        Some(false) => Err(StoreError::Conflict { what: "tenant" }.into()),
    }
}

/// Counts and checks in one statement.
async fn take_seat(on: &mut PgConnection, new: &NewTenant) -> Result<(), Failure> {
    let seats = new.seats.map(to_db);
    let taken: Option<i64> = sqlx::query_scalar(
        "INSERT INTO plan_seats AS p (plan, taken) VALUES ($1, 1) \
         ON CONFLICT (plan) DO UPDATE SET taken = p.taken + 1 \
         WHERE $2::bigint IS NULL OR p.taken < $2 \
         RETURNING taken",
    )
    .bind(new.desired.plan.as_str())
    .bind(seats)
    .fetch_optional(on)
    .await?;
    match (taken, new.seats) {
        (Some(taken), Some(seats)) if to_db(seats) < taken => {
            Err(StoreError::NoSeat { seats }.into())
        }
        (None, seats) => Err(StoreError::NoSeat {
            seats: seats.unwrap_or_default(),
        }
        .into()),
        (Some(_), _) => Ok(()),
    }
}
