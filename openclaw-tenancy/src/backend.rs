//! The engine port: what the reconciler needs of container engines, in the engine's own nouns.

use async_trait::async_trait;

use crate::container::{
    ContainerDetail, EngineId, Image, Inventory, ObjectRef, ObjectSpec, VolumeFile,
};
use crate::error::{Retry, Source};
use crate::host::HostFacts;
use crate::id::{HostId, TenantId};
use crate::plan::Limits;
use crate::quantity::Bytes;

/// What of a host is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything of this deployment's.
    All,
    /// Everything of one tenant's.
    Tenant(TenantId),
}

/// What a backend can do beyond the least. Read it instead of trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// A data volume's size is enforced.
    pub storage_quota: bool,
    /// Limits of a running container change in place.
    pub update_in_place: bool,
}

/// How a container is told something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ask it to end: `SIGTERM`.
    Terminate,
    /// End it: `SIGKILL`.
    Kill,
}

/// What making an object came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its full id; a volume's name, since engines give volumes none.
    pub id: EngineId,
    /// Whether it was made now or stood there already.
    pub adopted: bool,
}

/// An image that is present on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedImage {
    /// The image, with its digest.
    pub image: Image,
    /// Its size, in bytes.
    pub size: Bytes,
}

/// Container engines on a pool of hosts.
///
/// Implemented for Docker Engines and in memory. Object-safe; hold it as `Arc<dyn ContainerBackend>`.
///
/// # Contract
/// - Every call may have happened although it answers an error, unless the error says otherwise.
/// - An object without this deployment's labels and a valid MAC is never changed and never listed.
/// - Every call ends by a deadline of the backend's own, shorter than a claim's lease.
/// - Dropping a call's future leaves the engine in a state that the call could have left by failing.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ContainerBackend: std::fmt::Debug + Send + Sync + 'static {
    /// What this backend can do.
    fn capabilities(&self) -> Capabilities;

    /// The hosts it reaches, or should reach.
    ///
    /// # Errors
    /// [`BackendError::Unreachable`] when the list itself has to be asked for and is not answered.
    ///
    /// # Idempotency
    /// Reads only.
    async fn hosts(&self) -> Result<Vec<HostId>, BackendError>;

    /// What the engine says of its host now.
    ///
    /// # Errors
    /// [`BackendError::Unreachable`], [`BackendError::UnknownHost`].
    ///
    /// # Idempotency
    /// Reads only.
    async fn host(&self, host: &HostId) -> Result<HostFacts, BackendError>;

    /// The swap that a container on this host sees, in bytes: an engine's own answers do not say.
    ///
    /// # Behavior
    /// Runs a container of `image` that prints `/proc/meminfo`, and removes it.
    ///
    /// # Errors
    /// As [`create`](Self::create) and [`start`](Self::start).
    ///
    /// # Idempotency
    /// Leaves nothing behind; a container left by an interrupted call is removed by the next.
    async fn measure_swap(&self, host: &HostId, image: &Image) -> Result<Bytes, BackendError>;

    /// Everything of ours in `scope`, in one call of ours.
    ///
    /// # Behavior
    /// Containers that run and that do not, volumes and networks. What was made before the call began and
    /// is not being removed is in the answer; foreign objects never are.
    ///
    /// # Errors
    /// [`BackendError::Unreachable`], [`BackendError::UnknownHost`].
    ///
    /// # Idempotency
    /// Reads only.
    async fn list(&self, host: &HostId, scope: Scope) -> Result<Inventory, BackendError>;

    /// One container of ours. Absent, or foreign, is `None`.
    ///
    /// # Errors
    /// [`BackendError::Unreachable`], [`BackendError::UnknownHost`].
    ///
    /// # Idempotency
    /// Reads only.
    async fn inspect(
        &self,
        host: &HostId,
        container: &EngineId,
    ) -> Result<Option<ContainerDetail>, BackendError>;

    /// Makes sure that the image is on the host.
    ///
    /// # Behavior
    /// With a digest, the content must be that one. Without, the reference is resolved and the answer
    /// carries the digest to pin. A pull takes longer than a call may: it goes on when the call has ended.
    ///
    /// # Errors
    /// [`BackendError::Pulling`] while it is on its way; [`BackendError::ImageMissing`] when it is neither
    /// there nor to be had.
    ///
    /// # Idempotency
    /// Present already is success.
    async fn prepare(&self, host: &HostId, image: &Image) -> Result<PreparedImage, BackendError>;

    /// Makes an object, and starts nothing.
    ///
    /// # Behavior
    /// The name and the labels are derived from the spec. One of this name with the same spec hash is
    /// adopted. A container or a network of ours with another is [`BackendError::Busy`]: what a worker asked for
    /// that is gone lands late, and whoever looks again finds it in the list and removes it. What is foreign is
    /// a conflict, which only people resolve. Neither is touched. A container is never made on a volume that
    /// does not exist: no engine call makes one on the way. Nor is one made beside a foreign container that mounts
    /// its data volume.
    ///
    /// # Errors
    /// [`BackendError::Busy`], [`BackendError::Conflict`], [`BackendError::VolumeHeld`],
    /// [`BackendError::ImageMissing`], [`BackendError::NoSpace`], [`BackendError::SubnetTaken`],
    /// [`BackendError::StorageMismatch`] for a volume that exists with other options,
    /// [`BackendError::Refused`] for a spec the engine will never take.
    ///
    /// # Idempotency
    /// Again gives what exists.
    async fn create(&self, host: &HostId, spec: &ObjectSpec) -> Result<Made, BackendError>;

    /// Removes an object. A container's volumes stay.
    ///
    /// # Errors
    /// [`BackendError::Foreign`] when it is not ours; [`BackendError::Busy`] when something still uses it.
    ///
    /// # Idempotency
    /// Absent already is success.
    async fn remove(&self, host: &HostId, object: &ObjectRef) -> Result<(), BackendError>;

    /// Starts a container.
    ///
    /// # Errors
    /// [`BackendError::GhostSuspected`] when a process of it may live that the engine does not know;
    /// [`BackendError::NeverStarts`] when this container is broken, no process lives, and only a new one
    /// can start; [`BackendError::NotFound`]; after any other error it may have started.
    ///
    /// # Idempotency
    /// Running already is success.
    async fn start(&self, host: &HostId, container: &EngineId) -> Result<(), BackendError>;

    /// Sends a signal, and does not wait for what it leads to.
    ///
    /// # Errors
    /// [`BackendError::Foreign`], [`BackendError::Unreachable`].
    ///
    /// # Idempotency
    /// Not running, or absent, is success.
    async fn signal(
        &self,
        host: &HostId,
        container: &EngineId,
        signal: Signal,
    ) -> Result<(), BackendError>;

    /// Changes the limits in place: CPU, memory with swap, and pids in one call.
    ///
    /// # Errors
    /// [`BackendError::Refused`] when the container uses more than the new memory: nothing has changed.
    ///
    /// # Idempotency
    /// The same limits again are success.
    async fn update(
        &self,
        host: &HostId,
        container: &EngineId,
        limits: &Limits,
    ) -> Result<(), BackendError>;

    /// Whether `path` exists in the container, started or not.
    ///
    /// # Errors
    /// [`BackendError::NotFound`] when there is no such container.
    ///
    /// # Idempotency
    /// Reads only.
    async fn path_exists(
        &self,
        host: &HostId,
        container: &EngineId,
        path: &str,
    ) -> Result<bool, BackendError>;

    /// Puts files below `directory`, which lies in a volume of the container, started or not.
    ///
    /// # Behavior
    /// Each file replaces the one of its path; owner and mode are as given, intermediate directories are
    /// root's with mode 0755.
    ///
    /// # Errors
    /// [`BackendError::NotFound`]; [`BackendError::NoSpace`] with some files possibly written.
    ///
    /// # Idempotency
    /// The same files again are success.
    async fn put_files(
        &self,
        host: &HostId,
        container: &EngineId,
        directory: &str,
        files: Vec<VolumeFile>,
    ) -> Result<(), BackendError>;

    /// The end of what the container has printed, at most `limit` bytes of it.
    ///
    /// # Errors
    /// [`BackendError::NotFound`].
    ///
    /// # Idempotency
    /// Reads only.
    async fn logs(
        &self,
        host: &HostId,
        container: &EngineId,
        limit: Bytes,
    ) -> Result<String, BackendError>;
}

