//! What makes an object on an engine ours: labels with a keyed MAC.
//!
//! Anybody who can reach an engine can copy a label. The MAC binds the labels to this deployment's key
//! and to the object's own name, so that a copied label or a like-named object is foreign and is never touched.

use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretBox};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::id::{DeploymentId, Generation, TenantId};

/// The prefix of every label of ours.
pub const PREFIX: &str = "io.openclaw-tenancy";

/// What an object of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A tenant's OpenClaw container.
    Instance,
    /// A tenant's data volume.
    Data,
    /// A tenant's config volume.
    Config,
    /// A tenant's bridge network.
    Network,
    /// The volume that marks a host as ours.
    HostMarker,
    /// A container that measures a host and ends.
    Probe,
}

impl Role {
    /// The stable name in a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Data => "data",
            Self::Config => "config",
            Self::Network => "network",
            Self::HostMarker => "host-marker",
            Self::Probe => "probe",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [
            Self::Instance,
            Self::Data,
            Self::Config,
            Self::Network,
            Self::HostMarker,
            Self::Probe,
        ]
        .into_iter()
        .find(|role| role.as_str() == text)
    }
}

/// What the labels of an object of ours say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectLabels {
    /// What it is for.
    pub role: Role,
    /// Whose it is; `None` for what belongs to the host.
    pub tenant: Option<TenantId>,
    /// Of which generation; zero for volumes and networks that outlive one.
    pub generation: Generation,
    /// The hash of everything about it that cannot change in place.
    pub spec: String,
}

/// A key with the id that stands in each label it signs.
struct Key {
    id: String,
    key: SecretBox<[u8; 32]>,
}

/// The deployment and its label keys: the first signs, all verify.
pub struct LabelKeys {
    deployment: DeploymentId,
    keys: Vec<Key>,
}

impl fmt::Debug for LabelKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.keys.iter().map(|key| key.id.as_str()).collect();
        f.debug_struct("LabelKeys")
            .field("deployment", &self.deployment)
            .field("keys", &ids)
            .finish()
    }
}

impl LabelKeys {
    /// The keys of `deployment`: `signing` and its id.
    #[must_use]
    pub fn new(deployment: DeploymentId, id: impl Into<String>, signing: [u8; 32]) -> Self {
        let key = Key {
            id: id.into(),
            key: SecretBox::new(Box::new(signing)),
        };
        Self {
            deployment,
            keys: vec![key],
        }
    }

    /// Accepts objects of an earlier key as well, as during a rotation.
    #[must_use]
    pub fn accepting(mut self, id: impl Into<String>, earlier: [u8; 32]) -> Self {
        self.keys.push(Key {
            id: id.into(),
            key: SecretBox::new(Box::new(earlier)),
        });
        self
    }

    /// The deployment.
    #[must_use]
    pub const fn deployment(&self) -> &DeploymentId {
        &self.deployment
    }

