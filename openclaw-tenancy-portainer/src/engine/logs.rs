//! The end of what a container has printed.

use std::collections::VecDeque;

use bollard::query_parameters::LogsOptionsBuilder;
use futures::StreamExt as _;
use openclaw_tenancy::backend::BackendError;
use openclaw_tenancy::container::EngineId;
use openclaw_tenancy::quantity::Bytes;

use super::Engine;

/// So many lines are asked for at most; a shorter line than this on average is rare.
const LINE: u64 = 16;
const MOST_LINES: u64 = 20_000;

impl Engine {
    /// See `ContainerBackend::logs`.
    pub(crate) async fn logs(&self, id: &EngineId, limit: Bytes) -> Result<String, BackendError> {
        const WHAT: &str = "reading a log";
        self.within(WHAT, async {
            self.own(id, WHAT).await?;
            let lines = (limit.0 / LINE + 1).min(MOST_LINES);
            let options = LogsOptionsBuilder::default()
                .stdout(true)
                .stderr(true)
                .tail(&lines.to_string())
                .build();
            let keep = usize::try_from(limit.0).unwrap_or(usize::MAX);
            let mut end = VecDeque::new();
            let mut output = std::pin::pin!(self.docker.logs(&id.0, Some(options)));
            while let Some(piece) = output.next().await {
                let piece =
                    piece.map_err(|e| self.note(e.into()).in_container(&self.host, WHAT))?;
                end.extend(piece.into_bytes());
                end.drain(..end.len().saturating_sub(keep));
            }
            Ok(String::from_utf8_lossy(end.make_contiguous()).into_owned())
        })
        .await
    }
}
