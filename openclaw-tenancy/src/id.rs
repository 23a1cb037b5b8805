//! Identifiers: validated newtypes, so that a value that exists is a value that is valid.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::{Clock, Entropy};

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} `{value}` is not valid: {rule}")]
pub struct InvalidId {
    /// What the text was meant to be, such as `host id`.
    pub kind: &'static str,
    /// The text, cut to 80 characters.
    pub value: String,
    /// What a valid one looks like.
    pub rule: &'static str,
}

impl InvalidId {
    pub(crate) fn new(kind: &'static str, value: &str, rule: &'static str) -> Self {
        Self {
            kind,
            value: value.chars().take(80).collect(),
            rule,
        }
    }
}

/// One DNS label (RFC 1123 §2.1): 1 to 63 of `a-z`, `0-9` and `-`, no `-` at either end.
pub(crate) fn is_dns_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A version 7 UUID (RFC 9562 §5.7) from the injected clock and generator.
fn uuid_v7(clock: &dyn Clock, entropy: &dyn Entropy) -> Uuid {
    let mut bytes = [0_u8; 16];
    entropy.fill(&mut bytes);
    let millis = clock.now().as_millis().to_be_bytes();
    bytes[..6].copy_from_slice(&millis[2..]);
    bytes[6] = (bytes[6] & 0x0f) | 0x70;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Uuid::from_bytes(bytes)
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id: time-ordered, from the injected clock and generator.
            #[must_use]
            pub fn generate(clock: &dyn Clock, entropy: &dyn Entropy) -> Self {
                Self(uuid_v7(clock, entropy))
            }

            /// The id of a known UUID, as a store reads it back.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }

            /// 32 hexadecimal digits: fits a DNS label and an object name.
            #[must_use]
            pub fn simple(&self) -> String {
                self.0.simple().to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text)
                    .map(Self)
                    .map_err(|_| InvalidId::new($kind, text, "a UUID such as 0198c6a2-7c3e-7000-8000-000000000001"))
            }
        }
    };
}

uuid_id!(
    /// A tenant: one person's instance and everything of it.
    TenantId,
    "tenant id"
);
uuid_id!(
    /// An account: one (issuer, subject) that has signed in.
    AccountId,
    "account id"
);

macro_rules! label_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and wraps `text`.
            ///
            /// # Errors
            /// [`InvalidId`] unless `text` is one DNS label.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                if is_dns_label(&text) {
                    Ok(Self(text))
                } else {
                    Err(InvalidId::new(
                        $kind,
                        &text,
                        "1 to 63 of a-z, 0-9 and -, with no - at either end",
                    ))
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

label_id!(
    /// A worker host, by the name the operator gave it.
    HostId,
    "host id"
);
label_id!(
    /// This deployment of openclaw-tenancy: in every label, so that two deployments can share an engine.
    DeploymentId,
    "deployment id"
);
label_id!(
    /// A process that claims work. Distinct for every start of every replica.
    WorkerId,
    "worker id"
);

/// The host-name label of a tenant: `{slug}.{base domain}`.
///
/// Ten random characters, or a name of the tenant's choice that is not reserved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);

/// Labels that would be mistaken for a service of the operator's.
const RESERVED: &[&str] = &[
    "admin",
    "administrator",
    "api",
    "app",
    "auth",
    "console",
    "edge",
    "ftp",
    "imap",
    "kubernetes",
    "localhost",
    "login",
    "mail",
    "metrics",
    "ns1",
    "ns2",
    "oauth",
    "pop",
    "root",
    "smtp",
    "sso",
    "static",
    "status",
    "support",
    "web",
    "wpad",
    "www",
];

impl Slug {
    /// Checks a name that somebody chose.
    ///
    /// # Errors
    /// [`InvalidId`] unless it is 3 to 40 of `a-z`, `0-9` and `-`, begins with a letter, has no two
    /// hyphens in a row (those are IDNA's, RFC 5891 §4.2.3.1) and is not reserved.
    pub fn chosen(text: impl Into<String>) -> Result<Self, InvalidId> {
        let text = text.into();
        if RESERVED.contains(&text.as_str()) {
            return Err(InvalidId::new(
                "name",
                &text,
                "this name is reserved, choose another",
            ));
        }
        let starts_with_letter = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if is_dns_label(&text)
            && (3..=40).contains(&text.len())
            && starts_with_letter
            && !text.contains("--")
        {
            Ok(Self(text))
        } else {
            Err(InvalidId::new(
                "name",
                &text,
                "3 to 40 of a-z, 0-9 and single -, beginning with a letter and not ending with -",
            ))
        }
    }

    /// Ten random characters without vowels (no words arise) and without look-alikes; about 46 bits.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        const FIRST: &[u8; 16] = b"bcdfghjkmnpqrtvw";
        const REST: &[u8; 24] = b"bcdfghjkmnpqrtvwxz234679";
        let mut text = String::with_capacity(10);
        let mut byte = [0_u8; 1];
        while text.len() < 10 {
            entropy.fill(&mut byte);
            let alphabet: &[u8] = if text.is_empty() { FIRST } else { REST };
            // Rejection keeps every character equally likely.
            let limit = 256 - 256 % alphabet.len();
            if usize::from(byte[0]) < limit {
                text.push(char::from(alphabet[usize::from(byte[0]) % alphabet.len()]));
            }
        }
        Self(text)
    }

    /// The label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Slug {
    type Error = InvalidId;
    /// A slug read back from a store, where both the chosen and the random form occur.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if is_dns_label(&text) {
            Ok(Self(text))
        } else {
            Err(InvalidId::new("slug", &text, "one DNS label"))
        }
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> Self {
        slug.0
    }
}

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The one after this.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter!(
    /// Counts up each time a tenant's container is made anew; stands in its name and labels.
    Generation
);
counter!(
    /// Counts up with each change of a tenant's desired state; a change names the one it was based on.
    Revision
);
counter!(
    /// The fencing token of a claim: a settle with an older one changes nothing.
    Fence
);
