//! What a browser has of ours never reaches an instance, whatever stands around it; what is not ours arrives as it was;
//! and one of two is none.
//!
//! An input is lines of `Cookie`, as they may stand before and after those of ours.

use fuzzing::Verdict;
use proptest::{prop_assert, prop_assert_eq};

use super::*;
use crate::access::cookie::{SESSION, read};

const SECRET: &str = "s3cretS3CRETs3cretS3CRETs3cretS3CRETs3cretS";

#[test]
fn fuzz_cookies_keeps_ours_from_the_instance() {
    fuzzing::run(
        concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/cookies"),
        check,
    );
}

fn check(input: &[u8]) -> Verdict {
    let lines: Vec<&[u8]> = input.split(|b| *b == b'\n').collect();
    let strangers = headers_of(&lines);
    passes_on_the_rest(&strangers)?;
    let first = lines.first().copied().unwrap_or_default();
    for name in [INSTANCE, PRE, SESSION] {
        let ours = format!("{name}={SECRET}");
        let shouted = ours.to_ascii_uppercase();
        let among = |ours: &str| [first, b"; ", ours.as_bytes(), b"; ", first].concat();
        let last = [first, b";", ours.as_bytes()].concat();
        for own in [ours.clone().into(), among(&ours), among(&shouted), last] {
            let mut headers = headers_of(&[&own]);
            for line in strangers.get_all(header::COOKIE) {
                headers.append(header::COOKIE, line.clone());
            }
            if let Some(sent) = without_ours(&headers) {
                let sent = sent.as_bytes().to_ascii_lowercase();
                let secret = SECRET.to_ascii_lowercase();
                let seen = sent.windows(secret.len()).any(|w| w == secret.as_bytes());
                prop_assert!(!seen, "the instance gets {}", sent.escape_ascii());
            }
            let read_names = [
                (only(&headers, name), named(&headers, name, str::trim)),
                (read(&headers, name), named(&headers, name, |name| name)),
            ];
            for (taken, count) in read_names {
                prop_assert!(taken.is_none() || count == 1, "one of {count}");
                if count == 1 && own == ours.as_bytes() {
                    prop_assert_eq!(taken, Some(SECRET));
                }
            }
        }
    }
    Ok(())
}

/// What an instance gets has no name of ours to any reader, is all of the rest, and stays what it is.
fn passes_on_the_rest(strangers: &HeaderMap) -> Verdict {
    let sent = without_ours(strangers);
    let mut headers = HeaderMap::new();
    headers.extend(sent.clone().map(|sent| (header::COOKIE, sent)));
    let after = readable(&headers);
    let before = readable(strangers);
    let kept = |(name, value): &&(String, String)| {
        // A pair that begins with `=` and has another has two readings, and no browser sends it.
        let unclear = name.is_empty() && (value.is_empty() || value.contains('='));
        !unclear && !is_prefixed(name) && !is_prefixed(value)
    };
    prop_assert_eq!(
        after.iter().collect::<Vec<_>>(),
        before.iter().filter(kept).collect::<Vec<_>>()
    );
    for (name, value) in &after {
        // Servers differ in what they make of a `=` at the beginning.
        let bare = format!("{name}={value}");
        let bare = bare.trim_start_matches(['=', ' ', '\t']);
        prop_assert!(!is_prefixed(bare), "{bare}");
    }
    prop_assert_eq!(without_ours(&headers), sent, "not stable");
    Ok(())
}

fn is_prefixed(text: &str) -> bool {
    text.to_ascii_lowercase().starts_with("__host-oct-")
}

/// Each pair of each line.
fn pairs_of(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(header::COOKIE).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).map(str::trim)
}

/// Each cookie as the standard has it: one without `=` has no name, and white space belongs to neither.
fn readable(headers: &HeaderMap) -> Vec<(String, String)> {
    let named = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        (name.trim().to_owned(), value.trim().to_owned())
    };
    let pairs = pairs_of(headers).filter(|pair| !pair.is_empty());
    pairs.map(named).collect()
}

/// How many have this name, if `tight` is what a name is.
fn named(headers: &HeaderMap, name: &str, tight: fn(&str) -> &str) -> usize {
    let names = pairs_of(headers).filter_map(|pair| pair.split_once('='));
    names.filter(|(said, _)| tight(said) == name).count()
}

fn headers_of(lines: &[&[u8]]) -> HeaderMap {
    let lines = lines.iter().copied().map(HeaderValue::from_bytes);
    lines
        .filter_map(Result::ok)
        .map(|line| (header::COOKIE, line))
        .collect()
}
