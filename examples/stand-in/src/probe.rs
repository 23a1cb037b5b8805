//! `/healthz`, `/startupz`, `/readyz` and their short names.

use http::{HeaderValue, Method, StatusCode, header::ALLOW};
use serde_json::json;

use crate::app::{App, Phase, VERSION};
use crate::reply::{self, Reply};

/// Which probe a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    Live,
    Ready,
    Startup,
    /// Below one of them: reserved, never the page.
    Namespace,
}

/// Tells a probe by its path; health stays at the root whatever the base path is.
pub(crate) fn classify(path: &str) -> Option<Probe> {
    const ROOTS: [(&str, Probe); 6] = [
        ("/healthz", Probe::Live),
        ("/health", Probe::Live),
        ("/readyz", Probe::Ready),
        ("/ready", Probe::Ready),
        ("/startupz", Probe::Startup),
        ("/startup", Probe::Startup),
    ];
    ROOTS.iter().find_map(|(root, probe)| {
        let rest = path.strip_prefix(root)?;
        match rest.as_bytes().first() {
            None => Some(*probe),
            Some(b'/') => Some(Probe::Namespace),
            Some(_) => None,
        }
    })
}

/// Answers a probe; `identified` callers are told the version and the uptime.
pub(crate) fn answer(app: &App, probe: Probe, method: &Method, identified: bool) -> Reply {
    if probe == Probe::Namespace {
        return reply::not_found();
    }
    if method != Method::GET && method != Method::HEAD {
        let mut reply = reply::text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        reply
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return reply;
    }
    if probe == Probe::Live {
        return reply::probe(StatusCode::OK, &json!({ "ok": true, "status": "live" }));
    }
    let (ok, status) = match app.phase() {
        Phase::Starting => (false, "starting"),
        Phase::Started => (true, "started"),
        Phase::Draining | Phase::Closing => (false, "draining"),
    };
    let code = if ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut body = match probe {
        Probe::Ready => json!({ "ready": ok }),
        Probe::Startup | Probe::Live | Probe::Namespace => json!({ "ok": ok, "status": status }),
    };
    if identified {
        body["uptimeMs"] = app.uptime.elapsed_ms().into();
        match probe {
            Probe::Ready => body["failing"] = if ok { json!([]) } else { json!([status]) },
            Probe::Startup | Probe::Live | Probe::Namespace => {
                body["version"] = VERSION.into();
                if status == "starting" {
                    body["pendingReason"] = "startup-sidecars".into();
                }
            }
        }
    }
    reply::probe(code, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_path_is_a_probe() {
        assert_eq!(classify("/healthz"), Some(Probe::Live));
        assert_eq!(classify("/health"), Some(Probe::Live));
        assert_eq!(classify("/ready"), Some(Probe::Ready));
        assert_eq!(classify("/startupz"), Some(Probe::Startup));
        assert_eq!(classify("/healthz/"), Some(Probe::Namespace));
        assert_eq!(classify("/health/x"), Some(Probe::Namespace));
        assert_eq!(classify("/healthzz"), None);
        assert_eq!(classify("/t/t1/healthz"), None);
    }
}
