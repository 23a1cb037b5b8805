//! Changing what is wanted, and ending holds.

use openclaw_tenancy::store::rules;
use openclaw_tenancy::tenant::{Hold, Tenant};
use sqlx::PgConnection;

use super::log::announce;
use super::look::{NO_TENANT, lock};
use crate::error::Failure;
use crate::ops::{ChangeDesired, Release, Run};
use crate::rows::{TenantRow, json, to_db};

impl Run<PgConnection> for ChangeDesired {
    async fn run(&self, on: &mut PgConnection) -> Result<Tenant, Failure> {
        let mut row = lock(on, self.id).await?.ok_or(NO_TENANT)?;
        let change = self.change.clone();
        let event = rules::change(&mut row.stored, self.expected, change, self.now)?;
        if let Some(event) = event {
            write(on, &row, None).await?;
            announce(on, self.id, &[event], self.now).await?;
        }
        Ok(row.shown())
    }
}

impl Run<PgConnection> for Release {
    async fn run(&self, on: &mut PgConnection) -> Result<Tenant, Failure> {
        let mut row = lock(on, self.id).await?.ok_or(NO_TENANT)?;
        if let Some((hold, event)) = rules::release(&mut row.stored.observed) {
            write(on, &row, Some(hold).filter(|_| row.is_claimed())).await?;
            announce(on, self.id, &[event], self.now).await?;
        }
        Ok(row.shown())
    }
}

/// Writes a changed tenant, due at once; once more after the settle where somebody works on it.
async fn write(
    on: &mut PgConnection,
    row: &TenantRow,
    released: Option<Hold>,
) -> Result<(), Failure> {
    let tenant = &row.stored;
    sqlx::query(
        "UPDATE tenants SET settings = $2::json, desired = $3::json, revision = $4, \
             observed = $5::json, waiting = $6, released = COALESCE($7::json, released), \
             due_at = LEAST(due_at, tenancy_now()), again = TRUE \
         WHERE id = $1",
    )
    .bind(tenant.id.as_uuid())
    .bind(json(&tenant.settings)?)
    .bind(json(&tenant.desired)?)
    .bind(to_db(tenant.revision.0))
    .bind(json(&tenant.observed)?)
    .bind(rules::waits(tenant))
    .bind(released.as_ref().map(json).transpose()?)
    .execute(on)
    .await?;
    Ok(())
}
