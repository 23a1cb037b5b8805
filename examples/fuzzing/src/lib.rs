//! Inputs from strangers, tried on what reads them: a corpus that is kept, and inputs made from it.
//!
//! A target is a test beside the code that it tries, which calls [`run`] with its corpus and a property. Each test run
//! replays the whole corpus and then as many mutated inputs as a test run has time for, always the same ones:
//!
//! - `FUZZ_SECONDS=600 cargo test -p CRATE --all-features fuzz -- --nocapture` goes on for that long at each target, with
//!   another seed each time; `cargo xtask test --long --only fuzz` does so for all of them.
//! - `FUZZ_SEED=<n>` makes the inputs of that seed again.
//!
//! What fails is made smaller, and written into the corpus as `found-<hash>`: a run replays it until it passes. With
//! its mend it is committed, under a name that says what it is.

mod mutate;

use std::fmt::Write as _;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::strategy::{Just, Strategy};
use proptest::test_runner::{
    Config, RngAlgorithm, TestCaseError, TestCaseResult, TestError, TestRng, TestRunner,
};

use crate::mutate::Pool;

/// What a target says of an input. `prop_assert!` and its sisters make one that fails; a panic is one as well.
pub type Verdict = TestCaseResult;

/// Mutated inputs of each target in a test run that nobody asked to be long.
const INPUTS: u32 = 3_000;

/// For so long an input that fails is made smaller, twice: by the library, and then by us.
const MADE_SMALLER: Duration = Duration::from_secs(5);

/// How many mutated inputs go between two looks at the time.
const BATCH: u32 = 500;

/// How much is tried, and from which seed.
#[derive(Debug, Clone, Copy)]
struct Extent {
    seed: u64,
    lasts: Option<Duration>,
}

impl Extent {
    fn of_environment() -> Self {
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        let lasts = number("FUZZ_SECONDS").map(Duration::from_secs);
        let seed = number("FUZZ_SEED").unwrap_or_else(|| match lasts {
            // A seed that nobody has had yet; the run that must say the same each time has a fixed one.
            Some(_) => RandomState::new().hash_one(0),
            None => 0,
        });
        Self { seed, lasts }
    }
}

/// Tries `target` on each file in `corpus`, and then on inputs made from them.
///
/// # Panics
/// When one of them fails: with its name or the seed, and with where it was written.
pub fn run(corpus: impl AsRef<Path>, target: impl Fn(&[u8]) -> Verdict) {
    let corpus = corpus.as_ref();
    match try_out(corpus, Extent::of_environment(), target) {
        Ok(report) => println!("{report}"),
        Err(report) => panic!("{report}"),
    }
}

fn try_out(
    corpus: &Path,
    extent: Extent,
    target: impl Fn(&[u8]) -> Verdict,
) -> Result<String, String> {
    let name = corpus.file_name().unwrap_or_default().to_string_lossy();
    let kept = read(corpus).map_err(|error| format!("fuzz {name}: no corpus: {error}"))?;
    if kept.is_empty() {
        return Err(format!("fuzz {name}: the corpus is empty"));
    }
    let mut failures = String::new();
    for (file, input) in &kept {
        if let Err(failure) = once(input, &target) {
            // Writing to a text does not fail.
            let _ = write!(
                failures,
                "\nfuzz {name}: {file}: {failure}\n  {}",
                shown(input)
            );
        }
    }
    if !failures.is_empty() {
        return Err(failures);
    }
    let count = kept.len();
    let pool = Pool::new(kept.into_iter().map(|(_, input)| input).collect());
    match mutated(&pool, extent, &target) {
        Ok((made, took)) => Ok(format!(
            "fuzz {name}: {count} inputs of the corpus and {made} made from them with seed {} in {:.1} s",
            extent.seed,
            took.as_secs_f64(),
        )),
        Err((reason, input)) => {
            let input = smaller(input, &target);
            let reason = once(&input, &target).err().unwrap_or(reason);
            Err(format!(
                "fuzz {name}: with FUZZ_SEED={}: {reason}\n  {}\n  {}",
                extent.seed,
                shown(&input),
                keep(corpus, &input),
            ))
        }
    }
}

/// Every file of the corpus, by name.
fn read(corpus: &Path) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut files: Vec<PathBuf> = fs::read_dir(corpus)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    files.sort_unstable();
    let named = |file: PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        Ok((name.into_owned(), fs::read(&file)?))
    };
    files.into_iter().map(named).collect()
}

fn config(cases: u32, max_shrink_iters: u32) -> Config {
    Config {
        cases,
        max_shrink_iters,
        // In milliseconds.
        max_shrink_time: u32::try_from(MADE_SMALLER.as_millis()).unwrap_or(u32::MAX),
        // An input is kept as its bytes, which say more than a seed.
        failure_persistence: None,
        ..Config::default()
    }
}

/// The library's runner catches panics, so that an input that panics is named as any other.
fn once(input: &[u8], target: &impl Fn(&[u8]) -> Verdict) -> Result<(), String> {
    TestRunner::new(config(1, 0))
        .run(&Just(input.to_vec()), |input| target(&input))
        .map_err(|error| described(error).0)
}

