//! Where the instance lives and how it is told to misbehave at start.
//!
//! OpenClaw's own names are read as OpenClaw reads them; names that begin with `STAND_IN_` are knobs.
//! A knob also comes from the file `stand-in/next-start.json` in the state directory, see [`crate::knob`]: a
//! container's environment cannot be changed between two starts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::exit::Exit;

/// OpenClaw's default port.
const DEFAULT_PORT: u16 = 18789;

/// What the command line and the environment say.
#[derive(Debug)]
pub(crate) struct Settings {
    /// How the instance names itself: `STAND_IN_NAME`, else the host name.
    pub(crate) name: String,
    pub(crate) hostname: String,
    pub(crate) state_dir: PathBuf,
    pub(crate) config_path: PathBuf,
    /// `--port`, else `OPENCLAW_GATEWAY_PORT`; the configuration comes after both.
    pub(crate) port: Option<u16>,
    /// `--bind`; the configuration comes after it.
    pub(crate) bind: Option<String>,
    pub(crate) allow_unconfigured: bool,
    pub(crate) token: Option<String>,
    pub(crate) password: Option<String>,
}

/// The knobs that act before a request could turn them.
#[derive(Debug, Default)]
pub(crate) struct StartKnobs {
    /// `STAND_IN_EXIT_AT_START`: end with this code before anything is served.
    pub(crate) exit_at_start: Option<u8>,
    /// `STAND_IN_PORT_DELAY_MS`: wait before the port opens.
    pub(crate) port_delay: Duration,
    /// `STAND_IN_STARTUP_DELAY_MS`: wait between the open port and `/startupz` 200.
    pub(crate) startup_delay: Duration,
    /// `STAND_IN_DRAIN_MS`: keep serving this long after SIGTERM.
    pub(crate) drain: Duration,
    /// `STAND_IN_HANDSHAKE_TIMEOUT_MS`: how long a socket may stay silent; OpenClaw's is 15 s.
    pub(crate) handshake_timeout: Duration,
    /// `STAND_IN_ALLOCATE_MIB`: memory to touch and hold from the start.
    pub(crate) allocate_mib: u64,
}

impl Settings {
    /// Reads arguments as OpenClaw's `gateway` command takes them.
    ///
    /// Anything else on the command line (`dist/index.js`, `gateway`) is passed over, so the image also works under a
    /// manager that spells out OpenClaw's command.
    ///
    /// # Errors
    ///
    /// A port that is not a number.
    pub(crate) fn read(
        arguments: impl Iterator<Item = String>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Exit> {
        let mut arguments = arguments;
        let (mut port, mut bind, mut allow_unconfigured) = (None, None, false);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--port" => port = arguments.next(),
                "--bind" => bind = arguments.next(),
                "--allow-unconfigured" => allow_unconfigured = true,
                _ => {}
            }
        }
        let port = match port.or_else(|| environment("OPENCLAW_GATEWAY_PORT")) {
            None => None,
            Some(text) => Some(parse("port", &text)?),
        };
        let home = environment("OPENCLAW_HOME")
            .or_else(|| environment("HOME"))
            .unwrap_or_else(|| "/home/node".to_owned());
        let state_dir = environment("OPENCLAW_STATE_DIR")
            .map_or_else(|| PathBuf::from(home).join(".openclaw"), PathBuf::from);
        let config_path = environment("OPENCLAW_CONFIG_PATH")
            .map_or_else(|| state_dir.join("openclaw.json"), PathBuf::from);
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned());
        Ok(Self {
            name: environment("STAND_IN_NAME").unwrap_or_else(|| hostname.clone()),
            hostname,
            state_dir,
            config_path,
            port,
            bind,
            allow_unconfigured,
            token: environment("OPENCLAW_GATEWAY_TOKEN").filter(|text| !text.is_empty()),
            password: environment("OPENCLAW_GATEWAY_PASSWORD").filter(|text| !text.is_empty()),
        })
    }

    /// The port to listen on when the configuration names `configured`.
    pub(crate) fn port(&self, configured: Option<u16>) -> u16 {
        self.port.or(configured).unwrap_or(DEFAULT_PORT)
    }
}

