//! The commands that end by themselves, and what the binary does with the command line.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Parser as _;
use openclaw_tenancy::access::Account;
use openclaw_tenancy::id::AccountId;
use openclaw_tenancy::identity::{Identity, Subject};
use secrecy::ExposeSecret as _;

use super::cli::{AccountCommand, Cli, Command, Settings};
use super::config::{self, ConfigError, EXAMPLE, Loaded, Sources};
use super::doctor::{self, Outcome};
use super::foundation::Foundation;
use super::{account_list, accounts, identity, logging, serve};
use crate::api::audit;
use crate::identity::local::{ISSUER, LocalAccounts};

/// The command line or the configuration cannot be used.
const UNUSABLE: u8 = 2;

/// Said beside a result, which standard output has alone.
const SIGNED_OUT: &str = "every session and token of the account has ended; at the edge of a running server within \
     1.5 seconds";

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // One provider for every TLS connection of the process; a second installation is refused and harmless.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::from(error).context("no runtime can be made")),
    };
    match runtime.block_on(run(cli, &mut io::stdout())) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    let written = error.downcast_ref::<io::Error>().map(io::Error::kind);
    if written == Some(io::ErrorKind::BrokenPipe) {
        // Whoever read our output has seen enough of it.
        return ExitCode::SUCCESS;
    }
    // The line may hold what a database or an engine wrote.
    let text = format!("error: {error:#}");
    for line in text.lines() {
        eprintln!("{}", super::escape::escape(line, config::LogFormat::Text));
    }
    match error.downcast_ref::<ConfigError>() {
        Some(_) => ExitCode::from(UNUSABLE),
        None => ExitCode::FAILURE,
    }
}

