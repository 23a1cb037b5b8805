//! The page, where OpenClaw serves its Control UI.

use std::fmt::Write as _;

use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, X_FRAME_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use serde_json::json;

use crate::app::{App, BUILD_ID, VERSION};
use crate::config::Config;
use crate::reply::{self, Reply};

const SCRIPT: &str = include_str!("ui/stand-in.js");
const PAGE: &str = include_str!("ui/page.html");

/// Files are looked up, pages are not: a missing one of these is 404.
const FILE_EXTENSIONS: &[&str] = &[
    "js",
    "mjs",
    "css",
    "json",
    "map",
    "svg",
    "png",
    "jpg",
    "jpeg",
    "gif",
    "webp",
    "ico",
    "txt",
    "woff",
    "woff2",
    "ttf",
    "wasm",
    "webmanifest",
    "xml",
];

/// The path below the base path, or what to answer instead.
#[expect(clippy::result_large_err, reason = "the error is the answer itself")]
fn below_base<'a>(base: &str, uri: &'a Uri) -> Result<&'a str, Reply> {
    let path = uri.path();
    if base.is_empty() {
        let reserved = ["/api", "/v1", "/j", "/ui", "/plugins"].iter().any(|root| {
            path.strip_prefix(root)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        return if reserved {
            Err(reply::not_found())
        } else {
            Ok(path)
        };
    }
    match path.strip_prefix(base) {
        Some("") => {
            let query = uri
                .query()
                .map(|query| format!("?{query}"))
                .unwrap_or_default();
            let mut reply = reply::text(StatusCode::FOUND, "");
            if let Ok(location) = HeaderValue::try_from(format!("{base}/{query}")) {
                reply.headers_mut().insert(LOCATION, location);
            }
            Err(reply)
        }
        Some(rest) if rest.starts_with('/') => Ok(rest),
        Some(_) | None => Err(reply::not_found()),
    }
}

/// Serves the page for every path that OpenClaw would; `identified` may read the configuration.
pub(crate) fn answer(
    app: &App,
    config: &Config,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    identified: bool,
) -> Reply {
    let base = config.gateway.control_ui.base_path.trim_end_matches('/');
    if !config.gateway.control_ui.enabled || (method != Method::GET && method != Method::HEAD) {
        return reply::not_found();
    }
    let path = match below_base(base, uri) {
        Ok(path) => path,
        Err(reply) => return reply,
    };
    let mut reply = match path {
        "/control-ui-config.json" if !identified => reply::unauthorized(),
        "/control-ui-config.json" => reply::json(
            StatusCode::OK,
            &json!({
                "basePath": base,
                "assistantName": "Assistant",
                "serverVersion": VERSION,
                "serverBuildId": BUILD_ID,
                "terminalEnabled": config.gateway.terminal.enabled,
            }),
        ),
        "/stand-in.js" => {
            let kind = HeaderValue::from_static("text/javascript; charset=utf-8");
            reply::with(StatusCode::OK, kind, SCRIPT)
        }
        path if is_file(path) || !accepts_html(headers) => reply::not_found(),
        _ => reply::with(StatusCode::OK, reply::HTML, page(base, &app.settings.name)),
    };
    let headers = reply.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; style-src 'self' 'unsafe-inline'; connect-src 'self' ws: wss:",
        ),
    );
    reply
}

fn is_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.').is_some_and(|(_, extension)| {
        FILE_EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str())
    })
}

/// No `Accept` at all accepts everything.
fn accepts_html(headers: &HeaderMap) -> bool {
    let Some(accept) = headers.get(ACCEPT).and_then(|value| value.to_str().ok()) else {
        return true;
    };
    accept.split(',').any(|range| {
        let range = range.split(';').next().unwrap_or_default().trim();
        matches!(
            range,
            "" | "*/*" | "text/*" | "text/html" | "application/xhtml+xml"
        )
    })
}

fn page(base: &str, name: &str) -> String {
    PAGE.replace("{base}", &escape(base))
        .replace("{build}", BUILD_ID)
        .replace("{name}", &escape(name))
}

fn escape(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut out, c| {
            match c {
                '&' | '<' | '>' | '"' | '\'' => {
                    let _ = write!(out, "&#{};", u32::from(c));
                }
                c => out.push(c),
            }
            out
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_owns_only_what_is_below_it() {
        let below = |base, uri: &'static str| {
            below_base(base, &Uri::from_static(uri))
                .map(ToOwned::to_owned)
                .map_err(|reply| reply.status().as_u16())
        };
        assert_eq!(below("", "/foo/ws"), Ok("/foo/ws".to_owned()));
        assert_eq!(below("", "/api/x"), Err(404));
        assert_eq!(below("", "/apix"), Ok("/apix".to_owned()));
        assert_eq!(below("/t/t1", "/t/t1"), Err(302));
        assert_eq!(below("/t/t1", "/t/t1/x"), Ok("/x".to_owned()));
        assert_eq!(below("/t/t1", "/"), Err(404));
        assert_eq!(below("/t/t1", "/t/t10/"), Err(404));
    }

    #[test]
    fn names_cannot_break_out_of_the_page() {
        assert_eq!(escape("<a href=\"x\">"), "&#60;a href=&#34;x&#34;&#62;");
    }
}