/// Why an engine call did not do what it should. `Display` is for an operator and holds no source text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// No such host in this backend.
    #[error("host {host} is not configured")]
    UnknownHost {
        /// The host.
        host: HostId,
    },
    /// The call did not come to an answer: it may have happened.
    #[error("the engine of host {host} did not answer: {what}")]
    Unreachable {
        /// The host.
        host: HostId,
        /// What was tried.
        what: &'static str,
        /// The cause.
        #[source]
        source: Option<Source>,
    },
    /// The object that the call acts on is not there.
    #[error("there is no such {what}")]
    NotFound {
        /// The kind of object.
        what: &'static str,
    },
    /// The name is taken by what nobody but people can judge.
    #[error(
        "{name} exists with another spec or is not ours, and was not touched; look at it on the host, remove it if nobody needs it, then release the hold"
    )]
    Conflict {
        /// The name.
        name: String,
    },
    /// A container that is not this deployment's mounts the volume: a second one would write beside it.
    #[error(
        "container {container} mounts the volume {volume} and was not touched; one writer at a time: remove that container, then release the hold"
    )]
    VolumeHeld {
        /// The volume.
        volume: String,
        /// The container's name.
        container: String,
    },
    /// The object is not this deployment's: it was not touched.
    #[error("{name} is not of this deployment and was not touched")]
    Foreign {
        /// Its name or id.
        name: String,
    },
    /// Something still uses the object, or another one of ours has its name: it is otherwise when one looks again.
    #[error("{name} is still in use")]
    Busy {
        /// Its name or id.
        name: String,
    },
    /// The image is on its way to the host: asking again later gives it.
    #[error("image {reference} is being pulled to host {host}")]
    Pulling {
        /// The host.
        host: HostId,
        /// The image.
        reference: String,
    },
    /// The image is not on the host and cannot be had.
    #[error("image {reference} is not on host {host} and cannot be pulled")]
    ImageMissing {
        /// The host.
        host: HostId,
        /// The image.
        reference: String,
        /// The cause.
        #[source]
        source: Option<Source>,
    },
    /// A network of the host, ours or not, holds the subnet or a part of it.
    #[error("host {host}: another network holds {subnet}")]
    SubnetTaken {
        /// The host.
        host: HostId,
        /// The subnet that was asked for.
        subnet: ipnet::Ipv4Net,
    },
    /// The host's disk or another resource is used up.
    #[error("host {host} has no space left for {what}")]
    NoSpace {
        /// The host.
        host: HostId,
        /// For what.
        what: &'static str,
    },
    /// The engine will never take this request.
    #[error("the engine refused {what} (status {status})")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// The engine's status code.
        status: u16,
        /// The cause.
        #[source]
        source: Option<Source>,
    },
    /// A volume exists with other options than it was asked for.
    #[error(
        "volume {name} exists with other options, and is not used; look at what it holds, then remove it on the host: one as it should be is made by itself"
    )]
    StorageMismatch {
        /// Its name.
        name: String,
    },
    /// A process of the container may live that the engine does not know.
    #[error("a process of container {container} on host {host} may run unseen")]
    GhostSuspected {
        /// The host.
        host: HostId,
        /// The container.
        container: EngineId,
        /// The cause.
        #[source]
        source: Option<Source>,
    },
    /// This container cannot start, and nothing of it runs: make it anew.
    #[error("container {container} on host {host} is broken")]
    NeverStarts {
        /// The host.
        host: HostId,
        /// The container.
        container: EngineId,
        /// The cause.
        #[source]
        source: Option<Source>,
    },
    /// The engine answered an error of its own: the call may have happened.
    #[error("the engine of host {host} failed at {what} (status {status})")]
    Engine {
        /// The host.
        host: HostId,
        /// What was asked.
        what: &'static str,
        /// The engine's status code.
        status: u16,
        /// The cause.
        #[source]
        source: Option<Source>,
    },
}

impl BackendError {
    /// Whether the same call can succeed later.
    #[must_use]
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Unreachable { .. }
            | Self::Busy { .. }
            | Self::Pulling { .. }
            | Self::NoSpace { .. }
            | Self::SubnetTaken { .. }
            | Self::ImageMissing { .. }
            | Self::Engine { .. } => Retry::Backoff,
            Self::UnknownHost { .. }
            | Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::VolumeHeld { .. }
            | Self::Foreign { .. }
            | Self::Refused { .. }
            | Self::StorageMismatch { .. }
            | Self::GhostSuspected { .. }
            | Self::NeverStarts { .. } => Retry::Never,
        }
    }

    /// Whether the call may have happened although it failed.
    #[must_use]
    pub const fn may_have_happened(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Engine { .. } | Self::GhostSuspected { .. } => true,
            Self::UnknownHost { .. }
            | Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::VolumeHeld { .. }
            | Self::Foreign { .. }
            | Self::Busy { .. }
            | Self::Pulling { .. }
            | Self::ImageMissing { .. }
            | Self::NoSpace { .. }
            | Self::SubnetTaken { .. }
            | Self::Refused { .. }
            | Self::StorageMismatch { .. }
            | Self::NeverStarts { .. } => false,
        }
    }
}
