//! Docker Engines for `openclaw-tenancy`: the [`ContainerBackend`] that makes every tenant's OpenClaw a
//! hardened container of its own.
//!
//! [`docker`] speaks to engines directly, over a unix socket, TCP or mutual TLS, to as many hosts as there are.
//!
//! ```
//! use std::sync::Arc;
//!
//! use openclaw_tenancy::backend::ContainerBackend;
//! use openclaw_tenancy::id::{DeploymentId, HostId};
//! use openclaw_tenancy::labels::LabelKeys;
//! use openclaw_tenancy_portainer::docker::{DockerBackend, Endpoint};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // In a deployment the key comes out of the store and is never lost: without it our own containers are foreign.
//! let keys = LabelKeys::new(DeploymentId::new("example")?, "k1", [7; 32]);
//! let backend: Arc<dyn ContainerBackend> = Arc::new(
//!     DockerBackend::builder(keys)
//!         .host(HostId::new("local")?, Endpoint::local())
//!         .build()?,
//! );
//! # Ok(())
//! # }
//! ```
//!
//! # What an instance is on an engine
//!
//! | | |
//! |-|-|
//! | user | 1000:1000, all capabilities dropped, no new privileges, the engine's seccomp filter |
//! | root file system | read-only; `/tmp` is 64 MiB of memory without programs |
//! | data volume | mounted at `/home/node`; the state directory `.openclaw` in it belongs to the instance |
//! | config volume | mounted in the state directory, at `manager`; belongs to root |
//! | network | a bridge of its own with one `/29`, a fixed address, nothing published |
//! | limits | CPU, memory, swap, processes; three log files of 5 MB |
//! | restart policy | none: the reconciler restarts, since it knows when not to |
//!
//! The request is built from a list of what may be asked for. There is no field by which a spec could ask for
//! more, and a test holds every body against the list.
//!
//! # What is never done
//!
//! - A container, volume or network without this deployment's labels and a valid MAC over them and its name is
//!   never changed. Each call that acts looks first.
//! - Nothing is acted on by a shortened id, and no container or network by a name.
//! - No container is made on a volume that does not stand there with the options it should have: an engine would
//!   make one on the way.
//! - No redirect is followed, no answer is read without end, no call lasts longer than it may.
//! - A file's content, a proxy's credential and an engine's own words stand in no error's `Display`.
//!
//! # What a start comes to
//!
//! A start whose answer was lost can leave a process that the engine does not know: it says `created`, and
//! removing the container answers success while the process runs on. Starting again tells.
//!
//! | the engine answers | it means | the call gives |
//! |-|-|-|
//! | 204, 304 | it runs | `Ok` |
//! | 500 `failed to start shim: mkdir` | half made; nothing runs, and this container never will | [`NeverStarts`] |
//! | 500 before there is a task (network, volume) | nothing new runs | [`Engine`] |
//! | 500 of any other text | a process may run unseen | [`GhostSuspected`] |
//! | 404 for the network | make it anew, then start | [`NotFound`] |
//! | nothing | unknown | [`Unreachable`] |
//!
//! Measured on 20.10. Engine 28.5 ends such a process itself when the container is started again (3 of 3), so
//! that there the answer is 204.
//!
//! # Engines
//!
//! Every version from Engine 20.10 (API 1.41) on; the version is agreed by each host's ping, again at each look
//! at the host. Tried with 20.10.24, 26.1.5 and 28.5.2.
//!
//! The tests in `tests/scripted` need nothing. Those in `tests/real` want `TENANCY_TEST_DOCKER_HOST`
//! (`unix:///var/run/docker.sock`) and `TENANCY_TEST_IMAGE`, an image there with a shell;
//! `TENANCY_TEST_REQUIRE=docker` makes a missing one a failure. Mutual TLS is tested on an engine that root starts
//! beside it, with `TENANCY_TEST_STAND_IN_IMAGE`, an image of the stand-in instance there.
//!
//! [`ContainerBackend`]: openclaw_tenancy::backend::ContainerBackend
//! [`NeverStarts`]: openclaw_tenancy::backend::BackendError::NeverStarts
//! [`Engine`]: openclaw_tenancy::backend::BackendError::Engine
//! [`GhostSuspected`]: openclaw_tenancy::backend::BackendError::GhostSuspected
//! [`NotFound`]: openclaw_tenancy::backend::BackendError::NotFound
//! [`Unreachable`]: openclaw_tenancy::backend::BackendError::Unreachable

pub mod docker;
mod engine;
