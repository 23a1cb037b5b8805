//! Looking: the host, everything of ours on it, one container.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as Status,
    ContainerSummaryStateEnum as Word, EndpointSettings, HostConfig, Ipam, Network,
};
use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptions, ListNetworksOptions, ListVolumesOptions,
};
use ipnet::Ipv4Net;
use openclaw_tenancy::backend::{BackendError, Scope};
use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::container::{
    AppliedLimits, ContainerDetail, EngineId, Inventory, ObjectSpec, RunState, SeenContainer,
    SeenNetwork, SeenVolume,
};
use openclaw_tenancy::host::{HostFacts, StorageQuota};
use openclaw_tenancy::labels::{ObjectLabels, Role};
use openclaw_tenancy::quantity::{Bytes, MilliCpus};

use super::error::{Failure, Malformed, unreachable};
use super::{Engine, full, is_full, labels};

/// What stands under an id.
pub(super) enum Found {
    /// Nothing.
    Absent,
    /// Something that is not ours; its name.
    Foreign(String),
    /// A container of ours.
    Ours(Box<Container>),
}

/// A container of ours: what the core wants to know, and the engine's own answer.
pub(super) struct Container {
    pub(super) detail: ContainerDetail,
    pub(super) raw: ContainerInspectResponse,
}

impl Engine {
    /// See `ContainerBackend::host`.
    pub(crate) async fn facts(&self) -> Result<HostFacts, BackendError> {
        const WHAT: &str = "describing the host";
        self.within(WHAT, async {
            // Also agrees on the version anew: this is the look at the host that comes round again and again.
            let ping = self
                .transport
                .negotiate()
                .await
                .map_err(|e| unreachable(&self.host, WHAT, Some(Box::new(e))))?;
            let info = self
                .call(self.docker.info())
                .await
                .map_err(|f| f.general(&self.host, WHAT))?;
            let volumes = self.volumes(Scope::All).await?;
            let mut markers: Vec<String> = volumes
                .iter()
                .filter_map(|volume| self.marker(volume))
                .collect();
            markers.sort_unstable();
            let mut subnets = self.subnets().await?;
            subnets.sort_unstable();
            Ok(HostFacts {
                cpu: MilliCpus(unsigned(info.ncpu).saturating_mul(1000)),
                memory: Bytes(unsigned(info.mem_total)),
                swap: None,
                swap_measured_at: None,
                swap_limit: info.swap_limit.unwrap_or(false),
                storage_quota: StorageQuota::None,
                engine_version: info.server_version.unwrap_or_default(),
                api_version: ping.spoken.to_string(),
                operating_system: info.operating_system.unwrap_or_default(),
                markers,
                subnets,
                unaccounted: 0,
            })
        })
        .await
    }

    /// The IPv4 subnets of every network, whosever it is.
    async fn subnets(&self) -> Result<Vec<Ipv4Net>, BackendError> {
        let listed = self
            .call(self.docker.list_networks(None::<ListNetworksOptions>))
            .await
            .map_err(|f| f.general(&self.host, "listing networks"))?;
        let held = |network: &bollard::models::Network| -> Vec<Ipv4Net> {
            let ipam = network.ipam.as_ref();
            ipam.map(|ipam| subnets(ipam).collect()).unwrap_or_default()
        };
        Ok(listed.iter().flat_map(held).collect())
    }

    /// The marker that a volume is, without what every marker's name begins with.
    fn marker(&self, volume: &SeenVolume) -> Option<String> {
        let prefix = ObjectSpec::HostMarker {
            marker: String::new(),
        }
        .name(self.keys.deployment());
        (volume.labels.role == Role::HostMarker)
            .then(|| volume.name.strip_prefix(&prefix).map(str::to_owned))
            .flatten()
    }

    /// See `ContainerBackend::list`.
    ///
    /// In the order of names, and of ids where two have one: engines list in an order of their own.
    pub(crate) async fn list(&self, scope: Scope) -> Result<Inventory, BackendError> {
        self.within("listing", async {
            let (mut containers, mut volumes, mut networks) = tokio::try_join!(
                self.containers(scope),
                self.volumes(scope),
                self.networks(scope)
            )?;
            containers.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
            volumes.sort_by(|a, b| a.name.cmp(&b.name));
            networks.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
            Ok(Inventory {
                containers,
                volumes,
                networks,
            })
        })
        .await
    }

