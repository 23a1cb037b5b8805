//! OpenClaw's check of a browser's `Origin`.

use std::net::IpAddr;

use crate::config::ControlUi;

/// The two reasons OpenClaw gives.
pub(crate) const MISSING: &str = "origin missing or invalid";
pub(crate) const FOREIGN: &str = "origin not allowed";

/// Accepts an origin of the list, or the request's own where no other site can own the host.
pub(crate) fn check(
    origin: Option<&str>,
    host: Option<&str>,
    control_ui: &ControlUi,
    local_client: bool,
) -> Result<(), &'static str> {
    let (origin, authority) = origin.and_then(parse).ok_or(MISSING)?;
    let listed = control_ui
        .allowed_origins
        .iter()
        .map(|entry| entry.trim().to_ascii_lowercase())
        .any(|entry| entry == "*" || entry == origin);
    if listed {
        return Ok(());
    }
    let host = host.unwrap_or_default().trim().to_ascii_lowercase();
    let same_host = !host.is_empty() && host == authority;
    if same_host && control_ui.dangerously_allow_host_header_origin_fallback {
        return Ok(());
    }
    if same_host && private(&host, local_client) {
        return Ok(());
    }
    if local_client && loopback(hostname(&authority)) {
        return Ok(());
    }
    Err(FOREIGN)
}

/// Whether a page was loaded from the very host that it now speaks to.
pub(crate) fn is_of_host(origin: Option<&str>, host: Option<&str>) -> bool {
    let host = host.unwrap_or_default().trim().to_ascii_lowercase();
    origin
        .and_then(parse)
        .is_some_and(|(_, authority)| authority == host)
}

/// Scheme and authority only, lower case; the default port is left out as a URL parser does.
fn parse(raw: &str) -> Option<(String, String)> {
    let raw = raw.trim().to_ascii_lowercase();
    let (scheme, rest) = raw.split_once("://")?;
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let scheme_is_sound = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c));
    if !scheme_is_sound || authority.is_empty() || authority.contains(['/', '?', '#', '\\', '@']) {
        return None;
    }
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let authority = authority.strip_suffix(default_port).unwrap_or(authority);
    Some((format!("{scheme}://{authority}"), authority.to_owned()))
}

fn hostname(authority: &str) -> &str {
    if let Some((inside, _)) = authority
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        return inside;
    }
    authority.split(':').next().unwrap_or(authority)
}

fn loopback(hostname: &str) -> bool {
    hostname.trim_end_matches('.') == "localhost"
        || hostname
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Hosts where the request's own host proves the page came from here.
fn private(host: &str, local_client: bool) -> bool {
    let hostname = hostname(host);
    if loopback(hostname) {
        return local_client;
    }
    match hostname.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => {
            let [first, second, ..] = ip.octets();
            ip.is_private() || ip.is_link_local() || (first == 100 && (64..128).contains(&second))
        }
        Ok(IpAddr::V6(ip)) => ip.is_unique_local() || ip.is_unicast_link_local(),
        Err(_) => hostname.ends_with(".local") || hostname.ends_with(".ts.net"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_origin_is_accepted() {
        let control_ui = ControlUi {
            allowed_origins: vec!["http://a1.localhost:8080".to_owned()],
            ..ControlUi::default()
        };
        let check = |origin| check(origin, Some("a1.localhost:8080"), &control_ui, false);
        assert_eq!(check(Some("http://a1.localhost:8080")), Ok(()));
        assert_eq!(check(Some("HTTP://A1.localhost:8080/")), Ok(()));
        assert_eq!(check(None), Err(MISSING));
        for broken in [
            "null",
            "",
            "a1.localhost:8080",
            "http://",
            "http://a1/x",
            "http://u@a1",
        ] {
            assert_eq!(check(Some(broken)), Err(MISSING), "{broken}");
        }
        for foreign in [
            "https://a1.localhost:8080",
            "http://a1.localhost",
            "http://b1.localhost:8080",
        ] {
            assert_eq!(check(Some(foreign)), Err(FOREIGN), "{foreign}");
        }
    }

    #[test]
    fn the_own_host_counts_only_where_it_is_private() {
        let control_ui = ControlUi::default();
        let same = |host: &str, local| {
            check(
                Some(&format!("http://{host}")),
                Some(host),
                &control_ui,
                local,
            )
        };
        assert_eq!(same("192.168.1.4:18789", false), Ok(()));
        assert_eq!(same("box.local", false), Ok(()));
        assert_eq!(same("localhost:18789", true), Ok(()));
        assert_eq!(same("localhost:18789", false), Err(FOREIGN));
        assert_eq!(same("claw.example", false), Err(FOREIGN));
    }
}
