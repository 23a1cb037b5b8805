//! Log lines on standard error: text or JSON, one a line, without secrets and without control characters.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt};

use super::config::{LogFormat, LogLevel, LogSection};
use super::escape::SafeLines;
use crate::api::audit;

/// Begins to log.
///
/// # Errors
/// When this process logs already.
pub(crate) fn init(section: &LogSection) -> Result<(), TryInitError> {
    tracing_subscriber::registry()
        .with(layer(section, std::io::stderr))
        .with(filter(section.level))
        .try_init()
}

/// Begins to log what a command does, whatever the level: its line of the audit log and warnings. What else a server
/// would say is not for whoever typed it.
///
/// # Errors
/// When this process logs already.
pub(crate) fn init_command(section: &LogSection) -> Result<(), TryInitError> {
    let filter = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target(audit::TARGET, LevelFilter::INFO);
    tracing_subscriber::registry()
        .with(layer(section, std::io::stderr))
        .with(filter)
        .try_init()
}

/// The layer that writes lines to what `writer` makes.
fn layer<W>(section: &LogSection, writer: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let writer = SafeLines::new(writer, section.format);
    let base = fmt::layer().with_ansi(false).with_writer(writer);
    match section.format {
        LogFormat::Text => base.boxed(),
        LogFormat::Json => base.json().flatten_event(true).boxed(),
    }
}

/// Libraries print headers and bodies below warnings, and those hold credentials: the level is for our own
/// code. Every crate of ours begins with the same name.
fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("openclaw_tenancy", level)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: LogLevel, log: impl FnOnce()) -> String {
        let (sink, section) = (Sink::default(), LogSection { level, format });
        let writer = sink.clone();
        let subscriber = tracing_subscriber::registry()
            .with(layer(&section, move || writer.clone()))
            .with(filter(level));
        tracing::subscriber::with_default(subscriber, log);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a27_log_injection_by_any_field_stays_in_its_line() {
        let hostile = "a\n{\"level\":\"ERROR\"}\u{1b}[31m\u{2028}";
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = logged(format, LogLevel::Info, || {
                tracing::info!(user = hostile, path = ?hostile, other = %hostile, "{hostile}");
            });
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            assert!(!text.contains(['\u{1b}', '\u{2028}']), "{text}");
            if format == LogFormat::Json {
                let line: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(line["user"], hostile);
                assert_eq!(line["level"], "INFO");
            }
        }
    }

    #[test]
    fn a28_secret_leak_libraries_stay_quiet_below_warnings() {
        let text = logged(LogFormat::Text, LogLevel::Trace, || {
            tracing::trace!(target: "hyper::proto", "authorization: Bearer canary");
            tracing::debug!(target: "sqlx::query", "canary");
            tracing::debug!(target: "openclaw_tenancy_postgres::pool", "ours");
            tracing::warn!(target: "rustls", "theirs");
        });
        assert!(text.contains("ours") && text.contains("theirs"), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
}
