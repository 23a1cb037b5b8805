//! Accounts, grants, passwords and the server's own values.

use openclaw_tenancy::access::{Account, GRANTS_KEPT, Grant, Replace};
use openclaw_tenancy::identity::Identity;
use openclaw_tenancy::store::StoreError;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::On;
use crate::error::Failure;
use crate::ops::{
    HasAdmin, ListAccounts, Meta, PutGrant, PutPassword, ReadAccount, ReadGrant, ReadPassword,
    RevokeGrants, Run, SetRights, SignIn, SweepGrants, TakeGrant,
};
use crate::rows::{AccountRow, GrantRow};

impl Run<On<'_>> for PutGrant {
    async fn run(&self, on: &mut On<'_>) -> Result<(), Failure> {
        let Grant {
            kind,
            secret,
            account,
            data,
            created_at,
            expires_at,
        } = &self.grant;
        let written = sqlx::query(
            "INSERT INTO grants (kind, secret, account, data, created_at, expires_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )
        .bind(kind.as_str())
        .bind(&secret.0[..])
        .bind(account.map(|account| account.as_uuid().hyphenated()))
        .bind(data)
        .bind(created_at.as_millis())
        .bind(expires_at.as_millis())
        .execute(&mut *on.sql)
        .await?;
        if written.rows_affected() == 0 {
            return Err(StoreError::Conflict { what: "grant" }.into());
        }
        let Some(account) = account else {
            return Ok(());
        };
        // This one and the newest others.
        sqlx::query(
            "DELETE FROM grants WHERE kind = ?1 AND secret IN (\
                 SELECT secret FROM grants WHERE account = ?2 AND kind = ?1 AND secret <> ?3 \
                 ORDER BY created_at DESC, secret DESC LIMIT -1 OFFSET ?4)",
        )
        .bind(kind.as_str())
        .bind(account.as_uuid().hyphenated())
        .bind(&secret.0[..])
        .bind(i64::from(GRANTS_KEPT) - 1)
        .execute(&mut *on.sql)
        .await?;
        Ok(())
    }
}

impl Run<On<'_>> for ReadGrant {
    async fn run(&self, on: &mut On<'_>) -> Result<Option<Grant>, Failure> {
        let row: Option<GrantRow> = sqlx::query_as(
            "SELECT account, data, created_at, expires_at FROM grants \
             WHERE kind = ?1 AND secret = ?2 AND expires_at > ?3",
        )
        .bind(self.kind.as_str())
        .bind(&self.secret.0[..])
        .bind(self.now.as_millis())
        .fetch_optional(&mut *on.sql)
        .await?;
        Ok(row.map(|row| row.grant(self.kind, self.secret)))
    }
}

impl Run<On<'_>> for TakeGrant {
    async fn run(&self, on: &mut On<'_>) -> Result<Option<Grant>, Failure> {
        let row: Option<GrantRow> = sqlx::query_as(
            "DELETE FROM grants WHERE kind = ?1 AND secret = ?2 \
             RETURNING account, data, created_at, expires_at",
        )
        .bind(self.kind.as_str())
        .bind(&self.secret.0[..])
        .fetch_optional(&mut *on.sql)
        .await?;
        let taken = row.map(|row| row.grant(self.kind, self.secret));
        Ok(taken.filter(|grant| self.now < grant.expires_at))
    }
}

impl Run<On<'_>> for RevokeGrants {
    async fn run(&self, on: &mut On<'_>) -> Result<u64, Failure> {
        let ended = sqlx::query("DELETE FROM grants WHERE account = ?1 AND kind = ?2")
            .bind(self.account.as_uuid().hyphenated())
            .bind(self.kind.as_str())
            .execute(&mut *on.sql)
            .await?;
        Ok(ended.rows_affected())
    }
}

impl Run<On<'_>> for SweepGrants {
    async fn run(&self, on: &mut On<'_>) -> Result<u64, Failure> {
        let swept = sqlx::query(
            "DELETE FROM grants WHERE (kind, secret) IN (\
                 SELECT kind, secret FROM grants WHERE expires_at <= ?1 LIMIT ?2)",
        )
        .bind(self.now.as_millis())
        .bind(i64::from(self.limit))
        .execute(&mut *on.sql)
        .await?;
        Ok(swept.rows_affected())
    }
}

impl Run<On<'_>> for SignIn {
    async fn run(&self, on: &mut On<'_>) -> Result<Account, Failure> {
        let who = &self.identity.who;
        let known = find(&self.identity, on).await?;
        if let Some(known) = known {
            return Ok(known);
        }
        sqlx::query(
            "INSERT INTO accounts (id, issuer, subject, email, name, created_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )
        .bind(self.id.as_uuid().hyphenated())
        .bind(&who.issuer)
        .bind(&who.subject)
        .bind(&self.identity.email)
        .bind(&self.identity.name)
        .bind(self.now.as_millis())
        .execute(&mut *on.sql)
        .await?;
        // Nothing was written where the id is another's.
        let made = find(&self.identity, on).await?;
        Ok(made.ok_or(StoreError::Conflict { what: "account" })?)
    }
}

