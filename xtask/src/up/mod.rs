//! `cargo xtask up`: from a checkout to an OpenClaw in the browser.

mod browser;
mod check;
mod first_run;
mod for_machines;
mod server;
mod websocket;

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::engine;
use crate::image::Kind;
use crate::platform;
use crate::run::Interrupt;
use crate::term::{heading, note};
use server::{Mode, Places, Server, Settings};

/// How to bring everything up.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Do the main job once on a server of its own with data of its own, then end: sign in, create,
    /// open page and WebSocket through the edge, delete, nothing left on the engine.
    #[arg(long)]
    check: bool,
    /// With --check: the timings as JSON on standard output.
    #[arg(long, requires = "check")]
    json: bool,
    /// What instances run: OpenClaw, unless this or the section `[image]` of config.toml says otherwise.
    #[arg(long, value_enum)]
    image: Option<Kind>,
    /// Where the server keeps its data; a file `config.toml` in it is read.
    #[arg(long, value_name = "FOLDER", conflicts_with = "check")]
    data_dir: Option<PathBuf>,
}

/// Ensures engine, image and program, then runs the server until it is interrupted; or checks.
pub(crate) fn perform(options: &Options) -> Result<()> {
    heading("What it needs");
    let data = match &options.data_dir {
        Some(folder) => folder.clone(),
        None => platform::data_dir()?,
    };
    let engine = engine::ensure()?;
    let image = match options.image {
        None if !options.check && configures(&data, "[image]") => None,
        kind => Some(kind.unwrap_or(Kind::Openclaw).ensure(&engine)?),
    };
    let settings = Settings {
        program: server::build()?,
        host: (options.check || !configures(&data, "[[hosts]]")).then(|| engine.host().to_owned()),
        image,
        // The stand-in runs in far less than OpenClaw, so it may have the smallest plan.
        floor: (options.image == Some(Kind::StandIn)).then_some("16 MiB"),
    };
    if options.check {
        return check::perform(&settings, &engine, options.json);
    }
    serve(&settings, &data)
}

/// The check as a program runs it, for the tests.
pub(crate) fn check_for_machines(image: Kind) -> Result<()> {
    for_machines::perform(image)
}

/// The command itself as a newcomer runs it, for the tests: first, again, and interrupted.
pub(crate) fn first_run() -> Result<()> {
    first_run::perform()
}

/// Whether the owner's `config.toml` has a section, which then stands.
fn configures(data: &Path, section: &str) -> bool {
    std::fs::read_to_string(data.join("config.toml"))
        .is_ok_and(|text| text.lines().any(|line| line.trim() == section))
}

fn serve(settings: &Settings, data: &Path) -> Result<()> {
    heading("Server");
    // Before the server is there: it has a process group of its own, and would outlive a Ctrl-C that ended only us.
    let interrupt = Interrupt::listen()?;
    let mut server = Server::start(settings, data, Mode::Usual)?;
    let (places, first) = server.wait_until_ready(&interrupt)?;
    heading("Ready");
    note(&format!("{OPEN}{}", places.public_url));
    match first {
        Some(first) => {
            note(&format!(
                "{SIGN_IN}{}{WITH_PASSWORD}{}",
                first.user, first.password
            ));
            note(
                "          It is shown only now: keep it well. `openclaw-tenancy password` makes a new one.",
            );
        }
        None => {
            note(&format!(
                "{SIGN_IN}with the account of the first run, whose password was shown then."
            ));
            let program = settings.program.display();
            note(&format!(
                "          A new one: {program} password --data {}",
                data.display()
            ));
        }
    }
    note(&format!("Data      {}", data.display()));
    if let Some(directory) = settings.program.parent() {
        note(&format!(
            "Commands  export PATH=\"{}:$PATH\"",
            directory.display()
        ));
        for (name, value) in settings.told(data) {
            note(&format!("          export {name}=\"{value}\""));
        }
        note("          # then `openclaw-tenancy token`, `doctor`, `--help`");
    }
    if let Some(line) = ssh_line(&places, ssh_connection().as_deref()) {
        note("");
        note("This machine was reached over SSH. On the machine with the browser, run:");
        note(&format!("  {line}"));
    }
    if !platform::has_swap() {
        // Making it is the owner's decision.
        note("");
        note("This machine has no swap, so the plan Free (512 MiB) cannot run OpenClaw. For it:");
        note(&format!("  {}", platform::MAKE_SWAP));
        note("The server sees it within 5 minutes.");
    }
    note("");
    note(LAST_WORDS);
    server.run_until_interrupted(&interrupt)
}

