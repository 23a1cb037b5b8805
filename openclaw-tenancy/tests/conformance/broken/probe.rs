//! A probe of one place, with one bug.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use openclaw_tenancy::conformance::probe::{ProbeFixture, There};
use openclaw_tenancy::probe::{InstanceProbe, Readiness};
use openclaw_tenancy::routes::Upstream;

/// What a probe does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    NeverStarted,
    ReadyAtOnce,
    WaitsForRepair,
    BelievesAnything,
    NobodyNeedsRepair,
    WaitsForEver,
    Remembers,
}

/// What stands at the one place, told without a wire, and looked at with a bug.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    bug: Bug,
    there: Arc<Mutex<(There, Option<Readiness>)>>,
}

#[async_trait]
impl InstanceProbe for Broken {
    async fn probe(&self, _: &Upstream) -> Readiness {
        let (there, before) = *self.there.lock().unwrap();
        if there == There::Silent && self.bug == Bug::WaitsForEver {
            return pending().await;
        }
        let right = match there {
            There::Started => Readiness::Started,
            There::NeedsRepair => Readiness::NeedsRepair,
            There::Starting | There::AnswersAnything | There::Silent | There::Nobody => {
                Readiness::Starting
            }
        };
        let said = match (self.bug, there) {
            (Bug::NeverStarted, There::Started) | (Bug::WaitsForRepair, There::NeedsRepair) => {
                Readiness::Starting
            }
            (Bug::ReadyAtOnce, There::Starting)
            | (Bug::BelievesAnything, There::AnswersAnything) => Readiness::Started,
            (Bug::NobodyNeedsRepair, There::Nobody) => Readiness::NeedsRepair,
            (Bug::Remembers, _) => before.unwrap_or(right),
            _ => right,
        };
        self.there.lock().unwrap().1 = Some(said);
        said
    }
}

#[async_trait]
impl ProbeFixture for Broken {
    fn probe(&self) -> Arc<dyn InstanceProbe> {
        Arc::new(self.clone())
    }

    async fn put(&self, there: There) -> Option<Upstream> {
        self.there.lock().unwrap().0 = there;
        Some(Upstream::Direct(([127, 0, 0, 1], 1).into()))
    }

    /// Nothing in memory takes time.
    fn patience(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn finish(&self) {}
}

impl Broken {
    pub(crate) fn new(bug: Bug) -> Self {
        Self {
            bug,
            there: Arc::new(Mutex::new((There::Nobody, None))),
        }
    }
}
