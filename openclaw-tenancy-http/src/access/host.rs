//! Which host name a request gives, and whether it is one of ours.
//!
//! A page of a stranger's can have a name of its own resolve to our address (DNS rebinding); to a browser it is
//! then of one origin with us, and no cookie rule keeps it from asking. What gives it away is `Host`.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Version};

/// A host as a URL names it, in one spelling: lower case, without a trailing dot, without a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostName {
    /// A name.
    Name(String),
    /// An address.
    Address(IpAddr),
}

/// Not a host name and not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write a host name or an address, without scheme and port, such as tenancy.internal or 192.0.2.7"
)]
pub struct InvalidHostName;

impl FromStr for HostName {
    type Err = InvalidHostName;

    /// Reads `tenancy.internal`, `192.0.2.7`, `[2001:db8::7]` or `2001:db8::7`.
    fn from_str(text: &str) -> Result<Self, InvalidHostName> {
        let bracketed = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if let Some(address) = bracketed {
            let address: Ipv6Addr = address.parse().map_err(|_| InvalidHostName)?;
            return Ok(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        let labels = name
            .split('.')
            .all(|label| (1..=63).contains(&label.len()) && label.bytes().all(plain));
        if !labels || name.len() > 253 {
            return Err(InvalidHostName);
        }
        Ok(Self::Name(name))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Why a request is not for one of our hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostFault {
    /// It names none, several, or something that is not a host.
    Malformed,
    /// It names a host that is not ours.
    Foreign(HostName),
}

/// The hosts that a listener answers for. Loopback is always one: nobody else's name resolves within a browser to
/// the letters `localhost` or `127.0.0.1`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct OwnHosts(BTreeSet<HostName>);

impl OwnHosts {
    pub(crate) fn new(names: impl IntoIterator<Item = HostName>) -> Self {
        Self(names.into_iter().collect())
    }

    /// The host that the request names, if it is ours.
    pub(crate) fn check(&self, request: &Parts) -> Result<(), HostFault> {
        let host = requested(request).ok_or(HostFault::Malformed)?;
        let ours = match &host {
            HostName::Name(name) if name == "localhost" => true,
            HostName::Address(address) if address.is_loopback() => true,
            HostName::Name(_) | HostName::Address(_) => self.0.contains(&host),
        };
        if ours {
            Ok(())
        } else {
            Err(HostFault::Foreign(host))
        }
    }
}

/// The one host that the request names: the target, where it has a host, and `Host` must agree (RFC 9112 §3.2).
fn requested(request: &Parts) -> Option<HostName> {
    let target = match request.uri.authority() {
        Some(authority) => Some(without_port(authority.as_str())?),
        None => None,
    };
    match (single(&request.headers)?, target) {
        (Some(host), target) => {
            let host = without_port(host)?;
            (target.is_none() || target.as_ref() == Some(&host)).then_some(host)
        }
        // HTTP/2 has the target alone.
        (None, Some(target)) if request.version >= Version::HTTP_2 => Some(target),
        (None, _) => None,
    }
}

/// The value of `Host`; `None` when there are several or it is not text.
fn single(headers: &HeaderMap) -> Option<Option<&str>> {
    let mut all = headers.get_all(HOST).iter();
    match (all.next(), all.next()) {
        (Some(host), None) => host.to_str().ok().map(Some),
        (None, _) => Some(None),
        (Some(_), Some(_)) => None,
    }
}

/// Which port it was matters to nobody: a tunnel or a proxy has another than the listener.
pub(super) fn without_port(text: &str) -> Option<HostName> {
    let end = if text.starts_with('[') {
        text.find(']')? + 1
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (host, port) = text.split_at(end);
    if !port.is_empty() {
        let digits = port.strip_prefix(':')?;
        let plain = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
        if !plain || digits.parse::<u16>().is_err() {
            return None;
        }
    }
    host.parse().ok()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn check(target: &str, hosts: &[&str]) -> Result<(), HostFault> {
        let ours = ["tenancy.example", "192.0.2.7", "2001:db8::7"];
        let ours = OwnHosts::new(ours.map(|name| name.parse().unwrap()));
        let mut request = Request::builder().uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        ours.check(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a14_host_confusion_our_names_pass_in_every_spelling() {
        for host in [
            "tenancy.example",
            "Tenancy.EXAMPLE.",
            "tenancy.example:443",
            "tenancy.example.:3000",
            "192.0.2.7:3000",
            "[2001:db8::7]",
            "[2001:DB8:0::7]:3000",
            "localhost:3100",
            "LOCALHOST",
            "127.0.0.1",
            "127.8.9.1:1",
            "[::1]:3000",
            "[::ffff:127.0.0.1]",
        ] {
            assert_eq!(check("/", &[host]), Ok(()), "{host}");
            assert_eq!(
                check(&format!("http://{host}/x"), &[host]),
                Ok(()),
                "{host}"
            );
        }
    }

    #[test]
    fn a14_host_confusion_foreign_names_are_told_apart() {
        for host in [
            "evil.example",
            "tenancy.example.evil.example",
            "atenancy.example",
            "a.tenancy.example",
            "localhost.evil.example",
            "a.localhost",
            "192.0.2.8",
            "0.0.0.0",
            "2130706433",
            "0x7f.0.0.1",
            "127.1",
            "[2001:db8::8]",
            "xn--n8j6a",
        ] {
            let foreign = check("/", &[host]);
            assert!(
                matches!(foreign, Err(HostFault::Foreign(_))),
                "{host}: {foreign:?}"
            );
        }
    }

    #[test]
    fn a14_host_confusion_malformed_double_and_missing() {
        for host in [
            "",
            ".",
            "a..b",
            "tenancy.example..",
            "tenancy.example:",
            "tenancy.example:0",
            "tenancy.example:080",
            "tenancy.example:65536",
            "tenancy.example:+80",
            "tenancy.example:80:80",
            "user@tenancy.example",
            "tenancy.example/x",
            "tenancy.example, tenancy.example",
            "tenancy example",
            "tenancy%2eexample",
            "2001:db8::7",
            "[2001:db8::7",
            "[2001:db8::7]x",
            "[tenancy.example]",
        ] {
            assert_eq!(check("/", &[host]), Err(HostFault::Malformed), "{host}");
        }
        let double = ["tenancy.example", "tenancy.example"];
        assert_eq!(check("/", &double), Err(HostFault::Malformed));
        assert_eq!(check("/", &[]), Err(HostFault::Malformed));
        assert_eq!(
            check("http://tenancy.example/", &[]),
            Err(HostFault::Malformed)
        );
        for (target, host) in [
            ("http://tenancy.example/", "evil.example"),
            ("http://evil.example/", "tenancy.example"),
            ("http://localhost/", "tenancy.example"),
        ] {
            assert_eq!(
                check(target, &[host]),
                Err(HostFault::Malformed),
                "{target} {host}"
            );
        }
    }
}
