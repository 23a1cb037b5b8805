//! What is made on an engine: specs by kind, so that an instance's cannot express a privilege.
//!
//! No field here names a host path, a host namespace, a device, a capability or a security option; an
//! adapter builds the engine's request from these fields alone.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::id::{DeploymentId, Generation, TenantId};
use crate::labels::{ObjectLabels, Role, hex, object_name};
use crate::plan::Limits;

/// The port an instance serves HTTP and WebSocket on (`OpenClaw` docs, gateway).
pub const INSTANCE_PORT: u16 = 18789;
/// The instance's user and group: `node` of the official image.
pub const INSTANCE_UID: u32 = 1000;
/// Where the data volume is mounted (`OPENCLAW_STATE_DIR`).
pub const DATA_PATH: &str = "/home/node/.openclaw";
/// Where the config volume is mounted: inside the data volume, so that `openclaw.json` can include it.
pub const CONFIG_PATH: &str = "/home/node/.openclaw/manager";

/// The full id that an engine gave to a container or a network. Calls act by it, never by a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EngineId(pub String);

impl fmt::Display for EngineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An image: what the operator named, and the content that name meant when it was pinned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Image {
    /// The reference, such as `openclaw/openclaw:2026.9.6`.
    pub reference: String,
    /// The engine's content id, `sha256:…`, once pinned.
    pub digest: Option<String>,
}

/// A bridge network with one instance in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Whose.
    pub tenant: TenantId,
    /// The `/29`.
    pub subnet: Ipv4Net,
}

/// A named volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSpec {
    /// Whose.
    pub tenant: TenantId,
    /// [`Role::Data`] or [`Role::Config`].
    pub role: VolumeRole,
}

/// Which of a tenant's two volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeRole {
    /// The tenant's own data.
    Data,
    /// Our include, root-owned.
    Config,
}

impl VolumeRole {
    /// The same as a [`Role`].
    #[must_use]
    pub const fn role(self) -> Role {
        match self {
            Self::Data => Role::Data,
            Self::Config => Role::Config,
        }
    }
}

/// A tenant's OpenClaw container: the hardened form, with nothing to soften it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSpec {
    /// Whose.
    pub tenant: TenantId,
    /// Which making of it.
    pub generation: Generation,
    /// Runs this. The digest is set: an instance is made from pinned content.
    pub image: Image,
    /// May use this.
    pub limits: Limits,
    /// Its environment. Readable in `inspect` and on the host's disk: never a secret.
    pub env: BTreeMap<String, String>,
    /// The bridge it joins.
    pub subnet: Ipv4Net,
}

impl InstanceSpec {
    /// Its [fixed address](instance_address).
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        instance_address(self.subnet)
    }
}

/// The gateway of an instance's bridge: the address its edge comes from. The first usable one.
#[must_use]
pub fn gateway_address(subnet: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(subnet.network()).wrapping_add(1))
}

/// The fixed address of the instance in its bridge. The second usable one.
#[must_use]
pub fn instance_address(subnet: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(subnet.network()).wrapping_add(2))
}

/// Something to make on an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectSpec {
    /// A network.
    Network(NetworkSpec),
    /// A volume.
    Volume(VolumeSpec),
    /// A container, made and not started. Boxed: it is by far the largest.
    Instance(Box<InstanceSpec>),
    /// The volume that marks the host as ours.
    HostMarker {
        /// The marker's random name part: a DNS label.
        marker: String,
    },
}

impl ObjectSpec {
    /// The derived name.
    #[must_use]
    pub fn name(&self, deployment: &DeploymentId) -> String {
        let zero = Generation::default();
        match self {
            Self::Network(spec) => object_name(deployment, spec.tenant, Role::Network, zero),
            Self::Volume(spec) => object_name(deployment, spec.tenant, spec.role.role(), zero),
            Self::Instance(spec) => {
                object_name(deployment, spec.tenant, Role::Instance, spec.generation)
            }
            Self::HostMarker { marker } => format!("oct-{deployment}-host-{marker}"),
        }
    }

    /// What its labels say.
    #[must_use]
    pub fn labels(&self) -> ObjectLabels {
        let (role, tenant, generation) = match self {
            Self::Network(spec) => (Role::Network, Some(spec.tenant), Generation::default()),
            Self::Volume(spec) => (spec.role.role(), Some(spec.tenant), Generation::default()),
            Self::Instance(spec) => (Role::Instance, Some(spec.tenant), spec.generation),
            Self::HostMarker { .. } => (Role::HostMarker, None, Generation::default()),
        };
        ObjectLabels {
            role,
            tenant,
            generation,
            spec: self.spec_hash(),
        }
    }

    /// The hash of what cannot change in place. Limits are left out: they change live.
    #[must_use]
    pub fn spec_hash(&self) -> String {
        // Hashed at once: a container has dozens of parts, and is compared with what is wanted at every look.
        let mut parts = Vec::with_capacity(1024);
        let mut part = |text: &str| {
            parts.extend_from_slice(&(text.len() as u64).to_be_bytes());
            parts.extend_from_slice(text.as_bytes());
        };
        match self {
            Self::Network(spec) => {
                part("network v1");
                part(&spec.subnet.to_string());
            }
            Self::Volume(_) => part("volume v1"),
            Self::HostMarker { marker } => {
                part("host-marker v1");
                part(marker);
            }
            Self::Instance(spec) => {
                part("instance v1");
                part(
                    spec.image
                        .digest
                        .as_deref()
                        .unwrap_or(&spec.image.reference),
                );
                part(&spec.subnet.to_string());
                for (name, value) in &spec.env {
                    part(name);
                    part(value);
                }
            }
        }
        hex(&Sha256::digest(&parts)[..16])
    }
}

