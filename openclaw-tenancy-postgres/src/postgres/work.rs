//! Claims on tenants, and places on hosts.

use std::collections::BTreeSet;

use ipnet::Ipv4Net;
use openclaw_tenancy::store::{Claim, StoreError, rules};
use openclaw_tenancy::tenant::{Location, Tenant};
use sqlx::{FromRow as _, PgConnection, Row};

use super::host_columns;
use super::log::announce;
use super::look::lock;
use crate::error::Failure;
use crate::ops::{ClaimTenants, Place, Renew, Run};
use crate::rows::{HostRow, OneOfMany, TenantRow, json, millis, to_db};

impl Run<PgConnection> for ClaimTenants {
    async fn run(&self, on: &mut PgConnection) -> Result<Vec<Claim<Tenant>>, Failure> {
        sqlx::query("UPDATE tenants SET due_at = tenancy_now() WHERE due_at > tenancy_now() + $1")
            .bind(millis(rules::FARTHEST))
            .execute(&mut *on)
            .await?;
        // SKIP LOCKED: a worker passes over what another is just taking instead of waiting for it.
        // The answer has the claim before: an open one says that its holder never settled.
        let mut rows = sqlx::query(
            "WITH due AS MATERIALIZED (\
                 SELECT id, claimed_revision FROM tenants \
                 WHERE due_at <= tenancy_now() \
                     AND (lease_until IS NULL OR lease_until <= tenancy_now()) \
                 ORDER BY due_at, id LIMIT $1 FOR UPDATE SKIP LOCKED\
             ) \
             UPDATE tenants t SET fence = t.fence + 1, worker = $2, \
                 lease_until = tenancy_now() + $3, claimed_revision = t.revision, \
                 again = FALSE, released = NULL \
             FROM due WHERE t.id = due.id \
             RETURNING t.id, t.slug, t.owner, t.settings, t.desired, t.revision, t.observed, \
                 t.created_at, t.fence, due.claimed_revision, t.released, t.due_at",
        )
        .bind(i64::from(self.request.limit))
        .bind(self.request.worker.as_str())
        .bind(millis(self.request.lease))
        .fetch_all(on)
        .await?
        .iter()
        .map(|row| {
            let due_at: i64 = row.try_get("due_at")?;
            let tenant = OneOfMany::<TenantRow>::from_row(row)?.0;
            Ok(tenant.map(|tenant| (due_at, tenant)))
        })
        .filter_map(Result::transpose)
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
        rows.sort_by_key(|(due_at, row)| (*due_at, row.stored.id));
        let claims = rows.into_iter().map(|(_, row)| Claim {
            fence: row.fence,
            worker: self.request.worker.clone(),
            item: row.shown(),
        });
        Ok(claims.collect())
    }
}

impl Run<PgConnection> for Renew {
    async fn run(&self, on: &mut PgConnection) -> Result<(), Failure> {
        let renewed = sqlx::query(
            "UPDATE tenants SET lease_until = tenancy_now() + $4 \
             WHERE id = $1 AND fence = $2 AND worker = $3",
        )
        .bind(self.id.as_uuid())
        .bind(to_db(self.fence.0))
        .bind(self.worker.as_str())
        .bind(millis(self.lease))
        .execute(on)
        .await?;
        match renewed.rows_affected() {
            0 => Err(StoreError::Fenced.into()),
            _ => Ok(()),
        }
    }
}

impl Run<PgConnection> for Place {
    async fn run(&self, on: &mut PgConnection) -> Result<Location, Failure> {
        let row = lock(on, self.id).await?.ok_or(StoreError::Fenced)?;
        row.held_by(self.fence)?;
        let mut tenant = row.shown();
        let mut there = tenant.observed.locations.iter();
        if let Some(there) = there.find(|there| there.host == self.request.host) {
            return Ok(there.clone());
        }
        let host: HostRow = sqlx::query_as(concat!(
            "SELECT ",
            host_columns!(),
            " FROM hosts h WHERE h.id = $1 FOR UPDATE"
        ))
        .bind(self.request.host.as_str())
        .fetch_optional(&mut *on)
        .await?
        .ok_or(StoreError::NotFound { what: "host" })?;
        let taken: Vec<String> = sqlx::query_scalar("SELECT subnet FROM places WHERE host = $1")
            .bind(self.request.host.as_str())
            .fetch_all(&mut *on)
            .await?;
        let taken: BTreeSet<Ipv4Net> = taken.iter().filter_map(|net| net.parse().ok()).collect();
        let location = rules::place(&tenant, &self.request, &host.host, &taken)?;

        let reserved = host.host.reserved.with(&location.granted);
        sqlx::query(
            "UPDATE hosts SET reserved_cpu = $2, reserved_memory = $3, reserved_swap = $4, \
                 reserved_instances = $5 WHERE id = $1",
        )
        .bind(self.request.host.as_str())
        .bind(to_db(reserved.cpu.0))
        .bind(to_db(reserved.memory.0))
        .bind(to_db(reserved.swap.0))
        .bind(to_db(reserved.instances))
        .execute(&mut *on)
        .await?;
        sqlx::query("INSERT INTO places (tenant, host, subnet) VALUES ($1, $2, $3)")
            .bind(self.id.as_uuid())
            .bind(self.request.host.as_str())
            .bind(location.subnet.to_string())
            .execute(&mut *on)
            .await?;
        rules::placed(&mut tenant.observed, location.clone());
        sqlx::query("UPDATE tenants SET observed = $2::json, waiting = $3 WHERE id = $1")
            .bind(self.id.as_uuid())
            .bind(json(&tenant.observed)?)
            .bind(rules::waits(&tenant))
            .execute(&mut *on)
            .await?;
        announce(on, self.id, &[], tenant.created_at).await?;
        Ok(location)
    }
}
