//! Why the process ends, as the exit codes that a manager acts on.

use std::fmt;
use std::process::ExitCode;

/// How the instance ended.
#[derive(Debug)]
pub(crate) enum Exit {
    /// Asked to stop, and did.
    Stopped,
    /// Anything that a restart may cure; OpenClaw uses 1.
    Failed(String),
    /// Configuration or state that a restart cannot cure; OpenClaw uses 78.
    Configuration(String),
    /// Another live process writes to this volume; stand-in only.
    SecondWriter(String),
    /// The code that a knob asked for; stand-in only.
    Asked(u8),
}

impl Exit {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Failed(_) => 1,
            Self::Configuration(_) => 78,
            Self::SecondWriter(_) => 70,
            Self::Asked(code) => *code,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => formatter.write_str("completed cleanly"),
            Self::Failed(why) | Self::Configuration(why) | Self::SecondWriter(why) => {
                formatter.write_str(why)
            }
            Self::Asked(code) => write!(formatter, "exit code {code} was asked for"),
        }
    }
}

impl From<&Exit> for ExitCode {
    fn from(exit: &Exit) -> Self {
        Self::from(exit.code())
    }
}
