//! The parameters of a stand-in-only request.

use http::StatusCode;
use serde_json::json;

use crate::reply::{self, Reply};

/// The decoded query of a request, in the order it was sent.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn of(uri: &http::Uri) -> Self {
        let raw = uri.query().unwrap_or_default();
        Self(
            url::form_urlencoded::parse(raw.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.pairs()
            .find(|(given, _)| *given == name)
            .map(|(_, value)| value)
    }

    /// A whole number, or `default` where none was given.
    ///
    /// # Errors
    ///
    /// A 400 that names the parameter and its value.
    #[expect(clippy::result_large_err, reason = "the error is the answer itself")]
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> Result<T, Reply> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| refuse(&format!("{name}: `{text}` is not a whole number that fits"))),
        }
    }
}

/// 400 with a reason, in the stand-in's own form.
pub(crate) fn refuse(why: &str) -> Reply {
    reply::json(
        StatusCode::BAD_REQUEST,
        &json!({ "standIn": true, "error": why }),
    )
}
