//! An engine with one bug.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use openclaw_tenancy::backend::{
    BackendError, Capabilities, ContainerBackend, Made, PreparedImage, Scope, Signal,
};
use openclaw_tenancy::container::{
    ContainerDetail, EngineId, Image, InstanceSpec, Inventory, NetworkSpec, ObjectRef, ObjectSpec,
    RunState, SeenContainer, SeenVolume, VolumeFile, VolumeRole, VolumeSpec,
};
use openclaw_tenancy::host::HostFacts;
use openclaw_tenancy::id::{Generation, HostId};
use openclaw_tenancy::labels::{ObjectLabels, Role};
use openclaw_tenancy::memory::MemoryBackend;
use openclaw_tenancy::plan::Limits;
use openclaw_tenancy::quantity::{Bytes, MilliCpus};

/// What an adapter does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    ForgetsItsHosts,
    KnowsNoVersion,
    AnswersForAnyHost,
    LeavesTheProbe,
    ListsNoNetworks,
    ListsEverybodys,
    ListsForeign,
    AbsentIsAnError,
    ShowsForeign,
    ShowsNoLimits,
    PinsNothing,
    OtherAnswerEachTime,
    HasEveryImage,
    AnyDigest,
    StartsWhatItMakes,
    NeverAdopts,
    AdoptsAnything,
    TakesItsOwnForForeign,
    TakesOverForeign,
    MakesVolumesOnTheWay,
    MakesTheNetworkOnTheWay,
    WritesBesideStrangers,
    RunsAnotherImage,
    ForgetsMarkers,
    NamesNoSubnets,
    NeverSaysAdopted,
    HalfMadeWhenDropped,
    RemovedTwiceIsAnError,
    RemovesForeign,
    RemovesVolumesToo,
    RefusesWhatRuns,
    RemovesUsedVolumes,
    AnyAddress,
    RunningIsAnError,
    StartsOnce,
    KeepsTheAddress,
    SignalsOnlyWhatRuns,
    HalfStartedWhenDropped,
    UpdatesNothing,
    TouchesForeign,
    AbsentIsSuccess,
    PutsOnlyWhileRunning,
    PutsOnce,
    FilesDieWithTheContainer,
    PrintsEverything,
    TakesComingForMissing,
    TakesAnyOptions,
    UpdatesAllButMemory,
    TakesAKilledChildForTheEnd,
    /// The engine in memory itself reads labels, so that the bench makes this one.
    TakesCopies,
    WaitsForEver,
    PutsAsRoot,
}

#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) inner: MemoryBackend,
    pub(crate) bug: Bug,
    /// Counts what the bug counts.
    pub(crate) count: AtomicU64,
}

fn absent() -> BackendError {
    BackendError::NotFound { what: "anything" }
}

/// What nobody's labels say.
fn labels() -> ObjectLabels {
    ObjectLabels {
        role: Role::Data,
        tenant: None,
        generation: Generation(0),
        spec: String::new(),
    }
}

impl Broken {
    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    async fn state(&self, host: &HostId, id: &EngineId) -> Option<RunState> {
        let seen = self.inner.inspect(host, id).await.ok().flatten();
        seen.map(|seen| seen.state)
    }

    async fn runs(&self, host: &HostId, id: &EngineId) -> bool {
        matches!(self.state(host, id).await, Some(RunState::Running { .. }))
    }

    /// The id behind a name of ours.
    async fn id_of(&self, host: &HostId, name: &str) -> Option<EngineId> {
        let seen = self.inner.list(host, Scope::All).await.ok()?;
        let containers = seen.containers.into_iter().map(|c| (c.name, c.id));
        let networks = seen.networks.into_iter().map(|n| (n.name, n.id));
        containers
            .chain(networks)
            .find_map(|(is, id)| (is == name).then_some(id))
    }

    async fn volumes(&self, host: &HostId) -> Vec<SeenVolume> {
        let seen = self.inner.list(host, Scope::All).await;
        seen.map(|seen| seen.volumes).unwrap_or_default()
    }

    async fn make_first(&self, host: &HostId, specs: impl IntoIterator<Item = ObjectSpec>) {
        for spec in specs {
            self.inner.create(host, &spec).await.unwrap();
        }
    }