    async fn containers(&self, scope: Scope) -> Result<Vec<SeenContainer>, BackendError> {
        let options = ListContainersOptions {
            all: true,
            filters: Some(labels::filter(&self.keys, scope)),
            ..Default::default()
        };
        let listed = self
            .call(self.docker.list_containers(Some(options)))
            .await
            .map_err(|f| f.general(&self.host, "listing containers"))?;
        let seen = listed.into_iter().filter_map(|container| {
            let id = EngineId(container.id?);
            let name = container.names?.first()?.trim_start_matches('/').to_owned();
            let labels = labels::read(&self.keys, &name, container.labels.as_ref())?;
            let running = match container.state? {
                Word::RUNNING | Word::RESTARTING | Word::STOPPING => true,
                Word::PAUSED
                | Word::EMPTY
                | Word::CREATED
                | Word::EXITED
                | Word::REMOVING
                | Word::DEAD => false,
            };
            let mode = container.host_config.and_then(|config| config.network_mode);
            let joined = container.network_settings.and_then(|s| s.networks);
            let address = address(mode.as_ref(), joined.as_ref());
            is_full(&id).then_some(SeenContainer {
                id,
                name,
                labels,
                running,
                address,
            })
        });
        Ok(seen.collect())
    }

    pub(super) async fn volumes(&self, scope: Scope) -> Result<Vec<SeenVolume>, BackendError> {
        let options = ListVolumesOptions {
            filters: Some(labels::filter(&self.keys, scope)),
        };
        let listed = self
            .call(self.docker.list_volumes(Some(options)))
            .await
            .map_err(|f| f.general(&self.host, "listing volumes"))?;
        let seen = listed
            .volumes
            .unwrap_or_default()
            .into_iter()
            .filter_map(|volume| {
                let labels = labels::read(&self.keys, &volume.name, Some(&volume.labels))?;
                Some(SeenVolume {
                    name: volume.name,
                    labels,
                })
            });
        Ok(seen.collect())
    }

    pub(super) async fn networks(&self, scope: Scope) -> Result<Vec<SeenNetwork>, BackendError> {
        let listed = self.listed(labels::filter(&self.keys, scope)).await?;
        let seen = listed
            .into_iter()
            .filter_map(|network| self.own_network(network));
        Ok(seen.collect())
    }

    /// The networks of ours that have this name, and whether one of somebody else's has it too.
    pub(super) async fn networks_called(
        &self,
        name: &str,
    ) -> Result<(Vec<SeenNetwork>, bool), BackendError> {
        let filter = HashMap::from([("name".to_owned(), vec![name.to_owned()])]);
        let mut listed = self.listed(filter).await?;
        // The engine's own filter takes a part of a name for it.
        listed.retain(|network| network.name.as_deref() == Some(name));
        let all = listed.len();
        let seen = listed
            .into_iter()
            .filter_map(|network| self.own_network(network));
        let ours: Vec<SeenNetwork> = seen.collect();
        let foreign = ours.len() < all;
        Ok((ours, foreign))
    }

    async fn listed(
        &self,
        filter: HashMap<String, Vec<String>>,
    ) -> Result<Vec<Network>, BackendError> {
        let options = ListNetworksOptions {
            filters: Some(filter),
        };
        self.call(self.docker.list_networks(Some(options)))
            .await
            .map_err(|f| f.general(&self.host, "listing networks"))
    }

    fn own_network(&self, network: Network) -> Option<SeenNetwork> {
        let id = EngineId(network.id?);
        let name = network.name?;
        let labels = labels::read(&self.keys, &name, network.labels.as_ref())?;
        let subnet = network.ipam.as_ref().and_then(|ipam| subnets(ipam).next());
        is_full(&id).then_some(SeenNetwork {
            id,
            name,
            labels,
            subnet,
        })
    }

    /// See `ContainerBackend::inspect`.
    pub(crate) async fn inspect(
        &self,
        id: &EngineId,
    ) -> Result<Option<ContainerDetail>, BackendError> {
        const WHAT: &str = "inspecting a container";
        self.within(WHAT, async {
            let id = full(id, WHAT)?;
            Ok(match self.find(id).await? {
                Found::Ours(container) => {
                    let Container { mut detail, raw } = *container;
                    let state = raw.state.as_ref();
                    let started = state.and_then(|s| timestamp(s.started_at.as_deref()?));
                    if let Some(started) = started {
                        detail.oom_kills = self.oom_kills(&detail, started).await;
                    }
                    Some(detail)
                }
                Found::Absent | Found::Foreign(_) => None,
            })
        })
        .await
    }

