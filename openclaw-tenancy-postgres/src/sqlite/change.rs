//! Changing what is wanted, and ending holds.

use openclaw_tenancy::store::rules;
use openclaw_tenancy::tenant::{Hold, Tenant};

use super::On;
use super::log::announce;
use super::look::{NO_TENANT, lock};
use crate::error::Failure;
use crate::ops::{ChangeDesired, Release, Run};
use crate::rows::{TenantRow, json, to_db};

impl Run<On<'_>> for ChangeDesired {
    async fn run(&self, on: &mut On<'_>) -> Result<Tenant, Failure> {
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

impl Run<On<'_>> for Release {
    async fn run(&self, on: &mut On<'_>) -> Result<Tenant, Failure> {
        let mut row = lock(on, self.id).await?.ok_or(NO_TENANT)?;
        if let Some((hold, event)) = rules::release(&mut row.stored.observed) {
            write(on, &row, Some(hold).filter(|_| row.is_claimed())).await?;
            announce(on, self.id, &[event], self.now).await?;
        }
        Ok(row.shown())
    }
}

/// Writes a changed tenant, due at once; once more after the settle where somebody works on it.
async fn write(on: &mut On<'_>, row: &TenantRow, released: Option<Hold>) -> Result<(), Failure> {
    let tenant = &row.stored;
    sqlx::query(
        "UPDATE tenants SET settings = ?2, desired = ?3, revision = ?4, \
             observed = ?5, waiting = ?6, released = COALESCE(?7, released), \
             due_at = min(due_at, ?8), again = TRUE \
         WHERE id = ?1",
    )
    .bind(tenant.id.as_uuid().hyphenated())
    .bind(json(&tenant.settings)?)
    .bind(json(&tenant.desired)?)
    .bind(to_db(tenant.revision.0))
    .bind(json(&tenant.observed)?)
    .bind(rules::waits(tenant))
    .bind(released.as_ref().map(json).transpose()?)
    .bind(on.now)
    .execute(&mut *on.sql)
    .await?;
    Ok(())
}