/// An input that fails, without what it fails without too: pieces of half its length, then of a quarter, down to bytes.
///
/// The library makes the changes fewer that led to it; what they began with stays.
fn smaller(mut input: Vec<u8>, target: &impl Fn(&[u8]) -> Verdict) -> Vec<u8> {
    let began = now();
    let mut piece = input.len() / 2;
    while piece > 0 {
        let mut at = 0;
        while at < input.len() {
            if began.elapsed() > MADE_SMALLER {
                return input;
            }
            let mut tried = input.clone();
            tried.drain(at..input.len().min(at + piece));
            if once(&tried, target).is_err() {
                input = tried;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    input
}

fn mutated(
    pool: &Pool,
    extent: Extent,
    target: &impl Fn(&[u8]) -> Verdict,
) -> Result<(u64, Duration), (String, Vec<u8>)> {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&extent.seed.to_be_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut source = TestRunner::new_with_rng(config(0, 0), rng);
    let inputs = mutate::scripts().prop_map(|script| pool.made_by(&script));
    let began = now();
    let mut made = 0;
    while extent
        .lasts
        .map_or(made < u64::from(INPUTS), |lasts| began.elapsed() < lasts)
    {
        TestRunner::new_with_rng(config(BATCH, 4_000), source.new_rng())
            .run(&inputs, |input| target(&input))
            .map_err(described)?;
        made += u64::from(BATCH);
    }
    Ok((made, began.elapsed()))
}

fn described(error: TestError<Vec<u8>>) -> (String, Vec<u8>) {
    match error {
        TestError::Fail(reason, input) => (reason.to_string(), input),
        TestError::Abort(reason) => (reason.to_string(), Vec::new()),
    }
}

/// Writes `input` into the corpus, and says where.
fn keep(corpus: &Path, input: &[u8]) -> String {
    // FNV-1a: one name for one input, on every machine.
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let file = corpus.join(format!("found-{hash:016x}"));
    match fs::write(&file, input) {
        Ok(()) => format!("it is in {}", file.display()),
        Err(error) => format!("it cannot be written to {}: {error}", file.display()),
    }
}

fn shown(input: &[u8]) -> String {
    const MOST: usize = 2_000;
    let end = input.len().min(MOST);
    let more = if input.len() > MOST { "…" } else { "" };
    format!("\"{}\"{more}", input[..end].escape_ascii())
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a run lasts is real time, and nothing is decided by it"
)]
fn now() -> Instant {
    Instant::now()
}

/// A verdict that an input fails, for what no `prop_assert!` says.
#[must_use]
pub fn fails(reason: impl Into<String>) -> TestCaseError {
    TestCaseError::fail(reason.into())
}

#[cfg(test)]
mod tests {
    use proptest::prop_assert;

    use super::*;

    const SHORT: Extent = Extent {
        seed: 0,
        lasts: None,
    };

    fn corpus(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn what_holds_for_all_is_reported_with_its_counts() {
        let corpus = corpus(&[("a", "one"), ("b", "two")]);
        let report = try_out(corpus.path(), SHORT, |_| Ok(())).unwrap();
        let said = "2 inputs of the corpus and 3000 made from them with seed 0";
        assert!(report.contains(said), "{report}");
        assert_eq!(fs::read_dir(corpus.path()).unwrap().count(), 2);
    }

    #[test]
    fn every_kept_input_that_fails_is_named_also_one_that_panics() {
        let corpus = corpus(&[("good", "one"), ("bad", "no"), ("worse", "never")]);
        let report = try_out(corpus.path(), SHORT, |input| {
            assert!(input != b"never", "a panic");
            prop_assert!(input != b"no", "a verdict");
            Ok(())
        });
        let report = report.unwrap_err();
        for said in ["bad: ", "a verdict", "worse: ", "a panic", "\"never\""] {
            assert!(report.contains(said), "{said}: {report}");
        }
        assert!(!report.contains("good: "), "{report}");
    }

    #[test]
    fn what_is_found_is_made_small_and_kept_and_then_replayed() {
        let corpus = corpus(&[("list", "[1, 2, 3]"), ("pair", "{\"a\": [4, 5]}")]);
        let nested = |input: &[u8]| {
            let opened = input.iter().filter(|byte| **byte == b'[').count();
            prop_assert!(opened < 3, "{opened} lists");
            Ok(())
        };
        let report = try_out(corpus.path(), SHORT, nested).unwrap_err();
        assert!(report.contains("FUZZ_SEED=0: 3 lists"), "{report}");
        let again = try_out(corpus.path(), SHORT, nested).unwrap_err();
        assert!(again.contains("found-"), "{again}");
        assert!(!again.contains("FUZZ_SEED"), "{again}");
    }

    #[test]
    fn a_target_without_inputs_fails() {
        let empty = corpus(&[]);
        assert!(try_out(empty.path(), SHORT, |_| Ok(())).is_err());
        let missing = empty.path().join("none");
        assert!(try_out(&missing, SHORT, |_| Ok(())).is_err());
    }

    #[test]
    fn a_long_run_lasts_as_long_as_it_is_told() {
        let corpus = corpus(&[("a", "one")]);
        let lasts = Duration::from_millis(300);
        let extent = Extent {
            seed: 7,
            lasts: Some(lasts),
        };
        let began = now();
        try_out(corpus.path(), extent, |_| Ok(())).unwrap();
        assert!(began.elapsed() >= lasts);
    }
}
