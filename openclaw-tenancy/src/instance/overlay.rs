//! What an operator gives every instance, and the files that carry it.
//!
//! All of it lies on the config volume, which is ours: a change reaches an instance by writing the files anew. What is
//! on the data volume is its owner's, and holds nothing of the overlay but pointers to those files.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::container::CONFIG_PATH;
use crate::labels::hex;

/// The sections of `OpenClaw`'s configuration (2026.9.6) that an operator may give: those that hold an object and are
/// not rendered by us.
///
/// Each has a file on the config volume, empty while nothing is given: a section that the overlay no longer names is
/// gone from every instance that includes it, and what it held from every volume.
pub const SECTIONS: [&str; 33] = [
    "accessGroups",
    "acp",
    "approvals",
    "attachments",
    "auth",
    "broadcast",
    "browser",
    "channels",
    "cloudWorkers",
    "commands",
    "cron",
    "desktop",
    "diagnostics",
    "discovery",
    "env",
    "hooks",
    "logging",
    "mcp",
    "memory",
    "messages",
    "nodeHost",
    "plugins",
    "proxy",
    "security",
    "session",
    "skills",
    "surfaces",
    "talk",
    "telemetry",
    "tools",
    "transcripts",
    "tts",
    "ui",
];

/// What an operator gives every instance.
///
/// Providers, their keys, the default model and what stands in a section that an instance includes reach the instances
/// that there are, those that run as well. An instance that was made while there was no default model leaves the choice
/// to its owner.
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    /// Model providers, by name.
    pub providers: BTreeMap<String, ModelProvider>,
    /// The model an agent uses unless its owner chooses another: `provider/model`.
    pub default_model: Option<String>,
    /// Further sections of `OpenClaw`'s configuration, of [`SECTIONS`], each included whole.
    pub sections: BTreeMap<String, Value>,
    /// Sections that instances include from their first start on, also while `sections` has nothing for them: one that
    /// is given later reaches them. `OpenClaw` saves nothing into an included section, so each is taken from the
    /// instance's owner. Any other section is included by the instances that are made while it is given.
    pub reserved: BTreeSet<String>,
}

/// A model provider with an OpenAI-compatible or other API that `OpenClaw` speaks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelProvider {
    /// Where it is. For `OpenClaw` this is also the permission to reach that origin.
    pub base_url: String,
    /// Which API, such as `openai-completions`.
    pub api: String,
    /// Its key: written to a file that the instance's user can read, so of limited worth it must be.
    #[serde(skip)]
    pub key: Option<SecretString>,
    /// Its models.
    pub models: Vec<Model>,
}

/// A model of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The provider's id of it.
    pub id: String,
    /// The name to show.
    pub name: String,
    /// Whether it reasons before it answers.
    #[serde(default)]
    pub reasoning: bool,
    /// How many tokens it takes in all.
    pub context_window: u64,
    /// How many tokens it answers at most.
    pub max_tokens: u64,
}

impl Overlay {
    /// The sections that an instance made now includes, beside ours.
    pub(super) fn included(&self) -> BTreeSet<&str> {
        let reserved = self.reserved.iter().map(String::as_str);
        reserved
            .chain(self.sections.keys().map(String::as_str))
            .collect()
    }

    /// Every section that there is or was, with what is given for it: nothing where nothing is.
    pub(super) fn contents(&self) -> BTreeMap<&str, Value> {
        let empty = || Value::Object(Map::new());
        let known = SECTIONS.into_iter().chain(self.included());
        let mut contents: BTreeMap<&str, Value> = known.map(|name| (name, empty())).collect();
        for (name, value) in &self.sections {
            contents.insert(name, value.clone());
        }
        contents
    }

    /// The model that agents use for which neither their owner nor a session has chosen one: what is configured, else
    /// what `OpenClaw` takes where nothing is, the first one of the first provider.
    pub(super) fn default_model(&self) -> Value {
        let first = self.providers.iter().find_map(|(name, provider)| {
            let model = provider.models.first()?;
            Some(format!("{name}/{}", model.id))
        });
        let named = self.default_model.clone().or(first);
        Value::String(named.unwrap_or_default())
    }

