//! What every command that works with the deployment stands on: the database and the server's own keys.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use openclaw_tenancy::clock::{Clock, Entropy, SystemClock, SystemEntropy};

use super::config::Loaded;
use super::keys::{self, ServerKeys};
use super::store::Database;
use crate::access::session::Sessions;
use crate::access::token::ApiTokens;
use crate::identity::jwt::{OwnTokens, TokenSecret};

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
