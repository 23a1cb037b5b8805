//! The rules of [`InstanceProbe`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Rule;
use crate::probe::{InstanceProbe, Readiness};
use crate::routes::Upstream;

/// What stands where an instance should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum There {
    /// An instance that is ready.
    Started,
    /// One that says it is starting.
    Starting,
    /// One that says it cannot serve until somebody repairs it.
    NeedsRepair,
    /// One that answers everything well and says nothing of being ready, as an instance's pages do.
    AnswersAnything,
    /// Something that takes what it is sent and never answers.
    Silent,
    /// Nobody.
    Nobody,
}

/// A probe to try the rules on, and one place at which it looks.
#[async_trait]
pub trait ProbeFixture: fmt::Debug + Send + Sync + 'static {
    /// The probe.
    fn probe(&self) -> Arc<dyn InstanceProbe>;

    /// Puts this there, in place of what was, and says where that is; `None` where the kind cannot be: a probe in
    /// memory has no answers to misread.
    async fn put(&self, there: There) -> Option<Upstream>;

    /// How long a probe is waited for: five times its limit, since machines are busy.
    fn patience(&self) -> Duration {
        Duration::from_secs(25)
    }

    /// Cleans up after a rule that held.
    async fn finish(&self);
}

/// Every rule.
pub const RULES: &[Rule<dyn ProbeFixture>] = crate::conformance_probe!(@list table []);

/// Expands to one `#[tokio::test]` for each rule of [`InstanceProbe`](crate::probe::InstanceProbe).
///
/// The argument is an expression that is evaluated anew for each test: a future of `Option<impl`
/// [`ProbeFixture`](crate::conformance::probe::ProbeFixture)`>`. `None` skips the test; say why when giving it.
#[macro_export]
macro_rules! conformance_probe {
    (@list $how:ident [$($with:tt)*]) => {
        $crate::conformance_probe! { @$how [$($with)*]
            probe_tells_one_that_has_started
            probe_waits_for_one_that_starts
            probe_tells_one_that_needs_repair
            probe_decides_by_what_is_said
            probe_takes_nobody_for_starting
            probe_takes_silence_for_starting_and_ends
            probe_asks_anew_each_time
        }
    };
    (@test [$fixture:expr] $($rule:ident)*) => {
        $crate::conformance_tests! { probe ProbeFixture [$fixture] $($rule)* }
    };
    (@table [] $($rule:ident)*) => {
        &[$($crate::conformance::Rule {
            name: stringify!($rule),
            check: |fixture| Box::pin($rule(fixture)),
        }),*]
    };
    ($fixture:expr) => {
        $crate::conformance_probe! { @list test [$fixture] }
    };
}

/// Whether the probe says `expected` of what is put there.
async fn says(fixture: &dyn ProbeFixture, there: There, expected: Readiness) {
    let Some(upstream) = fixture.put(there).await else {
        println!("skipped: {there:?} cannot be");
        return;
    };
    let asked = tokio::time::timeout(fixture.patience(), fixture.probe().probe(&upstream)).await;
    assert_eq!(asked.ok(), Some(expected), "of {there:?}");
}

/// One that serves is told.
async fn probe_tells_one_that_has_started(fixture: &dyn ProbeFixture) {
    says(fixture, There::Started, Readiness::Started).await;
}

/// One that starts is not ready, though it answers.
async fn probe_waits_for_one_that_starts(fixture: &dyn ProbeFixture) {
    says(fixture, There::Starting, Readiness::Starting).await;
}

/// One that waits for a repair is told from one that starts: waiting does not help it.
async fn probe_tells_one_that_needs_repair(fixture: &dyn ProbeFixture) {
    says(fixture, There::NeedsRepair, Readiness::NeedsRepair).await;
}

/// Success alone says nothing: any path of an instance may answer so.
async fn probe_decides_by_what_is_said(fixture: &dyn ProbeFixture) {
    says(fixture, There::AnswersAnything, Readiness::Starting).await;
}

/// Where nobody is yet, somebody may come.
async fn probe_takes_nobody_for_starting(fixture: &dyn ProbeFixture) {
    says(fixture, There::Nobody, Readiness::Starting).await;
}

/// Who never answers keeps nobody waiting.
async fn probe_takes_silence_for_starting_and_ends(fixture: &dyn ProbeFixture) {
    says(fixture, There::Silent, Readiness::Starting).await;
}

/// What it said before is no answer to what is there now.
async fn probe_asks_anew_each_time(fixture: &dyn ProbeFixture) {
    for (there, expected) in [
        (There::Starting, Readiness::Starting),
        (There::Started, Readiness::Started),
        (There::Nobody, Readiness::Starting),
        (There::Started, Readiness::Started),
        (There::Starting, Readiness::Starting),
    ] {
        says(fixture, there, expected).await;
    }
}
