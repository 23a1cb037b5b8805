//! What an engine's answers say: which objects are ours, and what they are. Nothing here asks an engine.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as Status, ContainerSummary,
    ContainerSummaryStateEnum as Word, EndpointSettings, HostConfig, Ipam, Network, Volume,
};
use ipnet::Ipv4Net;
use openclaw_tenancy::clock::Timestamp;
use openclaw_tenancy::container::{
    AppliedLimits, ContainerDetail, EngineId, RunState, SeenContainer, SeenNetwork, SeenVolume,
};
use openclaw_tenancy::labels::{LabelKeys, ObjectLabels};
use openclaw_tenancy::quantity::{Bytes, MilliCpus};

use super::{Container, Found};
use crate::engine::{is_full, labels};

/// A listed container, if it is ours.
pub(super) fn own_container(
    keys: &LabelKeys,
    container: ContainerSummary,
) -> Option<SeenContainer> {
    let id = EngineId(container.id?);
    let name = container.names?.first()?.trim_start_matches('/').to_owned();
    let labels = labels::read(keys, &name, container.labels.as_ref())?;
    let running = match container.state? {
        Word::RUNNING | Word::RESTARTING | Word::STOPPING => true,
        Word::PAUSED | Word::EMPTY | Word::CREATED | Word::EXITED | Word::REMOVING | Word::DEAD => {
            false
        }
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
}

/// A listed volume, if it is ours.
pub(super) fn own_volume(keys: &LabelKeys, volume: Volume) -> Option<SeenVolume> {
    let labels = labels::read(keys, &volume.name, Some(&volume.labels))?;
    Some(SeenVolume {
        name: volume.name,
        labels,
    })
}

/// A listed network, if it is ours.
pub(super) fn own_network(keys: &LabelKeys, network: Network) -> Option<SeenNetwork> {
    let id = EngineId(network.id?);
    let name = network.name?;
    let labels = labels::read(keys, &name, network.labels.as_ref())?;
    let subnet = network.ipam.as_ref().and_then(|ipam| subnets(ipam).next());
    is_full(&id).then_some(SeenNetwork {
        id,
        name,
        labels,
        subnet,
    })
}

/// What an engine's answer about `id` shows; an error says what it lacks.
pub(super) fn found(
    keys: &LabelKeys,
    id: &str,
    raw: ContainerInspectResponse,
) -> Result<Found, &'static str> {
    let (Some(found), Some(name)) = (raw.id.clone().map(EngineId), raw.name.as_deref()) else {
        return Err("an id and a name");
    };
    let name = name.trim_start_matches('/').to_owned();
    // An engine takes the beginning of an id, or a name, for an id.
    if !is_full(&found) || (found.0 != id && name != id) {
        return Ok(Found::Absent);
    }
    let config = raw.config.as_ref();
    let Some(labels) = labels::read(keys, &name, config.and_then(|c| c.labels.as_ref())) else {
        return Ok(Found::Foreign(name));
    };
    let detail = detail(found, name, labels, &raw).ok_or("a state")?;
    Ok(Found::Ours(Box::new(Container { detail, raw })))
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

pub(super) fn subnets(ipam: &Ipam) -> impl Iterator<Item = Ipv4Net> + '_ {
    let configs = ipam.config.iter().flatten();
    configs.filter_map(|config| config.subnet.as_ref()?.parse().ok())
}

pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    let at =
        time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000)
        .ok()
        .map(Timestamp::from_millis)
}

/// Sizes are signed in the API; a negative one is none of ours.
pub(super) fn unsigned(value: Option<i64>) -> u64 {
    value.and_then(|v| u64::try_from(v).ok()).unwrap_or(0)
}

#[cfg(test)]
mod fuzz;
