//! Dialling an instance as its proxy would, one plain connection a request.

use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::{self, Message};

use super::Target;

/// A busy instance may stall for 10 s and more; nothing here waits longer than five times that.
pub(super) const PATIENCE: Duration = Duration::from_secs(50);

/// The headers of one request, by name.
#[derive(Debug, Clone)]
pub(super) struct Headers(HeaderMap);

impl Headers {
    /// A host name and nothing else: what a probe on the same machine sends.
    pub(super) fn bare(target: &Target) -> Self {
        Self(HeaderMap::new()).with("host", target.host())
    }

    /// The proxy names its client, but no user: what a health check of the control plane sends.
    pub(super) fn attributed(target: &Target) -> Self {
        Self::bare(target).with("x-forwarded-for", &target.client.to_string())
    }

    /// Everything that the proxy sends for the signed-in owner.
    pub(super) fn identified(target: &Target) -> Self {
        let mut headers = Self::attributed(target).with(&target.user_header, &target.user);
        for (name, value) in &target.required {
            headers = headers.with(name, value);
        }
        headers
    }

    /// The same for the owner's browser.
    pub(super) fn browser(target: &Target) -> Self {
        Self::identified(target).with("origin", &target.origin)
    }

    /// Replaces a header; a name or value that HTTP cannot carry leaves it away, and the claim fails by that.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.0.remove(name);
        self
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// One connection that can carry several requests.
pub(super) struct Plain(http1::SendRequest<Empty<Bytes>>);

impl Plain {
    pub(super) async fn open(target: &Target) -> Result<Self, String> {
        let stream = dial(target).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        // Ends by itself when the sender is dropped.
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: Headers,
    ) -> Result<Answer, String> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = path.parse().map_err(|error| format!("{path}: {error}"))?;
        *request.method_mut() = method;
        *request.headers_mut() = headers.0;
        let exchange = async {
            self.0.ready().await?;
            let (head, body) = self.0.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Answer {
                status: head.status,
                headers: head.headers,
                body,
            })
        };
        timeout(PATIENCE, exchange)
            .await
            .map_err(|_| format!("{path}: no answer within {PATIENCE:?}"))?
            .map_err(|error| format!("{path}: {error}"))
    }
}

/// A request on a connection of its own.
pub(super) async fn request(
    target: &Target,
    method: Method,
    path: &str,
    headers: Headers,
) -> Result<Answer, String> {
    Plain::open(target).await?.send(method, path, headers).await
}

pub(super) async fn get(target: &Target, path: &str, headers: Headers) -> Result<Answer, String> {
    request(target, Method::GET, path, headers).await
}

async fn dial(target: &Target) -> Result<TcpStream, String> {
    timeout(PATIENCE, TcpStream::connect(target.address))
        .await
        .map_err(|_| format!("{}: no connection within {PATIENCE:?}", target.address))?
        .map_err(|error| format!("{}: {error}", target.address))
}

/// What comes out of a socket.
#[derive(Debug, PartialEq)]
pub(super) enum Seen {
    Frame(Value),
    Closed(u16, String),
}

/// A socket past its challenge.
#[derive(Debug)]
pub(super) struct Socket(WebSocketStream<TcpStream>);

/// Why a socket did not open.
#[derive(Debug)]
pub(super) enum NotOpened {
    /// An HTTP answer instead of 101.
    Answered(StatusCode, Value),
    Failed(String),
}

impl From<NotOpened> for String {
    fn from(error: NotOpened) -> Self {
        match error {
            NotOpened::Answered(status, body) => format!("upgrade was answered {status} {body}"),
            NotOpened::Failed(why) => why,
        }
    }
}

impl Socket {
    /// Upgrades on `path` and reads the challenge.
    pub(super) async fn open(
        target: &Target,
        path: &str,
        headers: Headers,
    ) -> Result<Self, NotOpened> {
        let stream = dial(target).await.map_err(NotOpened::Failed)?;
        let mut request = Request::new(());
        *request.uri_mut() = format!("ws://{}{path}", target.host())
            .parse()
            .map_err(|error| NotOpened::Failed(format!("{path}: {error}")))?;
        *request.headers_mut() = headers
            .with("connection", "Upgrade")
            .with("upgrade", "websocket")
            .with("sec-websocket-version", "13")
            .with("sec-websocket-key", &generate_key())
            .0;
        let handshake = tokio_tungstenite::client_async(request, stream);
        let socket = match timeout(PATIENCE, handshake).await {
            Ok(Ok((socket, _))) => socket,
            Ok(Err(tungstenite::Error::Http(answer))) => {
                let body = answer.body().as_deref().unwrap_or_default();
                let body = serde_json::from_slice(body).unwrap_or(Value::Null);
                return Err(NotOpened::Answered(answer.status(), body));
            }
            Ok(Err(error)) => return Err(NotOpened::Failed(error.to_string())),
            Err(_) => return Err(NotOpened::Failed(format!("no 101 within {PATIENCE:?}"))),
        };
        let mut socket = Self(socket);
        match socket.next().await.map_err(NotOpened::Failed)? {
            Seen::Frame(frame)
                if frame["event"] == "connect.challenge"
                    && frame["payload"]["nonce"]
                        .as_str()
                        .is_some_and(|nonce| 16 <= nonce.len())
                    && frame["payload"]["ts"].is_u64() =>
            {
                Ok(socket)
            }
            other => Err(NotOpened::Failed(format!("no challenge but {other:?}"))),
        }
    }

