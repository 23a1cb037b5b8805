//! Problem details (RFC 9457): the one form of every error answer.
//!
//! A handler returns a [`Problem`]; the outermost layer writes it, because only there the request id and the
//! reader's language are known. Status codes stand in [`Kind::status`] and nowhere else.
//!
//! ```json
//! {"type": "urn:openclaw-tenancy:problem:plan-unknown", "title": "There is no such plan", "status": 422,
//!  "detail": "…", "field": "plan", "value": "gold", "fix": "…", "request_id": "…"}
//! ```

mod convert;
mod en;
mod fault;
mod kind;
mod phrases;
mod sign_in;
mod zh;

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use openclaw_tenancy::error::Source;
use serde::Serialize;

pub use crate::json::{Broken, JsonFault as BodyFault, SyntaxFault};
pub use fault::{Expected, Fault, FieldFault, Found};
pub use kind::{EndCookies, HeadFault, Kind, Missing};
#[cfg(feature = "edge")]
pub(crate) use phrases::phrase;

use super::lang::Lang;
pub(crate) use crate::echo::echo;

/// An error answer.
#[derive(Debug)]
pub struct Problem {
    kind: Box<Kind>,
    source: Option<Source>,
}

/// The body of a problem, in one language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProblemBody {
    /// A stable name; programs decide by it.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: &'static str,
    /// The status code.
    pub status: u16,
    /// What happened in this case.
    pub detail: String,
    /// Which field, parameter or header; `body` for a body as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Its value as it came, cut to 80 characters; never a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// Names this request in our logs.
    pub request_id: String,
    /// Every field that is wrong, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// One field of several that are wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Which.
    pub field: String,
    /// Its value as it came, cut to 80 characters; never a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What is wrong.
    pub detail: String,
    /// What to write instead.
    pub fix: String,
}

/// A problem in one language.
struct Words {
    title: &'static str,
    detail: String,
    fix: Option<String>,
}

impl Problem {
    /// A problem of `kind`.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind: Box::new(kind),
            source: None,
        }
    }

    /// With what caused it, for the log alone.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind.
    #[must_use]
    pub const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// What caused it, for the log alone.
    #[must_use]
    pub fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }

    /// Its status code.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// How long to wait before another try, where that helps.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.kind.retry_after()
    }

    /// Its body in `lang`.
    #[must_use]
    pub fn body(&self, lang: Lang, request_id: &str) -> ProblemBody {
        let words = match lang {
            Lang::En => en::words(&self.kind),
            Lang::ZhCn => zh::words(&self.kind),
        };
        let (field, value) = self.kind.place();
        ProblemBody {
            kind: format!("urn:openclaw-tenancy:problem:{}", self.kind.slug()),
            title: words.title,
            status: self.status().as_u16(),
            detail: words.detail,
            field: field.map(str::to_owned),
            value: value.map(str::to_owned),
            fix: words.fix.map(|fix| sentence(&fix, lang)),
            request_id: request_id.to_owned(),
            errors: self
                .kind
                .faults()
                .iter()
                .map(|fault| fault.error(lang))
                .collect(),
        }
    }
}

impl IntoResponse for Problem {
    /// Without a body: the outermost layer writes it.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response
            .extensions_mut()
            .insert(Carried(std::sync::Arc::new(self)));
        response
    }
}

/// A problem on its way through the layers.
#[derive(Debug, Clone)]
pub(crate) struct Carried(pub(crate) std::sync::Arc<Problem>);

/// `text` with the capital and the stop of a sentence, unless it begins or ends as it must.
fn sentence(text: &str, lang: Lang) -> String {
    let mut sentence: String = text.chars().take(1).flat_map(char::to_uppercase).collect();
    sentence.extend(text.chars().skip(1));
    if !sentence.ends_with(['.', '?', '\u{3002}', '\u{ff1f}']) {
        sentence.push(match lang {
            Lang::En => '.',
            Lang::ZhCn => '\u{3002}',
        });
    }
    sentence
}
