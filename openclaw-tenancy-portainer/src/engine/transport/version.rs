//! Which version of the Engine API is spoken.

use std::fmt;
use std::str::FromStr;

/// A version of the Engine API, `1.41` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    /// Engine 20.10: the oldest that is tried against.
    pub(crate) const OLDEST: Self = Self {
        major: 1,
        minor: 41,
    };
    /// Engine 28: the newest that is tried against. Later engines speak it too.
    pub(crate) const NEWEST: Self = Self {
        major: 1,
        minor: 51,
    };

    /// What to speak with an engine whose newest version is `self`; `None` if it is too old.
    pub(crate) fn agree(self) -> Option<Self> {
        (Self::OLDEST <= self).then(|| self.min(Self::NEWEST))
    }

    pub(super) const fn to_bits(self) -> u32 {
        ((self.major as u32) << 16) | self.minor as u32
    }

    pub(super) const fn from_bits(bits: u32) -> Self {
        Self {
            major: (bits >> 16) as u16,
            minor: (bits & 0xffff) as u16,
        }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for ApiVersion {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (major, minor) = text.split_once('.').unwrap_or((text, ""));
        Ok(Self {
            major: major.parse()?,
            minor: minor.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_of_both_is_spoken() {
        for (theirs, spoken) in [
            ("1.40", None),
            ("1.41", Some("1.41")),
            ("1.45", Some("1.45")),
            ("1.51", Some("1.51")),
            ("1.99", Some("1.51")),
            ("2.0", Some("1.51")),
        ] {
            let agreed = theirs.parse::<ApiVersion>().unwrap().agree();
            assert_eq!(agreed.map(|v| v.to_string()).as_deref(), spoken, "{theirs}");
        }
        for bad in ["", "1", "x.y", "1.", ".41", "-1.41"] {
            assert!(bad.parse::<ApiVersion>().is_err(), "{bad}");
        }
        assert_eq!(
            ApiVersion::from_bits(ApiVersion::OLDEST.to_bits()),
            ApiVersion::OLDEST
        );
    }
}
