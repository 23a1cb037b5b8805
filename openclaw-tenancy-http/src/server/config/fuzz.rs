//! Any file is a configuration or a list of what is wrong with it, each with its key and its line; no secret is shown;
//! and what is shown of one that is in effect, given again, is the same.

use std::fs;
use std::path::Path;

use fuzzing::Verdict;
use proptest::{prop_assert, prop_assert_eq};
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::*;

/// Stands for every secret in the corpus.
const CANARY: &str = "c4n4ry";

#[test]
fn fuzz_config_names_what_is_wrong_and_shows_no_secret() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    fuzzing::run(
        concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/config"),
        |input| check(input, dirs[0].path(), dirs[1].path()),
    );
}

fn check(input: &[u8], dir: &Path, empty: &Path) -> Verdict {
    let text = String::from_utf8_lossy(input);
    // A file of secrets that never ends is an operator's own doing, and no stranger's.
    if text.contains("/dev") || text.contains("/proc") {
        return Ok(());
    }
    let file = dir.join("config.toml");
    fs::write(&file, input).map_err(|error| fuzzing::fails(error.to_string()))?;
    let sources = Sources {
        file: Some(file),
        data_dir: Some(dir.to_owned()),
        ..Sources::default()
    };
    let given = DeTable::parse(&text)
        .ok()
        .map(Spanned::into_inner)
        .map(DeValue::Table);
    let shows_secrets = given
        .as_ref()
        .is_some_and(|given| is_elsewhere(given, &mut Vec::new()));
    let loaded = match load(&sources) {
        Ok(loaded) => loaded,
        Err(error) => {
            prop_assert!(!error.problems.is_empty());
            let lines = input.split(|b| *b == b'\n').count();
            for problem in &error.problems {
                prop_assert!(
                    !problem.key.is_empty() && !problem.what.is_empty(),
                    "{problem}"
                );
                if let Some(tree::Origin::File { line, .. }) = problem.origin.as_deref() {
                    prop_assert!((1..=lines).contains(line), "{problem}");
                }
            }
            let said = format!("{error}\n{error:?}");
            prop_assert!(shows_secrets || !said.contains(CANARY), "{said}");
            return Ok(());
        }
    };
    let shown = serde_json::to_string(&loaded.settings()).unwrap_or_default();
    let shown = format!(
        "{shown}\n{:?}\n{loaded:?}\n{:?}",
        loaded.config,
        loaded.warnings()
    );
    prop_assert!(shows_secrets || !shown.contains(CANARY), "{shown}");
    if given.as_ref().is_some_and(has_plain_keys) {
        says_the_same_again(&loaded, empty)?;
    }
    Ok(())
}

/// Whether the canary stands where no secret belongs, so that it may be shown.
fn is_elsewhere(node: &DeValue<'_>, path: &mut Vec<String>) -> bool {
    let secret = is_for_a_secret(path);
    let mut below = |name: String, node: &Spanned<DeValue<'_>>| {
        let named = name.contains(CANARY);
        path.push(name);
        let found = named || is_elsewhere(node.get_ref(), path);
        path.pop();
        found
    };
    match node {
        DeValue::Table(table) => table
            .iter()
            .any(|(name, node)| below(name.get_ref().to_string(), node)),
        DeValue::Array(list) => {
            let mut list = list.iter().enumerate();
            list.any(|(at, node)| below(at.to_string(), node))
        }
        DeValue::String(text) => !secret && text.contains(CANARY),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
            false
        }
    }
}

/// Whether a secret stands here, or something in its place.
fn is_for_a_secret(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    matches!(
        &*path,
        ["store", "url", ..]
            | ["tokens", "secret" | "previous_secret", ..]
            | ["portainer", "api_key", ..]
            | ["identity", "oidc", _, "client_secret", ..]
            | ["overlay", "providers", _, "key", ..]
            | ["overlay", "sections", _, ..]
    )
}

/// Whether each name can be written in a flag.
fn has_plain_keys(node: &DeValue<'_>) -> bool {
    let plain = |b: u8| b.is_ascii_alphabetic() || b == b'_' || b == b'-';
    match node {
        DeValue::Table(table) => table.iter().all(|(name, node)| {
            let name = name.get_ref();
            !name.is_empty() && name.bytes().all(plain) && has_plain_keys(node.get_ref())
        }),
        DeValue::Array(list) => list.iter().all(|node| has_plain_keys(node.get_ref())),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => true,
    }
}

/// Gives every setting that is shown as a flag. Secrets are not shown, so with one of them there is nothing to compare.
fn says_the_same_again(loaded: &Loaded, empty: &Path) -> Verdict {
    let mut flags = Vec::new();
    for setting in loaded.settings() {
        let text = match setting.value {
            Value::String(text) if text == "[redacted]" => return Ok(()),
            Value::String(text) => text,
            Value::Array(list) => {
                let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
                let fits =
                    |text: &&str| !text.is_empty() && !text.contains(',') && text.trim() == *text;
                match texts.filter(|texts| texts.iter().all(fits)) {
                    Some(texts) => texts.join(","),
                    None => return Ok(()),
                }
            }
            other => other.to_string(),
        };
        flags.push(("--set", setting.key, text));
    }
    let sources = Sources {
        data_dir: Some(empty.to_owned()),
        flags,
        ..Sources::default()
    };
    let again = load(&sources)
        .map_err(|error| fuzzing::fails(format!("what is shown is refused: {error}")))?;
    let shown = |loaded: &Loaded| -> Vec<(String, Value)> {
        let settings = loaded.settings().into_iter();
        settings
            .filter(|setting| setting.key != "server.data_dir")
            .map(|setting| (setting.key, setting.value))
            .collect()
    };
    prop_assert_eq!(shown(&again), shown(loaded));
    let ours = |config: &Config| Config {
        server: ServerSection {
            data_dir: None,
            ..config.server.clone()
        },
        ..config.clone()
    };
    prop_assert_eq!(
        ours(&again.config),
        ours(&loaded.config),
        "other than it is shown"
    );
    Ok(())
}
