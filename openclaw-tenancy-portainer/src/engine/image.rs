//! Images: present, or pulled by one pull per reference that outlives whoever asked for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::StreamExt as _;
use openclaw_tenancy::backend::{BackendError, PreparedImage};
use openclaw_tenancy::container::Image;
use openclaw_tenancy::quantity::Bytes;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Engine;
use super::error::{Failure, Overdue};

/// A pull that shows no progress for this long is given up.
const STALLED: Duration = Duration::from_secs(120);

impl Engine {
    /// See `ContainerBackend::prepare`.
    ///
    /// A pull takes longer than a call may: it goes on in the background, and until it is done the answer is
    /// [`BackendError::Pulling`].
    pub(crate) async fn prepare(&self, image: &Image) -> Result<PreparedImage, BackendError> {
        self.within("preparing an image", async {
            if let Some(present) = self.present(image).await? {
                return Ok(present);
            }
            self.pull(&image.reference).await?;
            match self.present(image).await? {
                Some(present) => Ok(present),
                None => Err(BackendError::ImageMissing {
                    host: self.host.clone(),
                    reference: image.reference.clone(),
                    source: Some(
                        "the reference stands for other content now than was pinned".into(),
                    ),
                }),
            }
        })
        .await
    }

    /// The image if it is there: by its content where that is pinned, else by its reference.
    async fn present(&self, image: &Image) -> Result<Option<PreparedImage>, BackendError> {
        const WHAT: &str = "inspecting an image";
        let wanted = image.digest.as_deref().unwrap_or(&image.reference);
        if !is_reference(wanted) {
            return Err(BackendError::Refused {
                what: WHAT,
                status: 0,
                source: Some(format!("`{wanted}` is no image reference").into()),
            });
        }
        let found = match self.call(self.docker.inspect_image(wanted)).await {
            Ok(found) => found,
            Err(failure) if failure.is_absent() => return Ok(None),
            Err(failure) => return Err(failure.general(&self.host, WHAT)),
        };
        let Some(id) = found.id.filter(|id| id.starts_with("sha256:")) else {
            return Err(self.malformed(WHAT, "an image id"));
        };
        Ok(Some(PreparedImage {
            image: Image {
                reference: image.reference.clone(),
                digest: Some(id),
            },
            size: Bytes(
                found
                    .size
                    .and_then(|size| u64::try_from(size).ok())
                    .unwrap_or(0),
            ),
        }))
    }

    /// Joins the pull of `reference`, or begins it, and waits most of what a call may take.
    async fn pull(&self, reference: &str) -> Result<(), BackendError> {
        let mut outcome = self.pulls.join(&self.docker, reference);
        // The rest of the deadline is for looking what came of it.
        let patience = self.limit.mul_f32(0.8);
        let ended = tokio::time::timeout(patience, outcome.wait_for(Option::is_some)).await;
        let result = match ended {
            Ok(Ok(outcome)) => outcome.clone(),
            // The task was aborted: the backend is going away.
            Ok(Err(_)) | Err(_) => None,
        };
        match result {
            Some(Ok(())) => Ok(()),
            Some(Err(failure)) => Err(failure.getting_image(&self.host, reference)),
            None => Err(BackendError::Pulling {
                host: self.host.clone(),
                reference: reference.to_owned(),
            }),
        }
    }
}

/// What came of a pull; `None` while it runs.
type Outcome = Option<Result<(), Arc<Failure>>>;

/// The pulls under way, by reference. Dropping it ends them.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    running: Arc<Mutex<HashMap<String, watch::Receiver<Outcome>>>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Pulls {
    fn join(&self, docker: &Docker, reference: &str) -> watch::Receiver<Outcome> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = running.get(reference) {
            return outcome.clone();
        }
        let (tell, outcome) = watch::channel(None);
        running.insert(reference.to_owned(), outcome.clone());
        let (docker, reference, register) = (
            docker.clone(),
            reference.to_owned(),
            Arc::clone(&self.running),
        );
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let result = pull(&docker, &reference).await;
            // Whoever comes from now on begins a new one.
            register
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&reference);
            tell.send_replace(Some(result.map_err(Arc::new)));
        });
        outcome
    }
}

async fn pull(docker: &Docker, reference: &str) -> Result<(), Failure> {
    let (name, tag) = split(reference);
    // Without a tag an engine would pull every tag there is.
    let options = CreateImageOptionsBuilder::default()
        .from_image(name)
        .tag(tag)
        .build();
    let mut progress = docker.create_image(Some(options), None, None);
    loop {
        match tokio::time::timeout(STALLED, progress.next()).await {
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => return Err(error.into()),
            Ok(None) => return Ok(()),
            Err(_) => return Err(Failure::Lost(Box::new(Overdue(STALLED)))),
        }
    }
}

/// Name and tag, or name and digest, as the engine wants them apart.
fn split(reference: &str) -> (&str, &str) {
    if let Some((name, digest)) = reference.split_once('@') {
        return (name, digest);
    }
    match reference.rsplit_once(':') {
        // A colon before the last slash is a registry's port.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        Some(_) | None => (reference, "latest"),
    }
}

/// What may stand in a path: neither a query nor a way out of it.
fn is_reference(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b);
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(plain)
        && !text.contains("..")
        && !text.contains("//")
        && text.len() <= 512
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_split_as_engines_want_them() {
        for (reference, parts) in [
            (
                "openclaw/openclaw:2026.9.6",
                ("openclaw/openclaw", "2026.9.6"),
            ),
            ("openclaw/openclaw", ("openclaw/openclaw", "latest")),
            ("127.0.0.1:5000/a/b", ("127.0.0.1:5000/a/b", "latest")),
            ("127.0.0.1:5000/a/b:c", ("127.0.0.1:5000/a/b", "c")),
            ("a/b@sha256:0f", ("a/b", "sha256:0f")),
        ] {
            assert_eq!(split(reference), parts);
            assert!(is_reference(reference), "{reference}");
        }
        for bad in [
            "", "../x", "a b", "a?b", "a#b", "/a", "a/../b", "-a", "a//b", "a%2fb",
        ] {
            assert!(!is_reference(bad), "{bad}");
        }
    }
}
