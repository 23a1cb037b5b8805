//! Acting on what exists: removing, starting, signalling, changing limits.
//!
//! Every method looks first: what is not ours by its labels and their MAC is not touched.

use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::{
    KillContainerOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
    StartContainerOptions, StatsOptionsBuilder,
};
use futures::StreamExt as _;
use openclaw_tenancy::backend::{BackendError, Signal};
use openclaw_tenancy::container::{EngineId, ObjectRef, RunState};
use openclaw_tenancy::plan::Limits;
use openclaw_tenancy::quantity::Bytes;

use super::error::Failure;
use super::observe::Found;
use super::{Engine, body, full, labels};

impl Engine {
    /// See `ContainerBackend::remove`.
    pub(crate) async fn remove(&self, object: &ObjectRef) -> Result<(), BackendError> {
        self.within("removing an object", async {
            match object {
                ObjectRef::Container(id) => self.remove_container(id).await,
                ObjectRef::Volume(name) => self.remove_volume(name).await,
                ObjectRef::Network(id) => self.remove_network(id).await,
            }
        })
        .await
    }

    async fn remove_container(&self, id: &EngineId) -> Result<(), BackendError> {
        const WHAT: &str = "removing a container";
        match self.find(full(id, WHAT)?).await? {
            Found::Ours(_) => {}
            Found::Foreign(name) => return Err(BackendError::Foreign { name }),
            Found::Absent => return Ok(()),
        }
        // `v` takes anonymous volumes that an image may declare; named ones stay.
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        let answer = self
            .call(self.docker.remove_container(&id.0, Some(options)))
            .await;
        gone(answer, |failure| failure.removing(&self.host, WHAT, &id.0))
    }

    async fn remove_volume(&self, name: &str) -> Result<(), BackendError> {
        const WHAT: &str = "removing a volume";
        let Some(volume) = self.volume(name).await? else {
            return Ok(());
        };
        if labels::read(&self.keys, &volume.name, Some(&volume.labels)).is_none() {
            return Err(BackendError::Foreign { name: volume.name });
        }
        let answer = self
            .call(self.docker.remove_volume(name, None::<RemoveVolumeOptions>))
            .await;
        gone(answer, |failure| failure.removing(&self.host, WHAT, name))
    }

    async fn remove_network(&self, id: &EngineId) -> Result<(), BackendError> {
        const WHAT: &str = "removing a network";
        let network = match self
            .call(self.docker.inspect_network(full(id, WHAT)?, None))
            .await
        {
            Ok(network) => network,
            Err(failure) if failure.is_absent() => return Ok(()),
            Err(failure) => return Err(failure.general(&self.host, WHAT)),
        };
        let name = network.name.unwrap_or_default();
        if labels::read(&self.keys, &name, network.labels.as_ref()).is_none() {
            return Err(BackendError::Foreign { name });
        }
        let answer = self.call(self.docker.remove_network(&id.0)).await;
        gone(answer, |failure| failure.removing(&self.host, WHAT, &name))
    }

    /// See `ContainerBackend::start`.
    pub(crate) async fn start(&self, id: &EngineId) -> Result<(), BackendError> {
        const WHAT: &str = "starting a container";
        self.within(WHAT, async {
            self.own(id, WHAT).await?;
            let answer = self
                .call(
                    self.docker
                        .start_container(&id.0, None::<StartContainerOptions>),
                )
                .await;
            answer.map_err(|failure| failure.starting(&self.host, id))
        })
        .await
    }

    /// See `ContainerBackend::signal`.
    pub(crate) async fn signal(&self, id: &EngineId, signal: Signal) -> Result<(), BackendError> {
        const WHAT: &str = "signalling a container";
        self.within(WHAT, async {
            match self.find(full(id, WHAT)?).await? {
                Found::Ours(container) if has_process(&container.detail.state) => {}
                Found::Ours(_) | Found::Absent => return Ok(()),
                Found::Foreign(name) => return Err(BackendError::Foreign { name }),
            }
            let word = match signal {
                Signal::Terminate => "SIGTERM",
                Signal::Kill => "SIGKILL",
            };
            let options = KillContainerOptionsBuilder::default().signal(word).build();
            let answer = self
                .call(self.docker.kill_container(&id.0, Some(options)))
                .await;
            gone(answer, |failure| failure.signalling(&self.host))
        })
        .await
    }

    /// See `ContainerBackend::update`.
    pub(crate) async fn update(&self, id: &EngineId, limits: &Limits) -> Result<(), BackendError> {
        const WHAT: &str = "changing a container's limits";
        self.within(WHAT, async {
            let container = self.own(id, WHAT).await?;
            let running = matches!(container.detail.state, RunState::Running { .. });
            if running && limits.memory < container.detail.limits.memory {
                self.check_use(id, limits.memory, WHAT).await?;
            }
            let answer = self
                .call(self.docker.update_container(&id.0, body::update(limits)))
                .await;
            answer.map_err(|failure| failure.updating(&self.host))
        })
        .await
    }

    /// Refuses to shrink below what is in use: one cgroup version refuses too, the other would kill.
    async fn check_use(
        &self,
        id: &EngineId,
        limit: Bytes,
        what: &'static str,
    ) -> Result<(), BackendError> {
        let options = StatsOptionsBuilder::default()
            .stream(false)
            .one_shot(true)
            .build();
        let mut answers = std::pin::pin!(self.docker.stats(&id.0, Some(options)));
        let stats = match answers.next().await {
            Some(answer) => {
                answer.map_err(|e| self.note(e.into()).in_container(&self.host, what))?
            }
            None => return Err(self.malformed(what, "statistics")),
        };
        let used = used(&stats);
        if used <= limit {
            return Ok(());
        }
        Err(BackendError::Refused {
            what,
            status: 409,
            source: Some(format!("{used} of memory are in use, the new limit is {limit}").into()),
        })
    }
}

/// Whether there may be something to signal.
const fn has_process(state: &RunState) -> bool {
    match state {
        RunState::Running { .. } | RunState::Paused | RunState::Other(_) => true,
        RunState::Created | RunState::Exited { .. } => false,
    }
}

/// Memory that the kernel cannot take back at once.
fn used(stats: &ContainerStatsResponse) -> Bytes {
    let Some(memory) = stats.memory_stats.as_ref() else {
        return Bytes(0);
    };
    let figures = memory.stats.as_ref();
    // The first name is cgroup v1's, the second v2's.
    let cache = ["total_inactive_file", "inactive_file"]
        .iter()
        .find_map(|name| figures?.get(*name))
        .copied()
        .unwrap_or(0);
    Bytes(memory.usage.unwrap_or(0).saturating_sub(cache))
}

/// Success also where the failure means that nothing is left to do.
fn gone(
    answer: Result<(), Failure>,
    sort: impl FnOnce(Failure) -> Option<BackendError>,
) -> Result<(), BackendError> {
    match answer.map_err(sort) {
        Ok(()) | Err(None) => Ok(()),
        Err(Some(error)) => Err(error),
    }
}
