//! The effective configuration, as `openclaw-tenancy config` prints it.

use serde::Serialize;
use serde_json::Value;

use super::Config;
use super::tree::{Node, shown};

/// One setting that is in effect.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Setting {
    /// The key.
    pub(crate) key: String,
    /// The value; a secret's is `[redacted]`.
    pub(crate) value: Value,
    /// Where it came from: `default`, a line of the file, a variable or a flag.
    pub(crate) origin: String,
}

pub(super) fn settings(config: &Config, tree: &Node) -> Vec<Setting> {
    let mut settings = Vec::new();
    if let Ok(value) = serde_json::to_value(config) {
        flatten(value, &mut Vec::new(), tree, &mut settings);
    }
    settings
}

fn flatten(value: Value, path: &mut Vec<String>, tree: &Node, settings: &mut Vec<Setting>) {
    match value {
        Value::Null => {}
        Value::Object(map) => {
            for (name, value) in map {
                path.push(name);
                flatten(value, path, tree, settings);
                path.pop();
            }
        }
        // A list of plain values is one setting; a list of tables is several.
        Value::Array(list) if list.iter().any(Value::is_object) => {
            for (at, value) in list.into_iter().enumerate() {
                path.push(at.to_string());
                flatten(value, path, tree, settings);
                path.pop();
            }
        }
        value => {
            let given = tree
                .at(path)
                .and_then(|node| node.leaves().first().map(|(_, leaf)| *leaf));
            let origin = given.map_or_else(|| "default".to_owned(), |leaf| leaf.origin.to_string());
            settings.push(Setting {
                key: shown(path),
                value,
                origin,
            });
        }
    }
}
