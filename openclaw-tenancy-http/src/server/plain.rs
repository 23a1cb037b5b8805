//! What a listener without the API's layers checks before it answers: what is no request, and for which host it is.
//!
//! A browser that has had a stranger's name resolve to our address (DNS rebinding) reads our figures as that
//! stranger's page. An address cannot be rebound, so a program may name any; a name has to be one of ours.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::CACHE_CONTROL;

use crate::access::host::{HostFault, HostName, OwnHosts};
use crate::api::lang::Lang;
use crate::api::problem::{HeadFault, Kind, Problem};

/// Lets a request for one of our hosts pass.
pub(crate) async fn own_host(
    State(hosts): State<Arc<OwnHosts>>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let fault = head.extensions.get::<HeadFault>().copied();
    let kind = match (fault, hosts.check(&head)) {
        (Some(fault), _) => Kind::InvalidHead(fault),
        (None, Ok(()) | Err(HostFault::Foreign(HostName::Address(_)))) => {
            return next.run(Request::from_parts(head, body)).await;
        }
        (None, Err(HostFault::Foreign(host))) => Kind::ForeignHost { host },
        (None, Err(HostFault::Malformed)) => Kind::InvalidParameter {
            name: "Host",
            value: None,
            rule: "one host name or address, the same as in the request target",
        },
    };
    let problem = Problem::new(kind);
    let words = problem.body(Lang::accepted(&head.headers), "");
    let text = format!(
        "{}. {} {}\n",
        words.title,
        words.detail,
        words.fix.unwrap_or_default()
    );
    (problem.status(), [(CACHE_CONTROL, "no-store")], text).into_response()
}
