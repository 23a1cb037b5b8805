//! Which host a request names, at the edge and at the API: a browser that sends it means the same one, and no request
//! is for both.
//!
//! An input is lines: the request target, or nothing, and then one `Host` each.

use fuzzing::Verdict;
use http::{HeaderValue, Request, Uri};
use proptest::{prop_assert, prop_assert_eq};

use super::*;
use crate::access::host::{HostName, OwnHosts};

const LISTENER: u16 = 9;

#[test]
fn fuzz_host_is_the_one_that_a_browser_means() {
    fuzzing::run(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/host"), check);
}

fn check(input: &[u8]) -> Verdict {
    let mut lines = input.split(|b| *b == b'\n');
    let target = lines.next().unwrap_or_default();
    let target: Option<Uri> = match target {
        b"" => Some(Uri::from_static("/")),
        target => Uri::try_from(target).ok(),
    };
    let Some(target) = target else {
        return Ok(());
    };
    let mut request = Request::builder()
        .uri(target.clone())
        .body(())
        .map_err(not_a_request)?;
    let mut hosts = Vec::new();
    for line in lines {
        let Ok(value) = HeaderValue::from_bytes(line) else {
            return Ok(());
        };
        hosts.push(line);
        request.headers_mut().append(header::HOST, value);
    }
    let (parts, ()) = request.into_parts();
    let template = OriginTemplate::new("http://{slug}.inst.example:8080").map_err(not_a_request)?;
    let rule = HostRule::new(&template).map_err(not_a_request)?;
    let label = rule.label(&parts, Some(LISTENER));
    let names = ["tenancy.example", "192.0.2.7", "2001:db8::7", "x_y.example"];
    let names = names.map(|name| name.parse::<HostName>().ok());
    let own = OwnHosts::new(names.into_iter().flatten()).check(&parts);
    prop_assert!(
        label.is_err() || own.is_err(),
        "both an instance's and ours"
    );
    if label.is_err() && own.is_err() {
        return Ok(());
    }

    prop_assert_eq!(hosts.len(), 1, "the one host among several");
    let said = [
        Some(hosts[0]),
        target
            .authority()
            .map(|authority| authority.as_str().as_bytes()),
    ];
    for said in said.into_iter().flatten() {
        let said = String::from_utf8_lossy(said);
        // One that no browser can send is nobody's trick.
        let Ok(meant) = Url::parse(&format!("http://{said}/")) else {
            continue;
        };
        prop_assert_eq!(meant.path(), "/", "{} is not a host alone", said);
        prop_assert!(meant.username().is_empty() && meant.password().is_none());
        let host = meant.host_str().unwrap_or_default();
        let host = host.strip_suffix('.').unwrap_or(host);
        match &label {
            Ok(label) => {
                prop_assert_eq!(host, format!("{}.inst.example", label.as_str()));
                let port = meant.port_or_known_default();
                let ours = [None, Some(80), Some(8080), Some(LISTENER)];
                prop_assert!(ours.contains(&port), "port {port:?}");
            }
            Err(_) => {
                let loopback = match meant.host() {
                    Some(url::Host::Domain(name)) => name.trim_end_matches('.') == "localhost",
                    Some(url::Host::Ipv4(address)) => address.is_loopback(),
                    Some(url::Host::Ipv6(address)) => address.to_canonical().is_loopback(),
                    None => false,
                };
                let named = [
                    "tenancy.example",
                    "192.0.2.7",
                    "[2001:db8::7]",
                    "x_y.example",
                ];
                let mapped = "[::ffff:c000:207]";
                prop_assert!(
                    loopback || named.contains(&host) || host == mapped,
                    "{host}"
                );
            }
        }
    }
    if let Ok(label) = &label {
        let text = label.as_str();
        prop_assert!((1..=63).contains(&text.len()) && !text.contains('.'));
        let canonical = rule.canonical(text);
        prop_assert_eq!(rule.normalise(&canonical, None), Ok(label.clone()));
    }
    if let Ok(name) = hosts[0].escape_ascii().to_string().parse::<HostName>() {
        prop_assert_eq!(name.to_string().parse::<HostName>(), Ok(name));
    }
    Ok(())
}

fn not_a_request(error: impl std::fmt::Display) -> proptest::test_runner::TestCaseError {
    fuzzing::fails(error.to_string())
}
