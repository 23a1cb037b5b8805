//! A problem as a page.

use askama::Template;
use axum::response::Response;

use super::frame::Frame;
use super::html;
use crate::api::lang::Lang;
use crate::api::problem::ProblemBody;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'p> {
    frame: Frame,
    problem: &'p ProblemBody,
}

/// `problem` as a page in `lang`.
pub(crate) fn render(lang: Lang, problem: &ProblemBody) -> Response {
    let frame = Frame::new(lang, &[]);
    html(&ErrorPage { frame, problem })
}
