//! The three sources: a TOML file, the environment, and flags.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Problem};
use super::tree::{Leaf, Node, Origin, Scalar, shown};

/// The prefix of a setting's environment variable: `OPENCLAW_TENANCY__SERVER__LISTEN` is `server.listen`.
pub(crate) const PREFIX: &str = "OPENCLAW_TENANCY__";

/// Variables that flags read by themselves.
const OF_FLAGS: [&str; 2] = ["OPENCLAW_TENANCY_CONFIG", "OPENCLAW_TENANCY_DATA"];

/// The environment variable of the key at `path`.
pub(super) fn variable(path: &[String]) -> String {
    format!("{PREFIX}{}", path.join("__").to_ascii_uppercase())
}

/// Reads the file at `path`.
pub(super) fn file(path: &Path) -> Result<Node, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        ConfigError::one(Problem::new(
            path.display().to_string(),
            format!("the file cannot be read: {error}"),
            "name a readable file with --config, or give none",
        ))
    })?;
    let table = DeTable::parse(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(&text, span.start));
        ConfigError::one(
            Problem::new(
                path.display().to_string(),
                format!("is not TOML: {}", error.message().replace('\n', ", ")),
                "correct the line",
            )
            .from(Some(Origin::File {
                path: path.to_owned(),
                line,
            })),
        )
    })?;
    let source = Source { path, text: &text };
    Ok(source.table(table.get_ref()))
}

struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn table(&self, table: &DeTable<'_>) -> Node {
        let entries = table.iter();
        Node::Table(
            entries
                .map(|(name, value)| (name.get_ref().clone().into_owned(), self.node(value)))
                .collect(),
        )
    }

    fn node(&self, value: &Spanned<DeValue<'_>>) -> Node {
        let scalar = match value.get_ref() {
            DeValue::Table(table) => return self.table(table),
            DeValue::Array(list) => return Node::List(list.iter().map(|v| self.node(v)).collect()),
            DeValue::String(text) => Scalar::Text(text.clone().into_owned()),
            DeValue::Boolean(value) => Scalar::Boolean(*value),
            // A number too large for its type is refused by the key that reads it, as text.
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(
                    |_| Scalar::Text(number.as_str().to_owned()),
                    Scalar::Integer,
                ),
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .map_or_else(|_| Scalar::Text(number.as_str().to_owned()), Scalar::Float),
            DeValue::Datetime(time) => Scalar::Text(time.to_string()),
        };
        let line = line_of(self.text, value.span().start);
        Node::Leaf(Leaf {
            value: scalar,
            origin: Origin::File {
                path: self.path.to_owned(),
                line,
            },
        })
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()
        .iter()
        .take(at)
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

/// Makes the relative paths of a configuration file be meant from the file's own directory.
pub(super) fn anchor(root: &mut Node) {
    let found: Vec<_> = root
        .leaves()
        .into_iter()
        .filter_map(|(path, leaf)| {
            let last = path.last()?;
            let named = last.ends_with("_file") || last == "data_dir";
            let ours = path.get(1).is_none_or(|second| second != "sections");
            let (Scalar::Text(text), Origin::File { path: file, .. }) = (&leaf.value, &leaf.origin)
            else {
                return None;
            };
            let anchored = file
                .parent()?
                .join(text)
                .into_os_string()
                .into_string()
                .ok()?;
            (named && ours).then(|| (path.clone(), Leaf::text(anchored, leaf.origin.clone())))
        })
        .collect();
    for (path, leaf) in found {
        // It stood there before.
        let _: bool = root.put(&path, leaf);
    }
}

/// Lays the variables that begin with [`PREFIX`] over `root`. An empty one counts as not set, as compose
/// files leave them.
pub(super) fn environment(root: &mut Node, variables: &BTreeMap<String, String>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, value) in variables.iter().filter(|(_, value)| !value.is_empty()) {
        if let Some(rest) = name.strip_prefix(PREFIX) {
            let path: Vec<String> = rest
                .split("__")
                .map(|segment| segment.to_ascii_lowercase())
                .collect();
            let origin = Origin::Env(name.clone());
            problems.extend(lay(root, &path, Leaf::text(value.clone(), origin)));
        } else if name.starts_with("OPENCLAW_TENANCY_") && !OF_FLAGS.contains(&name.as_str()) {
            // One underscore too few would be passed over in silence.
            problems.push(Problem::new(
                name.clone(),
                "is no setting's variable",
                format!("write it as {PREFIX}SECTION__KEY, with two underscores"),
            ));
        }
    }
    problems
}

/// Lays one flag's value over `root`.
pub(super) fn flag(root: &mut Node, flag: &'static str, key: &str, value: &str) -> Option<Problem> {
    lay(root, &parse_key(key), Leaf::text(value, Origin::Flag(flag)))
}

/// The path of a key as a person writes it, such as `hosts[0].address`.
pub(super) fn parse_key(key: &str) -> Vec<String> {
    key.split(['.', '[', ']'])
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Lays one value over `root`.
pub(super) fn lay(root: &mut Node, path: &[String], leaf: Leaf) -> Option<Problem> {
    let origin = leaf.origin.clone();
    if !path.is_empty() && root.put(path, leaf) {
        return None;
    }
    Some(
        Problem::new(
            shown(path),
            "there is no place for this setting in what is set already",
            "number the entries of a list from 0, and give a plain value no settings of its own",
        )
        .from(Some(origin)),
    )
}
