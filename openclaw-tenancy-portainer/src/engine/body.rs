//! The bodies that make containers: built from a list of what is allowed, and from nothing else.
//!
//! Every field that is not named here stays unset, and what is named is either fixed or comes from a typed
//! field of the spec. So a spec cannot ask for a privilege, a namespace of the host's, a device, a bind, a
//! published port, a capability, a sysctl, a security option of its own, a runtime or a cgroup parent.
//! `tests/scripted/bodies.rs` holds every body against that list.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, EndpointIpamConfig, EndpointSettings, HealthConfig,
    HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions,
    MountVolumeOptionsDriverConfig, NetworkingConfig, RestartPolicy, RestartPolicyNameEnum,
};
use openclaw_tenancy::container::{CONFIG_PATH, INSTANCE_UID, Image, InstanceSpec};
use openclaw_tenancy::plan::Limits;
use openclaw_tenancy::quantity::{Bytes, MilliCpus};

/// Where the data volume is mounted: above [`DATA_PATH`](openclaw_tenancy::container::DATA_PATH), which is a
/// directory in it. A new volume's own root belongs to root, and no archive changes that on every engine (20.10 and
/// 26.1 take an entry called `/` for it, 28.5 does not); a directory below it gets the owner it is given on all.
pub(super) const DATA_MOUNT: &str = "/home/node";

/// An option of our mounts that the `local` driver has never had. An engine makes a volume that a mount names and that
/// is not there, unlimited and empty; asked for this option it refuses the container instead. Where the volume is there
/// the options of a mount are not read (moby, `volume/service/store.go`, `create`).
pub(super) const MUST_EXIST: &str = "openclaw-tenancy-must-exist";

/// The body of an instance's container in the network called `network`.
pub(super) fn instance(
    spec: &InstanceSpec,
    labels: HashMap<String, String>,
    network: &str,
    data: String,
    config: String,
) -> ContainerCreateBody {
    let endpoint = EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: Some(spec.address().to_string()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let host = HostConfig {
        mounts: Some(vec![mount(data, DATA_MOUNT), mount(config, CONFIG_PATH)]),
        // By name: a network that was lost and made anew heals the container.
        network_mode: Some(network.to_owned()),
        tmpfs: Some(HashMap::from([(
            "/tmp".to_owned(),
            // In the page cache, so it counts against the memory limit.
            "rw,noexec,nosuid,nodev,size=64m,mode=1777".to_owned(),
        )])),
        ..hardened(&spec.limits)
    };
    ContainerCreateBody {
        user: Some(format!("{INSTANCE_UID}:{INSTANCE_UID}")),
        env: Some(
            spec.env
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
        ),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network.to_owned(), endpoint)])),
        }),
        ..container(&spec.image, labels, host)
    }
}

/// The body of a container that prints what memory it sees, and ends.
pub(super) fn swap_probe(image: &Image, labels: HashMap<String, String>) -> ContainerCreateBody {
    let limits = Limits {
        cpu: MilliCpus(500),
        memory: Bytes::mib(64),
        swap: Bytes(0),
        storage: Bytes(0),
        pids: 16,
    };
    ContainerCreateBody {
        user: Some("65534:65534".to_owned()),
        entrypoint: Some(vec!["cat".to_owned()]),
        cmd: Some(vec!["/proc/meminfo".to_owned()]),
        ..container(
            image,
            labels,
            HostConfig {
                network_mode: Some("none".to_owned()),
                ..hardened(&limits)
            },
        )
    }
}

/// New limits: all fields in one call, since memory may not pass over an old sum with swap.
pub(super) fn update(limits: &Limits) -> ContainerUpdateBody {
    ContainerUpdateBody {
        nano_cpus: Some(signed(limits.cpu.as_nano_cpus())),
        memory: Some(signed(limits.memory.0)),
        memory_swap: Some(memory_and_swap(limits)),
        pids_limit: Some(i64::from(limits.pids)),
        ..Default::default()
    }
}

/// What every container of ours is.
fn container(
    image: &Image,
    labels: HashMap<String, String>,
    host: HostConfig,
) -> ContainerCreateBody {
    ContainerCreateBody {
        // By content where it is pinned: a tag may have been moved since.
        image: Some(
            image
                .digest
                .clone()
                .unwrap_or_else(|| image.reference.clone()),
        ),
        labels: Some(labels),
        // A probe inside costs a process in the instance's memory each time; ours dials from outside.
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..Default::default()
        }),
        host_config: Some(host),
        ..Default::default()
    }
}

/// What every container of ours may do at most.
fn hardened(limits: &Limits) -> HostConfig {
    HostConfig {
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        readonly_rootfs: Some(true),
        privileged: Some(false),
        init: Some(true),
        // Not what the engine's configuration may make the default of.
        ipc_mode: Some("private".to_owned()),
        publish_all_ports: Some(false),
        // The reconciler restarts: it knows which exit codes mean that it must not, and the fencing.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-file".to_owned(), "3".to_owned()),
                ("max-size".to_owned(), "5m".to_owned()),
            ])),
        }),
        nano_cpus: Some(signed(limits.cpu.as_nano_cpus())),
        memory: Some(signed(limits.memory.0)),
        memory_swap: Some(memory_and_swap(limits)),
        pids_limit: Some(i64::from(limits.pids)),
        ..Default::default()
    }
}

fn mount(volume: String, target: &str) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume),
        target: Some(target.to_owned()),
        read_only: Some(false),
        volume_options: Some(MountVolumeOptions {
            // What the image has at this path is none of the tenant's data.
            no_copy: Some(true),
            driver_config: Some(MountVolumeOptionsDriverConfig {
                name: Some("local".to_owned()),
                options: Some(HashMap::from([(MUST_EXIST.to_owned(), String::new())])),
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The engine wants memory and swap as one sum.
fn memory_and_swap(limits: &Limits) -> i64 {
    signed(limits.memory.saturating_add(limits.swap).0)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
