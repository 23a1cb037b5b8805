//! How much swap a container on the host sees. Whether a kernel *can* limit swap an engine says; whether
//! there *is* any, only a process inside a container can tell.

use std::time::Duration;

use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
};
use openclaw_tenancy::backend::BackendError;
use openclaw_tenancy::container::{EngineId, Image, ObjectRef, RunState};
use openclaw_tenancy::id::Generation;
use openclaw_tenancy::labels::{ObjectLabels, Role};
use openclaw_tenancy::quantity::Bytes;

use super::observe::Found;
use super::{Engine, body, labels};

/// How often the probe is asked whether it has ended.
const LOOK: Duration = Duration::from_millis(50);

impl Engine {
    /// See `ContainerBackend::measure_swap`.
    pub(crate) async fn measure_swap(&self, image: &Image) -> Result<Bytes, BackendError> {
        let name = format!("oct-{}-swap-probe", self.keys.deployment());
        self.within("measuring swap", async {
            // What an interrupted measurement left.
            if let Found::Ours(left) = self.find(&name).await? {
                self.remove(&ObjectRef::Container(left.detail.seen.id))
                    .await?;
            }
            let id = self.make_probe(&name, image).await?;
            let outcome = self.run_probe(&id).await;
            let options = RemoveContainerOptionsBuilder::default()
                .force(true)
                .v(true)
                .build();
            let removed = self
                .call(self.docker.remove_container(&id.0, Some(options)))
                .await;
            let swap = outcome?;
            match removed {
                Err(failure) if !failure.is_absent() => {
                    Err(failure.general(&self.host, "removing a container"))
                }
                Ok(()) | Err(_) => Ok(swap),
            }
        })
        .await
    }

    async fn make_probe(&self, name: &str, image: &Image) -> Result<EngineId, BackendError> {
        let spec = ObjectLabels {
            role: Role::Probe,
            tenant: None,
            generation: Generation::default(),
            spec: "swap-v1".to_owned(),
        };
        let request = body::swap_probe(image, labels::sign(&self.keys, name, &spec));
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        match self
            .call(self.docker.create_container(Some(options), request))
            .await
        {
            Ok(made) => Ok(self.made(made.id, false)?.id),
            // Somebody else measures at this moment, or the name is not ours.
            Err(failure) if failure.is_name_taken() => Err(BackendError::Busy {
                name: name.to_owned(),
            }),
            Err(failure) => Err(failure.making_container(&self.host, &image.reference)),
        }
    }

    async fn run_probe(&self, id: &EngineId) -> Result<Bytes, BackendError> {
        const WHAT: &str = "measuring swap";
        self.call(
            self.docker
                .start_container(&id.0, None::<StartContainerOptions>),
        )
        .await
        .map_err(|failure| failure.starting(&self.host, id))?;
        // Bounded by the deadline around it all.
        while let Found::Ours(probe) = self.find(&id.0).await? {
            match probe.detail.state {
                RunState::Exited { code: 0, .. } => {
                    let text = self.logs(id, Bytes(1 << 16)).await?;
                    return swap_total(&text).ok_or_else(|| self.malformed(WHAT, "SwapTotal"));
                }
                RunState::Exited { .. } => {
                    return Err(self.malformed(WHAT, "a probe that ends well"));
                }
                RunState::Created
                | RunState::Running { .. }
                | RunState::Paused
                | RunState::Other(_) => {
                    self.clock.sleep(LOOK).await;
                }
            }
        }
        Err(BackendError::NotFound { what: "container" })
    }
}

/// The line `SwapTotal:  2097148 kB` of proc(5)'s meminfo; its kB are 1024 bytes.
fn swap_total(text: &str) -> Option<Bytes> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("SwapTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Bytes(kib.checked_mul(1024)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_read() {
        let text = "MemTotal:       24683652 kB\nSwapTotal:       2097148 kB\nSwapFree:  7 kB\n";
        assert_eq!(swap_total(text), Some(Bytes(2_147_479_552)));
        for text in ["", "SwapTotal:", "SwapTotal: x kB", "SwapTotal: 5 MB"] {
            assert_eq!(swap_total(text), None, "{text}");
        }
    }
}
