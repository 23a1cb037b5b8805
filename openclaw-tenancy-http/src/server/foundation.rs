//! What every command that works with the deployment stands on: the database and the server's own keys.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use openclaw_tenancy::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use openclaw_tenancy::error::Retry;
use openclaw_tenancy::store::StoreError;
use openclaw_tenancy_postgres::OpenError;

use super::config::Loaded;
use super::keys::{self, ServerKeys};
use super::store::Database;
use crate::access::session::Sessions;
use crate::access::token::ApiTokens;
use crate::identity::jwt::{OwnTokens, TokenSecret};

/// Between the first two attempts to reach a database; then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// At most so long.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The database, the keys, the time and randomness.
#[derive(Debug)]
pub(crate) struct Foundation {
    /// The database.
    pub(crate) database: Database,
    /// The server's own keys.
    pub(crate) keys: ServerKeys,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Randomness.
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl Foundation {
    /// As [`open`](Self::open), and waits for a database that does not answer yet, as long as `store.wait` says: one
    /// that is started together with the server may be there later.
    ///
    /// # Errors
    /// What kept the last attempt from succeeding.
    pub(crate) async fn open_waiting(loaded: &Loaded) -> anyhow::Result<Self> {
        let clock = SystemClock;
        let patience = loaded.config.store.wait;
        let (began, mut pause) = (clock.now(), FIRST_PAUSE);
        loop {
            let error = match Self::open(loaded).await {
                Ok(foundation) => return Ok(foundation),
                Err(error) => error,
            };
            let left = patience.saturating_sub(clock.now().since(began));
            if left.is_zero() || !may_pass(&error) {
                let waited = !patience.is_zero() && may_pass(&error);
                return Err(if waited {
                    let waited = patience.as_secs();
                    error.context(format!(
                        "the database did not answer within {waited} s; start it, correct store.url, or wait \
                         longer with store.wait"
                    ))
                } else {
                    error
                });
            }
            pause = pause.min(left);
            tracing::warn!(
                error = format!("{error:#}"),
                left = left.as_secs(),
                "waiting for the database of store.url"
            );
            clock.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Opens the database of `loaded`, brings its tables up to date, and reads the keys or makes them.
    ///
    /// # Errors
    /// Whatever keeps the database or the keys from being used, with the fix.
    pub(crate) async fn open(loaded: &Loaded) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        make_data_dir(&loaded.data_dir)?;
        let config = &loaded.config;
        let url = config.store_url(&loaded.data_dir);
        let database = Database::connect(&url, &config.store, &clock).await?;
        database.migrate().await?;
        let key_file = config.store.key_file.as_deref();
        let mut keys = keys::load(&*database.access(), &*entropy, key_file).await?;
        keys.remember(&loaded.data_dir);
        Ok(Self {
            database,
            keys,
            clock,
            entropy,
        })
    }

    /// Signs and verifies our own tokens. Their issuer is the deployment, so that they outlive a change of
    /// its address.
    ///
    /// # Errors
    /// When a configured secret is weak; never for a checked configuration.
    pub(crate) fn own_tokens(&self, loaded: &Loaded) -> anyhow::Result<OwnTokens> {
        let tokens = &loaded.config.tokens;
        let given = tokens
            .secret
            .as_ref()
            .map(|secret| TokenSecret::new(secret.inner().clone()));
        let secret = given
            .transpose()?
            .unwrap_or_else(|| self.keys.token_secret.clone());
        let issuer = format!("urn:openclaw-tenancy:deployment:{}", self.keys.deployment);
        let own = OwnTokens::new(
            issuer,
            &secret,
            Arc::clone(&self.clock),
            Arc::clone(&self.entropy),
        );
        Ok(match &tokens.previous_secret {
            Some(previous) => own.with_previous(&TokenSecret::new(previous.inner().clone())?),
            None => own,
        })
    }

    /// Bearers of the API.
    ///
    /// # Errors
    /// As [`own_tokens`](Self::own_tokens).
    pub(crate) fn api_tokens(&self, loaded: &Loaded) -> anyhow::Result<ApiTokens> {
        let sessions = Sessions::new(
            self.database.access(),
            Arc::clone(&self.clock),
            Arc::clone(&self.entropy),
        );
        let own = Arc::new(self.own_tokens(loaded)?);
        Ok(ApiTokens::new(
            own,
            sessions,
            loaded.config.tokens.expires_in,
        ))
    }
}

/// Whether the database may be right by itself soon.
pub(crate) fn may_pass(error: &anyhow::Error) -> bool {
    let opened = error.downcast_ref::<OpenError>().map(OpenError::retry);
    let asked = error.downcast_ref::<StoreError>().map(StoreError::retry);
    opened.or(asked).is_some_and(|retry| retry != Retry::Never)
}

/// Makes the data directory, for this user alone: the database in it holds keys and password hashes.
fn make_data_dir(dir: &Path) -> anyhow::Result<()> {
    match DirBuilder::new().recursive(true).mode(0o700).create(dir) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) => Err(error).with_context(|| {
            format!(
                "the data directory {} cannot be made; choose another with --data",
                dir.display()
            )
        }),
    }
}
