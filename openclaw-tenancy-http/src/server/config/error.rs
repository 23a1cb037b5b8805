//! What is wrong with the configuration: every problem at once, each with the key, the value and the fix.

use std::fmt;

use super::tree::Origin;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The key, such as `hosts[0].address`.
    pub(crate) key: String,
    /// The value as it was given, cut to 120 characters; `None` for a secret and where there is none.
    pub(crate) value: Option<String>,
    /// Where it came from.
    pub(crate) origin: Option<Box<Origin>>,
    /// What is wrong with it.
    pub(crate) what: String,
    /// What to do about it.
    pub(crate) fix: String,
}

impl Problem {
    /// A problem with `key` as a whole.
    pub(super) fn new(
        key: impl Into<String>,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            key: key.into(),
            value: None,
            origin: None,
            what: what.into(),
            fix: fix.into(),
        }
    }

    /// With the value that is wrong.
    pub(super) fn value(mut self, value: impl fmt::Display) -> Self {
        let value = value.to_string();
        self.value = Some(if value.chars().count() > 120 {
            value.chars().take(120).chain(['…']).collect()
        } else {
            value
        });
        self
    }

    /// With where it came from.
    pub(super) fn from(mut self, origin: Option<Origin>) -> Self {
        self.origin = origin.map(Box::new);
        self
    }
}

/// `server.listen = "localhost" (config.toml line 3): is no address and port; write it as 127.0.0.1:3000`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        if let Some(origin) = &self.origin {
            write!(f, " ({origin})")?;
        }
        write!(f, ": {}", self.what)?;
        if !self.fix.is_empty() {
            write!(f, "; {}", self.fix)?;
        }
        Ok(())
    }
}

/// The configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) struct ConfigError {
    /// Everything that is wrong with it; at least one.
    pub(crate) problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn one(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [problem] => write!(f, "the configuration cannot be used: {problem}"),
            problems => {
                write!(
                    f,
                    "the configuration cannot be used, for {} reasons:",
                    problems.len()
                )?;
                for problem in problems {
                    write!(f, "\n  - {problem}")?;
                }
                Ok(())
            }
        }
    }
}
