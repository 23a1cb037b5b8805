//! One instance: what the product says of it, what it is told to do, and what it says itself.

use std::time::Duration;

use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::id::AccountId;
use openclaw_tenancy::routes::Upstream;
use openclaw_tenancy::status::{Phase, Status};
use openclaw_tenancy::tenant::Power;
use openclaw_tenancy::{CreateRequest, Tenancy, TenancyError, TenantView};

use crate::docker::Docker;
use crate::world::World;

/// For what comes surely, on a machine that is busy with everything else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(20);

/// An instance of a world's account.
pub(crate) struct Instance {
    pub(crate) tenancy: Tenancy,
    pub(crate) account: AccountId,
    docker: Docker,
}

impl Instance {
    /// Asks for one, and waits until it runs.
    pub(crate) async fn running(world: &World, tenancy: &Tenancy) -> Self {
        let instance = Self::asked(world, tenancy).await;
        instance
            .until(|status| status.phase == Phase::Running)
            .await;
        instance
    }

    /// Asks for one.
    pub(crate) async fn asked(world: &World, tenancy: &Tenancy) -> Self {
        let request = CreateRequest {
            plan: Some("free".to_owned()),
            ..CreateRequest::default()
        };
        tenancy.create(&world.account, request, None).await.unwrap();
        Self {
            tenancy: tenancy.clone(),
            account: world.account.id,
            docker: world.docker.clone(),
        }
    }

    /// Another server is asked from now on.
    pub(crate) fn at(self, tenancy: &Tenancy) -> Self {
        Self {
            tenancy: tenancy.clone(),
            ..self
        }
    }

    /// Sets knobs for the next `starts` starts.
    pub(crate) async fn at_next_starts(&self, starts: u32, knob: &str) {
        let path = format!("next-start?starts={starts}&{knob}");
        self.knob(&path).await;
    }

    /// Turns a knob of the stand-in, and waits for its answer.
    pub(crate) async fn knob(&self, knob: &str) -> serde_json::Value {
        let answer = self.turn(knob).await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        answer.json().await.unwrap()
    }

    /// Turns a knob that it does not outlive.
    pub(crate) async fn last_knob(&self, knob: &str) {
        let answer = self.turn(knob).await;
        assert!(answer.is_err(), "it lives on: {answer:?}");
    }

    async fn turn(&self, knob: &str) -> reqwest::Result<reqwest::Response> {
        let view = self.tenancy.mine(self.account).await.unwrap();
        let upstream = self.tenancy.route(&view.tenant).upstream;
        let Upstream::Direct(address) = upstream.expect("it runs");
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
        let asked = client
            .build()
            .unwrap()
            .get(format!("http://{address}/_knob/{knob}"))
            // This machine is a trusted proxy of the instance, which has to say for whom it asks.
            .header("x-forwarded-for", "192.0.2.1")
            .send();
        asked.await
    }

    pub(crate) async fn restart(&self) {
        self.tenancy.restart(self.account).await.unwrap();
    }

    /// Restarts it, and waits until it runs again; answers what is said of it then.
    pub(crate) async fn restarted(&self) -> Status {
        let before = started_at(&self.view().await);
        self.restart().await;
        let again =
            |view: &TenantView| view.status.phase == Phase::Running && started_at(view) != before;
        self.until_view(again).await.status
    }

    /// Looks until it was asked to end and has not; answers what is said of it then.
    pub(crate) async fn until_asked_to_end(&self) -> Status {
        let asked = |view: &TenantView| {
            let location = view.tenant.observed.location();
            let container = location.and_then(|location| location.container.as_ref());
            container.is_some_and(|container| container.stop_asked_at.is_some())
        };
        self.until_view(asked).await.status
    }

    pub(crate) async fn power(&self, power: Power) {
        self.tenancy.set_power(self.account, power).await.unwrap();
    }

    pub(crate) async fn view(&self) -> TenantView {
        self.tenancy.mine(self.account).await.unwrap()
    }

    /// Looks until the status is as wanted; answers that one.
    pub(crate) async fn until(&self, wanted: impl Fn(&Status) -> bool + Send + Sync) -> Status {
        self.until_view(|view| wanted(&view.status)).await.status
    }

    async fn until_view(&self, wanted: impl Fn(&TenantView) -> bool + Send + Sync) -> TenantView {
        let mut last = None;
        let looking = async {
            loop {
                let view = self.view().await;
                if wanted(&view) {
                    return view;
                }
                last = Some(view.status);
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(view) => view,
            Err(_) => panic!("last seen: {last:?}"),
        }
    }

    /// Looks until nothing is left of it in the store.
    pub(crate) async fn until_gone(&self) {
        let looking = async {
            while !matches!(
                self.tenancy.mine(self.account).await,
                Err(TenancyError::NoTenant)
            ) {
                tokio::time::sleep(LOOK).await;
            }
        };
        let gone = tokio::time::timeout(PATIENCE, looking).await;
        gone.expect("it goes");
    }

    /// The one container that the engine has of it.
    pub(crate) async fn container(&self) -> String {
        let all = self.docker.instances("{{.ID}}").await;
        let [one] = all.try_into().expect("one container");
        one
    }

    /// A field of the container, as the engine inspects it.
    pub(crate) async fn inspect(&self, field: &str) -> String {
        let container = self.container().await;
        let format = format!("{{{{{field}}}}}");
        let args = ["inspect", "--format", &format, &container];
        self.docker.run(&args).await.trim().to_owned()
    }

    /// When its process came up, each time, by the log that the engine keeps over all starts of a container.
    pub(crate) async fn starts(&self) -> Vec<Timestamp> {
        self.said(" starting, start ").await
    }

    /// When it said something that contains `text`.
    pub(crate) async fn said(&self, text: &str) -> Vec<Timestamp> {
        let container = self.container().await;
        // The stand-in logs to its standard output.
        let log = self.docker.run(&["logs", "--timestamps", &container]).await;
        log.lines()
            .filter(|line| line.contains(text))
            .map(|line| {
                let at = line.split(' ').next().unwrap();
                let format = &time::format_description::well_known::Rfc3339;
                let at = time::OffsetDateTime::parse(at, format).unwrap();
                let millis = at.unix_timestamp_nanos() / 1_000_000;
                Timestamp::from_millis(i64::try_from(millis).unwrap())
            })
            .collect()
    }
}

/// When its container was last started.
pub(crate) fn started_at(view: &TenantView) -> Option<Timestamp> {
    let location = view.tenant.observed.location()?;
    location.container.as_ref()?.started_at
}