    /// A container by its full id or exact name.
    pub(super) async fn find(&self, id: &str) -> Result<Found, BackendError> {
        const WHAT: &str = "inspecting a container";
        let answer = self
            .call(
                self.docker
                    .inspect_container(id, None::<InspectContainerOptions>),
            )
            .await;
        let raw = match answer {
            Ok(raw) => raw,
            Err(failure) if failure.is_absent() => return Ok(Found::Absent),
            Err(failure) => return Err(failure.general(&self.host, WHAT)),
        };
        let (Some(found), Some(name)) = (raw.id.clone().map(EngineId), raw.name.as_deref()) else {
            return Err(self.malformed(WHAT, "an id and a name"));
        };
        let name = name.trim_start_matches('/').to_owned();
        // An engine takes the beginning of an id, or a name, for an id.
        if !is_full(&found) || (found.0 != id && name != id) {
            return Ok(Found::Absent);
        }
        let config = raw.config.as_ref();
        let Some(labels) = labels::read(&self.keys, &name, config.and_then(|c| c.labels.as_ref()))
        else {
            return Ok(Found::Foreign(name));
        };
        let detail =
            detail(found, name, labels, &raw).ok_or_else(|| self.malformed(WHAT, "a state"))?;
        Ok(Found::Ours(Box::new(Container { detail, raw })))
    }

    /// A container that is to be acted on: ours, or an error.
    pub(super) async fn own(
        &self,
        id: &EngineId,
        what: &'static str,
    ) -> Result<Box<Container>, BackendError> {
        match self.find(full(id, what)?).await? {
            Found::Ours(container) => Ok(container),
            Found::Foreign(name) => Err(BackendError::Foreign { name }),
            Found::Absent => Err(BackendError::NotFound { what: "container" }),
        }
    }

    pub(super) fn malformed(&self, what: &'static str, lacks: &'static str) -> BackendError {
        Failure::Lost(Box::new(Malformed(lacks))).general(&self.host, what)
    }
}

fn detail(
    id: EngineId,
    name: String,
    labels: ObjectLabels,
    raw: &ContainerInspectResponse,
) -> Option<ContainerDetail> {
    let state = raw.state.as_ref()?;
    let status = state.status?;
    let at = |text: &Option<String>| text.as_deref().and_then(timestamp).unwrap_or_default();
    let (running, state) = match status {
        Status::CREATED => (false, RunState::Created),
        Status::RUNNING => (
            true,
            RunState::Running {
                started_at: at(&state.started_at),
            },
        ),
        Status::EXITED => (
            false,
            RunState::Exited {
                code: state.exit_code.unwrap_or(-1),
                oom_killed: state.oom_killed.unwrap_or(false),
                finished_at: at(&state.finished_at),
            },
        ),
        Status::PAUSED => (false, RunState::Paused),
        Status::RESTARTING | Status::STOPPING => (true, RunState::Other(status.to_string())),
        Status::EMPTY | Status::REMOVING | Status::DEAD => {
            (false, RunState::Other(status.to_string()))
        }
    };
    Some(ContainerDetail {
        limits: limits(raw.host_config.as_ref()?),
        oom_kills: Vec::new(),
        seen: SeenContainer {
            id,
            name,
            labels,
            running,
            address: address(
                raw.host_config.as_ref()?.network_mode.as_ref(),
                raw.network_settings
                    .as_ref()
                    .and_then(|s| s.networks.as_ref()),
            ),
        },
        state,
    })
}

fn limits(host: &HostConfig) -> AppliedLimits {
    let memory = unsigned(host.memory);
    // The engine counts memory and swap together; minus one is no limit.
    let swap = match host.memory_swap {
        Some(both) if both < 0 => u64::MAX,
        both => unsigned(both).saturating_sub(memory),
    };
    AppliedLimits {
        cpu: MilliCpus(unsigned(host.nano_cpus) / 1_000_000),
        memory: Bytes(memory),
        swap: Bytes(swap),
        pids: u32::try_from(unsigned(host.pids_limit)).unwrap_or(u32::MAX),
    }
}

/// The address in the one network the container was made for.
fn address(
    mode: Option<&String>,
    joined: Option<&HashMap<String, EndpointSettings>>,
) -> Option<Ipv4Addr> {
    joined?.get(mode?)?.ip_address.as_ref()?.parse().ok()
}

fn subnets(ipam: &Ipam) -> impl Iterator<Item = Ipv4Net> + '_ {
    let configs = ipam.config.iter().flatten();
    configs.filter_map(|config| config.subnet.as_ref()?.parse().ok())
}

fn timestamp(text: &str) -> Option<Timestamp> {
    let at =
        time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000)
        .ok()
        .map(Timestamp::from_millis)
}

/// Sizes are signed in the API; a negative one is none of ours.
fn unsigned(value: Option<i64>) -> u64 {
    value.and_then(|v| u64::try_from(v).ok()).unwrap_or(0)
}
