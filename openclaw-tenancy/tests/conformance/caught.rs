//! Whether each rule fails what breaks it, by an assertion of its own, and without the expected panic in the output.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{self, PanicHookInfo};
use std::sync::Once;
use std::time::Duration;

use openclaw_tenancy::conformance::Rule;

/// A panic: the file it came from, and what it would have printed.
type Panic = (String, String);

thread_local! {
    /// The panics of the rule that this thread runs. Its runtime has no other thread, so that all of them come here.
    static EXPECTED: RefCell<Option<Vec<Panic>>> = const { RefCell::new(None) };
}

/// Keeps a panic of a rule that is to fail; every other is printed as always.
fn keep_quiet_about_rules() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            let kept = EXPECTED.with_borrow_mut(|expected| {
                let file = info.location().map(|at| at.file().replace('\\', "/"));
                let panic = (file.unwrap_or_default(), info.to_string());
                expected.as_mut().map(|kept| kept.push(panic)).is_some()
            });
            if !kept {
                print(info);
            }
        }));
    });
}

/// Whether a file holds rules: what the kit prepares, and the race it runs, find nothing of their own.
fn holds_rules(file: &str) -> bool {
    file.contains("src/conformance/") && !file.ends_with("/race.rs")
}

/// The rules that did not fail what is broken, with what happened instead. Every rule must have one.
///
/// A rule has failed when the first panic is an assertion of the kit's: a panic of the broken implementation, or of
/// its fixture, says nothing about the rule.
pub(crate) async fn missed<F, B>(
    bugs: &[(&'static str, B)],
    rules: &'static [Rule<F>],
    fixture: impl Fn(B) -> Box<F> + Send + Sync,
) -> Vec<String>
where
    F: ?Sized + Send + Sync + 'static,
    B: Copy + Send + Sync,
{
    let covered: BTreeSet<_> = bugs.iter().map(|(name, _)| *name).collect();
    let all: BTreeSet<_> = rules.iter().map(|rule| rule.name).collect();
    assert_eq!(covered, all, "every rule has something broken");

    keep_quiet_about_rules();
    let mut missed = Vec::new();
    for rule in rules {
        let (_, bug) = bugs.iter().find(|(name, _)| *name == rule.name).unwrap();
        let fixture = fixture(*bug);
        EXPECTED.set(Some(Vec::new()));
        let mut checked = tokio::spawn(async move { (rule.check)(&*fixture).await });
        // A rule that goes on for ever has not said what is wrong.
        let ended = tokio::time::timeout(Duration::from_secs(20), &mut checked).await;
        let panics = EXPECTED.take().unwrap_or_default();
        let name = rule.name;
        match (ended, panics.first()) {
            (Ok(Err(failed)), Some((file, _))) if failed.is_panic() && holds_rules(file) => {}
            (Ok(Ok(())), _) => missed.push(format!("{name} found nothing")),
            (Err(_), _) => {
                checked.abort();
                missed.push(format!("{name} went on for ever"));
            }
            (Ok(Err(_)), panic) => {
                missed.push(format!(
                    "{name} failed by no assertion of its own: {panic:?}"
                ));
            }
        }
    }
    missed
}

/// What breaks down by itself is not caught by a rule.
#[tokio::test]
async fn a_panic_outside_the_kit_is_no_catch() {
    const RULES: &[Rule<()>] = &[
        Rule {
            name: "panics_in_its_fixture",
            check: |_| Box::pin(async { panic!("a fixture that does not work") }),
        },
        Rule {
            name: "holds",
            check: |_| Box::pin(async {}),
        },
    ];
    let missed = missed(
        &[("panics_in_its_fixture", ()), ("holds", ())],
        RULES,
        Box::new,
    )
    .await;
    let [broke_down, held] = missed.as_slice() else {
        panic!("both are missed: {missed:?}")
    };
    assert!(
        broke_down.contains("a fixture that does not work"),
        "{broke_down}"
    );
    assert_eq!(held, "holds found nothing");
}