/// The account of this identity, brought up to date as `Account::update_contact` does it.
async fn find(identity: &Identity, on: &mut On<'_>) -> Result<Option<Account>, sqlx::Error> {
    let row: Option<AccountRow> = sqlx::query_as(
        "UPDATE accounts SET email = COALESCE(?3, email), name = COALESCE(?4, name) \
             WHERE issuer = ?1 AND subject = ?2 \
             RETURNING id, issuer, subject, email, name, admin, plan, created_at",
    )
    .bind(&identity.who.issuer)
    .bind(&identity.who.subject)
    .bind(&identity.email)
    .bind(&identity.name)
    .fetch_optional(&mut *on.sql)
    .await?;
    Ok(row.map(|row| row.0))
}

impl Run<On<'_>> for ReadAccount {
    async fn run(&self, on: &mut On<'_>) -> Result<Option<Account>, Failure> {
        let row: Option<AccountRow> = sqlx::query_as(
            "SELECT id, issuer, subject, email, name, admin, plan, created_at \
             FROM accounts WHERE id = ?1",
        )
        .bind(self.id.as_uuid().hyphenated())
        .fetch_optional(&mut *on.sql)
        .await?;
        Ok(row.map(|row| row.0))
    }
}

impl Run<On<'_>> for ListAccounts {
    async fn run(&self, on: &mut On<'_>) -> Result<Vec<Account>, Failure> {
        let rows: Vec<AccountRow> = sqlx::query_as(
            "SELECT id, issuer, subject, email, name, admin, plan, created_at \
             FROM accounts WHERE id > ?1 ORDER BY id LIMIT ?2",
        )
        .bind(
            self.after
                .map_or(Uuid::nil(), |id| id.as_uuid())
                .hyphenated(),
        )
        .bind(i64::from(self.limit))
        .fetch_all(&mut *on.sql)
        .await?;
        Ok(rows.into_iter().map(|row| row.0).collect())
    }
}

impl Run<On<'_>> for SetRights {
    async fn run(&self, on: &mut On<'_>) -> Result<Account, Failure> {
        let row: Option<AccountRow> = sqlx::query_as(
            "UPDATE accounts SET admin = ?2, plan = ?3 WHERE id = ?1 \
             RETURNING id, issuer, subject, email, name, admin, plan, created_at",
        )
        .bind(self.id.as_uuid().hyphenated())
        .bind(self.rights.admin)
        .bind(self.rights.plan.as_ref().map(|plan| plan.as_str()))
        .fetch_optional(&mut *on.sql)
        .await?;
        let account = row.ok_or(StoreError::NotFound { what: "account" })?;
        Ok(account.0)
    }
}

impl Run<On<'_>> for HasAdmin {
    async fn run(&self, on: &mut On<'_>) -> Result<bool, Failure> {
        let any = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM accounts WHERE admin)");
        Ok(any.fetch_one(&mut *on.sql).await?)
    }
}

impl Run<On<'_>> for PutPassword {
    async fn run(&self, on: &mut On<'_>) -> Result<bool, Failure> {
        let written = sqlx::query(
            "INSERT INTO passwords (username, phc) VALUES (?1, ?2) \
             ON CONFLICT (username) DO UPDATE SET phc = EXCLUDED.phc WHERE ?3",
        )
        .bind(&self.username)
        .bind(self.phc.expose_secret())
        .bind(self.replace == Replace::Yes)
        .execute(&mut *on.sql)
        .await?;
        Ok(written.rows_affected() > 0)
    }
}

impl Run<On<'_>> for ReadPassword {
    async fn run(&self, on: &mut On<'_>) -> Result<Option<SecretString>, Failure> {
        let phc: Option<String> =
            sqlx::query_scalar("SELECT phc FROM passwords WHERE username = ?1")
                .bind(&self.username)
                .fetch_optional(&mut *on.sql)
                .await?;
        Ok(phc.map(SecretString::from))
    }
}

impl Run<On<'_>> for Meta {
    async fn run(&self, on: &mut On<'_>) -> Result<SecretString, Failure> {
        sqlx::query(
            "INSERT INTO server_values (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        )
        .bind(&self.name)
        .bind(self.value.expose_secret())
        .execute(&mut *on.sql)
        .await?;
        let value: String = sqlx::query_scalar("SELECT value FROM server_values WHERE name = ?1")
            .bind(&self.name)
            .fetch_one(&mut *on.sql)
            .await?;
        Ok(value.into())
    }
}
