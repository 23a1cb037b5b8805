//! Events, and the numbers of changes.

use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::event::{Event, NewEvent};
use openclaw_tenancy::id::TenantId;
use openclaw_tenancy::store::{Changes, rules};
use sqlx::types::Uuid;
use sqlx::{FromRow, PgConnection, Row};

use super::tenant_columns;
use crate::error::Failure;
use crate::ops::{ChangeSeq, ChangedSince, Events, Ping, Run};
use crate::rows::{EventRow, OneOfMany, TenantRow, from_db, json, to_db};

/// Gives a change of a tenant its number and writes its events, keeping the newest of them.
///
/// The last statement before the commit: it takes the one lock that every writer needs, and holds it no
/// longer than the commit takes.
pub(super) async fn announce(
    on: &mut PgConnection,
    tenant: TenantId,
    events: &[NewEvent],
    now: Timestamp,
) -> Result<(), Failure> {
    let kept = rules::EVENTS_KEPT as usize;
    let events = &events[events.len().saturating_sub(kept)..];
    let texts = events.iter().map(json).collect::<Result<Vec<_>, _>>()?;
    let count = to_db(events.len() as u64);
    sqlx::query(
        "WITH number AS (\
             UPDATE numbers SET change = change + 1, event = event + $2 RETURNING change, event\
         ), changed AS (\
             INSERT INTO changes (tenant, number) SELECT $1, change FROM number \
             ON CONFLICT (tenant) DO UPDATE SET number = EXCLUDED.number\
         ), forgotten AS (\
             DELETE FROM events WHERE $2 > 0 AND tenant = $1 AND number <= (\
                 SELECT number FROM events WHERE tenant = $1 ORDER BY number DESC OFFSET $5 LIMIT 1)\
         ) \
         INSERT INTO events (number, tenant, at, event) \
         SELECT number.event - $2 + new.place, $1, $3, new.event::json \
         FROM number, unnest($4::text[]) WITH ORDINALITY AS new (event, place)",
    )
    .bind(tenant.as_uuid())
    .bind(count)
    .bind(now.as_millis())
    .bind(texts)
    .bind(i64::from(rules::EVENTS_KEPT) - count)
    .execute(on)
    .await?;
    Ok(())
}

impl Run<PgConnection> for Events {
    async fn run(&self, on: &mut PgConnection) -> Result<Vec<Event>, Failure> {
        let after = to_db(self.after);
        let limit = i64::from(self.limit);
        let rows: Vec<EventRow> = match self.tenant {
            Some(tenant) => {
                sqlx::query_as(
                    "SELECT number, tenant, at, event FROM events \
                     WHERE tenant = $1 AND number > $2 ORDER BY number LIMIT $3",
                )
                .bind(tenant.as_uuid())
                .bind(after)
                .bind(limit)
                .fetch_all(on)
                .await?
            }
            None => {
                sqlx::query_as(
                    "SELECT number, tenant, at, event FROM events \
                     WHERE number > $1 ORDER BY number LIMIT $2",
                )
                .bind(after)
                .bind(limit)
                .fetch_all(on)
                .await?
            }
        };
        Ok(rows.into_iter().map(|row| row.0).collect())
    }
}

impl Run<PgConnection> for ChangeSeq {
    async fn run(&self, on: &mut PgConnection) -> Result<u64, Failure> {
        let number = sqlx::query_scalar("SELECT change FROM numbers")
            .fetch_one(on)
            .await?;
        Ok(from_db(number)?)
    }
}

impl Run<PgConnection> for ChangedSince {
    async fn run(&self, on: &mut PgConnection) -> Result<Changes, Failure> {
        let rows = sqlx::query(concat!(
            "SELECT c.number, c.tenant, t.id IS NULL AS gone, ",
            tenant_columns!(),
            " FROM changes c LEFT JOIN tenants t ON t.id = c.tenant \
             WHERE c.number > $1 ORDER BY c.number LIMIT $2"
        ))
        .bind(to_db(self.after))
        .bind(i64::from(self.limit))
        .fetch_all(on)
        .await?;
        let mut changes = Changes {
            next: self.after,
            ..Changes::default()
        };
        for row in rows {
            changes.next = from_db(row.try_get("number")?)?;
            if row.try_get("gone")? {
                let id: Uuid = row.try_get("tenant")?;
                changes.gone.push(TenantId::from_uuid(id));
            } else {
                let tenant = OneOfMany::<TenantRow>::from_row(&row)?.0;
                changes.tenants.extend(tenant.map(TenantRow::shown));
            }
        }
        Ok(changes)
    }
}

impl Run<PgConnection> for Ping {
    async fn run(&self, on: &mut PgConnection) -> Result<(), Failure> {
        sqlx::query("SELECT change FROM numbers")
            .execute(on)
            .await?;
        Ok(())
    }
}
