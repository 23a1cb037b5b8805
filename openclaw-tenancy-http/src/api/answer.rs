//! The outermost layer: a request id, a deadline, the reader's language, problems in words, strict headers, a log line.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    REFERRER_POLICY, RETRY_AFTER, SET_COOKIE, STRICT_TRANSPORT_SECURITY, VARY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use openclaw_tenancy::error::chain;

use super::lang::Lang;
use super::problem::{Carried, Kind, Missing, Problem};
use super::query;
use super::state::ApiState;
use crate::access::cookie;
use crate::pages;

/// Nobody waits longer for an answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long a chosen language is remembered.
const LANGUAGE_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names a request in our logs and answers.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

impl RequestId {
    /// Always a new one: an outsider's would let it write into our logs and forge a trace.
    fn generate(state: &ApiState) -> Self {
        let mut bytes = [0_u8; 12];
        state.tenancy().entropy().fill(&mut bytes);
        Self(hex::encode(bytes))
    }
}

tokio::task_local! {
    /// The request that the current task answers, for log lines of what it does.
    pub(super) static REQUEST: RequestId;
}

pub(super) async fn answer(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    let clock = state.tenancy().clock();
    let began = clock.now();
    let id = RequestId::generate(&state);
    let chosen = chosen_language(&request);
    let lang = chosen.unwrap_or_else(|| language(request.headers()));
    let method = method_label(request.method());
    let reads = request.method().is_safe();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("none".to_owned(), |path| path.as_str().to_owned());
    let page = wants_page(request.headers());
    request.extensions_mut().insert(id.clone());
    request.extensions_mut().insert(lang);

    let handled = AssertUnwindSafe(REQUEST.scope(id.clone(), next.run(request))).catch_unwind();
    let mut response = tokio::select! {
        biased;
        response = handled => response.unwrap_or_else(|_| Problem::new(Kind::Internal).into_response()),
        () = clock.sleep(DEADLINE) => Problem::new(Kind::TimedOut).into_response(),
    };
    let mut has_none = false;
    if let Some(Carried(problem)) = response.extensions_mut().remove::<Carried>() {
        has_none = matches!(problem.kind(), Kind::NotFound(Missing::OwnInstance));
        response = write(&problem, response.headers(), lang, &id, page);
        log_problem(&problem, &id, &route);
    }
    let cookie =
        chosen.and_then(|lang| cookie::set(cookie::LANGUAGE, lang.tag(), LANGUAGE_LIFETIME));
    let headers = response.headers_mut();
    if let Some(cookie) = cookie {
        headers.append(SET_COOKIE, cookie);
    }
    harden(headers, &id, lang, state.public_url().scheme() == "https");
    let took = clock.now().since(began);
    let answered = Answered {
        method,
        route: &route,
        status: response.status(),
        took,
    };
    answered.log(&id, reads, has_none);
    let status = response.status().as_u16();
    metrics::counter!("openclaw_tenancy_http_requests_total",
        "method" => method, "route" => route.clone(), "status" => status.to_string())
    .increment(1);
    metrics::histogram!("openclaw_tenancy_http_request_seconds", "route" => route)
        .record(took.as_secs_f64());
    response
}

/// The language that the query parameter `lang` asks for: a switch on a page is such a link.
fn chosen_language(request: &Request) -> Option<Lang> {
    let tag = query::one(request.uri().query(), "lang").ok()??;
    Lang::of_tag(&tag)
}

/// The language that was chosen once, or the one that the browser asks for.
fn language(headers: &HeaderMap) -> Lang {
    let chosen = cookie::read(headers, cookie::LANGUAGE).and_then(Lang::of_tag);
    chosen.unwrap_or_else(|| Lang::accepted(headers))
}

/// Whether whoever asks is a browser that shows what it gets: those name `text/html`, programs do not.
fn wants_page(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT).iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .any(|line| line.contains("text/html"))
}

/// The answer that says what the problem is. Keeps the headers that came with it, such as `Allow`.
fn write(
    problem: &Problem,
    came_with: &HeaderMap,
    lang: Lang,
    id: &RequestId,
    page: bool,
) -> Response {
    let body = problem.body(lang, &id.0);
    let mut response = if page {
        pages::error::render(lang, &body)
    } else {
        let media = HeaderValue::from_static("application/problem+json");
        let json = serde_json::to_vec(&body).unwrap_or_default();
        ([(CONTENT_TYPE, media)], json).into_response()
    };
    *response.status_mut() = problem.status();
    let headers = response.headers_mut();
    for name in came_with.keys() {
        if !headers.contains_key(name) && *name != http::header::CONTENT_LENGTH {
            for value in came_with.get_all(name) {
                headers.append(name, value.clone());
            }
        }
    }
    if let Some(wait) = problem.retry_after() {
        // Rounded up: a client that comes back in time must not come too early.
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        if let Ok(value) = HeaderValue::try_from(seconds.to_string()) {
            headers.insert(RETRY_AFTER, value);
        }
    }
    if problem.status() == StatusCode::UNAUTHORIZED {
        // RFC 6750 §3.1: an error code only where a token was presented.
        let challenge = if matches!(problem.kind(), Kind::BearerRefused { .. }) {
            r#"Bearer realm="openclaw-tenancy", error="invalid_token""#
        } else {
            r#"Bearer realm="openclaw-tenancy""#
        };
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

/// What a log line says of an answer.
struct Answered<'a> {
    method: &'static str,
    route: &'a str,
    status: StatusCode,
    took: Duration,
}

impl Answered<'_> {
    /// By level, what an operator wants to see of it: a fault of ours as a warning, a refusal and a write at `info`,
    /// and a read that went well, which pages and monitors do all day, at `debug`. So is one that found that the caller
    /// has no instance (`has_none`): pages and programs ask until there is one.
    fn log(&self, id: &RequestId, reads: bool, has_none: bool) {
        let Self {
            method,
            route,
            status,
            took,
        } = *self;
        let (status_code, millis) = (status.as_u16(), took.as_millis());
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(request_id = %id.0, method, route, status = status_code, millis, "answered")
            };
        }
        if status.is_server_error() {
            line!(warn);
        } else if !reads || (status.is_client_error() && !has_none) {
            line!(info);
        } else {
            line!(debug);
        }
    }
}

fn log_problem(problem: &Problem, id: &RequestId, route: &str) {
    let kind = problem.kind().slug();
    let cause = problem.source().map(chain);
    if problem.status().is_server_error() {
        tracing::error!(request_id = %id.0, route, kind, cause, "a request failed");
    } else {
        tracing::debug!(request_id = %id.0, route, kind, cause, "a request was refused");
    }
}

/// What every answer carries; a handler that has set one of them knows why.
fn harden(headers: &mut HeaderMap, id: &RequestId, lang: Lang, https: bool) {
    if let Ok(id) = HeaderValue::try_from(&id.0) {
        headers.insert(REQUEST_ID, id);
    }
    if !headers.contains_key(CACHE_CONTROL) {
        // What is kept, such as a style sheet, is the same for everybody; all else is one reader's.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(lang.tag()));
        let vary = HeaderValue::from_static("Accept-Language, Cookie, Authorization");
        headers.insert(VARY, vary);
    }
    let defaults = [
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in defaults {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    if https {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(STRICT_TRANSPORT_SECURITY, year);
    }
}

/// The method for a log line and a metric: an invented one would be a label of an outsider's choice.
const fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
