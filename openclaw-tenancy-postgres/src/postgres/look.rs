//! Reading tenants.

use openclaw_tenancy::id::TenantId;
use openclaw_tenancy::store::{StoreError, TenantPage};
use openclaw_tenancy::tenant::Tenant;
use sqlx::PgConnection;
use uuid::Uuid;

use super::tenant_columns;
use crate::error::Failure;
use crate::ops::{FindByOwner, Get, List, QueuePosition, Run, TenantsOn};
use crate::rows::{OneOfMany, TenantRow, from_db};

/// The row of a tenant, and the lock of it until the transaction ends.
pub(super) async fn lock(
    on: &mut PgConnection,
    id: TenantId,
) -> Result<Option<TenantRow>, Failure> {
    let row = sqlx::query_as(concat!(
        "SELECT ",
        tenant_columns!(),
        " FROM tenants t WHERE t.id = $1 FOR UPDATE"
    ))
    .bind(id.as_uuid())
    .fetch_optional(on)
    .await?;
    Ok(row)
}

/// There is no such tenant.
pub(super) const NO_TENANT: StoreError = StoreError::NotFound { what: "tenant" };

impl Run<PgConnection> for Get {
    async fn run(&self, on: &mut PgConnection) -> Result<Option<Tenant>, Failure> {
        let row: Option<TenantRow> = sqlx::query_as(concat!(
            "SELECT ",
            tenant_columns!(),
            " FROM tenants t WHERE t.id = $1"
        ))
        .bind(self.id.as_uuid())
        .fetch_optional(on)
        .await?;
        Ok(row.map(TenantRow::shown))
    }
}

impl Run<PgConnection> for FindByOwner {
    async fn run(&self, on: &mut PgConnection) -> Result<Option<Tenant>, Failure> {
        let row: Option<TenantRow> = sqlx::query_as(concat!(
            "SELECT ",
            tenant_columns!(),
            " FROM tenants t WHERE t.owner = $1"
        ))
        .bind(self.owner.as_uuid())
        .fetch_optional(on)
        .await?;
        Ok(row.map(TenantRow::shown))
    }
}

impl Run<PgConnection> for List {
    async fn run(&self, on: &mut PgConnection) -> Result<TenantPage, Failure> {
        // One more than asked for tells whether there is a next page.
        let rows: Vec<OneOfMany<TenantRow>> = sqlx::query_as(concat!(
            "SELECT ",
            tenant_columns!(),
            " FROM tenants t WHERE t.id > $1 ORDER BY t.id LIMIT $2"
        ))
        .bind(self.after.map_or(Uuid::nil(), |id| id.as_uuid()))
        .bind(i64::from(self.limit) + 1)
        .fetch_all(on)
        .await?;
        let more = rows.len() > self.limit as usize;
        let page = rows.into_iter().take(self.limit as usize);
        let tenants: Vec<Tenant> = page.filter_map(|row| row.0).map(TenantRow::shown).collect();
        let last = tenants.last().map(|tenant| tenant.id);
        Ok(TenantPage {
            tenants,
            next: last.filter(|_| more),
        })
    }
}

impl Run<PgConnection> for QueuePosition {
    async fn run(&self, on: &mut PgConnection) -> Result<Option<u64>, Failure> {
        let before: Option<i64> = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM tenants o \
                     WHERE o.waiting AND (o.created_at, o.id) < (t.created_at, t.id)) \
             FROM tenants t WHERE t.id = $1 AND t.waiting",
        )
        .bind(self.id.as_uuid())
        .fetch_optional(on)
        .await?;
        Ok(before.map(from_db).transpose()?)
    }
}

impl Run<PgConnection> for TenantsOn {
    async fn run(&self, on: &mut PgConnection) -> Result<Vec<Tenant>, Failure> {
        let rows: Vec<OneOfMany<TenantRow>> = sqlx::query_as(concat!(
            "SELECT ",
            tenant_columns!(),
            " FROM places p JOIN tenants t ON t.id = p.tenant WHERE p.host = $1 ORDER BY t.id"
        ))
        .bind(self.host.as_str())
        .fetch_all(on)
        .await?;
        let readable = rows.into_iter().filter_map(|row| row.0);
        Ok(readable.map(TenantRow::shown).collect())
    }
}