async fn run(cli: Cli, out: &mut (impl Write + Send)) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Serve(serve) => {
            let loaded = load(&serve.settings, &serve.flags())?;
            serve::serve(&loaded, out).await?;
        }
        Command::Doctor(doctor) => {
            let loaded = load(&doctor.settings, &doctor.common.flags())?;
            let report = doctor::examine(&loaded).await;
            if doctor.json {
                writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
            } else {
                write!(out, "{}", report.table())?;
            }
            if report.outcome == Outcome::Fail {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Token(token) => {
            let loaded = load(&token.settings, &[])?;
            logging::init_command(&loaded.config.log)?;
            let bearer = bearer(&loaded, &token.account).await?;
            writeln!(out, "{bearer}")?;
        }
        Command::Password(password) => {
            let loaded = load(&password.settings, &[])?;
            logging::init_command(&loaded.config.log)?;
            let new = new_password(&loaded, &password.username).await?;
            writeln!(out, "{new}")?;
            eprintln!("{SIGNED_OUT}");
        }
        Command::Account(account) => match account.command {
            AccountCommand::Add(add) => {
                let loaded = load(&add.settings, &[])?;
                logging::init_command(&loaded.config.log)?;
                let password = accounts::add(&loaded, &add).await?;
                writeln!(out, "{password}")?;
            }
            AccountCommand::List(list) => {
                let loaded = load(&list.settings, &[])?;
                logging::init_command(&loaded.config.log)?;
                let entries = account_list::list(&loaded).await?;
                if list.json {
                    writeln!(out, "{}", serde_json::to_string_pretty(&entries)?)?;
                } else {
                    write!(out, "{}", account_list::table(&entries))?;
                }
            }
            AccountCommand::SignOut(sign_out) => {
                let loaded = load(&sign_out.settings, &[])?;
                logging::init_command(&loaded.config.log)?;
                accounts::sign_out(&loaded, &sign_out.account).await?;
                eprintln!("{SIGNED_OUT}");
            }
        },
        Command::Config(config) if config.example => write!(out, "{EXAMPLE}")?,
        Command::Config(config) => {
            let loaded = load(&config.settings, &[])?;
            print_settings(&loaded, config.json, out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn load(
    settings: &Settings,
    flags: &[(&'static str, &'static str, String)],
) -> Result<Loaded, ConfigError> {
    let set = settings
        .set
        .iter()
        .map(|(key, value)| ("--set", key.clone(), value.clone()));
    let flags = flags
        .iter()
        .map(|(flag, key, value)| (*flag, (*key).to_owned(), value.clone()));
    config::load(&Sources {
        file: settings.config.clone(),
        data_dir: settings.data.clone(),
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        flags: set.chain(flags).collect(),
    })
}

fn print_settings(loaded: &Loaded, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let settings = loaded.settings();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&settings)?)?;
        return Ok(());
    }
    for setting in settings {
        writeln!(
            out,
            "{} = {}  # {}",
            setting.key, setting.value, setting.origin
        )?;
    }
    Ok(())
}

/// A bearer of the account that `whose` names.
async fn bearer(loaded: &Loaded, whose: &str) -> anyhow::Result<String> {
    let foundation = existing(loaded).await?;
    let account = find(&foundation, whose).await?;
    let rights = identity::rights(&loaded.config.identity, &loaded.config.catalog()?)?;
    let granted = rights.granted(&of(&account), &loaded.config.catalog()?);
    let bearer = foundation
        .api_tokens(loaded)?
        .issue(account.id, granted)
        .await?;
    audit::by_command("token.issue", account.id);
    foundation.database.close().await;
    Ok(bearer.token.expose_secret().to_owned())
}

async fn new_password(loaded: &Loaded, username: &str) -> anyhow::Result<String> {
    let foundation = existing(loaded).await?;
    let (clock, entropy) = (
        Arc::clone(&foundation.clock),
        Arc::clone(&foundation.entropy),
    );
    let local = LocalAccounts::new(foundation.database.access(), clock, entropy)?;
    let password = local
        .reset_password(username)
        .await
        .with_context(|| format!("{username:?} gets no new password"))?;
    audit::by_command("account.password", find(&foundation, username).await?.id);
    foundation.database.close().await;
    Ok(password.expose_secret().to_owned())
}

/// The deployment, where there is one: a command that only reads must not make it.
pub(super) async fn existing(loaded: &Loaded) -> anyhow::Result<Foundation> {
    if loaded.config.store.url.is_none() && !loaded.data_dir.exists() {
        bail!(
            "there is no data directory {}; start the server once with `openclaw-tenancy serve`, or name \
             the one it uses with --data",
            loaded.data_dir.display()
        );
    }
    Foundation::open(loaded).await
}

/// The account that `whose` names: a local account's name, or any account's id.
pub(super) async fn find(foundation: &Foundation, whose: &str) -> anyhow::Result<Account> {
    let access = foundation.database.access();
    if let Ok(id) = whose.parse::<AccountId>() {
        let account = access.account(id).await?;
        return account.with_context(|| format!("there is no account {id}"));
    }
    let username = whose.trim().to_ascii_lowercase();
    if access.password(&username).await?.is_none() {
        bail!(
            "there is no local account {whose:?}; name one (the first is `admin`), or give the id that \
             `openclaw-tenancy account list` shows"
        );
    }
    // A local account is found as a sign-in finds it.
    let who = Subject {
        issuer: ISSUER.to_owned(),
        subject: username.clone(),
    };
    let identity = Identity {
        who,
        email: None,
        email_verified: false,
        name: Some(username),
        groups: BTreeSet::new(),
    };
    let id = AccountId::generate(&*foundation.clock, &*foundation.entropy);
    Ok(access.sign_in(identity, id, foundation.clock.now()).await?)
}

/// What is known of an account's person without a sign-in.
pub(super) fn of(account: &Account) -> Identity {
    Identity {
        who: account.who.clone(),
        email: account.email.clone(),
        email_verified: false,
        name: account.name.clone(),
        groups: BTreeSet::new(),
    }
}
