//! The written forms of values: amounts, durations, addresses.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr as _;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use openclaw_tenancy::quantity::{Bytes, MilliCpus};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

/// Makes the two functions of a `#[serde(with)]` module.
macro_rules! form {
    ($(#[$doc:meta])* $name:ident, $value:ty, $rule:literal, $parse:expr, $show:expr) => {
        $(#[$doc])*
        pub(super) mod $name {
            use super::*;

            pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<$value, D::Error> {
                let text = deserializer.deserialize_any(AnyText($rule))?;
                let parse: fn(&str) -> Option<$value> = $parse;
                parse(text.trim()).ok_or_else(|| D::Error::custom($rule))
            }

            pub(in super::super) fn serialize<S: Serializer>(
                value: &$value,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                let show: fn(&$value) -> String = $show;
                serializer.serialize_str(&show(value))
            }
        }
    };
}

/// Makes those of the form's optional values.
macro_rules! optional {
    ($name:ident, $form:ident, $value:ty) => {
        /// The same, where there need be none.
        pub(super) mod $name {
            use super::*;

            pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Option<$value>, D::Error> {
                $form::deserialize(deserializer).map(Some)
            }

            pub(in super::super) fn serialize<S: Serializer>(
                value: &Option<$value>,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                match value {
                    Some(value) => $form::serialize(value, serializer),
                    None => serializer.serialize_none(),
                }
            }
        }
    };
}

form!(
    /// `512 MiB`, or a plain number of bytes.
    bytes,
    Bytes,
    "is not an amount; write a whole number and a unit, such as 512 MiB",
    |text| Bytes::from_str(text).ok(),
    show_bytes
);
form!(
    /// `0.5`.
    cpus,
    MilliCpus,
    "is not a number of CPUs; write it with at most 3 decimals, such as 0.5",
    |text| MilliCpus::from_str(text).ok(),
    |cpu| cpu.to_string().trim_end_matches(" CPU").to_owned()
);
form!(
    /// `15m`, or a plain number of seconds.
    duration,
    Duration,
    "is not a duration; write a whole number and s, m, h or d, such as 15m",
    parse_duration,
    show_duration
);
form!(
    /// `127.0.0.1:3000`.
    address,
    SocketAddr,
    "is not an IP address and port; write it as 127.0.0.1:3000 or [::1]:3000",
    |text| text.parse().ok(),
    SocketAddr::to_string
);
form!(
    /// `https://tenancy.example.org`: an origin, without path.
    origin,
    Url,
    "is not an origin; write a scheme and a host without path, such as https://tenancy.example.org",
    parse_origin,
    |url| url.as_str().trim_end_matches('/').to_owned()
);
form!(
    /// `10.213.0.0/16`.
    network,
    Ipv4Net,
    "is not an IPv4 network; write it as 10.213.0.0/16",
    |text| text.parse::<Ipv4Net>().ok().filter(|net| net.addr() == net.network()),
    Ipv4Net::to_string
);

optional!(optional_bytes, bytes, Bytes);
optional!(optional_cpus, cpus, MilliCpus);
optional!(optional_duration, duration, Duration);
optional!(optional_origin, origin, Url);

fn parse_origin(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let plain = url.username().is_empty() && url.password().is_none();
    (matches!(url.scheme(), "http" | "https") && bare && plain && url.has_host()).then_some(url)
}

/// Reads `15m`, `2 h` or `90`: seconds unless there is a unit.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "" | "s" | "sec" | "seconds" => 1,
        "m" | "min" | "minutes" => 60,
        "h" | "hours" => 3600,
        "d" | "days" => 24 * 3600,
        _ => return None,
    };
    number.checked_mul(unit).map(Duration::from_secs)
}

/// To the byte, so that what is shown can be given: a person reads `1.5 GiB`, which is not written so and is rounded.
fn show_bytes(bytes: &Bytes) -> String {
    let shown = bytes.to_string();
    if shown.parse() == Ok(*bytes) {
        shown
    } else {
        format!("{} B", bytes.0)
    }
}

fn show_duration(duration: &Duration) -> String {
    let seconds = duration.as_secs();
    for (unit, size) in [("d", 24 * 3600), ("h", 3600), ("m", 60)] {
        if seconds >= size && seconds.is_multiple_of(size) {
            return format!("{}{unit}", seconds / size);
        }
    }
    format!("{seconds}s")
}

/// `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Network(pub(crate) IpNet);

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const RULE: &str = "is not a network or an address; write it as 10.0.0.0/8 or 2001:db8::1";
        let text = deserializer.deserialize_any(AnyText(RULE))?;
        let text = text.trim();
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse::<IpNet>()
            .or_else(|_| address())
            .map(|net| Self(net.trunc()))
            .map_err(|_| D::Error::custom(RULE))
    }
}

/// Takes a text, or a number as text.
struct AnyText(&'static str);

impl Visitor<'_> for AnyText {
    type Value = String;

    /// The whole rule, which the error takes as it is.
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_written() {
        for (text, seconds, shown) in [
            ("90", 90, "90s"),
            ("15m", 900, "15m"),
            ("2 h", 7200, "2h"),
            ("7d", 604_800, "7d"),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration.as_secs(), seconds);
            assert_eq!(show_duration(&duration), shown);
        }
        for text in ["", "m", "1.5h", "-1s", "1w", "99999999999999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn an_origin_has_no_path() {
        assert!(parse_origin("http://localhost:3000").is_some());
        for text in [
            "localhost:3000",
            "http://localhost/x",
            "http://u@h",
            "ftp://h",
            "http://h/?q",
            "http://h/#f",
        ] {
            assert!(parse_origin(text).is_none(), "{text}");
        }
    }
}
