//! Accounts, grants, passwords and the server's own values.

use openclaw_tenancy::access::{Account, Grant, Replace};
use openclaw_tenancy::store::StoreError;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgConnection;

use crate::error::Failure;
use crate::ops::{
    HasAdmin, Kind, Meta, Op, PutGrant, PutPassword, ReadAccount, ReadGrant, ReadPassword,
    RevokeGrants, SetRights, SignIn, SweepGrants, TakeGrant,
};
use crate::rows::{AccountRow, GrantRow};

impl Op<PgConnection> for PutGrant {
    type Answer = ();
    const WHAT: &'static str = "writing a grant";
    const KIND: Kind = Kind::Write;

    async fn run(&self, on: &mut PgConnection) -> Result<(), Failure> {
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
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(kind.as_str())
        .bind(&secret.0[..])
        .bind(account.map(|account| account.as_uuid()))
        .bind(data)
        .bind(created_at.as_millis())
        .bind(expires_at.as_millis())
        .execute(on)
        .await?;
        match written.rows_affected() {
            0 => Err(StoreError::Conflict { what: "grant" }.into()),
            _ => Ok(()),
        }
    }
}

impl Op<PgConnection> for ReadGrant {
    type Answer = Option<Grant>;
    const WHAT: &'static str = "reading a grant";
    const KIND: Kind = Kind::Read;

    async fn run(&self, on: &mut PgConnection) -> Result<Option<Grant>, Failure> {
        let row = sqlx::query(
            "SELECT account, data, created_at, expires_at FROM grants \
             WHERE kind = $1 AND secret = $2 AND expires_at > $3",
        )
        .bind(self.kind.as_str())
        .bind(&self.secret.0[..])
        .bind(self.now.as_millis())
        .fetch_optional(on)
        .await?;
        let read = row.map(|row| GrantRow::read(&row, self.kind, self.secret));
        Ok(read.transpose()?.map(|row| row.0))
    }
}

impl Op<PgConnection> for TakeGrant {
    type Answer = Option<Grant>;
    const WHAT: &'static str = "taking a grant";
    const KIND: Kind = Kind::Write;

    async fn run(&self, on: &mut PgConnection) -> Result<Option<Grant>, Failure> {
        let row = sqlx::query(
            "DELETE FROM grants WHERE kind = $1 AND secret = $2 \
             RETURNING account, data, created_at, expires_at",
        )
        .bind(self.kind.as_str())
        .bind(&self.secret.0[..])
        .fetch_optional(on)
        .await?;
        let taken = row.map(|row| GrantRow::read(&row, self.kind, self.secret));
        let taken = taken.transpose()?.map(|row| row.0);
        Ok(taken.filter(|grant| self.now < grant.expires_at))
    }
}

impl Op<PgConnection> for RevokeGrants {
    type Answer = u64;
    const WHAT: &'static str = "revoking grants";
    const KIND: Kind = Kind::Write;

    async fn run(&self, on: &mut PgConnection) -> Result<u64, Failure> {
        let ended = sqlx::query("DELETE FROM grants WHERE account = $1 AND kind = $2")
            .bind(self.account.as_uuid())
            .bind(self.kind.as_str())
            .execute(on)
            .await?;
        Ok(ended.rows_affected())
    }
}

impl Op<PgConnection> for SweepGrants {
    type Answer = u64;
    const WHAT: &'static str = "removing expired grants";
    const KIND: Kind = Kind::Write;

    async fn run(&self, on: &mut PgConnection) -> Result<u64, Failure> {
        let swept = sqlx::query(
            "DELETE FROM grants WHERE (kind, secret) IN (\
                 SELECT kind, secret FROM grants WHERE expires_at <= $1 \
                 LIMIT $2 FOR UPDATE SKIP LOCKED)",
        )
        .bind(self.now.as_millis())
        .bind(i64::from(self.limit))
        .execute(on)
        .await?;
        Ok(swept.rows_affected())
    }
}

impl Op<PgConnection> for SignIn {
    type Answer = Account;
    const WHAT: &'static str = "signing in";
    const KIND: Kind = Kind::Write;

