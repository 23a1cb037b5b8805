//! The WebSocket: any path upgrades, the protocol inside decides.

mod admission;
mod frame;
mod session;

use std::sync::Arc;

use http::header::{
    CONNECTION, HeaderMap, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::app::{App, Phase};
use crate::attribution::{Client, Connection};
use crate::reply::{self, Reply};
use crate::routes;

/// The most an admitted client may send at once; named in `hello-ok`.
const MAX_PAYLOAD: usize = 26_214_400;

/// Who opened a socket, and with which headers; the protocol judges by both.
#[derive(Debug)]
struct Opening {
    client: Client,
    connection: Connection,
    headers: HeaderMap,
}

/// Answers a request that carries `Upgrade`, and starts the session behind a 101.
pub(crate) fn upgrade(
    app: &Arc<App>,
    connection: Connection,
    client: Option<Client>,
    request: &mut Request<Incoming>,
) -> Reply {
    let headers = request.headers();
    let is = |name, expected: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value: &HeaderValue| value.to_str().ok())
            .any(|value| {
                value
                    .split(',')
                    .any(|token| token.trim().eq_ignore_ascii_case(expected))
            })
    };
    let key = headers.get(SEC_WEBSOCKET_KEY).cloned();
    let sound = request.method() == Method::GET
        && is(UPGRADE, "websocket")
        && is(CONNECTION, "upgrade")
        && is(SEC_WEBSOCKET_VERSION, "13");
    let (true, Some(key)) = (sound, key) else {
        return routes::bad_upgrade();
    };
    let Some(client) = client else {
        return closing(reply::attribution_required());
    };
    if !matches!(app.phase(), Phase::Starting | Phase::Started) {
        return closing(reply::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "Gateway websocket admission closed",
        ));
    }
    let Some(place) = app.preauth_place(client.address) else {
        return closing(reply::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many unauthenticated sockets",
        ));
    };
    let opening = Opening {
        client,
        connection,
        headers: headers.clone(),
    };
    let upgraded = hyper::upgrade::on(request);
    let shared = Arc::clone(app);
    app.sessions.spawn(async move {
        if let Ok(upgraded) = upgraded.await {
            let limits = WebSocketConfig::default()
                .max_message_size(Some(MAX_PAYLOAD))
                .max_frame_size(Some(MAX_PAYLOAD));
            let socket = WebSocketStream::from_raw_socket(
                TokioIo::new(upgraded),
                Role::Server,
                Some(limits),
            )
            .await;
            session::run(&shared, socket, opening, place).await;
        }
    });
    let mut reply = reply::with(
        StatusCode::SWITCHING_PROTOCOLS,
        HeaderValue::from_static("text/plain"),
        "",
    );
    let headers = reply.headers_mut();
    headers.clear();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    reply
}

/// A refused upgrade ends the connection.
fn closing(mut reply: Reply) -> Reply {
    reply
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}
