//! `/hostile/*`: answers that a careful edge must defuse. Stand-in only.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::json;

use crate::query::{Query, refuse};
use crate::reply::{self, Reply};

/// Every path, with what it sends; `/hostile/` lists them.
const PATHS: &[(&str, &str)] = &[
    (
        "cookie-domain",
        "Set-Cookie with Domain=?domain= and name ?name=",
    ),
    (
        "cookie-host",
        "Set-Cookie named ?name= (`__Host-session` unless given)",
    ),
    ("clear-site-data", "Clear-Site-Data for everything"),
    ("service-worker", "Service-Worker-Allowed: / on a script"),
    (
        "hsts",
        "Strict-Transport-Security for a year with subdomains",
    ),
    ("alt-svc", "Alt-Svc to another port"),
    (
        "cors",
        "Access-Control-Allow-* for any origin, with credentials",
    ),
    ("all", "all of the above at once"),
    ("headers", "each ?name=value as a response header"),
    ("huge-header", "one header of ?kib= KiB (64 unless given)"),
    ("many-headers", "?count= headers (1000 unless given)"),
    ("redirect", "302 to ?to="),
    ("cut", "a body of ?bytes= that breaks off in the middle"),
    ("drip", "?count= bytes, one every ?ms= milliseconds"),
];

/// Answers one of [`PATHS`].
pub(crate) fn answer(path: &str, query: &Query) -> Reply {
    match build(path, query) {
        Ok(reply) | Err(reply) => reply,
    }
}

#[expect(clippy::result_large_err, reason = "the error is the answer itself")]
fn build(path: &str, query: &Query) -> Result<Reply, Reply> {
    let domain = query.text("domain").unwrap_or("localhost");
    let name = query.text("name").unwrap_or("__Host-session");
    let over_domain = format!(
        "{}=hostile; Domain={domain}; Path=/",
        query.text("name").unwrap_or("session")
    );
    let over_host = format!("{name}=hostile; Path=/; Secure; HttpOnly");
    let plain: &[(&str, &str)] = match path {
        "" => {
            return Ok(reply::json(
                StatusCode::OK,
                &json!({ "standIn": true, "paths": PATHS }),
            ));
        }
        "cookie-domain" => &[("set-cookie", &over_domain)],
        "cookie-host" => &[("set-cookie", &over_host)],
        "clear-site-data" => &[("clear-site-data", "\"*\"")],
        "service-worker" => &[
            ("service-worker-allowed", "/"),
            ("content-type", "text/javascript"),
        ],
        "hsts" => &[(
            "strict-transport-security",
            "max-age=31536000; includeSubDomains; preload",
        )],
        "alt-svc" => &[("alt-svc", "h2=\":1\"; ma=86400")],
        "cors" => &[
            ("access-control-allow-origin", "*"),
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-headers", "*"),
        ],
        "all" => &[
            ("set-cookie", &over_domain),
            ("set-cookie", &over_host),
            ("clear-site-data", "\"*\""),
            ("service-worker-allowed", "/"),
            (
                "strict-transport-security",
                "max-age=31536000; includeSubDomains; preload",
            ),
            ("alt-svc", "h2=\":1\"; ma=86400"),
            ("access-control-allow-origin", "*"),
            ("access-control-allow-credentials", "true"),
        ],
        "headers" => return with_headers(query.pairs()),
        "huge-header" => {
            let kib = query.number("kib", 64_usize)?.min(16 * 1024);
            return with_headers([("x-huge", "x".repeat(kib * 1024).as_str())].into_iter());
        }
        "many-headers" => {
            let count = query.number("count", 1000_usize)?.min(100_000);
            let headers: Vec<_> = (0..count)
                .map(|index| (format!("x-many-{index}"), "x"))
                .collect();
            return with_headers(headers.iter().map(|(name, value)| (name.as_str(), *value)));
        }
        "redirect" => {
            let to = query.text("to").unwrap_or("https://example.invalid/");
            let mut reply = with_headers([("location", to)].into_iter())?;
            *reply.status_mut() = StatusCode::FOUND;
            return Ok(reply);
        }
        "cut" => return Ok(cut(query.number("bytes", 100_000_usize)?)),
        "drip" => {
            return Ok(drip(
                query.number("count", 10_u32)?,
                query.number("ms", 100_u64)?,
            ));
        }
        _ => return Err(reply::not_found()),
    };
    with_headers(plain.iter().copied())
}

#[expect(clippy::result_large_err, reason = "the error is the answer itself")]
fn with_headers<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Reply, Reply> {
    let mut reply = reply::text(StatusCode::OK, "hostile\n");
    let mut kind_is_set = false;
    for (name, value) in headers {
        let parsed = HeaderName::try_from(name)
            .map_err(|error| error.to_string())
            .and_then(|name| {
                Ok((
                    name,
                    HeaderValue::try_from(value).map_err(|e| e.to_string())?,
                ))
            });
        match parsed {
            Ok((name, value)) if name == http::header::CONTENT_TYPE && !kind_is_set => {
                kind_is_set = true;
                reply.headers_mut().insert(name, value);
            }
            Ok((name, value)) => {
                reply.headers_mut().append(name, value);
            }
            Err(error) => return Err(refuse(&format!("{name}: {error}"))),
        }
    }
    Ok(reply)
}

/// Announces a length and ends the connection before it.
fn cut(bytes: usize) -> Reply {
    let half = Bytes::from(vec![b'x'; bytes / 2]);
    let broken = stream::once(async {
        // While this is pending the first half goes out; an error at once would take its place.
        tokio::time::sleep(Duration::from_millis(50)).await;
        Err(std::io::Error::other("cut by the hostile path"))
    });
    let frames = stream::iter([Ok(Frame::data(half))]).chain(broken);
    let mut reply = reply::text(StatusCode::OK, "");
    *reply.body_mut() = BodyExt::boxed(StreamBody::new(frames));
    reply
        .headers_mut()
        .insert(http::header::CONTENT_LENGTH, HeaderValue::from(bytes));
    reply
}

fn drip(count: u32, ms: u64) -> Reply {
    let frames = stream::unfold(0, move |sent| async move {
        if sent == count {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(ms)).await;
        Some((
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"."))),
            sent + 1,
        ))
    });
    let mut reply = reply::text(StatusCode::OK, "");
    *reply.body_mut() = StreamBody::new(frames)
        .map_err(|never| match never {})
        .boxed();
    reply
}
