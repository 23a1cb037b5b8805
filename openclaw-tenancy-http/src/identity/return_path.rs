//! Where a browser may be sent after sign-in: a path of our own, or `/` (CWE-601).
//!
//! Browsers read URLs by the WHATWG URL standard, which forgives what RFC 3986 does not: `/\host` is another
//! host, and a tab inside is as if it were not there. So the text must have none of those, must resolve to our
//! origin, and what is sent is what the parser made of it, tested once more.

use percent_encoding::percent_decode_str;
use url::Url;

/// Longer ones are nobody's bookmark.
const MAX_BYTES: usize = 2048;

/// Where to go when nothing better is known.
pub const HOME: &str = "/";

/// The path to return to that the query parameter `name` asks for: checked by [`checked`], and [`HOME`] when it
/// is missing, given twice or not acceptable.
///
/// # Examples
/// ```
/// use openclaw_tenancy_http::identity::return_path;
///
/// let origin = "https://tenancy.example".parse()?;
/// let path = |query| return_path::from_query(query, "return_to", &origin, &["/login", "/logout"]);
/// assert_eq!(path("return_to=%2Finstances%3Ftab%3Dlogs"), "/instances?tab=logs");
/// assert_eq!(path("return_to=%2F%2Fevil.example"), "/");
/// assert_eq!(path("return_to=%2Fa&return_to=%2Fb"), "/");
/// # Ok::<(), url::ParseError>(())
/// ```
#[must_use]
pub fn from_query(query: &str, name: &str, origin: &Url, own: &[&str]) -> String {
    let mut asked = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value);
    match (asked.next(), asked.next()) {
        (Some(candidate), None) => checked(&candidate, origin, own),
        (Some(_), Some(_)) | (None, _) => None,
    }
    .unwrap_or_else(|| HOME.to_owned())
}

/// `candidate` as it may be sent in a `Location`, or `None`.
///
/// `own` are the paths of sign-in and sign-out: nobody is sent back into those.
#[must_use]
pub fn checked(candidate: &str, origin: &Url, own: &[&str]) -> Option<String> {
    if !is_plain_path(candidate) {
        return None;
    }
    let url = origin.join(candidate).ok()?;
    let same = url.origin().is_tuple()
        && url.origin() == origin.origin()
        && url.username().is_empty()
        && url.password().is_none();
    let decoded = percent_decode_str(url.path())
        .decode_utf8()
        .ok()?
        .to_ascii_lowercase();
    let into_own = own.iter().any(|path| {
        decoded
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if !same || into_own {
        return None;
    }
    let sent = &url[url::Position::BeforePath..];
    is_plain_path(sent).then(|| sent.to_owned())
}

fn is_plain_path(text: &str) -> bool {
    text.len() <= MAX_BYTES
        && text.starts_with('/')
        && !text.starts_with("//")
        && !text
            .chars()
            .any(|c| c == '\\' || c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Url {
        Url::parse("https://tenancy.example:8443").unwrap()
    }

    fn path(candidate: &str) -> Option<String> {
        checked(candidate, &origin(), &["/login", "/logout"])
    }

    #[test]
    fn our_own_paths_pass() {
        for (candidate, sent) in [
            ("/", "/"),
            ("/instances", "/instances"),
            ("/a/b?x=1&y=/z#part", "/a/b?x=1&y=/z#part"),
            ("/a/../b", "/b"),
            ("/logins", "/logins"),
            ("/?next=https://evil.example", "/?next=https://evil.example"),
            ("/日本", "/%E6%97%A5%E6%9C%AC"),
            ("/@evil.example", "/@evil.example"),
        ] {
            assert_eq!(path(candidate).as_deref(), Some(sent), "{candidate}");
        }
    }

    #[test]
    fn a04_open_redirect_known_tricks_are_refused() {
        for candidate in [
            "",
            "evil.example",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/\r/evil.example",
            "\t//evil.example",
            " //evil.example",
            "/ /evil.example",
            "/\u{a0}/evil.example",
            "/\u{2028}/evil.example",
            "/..//evil.example",
            "/.//evil.example",
            "/a/..//evil.example",
            "/%2e%2e//evil.example",
            "/./\\evil.example",
            "https://evil.example",
            "https:evil.example",
            "https:/evil.example",
            "https://tenancy.example:8443/",
            "http://tenancy.example:8443/",
            "javascript:alert(1)",
            "data:text/html,x",
            "?x",
            "#x",
            ".",
            "..",
            "/login",
            "/login/",
            "/login?return_to=/",
            "/LOGIN",
            "/%6cogin",
            "/x/../login",
            "/logout",
            "/a\0b",
            "/a\u{7f}b",
            "/a\u{85}b",
        ] {
            assert_eq!(path(candidate), None, "{candidate:?}");
        }
        assert_eq!(path(&format!("/{}", "a".repeat(2048))), None);
    }

    /// Every combination of what the URL standard treats specially: whatever passes stays with us.
    #[test]
    fn a04_open_redirect_corpus_stays_on_our_origin() {
        let starts = [
            "",
            "/",
            "//",
            "///",
            "/\\",
            "\\",
            "\\\\",
            "/.",
            "/./",
            "/../",
            "/..//",
            "/%2e",
            "/%2E./",
            "/%5c",
            "/%2f",
            "/;",
            "/:",
            "/@",
            "/?",
            "/#",
            "/\t",
            "/\n",
            "/\u{feff}",
            "\u{feff}/",
            "/x/../",
            "/x/..//",
            "https:",
            "https:/",
            "https://",
            "//tenancy.example@",
        ];
        let hosts = [
            "evil.example",
            "/evil.example",
            "//evil.example",
            "\\evil.example",
            "\t/evil.example",
            "evil.example:443",
            "user@evil.example",
            "evil.example%00",
            "[::1]",
            "０.example",
            ".//evil.example",
            "..//evil.example",
        ];
        let ends = ["", "/", "?x", "#x", "\\", "%2f..%2f"];
        let mut tried = 0;
        for start in starts {
            for host in hosts {
                for end in ends {
                    let candidate = format!("{start}{host}{end}");
                    tried += 1;
                    let Some(sent) = path(&candidate) else {
                        continue;
                    };
                    let landed = origin().join(&sent).unwrap();
                    assert_eq!(
                        landed.origin(),
                        origin().origin(),
                        "{candidate:?} -> {sent:?}"
                    );
                    // A client that resolves by RFC 3986 alone must not leave either.
                    assert!(!sent.starts_with("//"), "{candidate:?} -> {sent:?}");
                    assert_eq!(
                        path(&sent).as_deref(),
                        Some(&*sent),
                        "not stable: {candidate:?}"
                    );
                }
            }
        }
        assert!(tried >= 250, "{tried}");
    }

    proptest::proptest! {
        #[test]
        fn a04_open_redirect_any_text_stays_on_our_origin(
            text in "[/\\\\.:@%?#;&=a-z0-9\t\n \u{a0}\u{ff0f}\u{3002}-]{0,40}",
        ) {
            if let Some(sent) = path(&text) {
                let landed = origin().join(&sent).unwrap();
                proptest::prop_assert_eq!(landed.origin(), origin().origin());
                proptest::prop_assert_eq!(path(&sent), Some(sent));
            }
        }
    }

    #[test]
    fn one_parameter_only() {
        let from = |query| from_query(query, "to", &origin(), &["/login"]);
        assert_eq!(from("to=/a&x=1"), "/a");
        assert_eq!(from("to=/a&to=/a"), HOME);
        assert_eq!(from("t%6F=/a&to=/b"), HOME);
        assert_eq!(from("x=/a"), HOME);
    }
}