/// How the lines begin that a person needs, and the line after which nothing is to be read.
const OPEN: &str = "Open      ";
const SIGN_IN: &str = "Sign in   ";
const WITH_PASSWORD: &str = " with the password ";
const LAST_WORDS: &str =
    "Ctrl-C ends the server; instances run on and are found again at the next start.";

const SSH_CONNECTION: &str = "SSH_CONNECTION";

/// `SSH_CONNECTION` of this process, or of one that it descends from: `sudo` takes it out of the environment.
fn ssh_connection() -> Option<String> {
    let own = std::env::var(SSH_CONNECTION).ok();
    own.or_else(|| ssh_connection_of(std::os::unix::process::parent_id()))
}

fn ssh_connection_of(mut process: u32) -> Option<String> {
    // The first process has no parent.
    while process > 1 {
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        let connection = environment
            .split(|byte| *byte == 0)
            .filter_map(|variable| std::str::from_utf8(variable).ok())
            .find_map(|variable| variable.strip_prefix(SSH_CONNECTION)?.strip_prefix('='));
        if let Some(connection) = connection {
            return Some(connection.to_owned());
        }
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        process = parent.trim().parse().ok()?;
    }
    None
}

/// The command that brings both ports to the machine where the browser is, when this one was
/// reached by SSH from elsewhere. `SSH_CONNECTION` holds the client's and our address and port.
fn ssh_line(places: &Places, connection: Option<&str>) -> Option<String> {
    let fields: Vec<_> = connection?.split(' ').collect();
    let (Some(client), Some(server), Some(port)) = (fields.first(), fields.get(2), fields.get(3))
    else {
        return None;
    };
    if client
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_loopback())
    {
        return None;
    }
    let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
    let port = if *port == "22" {
        String::new()
    } else {
        format!("-p {port} ")
    };
    let (api, edge) = (places.api.port()?, places.edge.port()?);
    Some(format!(
        "ssh {port}-L {api}:localhost:{api} -L {edge}:localhost:{edge} {user}@{server}"
    ))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;
    use crate::http::Address;

    #[test]
    fn the_connection_is_found_where_a_child_has_lost_it() {
        // The shell was reached over SSH; what it starts has an environment of its own, as under sudo.
        let mut shell = Command::new("sh")
            .args(["-c", "env --ignore-environment sh -c 'echo $$; cat'; :"])
            .env(SSH_CONNECTION, "203.0.113.9 50000 198.51.100.7 22")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut child = String::new();
        BufReader::new(shell.stdout.take().unwrap())
            .read_line(&mut child)
            .unwrap();
        let found = ssh_connection_of(child.trim().parse().unwrap());
        drop(shell.stdin.take());
        assert!(shell.wait().unwrap().success());
        assert_eq!(found.as_deref(), Some("203.0.113.9 50000 198.51.100.7 22"));
    }

    fn line(connection: Option<&str>) -> Option<String> {
        let places = Places {
            public_url: "http://localhost:3000".to_owned(),
            api: Address::Tcp("127.0.0.1:3000".to_owned()),
            edge: Address::Tcp("127.0.0.1:8080".to_owned()),
        };
        ssh_line(&places, connection)
    }

    #[test]
    fn the_ssh_line_brings_both_ports() {
        let usual = line(Some("203.0.113.9 51234 198.51.100.7 22")).unwrap();
        assert!(
            usual.starts_with("ssh -L 3000:localhost:3000 -L 8080:localhost:8080 "),
            "{usual}"
        );
        assert!(usual.ends_with("@198.51.100.7"), "{usual}");
        let other = line(Some("203.0.113.9 51234 198.51.100.7 2222")).unwrap();
        assert!(other.contains("-p 2222 "), "{other}");
    }

    #[test]
    fn there_is_none_on_the_machine_itself() {
        assert_eq!(line(None), None);
        assert_eq!(line(Some("127.0.0.1 1 127.0.0.1 22")), None);
    }
}
