//! `[overlay]`: what every instance gets from the operator.

use std::collections::BTreeMap;
use std::fmt;

use openclaw_tenancy::instance::{Model, ModelProvider, Overlay, SECTIONS};
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use super::error::Problem;
use super::read_error::nearest;
use super::secret::Secret;

/// `[overlay]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct OverlaySection {
    /// The model an agent uses unless its owner chooses another: `provider/model`.
    pub(crate) default_model: Option<String>,
    /// `[overlay.providers.NAME]`: model providers.
    pub(crate) providers: BTreeMap<String, ProviderSection>,
    /// `[overlay.sections.NAME]`: further sections of `OpenClaw`'s own configuration, such as `channels`.
    pub(crate) sections: Sections,
    /// Sections that every instance includes from its first start on, given below or not. `OpenClaw` saves nothing
    /// into them.
    pub(crate) reserved: Vec<String>,
}

/// What an organisation decides and hardly anybody sets for oneself. Not `channels`, `tools` and the like: people could
/// not use `OpenClaw`'s own pages to connect what is theirs.
const RESERVED: [&str; 7] = [
    "approvals",
    "diagnostics",
    "logging",
    "messages",
    "security",
    "session",
    "telemetry",
];

impl Default for OverlaySection {
    fn default() -> Self {
        Self {
            default_model: None,
            providers: BTreeMap::new(),
            sections: Sections::default(),
            reserved: RESERVED.map(str::to_owned).into(),
        }
    }
}

/// Sections of `OpenClaw`'s configuration, by name. Channels carry their tokens in settings of `OpenClaw`'s
/// naming, so neither `Debug` nor serialising shows more than the names.
#[derive(Clone, PartialEq, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sections(pub(crate) BTreeMap<String, serde_json::Value>);

impl fmt::Debug for Sections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Serialize for Sections {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.keys().map(|name| (name, "[redacted]")))
    }
}

/// A model provider.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub(crate) struct ProviderSection {
    /// Where it is. For an instance this is also the permission to reach that origin.
    pub(crate) base_url: String,
    /// Which API it speaks, such as `openai-completions`.
    #[serde(default = "default_api")]
    pub(crate) api: String,
    /// Its key. It reaches every instance as a file that the tenant can read: give one of limited worth.
    #[serde(default)]
    pub(crate) key: Option<Secret>,
    /// Its models.
    pub(crate) models: Vec<ModelSection>,
}

fn default_api() -> String {
    "openai-completions".to_owned()
}

/// A model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct ModelSection {
    /// The provider's id of it.
    pub(crate) id: String,
    /// The name to show; the id unless it is set.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// Whether it reasons before it answers.
    #[serde(default)]
    pub(crate) reasoning: bool,
    /// How many tokens it takes in all.
    pub(crate) context_window: u64,
    /// How many tokens it answers at most.
    pub(crate) max_tokens: u64,
}

/// Sections of the instance's configuration that are ours alone.
const OURS: [&str; 5] = ["gateway", "update", "models", "secrets", "agents"];

impl OverlaySection {
    pub(super) fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (name, provider) in &self.providers {
            let key = format!("overlay.providers.{name}");
            let label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            // One of digits alone would come before all others in OpenClaw, and its models before the default model.
            let number = name.bytes().all(|b| b.is_ascii_digit());
            if name.len() > 63 || !name.bytes().all(label) || number {
                problems.push(Problem::new(
                    &key,
                    "is no name for a provider",
                    "write 1 to 63 of a-z, 0-9 and -, not digits alone",
                ));
            }
            let url = Url::parse(&provider.base_url).ok();
            if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
                problems.push(
                    Problem::new(
                        format!("{key}.base_url"),
                        "is not the URL of an API",
                        "write it as https://api.example.org/v1",
                    )
                    .value(format_args!("{:?}", provider.base_url)),
                );
            }
            if provider.models.is_empty() {
                problems.push(Problem::new(
                    format!("{key}.models"),
                    "is empty",
                    "give at least one model, with id, context_window and max_tokens",
                ));
            }
        }
        if let Some(model) = &self.default_model
            && !self.offers(model)
        {
            problems.push(
                Problem::new(
                    "overlay.default_model",
                    "is no model of overlay.providers",
                    "write provider/model with a provider and a model of this overlay",
                )
                .value(format_args!("{model:?}")),
            );
        }
        for name in self.sections.0.keys() {
            problems.extend(not_a_section(format!("overlay.sections.{name}"), name));
        }
        for name in &self.reserved {
            let problem = not_a_section("overlay.reserved".to_owned(), name);
            problems.extend(problem.map(|problem| problem.value(format_args!("{name:?}"))));
        }
        for (name, value) in &self.sections.0 {
            if !value.is_object() {
                problems.push(Problem::new(
                    format!("overlay.sections.{name}"),
                    "is not a table",
                    "write its settings below it",
                ));
            }
        }
        problems
    }

    fn offers(&self, name: &str) -> bool {
        name.split_once('/').is_some_and(|(provider, model)| {
            self.providers
                .get(provider)
                .is_some_and(|provider| provider.models.iter().any(|known| known.id == model))
        })
    }

    /// The overlay as instances are given it.
    #[must_use]
    pub(crate) fn overlay(&self) -> Overlay {
        let providers = self.providers.iter().map(|(name, provider)| {
            let models = provider
                .models
                .iter()
                .map(|model| Model {
                    id: model.id.clone(),
                    name: model.name.clone().unwrap_or_else(|| model.id.clone()),
                    reasoning: model.reasoning,
                    context_window: model.context_window,
                    max_tokens: model.max_tokens,
                })
                .collect();
            let provider = ModelProvider {
                base_url: provider.base_url.clone(),
                api: provider.api.clone(),
                key: provider.key.as_ref().map(|key| key.inner().clone()),
                models,
            };
            (name.clone(), provider)
        });
        Overlay {
            providers: providers.collect(),
            default_model: self.default_model.clone(),
            sections: self.sections.0.clone(),
            reserved: self.reserved.iter().cloned().collect(),
        }
    }
}

/// Why an operator cannot give the section `name`, if so: with one that `OpenClaw` does not know, no instance starts.
fn not_a_section(key: String, name: &str) -> Option<Problem> {
    if SECTIONS.contains(&name) {
        return None;
    }
    if OURS.contains(&name) {
        return Some(Problem::new(
            key,
            "the section is the server's own",
            "use overlay.providers and overlay.default_model for models; the rest cannot be set",
        ));
    }
    let fix = match nearest(name, SECTIONS.into_iter()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("the sections are {}", SECTIONS.join(", ")),
    };
    let what = "OpenClaw has no such section for an operator";
    Some(Problem::new(key, what, fix))
}
