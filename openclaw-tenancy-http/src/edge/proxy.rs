//! What happens to a request, from its host name to the instance's answer.

use std::error::Error;
use std::sync::Arc;

use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::{Body as _, Incoming};
use openclaw_tenancy::error::chain;
use tokio::time::timeout;

use super::answer::{AnswerBody, Asked, Notice, Report, X_REQUEST_ID, report};
use super::connection::{Client, Exchange, Pass};
use super::gate::{Session, Unavailable};
use super::host::{HostError, Label};
use super::routes::Site;
use super::upstream::{Backend, BodyFault, DialError, RelayedBody, RequestBody, ended_early};
use super::wire::{FAULT_METHOD, Fault};
use super::{Inner, OWN_PATHS, cookies, headers, origin, tunnel};
use crate::access::tossed;

/// What is known of a request that is let through.
pub(super) struct Admitted {
    pub(super) site: Arc<Site>,
    pub(super) pass: Pass,
}

impl Inner {
    /// Answers a request.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        client: Arc<Client>,
    ) -> Response<AnswerBody> {
        let exchange = Exchange::begin(&client);
        let asked = match client.link.fault() {
            // What stands for a refused request says nothing of who is to read the answer.
            Some((_, head)) if request.method().as_str() == FAULT_METHOD => {
                Asked::of(&Method::GET, &tossed::manners(head), self.ids.next())
            }
            _ => Asked::of(request.method(), request.headers(), self.ids.next()),
        };
        let response = match self.handle(request, &client, &asked).await {
            Ok(response) => response,
            Err(notice) => self.refuse(notice, &client, &asked),
        };
        self.metrics.answered(response.status());
        response.map(|body| body.during(exchange))
    }

    async fn handle(
        self: &Arc<Self>,
        request: Request<Incoming>,
        client: &Arc<Client>,
        asked: &Asked,
    ) -> Result<Response<AnswerBody>, Notice> {
        if request.method().as_str() == FAULT_METHOD {
            return Err(fault_notice(client));
        }
        let (parts, body) = request.into_parts();
        let own_page = check_target(&parts)?;
        let label = self
            .rules
            .hosts
            .label(&parts, client.listener)
            .map_err(host_notice)?;
        let site = self.table.get(label.as_str());
        if site.is_none() && self.reached.borrow().is_none() {
            return Err(Notice::Syncing);
        }
        match own_page {
            Some("handover") if parts.method == Method::GET => {
                let origin = self.rules.origin_of(label.as_str());
                if !origin::may_pass(&parts.method, &parts.headers, &origin) {
                    return Err(Notice::CrossSite);
                }
                let address = self.counted_for(client, &parts.headers);
                let redeemed = self.redeem(&label, &parts.uri, &parts.headers, address, asked);
                // Boxed, as is every rare way: the future of a request is moved with room for the largest.
                return Box::pin(redeemed).await;
            }
            Some("status") | None => {}
            Some(_) => return Err(Notice::NoSuchPage),
        }
        let Some(session) = self.session(&parts.headers, client, site.as_ref()).await? else {
            return self.offer_sign_in(&label, &parts, own_page, asked);
        };
        // A session is one for a site: there is one.
        let site = site.ok_or(Notice::SignInNeeded)?;
        let wants_tunnel = tunnel::is_asked_for(&parts.headers);
        let same_origin = if wants_tunnel {
            origin::may_tunnel(&parts.headers, &site.origin)
        } else {
            origin::may_pass(&parts.method, &parts.headers, &site.origin)
        };
        if !same_origin {
            return Err(Notice::CrossSite);
        }
        let site = if site.backend.is_some() {
            site
        } else {
            match Box::pin(self.looked_up(&label, &session)).await {
                Some(site) => site,
                None => return self.offer_sign_in(&label, &parts, own_page, asked),
            }
        };
        if own_page.is_some() {
            return Ok(report(&self.report(&site, asked).await, asked));
        }
        let Some(backend) = site.backend.clone() else {
            return Ok(self.answers.waiting(
                &self.report(&site, asked).await,
                asked,
                &self.nonce(),
            ));
        };
        let pass = Pass { session, backend };
        client.set_pass(Some(pass.clone()));
        let admitted = Admitted { site, pass };
        if wants_tunnel {
            let request = Request::from_parts(parts, body);
            return Box::pin(tunnel::open(self, request, client, &admitted, asked)).await;
        }
        self.forward(parts, body, client, &admitted, asked).await
    }

    async fn session(
        &self,
        headers: &HeaderMap,
        client: &Client,
        site: Option<&Arc<Site>>,
    ) -> Result<Option<Arc<Session>>, Notice> {
        match cookies::only(headers, cookies::INSTANCE) {
            Some(secret) => self
                .gate
                .session(secret, self.counted_for(client, headers), site)
                .await
                .map_err(|Unavailable| Notice::StoreUnavailable),
            None => Ok(None),
        }
    }

    /// The site by the store and not only by the table, which may be a moment behind: where the API has said
    /// "running", nobody is told to wait. `None` where it is not the session's any more.
    async fn looked_up(&self, label: &Label, session: &Session) -> Option<Arc<Site>> {
        self.looks.fresh().await;
        self.table
            .get(label.as_str())
            .filter(|site| session.is_for(site))
    }

    fn offer_sign_in(
        &self,
        label: &Label,
        parts: &Parts,
        own_page: Option<&str>,
        asked: &Asked,
    ) -> Result<Response<AnswerBody>, Notice> {
        if asked.is_navigation() && own_page.is_none() && !tunnel::is_asked_for(&parts.headers) {
            Ok(self.begin_sign_in(label, &parts.uri, &parts.headers, asked))
        } else {
            Err(Notice::SignInNeeded)
        }
    }

    async fn report(&self, site: &Site, asked: &Asked) -> Report {
        let position = match site.status.phase {
            // A page without the number is better than none.
            openclaw_tenancy::status::Phase::Queued => self
                .store
                .queue_position(site.route.tenant)
                .await
                .unwrap_or_default(),
            _ => None,
        };
        Report::of(&site.status, site.backend.is_some(), position, asked.lang())
    }

    /// Sends the request to the instance and gives its answer back as it comes.
    async fn forward(
        &self,
        mut parts: Parts,
        body: Incoming,
        client: &Client,
        admitted: &Admitted,
        asked: &Asked,
    ) -> Result<Response<AnswerBody>, Notice> {
        let body = self.request_body(&parts.headers, body)?;
        let forwarding = self.forwarding(client, &parts.headers);
        headers::to_instance(&mut parts.headers, &admitted.site, &forwarding);
        let request = instance_request(parts, body, asked);
        let sent = self.send(&admitted.pass.backend, request);
        let mut response = timeout(self.config.limits.upstream.first_byte, sent)
            .await
            .map_err(|_| Notice::Slow)?
            .map_err(|failure| self.explain(&failure, client))?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS || is_framed_twice(&response) {
            return Err(Notice::BadAnswer);
        }
        headers::to_browser(response.headers_mut());
        response
            .headers_mut()
            .insert(X_REQUEST_ID, asked.id.clone());
        *response.version_mut() = Version::HTTP_11;
        Ok(response.map(AnswerBody::relayed))
    }

    /// Sends the request, once, or twice where that may be.
    ///
    /// An instance closes connections that rest, and nothing says so before a request is on its way: its end may
    /// already be closed when the request arrives. So a request that may be repeated (RFC 9110 §9.2.2) goes again
    /// when a connection that was used before ended under it, on a fresh one, and not a third time. Any other never
    /// takes a connection that was used before: its failure could not be told from success.
    async fn send(
        &self,
        backend: &Arc<Backend>,
        request: Request<RequestBody>,
    ) -> Result<Response<RelayedBody>, Failure> {
        let limits = &self.config.limits.upstream;
        let repeatable = request.method().is_idempotent() && request.body().is_empty();
        let lease = if repeatable {
            backend.lease(limits).await
        } else {
            backend.lease_fresh(limits).await
        }
        .map_err(Failure::Dial)?;
        if !lease.is_reused() {
            return lease.send(request).await.map_err(Failure::Broken);
        }
        let again = without_body(&request);
        match lease.send(request).await {
            Err(error) if ended_early(&error) => {
                tracing::debug!(error = %chain(&error), "an instance closed a connection under a request");
                let lease = backend.lease_fresh(limits).await.map_err(Failure::Dial)?;
                lease.send(again).await.map_err(Failure::Broken)
            }
            answer => answer.map_err(Failure::Broken),
        }
    }

    fn request_body(&self, headers: &HeaderMap, body: Incoming) -> Result<RequestBody, Notice> {
        let limit = self.config.limits.upstream.upload;
        if body.is_end_stream() {
            return Ok(RequestBody::Empty);
        }
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: u64| length > limit) {
            return Err(Notice::UploadTooLarge(limit));
        }
        Ok(RequestBody::Upload { body, left: limit })
    }

    fn explain(&self, failure: &Failure, client: &Client) -> Notice {
        match failure {
            Failure::Dial(error) => self.dial_notice(*error),
            // Nothing of the request was sent.
            Failure::Broken(error) if error.is_canceled() => self.dial_notice(DialError::Refused),
            Failure::Broken(error) => match body_fault(error) {
                Some(BodyFault::TooLarge) => {
                    Notice::UploadTooLarge(self.config.limits.upstream.upload)
                }
                Some(BodyFault::Client(_)) => fault_notice(client),
                None => {
                    tracing::debug!(error = %chain(error), "an instance broke off");
                    Notice::BadAnswer
                }
            },
        }
    }

    /// Says why a request was not let through.
    fn refuse(&self, notice: Notice, client: &Client, asked: &Asked) -> Response<AnswerBody> {
        tracing::debug!(notice = notice.slug(), request_id = ?asked.id, peer = %client.peer, "refused");
        let mut response = self.answers.notice(notice, asked, &self.nonce());
        let headers = response.headers_mut();
        match notice {
            Notice::HeadTooLarge => {
                let head = client.link.fault().map_or(&[][..], |(_, head)| head);
                for cookie in tossed::end(head) {
                    headers.append(header::SET_COOKIE, cookie);
                }
            }
            Notice::Malformed(_) | Notice::UploadTooLarge(_) | Notice::MethodNotAllowed => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

/// Why an instance gave no answer.
enum Failure {
    Dial(DialError),
    Broken(hyper::Error),
}

fn body_fault(error: &hyper::Error) -> Option<&BodyFault> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(fault) = error.downcast_ref() {
            return Some(fault);
        }
        source = error.source();
    }
    None
}

