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
            Ok(text(end.make_contiguous(), keep))
        })
        .await
    }
}

/// At most `limit` bytes of text from the end of `bytes`. What is no UTF-8 becomes longer when it is replaced.
fn text(bytes: &[u8], limit: usize) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    let excess = text.len().saturating_sub(limit);
    let start = (excess..=text.len()).find(|at| text.is_char_boundary(*at));
    text.drain(..start.unwrap_or(text.len()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_for_any_bytes() {
        assert_eq!(text(b"abc", 3), "abc");
        assert_eq!(text("ää".as_bytes(), 3), "ä");
        for bytes in [
            b"\xff\xff\xff\xff".as_slice(),
            "日本".as_bytes(),
            b"\x80a\x80",
        ] {
            for limit in 0..14 {
                assert!(text(bytes, limit).len() <= limit, "{bytes:?} {limit}");
            }
        }
    }
}
