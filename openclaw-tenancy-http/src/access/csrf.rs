//! Which writes a browser's cookie may make: those of our own pages.
//!
//! Three things must hold together, and no other header excuses one of them: the exact `Origin`, no contrary
//! word in `Sec-Fetch-Site`, and a token that only our own pages can read. The token is derived from the
//! session's secret, so that nothing has to be stored and a new session has a new one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::ORIGIN;
use http::{HeaderMap, HeaderName};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;

/// Carries the token of a write by cookie.
pub const HEADER: HeaderName = HeaderName::from_static("x-csrf-token");

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Why a write is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CrossSite {
    /// There is no `Origin`.
    #[error("the request names no Origin")]
    NoOrigin,
    /// `Origin` is not ours, or stands more than once.
    #[error("the request comes from another origin")]
    ForeignOrigin,
    /// The browser says that another site made the request.
    #[error("the browser says that another site made the request")]
    FetchSite,
    /// The token is missing or not this session's.
    #[error("the CSRF token is missing or of another session")]
    Token,
}

/// The token that writes of the session with this secret carry.
#[must_use]
pub fn token(session: &SecretString) -> String {
    let digest = Sha256::new()
        .chain_update(b"openclaw-tenancy csrf\0")
        .chain_update(session.expose_secret())
        .finalize();
    URL_SAFE_NO_PAD.encode(digest)
}

/// Whether the request comes from a page of `public`'s origin.
///
/// # Errors
/// [`CrossSite`], the first thing that does not hold.
pub fn same_origin(headers: &HeaderMap, public: &Url) -> Result<(), CrossSite> {
    let ours = public.origin().ascii_serialization();
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => return Err(CrossSite::NoOrigin),
        (Some(origin), None) if origin.as_bytes() == ours.as_bytes() => {}
        (Some(_), _) => return Err(CrossSite::ForeignOrigin),
    }
    // Absent in older browsers and on plain HTTP off loopback; what is there must say the same.
    if headers
        .get_all(SEC_FETCH_SITE)
        .iter()
        .any(|site| site != "same-origin")
    {
        return Err(CrossSite::FetchSite);
    }
    Ok(())
}

/// Whether `presented` is the token of the session with this secret.
///
/// # Errors
/// [`CrossSite::Token`].
pub fn check_token(session: &SecretString, presented: Option<&str>) -> Result<(), CrossSite> {
    let expected = token(session);
    let same =
        presented.is_some_and(|presented| presented.as_bytes().ct_eq(expected.as_bytes()).into());
    if same { Ok(()) } else { Err(CrossSite::Token) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a10_csrf_only_our_exact_origin_passes() {
        let public: Url = "https://tenancy.example".parse().unwrap();
        let check = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
                .collect();
            same_origin(&headers, &public)
        };
        let ours = ("origin", "https://tenancy.example");
        assert_eq!(check(&[ours]), Ok(()));
        assert_eq!(check(&[ours, ("sec-fetch-site", "same-origin")]), Ok(()));
        assert_eq!(check(&[]), Err(CrossSite::NoOrigin));
        for site in ["cross-site", "same-site", "none", ""] {
            assert_eq!(
                check(&[ours, ("sec-fetch-site", site)]),
                Err(CrossSite::FetchSite),
                "{site}"
            );
        }
        for origin in [
            "null",
            "",
            "http://tenancy.example",
            "https://tenancy.example:444",
            "https://tenancy.example/",
            "https://tenancy.example.evil.example",
            "https://a.tenancy.example",
            "HTTPS://tenancy.example",
            "https://evil.example https://tenancy.example",
        ] {
            assert_eq!(
                check(&[("origin", origin)]),
                Err(CrossSite::ForeignOrigin),
                "{origin}"
            );
        }
        assert_eq!(check(&[ours, ours]), Err(CrossSite::ForeignOrigin));
        // A referrer or a custom header excuses nothing.
        let excuse = ("x-requested-with", "XMLHttpRequest");
        assert_eq!(check(&[excuse]), Err(CrossSite::NoOrigin));
    }

    #[test]
    fn a10_csrf_the_token_is_the_sessions_own() {
        let (mine, other) = (SecretString::from("a"), SecretString::from("b"));
        assert_eq!(check_token(&mine, Some(&token(&mine))), Ok(()));
        for wrong in [None, Some(""), Some("a"), Some(&*token(&other))] {
            assert_eq!(check_token(&mine, wrong), Err(CrossSite::Token));
        }
    }
}