fn fault_notice(client: &Client) -> Notice {
    match client.link.fault() {
        Some((Fault::Malformed(what), _)) => Notice::Malformed(what),
        Some((Fault::HeadTooLong | Fault::TooManyHeaders, _)) => Notice::HeadTooLarge,
        Some((Fault::HeadTimeout, _)) => Notice::HeadTimeout,
        None => Notice::Malformed("the body broke off"),
    }
}

const fn host_notice(error: HostError) -> Notice {
    match error {
        HostError::Malformed(what) => Notice::Malformed(what),
        HostError::Foreign => Notice::ForeignHost,
    }
}

/// The name of the edge's own page that is asked for, if it is one. What no instance may be asked is refused.
fn check_target(parts: &Parts) -> Result<Option<&str>, Notice> {
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        return Err(Notice::MethodNotAllowed);
    }
    let path = parts.uri.path();
    if !path.starts_with('/') {
        return Err(Notice::Malformed("the request target is not a path"));
    }
    Ok(path.strip_prefix(OWN_PATHS).and_then(|rest| match rest {
        "" => Some(""),
        _ => rest.strip_prefix('/'),
    }))
}

/// Whether an answer says its end in two ways. hyper takes one of them and drops the other; another server before us
/// or before the instance may take the other (RFC 9112 §6.3).
pub(super) fn is_framed_twice<B>(response: &Response<B>) -> bool {
    let headers = response.headers();
    headers.contains_key(header::TRANSFER_ENCODING) && headers.contains_key(header::CONTENT_LENGTH)
}

/// The same request once more; its body was empty.
fn without_body(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut again = Request::new(RequestBody::Empty);
    again.method_mut().clone_from(request.method());
    again.uri_mut().clone_from(request.uri());
    again.headers_mut().clone_from(request.headers());
    again
}

/// The request as it goes to the instance: the path alone, byte for byte, and its own version.
pub(super) fn instance_request<B>(parts: Parts, body: B, asked: &Asked) -> Request<B> {
    let path = parts
        .uri
        .into_parts()
        .path_and_query
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    let mut request = Request::new(body);
    *request.method_mut() = parts.method;
    *request.uri_mut() = Uri::from(path);
    *request.headers_mut() = parts.headers;
    request.headers_mut().insert(X_REQUEST_ID, asked.id.clone());
    request
}
