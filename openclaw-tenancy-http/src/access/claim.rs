//! The first administrator under an external provider: a link printed once that binds the next sign-in.

use std::sync::Arc;
use std::time::Duration;

use openclaw_tenancy::access::{AccessStore, Account, Grant, GrantKind, Rights, SecretHash};
use openclaw_tenancy::clock::{Clock, Entropy};
use openclaw_tenancy::store::StoreError;
use secrecy::{ExposeSecret as _, SecretString};

use crate::identity::secret;

/// How long a link holds. A new one is made at the next start while there is no administrator.
pub const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// The path of the page that a link opens; the code is the query parameter `code`.
pub const PATH: &str = "/claim";

/// Makes and redeems claims.
#[derive(Debug, Clone)]
pub struct AdminClaims {
    store: Arc<dyn AccessStore>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl AdminClaims {
    /// Claims kept in `store`.
    #[must_use]
    pub const fn new(
        store: Arc<dyn AccessStore>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            store,
            clock,
            entropy,
        }
    }

    /// A new code, unless somebody administers the deployment already. Print `{public url}/claim?code={code}`
    /// where only the operator reads.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn issue(&self) -> Result<Option<SecretString>, StoreError> {
        if self.store.has_admin().await? {
            return Ok(None);
        }
        let code = secret::random(&*self.entropy);
        let now = self.clock.now();
        self.store
            .put_grant(Grant {
                kind: GrantKind::AdminClaim,
                secret: SecretHash::of(code.expose_secret()),
                account: None,
                data: String::new(),
                created_at: now,
                expires_at: now.plus(LIFETIME),
            })
            .await?;
        Ok(Some(code))
    }

    /// Whether `code` can still be redeemed. Redeems nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn is_open(&self, code: &str) -> Result<bool, StoreError> {
        let hash = SecretHash::of(code);
        let grant = self
            .store
            .grant(GrantKind::AdminClaim, hash, self.clock.now())
            .await?;
        Ok(grant.is_some() && !self.store.has_admin().await?)
    }

    /// Makes `account` an administrator, once for a code; `None` when the code is not open (any more).
    ///
    /// Of several links that were printed only one works: with the first administrator the others are void.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn redeem(
        &self,
        code: &str,
        account: &Account,
    ) -> Result<Option<Account>, StoreError> {
        if !self.is_open(code).await? {
            return Ok(None);
        }
        let hash = SecretHash::of(code);
        let taken = self
            .store
            .take_grant(GrantKind::AdminClaim, hash, self.clock.now())
            .await?;
        if taken.is_none() {
            return Ok(None);
        }
        let rights = Rights {
            admin: true,
            plan: account.rights.plan.clone(),
        };
        self.store
            .set_account_rights(account.id, rights)
            .await
            .map(Some)
    }
}