    /// Opens a socket as the owner's page and is admitted.
    pub(super) async fn admitted(target: &Target) -> Result<(Self, Value), String> {
        Self::admitted_with(target, Headers::browser(target)).await
    }

    /// The same with other headers; also returns the `hello-ok` answer.
    pub(super) async fn admitted_with(
        target: &Target,
        headers: Headers,
    ) -> Result<(Self, Value), String> {
        let connect = page(target).await?;
        let mut socket = Self::open(target, "/", headers).await?;
        socket.send(&connect).await?;
        match socket.next().await? {
            Seen::Frame(frame) if frame["payload"]["type"] == "hello-ok" => Ok((socket, frame)),
            other => Err(format!("no hello-ok but {other:?}")),
        }
    }

    pub(super) async fn send(&mut self, frame: &Value) -> Result<(), String> {
        self.send_text(frame.to_string()).await
    }

    pub(super) async fn send_text(&mut self, text: String) -> Result<(), String> {
        self.0
            .send(Message::text(text))
            .await
            .map_err(|error| format!("cannot send: {error}"))
    }

    pub(super) async fn next(&mut self) -> Result<Seen, String> {
        self.next_within(PATIENCE).await
    }

    pub(super) async fn next_within(&mut self, patience: Duration) -> Result<Seen, String> {
        let message = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => {
                        let frame = serde_json::from_str(&text)
                            .map_err(|error| format!("no JSON but {text}: {error}"))?;
                        return Ok(Seen::Frame(frame));
                    }
                    Some(Ok(Message::Close(Some(close)))) => {
                        return Ok(Seen::Closed(close.code.into(), close.reason.to_string()));
                    }
                    Some(Ok(Message::Close(None))) => return Ok(Seen::Closed(1005, String::new())),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(format!("socket broke: {error}")),
                    None => return Err("socket ended without a close".to_owned()),
                }
            }
        };
        timeout(patience, message)
            .await
            .map_err(|_| format!("nothing came within {patience:?}"))?
    }

    /// Reads until a frame for which `wanted` holds; a close is always returned.
    pub(super) async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Result<Seen, String> {
        loop {
            match self.next().await? {
                Seen::Frame(frame) if !wanted(&frame) => {}
                seen => return Ok(seen),
            }
        }
    }
}

/// Sends one frame and reads to the close; also the error, if one came.
pub(super) async fn exchange(
    target: &Target,
    headers: Headers,
    frame: &Value,
) -> Result<(Option<Value>, (u16, String)), String> {
    let mut socket = Socket::open(target, "/", headers).await?;
    socket.send(frame).await?;
    let mut error = None;
    loop {
        match socket.next().await? {
            Seen::Frame(frame) if frame["ok"] == false && error.is_none() => {
                error = Some(frame["error"].clone());
            }
            Seen::Frame(frame) => return Err(format!("was answered {frame}")),
            Seen::Closed(code, reason) => return Ok((error, (code, reason))),
        }
    }
}

/// `connect` of the page that the instance serves: it names the build that it was served with.
async fn page(target: &Target) -> Result<Value, String> {
    let answer = get(
        target,
        "/control-ui-config.json",
        Headers::identified(target),
    )
    .await?;
    let mut frame = connect(json!({}));
    frame["params"]["client"]["buildId"] = answer.json()["serverBuildId"].clone();
    Ok(frame)
}

/// `connect` of a Control UI of no known build without a device, with `changes` merged into its parameters.
pub(super) fn connect(changes: Value) -> Value {
    let mut params = json!({
        "minProtocol": 4,
        "maxProtocol": 4,
        "client": {
            "id": "openclaw-control-ui",
            "version": "2026.9.6",
            "platform": "linux",
            "mode": "webchat",
        },
        "role": "operator",
        "scopes": ["operator.read", "operator.admin"],
    });
    if let (Value::Object(params), Value::Object(changes)) = (&mut params, changes) {
        params.extend(changes);
    }
    json!({ "type": "req", "id": "c1", "method": "connect", "params": params })
}
