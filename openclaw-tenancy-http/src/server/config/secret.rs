//! Secrets among the settings: where they may stand, and that they are never shown.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::Problem;
use super::tree::{Leaf, Node, Origin, Scalar, shown};

/// The keys that hold secrets; `*` stands for any one segment, `**` for one or more.
const SECRETS: &[&[&str]] = &[
    &["store", "url"],
    &["tokens", "secret"],
    &["tokens", "previous_secret"],
    &["identity", "oidc", "*", "client_secret"],
    &["portainer", "api_key"],
    &["overlay", "providers", "*", "key"],
    // Channels carry their tokens in settings of OpenClaw's own naming.
    &["overlay", "sections", "**"],
];

/// The largest file that is taken for a secret, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// Whether the key at `path` holds a secret.
pub(super) fn is_secret(path: &[String]) -> bool {
    SECRETS.iter().any(|pattern| {
        let open = pattern.last() == Some(&"**");
        let fixed = &pattern[..pattern.len() - usize::from(open)];
        (path.len() == fixed.len() || open && path.len() > fixed.len())
            && fixed
                .iter()
                .zip(path)
                .all(|(want, is)| *want == "*" || want == is)
    })
}

/// A secret of the configuration. Neither `Debug` nor serialising shows it.
#[derive(Clone)]
pub(crate) struct Secret(SecretString);

impl Secret {
    /// The secret, for the one place that needs it.
    #[must_use]
    pub(crate) const fn inner(&self) -> &SecretString {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(SecretString::from(text))
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq as _;
        self.0
            .expose_secret()
            .as_bytes()
            .ct_eq(other.0.expose_secret().as_bytes())
            .into()
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Err(serde::de::Error::custom(
                "is empty; give the secret or remove the key",
            ));
        }
        if let Some(found) = example(&text) {
            return Err(serde::de::Error::custom(format_args!(
                "contains `{found}`, as examples in documentation do; give a secret of your own"
            )));
        }
        Ok(Self(SecretString::from(text)))
    }
}

/// What only secrets copied from an example contain, in lower case.
const EXAMPLES: &[&str] = &[
    "change-me",
    "change_me",
    "changeme",
    "change-this",
    "change-in-production",
    "placeholder",
    "replace-",
    "replace_",
    "your-",
    "your_",
    "<your",
    "xxxxxxxx",
];

fn example(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    EXAMPLES
        .iter()
        .copied()
        .find(|example| lower.contains(example))
}

/// Reads the file that each `…_file` key of a secret names, into the key of the secret itself.
///
/// Paths are taken as they are: [`anchor`](super::sources::anchor) comes first.
pub(super) fn read_files(root: &mut Node) -> Vec<Problem> {
    let mut problems = Vec::new();
    let named: Vec<(Vec<String>, Vec<String>, Leaf)> = root
        .leaves()
        .into_iter()
        .filter_map(|(path, leaf)| {
            let (last, parents) = path.split_last()?;
            let mut target = parents.to_vec();
            target.push(last.strip_suffix("_file")?.to_owned());
            is_secret(&target).then(|| (path.clone(), target, leaf.clone()))
        })
        // What lies below `overlay.sections` is OpenClaw's, where a `_file` may be its own.
        .filter(|(path, ..)| path.get(1).is_none_or(|second| second != "sections"))
        .collect();
    for (path, target, leaf) in named {
        root.remove(&path);
        let problem = |what: String, fix: &str| {
            Problem::new(shown(&path), what, fix)
                .value(&leaf.value)
                .from(Some(leaf.origin.clone()))
        };
        if let Some(Node::Leaf(other)) = root.at(&target) {
            problems.push(problem(
                format!("{} is set as well ({})", shown(&target), other.origin),
                "keep one of the two",
            ));
            continue;
        }
        let Scalar::Text(name) = &leaf.value else {
            problems.push(problem(
                "is not a path".to_owned(),
                "write the file's path in quotes",
            ));
            continue;
        };
        let file = PathBuf::from(name);
        match read_file(&file) {
            Ok(text) => {
                let leaf = Leaf::text(text, Origin::SecretFile(file));
                problems.extend(super::sources::lay(root, &target, leaf));
            }
            Err(why) => problems.push(problem(
                format!("the file cannot be read: {why}"),
                "give a file of at most 64 KiB of text that this user can read",
            )),
        }
    }
    problems
}

/// The file's text without its last line end.
fn read_file(file: &Path) -> std::io::Result<String> {
    if std::fs::metadata(file)?.len() > MAX_FILE {
        return Err(std::io::Error::other("it is too large"));
    }
    let text = std::fs::read_to_string(file)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}
