//! Which answer a request gets, in OpenClaw's order of checks.

use std::convert::Infallible;
use std::sync::Arc;

use http::header::{CONNECTION, REFERRER_POLICY, UPGRADE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Request, StatusCode};
use hyper::body::Incoming;

use crate::app::App;
use crate::attribution::{self, Client, Connection, Ingress};
use crate::auth;
use crate::config::{AuthMode, Config};
use crate::echo;
use crate::hostile;
use crate::knob;
use crate::probe::{self, Probe};
use crate::query::Query;
use crate::reply::{self, Reply};
use crate::socket;
use crate::ui;

/// Names the instance in every answer, so that a test sees where a route led. Stand-in only.
const NAME: HeaderName = HeaderName::from_static("x-openclaw-stand-in");

pub(crate) async fn answer(
    app: Arc<App>,
    connection: Connection,
    request: Request<Incoming>,
) -> Result<Reply, Infallible> {
    let name = HeaderValue::from_str(&app.settings.name);
    let mut reply = route(app, connection, request).await;
    let headers = reply.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers
        .entry("permissions-policy")
        .or_insert(HeaderValue::from_static(
            "camera=(), microphone=(self), geolocation=()",
        ));
    if !headers.contains_key(CONNECTION) {
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        headers.insert("keep-alive", HeaderValue::from_static("timeout=5"));
    }
    if let Ok(name) = name {
        headers.insert(NAME, name);
    }
    Ok(reply)
}

async fn route(app: Arc<App>, connection: Connection, mut request: Request<Incoming>) -> Reply {
    let path = request.uri().path().to_owned();
    let config = app.config();
    if request.headers().contains_key(UPGRADE) {
        let client = attribution::attribute(request.headers(), connection, &config);
        return socket::upgrade(&app, connection, client, &mut request);
    }
    let kind = probe::classify(&path);
    // The one path that is exempt from attribution.
    if kind == Some(Probe::Live) {
        return probe::answer(&app, Probe::Live, request.method(), false);
    }
    let Some(client) = attribution::attribute(request.headers(), connection, &config) else {
        return reply::attribution_required();
    };
    if let Some(kind) = kind {
        let identified = sees_details(&config, client, connection, &request);
        return probe::answer(&app, kind, request.method(), identified);
    }
    if let Some(rest) = path.strip_prefix("/hostile/") {
        return hostile::answer(rest, &Query::of(request.uri()));
    }
    if let Some(rest) = path.strip_prefix("/_knob/") {
        return knob::answer(&app, rest, &Query::of(request.uri())).await;
    }
    let headers = request.headers();
    match path.as_str() {
        "/whoami" => {
            let identity = auth::authorize_http(&config, client, connection, headers);
            echo::whoami(&app, connection, client, identity, request).await
        }
        "/echo" => echo::echo(request),
        _ => {
            let identified = auth::authorize_http(&config, client, connection, headers).is_ok();
            ui::answer(
                &app,
                &config,
                request.method(),
                request.uri(),
                headers,
                identified,
            )
        }
    }
}

/// Who is told more than the state by `/startupz` and `/readyz`.
fn sees_details(
    config: &Config,
    client: Client,
    connection: Connection,
    request: &Request<Incoming>,
) -> bool {
    client.ingress == Ingress::Local
        || (config.auth_mode != AuthMode::None
            && auth::authorize_http(config, client, connection, request.headers()).is_ok())
}

/// What Node answers to an upgrade that is none.
pub(crate) fn bad_upgrade() -> Reply {
    let mut reply = reply::with(
        StatusCode::BAD_REQUEST,
        HeaderValue::from_static("text/html"),
        "Invalid Upgrade header",
    );
    reply
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}
