//! Hosts, and claims on them.

use openclaw_tenancy::host::{Host, HostState};
use openclaw_tenancy::id::HostId;
use openclaw_tenancy::store::{Claim, Cordon, StoreError, rules};
use sqlx::{FromRow as _, PgConnection, Row};

use super::{host_columns, outcome};
use crate::error::Failure;
use crate::ops::{ClaimHosts, Hosts, PutHost, ReleaseHost, RemoveHost, Run, SetCordon, SettleHost};
use crate::rows::{HostRow, OneOfMany, json, millis, to_db};

impl Run<PgConnection> for PutHost {
    async fn run(&self, on: &mut PgConnection) -> Result<(), Failure> {
        sqlx::query(
            "INSERT INTO hosts (id, labels, state, due_at) \
             VALUES ($1, $2::json, $3::json, tenancy_now()) \
             ON CONFLICT (id) DO UPDATE SET labels = EXCLUDED.labels",
        )
        .bind(self.id.as_str())
        .bind(json(&self.labels)?)
        .bind(json(&HostState::New)?)
        .execute(&mut *on)
        .await?;
        // A statement of its own: the insert may have waited for the transaction that forgot the host.
        sqlx::query(
            "UPDATE hosts h SET fence = gone.fence FROM gone_hosts gone \
             WHERE h.id = $1 AND gone.id = $1 AND h.fence < gone.fence",
        )
        .bind(self.id.as_str())
        .execute(on)
        .await?;
        Ok(())
    }
}

impl Run<PgConnection> for SetCordon {
    async fn run(&self, on: &mut PgConnection) -> Result<(), Failure> {
        let changed = sqlx::query("UPDATE hosts SET cordoned = $2 WHERE id = $1")
            .bind(self.id.as_str())
            .bind(self.cordon == Cordon::Closed)
            .execute(on)
            .await?;
        match changed.rows_affected() {
            0 => Err(StoreError::NotFound { what: "host" }.into()),
            _ => Ok(()),
        }
    }
}

/// A host's row, locked until the transaction ends.
async fn to_change(id: &HostId, on: &mut PgConnection) -> Result<HostRow, Failure> {
    let row = sqlx::query_as(concat!(
        "SELECT ",
        host_columns!(),
        " FROM hosts h WHERE h.id = $1 FOR UPDATE"
    ))
    .bind(id.as_str())
    .fetch_optional(on)
    .await?;
    Ok(row.ok_or(StoreError::NotFound { what: "host" })?)
}

impl Run<PgConnection> for ReleaseHost {
    async fn run(&self, on: &mut PgConnection) -> Result<(), Failure> {
        let mut row = to_change(&self.id, on).await?;
        if rules::release_host(&mut row.host) {
            sqlx::query(
                "UPDATE hosts SET state = $2::json, facts = NULL, marker = NULL, \
                     due_at = LEAST(due_at, tenancy_now()), worker = NULL, lease_until = NULL \
                 WHERE id = $1",
            )
            .bind(self.id.as_str())
            .bind(json(&row.host.state)?)
            .execute(&mut *on)
            .await?;
        }
        Ok(())
    }
}

impl Run<PgConnection> for RemoveHost {
    async fn run(&self, on: &mut PgConnection) -> Result<(), Failure> {
        rules::may_forget(&to_change(&self.id, on).await?.host)?;
        // A claim of before stays behind the fence when the host is made known again.
        sqlx::query(
            "INSERT INTO gone_hosts (id, fence) SELECT id, fence FROM hosts WHERE id = $1 \
             ON CONFLICT (id) DO UPDATE SET fence = EXCLUDED.fence",
        )
        .bind(self.id.as_str())
        .execute(&mut *on)
        .await?;
        sqlx::query("DELETE FROM hosts WHERE id = $1")
            .bind(self.id.as_str())
            .execute(&mut *on)
            .await?;
        Ok(())
    }
}

