//! `/whoami` and `/echo`: who answered, and what it was sent. Stand-in only.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::app::App;
use crate::attribution::{Client, Connection};
use crate::auth::Identity;
use crate::query::Query;
use crate::reply::{self, Reply};

/// The most of a body that `/whoami` reads.
const MAX_READ: usize = 16 * 1024 * 1024;
/// The most that `/echo?bytes=` makes up.
const MAX_FILLER: usize = 64 * 1024 * 1024;

/// The instance and the request as it arrived: headers one by one, the length of the body, its trailers.
pub(crate) async fn whoami(
    app: &App,
    connection: Connection,
    client: Client,
    identity: Result<Identity, String>,
    request: Request<Incoming>,
) -> Reply {
    let (head, body) = request.into_parts();
    let (body_bytes, trailers) = match Limited::new(body, MAX_READ).collect().await {
        Ok(collected) => {
            let trailers = collected.trailers().map(listed);
            (json!(collected.to_bytes().len()), trailers)
        }
        Err(error) => (json!(error.to_string()), None),
    };
    let identity = match identity {
        Ok(identity) => json!({ "method": identity.method, "user": identity.user }),
        Err(reason) => json!({ "refused": reason }),
    };
    let body = json!({
        "standIn": true,
        "name": app.settings.name,
        "hostname": app.settings.hostname,
        "pid": std::process::id(),
        "bootId": app.boot_id,
        "uptimeMs": app.uptime.elapsed_ms(),
        "volume": app.volume.record,
        "request": {
            "method": head.method.as_str(),
            "uri": head.uri.to_string(),
            "version": format!("{:?}", head.version),
            "headers": listed(&head.headers),
            "bodyBytes": body_bytes,
            "trailers": trailers,
        },
        "source": connection.peer.to_string(),
        "client": client.address.to_string(),
        "identity": identity,
    });
    reply::json(StatusCode::OK, &body)
}

/// Names and values as pairs, since one name may come several times.
fn listed(headers: &HeaderMap) -> Value {
    headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect()
}

/// Sends a request's body back, or `?bytes=` bytes where it has none to send.
pub(crate) fn echo(request: Request<Incoming>) -> Reply {
    let filler = match Query::of(request.uri()).number("bytes", 0_usize) {
        Ok(bytes) if bytes <= MAX_FILLER => bytes,
        Ok(bytes) => {
            return crate::query::refuse(&format!("bytes: {bytes} is more than {MAX_FILLER}"));
        }
        Err(reply) => return reply,
    };
    let kind = request
        .headers()
        .get(CONTENT_TYPE)
        .cloned()
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    if 0 < filler {
        return reply::with(StatusCode::OK, kind, Bytes::from(vec![b'x'; filler]));
    }
    let mut reply = reply::with(StatusCode::OK, kind, Bytes::new());
    *reply.body_mut() = request.into_body().map_err(std::io::Error::other).boxed();
    reply
}
