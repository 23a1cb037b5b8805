//! The pages: sign in, create, watch, open, delete.
//!
//! They are an ordinary client of the REST API: a page is written on the server in the reader's language, a
//! script of ours polls `/api/tenants/me` and fetches the changed part. Everything is served from here; there
//! is no inline script and nothing from elsewhere.

pub(crate) mod assets;
pub(crate) mod claim;
pub(crate) mod error;
mod figures;
mod frame;
pub(crate) mod home;
mod instance;
pub(crate) mod login;
mod look;
mod words;

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};

use crate::api::problem::{Kind, Problem};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A page. Its forms name their origin: with `no-referrer` a browser would send `Origin: null`, so a page has
/// `same-origin`, which tells other sites as little.
fn html(template: &impl Template) -> Response {
    let text = match template.render() {
        Ok(text) => text,
        Err(error) => {
            return Problem::new(Kind::Internal)
                .caused_by(error)
                .into_response();
        }
    };
    let headers = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    (headers, text).into_response()
}