    async fn create_instance(
        &self,
        host: &HostId,
        instance: &InstanceSpec,
    ) -> Result<Made, BackendError> {
        let (tenant, subnet) = (instance.tenant, instance.subnet);
        let mut instance = instance.clone();
        match self.bug {
            Bug::MakesVolumesOnTheWay => {
                let roles = [VolumeRole::Data, VolumeRole::Config];
                let volume = |role| ObjectSpec::Volume(VolumeSpec { tenant, role });
                self.make_first(host, roles.map(volume)).await;
            }
            Bug::MakesTheNetworkOnTheWay => {
                let network = ObjectSpec::Network(NetworkSpec { tenant, subnet });
                self.make_first(host, [network]).await;
            }
            Bug::RunsAnotherImage => {
                "openclaw/openclaw:test".clone_into(&mut instance.image.reference)
            }
            Bug::HalfMadeWhenDropped => {
                let mut half = instance.clone();
                half.env.clear();
                let half = ObjectSpec::Instance(Box::new(half));
                if let Ok(Made { id, adopted: false }) = self.inner.create(host, &half).await {
                    tokio::task::yield_now().await;
                    self.inner.remove(host, &ObjectRef::Container(id)).await?;
                }
            }
            _ => {}
        }
        let made = self
            .inner
            .create(host, &ObjectSpec::Instance(Box::new(instance)))
            .await?;
        if self.bug == Bug::StartsWhatItMakes {
            self.inner.start(host, &made.id).await?;
        }
        Ok(made)
    }

    async fn removed(&self, host: &HostId) {
        for volume in self.volumes(host).await {
            let (tenant, role) = (volume.labels.tenant, volume.labels.role);
            self.inner.remove_anything_like(host, &volume.name);
            if let (Bug::FilesDieWithTheContainer, Some(tenant)) = (self.bug, tenant) {
                let role = match role {
                    Role::Data => VolumeRole::Data,
                    _ => VolumeRole::Config,
                };
                self.make_first(host, [ObjectSpec::Volume(VolumeSpec { tenant, role })])
                    .await;
            }
        }
    }
}

#[async_trait]
impl ContainerBackend for Broken {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn hosts(&self) -> Result<Vec<HostId>, BackendError> {
        match self.bug {
            Bug::ForgetsItsHosts => Ok(Vec::new()),
            _ => self.inner.hosts().await,
        }
    }

    async fn host(&self, host: &HostId) -> Result<HostFacts, BackendError> {
        let mut facts = self.inner.host(host).await?;
        match self.bug {
            Bug::KnowsNoVersion => facts.engine_version.clear(),
            Bug::ForgetsMarkers => facts.markers.clear(),
            Bug::NamesNoSubnets => facts.subnets.clear(),
            _ => {}
        }
        Ok(facts)
    }

    async fn measure_swap(&self, host: &HostId, image: &Image) -> Result<Bytes, BackendError> {
        if self.bug == Bug::LeavesTheProbe {
            let marker = "probe".to_owned();
            self.make_first(host, [ObjectSpec::HostMarker { marker }])
                .await;
        }
        self.inner.measure_swap(host, image).await
    }

    async fn list(&self, host: &HostId, scope: Scope) -> Result<Inventory, BackendError> {
        let scope = match self.bug {
            Bug::ListsEverybodys => Scope::All,
            _ => scope,
        };
        let mut seen = match self.inner.list(host, scope).await {
            Err(BackendError::UnknownHost { .. }) if self.bug == Bug::AnswersForAnyHost => {
                Inventory::default()
            }
            listed => listed?,
        };
        match self.bug {
            Bug::ListsNoNetworks => seen.networks.clear(),
            Bug::ListsForeign => {
                for name in self.inner.names(host) {
                    if !seen.volumes.iter().any(|volume| volume.name == name) {
                        let labels = labels();
                        seen.volumes.push(SeenVolume { name, labels });
                    }
                }
            }
            _ => {}
        }
        Ok(seen)
    }

