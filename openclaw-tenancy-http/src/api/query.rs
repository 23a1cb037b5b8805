//! Parameters of the query and of the path, each at most once.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use super::problem::{Kind, Missing, Problem, echo};

/// The one value of the query parameter `name`, if it is given.
///
/// # Errors
/// [`Kind::InvalidParameter`] when it is given twice: which one counts must not be a matter of taste.
pub(crate) fn one(query: Option<&str>, name: &'static str) -> Result<Option<String>, Problem> {
    let mut values = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned());
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        (first, Some(_)) => Err(invalid(name, first.as_deref(), "each parameter once")),
    }
}

/// `name` with `value`, which may be shown, against `rule`.
pub(crate) fn invalid(name: &'static str, value: Option<&str>, rule: &'static str) -> Problem {
    let value = value.map(echo);
    Kind::InvalidParameter { name, value, rule }.into()
}

/// The one parameter of a path, as text. What is not UTF-8 names nothing.
#[derive(Debug)]
pub(crate) struct PathText(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for PathText {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Path::from_request_parts(parts, state)
            .await
            .map(|Path(text)| Self(text))
            .map_err(|_: PathRejection| Kind::NotFound(Missing::Path).into())
    }
}
