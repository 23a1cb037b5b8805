//! Rules about what may depend on what, as the architecture promises it.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::verdict;
use crate::platform::workspace;
use crate::run;

const CORE: &str = "openclaw-tenancy";
const PORTAINER: &str = "openclaw-tenancy-portainer";
const POSTGRES: &str = "openclaw-tenancy-postgres";
const HTTP: &str = "openclaw-tenancy-http";

/// What the core depends on itself: nothing that opens a file, a socket or a database. Another one is put here with
/// its reason, in the commit that brings it.
const OF_THE_CORE: [&str; 16] = [
    "async-trait",
    "futures",
    "getrandom",
    "hmac",
    "ipnet",
    "mockall",
    "secrecy",
    "serde",
    "serde_json",
    "sha2",
    "subtle",
    "thiserror",
    "time",
    "tokio",
    "tracing",
    "uuid",
];

/// What opens sockets, speaks HTTP or SQL: the core does none of it.
const NETWORK_AND_SQL: [&str; 15] = [
    "axum",
    "bollard",
    "h2",
    "http",
    "hyper",
    "hyper-util",
    "libsqlite3-sys",
    "mio",
    "reqwest",
    "rustls",
    "socket2",
    "sqlx",
    "sqlx-core",
    "tower-http",
    "tungstenite",
];

/// What `deny.toml` says: the one list of both.
#[derive(Debug, Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Banned>,
}

#[derive(Debug, Deserialize)]
struct Banned {
    #[serde(rename = "crate")]
    name: String,
}

impl Deny {
    fn read() -> Result<Self> {
        let text = std::fs::read_to_string(workspace().join("deny.toml"))?;
        toml::from_str(&text).context("deny.toml")
    }

    /// Whether an SPDX expression leaves a choice of which we accept everything that is needed.
    ///
    /// `A OR B` is a choice, `A AND B` needs both; parentheses appear only around choices in practice
    /// and are read so.
    fn accepts(&self, expression: &str) -> bool {
        let flat = expression.replace('/', " OR ");
        let allowed = |licence: &str| {
            let licence = licence.trim_matches(['(', ')', ' ']);
            self.licenses.allow.iter().any(|allowed| allowed == licence)
        };
        flat.split(" AND ").all(|part| {
            part.trim_matches(['(', ')', ' '])
                .split(" OR ")
                .any(allowed)
        })
    }
}

/// Checks the dependency graph, the licences and the sources.
pub(crate) fn check() -> Result<()> {
    let deny = Deny::read()?;
    let banned: Vec<&str> = deny.bans.deny.iter().map(|b| b.name.as_str()).collect();
    let mut violations = Vec::new();
    let mut forbid = |package: &str, options: &[&str], names: &[&str]| -> Result<()> {
        let tree = tree(package, options)?;
        for name in names.iter().filter(|name| tree.contains(**name)) {
            let with = options.join(" ");
            violations.push(format!("{package} ({with}) depends on {name}"));
        }
        Ok(())
    };
    forbid(CORE, &["--all-features"], &NETWORK_AND_SQL)?;
    let direct = tree(CORE, &["--all-features", "--depth", "1"])?;
    forbid(
        PORTAINER,
        &["--all-features"],
        &[POSTGRES, HTTP, "sqlx", "axum", "reqwest"],
    )?;
    forbid(
        POSTGRES,
        &["--all-features"],
        &[PORTAINER, HTTP, "bollard", "hyper", "axum"],
    )?;
    let library = ["--no-default-features", "--features", "api,oidc,edge"];
    forbid(HTTP, &library, &[PORTAINER, POSTGRES, "bollard", "sqlx"])?;
    let everything = everything()?;
    let banned = banned.iter().filter(|name| everything.contains(**name));
    violations
        .extend(banned.map(|name| format!("{name} is banned, and something is built with it")));
    violations.extend(beyond(&direct));
    violations.extend(foreign_packages(&deny)?);
    verdict(&violations)
}

/// What of the core's own dependencies is not on its list.
fn beyond(direct: &BTreeSet<String>) -> Vec<String> {
    let listed = |name: &&String| OF_THE_CORE.contains(&name.as_str());
    let others = direct.iter().filter(|name| !listed(name));
    others
        .map(|name| format!("{CORE} depends on {name}, which is not on its list"))
        .collect()
}

