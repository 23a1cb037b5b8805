//! Amounts with their units. Whole numbers and checked arithmetic only: a quota must not round.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("amount `{value}` is not valid: {rule}")]
pub struct InvalidQuantity {
    /// The text, cut to 40 characters.
    pub value: String,
    /// What a valid one looks like.
    pub rule: &'static str,
}

impl InvalidQuantity {
    fn new(value: &str, rule: &'static str) -> Self {
        Self {
            value: value.chars().take(40).collect(),
            rule,
        }
    }
}

/// CPU time, in thousandths of one processor.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct MilliCpus(pub u64);

impl MilliCpus {
    /// The sum, or `None` when it would overflow.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// This in the unit of the Docker Engine API's `NanoCpus`.
    #[must_use]
    pub const fn as_nano_cpus(self) -> u64 {
        self.0.saturating_mul(1_000_000)
    }
}

impl fmt::Display for MilliCpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(f, "{} CPU", self.0 / 1000)
        } else {
            let fraction = format!("{:03}", self.0 % 1000);
            write!(
                f,
                "{}.{} CPU",
                self.0 / 1000,
                fraction.trim_end_matches('0')
            )
        }
    }
}

/// `0.5` or `2`: processors with at most three decimals.
impl FromStr for MilliCpus {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            || InvalidQuantity::new(text, "processors with at most 3 decimals, such as 0.5");
        let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), "0"));
        if whole.is_empty() || fraction.is_empty() || fraction.len() > 3 {
            return Err(wrong());
        }
        if !whole
            .bytes()
            .chain(fraction.bytes())
            .all(|b| b.is_ascii_digit())
        {
            return Err(wrong());
        }
        let whole: u64 = whole.parse().map_err(|_| wrong())?;
        let fraction: u64 = format!("{fraction:0<3}").parse().map_err(|_| wrong())?;
        whole
            .checked_mul(1000)
            .and_then(|m| m.checked_add(fraction))
            .map(Self)
            .ok_or_else(wrong)
    }
}

/// An amount of memory or storage, in bytes. `MB` in a plan is 1024² bytes, as Docker reads it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// `n` mebibytes.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 20))
    }

    /// `n` gibibytes.
    #[must_use]
    pub const fn gib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 30))
    }

    /// The sum, or `None` when it would overflow.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The sum, at most the largest amount there is.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, at least zero.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u64); 4] = [
            ("TiB", 1 << 40),
            ("GiB", 1 << 30),
            ("MiB", 1 << 20),
            ("KiB", 1 << 10),
        ];
        for (unit, size) in UNITS {
            if self.0 >= size && self.0.is_multiple_of(size) {
                return write!(f, "{} {unit}", self.0 / size);
            }
        }
        for (unit, size) in UNITS {
            if self.0 >= size {
                return write!(f, "{}.{} {unit}", self.0 / size, self.0 % size * 10 / size);
            }
        }
        write!(f, "{} B", self.0)
    }
}

/// `512 MiB`, `512MB`, `2g` or plain bytes: every unit is a power of 1024.
impl FromStr for Bytes {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || InvalidQuantity::new(text, "a whole number and B, KiB, MiB, GiB or TiB");
        let text_trimmed = text.trim();
        let digits = text_trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = text_trimmed[..digits].parse().map_err(|_| wrong())?;
        let size: u64 = match text_trimmed[digits..].trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            "t" | "tb" | "tib" => 1 << 40,
            _ => return Err(wrong()),
        };
        number.checked_mul(size).map(Self).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_read_as_written() {
        for (text, milli, shown) in [
            ("0.5", 500, "0.5 CPU"),
            ("1", 1000, "1 CPU"),
            ("2.25", 2250, "2.25 CPU"),
        ] {
            let cpu: MilliCpus = text.parse().unwrap();
            assert_eq!(cpu, MilliCpus(milli));
            assert_eq!(cpu.to_string(), shown);
        }
        for text in [
            "",
            ".5",
            "1.",
            "1.2345",
            "-1",
            "1e3",
            "99999999999999999999",
        ] {
            assert!(text.parse::<MilliCpus>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_megabyte_of_a_plan_is_1024_squared_bytes() {
        assert_eq!("512MB".parse::<Bytes>().unwrap(), Bytes(536_870_912));
        assert_eq!("512 MiB".parse::<Bytes>().unwrap().to_string(), "512 MiB");
        assert_eq!(Bytes(1_610_612_736).to_string(), "1536 MiB");
        for text in ["", "MB", "1.5g", "5 zb", "99999999999 TiB"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }
}
