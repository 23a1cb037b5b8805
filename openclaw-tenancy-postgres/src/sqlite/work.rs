//! Claims on tenants, and places on hosts.

use std::collections::BTreeSet;

use ipnet::Ipv4Net;
use openclaw_tenancy::store::{Claim, StoreError, rules};
use openclaw_tenancy::tenant::{Location, Tenant};

use super::log::announce;
use super::look::lock;
use super::{On, host_columns, tenant_columns};
use crate::error::Failure;
use crate::ops::{ClaimTenants, Place, Renew, Run};
use crate::rows::{HostRow, OneOfMany, TenantRow, json, millis, to_db};

impl Run<On<'_>> for ClaimTenants {
    async fn run(&self, on: &mut On<'_>) -> Result<Vec<Claim<Tenant>>, Failure> {
        sqlx::query("UPDATE tenants SET due_at = ?1 WHERE due_at > ?2")
            .bind(on.now)
            .bind(on.now.saturating_add(millis(rules::FARTHEST)))
            .execute(&mut *on.sql)
            .await?;
        // The answer has the claim before: an open one says that its holder never settled.
        let rows: Vec<OneOfMany<TenantRow>> = sqlx::query_as(concat!(
            "SELECT ",
            tenant_columns!(),
            " FROM tenants t \
             WHERE t.due_at <= ?1 AND (t.lease_until IS NULL OR t.lease_until <= ?1) \
             ORDER BY t.due_at, t.id LIMIT ?2"
        ))
        .bind(on.now)
        .bind(i64::from(self.request.limit))
        .fetch_all(&mut *on.sql)
        .await?;
        sqlx::query(
            "UPDATE tenants SET fence = fence + 1, worker = ?3, lease_until = ?4, \
                 claimed_revision = revision, again = FALSE, released = NULL \
             WHERE id IN (\
                 SELECT t.id FROM tenants t \
                 WHERE t.due_at <= ?1 AND (t.lease_until IS NULL OR t.lease_until <= ?1) \
                 ORDER BY t.due_at, t.id LIMIT ?2)",
        )
        .bind(on.now)
        .bind(i64::from(self.request.limit))
        .bind(self.request.worker.as_str())
        .bind(on.now.saturating_add(millis(self.request.lease)))
        .execute(&mut *on.sql)
        .await?;
        let readable = rows.into_iter().filter_map(|row| row.0);
        let claims = readable.map(|row| Claim {
            fence: row.fence.next(),
            worker: self.request.worker.clone(),
            item: row.shown(),
        });
        Ok(claims.collect())
    }
}

impl Run<On<'_>> for Renew {
    async fn run(&self, on: &mut On<'_>) -> Result<(), Failure> {
        let renewed = sqlx::query(
            "UPDATE tenants SET lease_until = ?4 \
             WHERE id = ?1 AND fence = ?2 AND worker = ?3",
        )
        .bind(self.id.as_uuid().hyphenated())
        .bind(to_db(self.fence.0))
        .bind(self.worker.as_str())
        .bind(on.now.saturating_add(millis(self.lease)))
        .execute(&mut *on.sql)
        .await?;
        match renewed.rows_affected() {
            0 => Err(StoreError::Fenced.into()),
            _ => Ok(()),
        }
    }
}

impl Run<On<'_>> for Place {
    async fn run(&self, on: &mut On<'_>) -> Result<Location, Failure> {
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
            " FROM hosts h WHERE h.id = ?1"
        ))
        .bind(self.request.host.as_str())
        .fetch_optional(&mut *on.sql)
        .await?
        .ok_or(StoreError::NotFound { what: "host" })?;
        let taken: Vec<String> = sqlx::query_scalar("SELECT subnet FROM places WHERE host = ?1")
            .bind(self.request.host.as_str())
            .fetch_all(&mut *on.sql)
            .await?;
        let taken: BTreeSet<Ipv4Net> = taken.iter().filter_map(|net| net.parse().ok()).collect();
        let location = rules::place(&tenant, &self.request, &host.host, &taken)?;

        let reserved = host.host.reserved.with(&location.granted);
        sqlx::query(
            "UPDATE hosts SET reserved_cpu = ?2, reserved_memory = ?3, reserved_swap = ?4, \
                 reserved_instances = ?5 WHERE id = ?1",
        )
        .bind(self.request.host.as_str())
        .bind(to_db(reserved.cpu.0))
        .bind(to_db(reserved.memory.0))
        .bind(to_db(reserved.swap.0))
        .bind(to_db(reserved.instances))
        .execute(&mut *on.sql)
        .await?;
        sqlx::query("INSERT INTO places (tenant, host, subnet) VALUES (?1, ?2, ?3)")
            .bind(self.id.as_uuid().hyphenated())
            .bind(self.request.host.as_str())
            .bind(location.subnet.to_string())
            .execute(&mut *on.sql)
            .await?;
        rules::placed(&mut tenant.observed, location.clone());
        sqlx::query("UPDATE tenants SET observed = ?2, waiting = ?3 WHERE id = ?1")
            .bind(self.id.as_uuid().hyphenated())
            .bind(json(&tenant.observed)?)
            .bind(rules::waits(&tenant))
            .execute(&mut *on.sql)
            .await?;
        announce(on, self.id, &[], tenant.created_at).await?;
        Ok(location)
    }
}
