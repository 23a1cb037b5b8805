//! Looking: the host, everything of ours on it, one container.

mod answer;

use std::collections::HashMap;

use bollard::models::{ContainerInspectResponse, Network};
use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptions, ListNetworksOptions, ListVolumesOptions,
};
use ipnet::Ipv4Net;
use openclaw_tenancy::backend::{BackendError, Scope};
use openclaw_tenancy::container::{
    ContainerDetail, EngineId, Inventory, ObjectSpec, SeenContainer, SeenNetwork, SeenVolume,
};
use openclaw_tenancy::host::{HostFacts, StorageQuota};
use openclaw_tenancy::labels::Role;
use openclaw_tenancy::quantity::{Bytes, MilliCpus};

use self::answer::{found, own_container, own_network, own_volume, subnets, timestamp, unsigned};
use super::error::{Failure, Malformed, unreachable};
use super::{Engine, full, labels};

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
        let seen = listed
            .into_iter()
            .filter_map(|container| own_container(&self.keys, container));
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
            .filter_map(|volume| own_volume(&self.keys, volume));
        Ok(seen.collect())
    }

    pub(super) async fn networks(&self, scope: Scope) -> Result<Vec<SeenNetwork>, BackendError> {
        let listed = self.listed(labels::filter(&self.keys, scope)).await?;
        let seen = listed
            .into_iter()
            .filter_map(|network| own_network(&self.keys, network));
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
            .filter_map(|network| own_network(&self.keys, network));
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
        found(&self.keys, id, raw).map_err(|lacks| self.malformed(WHAT, lacks))
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
