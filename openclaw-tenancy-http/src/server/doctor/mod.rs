//! `doctor`: looks whether everything is there, and says what to do about what is not. Changes nothing.

mod engine_checks;
mod instance_checks;
mod local;
mod pool_checks;
mod providers;
mod reach;
mod room_checks;
mod store_checks;
mod table;

use openclaw_tenancy::clock::SystemClock;
use serde::Serialize;

use super::config::Loaded;
use super::descriptors;

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// Something to know that cannot be looked at from here.
    Note,
    /// As it should be.
    Ok,
    /// It works, with something to know.
    Warn,
    /// It would keep the server, or every instance, from working.
    Fail,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// What was looked at, such as `engine local`.
    pub(crate) subject: String,
    /// What came of it.
    pub(crate) outcome: Outcome,
    /// What was found.
    pub(crate) found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
}

impl Check {
    fn ok(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            outcome: Outcome::Ok,
            found: found.into(),
            fix: None,
        }
    }

    fn note(subject: impl Into<String>, found: impl Into<String>, fix: impl Into<String>) -> Self {
        let (outcome, fix) = (Outcome::Note, Some(fix.into()));
        Self {
            subject: subject.into(),
            outcome,
            found: found.into(),
            fix,
        }
    }

    fn warn(subject: impl Into<String>, found: impl Into<String>, fix: impl Into<String>) -> Self {
        let (outcome, fix) = (Outcome::Warn, Some(fix.into()));
        Self {
            subject: subject.into(),
            outcome,
            found: found.into(),
            fix,
        }
    }

    fn fail(subject: impl Into<String>, found: impl Into<String>, fix: impl Into<String>) -> Self {
        let (outcome, fix) = (Outcome::Fail, Some(fix.into()));
        Self {
            subject: subject.into(),
            outcome,
            found: found.into(),
            fix,
        }
    }
}

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// The worst that came of any check.
    pub(crate) outcome: Outcome,
    /// The checks.
    pub(crate) checks: Vec<Check>,
}

/// Looks at everything.
pub(crate) async fn examine(loaded: &Loaded) -> Report {
    let mut checks = vec![local::configuration(loaded)];
    checks.extend(loaded.warnings().into_iter().map(|warning| {
        let (found, fix) = warning.split_once(": ").unwrap_or((&warning, ""));
        Check::warn("settings", found, fix)
    }));
    checks.extend(pool_checks::range_check(
        loaded.config.reconcile.subnet_pool,
    ));
    checks.push(local::data_dir(&loaded.data_dir));
    checks.push(local::open_files(descriptors::most()));
    let (store, ports, providers, engines) = tokio::join!(
        store_checks::examine(loaded),
        local::ports(&loaded.config),
        providers::examine(&loaded.config),
        engine_checks::examine(loaded, &SystemClock),
    );
    checks.extend(store);
    checks.extend(ports);
    checks.extend(providers);
    checks.extend(engines);
    let outcome = checks
        .iter()
        .map(|check| check.outcome)
        .max()
        .unwrap_or(Outcome::Ok);
    Report { outcome, checks }
}

impl Report {
    /// The report as a table for people.
    #[must_use]
    pub(crate) fn table(&self) -> String {
        table::render(self)
    }
}
