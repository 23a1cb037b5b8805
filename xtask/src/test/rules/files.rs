//! Rules about the text of our own files.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::verdict;
use crate::platform::workspace;
use crate::run;

/// From here on a file holds more than one idea, unless its entry in [`LONG`] says why not.
const LONG_FROM: usize = 600;

/// No reason is good enough for a file of this length.
const NEVER: usize = 1000;

/// Files longer than [`LONG_FROM`] lines, with the reason.
const LONG: [(&str, &str); 0] = [];

/// How the path of every call of ours begins.
const OUR_CALLS: &str = concat!("/", "api/");

/// Where real time is measured and nothing is decided by it: tools, tests and measurements.
const MEASURING: [&str; 6] = [
    "xtask/",
    "benches/",
    "examples/",
    "/tests/",
    "/tests.rs",
    "/benches/",
];

/// Checks all files that git knows or would take.
pub(crate) fn check() -> Result<()> {
    let listed = run::output(
        Command::new("git")
            .args([
                "ls-files",
                "--cached",
                "--others",
                "--exclude-standard",
                "*.rs",
            ])
            .current_dir(workspace()),
    )?;
    let mut violations = Vec::new();
    for path in listed.lines() {
        let file = workspace().join(path);
        if !file.is_file() {
            continue;
        }
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {path}"))?;
        violations.extend(of_text(path, &text));
    }
    verdict(&violations)
}

/// What an embedder uses without a server: it names none of our HTTP calls, neither in words that it answers nor in
/// docs.
const WITHOUT_HTTP: [&str; 2] = ["openclaw-tenancy/src/", "openclaw-tenancy-postgres/src/"];

/// Where every decision is deterministic: what has another order in each process decides nothing.
const DETERMINISTIC: &str = "openclaw-tenancy/src/";

/// The rules that one file breaks.
fn of_text(path: &str, text: &str) -> Vec<String> {
    let mut violations = Vec::new();
    let lines = text.lines().count();
    let excused = LONG.iter().any(|(file, _)| *file == path);
    if lines >= NEVER || (lines > LONG_FROM && !excused) {
        violations.push(format!(
            "{path}: {lines} lines; split it, at {LONG_FROM} at the latest"
        ));
    }
    // Put together here, so that this file does not break its own rules.
    let forbidden = [
        (concat!("todo", "!("), "finish it or leave it out"),
        (concat!("unimplemented", "!("), "finish it or leave it out"),
        (concat!("#[", "ignore"), "a test runs or does not exist"),
        (concat!("#[", "should_panic"), "assert the error itself"),
        (
            concat!("#[", "allow("),
            "use #[expect(.., reason = \"..\")]",
        ),
        (
            concat!("#![", "allow("),
            "use #![expect(.., reason = \"..\")]",
        ),
    ];
    let without_http = WITHOUT_HTTP.iter().any(|place| path.starts_with(place));
    for (number, line) in text.lines().enumerate() {
        if without_http && line.contains(OUR_CALLS) {
            violations.push(format!(
                "{path}:{}: names an HTTP call; say what ends it, and let the API name the call",
                number + 1
            ));
        }
        let code = line.trim_start();
        let unordered = ["HashMap", "HashSet"]
            .iter()
            .any(|name| code.contains(name));
        if unordered && path.starts_with(DETERMINISTIC) && !code.starts_with("//") {
            violations.push(format!(
                "{path}:{}: has no order; use a BTreeMap or BTreeSet",
                number + 1
            ));
        }
        for (pattern, advice) in forbidden {
            if code.contains(pattern) && !code.starts_with("//") {
                violations.push(format!("{path}:{}: `{pattern}`: {advice}", number + 1));
            }
        }
        if asks_the_time(code) && !may_ask_the_time(path) {
            violations.push(format!(
                "{path}:{}: asks the time; take a Clock",
                number + 1
            ));
        }
    }
    violations
}

fn asks_the_time(code: &str) -> bool {
    !code.starts_with("//")
        && [
            "Instant::now(",
            "SystemTime::now(",
            "now_utc(",
            "now_local(",
        ]
        .iter()
        .any(|call| code.contains(call))
}

fn may_ask_the_time(path: &str) -> bool {
    path.ends_with("/clock.rs") || MEASURING.iter().any(|place| path.contains(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(path: &str, text: &str) -> usize {
        of_text(path, text).len()
    }

    #[test]
    fn what_has_no_order_is_named_where_decisions_are_made() {
        let text = "use std::collections::HashMap;\n";
        assert_eq!(broken("openclaw-tenancy/src/quota.rs", text), 1);
        assert_eq!(
            broken("openclaw-tenancy/tests/control_plane/load.rs", text),
            0
        );
        assert_eq!(broken("openclaw-tenancy-http/src/a.rs", text), 0);
    }

    #[test]
    fn a_long_file_is_named() {
        assert_eq!(broken("a/src/lib.rs", &"x\n".repeat(600)), 0);
        assert_eq!(broken("a/src/lib.rs", &"x\n".repeat(601)), 1);
    }

    #[test]
    fn unfinished_code_and_ignored_tests_are_named() {
        assert_eq!(broken("a.rs", concat!("    todo", "!()")), 1);
        assert_eq!(broken("a.rs", concat!("#[", "ignore = \"slow\"]")), 1);
        assert_eq!(broken("a.rs", concat!("#[", "allow(dead_code)]")), 1);
        assert_eq!(broken("a.rs", concat!("// todo", "!() is not allowed")), 0);
    }

    #[test]
    fn what_is_used_without_a_server_names_no_call() {
        let line = concat!("message.push_str(\"POST /", "api/hosts/h1/release\");");
        assert_eq!(broken("openclaw-tenancy/src/reconcile/host.rs", line), 1);
        assert_eq!(broken("openclaw-tenancy-http/src/api/hosts.rs", line), 0);
        let released = "message.push_str(\"until an administrator releases it\");";
        assert_eq!(
            broken("openclaw-tenancy/src/reconcile/host.rs", released),
            0
        );
    }

    #[test]
    fn only_the_clock_asks_the_time() {
        let line = "let now = Instant::now();";
        assert_eq!(broken("core/src/reconcile/plan.rs", line), 1);
        assert_eq!(broken("core/src/clock.rs", line), 0);
        assert_eq!(broken("core/tests/kit.rs", line), 0);
        assert_eq!(broken("xtask/src/term.rs", line), 0);
    }
}
