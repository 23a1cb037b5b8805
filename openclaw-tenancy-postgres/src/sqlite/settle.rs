//! Settlements: what the holder of a claim writes.

use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::store::{Settlement, StoreError, rules};
use openclaw_tenancy::tenant::{Location, Tenant};

use super::On;
use super::log::announce;
use super::look::lock;
use crate::error::Failure;
use crate::ops::{Run, Settle};
use crate::rows::{deltas, json, millis, to_db};

impl Run<On<'_>> for Settle {
    async fn run(&self, on: &mut On<'_>) -> Result<(), Failure> {
        let Settlement { gone, events, .. } = &self.settlement;
        let row = lock(on, self.id).await?.ok_or(StoreError::Fenced)?;
        let meanwhile = row.held_by(self.fence)?.clone();
        let before = row.stored;
        if *gone {
            rules::may_go(&before)?;
            remove(on, &before, self.now).await?;
            announce(on, self.id, events, self.now).await?;
            return Ok(());
        }
        let mut after = before.clone();
        rules::settle(&mut after, &meanwhile, &self.settlement, self.now);
        write(on, &after, &self.settlement).await?;
        reserve(on, &after, &before.observed.locations).await?;
        // A look that found everything as it was is no news.
        if after != before || !events.is_empty() {
            announce(on, self.id, events, self.now).await?;
        }
        Ok(())
    }
}

async fn write(on: &mut On<'_>, tenant: &Tenant, settlement: &Settlement) -> Result<(), Failure> {
    sqlx::query(
        "UPDATE tenants SET desired = ?2, observed = ?3, waiting = ?4, \
             due_at = CASE WHEN again THEN ?5 ELSE ?6 END, \
             again = FALSE, worker = NULL, lease_until = NULL, claimed_revision = NULL, \
             released = NULL \
         WHERE id = ?1",
    )
    .bind(tenant.id.as_uuid().hyphenated())
    .bind(json(&tenant.desired)?)
    .bind(json(&tenant.observed)?)
    .bind(rules::waits(tenant))
    .bind(on.now)
    .bind(
        on.now
            .saturating_add(millis(rules::due_after(settlement.next_due))),
    )
    .execute(&mut *on.sql)
    .await?;
    Ok(())
}

/// Makes what is reserved what the tenant's places say.
async fn reserve(on: &mut On<'_>, tenant: &Tenant, before: &[Location]) -> Result<(), Failure> {
    let after = &tenant.observed.locations;
    free(on, before, after).await?;
    let place = |location: &Location| (location.host.clone(), location.subnet);
    let places = |locations: &[Location]| locations.iter().map(place).collect::<Vec<_>>();
    if places(before) == places(after) {
        return Ok(());
    }
    sqlx::query("DELETE FROM places WHERE tenant = ?1")
        .bind(tenant.id.as_uuid().hyphenated())
        .execute(&mut *on.sql)
        .await?;
    for location in after {
        sqlx::query(
            "INSERT INTO places (tenant, host, subnet) SELECT ?1, id, ?3 FROM hosts WHERE id = ?2",
        )
        .bind(tenant.id.as_uuid().hyphenated())
        .bind(location.host.as_str())
        .bind(location.subnet.to_string())
        .execute(&mut *on.sql)
        .await?;
    }
    Ok(())
}

/// Changes what is reserved on hosts.
async fn free(on: &mut On<'_>, before: &[Location], after: &[Location]) -> Result<(), Failure> {
    for (host, delta) in deltas(before, after) {
        sqlx::query(
            "UPDATE hosts SET reserved_cpu = reserved_cpu + ?2, \
                 reserved_memory = reserved_memory + ?3, reserved_swap = reserved_swap + ?4, \
                 reserved_instances = reserved_instances + ?5 WHERE id = ?1",
        )
        .bind(host.as_str())
        .bind(delta.cpu)
        .bind(delta.memory)
        .bind(delta.swap)
        .bind(delta.instances)
        .execute(&mut *on.sql)
        .await?;
    }
    Ok(())
}

/// Removes a tenant, keeps its slug back, and frees its places and its seat.
async fn remove(on: &mut On<'_>, tenant: &Tenant, now: Timestamp) -> Result<(), Failure> {
    // Its rows in `places` go with it.
    sqlx::query("DELETE FROM tenants WHERE id = ?1")
        .bind(tenant.id.as_uuid().hyphenated())
        .execute(&mut *on.sql)
        .await?;
    sqlx::query(
        "INSERT INTO gone_tenants \
         (id, slug, owner, desired, revision, generation, created_at, until) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )
    .bind(tenant.id.as_uuid().hyphenated())
    .bind(tenant.slug.as_str())
    .bind(tenant.owner.as_uuid().hyphenated())
    .bind(json(&tenant.desired)?)
    .bind(to_db(tenant.revision.0))
    .bind(to_db(tenant.observed.generation.0))
    .bind(tenant.created_at.as_millis())
    .bind(now.plus(rules::SLUG_KEPT_BACK).as_millis())
    .execute(&mut *on.sql)
    .await?;
    free(on, &tenant.observed.locations, &[]).await?;
    sqlx::query("UPDATE plan_seats SET taken = taken - 1 WHERE plan = ?1")
        .bind(tenant.desired.plan.as_str())
        .execute(&mut *on.sql)
        .await?;
    Ok(())
}
