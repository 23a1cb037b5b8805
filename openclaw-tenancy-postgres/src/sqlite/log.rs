//! Events, and the numbers of changes.

use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::event::{Event, NewEvent};
use openclaw_tenancy::id::TenantId;
use openclaw_tenancy::store::{Changes, rules};
use sqlx::types::uuid::fmt::Hyphenated;
use sqlx::{FromRow as _, Row as _};

use super::{On, tenant_columns};
use crate::error::Failure;
use crate::ops::{ChangeSeq, ChangedSince, Events, Ping, Run};
use crate::rows::{EventRow, OneOfMany, TenantRow, from_db, json, to_db};

/// Gives a change of a tenant its number and writes its events, keeping the newest of them.
pub(super) async fn announce(
    on: &mut On<'_>,
    tenant: TenantId,
    events: &[NewEvent],
    now: Timestamp,
) -> Result<(), Failure> {
    let tenant = tenant.as_uuid().hyphenated();
    sqlx::query("UPDATE numbers SET change = change + 1, event = event + ?1")
        .bind(to_db(events.len() as u64))
        .execute(&mut *on.sql)
        .await?;
    sqlx::query(
        "INSERT INTO changes (tenant, number) SELECT ?1, change FROM numbers WHERE TRUE \
         ON CONFLICT (tenant) DO UPDATE SET number = excluded.number",
    )
    .bind(tenant)
    .execute(&mut *on.sql)
    .await?;
    for (before_last, event) in events.iter().rev().enumerate().rev() {
        sqlx::query(
            "INSERT INTO events (number, tenant, at, event) \
             SELECT event - ?1, ?2, ?3, ?4 FROM numbers",
        )
        .bind(to_db(before_last as u64))
        .bind(tenant)
        .bind(now.as_millis())
        .bind(json(event)?)
        .execute(&mut *on.sql)
        .await?;
    }
    if !events.is_empty() {
        sqlx::query(
            "DELETE FROM events WHERE tenant = ?1 AND number <= (\
                 SELECT number FROM events WHERE tenant = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
        )
        .bind(tenant)
        .bind(rules::EVENTS_KEPT)
        .execute(&mut *on.sql)
        .await?;
    }
    Ok(())
}

impl Run<On<'_>> for Events {
    async fn run(&self, on: &mut On<'_>) -> Result<Vec<Event>, Failure> {
        let after = to_db(self.after);
        let limit = i64::from(self.limit);
        let rows: Vec<EventRow> = match self.tenant {
            Some(tenant) => {
                sqlx::query_as(
                    "SELECT number, tenant, at, event FROM events \
                     WHERE tenant = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
                )
                .bind(tenant.as_uuid().hyphenated())
                .bind(after)
                .bind(limit)
                .fetch_all(&mut *on.sql)
                .await?
            }
            None => {
                sqlx::query_as(
                    "SELECT number, tenant, at, event FROM events \
                     WHERE number > ?1 ORDER BY number LIMIT ?2",
                )
                .bind(after)
                .bind(limit)
                .fetch_all(&mut *on.sql)
                .await?
            }
        };
        Ok(rows.into_iter().map(|row| row.0).collect())
    }
}

impl Run<On<'_>> for ChangeSeq {
    async fn run(&self, on: &mut On<'_>) -> Result<u64, Failure> {
        let number = sqlx::query_scalar("SELECT change FROM numbers")
            .fetch_one(&mut *on.sql)
            .await?;
        Ok(from_db(number)?)
    }
}

impl Run<On<'_>> for ChangedSince {
    async fn run(&self, on: &mut On<'_>) -> Result<Changes, Failure> {
        let rows = sqlx::query(concat!(
            "SELECT c.number, c.tenant, t.id IS NULL AS gone, ",
            tenant_columns!(),
            " FROM changes c LEFT JOIN tenants t ON t.id = c.tenant \
             WHERE c.number > ?1 ORDER BY c.number LIMIT ?2"
        ))
        .bind(to_db(self.after))
        .bind(i64::from(self.limit))
        .fetch_all(&mut *on.sql)
        .await?;
        let mut changes = Changes {
            next: self.after,
            ..Changes::default()
        };
        for row in rows {
            changes.next = from_db(row.try_get("number")?)?;
            if row.try_get("gone")? {
                let id: Hyphenated = row.try_get("tenant")?;
                changes.gone.push(TenantId::from_uuid(id.into_uuid()));
            } else {
                let tenant = OneOfMany::<TenantRow>::from_row(&row)?.0;
                changes.tenants.extend(tenant.map(TenantRow::shown));
            }
        }
        Ok(changes)
    }
}

impl Run<On<'_>> for Ping {
    async fn run(&self, on: &mut On<'_>) -> Result<(), Failure> {
        sqlx::query("SELECT change FROM numbers")
            .execute(&mut *on.sql)
            .await?;
        Ok(())
    }
}