/// The names of everything that a package builds with, itself left out. `options` are of `cargo tree`.
fn tree(package: &str, options: &[&str]) -> Result<BTreeSet<String>> {
    tree_of(&[&["--package", package, "--edges", "normal"], options].concat())
}

/// The names of everything that any package of the workspace is built or tested with, on any machine.
fn everything() -> Result<BTreeSet<String>> {
    let every_kind = ["--edges", "normal,build,dev", "--target", "all"];
    tree_of(&[&["--workspace", "--all-features"], &every_kind[..]].concat())
}

fn tree_of(options: &[&str]) -> Result<BTreeSet<String>> {
    let lines = run::output(
        Command::new("cargo")
            .args(["tree", "--prefix", "none", "--format", "{p}"])
            .args(options)
            .current_dir(workspace()),
    )?;
    let names = names(&lines);
    // A tree that was not read would break no rule.
    ensure!(!names.is_empty(), "cargo tree {options:?} names nothing");
    Ok(names)
}

/// The names in what `cargo tree` prints, the package itself left out.
fn names(lines: &str) -> BTreeSet<String> {
    lines
        .lines()
        .skip(1)
        .filter_map(|line| line.split(' ').next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Packages that do not come from the one registry, or under a licence we have not looked at.
fn foreign_packages(deny: &Deny) -> Result<Vec<String>> {
    let metadata = run::output(
        Command::new("cargo")
            .args(["metadata", "--format-version", "1", "--all-features"])
            .current_dir(workspace()),
    )?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata is no JSON")?;
    let packages = || metadata["packages"].as_array().into_iter().flatten();
    // Cargo's own registry is where everything else comes from.
    let registry = packages()
        .find(|package| package["name"] == "serde")
        .and_then(|package| package["source"].as_str())
        .filter(|source| source.starts_with("registry+"))
        .context("serde comes from no registry")?;
    let mut violations = Vec::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap_or_default();
        // A package without a source is one of this workspace.
        let Some(source) = package["source"].as_str() else {
            continue;
        };
        if source != registry {
            violations.push(format!(
                "{name} comes from {source}, everything else from {registry}: use a version published there"
            ));
        }
        let licence = package["license"].as_str().unwrap_or_default();
        if !deny.accepts(licence) {
            violations.push(format!(
                "{name} is under {licence:?}, which is not on the list"
            ));
        }
    }
    Ok(violations)
}

#[cfg(test)]
mod tests {
    use super::{CORE, Deny, beyond, everything, names, tree};

    #[test]
    fn a_dependency_that_is_not_listed_is_told() {
        let direct =
            names("openclaw-tenancy v0.1.0 (/here)\nserde v1.0.0\nureq v3.0.0\nuuid v1.0.0 (*)\n");
        assert_eq!(
            beyond(&direct),
            ["openclaw-tenancy depends on ureq, which is not on its list"]
        );
    }

    #[test]
    fn what_the_core_depends_on_is_read_and_listed() {
        let direct = tree(CORE, &["--all-features", "--depth", "1"]).unwrap();
        assert!(direct.contains("serde"), "{direct:?}");
        assert_eq!(beyond(&direct), [""; 0]);
    }

    #[test]
    fn what_anything_is_built_with_is_read() {
        let built = everything().unwrap();
        // By a library, by tests alone, and by a build script alone.
        for name in ["bollard", "rcgen", "cc"] {
            assert!(built.contains(name), "{name} is not in {built:?}");
        }
    }

    #[test]
    fn a_choice_needs_one_and_a_sum_needs_all() {
        let deny = Deny::read().unwrap();
        let acceptable = |licence| deny.accepts(licence);
        assert!(acceptable("MIT OR Apache-2.0"));
        assert!(acceptable("MIT/Apache-2.0"));
        assert!(acceptable("GPL-3.0 OR MIT"));
        assert!(acceptable("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(acceptable("Apache-2.0 WITH LLVM-exception OR MIT"));
        assert!(!acceptable("MIT AND GPL-3.0"));
        assert!(!acceptable("OpenSSL"));
        assert!(!acceptable(""));
    }
}
