//! Hosts, and claims on them.

use openclaw_tenancy::host::{Host, HostState};
use openclaw_tenancy::id::HostId;
use openclaw_tenancy::store::{Claim, Cordon, StoreError, rules};

use super::{On, host_columns};
use crate::error::Failure;
use crate::ops::{ClaimHosts, Hosts, PutHost, ReleaseHost, RemoveHost, Run, SetCordon, SettleHost};
use crate::rows::{HostRow, OneOfMany, json, millis, to_db};

impl Run<On<'_>> for PutHost {
    async fn run(&self, on: &mut On<'_>) -> Result<(), Failure> {
        sqlx::query(
            "INSERT INTO hosts (id, labels, state, due_at, fence) \
             VALUES (?1, ?2, ?3, ?4, COALESCE((SELECT fence FROM gone_hosts WHERE id = ?1), 0)) \
             ON CONFLICT (id) DO UPDATE SET labels = EXCLUDED.labels",
        )
        .bind(self.id.as_str())
        .bind(json(&self.labels)?)
        .bind(json(&HostState::New)?)
        .bind(on.now)
        .execute(&mut *on.sql)
        .await?;
        Ok(())
    }
}

impl Run<On<'_>> for SetCordon {
    async fn run(&self, on: &mut On<'_>) -> Result<(), Failure> {
        let changed = sqlx::query("UPDATE hosts SET cordoned = ?2 WHERE id = ?1")
            .bind(self.id.as_str())
            .bind(self.cordon == Cordon::Closed)
            .execute(&mut *on.sql)
            .await?;
        match changed.rows_affected() {
            0 => Err(StoreError::NotFound { what: "host" }.into()),
            _ => Ok(()),
        }
    }
}

/// A host's row.
async fn to_change(id: &HostId, on: &mut On<'_>) -> Result<HostRow, Failure> {
    let row = sqlx::query_as(concat!(
        "SELECT ",
        host_columns!(),
        " FROM hosts h WHERE h.id = ?1"
    ))
    .bind(id.as_str())
    .fetch_optional(&mut *on.sql)
    .await?;
    Ok(row.ok_or(StoreError::NotFound { what: "host" })?)
}

impl Run<On<'_>> for ReleaseHost {
    async fn run(&self, on: &mut On<'_>) -> Result<(), Failure> {
        let mut row = to_change(&self.id, on).await?;
        if rules::release_host(&mut row.host) {
            sqlx::query(
                "UPDATE hosts SET state = ?2, facts = NULL, marker = NULL, \
                     due_at = min(due_at, ?3), worker = NULL, lease_until = NULL \
                 WHERE id = ?1",
            )
            .bind(self.id.as_str())
            .bind(json(&row.host.state)?)
            .bind(on.now)
            .execute(&mut *on.sql)
            .await?;
        }
        Ok(())
    }
}

impl Run<On<'_>> for RemoveHost {
    async fn run(&self, on: &mut On<'_>) -> Result<(), Failure> {
        rules::may_forget(&to_change(&self.id, on).await?.host)?;
        // A claim of before stays behind the fence when the host is made known again.
        sqlx::query(
            "INSERT INTO gone_hosts (id, fence) SELECT id, fence FROM hosts WHERE id = ?1 \
             ON CONFLICT (id) DO UPDATE SET fence = EXCLUDED.fence",
        )
        .bind(self.id.as_str())
        .execute(&mut *on.sql)
        .await?;
        sqlx::query("DELETE FROM hosts WHERE id = ?1")
            .bind(self.id.as_str())
            .execute(&mut *on.sql)
            .await?;
        Ok(())
    }
}

impl Run<On<'_>> for Hosts {
    async fn run(&self, on: &mut On<'_>) -> Result<Vec<Host>, Failure> {
        let rows: Vec<OneOfMany<HostRow>> = sqlx::query_as(concat!(
            "SELECT ",
            host_columns!(),
            " FROM hosts h ORDER BY h.id"
        ))
        .fetch_all(&mut *on.sql)
        .await?;
        let readable = rows.into_iter().filter_map(|row| row.0);
        Ok(readable.map(|row| row.host).collect())
    }
}

impl Run<On<'_>> for ClaimHosts {
    async fn run(&self, on: &mut On<'_>) -> Result<Vec<Claim<Host>>, Failure> {
        sqlx::query("UPDATE hosts SET due_at = ?1 WHERE due_at > ?2")
            .bind(on.now)
            .bind(on.now.saturating_add(millis(rules::FARTHEST)))
            .execute(&mut *on.sql)
            .await?;
        let rows: Vec<OneOfMany<HostRow>> = sqlx::query_as(concat!(
            "SELECT ",
            host_columns!(),
            " FROM hosts h WHERE h.due_at <= ?1 AND (h.lease_until IS NULL OR h.lease_until <= ?1) \
             ORDER BY h.due_at, h.id LIMIT ?2"
        ))
        .bind(on.now)
        .bind(i64::from(self.request.limit))
        .fetch_all(&mut *on.sql)
        .await?;
        sqlx::query(
            "UPDATE hosts SET fence = fence + 1, worker = ?3, lease_until = ?4 \
             WHERE id IN (\
                 SELECT h.id FROM hosts h \
                 WHERE h.due_at <= ?1 AND (h.lease_until IS NULL OR h.lease_until <= ?1) \
                 ORDER BY h.due_at, h.id LIMIT ?2)",
        )
        .bind(on.now)
        .bind(i64::from(self.request.limit))
        .bind(self.request.worker.as_str())
        .bind(on.now.saturating_add(millis(self.request.lease)))
        .execute(&mut *on.sql)
        .await?;
        let readable = rows.into_iter().filter_map(|row| row.0);
        let claims = readable.map(|row| Claim {
            item: row.host,
            worker: self.request.worker.clone(),
            fence: row.fence.next(),
        });
        Ok(claims.collect())
    }
}

impl Run<On<'_>> for SettleHost {
    async fn run(&self, on: &mut On<'_>) -> Result<(), Failure> {
        let settlement = &self.settlement;
        for id in &settlement.stirred {
            sqlx::query("UPDATE tenants SET due_at = min(due_at, ?2), again = TRUE WHERE id = ?1")
                .bind(id.as_uuid().hyphenated())
                .bind(on.now)
                .execute(&mut *on.sql)
                .await?;
        }
        let settled = sqlx::query(
            "UPDATE hosts SET state = ?3, facts = COALESCE(?4, facts), \
                 marker = COALESCE(?5, marker), due_at = ?6, \
                 worker = NULL, lease_until = NULL \
             WHERE id = ?1 AND fence = ?2 AND worker IS NOT NULL",
        )
        .bind(self.id.as_str())
        .bind(to_db(self.fence.0))
        .bind(json(&settlement.state)?)
        .bind(settlement.facts.as_ref().map(json).transpose()?)
        .bind(&settlement.marker)
        .bind(
            on.now
                .saturating_add(millis(rules::due_after(settlement.next_due))),
        )
        .execute(&mut *on.sql)
        .await?;
        match settled.rows_affected() {
            0 => Err(StoreError::Fenced.into()),
            _ => Ok(()),
        }
    }
}
