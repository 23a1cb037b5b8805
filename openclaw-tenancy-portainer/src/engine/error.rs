//! What an engine's answers mean. The only place that reads a status code or a message of an engine.
//!
//! Codes and texts were measured on Engine 20.10.24. A text may make us do less (take a 500 for a ghost),
//! and only one measured text makes us do more: `failed to start shim: mkdir`, after which nothing runs.

use ipnet::Ipv4Net;
use openclaw_tenancy::backend::BackendError;
use openclaw_tenancy::container::EngineId;
use openclaw_tenancy::error::Source;
use openclaw_tenancy::id::HostId;

use super::body::MUST_EXIST;

/// So much of an engine's message is kept.
const MESSAGE: usize = 600;

/// A call without success, before it is known what was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// The engine answered, with an error of its own.
    Answered(EngineSaid),
    /// An error inside a stream that had begun well.
    Midway(EngineSaid),
    /// No answer, or one that cannot be understood: the call may have happened.
    Lost(Source),
}

/// An engine's own words: a source of an error, for the log and never for a tenant.
#[derive(Debug, thiserror::Error)]
#[error("engine status {status}: {message}")]
pub(super) struct EngineSaid {
    status: u16,
    message: String,
}

impl EngineSaid {
    fn new(status: u16, message: &str) -> Self {
        Self {
            status,
            message: message.chars().take(MESSAGE).collect(),
        }
    }

    fn says(&self, text: &str) -> bool {
        self.message.contains(text)
    }
}

/// A call that took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", .0.as_secs_f32())]
pub(super) struct Overdue(pub(super) std::time::Duration);