impl Run<PgConnection> for Hosts {
    async fn run(&self, on: &mut PgConnection) -> Result<Vec<Host>, Failure> {
        let rows: Vec<OneOfMany<HostRow>> = sqlx::query_as(concat!(
            "SELECT ",
            host_columns!(),
            " FROM hosts h ORDER BY h.id"
        ))
        .fetch_all(on)
        .await?;
        let readable = rows.into_iter().filter_map(|row| row.0);
        Ok(readable.map(|row| row.host).collect())
    }
}

impl Run<PgConnection> for ClaimHosts {
    async fn run(&self, on: &mut PgConnection) -> Result<Vec<Claim<Host>>, Failure> {
        outcome::forget(on).await?;
        sqlx::query("UPDATE hosts SET due_at = tenancy_now() WHERE due_at > tenancy_now() + $1")
            .bind(millis(rules::FARTHEST))
            .execute(&mut *on)
            .await?;
        let mut rows = sqlx::query(concat!(
            "WITH due AS MATERIALIZED (\
                 SELECT id FROM hosts \
                 WHERE due_at <= tenancy_now() \
                     AND (lease_until IS NULL OR lease_until <= tenancy_now()) \
                 ORDER BY due_at, id LIMIT $1 FOR UPDATE SKIP LOCKED\
             ) \
             UPDATE hosts h SET fence = h.fence + 1, worker = $2, lease_until = tenancy_now() + $3 \
             FROM due WHERE h.id = due.id RETURNING h.due_at, ",
            host_columns!()
        ))
        .bind(i64::from(self.request.limit))
        .bind(self.request.worker.as_str())
        .bind(millis(self.request.lease))
        .fetch_all(on)
        .await?
        .iter()
        .map(|row| {
            let due_at: i64 = row.try_get("due_at")?;
            let host = OneOfMany::<HostRow>::from_row(row)?.0;
            Ok(host.map(|host| (due_at, host)))
        })
        .filter_map(Result::transpose)
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
        rows.sort_by(|a, b| (a.0, &a.1.host.id).cmp(&(b.0, &b.1.host.id)));
        let claims = rows.into_iter().map(|(_, row)| Claim {
            item: row.host,
            worker: self.request.worker.clone(),
            fence: row.fence,
        });
        Ok(claims.collect())
    }
}

impl Run<PgConnection> for SettleHost {
    async fn run(&self, on: &mut PgConnection) -> Result<(), Failure> {
        let settlement = &self.settlement;
        if !settlement.stirred.is_empty() {
            // Tenants are locked before hosts everywhere, and several in the order of their ids.
            let stirred: Vec<_> = settlement.stirred.iter().map(|id| id.as_uuid()).collect();
            sqlx::query(
                "WITH stirred AS (\
                     SELECT id FROM tenants WHERE id = ANY($1) ORDER BY id FOR UPDATE\
                 ) \
                 UPDATE tenants t SET due_at = LEAST(t.due_at, tenancy_now()), again = TRUE \
                 FROM stirred WHERE t.id = stirred.id",
            )
            .bind(stirred)
            .execute(&mut *on)
            .await?;
        }
        let settled = sqlx::query(
            "UPDATE hosts SET state = $3::json, facts = COALESCE($4::json, facts), \
                 marker = COALESCE($5, marker), due_at = tenancy_now() + $6, \
                 worker = NULL, lease_until = NULL \
             WHERE id = $1 AND fence = $2 AND worker IS NOT NULL",
        )
        .bind(self.id.as_str())
        .bind(to_db(self.fence.0))
        .bind(json(&settlement.state)?)
        .bind(settlement.facts.as_ref().map(json).transpose()?)
        .bind(&settlement.marker)
        .bind(millis(rules::due_after(settlement.next_due)))
        .execute(on)
        .await?;
        match settled.rows_affected() {
            0 => Err(StoreError::Fenced.into()),
            _ => Ok(()),
        }
    }
}
