//! The `WebSocket`: a tunnel from the instance's 101 on, for as long as whoever opened it may have it.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, Request, Response, StatusCode, Version, header};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::Inner;
use super::answer::{AnswerBody, Asked, Notice, X_REQUEST_ID};
use super::connection::{Client, Pass, WATCH};
use super::headers;
use super::proxy::{Admitted, instance_request, is_framed_twice};
use super::upstream::{MAX_HEAD, Paced, Place};
use super::wire::Link;

/// Both sides have this long to become a tunnel once the instance has agreed.
const SWITCH: Duration = Duration::from_secs(10);
/// Bytes under way in each direction.
const BUFFER: usize = 8 * 1024;

/// Whether a request asks for a WebSocket. `Upgrade` to anything else, such as `h2c`, is ignored (RFC 9110 §7.8).
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    headers::connection_lists(headers, "upgrade")
        && headers
            .get_all(header::UPGRADE)
            .iter()
            .any(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// RFC 6455 §4.2.1.
fn is_well_formed(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    let single = |name| {
        let mut all = headers.get_all(name).iter();
        all.next().filter(|_| all.next().is_none())
    };
    *method == Method::GET
        && version == Version::HTTP_11
        && single(header::UPGRADE).is_some()
        && single(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13")
        && single(header::SEC_WEBSOCKET_KEY).is_some_and(|key| key.len() == 24)
        && !headers.contains_key(header::CONTENT_LENGTH)
        && !headers.contains_key(header::TRANSFER_ENCODING)
}

/// Asks the instance for a WebSocket; whatever else it answers goes back as it is.
pub(super) async fn open(
    edge: &Arc<Inner>,
    mut request: Request<Incoming>,
    client: &Arc<Client>,
    admitted: &Admitted,
    asked: &Asked,
) -> Result<Response<AnswerBody>, Notice> {
    if !is_well_formed(request.method(), request.version(), request.headers()) {
        return Err(Notice::NotWebSocket);
    }
    let limits = &edge.config.limits.upstream;
    let place = Place::take(&admitted.pass.backend, limits.requests)
        .map_err(|error| edge.dial_notice(error))?;
    let stream = admitted
        .pass
        .backend
        .dial(limits)
        .await
        .map_err(|error| edge.dial_notice(error))?;
    let browser = hyper::upgrade::on(&mut request);
    let (mut parts, _no_body) = request.into_parts();
    let forwarding = edge.forwarding(client, &parts.headers);
    headers::upgrade_to_instance(&mut parts.headers, &admitted.site, &forwarding);
    let request = instance_request(parts, Empty::<Bytes>::new(), asked);
    let (stream, awaited) = Paced::new(stream);
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Notice::Unreachable)?;
    // Ends with this request, whose client may go before there is an answer; later with its body or with the tunnel.
    let driver = AbortOnDropHandle::new(edge.tunnels.spawn(connection.with_upgrades()));
    awaited.begin();
    let mut response = timeout(limits.first_byte, sender.send_request(request))
        .await
        .map_err(|_| Notice::Slow)?
        .map_err(|_| Notice::BadAnswer)?;
    awaited.end();
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        if is_framed_twice(&response) {
            return Err(Notice::BadAnswer);
        }
        drop(driver.detach());
        headers::to_browser(response.headers_mut());
        response
            .headers_mut()
            .insert(X_REQUEST_ID, asked.id.clone());
        return Ok(response.map(AnswerBody::plain));
    }
    let agreed = response.headers().get(header::UPGRADE);
    if !agreed.is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket")) {
        return Err(Notice::BadAnswer);
    }
    let instance = hyper::upgrade::on(&mut response);
    client.link.set_raw();
    let tunnel = Tunnel {
        browser,
        instance,
        link: Arc::clone(&client.link),
        pass: admitted.pass.clone(),
        _driver: driver,
        _place: place,
    };
    edge.tunnels.spawn(tunnel.run(Arc::clone(edge)));
    headers::upgrade_to_browser(response.headers_mut());
    Ok(response.map(|_| AnswerBody::empty()))
}

struct Tunnel {
    browser: OnUpgrade,
    instance: OnUpgrade,
    link: Arc<Link>,
    pass: Pass,
    _driver: AbortOnDropHandle<hyper::Result<()>>,
    _place: Place,
}

impl Tunnel {
    async fn run(self, edge: Arc<Inner>) {
        let both = async { tokio::try_join!(self.browser, self.instance) };
        let Ok(Ok((browser, instance))) = timeout(SWITCH, both).await else {
            return;
        };
        // What came before the switch and was no WebSocket must not go through as if it were.
        if self.link.fault().is_some() {
            return;
        }
        let _open = edge.metrics.tunnel();
        let (mut browser, mut instance) = (TokioIo::new(browser), TokioIo::new(instance));
        let copied = copy_bidirectional_with_sizes(&mut browser, &mut instance, BUFFER, BUFFER);
        tokio::select! {
            ended = copied => {
                tracing::debug!(bytes = self.link.bytes_moved(), ended = ended.is_ok(), "a tunnel ended");
            }
            () = self.pass.backend.retired().cancelled() => tracing::debug!("a tunnel was closed with its instance"),
            () = until_not_allowed(&edge, &self.pass) => tracing::debug!("a tunnel was closed with its session"),
            () = until_idle(&edge, &self.link) => tracing::debug!("a tunnel was closed: nothing went through it"),
            () = edge.closing.cancelled() => tracing::debug!("a tunnel was closed with the edge"),
        }
    }
}

async fn until_not_allowed(edge: &Inner, pass: &Pass) {
    loop {
        edge.clock.sleep(WATCH).await;
        if !pass.holds(edge).await {
            return;
        }
    }
}

async fn until_idle(edge: &Inner, link: &Link) {
    let mut before = link.bytes_moved();
    loop {
        edge.clock.sleep(edge.config.limits.tunnel_idle).await;
        let now = link.bytes_moved();
        if now == before {
            return;
        }
        before = now;
    }
}
