//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Every person their own OpenClaw.
///
/// Serves a REST API with pages to sign in and to ask for an instance, makes an OpenClaw container for each person
/// on Docker Engines, and lets each of them reach their own through its edge.
#[derive(Debug, Parser)]
#[command(
    name = "openclaw-tenancy",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = AFTER_HELP
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
First steps:
  openclaw-tenancy doctor    looks whether everything is there; says what to do
  openclaw-tenancy serve     starts; the first start prints a password, once
  then open http://localhost:3000

The API by hand:
  TOKEN=$(openclaw-tenancy token)
  curl -H \"Authorization: Bearer $TOKEN\" http://localhost:3000/api/tenants/me

Settings come from CONFIG.toml, then OPENCLAW_TENANCY__SECTION__KEY, then flags;
the last wins. `openclaw-tenancy config --example` prints a file with every
setting explained.

Exit codes: 0 well, 1 failed, 2 the command line or the configuration cannot be
used.";

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server until SIGTERM or Ctrl-C
    ///
    /// Prints to standard output, one line each and nothing else:
    ///
    ///   first administrator: NAME PASSWORD    first start with local accounts
    ///   first administrator: open LINK        under a provider, while there is none
    ///   ready: api=URL edge=URL metrics=URL   once it serves
    ///
    /// Log lines go to standard error. At SIGTERM it accepts nothing more, finishes
    /// what is under way and exits with 0; what was not finished goes on at the next
    /// start. A second signal ends it at once. SIGHUP changes nothing and is noted:
    /// settings are read at the start only.
    #[command(verbatim_doc_comment)]
    Serve(Serve),
    /// Look whether everything is there that the server needs, and say what to do about what is not
    ///
    /// Checks the configuration, the database, the keys, every engine (version,
    /// cgroups, storage, swap, the image), the ports and the clock. Changes nothing.
    /// Exits with 1 when something would keep the server from working.
    #[command(verbatim_doc_comment)]
    Doctor(Doctor),
    /// Print a bearer token for the API
    ///
    /// The token ends after an hour unless configured otherwise, or when its account
    /// signs out everywhere. Whoever has it can do what the account can.
    #[command(verbatim_doc_comment)]
    Token(Token),
    /// Give a local account a new random password, print it, and sign the account out everywhere
    ///
    /// Every session and token of the account ends, at the API at once and at a
    /// running server's edge within 1.5 seconds; so whoever had the old password is
    /// out. `openclaw-tenancy account sign-out NAME` does that without a new password.
    #[command(verbatim_doc_comment)]
    Password(Password),
    /// Make local accounts, list accounts, and sign them out
    Account(Account),
    /// Print the settings in effect, with secrets redacted and where each came from
    Config(Config),
}

/// Where settings come from, for every command.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// The configuration file; config.toml in the data directory unless given
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = "OPENCLAW_TENANCY_CONFIG",
        hide_env_values = true
    )]
    pub(crate) config: Option<PathBuf>,
    /// The data directory; $XDG_DATA_HOME/openclaw-tenancy or ~/.local/share/openclaw-tenancy unless given
    #[arg(
        long,
        value_name = "DIR",
        env = "OPENCLAW_TENANCY_DATA",
        hide_env_values = true
    )]
    pub(crate) data: Option<PathBuf>,
    /// Set any setting, such as --set log.level=debug; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        Some(_) | None => Err("write it as KEY=VALUE, such as log.level=debug".to_owned()),
    }
}

/// `serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// What `doctor` looks at as well.
    #[command(flatten)]
    pub(crate) common: Common,
    /// error, warn, info, debug or trace [log.level]
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// text or json [log.format]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
    /// Where settings come from.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

impl Serve {
    /// The flags that stand for settings.
    #[must_use]
    pub(crate) fn flags(&self) -> Vec<(&'static str, &'static str, String)> {
        let logs = given([
            ("--log-level", "log.level", &self.log_level),
            ("--log-format", "log.format", &self.log_format),
        ]);
        self.common.flags().into_iter().chain(logs).collect()
    }
}

/// Flags that stand for settings, of `serve` and of `doctor`: what is looked at has to be what is started.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Where the API and the pages listen, such as 127.0.0.1:3000 [server.listen]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Where the edge listens, such as 127.0.0.1:8080 [edge.listen]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) edge_listen: Option<String>,
    /// Where /metrics is, such as 127.0.0.1:9090 [metrics.listen]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics_listen: Option<String>,
    /// The image of instances [image.reference]
    #[arg(long, value_name = "REFERENCE")]
    pub(crate) image: Option<String>,
}

impl Common {
    /// The flags that stand for settings.
    #[must_use]
    pub(crate) fn flags(&self) -> Vec<(&'static str, &'static str, String)> {
        given([
            ("--listen", "server.listen", &self.listen),
            ("--edge-listen", "edge.listen", &self.edge_listen),
            ("--metrics-listen", "metrics.listen", &self.metrics_listen),
            ("--image", "image.reference", &self.image),
        ])
    }
}

