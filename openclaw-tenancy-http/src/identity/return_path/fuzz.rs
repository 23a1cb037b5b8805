//! Whatever is asked for, who is sent back stays with us: by the URL standard, by RFC 3986, and from any page of ours.

use fuzzing::Verdict;
use proptest::{prop_assert, prop_assert_eq};

use super::*;

const OWN: [&str; 2] = ["/login", "/logout"];

#[test]
fn fuzz_return_path_never_leaves() {
    fuzzing::run(
        concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/return_path"),
        check,
    );
}

fn check(input: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(input);
    for base in [
        "https://tenancy.example:8443",
        "http://localhost:3000",
        "http://[::1]:3000",
    ] {
        let origin = Url::parse(base).map_err(|error| fuzzing::fails(error.to_string()))?;
        if let Some(sent) = checked(&text, &origin, &OWN) {
            stays(&sent, &origin)?;
        }
        // As a whole query, and as the parameter of one.
        stays(&from_query(&text, "to", &origin, &OWN), &origin)?;
        let asked = format!("to={}", text.replace('&', "%26"));
        stays(&from_query(&asked, "to", &origin, &OWN), &origin)?;
    }
    Ok(())
}

fn stays(sent: &str, origin: &Url) -> Verdict {
    prop_assert!(
        sent.bytes().all(|b| b.is_ascii_graphic()),
        "no header value: {sent:?}"
    );
    // RFC 3986: a path that begins with two slashes is an authority; some read a backslash as a slash.
    let slashes = sent.replace('\\', "/");
    prop_assert!(
        slashes.starts_with('/') && !slashes.starts_with("//"),
        "{sent:?}"
    );
    for page in ["/", "/login?x", "/a/b/../c//d"] {
        let page = origin
            .join(page)
            .map_err(|error| fuzzing::fails(error.to_string()))?;
        let landed = page
            .join(sent)
            .map_err(|error| fuzzing::fails(error.to_string()))?;
        prop_assert_eq!(landed.origin(), origin.origin(), "{}", sent);
        prop_assert!(landed.username().is_empty() && landed.password().is_none());
        // A router decodes a path once.
        let path = percent_decode_str(landed.path())
            .decode_utf8_lossy()
            .to_lowercase();
        let into = OWN
            .iter()
            .find(|own| path == **own || path.starts_with(&format!("{own}/")));
        prop_assert!(into.is_none(), "{sent:?} leads into {into:?}");
    }
    let again = checked(sent, origin, &OWN);
    prop_assert_eq!(again.as_deref(), Some(sent), "not stable");
    Ok(())
}