    /// The providers of models, the default model first: there it is also for an agent of an instance that was made
    /// while there was no default model.
    pub(super) fn models(&self) -> Models<'_> {
        let default = self
            .default_model
            .as_deref()
            .and_then(|name| name.split_once('/'));
        let mut providers: Vec<_> = self.providers.iter().collect();
        // A stable sort: the others keep their order.
        providers.sort_by_key(|(name, _)| default.is_none_or(|(first, _)| first != *name));
        let store = self.store_name();
        let entry = |(name, provider): (&'_ String, &'_ ModelProvider)| {
            let mut models: Vec<&Model> = provider.models.iter().collect();
            models.sort_by_key(|model| default != Some((name.as_str(), model.id.as_str())));
            let models: Vec<Value> = models.into_iter().map(model).collect();
            let mut entry =
                json!({ "baseUrl": provider.base_url, "api": provider.api, "models": models });
            if provider.key.is_some() {
                let id = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
                entry["apiKey"] = json!({ "source": "file", "provider": store, "id": id });
            }
            entry
        };
        let providers = providers
            .into_iter()
            .map(|(name, provider)| (name.as_str(), entry((name, provider))))
            .collect();
        Models {
            mode: "merge",
            providers: InOrder(providers),
        }
    }

    /// Where the keys are.
    pub(super) fn secrets(&self) -> Value {
        let mut providers = Map::new();
        if !self.keys().is_empty() {
            let path = format!("{CONFIG_PATH}/{KEYS_FILE}");
            providers.insert(
                self.store_name(),
                json!({ "source": "file", "path": path, "mode": "json" }),
            );
        }
        json!({ "providers": providers })
    }

    /// The keys, by provider. In one file, so that one that is no longer given is gone with the next writing.
    pub(super) fn keys(&self) -> Map<String, Value> {
        let key = |provider: &ModelProvider| {
            let key = provider.key.as_ref()?;
            Some(Value::from(key.expose_secret()))
        };
        self.providers
            .iter()
            .filter_map(|(name, provider)| Some((name.clone(), key(provider)?)))
            .collect()
    }

    /// What the configuration calls the file of keys. Another name with every change: `OpenClaw` reads keys when the
    /// configuration changes, and does not watch their file.
    fn store_name(&self) -> String {
        let mut hash = Sha256::new();
        for (name, provider) in &self.providers {
            let key = provider.key.as_ref().map(ExposeSecret::expose_secret);
            for part in [name.as_str(), key.unwrap_or_default()] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
        format!("manager-{}", hex(&hash.finalize()[..8]))
    }
}

/// The file of keys below [`CONFIG_PATH`].
pub(super) const KEYS_FILE: &str = "keys.json";
/// The file of the default model below [`CONFIG_PATH`]: a JSON text, included as the value of a variable.
pub(super) const DEFAULT_MODEL_FILE: &str = "default-model.json";
/// The variable by which an instance's configuration names the default model. Named in `agents.defaults.model`, and
/// not included there: `OpenClaw` saves its owner's choice over a variable, and over an include it refuses to.
pub(super) const DEFAULT_MODEL: &str = "TENANCY_DEFAULT_MODEL";

fn model(model: &Model) -> Value {
    json!({
        "id": model.id,
        "name": model.name,
        "reasoning": model.reasoning,
        "input": ["text"],
        "cost": { "input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0 },
        "contextWindow": model.context_window,
        "maxTokens": model.max_tokens,
    })
}

/// The section `models`.
#[derive(Serialize)]
pub(super) struct Models<'a> {
    mode: &'static str,
    providers: InOrder<'a>,
}

/// An object whose order is kept: that of a [`Map`] depends on how its crate was built.
struct InOrder<'a>(Vec<(&'a str, Value)>);

impl Serialize for InOrder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