/// Something to remove from an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectRef {
    /// A container, by its full id. It is killed first if it runs; volumes stay.
    Container(EngineId),
    /// A volume, by its name: an engine gives volumes no id.
    Volume(String),
    /// A network, by its full id: two may have one name.
    Network(EngineId),
}

/// The state of a container, as far as it decides anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Made; as far as the engine knows, not started. After a lost start answer this proves nothing.
    Created,
    /// Running since then.
    Running {
        /// When it started, by the engine's clock.
        started_at: Timestamp,
    },
    /// Ended.
    Exited {
        /// The exit code.
        code: i64,
        /// Whether the kernel killed it for memory. False when only a child was killed.
        oom_killed: bool,
        /// When it ended, by the engine's clock.
        finished_at: Timestamp,
    },
    /// Its processes are there and do not go on until somebody lets them.
    Paused,
    /// Anything else: restarting, removing or dead.
    Other(String),
}

/// A container of ours, as `list` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenContainer {
    /// Its full id.
    pub id: EngineId,
    /// Its name.
    pub name: String,
    /// Its labels, the MAC checked.
    pub labels: ObjectLabels,
    /// Whether it runs: not one that is paused. [`crate::backend::ContainerBackend::inspect`] says more.
    pub running: bool,
    /// The address in its bridge, while it has a process and is not cut off from it.
    pub address: Option<Ipv4Addr>,
}

/// A container of ours, as `inspect` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerDetail {
    /// What `list` shows too.
    pub seen: SeenContainer,
    /// What it does.
    pub state: RunState,
    /// The limits the engine holds. Storage is not one of them.
    pub limits: AppliedLimits,
    /// When the kernel killed processes of it for memory since its start, by the engine's clock, oldest first: also
    /// a child alone, of which [`RunState`] tells nothing. Only what the engine still remembers, which is the newest;
    /// one kill may be told several times.
    pub oom_kills: Vec<Timestamp>,
}

/// The limits an engine reports for a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppliedLimits {
    /// CPU, in milli-CPUs.
    pub cpu: crate::quantity::MilliCpus,
    /// Memory, in bytes.
    pub memory: crate::quantity::Bytes,
    /// Swap beyond the memory, in bytes.
    pub swap: crate::quantity::Bytes,
    /// Processes and threads.
    pub pids: u32,
}

impl From<Limits> for AppliedLimits {
    fn from(limits: Limits) -> Self {
        Self {
            cpu: limits.cpu,
            memory: limits.memory,
            swap: limits.swap,
            pids: limits.pids,
        }
    }
}

/// A volume of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenVolume {
    /// Its name.
    pub name: String,
    /// Its labels, the MAC checked.
    pub labels: ObjectLabels,
}

/// A network of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenNetwork {
    /// Its full id.
    pub id: EngineId,
    /// Its name.
    pub name: String,
    /// Its labels, the MAC checked.
    pub labels: ObjectLabels,
    /// Its subnet.
    pub subnet: Option<Ipv4Net>,
}

/// Everything of ours on a host, or everything of one tenant's there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    /// The containers.
    pub containers: Vec<SeenContainer>,
    /// The volumes.
    pub volumes: Vec<SeenVolume>,
    /// The networks.
    pub networks: Vec<SeenNetwork>,
}

/// A file to put into a container's volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeFile {
    /// Relative to the directory it is put into; plain names and `/` only.
    pub path: String,
    /// The content. May be a secret: never logged.
    pub content: secret::Content,
    /// The owner, a numeric user and group id.
    pub owner: u32,
    /// The permission bits.
    pub mode: u32,
}

/// Content that `Debug` does not show.
pub mod secret {
    use std::fmt;

    /// Bytes that may be secret.
    #[derive(Clone, PartialEq, Eq)]
    pub struct Content(pub Vec<u8>);

    impl fmt::Debug for Content {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "[{} bytes]", self.0.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::{Bytes, MilliCpus};

    /// It stands in the labels of what there is: with another one, every container would be made anew.
    #[test]
    fn a_spec_hash_stays_what_it_was() {
        let tenant = TenantId::from_uuid(uuid::Uuid::from_bytes([1; 16]));
        let subnet: Ipv4Net = "10.99.0.8/29".parse().unwrap();
        let instance = InstanceSpec {
            tenant,
            generation: Generation(3),
            image: Image {
                reference: "openclaw/openclaw:test".to_owned(),
                digest: Some("sha256:abc".to_owned()),
            },
            limits: Limits {
                cpu: MilliCpus(1000),
                memory: Bytes::gib(1),
                swap: Bytes(0),
                storage: Bytes::gib(1),
                pids: 100,
            },
            env: [("HOME", "/home/node"), ("TZ", "Asia/Shanghai")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            subnet,
        };
        let role = VolumeRole::Data;
        let marker = "0011".to_owned();
        for (spec, hash) in [
            (
                ObjectSpec::Instance(Box::new(instance)),
                "ff0c1f076c057d7c95d4c9b5ad070cf7",
            ),
            (
                ObjectSpec::Network(NetworkSpec { tenant, subnet }),
                "aaa758f229a3a9585748c14343d53ab7",
            ),
            (
                ObjectSpec::Volume(VolumeSpec { tenant, role }),
                "27b0dfd3c7d6b4f0c068789333d4f679",
            ),
            (
                ObjectSpec::HostMarker { marker },
                "d75ec3e54f43962860bf1cac3419e32b",
            ),
        ] {
            assert_eq!(spec.spec_hash(), hash, "{spec:?}");
        }
    }
}