    async fn inspect(
        &self,
        host: &HostId,
        container: &EngineId,
    ) -> Result<Option<ContainerDetail>, BackendError> {
        let Some(mut seen) = self.inner.inspect(host, container).await? else {
            return match self.bug {
                Bug::AbsentIsAnError => Err(absent()),
                Bug::ShowsForeign => Ok(Some(ContainerDetail {
                    seen: SeenContainer {
                        id: container.clone(),
                        name: "somebody".to_owned(),
                        labels: labels(),
                        running: false,
                        address: None,
                    },
                    state: RunState::Created,
                    limits: NO_LIMITS.into(),
                    oom_kills: Vec::new(),
                })),
                _ => Ok(None),
            };
        };
        let ended = matches!(seen.state, RunState::Exited { .. });
        match self.bug {
            Bug::ShowsNoLimits => seen.limits = NO_LIMITS.into(),
            Bug::TakesAKilledChildForTheEnd if !seen.oom_kills.is_empty() => {
                seen.state = RunState::Other("dead".to_owned());
            }
            Bug::AnyAddress if seen.seen.address.is_some() => {
                seen.seen.address = Some(std::net::Ipv4Addr::new(172, 17, 0, 2));
            }
            Bug::KeepsTheAddress if ended => {
                seen.seen.address = Some(std::net::Ipv4Addr::new(10, 213, 0, 2));
            }
            _ => {}
        }
        Ok(Some(seen))
    }

    async fn prepare(&self, host: &HostId, image: &Image) -> Result<PreparedImage, BackendError> {
        let mut image = image.clone();
        if self.bug == Bug::AnyDigest {
            image.digest = None;
        }
        let mut prepared = match self.inner.prepare(host, &image).await {
            Err(BackendError::ImageMissing { .. }) if self.bug == Bug::HasEveryImage => {
                PreparedImage {
                    image,
                    size: Bytes(1),
                }
            }
            Err(BackendError::Pulling { host, reference })
                if self.bug == Bug::TakesComingForMissing =>
            {
                return Err(BackendError::ImageMissing {
                    host,
                    reference,
                    source: None,
                });
            }
            prepared => prepared?,
        };
        match self.bug {
            Bug::PinsNothing => prepared.image.digest = None,
            Bug::OtherAnswerEachTime => prepared.size = Bytes(self.next() + 1),
            _ => {}
        }
        Ok(prepared)
    }

    async fn create(&self, host: &HostId, spec: &ObjectSpec) -> Result<Made, BackendError> {
        let made = match spec {
            ObjectSpec::Instance(instance) => self.create_instance(host, instance).await,
            ObjectSpec::Network(_) | ObjectSpec::Volume(_) | ObjectSpec::HostMarker { .. } => {
                self.inner.create(host, spec).await
            }
        };
        match (made, self.bug) {
            (Ok(Made { adopted: true, .. }), Bug::NeverAdopts) => Err(BackendError::Conflict {
                name: "taken".to_owned(),
            }),
            (Ok(made), Bug::NeverSaysAdopted) => Ok(Made {
                adopted: false,
                ..made
            }),
            (Err(BackendError::Busy { name }), Bug::AdoptsAnything) => {
                let there = self.id_of(host, &name).await;
                match there {
                    Some(id) => Ok(Made { id, adopted: true }),
                    None => Err(BackendError::Busy { name }),
                }
            }
            (Err(BackendError::VolumeHeld { container, .. }), Bug::WritesBesideStrangers) => {
                let id = EngineId(container);
                Ok(Made { id, adopted: false })
            }
            (Err(BackendError::StorageMismatch { name }), Bug::TakesAnyOptions) => Ok(Made {
                id: EngineId(name),
                adopted: true,
            }),
            (Err(BackendError::Busy { name }), Bug::TakesItsOwnForForeign) => {
                Err(BackendError::Conflict { name })
            }
            (Err(BackendError::Conflict { name }), Bug::TakesOverForeign) => {
                self.inner.remove_anything_like(host, &name);
                self.inner.create(host, spec).await
            }
            (made, _) => made,
        }
    }

