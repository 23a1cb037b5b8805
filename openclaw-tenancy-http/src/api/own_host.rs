//! Answers for our own hosts only (safety row A14), and for what is no request: before anything else is looked at.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::SET_COOKIE;
use http::request::Parts;

use super::problem::{EndCookies, HeadFault, Kind, Problem};
use super::state::ApiState;
use crate::access::host::{HostFault, HostName};

/// Whoever watches us may know our address alone.
const HEALTH: &str = "/api/health";

/// Lets a request for one of our hosts pass.
pub(super) async fn own_host(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    // Apart, because a body may not be shared between threads and a head may.
    let (head, body) = request.into_parts();
    if let Some(fault) = head.extensions.get::<HeadFault>() {
        return Ok(refuse(*fault, &head));
    }
    match state.hosts().check(&head) {
        Ok(()) => {}
        // A pod's or a container's own address is nobody's setting, and no name that could be rebound.
        Err(HostFault::Foreign(HostName::Address(_))) if head.uri.path() == HEALTH => {}
        Err(HostFault::Foreign(host)) => {
            return Err(Kind::ForeignHost { host }.into());
        }
        Err(HostFault::Malformed) => {
            return Err(Kind::InvalidParameter {
                name: "Host",
                value: None,
                rule: "one host name or address, the same as in the request target",
            }
            .into());
        }
    }
    Ok(next.run(Request::from_parts(head, body)).await)
}

/// The answer to a head that was refused. One that was too long is so by its cookies, nearly always: another site's
/// page has set them for a domain that it shares with us, and they are ended (safety row A16).
fn refuse(fault: HeadFault, head: &Parts) -> Response {
    let mut response = Problem::new(Kind::InvalidHead(fault)).into_response();
    if let Some(EndCookies(ends)) = head.extensions.get() {
        for end in ends {
            response.headers_mut().append(SET_COOKIE, end.clone());
        }
    }
    response
}