impl StartKnobs {
    /// Reads the knobs; `overlay` (the next-start file) goes before the environment.
    ///
    /// # Errors
    ///
    /// A value that is not a number, named with its variable.
    pub(crate) fn read(
        environment: impl Fn(&str) -> Option<String>,
        overlay: &BTreeMap<String, String>,
    ) -> Result<Self, Exit> {
        let value = |name: &str| overlay.get(name).cloned().or_else(|| environment(name));
        let number = |name: &str, default: u64| match value(name) {
            None => Ok(default),
            Some(text) => parse::<u64>(name, &text),
        };
        Ok(Self {
            exit_at_start: match value("STAND_IN_EXIT_AT_START") {
                None => None,
                Some(text) => Some(parse("STAND_IN_EXIT_AT_START", &text)?),
            },
            port_delay: Duration::from_millis(number("STAND_IN_PORT_DELAY_MS", 0)?),
            startup_delay: Duration::from_millis(number("STAND_IN_STARTUP_DELAY_MS", 0)?),
            drain: Duration::from_millis(number("STAND_IN_DRAIN_MS", 0)?),
            handshake_timeout: Duration::from_millis(number(
                "STAND_IN_HANDSHAKE_TIMEOUT_MS",
                15_000,
            )?),
            allocate_mib: number("STAND_IN_ALLOCATE_MIB", 0)?,
        })
    }
}

fn parse<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, Exit> {
    text.trim().parse().map_err(|_| {
        Exit::Failed(format!(
            "{name}: `{text}` is not a number that fits; give a whole number"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(words: &[&str]) -> std::vec::IntoIter<String> {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
            .into_iter()
    }

    #[test]
    fn the_command_line_goes_before_the_environment() {
        let environment = |name: &str| match name {
            "OPENCLAW_GATEWAY_PORT" => Some("1".to_owned()),
            "OPENCLAW_STATE_DIR" => Some("/state".to_owned()),
            _ => None,
        };
        let words = [
            "/app/dist/index.js",
            "gateway",
            "--bind",
            "lan",
            "--port",
            "2",
        ];
        let settings = Settings::read(arguments(&words), environment).unwrap();
        assert_eq!(settings.port(Some(3)), 2);
        assert_eq!(settings.bind.as_deref(), Some("lan"));
        assert_eq!(settings.config_path, PathBuf::from("/state/openclaw.json"));

        let settings = Settings::read(arguments(&[]), environment).unwrap();
        assert_eq!(settings.port(Some(3)), 1);
        let settings = Settings::read(arguments(&[]), |_| None).unwrap();
        assert_eq!(settings.port(Some(3)), 3);
        assert_eq!(settings.port(None), 18789);
        assert_eq!(settings.state_dir, PathBuf::from("/home/node/.openclaw"));
    }

    #[test]
    fn a_bad_number_names_its_variable() {
        let environment = |name: &str| (name == "STAND_IN_DRAIN_MS").then(|| "soon".to_owned());
        let error = StartKnobs::read(environment, &BTreeMap::new()).unwrap_err();
        assert!(
            error.to_string().contains("STAND_IN_DRAIN_MS: `soon`"),
            "{error}"
        );
    }

    #[test]
    fn the_next_start_file_goes_before_the_environment() {
        let overlay = BTreeMap::from([("STAND_IN_EXIT_AT_START".to_owned(), "9".to_owned())]);
        let environment = |name: &str| (name == "STAND_IN_EXIT_AT_START").then(|| "8".to_owned());
        let knobs = StartKnobs::read(environment, &overlay).unwrap();
        assert_eq!(knobs.exit_at_start, Some(9));
    }
}