    async fn remove(&self, host: &HostId, object: &ObjectRef) -> Result<(), BackendError> {
        match (self.bug, object) {
            (Bug::RemovedTwiceIsAnError, ObjectRef::Volume(name)) => {
                let there = self.volumes(host).await;
                if !there.iter().any(|volume| volume.name == *name) {
                    return Err(absent());
                }
            }
            (Bug::RefusesWhatRuns, ObjectRef::Container(id)) if self.runs(host, id).await => {
                return Err(BackendError::Busy { name: id.0.clone() });
            }
            (Bug::RemovesUsedVolumes, ObjectRef::Volume(name)) => {
                self.inner.remove_anything_like(host, name);
            }
            (_, _) => {}
        }
        match (self.inner.remove(host, object).await, object) {
            (Err(BackendError::Foreign { .. }), ObjectRef::Volume(name))
                if self.bug == Bug::RemovesForeign =>
            {
                self.inner.remove_anything_like(host, name);
                Ok(())
            }
            (Ok(()), ObjectRef::Container(_)) => {
                if matches!(
                    self.bug,
                    Bug::RemovesVolumesToo | Bug::FilesDieWithTheContainer
                ) {
                    self.removed(host).await;
                }
                Ok(())
            }
            (removed, _) => removed,
        }
    }

    async fn start(&self, host: &HostId, container: &EngineId) -> Result<(), BackendError> {
        let broken = || BackendError::NeverStarts {
            host: host.clone(),
            container: container.clone(),
            source: None,
        };
        match self.bug {
            Bug::RunningIsAnError if self.runs(host, container).await => return Err(broken()),
            Bug::StartsOnce if self.next() > 0 => return Err(broken()),
            Bug::HalfStartedWhenDropped => {
                if self.next() > 0 {
                    return Err(broken());
                }
                tokio::task::yield_now().await;
                self.count.store(0, Ordering::Relaxed);
            }
            Bug::TouchesForeign => {
                return match self.inner.start(host, container).await {
                    Err(BackendError::Foreign { .. }) => Ok(()),
                    started => started,
                };
            }
            _ => {}
        }
        self.inner.start(host, container).await
    }

    async fn signal(
        &self,
        host: &HostId,
        container: &EngineId,
        signal: Signal,
    ) -> Result<(), BackendError> {
        if self.bug == Bug::SignalsOnlyWhatRuns && !self.runs(host, container).await {
            return Err(absent());
        }
        match self.inner.signal(host, container, signal).await {
            Err(BackendError::Unreachable { .. }) if self.bug == Bug::WaitsForEver => {
                std::future::pending().await
            }
            sent => sent,
        }
    }

    async fn update(
        &self,
        host: &HostId,
        container: &EngineId,
        limits: &Limits,
    ) -> Result<(), BackendError> {
        if self.bug == Bug::UpdatesNothing {
            return Ok(());
        }
        match self.inner.update(host, container, limits).await {
            Err(BackendError::NotFound { .. }) if self.bug == Bug::AbsentIsSuccess => Ok(()),
            Err(refused @ BackendError::Refused { .. }) if self.bug == Bug::UpdatesAllButMemory => {
                let rest = Limits {
                    memory: Bytes::mib(64),
                    ..*limits
                };
                self.inner.update(host, container, &rest).await?;
                Err(refused)
            }
            updated => updated,
        }
    }

    async fn path_exists(
        &self,
        host: &HostId,
        container: &EngineId,
        path: &str,
    ) -> Result<bool, BackendError> {
        self.inner.path_exists(host, container, path).await
    }

    async fn put_files(
        &self,
        host: &HostId,
        container: &EngineId,
        directory: &str,
        mut files: Vec<VolumeFile>,
    ) -> Result<(), BackendError> {
        match self.bug {
            Bug::PutsAsRoot => files.iter_mut().for_each(|file| file.owner = 0),
            Bug::PutsOnlyWhileRunning if !self.runs(host, container).await => return Ok(()),
            Bug::PutsOnce if self.next() > 0 => {
                return Err(BackendError::Busy {
                    name: directory.to_owned(),
                });
            }
            _ => {}
        }
        self.inner
            .put_files(host, container, directory, files)
            .await
    }

    async fn logs(
        &self,
        host: &HostId,
        container: &EngineId,
        limit: Bytes,
    ) -> Result<String, BackendError> {
        let logs = self.inner.logs(host, container, limit).await?;
        Ok(match self.bug {
            Bug::PrintsEverything => "a line\n".repeat(100),
            _ => logs,
        })
    }
}

const NO_LIMITS: Limits = Limits {
    cpu: MilliCpus(0),
    memory: Bytes(0),
    swap: Bytes(0),
    storage: Bytes(0),
    pids: 0,
};
