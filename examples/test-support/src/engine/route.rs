//! From a path to the model.

use bytes::Bytes;
use serde_json::Value;

use super::Shared;
use super::answer::Answer;
use super::script::Call;

/// Splits `/v1.41/info` into its version and `/info`.
pub(super) fn split_version(path: &str) -> (Option<&str>, &str) {
    let versioned = path.strip_prefix("/v").and_then(|rest| {
        let (version, _) = rest.split_once('/')?;
        version
            .starts_with(|c: char| c.is_ascii_digit())
            .then_some(version)
    });
    match versioned {
        Some(version) => (Some(version), path.get(2 + version.len()..).unwrap_or("/")),
        None => (None, path),
    }
}

/// The decoded pairs of a query.
pub(super) fn query(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| {
                text.get(at + 1..at + 3)
                    .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            })
            .flatten();
        match (escaped, bytes[at]) {
            (Some(byte), _) => {
                out.push(byte);
                at += 3;
            }
            (None, b'+') => {
                out.push(b' ');
                at += 1;
            }
            (None, byte) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl Call {
    fn asks(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    fn flag(&self, name: &str) -> bool {
        self.asks(name)
            .is_some_and(|value| value == "1" || value == "true")
    }

    /// The `filters` of a listing, a map from the kind to what it must be.
    fn filters(&self) -> Value {
        self.asks("filters")
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }
}

/// Carries out `call` on the model.
pub(super) fn answer(call: &Call, body: &Bytes, shared: &Shared) -> Answer {
    let mut world = shared.world();
    if let Some(refusal) = world.judge_version(call.version.as_deref()) {
        return refusal;
    }
    let segments: Vec<&str> = call.path.trim_start_matches('/').split('/').collect();
    let answer = match (call.method.as_str(), segments.as_slice()) {
        ("GET" | "HEAD", ["_ping"]) => world.ping(),
        ("GET", ["version"]) => world.version_info(),
        ("GET", ["info"]) => world.info(),
        ("GET", ["events"]) if call.asks("until").is_some() => {
            let since = call.asks("since").unwrap_or("0");
            world.past_events(since, &call.filters())
        }
        ("GET", ["events"]) => Answer {
            status: 200,
            headers: Vec::new(),
            body: super::answer::Body::Events,
        },

        ("GET", ["containers", "json"]) => world.list_containers(call.flag("all"), &call.filters()),
        ("POST", ["containers", "create"]) => world.create_container(call.asks("name"), &call.body),
        ("GET", ["containers", id, "json"]) => world.inspect_container(id),
        ("POST", ["containers", id, "start"]) => world.start_container(id),
        ("POST", ["containers", id, "kill"]) => {
            world.kill_container(id, call.asks("signal").unwrap_or("SIGKILL"))
        }
        ("POST", ["containers", id, "update"]) => world.update_container(id, &call.body),
        ("DELETE", ["containers", id]) => {
            world.remove_container(id, call.flag("force"), call.flag("v"))
        }
        ("GET", ["containers", id, "logs"]) => world.logs(id, call.asks("tail")),
        ("GET", ["containers", id, "stats"]) => world.stats(id),
        ("PUT", ["containers", id, "archive"]) => {
            world.put_archive(id, call.asks("path").unwrap_or_default(), body)
        }
        ("GET", ["containers", id, "archive"]) => {
            world.get_archive(id, call.asks("path").unwrap_or_default())
        }
        ("HEAD", ["containers", id, "archive"]) => {
            world.stat_archive(id, call.asks("path").unwrap_or_default())
        }

        ("GET", ["volumes"]) => world.list_volumes(&call.filters()),
        ("POST", ["volumes", "create"]) => world.create_volume(&call.body),
        ("GET", ["volumes", name]) => world.inspect_volume(name),
        ("DELETE", ["volumes", name]) => world.remove_volume(name),

        ("GET", ["networks"]) => world.list_networks(&call.filters()),
        ("POST", ["networks", "create"]) => world.create_network(&call.body),
        ("GET", ["networks", id]) => world.inspect_network(id),
        ("DELETE", ["networks", id]) => world.remove_network(id),

        ("POST", ["images", "create"]) => {
            world.pull(call.asks("fromImage").unwrap_or_default(), call.asks("tag"))
        }
        ("GET", ["images", reference @ .., "json"]) => world.inspect_image(&reference.join("/")),
        _ => Answer::error(404, "page not found"),
    };
    for event in world.take_events() {
        // Nobody may be listening.
        let _ = shared.events.send(event.to_string());
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_queries() {
        assert_eq!(split_version("/v1.41/info"), (Some("1.41"), "/info"));
        assert_eq!(split_version("/volumes/v1"), (None, "/volumes/v1"));
        assert_eq!(split_version("/version"), (None, "/version"));
        let pairs = query("filters=%7B%22label%22%3A%5B%22a%3Db%22%5D%7D&all=true&path=%2Fa+b");
        assert_eq!(pairs[0], ("filters".into(), r#"{"label":["a=b"]}"#.into()));
        assert_eq!(pairs[2], ("path".into(), "/a b".into()));
    }
}
