//! Which instance a request names: one normaliser, for routing and for authorisation alike.

use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderMap, header};
use openclaw_tenancy::id::Slug;
use openclaw_tenancy::instance::OriginTemplate;
use url::Url;

use super::InvalidEdge;

/// A host-name label below the base domain, in lower case. Not known to be anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label(String);

impl Label {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a request names no instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostError {
    /// It names none, several, or something that is not a host: 400.
    Malformed(&'static str),
    /// It names a host that is not ours: 421.
    Foreign,
}

/// Instances' host names: one label, then the base domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostRule {
    /// With the dot before it.
    suffix: String,
    /// The port in the origin of an instance, which may stand in `Host`.
    port: u16,
    /// As `Host` has it: nothing, or a colon and the port.
    port_suffix: String,
    scheme: &'static str,
}

impl HostRule {
    pub(super) fn new(origin: &OriginTemplate) -> Result<Self, InvalidEdge> {
        let wrong = |value: String| InvalidEdge::Origin { value };
        let probe = Slug::try_from("x".to_owned()).map_err(|error| wrong(error.value))?;
        let sample = origin.origin(&probe);
        let wrong = || wrong(sample.clone());
        let url = Url::parse(&sample).map_err(|_| wrong())?;
        let suffix = url
            .host_str()
            .and_then(|host| host.strip_prefix('x'))
            .ok_or_else(wrong)?;
        Ok(Self {
            suffix: suffix.to_owned(),
            port: url.port_or_known_default().ok_or_else(wrong)?,
            port_suffix: url
                .port()
                .map(|port| format!(":{port}"))
                .unwrap_or_default(),
            scheme: if url.scheme() == "https" {
                "https"
            } else {
                "http"
            },
        })
    }

    /// `http` or `https`, as browsers see it.
    pub(super) const fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// The one way an instance's host is written towards it, with the port where there is one.
    pub(super) fn canonical(&self, slug: &str) -> String {
        format!("{slug}{}{}", self.suffix, self.port_suffix)
    }

    /// The label that a request names. `listener` is the port it came in by.
    pub(super) fn label(&self, request: &Parts, listener: Option<u16>) -> Result<Label, HostError> {
        let label = self.normalise(single_host(&request.headers)?, listener)?;
        if let Some(authority) = request.uri.authority() {
            let scheme = request.uri.scheme();
            let plain = scheme.is_some_and(|s| *s == Scheme::HTTP || *s == Scheme::HTTPS);
            if !plain {
                return Err(HostError::Malformed(
                    "the request target has no scheme of the web",
                ));
            }
            if self.normalise(authority.as_str(), listener)? != label {
                return Err(HostError::Malformed(
                    "the request target and Host name different hosts",
                ));
            }
        }
        Ok(label)
    }

    /// Case, one trailing dot and the port of the listener or of the origin are forgiven, nothing else.
    fn normalise(&self, text: &str, listener: Option<u16>) -> Result<Label, HostError> {
        let (name, port) = match text.rsplit_once(':') {
            Some(_) if text.starts_with('[') => return ip_literal(text),
            Some((name, port)) => (name, Some(parse_port(port)?)),
            None => (text, None),
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let well_formed = name.len() <= 253
            && name.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && label
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            });
        if !well_formed {
            return Err(HostError::Malformed("Host is not a host name"));
        }
        if port.is_some_and(|port| port != self.port && Some(port) != listener) {
            return Err(HostError::Foreign);
        }
        match name.strip_suffix(&self.suffix) {
            Some(label) if !label.is_empty() && !label.contains('.') => Ok(Label(label.to_owned())),
            _ => Err(HostError::Foreign),
        }
    }
}

fn single_host(headers: &HeaderMap) -> Result<&str, HostError> {
    let mut all = headers.get_all(header::HOST).iter();
    match (all.next(), all.next()) {
        (Some(host), None) => host
            .to_str()
            .map_err(|_| HostError::Malformed("Host is not a host name")),
        (None, _) => Err(HostError::Malformed("Host is missing")),
        (Some(_), Some(_)) => Err(HostError::Malformed("Host is given more than once")),
    }
}

/// A port as `Host` may have it: digits, without the spellings that other parsers read as another number.
fn parse_port(text: &str) -> Result<u16, HostError> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    text.parse()
        .ok()
        .filter(|_| plain)
        .ok_or(HostError::Malformed("the port in Host is not a port"))
}

/// `[::1]` and the like are hosts, and never ours.
fn ip_literal(text: &str) -> Result<Label, HostError> {
    let wrong = HostError::Malformed("Host is not a host name");
    let (address, port) = text[1..].split_once(']').ok_or(wrong)?;
    address.parse::<std::net::Ipv6Addr>().map_err(|_| wrong)?;
    match port.strip_prefix(':') {
        Some(port) => parse_port(port).and(Err(HostError::Foreign)),
        None if port.is_empty() => Err(HostError::Foreign),
        None => Err(wrong),
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> HostRule {
        HostRule::new(&OriginTemplate::new("http://{slug}.inst.example:8080").unwrap()).unwrap()
    }

    #[test]
    fn case_a_dot_and_our_ports_are_forgiven() {
        for text in [
            "a1.inst.example",
            "a1.inst.example:8080",
            "a1.inst.example:9",
            "A1.Inst.EXAMPLE",
            "a1.inst.example.",
            "a1.inst.example.:8080",
        ] {
            assert_eq!(
                rule().normalise(text, Some(9)),
                Ok(Label("a1".into())),
                "{text}"
            );
        }
        let long = "a".repeat(63);
        assert_eq!(
            rule().normalise(&format!("{long}.inst.example"), None),
            Ok(Label(long))
        );
    }

    #[test]
    fn what_is_written_towards_an_instance_is_one_spelling() {
        assert_eq!(rule().canonical("a1"), "a1.inst.example:8080");
        let plain =
            HostRule::new(&OriginTemplate::new("https://{slug}.inst.example").unwrap()).unwrap();
        assert_eq!(
            (plain.canonical("a1").as_str(), plain.scheme()),
            ("a1.inst.example", "https")
        );
        assert_eq!(
            plain.normalise("a1.inst.example:443", None),
            Ok(Label("a1".into()))
        );
    }
}