    async fn run(&self, on: &mut PgConnection) -> Result<Account, Failure> {
        let who = &self.identity.who;
        let known = self.find(on).await?;
        if let Some(known) = known {
            return Ok(known);
        }
        sqlx::query(
            "INSERT INTO accounts (id, issuer, subject, email, name, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(self.id.as_uuid())
        .bind(&who.issuer)
        .bind(&who.subject)
        .bind(&self.identity.email)
        .bind(&self.identity.name)
        .bind(self.now.as_millis())
        .execute(&mut *on)
        .await?;
        // Another sign-in of the same person may have been quicker; then this waited for it.
        let made = self.find(on).await?;
        Ok(made.ok_or(StoreError::Conflict { what: "account" })?)
    }
}

impl SignIn {
    /// The account of this identity, brought up to date.
    async fn find(&self, on: &mut PgConnection) -> Result<Option<Account>, sqlx::Error> {
        let row: Option<AccountRow> = sqlx::query_as(
            "UPDATE accounts SET email = $3, name = $4 WHERE issuer = $1 AND subject = $2 \
             RETURNING id, issuer, subject, email, name, admin, plan, created_at",
        )
        .bind(&self.identity.who.issuer)
        .bind(&self.identity.who.subject)
        .bind(&self.identity.email)
        .bind(&self.identity.name)
        .fetch_optional(on)
        .await?;
        Ok(row.map(|row| row.0))
    }
}

impl Op<PgConnection> for ReadAccount {
    type Answer = Option<Account>;
    const WHAT: &'static str = "reading an account";
    const KIND: Kind = Kind::Read;

    async fn run(&self, on: &mut PgConnection) -> Result<Option<Account>, Failure> {
        let row: Option<AccountRow> = sqlx::query_as(
            "SELECT id, issuer, subject, email, name, admin, plan, created_at \
             FROM accounts WHERE id = $1",
        )
        .bind(self.id.as_uuid())
        .fetch_optional(on)
        .await?;
        Ok(row.map(|row| row.0))
    }
}

impl Op<PgConnection> for SetRights {
    type Answer = Account;
    const WHAT: &'static str = "changing an account's rights";
    const KIND: Kind = Kind::Write;

    async fn run(&self, on: &mut PgConnection) -> Result<Account, Failure> {
        let row: Option<AccountRow> = sqlx::query_as(
            "UPDATE accounts SET admin = $2, plan = $3 WHERE id = $1 \
             RETURNING id, issuer, subject, email, name, admin, plan, created_at",
        )
        .bind(self.id.as_uuid())
        .bind(self.rights.admin)
        .bind(self.rights.plan.as_ref().map(|plan| plan.as_str()))
        .fetch_optional(on)
        .await?;
        let account = row.ok_or(StoreError::NotFound { what: "account" })?;
        Ok(account.0)
    }
}

impl Op<PgConnection> for HasAdmin {
    type Answer = bool;
    const WHAT: &'static str = "looking for an administrator";
    const KIND: Kind = Kind::Read;

    async fn run(&self, on: &mut PgConnection) -> Result<bool, Failure> {
        let any = sqlx::query_scalar("SELECT EXISTS (SELECT FROM accounts WHERE admin)");
        Ok(any.fetch_one(on).await?)
    }
}

impl Op<PgConnection> for PutPassword {
    type Answer = bool;
    const WHAT: &'static str = "writing a password";
    const KIND: Kind = Kind::Write;

    async fn run(&self, on: &mut PgConnection) -> Result<bool, Failure> {
        let written = sqlx::query(
            "INSERT INTO passwords (username, phc) VALUES ($1, $2) \
             ON CONFLICT (username) DO UPDATE SET phc = EXCLUDED.phc WHERE $3",
        )
        .bind(&self.username)
        .bind(self.phc.expose_secret())
        .bind(self.replace == Replace::Yes)
        .execute(on)
        .await?;
        Ok(written.rows_affected() > 0)
    }
}

impl Op<PgConnection> for ReadPassword {
    type Answer = Option<SecretString>;
    const WHAT: &'static str = "reading a password";
    const KIND: Kind = Kind::Read;

    async fn run(&self, on: &mut PgConnection) -> Result<Option<SecretString>, Failure> {
        let phc: Option<String> =
            sqlx::query_scalar("SELECT phc FROM passwords WHERE username = $1")
                .bind(&self.username)
                .fetch_optional(on)
                .await?;
        Ok(phc.map(SecretString::from))
    }
}

impl Op<PgConnection> for Meta {
    type Answer = SecretString;
    const WHAT: &'static str = "reading a value of the server's";
    const KIND: Kind = Kind::Write;

    async fn run(&self, on: &mut PgConnection) -> Result<SecretString, Failure> {
        sqlx::query(
            "INSERT INTO server_values (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(&self.name)
        .bind(self.value.expose_secret())
        .execute(&mut *on)
        .await?;
        let value: String = sqlx::query_scalar("SELECT value FROM server_values WHERE name = $1")
            .bind(&self.name)
            .fetch_one(on)
            .await?;
        Ok(value.into())
    }
}
