//! A request's body: how much of it is read, and as what.

use axum::body::Body;
use axum::extract::Request;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::problem::{HeadFault, Kind, Problem, echo};

/// Bodies are read up to here, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/json`.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
}

/// The body with its type; `None` when there is none.
pub(super) async fn read(request: Request) -> Result<Option<(Media, Vec<u8>)>, Problem> {
    let (parts, body) = request.into_parts();
    if announced(&parts.headers).is_some_and(|length| length > MAX_BODY as u64) {
        return Err(Kind::BodyTooLarge { limit: MAX_BODY }.into());
    }
    let bytes = collect(body).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let media = media(&parts.headers)?;
    Ok(Some((media, bytes)))
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn collect(body: Body) -> Result<Vec<u8>, Problem> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Kind::BodyTooLarge { limit: MAX_BODY }.into())
        }
        // The connection broke, or what came was no chunk.
        Err(error) => {
            let what = "the body broke off";
            Err(Problem::new(Kind::InvalidHead(HeadFault::Malformed { what })).caused_by(error))
        }
    }
}

/// The media type: JSON or a form in UTF-8, given once and not encoded.
fn media(headers: &HeaderMap) -> Result<Media, Problem> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING) {
        return Err(unsupported(&lossy(encoding)));
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else {
        return Err(Kind::UnsupportedMediaType { found: None }.into());
    };
    let text = lossy(value).to_ascii_lowercase();
    let (essence, parameters) = text.split_once(';').unwrap_or((&text, ""));
    let utf8 = parameters
        .split(';')
        .map(|parameter| parameter.trim().replace('"', ""))
        .all(|parameter| parameter.is_empty() || parameter == "charset=utf-8");
    match essence.trim() {
        "application/json" if utf8 => Ok(Media::Json),
        "application/x-www-form-urlencoded" if utf8 => Ok(Media::Form),
        _ => Err(unsupported(&text)),
    }
}

fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

pub(super) fn unsupported(found: &str) -> Problem {
    let found = Some(echo(found));
    Kind::UnsupportedMediaType { found }.into()
}
