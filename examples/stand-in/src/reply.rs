//! Answers in the shape of OpenClaw's.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

/// A body that can also break off, for the hostile answers.
pub(crate) type Body = BoxBody<Bytes, std::io::Error>;
pub(crate) type Reply = Response<Body>;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
pub(crate) const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

pub(crate) fn body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

pub(crate) fn with(status: StatusCode, kind: HeaderValue, bytes: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(body(bytes));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, kind);
    reply
}

pub(crate) fn json(status: StatusCode, value: &Value) -> Reply {
    with(status, JSON, value.to_string())
}

/// A probe's answer; never stored by a cache.
pub(crate) fn probe(status: StatusCode, value: &Value) -> Reply {
    let mut reply = json(status, value);
    reply.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    reply
}

pub(crate) fn text(status: StatusCode, text: &'static str) -> Reply {
    with(status, TEXT, text)
}

pub(crate) fn not_found() -> Reply {
    text(StatusCode::NOT_FOUND, "Not Found")
}

/// OpenClaw's refusal of a request that nobody can be held to.
pub(crate) fn attribution_required() -> Reply {
    json(
        StatusCode::FORBIDDEN,
        &json!({ "error": {
            "message": "Proxy client attribution is required. Configure gateway.trustedProxies narrowly and make the proxy overwrite or safely rebuild forwarded client headers.",
            "type": "proxy_attribution_required",
        }}),
    )
}

pub(crate) fn unauthorized() -> Reply {
    json(
        StatusCode::UNAUTHORIZED,
        &json!({ "error": { "message": "Unauthorized", "type": "unauthorized" } }),
    )
}