/// The flags that were given.
fn given<const N: usize>(
    flags: [(&'static str, &'static str, &Option<String>); N],
) -> Vec<(&'static str, &'static str, String)> {
    flags
        .into_iter()
        .filter_map(|(flag, key, value)| Some((flag, key, value.clone()?)))
        .collect()
}

/// `doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// What `serve` would be started with.
    #[command(flatten)]
    pub(crate) common: Common,
    /// Where settings come from.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// `token`.
#[derive(Debug, Args)]
pub(crate) struct Token {
    /// A local account's name, or any account's id
    #[arg(value_name = "ACCOUNT", default_value = crate::identity::local::FIRST_ADMINISTRATOR)]
    pub(crate) account: String,
    /// Where settings come from.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// `password`.
#[derive(Debug, Args)]
pub(crate) struct Password {
    /// The local account's name
    #[arg(value_name = "NAME", default_value = crate::identity::local::FIRST_ADMINISTRATOR)]
    pub(crate) username: String,
    /// Where settings come from.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// `account`.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Account {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: AccountCommand,
}

/// The commands of `account`.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Make a local account with a random password, and print the password once
    ///
    /// A server that runs knows the account at once. Whoever signs in by it may have
    /// the plans that everybody may have, and more with --plan; a lost password is
    /// replaced by `openclaw-tenancy password NAME`.
    #[command(verbatim_doc_comment)]
    Add(AddAccount),
    /// List the accounts: ids, providers, names, and what each may do
    ///
    /// An account of a provider is made when its person first signs in, a local one
    /// by `openclaw-tenancy account add`. What a provider's groups add holds from one
    /// sign-in to the next and is not shown.
    #[command(verbatim_doc_comment)]
    List(ListAccounts),
    /// Sign an account out everywhere
    ///
    /// Every session and token of ours that the account has ends, at the API at once
    /// and at a running server's edge within 1.5 seconds. It can sign in again: a
    /// local account is kept out by `openclaw-tenancy password NAME`, another one at
    /// its provider, whose own bearer tokens go on until they expire.
    #[command(verbatim_doc_comment)]
    SignOut(SignOutAccount),
}

/// `account add`.
#[derive(Debug, Args)]
pub(crate) struct AddAccount {
    /// Its name: 1 to 64 of a-z, 0-9, `.`, `_`, `-`, `+` and `@`
    #[arg(value_name = "NAME")]
    pub(crate) username: String,
    /// It administers the deployment
    #[arg(long)]
    pub(crate) admin: bool,
    /// The highest plan it may have; with --admin, the one of administrators unless given
    #[arg(long, value_name = "PLAN")]
    pub(crate) plan: Option<String>,
    /// Where to write to its person; nothing is sent
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: Option<String>,
    /// Where settings come from.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// `account list`.
#[derive(Debug, Args)]
pub(crate) struct ListAccounts {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Where settings come from.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// `account sign-out`.
#[derive(Debug, Args)]
pub(crate) struct SignOutAccount {
    /// A local account's name, or any account's id
    #[arg(value_name = "ACCOUNT")]
    pub(crate) account: String,
    /// Where settings come from.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// `config`.
#[derive(Debug, Args)]
pub(crate) struct Config {
    /// Print JSON
    #[arg(long, conflicts_with = "example")]
    pub(crate) json: bool,
    /// Print a configuration file with every setting at its default, each explained
    #[arg(long)]
    pub(crate) example: bool,
    /// Where settings come from.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    /// What is broken by hand is broken again by a narrower terminal, in the middle of its lines.
    #[test]
    fn text_that_is_broken_by_hand_fits_80_columns() {
        let command = Cli::command();
        let all = command.get_subcommands().chain(
            command
                .find_subcommand("account")
                .unwrap()
                .get_subcommands(),
        );
        let mut texts = vec![AFTER_HELP.to_owned()];
        texts.extend(all.filter_map(|sub| Some(sub.get_long_about()?.to_string())));
        for line in texts.iter().flat_map(|text| text.lines().skip(1)) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn the_help_is_worth_reading() {
        let mut command = Cli::command();
        command.build();
        insta::assert_snapshot!("help", command.render_long_help());
        for name in ["serve", "doctor", "token", "password", "account", "config"] {
            let sub = command.find_subcommand_mut(name).unwrap();
            insta::assert_snapshot!(format!("help_{name}"), sub.render_long_help());
        }
        let account = command.find_subcommand_mut("account").unwrap();
        for name in ["add", "list", "sign-out"] {
            let sub = account.find_subcommand_mut(name).unwrap();
            let snapshot = format!("help_account_{}", name.replace('-', "_"));
            insta::assert_snapshot!(snapshot, sub.render_long_help());
        }
    }
}
