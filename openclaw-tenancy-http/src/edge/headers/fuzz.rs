//! Headers of strangers on their way through, both ways: an instance hears who somebody is from the edge alone, and a
//! browser hears nothing that reaches beyond the instance's own host.
//!
//! An input is lines of `Name: value`.

use std::collections::BTreeMap;

use fuzzing::Verdict;
use http::HeaderValue;
use openclaw_tenancy::id::{AccountId, Generation, Slug, TenantId};
use openclaw_tenancy::instance::{PROXY_HEADER, USER_HEADER};
use openclaw_tenancy::routes::Route;
use openclaw_tenancy::status::{Phase, Status};
use proptest::{prop_assert, prop_assert_eq};

use super::*;
use crate::edge::routes::Site;

#[test]
fn fuzz_headers_says_only_what_the_edge_says() {
    fuzzing::run(
        concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/headers"),
        check,
    );
}

fn check(input: &[u8]) -> Verdict {
    let mut headers = HeaderMap::new();
    for line in input.split(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (name, value) = line.split_at(line.iter().position(|b| *b == b':').unwrap_or(0));
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        let header = HeaderName::from_bytes(name).ok();
        if let (Some(name), Ok(value)) = (header, HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    towards_the_instance(&headers)?;
    towards_the_browser(&headers)
}

/// As a program reads a name that gets headers as variables, as CGI and much else does.
fn variable(name: &str) -> String {
    let sign = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    name.chars().map(sign).collect()
}

/// What says who somebody is or where they come from, by the beginnings of its names as variables.
const TOLD: [&str; 15] = [
    "CF_CONNECTING_IP",
    "CLIENT_IP",
    "FORWARDED",
    "PROXY",
    "REMOTE_USER",
    "TAILSCALE_USER",
    "TRUE_CLIENT_IP",
    "X_AUTH_REQUEST",
    "X_CLAW_",
    "X_CLIENT_IP",
    "X_FORWARDED",
    "X_HTTP_METHOD_OVERRIDE",
    "X_OPENCLAW_",
    "X_ORIGINAL_",
    "X_REAL_IP",
];

/// And by their whole names.
const TOLD_WHOLE: [&str; 4] = ["AUTHORIZATION", "EXPECT", "VIA", "X_USER"];

/// Of one connection, and not passed on.
const OF_ONE_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

fn towards_the_instance(given: &HeaderMap) -> Verdict {
    let site = site()?;
    let forwarding = Forwarding {
        client: HeaderValue::from_static("192.0.2.1"),
        scheme: HeaderValue::from_static("https"),
    };
    let ours = BTreeMap::from([
        ("host", "a1.inst.example"),
        ("via", "1.1 openclaw-tenancy"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-host", "a1.inst.example"),
        ("x-forwarded-proto", "https"),
        (PROXY_HEADER, "1"),
        (USER_HEADER, "u-1"),
    ]);
    let mut headers = given.clone();
    to_instance(&mut headers, &site, &forwarding);
    for (name, value) in &ours {
        let said: Vec<&HeaderValue> = headers.get_all(*name).iter().collect();
        prop_assert_eq!(said, vec![value], "{}", name);
    }
    for name in headers.keys().map(HeaderName::as_str) {
        prop_assert!(!OF_ONE_HOP.contains(&name), "{name} is of one hop");
        if ours.contains_key(name) || name == "cookie" {
            continue;
        }
        prop_assert!(!is_listed(given, name), "{name} was of the hop before");
        let variable = variable(name);
        let told = TOLD.iter().any(|told| variable.starts_with(told));
        prop_assert!(!told && !TOLD_WHOLE.contains(&&*variable), "{name} passes");
        let like_ours = ours.keys().any(|ours| self::variable(ours) == variable);
        prop_assert!(!like_ours, "{name} is read as one of ours");
        let (before, after) = (given.get_all(name), headers.get_all(name));
        prop_assert!(before.iter().eq(after.iter()), "{name} is changed");
    }
    for name in [
        "accept",
        "content-type",
        "if-none-match",
        "range",
        "user-agent",
    ] {
        let lost = given.contains_key(name) && !headers.contains_key(name);
        prop_assert!(!lost || is_listed(given, name), "{name} is lost");
    }
    let once = headers.clone();
    to_instance(&mut headers, &site, &forwarding);
    prop_assert_eq!(headers, once, "not stable");
    Ok(())
}

/// Whether `Connection` names it, in any of its lines and by any white space.
fn is_listed(headers: &HeaderMap, name: &str) -> bool {
    let lines = headers.get_all(header::CONNECTION).iter();
    let mut listed = lines.flat_map(|line| line.as_bytes().split(|b| *b == b','));
    listed.any(|one| one.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}

/// What a browser would do beyond the page that it asked for.
const BEYOND: [&str; 11] = [
    "alt-svc",
    "clear-site-data",
    "nel",
    "public-key-pins",
    "report-to",
    "reporting-endpoints",
    "service-worker-allowed",
    "set-cookie2",
    "strict-transport-security",
    "surrogate-control",
    "x-accel-redirect",
];

fn towards_the_browser(given: &HeaderMap) -> Verdict {
    let mut headers = given.clone();
    to_browser(&mut headers);
    for name in headers.keys().map(HeaderName::as_str) {
        let refused = OF_ONE_HOP.contains(&name) || BEYOND.contains(&name);
        prop_assert!(!refused, "{name} passes");
    }
    for cookie in headers.get_all(header::SET_COOKIE) {
        let text = cookie.as_bytes();
        let mut parts = text.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        let pair = parts.next().unwrap_or_default();
        let name = pair
            .strip_prefix(b"=")
            .unwrap_or(pair)
            .trim_ascii()
            .to_ascii_lowercase();
        prop_assert!(!name.starts_with(b"__host-oct-"), "{}", text.escape_ascii());
        for attribute in parts {
            let name = attribute.split(|b| *b == b'=').next().unwrap_or_default();
            let wide = name.trim_ascii().eq_ignore_ascii_case(b"domain");
            prop_assert!(!wide, "{}", text.escape_ascii());
        }
    }
    let said: Vec<_> = headers.get_all(header::CACHE_CONTROL).iter().collect();
    prop_assert_eq!(said.len(), 1);
    let directives = directives(said[0].as_bytes());
    let has = |name: &str| directives.iter().any(|said| said == name);
    prop_assert!(has("private") || has("no-store"), "{directives:?}");
    let once = headers.clone();
    to_browser(&mut headers);
    prop_assert_eq!(headers, once, "not stable");
    Ok(())
}

/// The directives of `Cache-Control` without their arguments, a quoted text being one of these whatever is in it.
fn directives(line: &[u8]) -> Vec<String> {
    let mut directives = vec![String::new()];
    let (mut quoted, mut escaped, mut argument) = (false, false, false);
    for byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                argument = false;
                directives.push(String::new());
            }
            b'=' => argument = true,
            // With an argument it is another: `private="x"` keeps a cache from that field alone.
            _ if argument || quoted => {}
            _ => directives
                .last_mut()
                .into_iter()
                .for_each(|name| name.push(char::from(byte.to_ascii_lowercase()))),
        }
        if argument
            && let Some(name) = directives.last_mut()
            && !name.ends_with('=')
        {
            name.push('=');
        }
    }
    directives
        .iter()
        .map(|name| name.trim().to_owned())
        .collect()
}

fn site() -> Result<Site, proptest::test_runner::TestCaseError> {
    let id = "0198c6a2-7c3e-7000-8000-000000000001";
    let wrong = |error: &dyn std::fmt::Display| fuzzing::fails(error.to_string());
    let route = Route {
        slug: Slug::chosen("a1b").map_err(|error| wrong(&error))?,
        tenant: id.parse::<TenantId>().map_err(|error| wrong(&error))?,
        owner: id.parse::<AccountId>().map_err(|error| wrong(&error))?,
        generation: Generation(1),
        upstream: None,
        phase: Phase::Running,
    };
    Ok(Site {
        route,
        status: Status {
            phase: Phase::Running,
            message: None,
            deadline: None,
        },
        backend: None,
        origin: "https://a1.inst.example".to_owned(),
        host: HeaderValue::from_static("a1.inst.example"),
        user: HeaderValue::from_static("u-1"),
    })
}
