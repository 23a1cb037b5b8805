//! Answers for our own hosts only (safety row A14), and for what is no request: before anything else is looked at.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::problem::{HeadFault, Kind, Problem};
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
        return Err(Kind::InvalidHead(*fault).into());
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