/// An answer that has not the form the API promises.
#[derive(Debug, thiserror::Error)]
#[error("the answer lacks {0}")]
pub(super) struct Malformed(pub(super) &'static str);

impl From<bollard::errors::Error> for Failure {
    fn from(error: bollard::errors::Error) -> Self {
        use bollard::errors::Error;
        match error {
            Error::DockerResponseServerError {
                status_code,
                message,
            } => Self::Answered(EngineSaid::new(status_code, &message)),
            Error::DockerStreamError { error } => Self::Midway(EngineSaid::new(200, &error)),
            other => Self::Lost(Box::new(other)),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Answered(said) | Self::Midway(said) => said.fmt(f),
            Self::Lost(source) => f.write_str(&openclaw_tenancy::error::chain(source.as_ref())),
        }
    }
}

impl Failure {
    /// An answer that was read without the client library.
    pub(super) fn answered(status: u16, body: &[u8]) -> Self {
        #[derive(serde::Deserialize)]
        struct Said {
            message: String,
        }
        let message = serde_json::from_slice(body).map_or_else(
            |_| String::from_utf8_lossy(body).into_owned(),
            |said: Said| said.message,
        );
        Self::Answered(EngineSaid::new(status, &message))
    }

    /// There is no such object.
    pub(super) const fn is_absent(&self) -> bool {
        matches!(self, Self::Answered(EngineSaid { status: 404, .. }))
    }

    /// The name is taken.
    pub(super) const fn is_name_taken(&self) -> bool {
        matches!(self, Self::Answered(EngineSaid { status: 409, .. }))
    }

    /// Another network, ours or not, holds the subnet; or the engine's own pools are used up.
    pub(super) fn is_subnet_taken(&self) -> bool {
        matches!(self, Self::Answered(said)
            if said.says("Pool overlaps")
                || said.says("non-overlapping IPv4 address pool")
                // Of its bridges: one that was killed may keep one of a network that it does not list.
                || said.says("networks have overlapping IPv4"))
    }

    /// The engine does not speak the version that was agreed: it was exchanged. It did nothing.
    pub(super) fn is_version_refused(&self) -> bool {
        matches!(self, Self::Answered(said) if said.status == 400 && said.message.starts_with("client version"))
    }

    /// What it means where nothing particular was asked.
    pub(super) fn general(self, host: &HostId, what: &'static str) -> BackendError {
        let said = match self {
            Self::Lost(source) => return unreachable(host, what, Some(source)),
            Self::Answered(said) | Self::Midway(said) => said,
        };
        if said.says("no space left on device") {
            return BackendError::NoSpace {
                host: host.clone(),
                what,
            };
        }
        let status = said.status;
        match status {
            400..=499 => BackendError::Refused {
                what,
                status,
                source: Some(Box::new(said)),
            },
            _ => BackendError::Engine {
                host: host.clone(),
                what,
                status,
                source: Some(Box::new(said)),
            },
        }
    }

    /// Of making a network.
    pub(super) fn making_network(self, host: &HostId, subnet: Ipv4Net) -> BackendError {
        if self.is_subnet_taken() {
            return BackendError::SubnetTaken {
                host: host.clone(),
                subnet,
            };
        }
        self.general(host, "making a network")
    }

    /// Of making a container from the image `reference`.
    pub(super) fn making_container(self, host: &HostId, reference: &str) -> BackendError {
        match self {
            Self::Answered(said) if said.status == 404 && said.says("No such image") => {
                BackendError::ImageMissing {
                    host: host.clone(),
                    reference: reference.to_owned(),
                    source: Some(Box::new(said)),
                }
            }
            // One of its volumes went after the look that this call follows from.
            Self::Answered(said) if said.status == 400 && said.says(MUST_EXIST) => {
                BackendError::NotFound { what: "volume" }
            }
            Self::Answered(_) | Self::Midway(_) | Self::Lost(_) => {
                self.general(host, "making a container")
            }
        }
    }

    /// Of getting an image. Several callers may wait for one pull, so the failure is only borrowed.
    pub(super) fn getting_image(&self, host: &HostId, reference: &str) -> BackendError {
        match self {
            Self::Answered(said) | Self::Midway(said) if said.says("no space left on device") => {
                BackendError::NoSpace {
                    host: host.clone(),
                    what: "an image",
                }
            }
            Self::Answered(_) | Self::Midway(_) | Self::Lost(_) => BackendError::ImageMissing {
                host: host.clone(),
                reference: reference.to_owned(),
                source: Some(self.to_string().into()),
            },
        }
    }

    /// Of starting a container: clean or not is no question here, it failed.
    ///
    /// What is not surely harmless is a suspected ghost: the engine may have made the process and lost it.
    pub(super) fn starting(self, host: &HostId, container: &EngineId) -> BackendError {
        const WHAT: &str = "starting a container";
        let said = match self {
            Self::Answered(said) | Self::Midway(said) => said,
            Self::Lost(source) => return unreachable(host, WHAT, Some(source)),
        };
        match (said.status, start_text(&said)) {
            (404, StartText::NoNetwork) => BackendError::NotFound { what: "network" },
            (404, _) => BackendError::NotFound { what: "container" },
            (403, StartText::AddressTaken) => BackendError::Busy {
                name: "the instance's address".into(),
            },
            // It is being removed.
            (409, _) => BackendError::Busy {
                name: container.to_string(),
            },
            (500, StartText::HalfMade) => BackendError::NeverStarts {
                host: host.clone(),
                container: container.clone(),
                source: Some(Box::new(said)),
            },
            // Before there is a task at all: nothing new runs, and nothing is proved about an earlier start.
            (500, StartText::BeforeTask) => Self::Answered(said).general(host, WHAT),
            (500, _) => BackendError::GhostSuspected {
                host: host.clone(),
                container: container.clone(),
                source: Some(Box::new(said)),
            },
            (_, _) => Self::Answered(said).general(host, WHAT),
        }
    }

    /// Of removing: `None` when the object is gone.
    pub(super) fn removing(
        self,
        host: &HostId,
        what: &'static str,
        name: &str,
    ) -> Option<BackendError> {
        let said = match self {
            Self::Answered(said) => said,
            Self::Midway(_) | Self::Lost(_) => return Some(self.general(host, what)),
        };
        match said.status {
            404 => None,
            // In use, being removed by another call, or a network with live endpoints.
            403 | 409 => Some(BackendError::Busy {
                name: name.to_owned(),
            }),
            // With live-restore, a volume stays mounted on the host until the engine restarts.
            500 if said.says("active mounts") || said.says("resource busy") => {
                Some(BackendError::Busy {
                    name: name.to_owned(),
                })
            }
            _ => Some(Self::Answered(said).general(host, what)),
        }
    }

    /// Of signalling: `None` when there is nothing to signal any more.
    pub(super) fn signalling(self, host: &HostId) -> Option<BackendError> {
        match &self {
            Self::Answered(said) if said.status == 404 => None,
            Self::Answered(said) if said.status == 409 && said.says("is not running") => None,
            Self::Answered(_) | Self::Midway(_) | Self::Lost(_) => {
                Some(self.general(host, "signalling a container"))
            }
        }
    }

    /// Of changing limits. A kernel that cannot shrink below what is in use changes nothing.
    pub(super) fn updating(self, host: &HostId) -> BackendError {
        const WHAT: &str = "changing a container's limits";
        match self {
            Self::Answered(said) if said.status == 404 => {
                BackendError::NotFound { what: "container" }
            }
            Self::Answered(said)
                if said.says("unable to set memory limit") || said.says("resource busy") =>
            {
                let status = said.status;
                BackendError::Refused {
                    what: WHAT,
                    status,
                    source: Some(Box::new(said)),
                }
            }
            Self::Answered(_) | Self::Midway(_) | Self::Lost(_) => self.general(host, WHAT),
        }
    }

    /// Of reading or writing in a container.
    pub(super) fn in_container(self, host: &HostId, what: &'static str) -> BackendError {
        if self.is_absent() {
            return BackendError::NotFound {
                what: "container or directory",
            };
        }
        self.general(host, what)
    }
}

/// An engine that did not answer.
pub(super) fn unreachable(
    host: &HostId,
    what: &'static str,
    source: Option<Source>,
) -> BackendError {
    BackendError::Unreachable {
        host: host.clone(),
        what,
        source,
    }
}

/// What the text of a refused start says.
enum StartText {
    NoNetwork,
    AddressTaken,
    HalfMade,
    BeforeTask,
    Other,
}

fn start_text(said: &EngineSaid) -> StartText {
    if said.says("network ") && said.message.ends_with(" not found") {
        StartText::NoNetwork
    } else if said.says("Address already in use") {
        StartText::AddressTaken
    } else if said.says("failed to start shim: mkdir") {
        StartText::HalfMade
    } else if said.says("failed to create endpoint") || said.says("error while mounting volume") {
        StartText::BeforeTask
    } else {
        StartText::Other
    }
}