    /// The labels that make the object called `name` ours.
    #[must_use]
    pub fn sign(&self, name: &str, labels: &ObjectLabels) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        let mut put = |key: &str, value: String| map.insert(format!("{PREFIX}.{key}"), value);
        put("deployment", self.deployment.to_string());
        put("role", labels.role.as_str().to_owned());
        if let Some(tenant) = labels.tenant {
            put("tenant", tenant.to_string());
        }
        put("generation", labels.generation.to_string());
        put("spec", labels.spec.clone());
        let key = &self.keys[0];
        put("key", key.id.clone());
        let mac = hex(&self.mac(key, name, labels).finalize().into_bytes());
        put("mac", mac);
        map
    }

    /// What the labels of the object called `name` say, or `None` when it is not ours.
    #[must_use]
    pub fn read(&self, name: &str, map: &BTreeMap<String, String>) -> Option<ObjectLabels> {
        let get = |key: &str| map.get(&format!("{PREFIX}.{key}")).map(String::as_str);
        if get("deployment")? != self.deployment.as_str() {
            return None;
        }
        let tenant = match get("tenant") {
            Some(text) => Some(text.parse().ok()?),
            None => None,
        };
        let labels = ObjectLabels {
            role: Role::parse(get("role")?)?,
            tenant,
            generation: Generation(get("generation")?.parse().ok()?),
            spec: get("spec")?.to_owned(),
        };
        let key_id = get("key")?;
        let key = self.keys.iter().find(|key| key.id == key_id)?;
        // Constant time, as for any MAC.
        self.mac(key, name, &labels)
            .verify_slice(&unhex(get("mac")?)?)
            .ok()?;
        Some(labels)
    }

    /// The label filter, `key=value`, that selects this deployment's objects; the MAC still decides.
    #[must_use]
    pub fn filter(&self) -> String {
        format!("{PREFIX}.deployment={}", self.deployment)
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    fn mac(&self, key: &Key, name: &str, labels: &ObjectLabels) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.key.expose_secret()).expect("any length");
        let tenant = labels
            .tenant
            .map(|tenant| tenant.to_string())
            .unwrap_or_default();
        let generation = labels.generation.to_string();
        for part in [
            "openclaw-tenancy label v1",
            self.deployment.as_str(),
            name,
            labels.role.as_str(),
            &tenant,
            &generation,
            &labels.spec,
        ] {
            // The length keeps two lists of parts from having one byte string.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

/// The name of a tenant's object: derived, so that what was made by a call whose answer was lost is found by looking.
#[must_use]
pub fn object_name(
    deployment: &DeploymentId,
    tenant: TenantId,
    role: Role,
    generation: Generation,
) -> String {
    let tenant = tenant.simple();
    match role {
        Role::Instance => format!("oct-{deployment}-{tenant}-g{generation}"),
        Role::Data | Role::Config | Role::Network | Role::HostMarker | Role::Probe => {
            format!("oct-{deployment}-{tenant}-{}", role.as_str())
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |of: u8| char::from(b"0123456789abcdef"[usize::from(of)]);
    let both = |byte: &u8| [digit(byte >> 4), digit(byte & 15)];
    bytes.iter().flat_map(both).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    // Digits alone: the library takes a sign before them.
    let digits = text.bytes().all(|b| b.is_ascii_hexdigit());
    if !digits || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, SeededEntropy, Timestamp};

    fn fixture() -> (LabelKeys, ObjectLabels, String) {
        let clock = ManualClock::new(Timestamp::from_seconds(1_800_000_000));
        let tenant = TenantId::generate(&clock, &SeededEntropy::new(1));
        let deployment = DeploymentId::new("d1").unwrap();
        let name = object_name(&deployment, tenant, Role::Instance, Generation(3));
        let labels = ObjectLabels {
            role: Role::Instance,
            tenant: Some(tenant),
            generation: Generation(3),
            spec: "abc".to_owned(),
        };
        (LabelKeys::new(deployment, "k1", [7; 32]), labels, name)
    }

    #[test]
    fn what_was_signed_is_read_back_also_after_a_rotation() {
        let (keys, labels, name) = fixture();
        let map = keys.sign(&name, &labels);
        assert_eq!(keys.read(&name, &map), Some(labels.clone()));
        let rotated = LabelKeys::new(DeploymentId::new("d1").unwrap(), "k2", [8; 32])
            .accepting("k1", [7; 32]);
        assert_eq!(rotated.read(&name, &map), Some(labels));
    }

    #[test]
    fn f32_copied_or_changed_labels_are_foreign() {
        let (keys, labels, name) = fixture();
        let map = keys.sign(&name, &labels);
        assert_eq!(
            keys.read("a-copy", &map),
            None,
            "labels copied to another object"
        );
        for key in map.keys() {
            let mut changed = map.clone();
            changed.insert(key.clone(), "1".to_owned());
            assert_eq!(keys.read(&name, &changed), None, "{key} changed");
            changed.remove(key);
            assert_eq!(keys.read(&name, &changed), None, "{key} missing");
        }
        let other = LabelKeys::new(DeploymentId::new("d1").unwrap(), "k1", [9; 32]);
        assert_eq!(other.read(&name, &map), None, "another key");
    }
}
