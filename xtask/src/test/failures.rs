//! What failed tests said, out of everything that a run of `cargo test` prints: a log that is cut keeps its end.

use std::collections::VecDeque;
use std::io::{BufRead, Write};

/// As many of a test's last lines as tell what was wrong.
const LINES: usize = 60;

/// As much of a line as the list of failed tests has room for.
const BRIEF: usize = 300;

/// One failed test.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The test's.
    name: String,
    said: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let from = self.said.len().saturating_sub(LINES);
        writeln!(formatter, "---- {} ----", self.name)?;
        if from > 0 {
            writeln!(formatter, "({from} lines before)")?;
        }
        for line in self.said.get(from..).unwrap_or_default() {
            writeln!(formatter, "{line}")?;
        }
        Ok(())
    }
}

impl Failure {
    /// One line: the test and what its panic said, for a log of which only the end is kept.
    pub(super) fn brief(&self) -> String {
        let mut said = self.said.iter();
        let panic = said
            .find(|line| line.contains(" panicked at "))
            .and_then(|_| said.next());
        let Some(why) = panic.or(self.said.last()) else {
            return self.name.clone();
        };
        let why: String = why.chars().take(BRIEF).collect();
        format!("{} ({why})", self.name)
    }

    /// Of a program that ended before it told how its tests went.
    fn without_result(last: &mut VecDeque<String>) -> Self {
        Self {
            name: "a test program ended without a result".to_owned(),
            said: last.drain(..).collect(),
        }
    }
}

/// Whether a program begins with this line.
fn is_first(line: &str) -> bool {
    let count = line.strip_prefix("running ");
    count.is_some_and(|rest| rest.ends_with(" tests") || rest.ends_with(" test"))
}

/// Passes on what test programs print, and answers the failures among it.
pub(super) fn pass_on(from: impl BufRead, mut to: impl Write) -> std::io::Result<Vec<Failure>> {
    let mut failures: Vec<Failure> = Vec::new();
    // A program tells what successful tests said, then what failed ones said, then the names of these.
    let mut told = false;
    // Between the first and the last word of a program: it is killed, or aborts, with neither.
    let mut runs = false;
    // What tests said comes after the last of them, and may be what another test program said to them.
    let mut reports = false;
    let mut last: VecDeque<String> = VecDeque::new();
    for line in from.split(b'\n') {
        let mut line = line?;
        line.push(b'\n');
        to.write_all(&line)?;
        to.flush()?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if is_first(line) && !reports {
            if runs {
                failures.push(Failure::without_result(&mut last));
            }
            (runs, told) = (true, false);
            last.clear();
        }
        if last.len() == LINES {
            last.pop_front();
        }
        last.push_back(line.to_owned());
        reports |= line == "successes:";
        if line == "failures:" {
            (reports, told) = (true, !told);
        } else if line.starts_with("test result: ") {
            (runs, told, reports) = (false, false, false);
        } else if told {
            if let Some(name) = line
                .strip_prefix("---- ")
                .and_then(|line| line.strip_suffix(" stdout ----"))
            {
                let (name, said) = (name.to_owned(), Vec::new());
                failures.push(Failure { name, said });
            } else if let Some(failure) = failures.last_mut()
                && !line.is_empty()
            {
                failure.said.push(line.to_owned());
            }
        }
    }
    if runs {
        failures.push(Failure::without_result(&mut last));
    }
    Ok(failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
running 3 tests
test good ... ok
test bad ... FAILED
test worse ... FAILED

successes:

---- good stdout ----
a figure

successes:
    good

failures:

---- bad stdout ----
thread 'bad' panicked at tests/bad.rs:1:1:
left is not right

---- worse stdout ----
it said

failures:
    bad
    worse

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
running 0 tests
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn what_failed_tests_said_is_kept_and_everything_is_passed_on() {
        let mut passed_on = Vec::new();
        let failures = pass_on(PRINTED.as_bytes(), &mut passed_on).unwrap();
        assert_eq!(String::from_utf8(passed_on).unwrap(), PRINTED);
        let text: String = failures.iter().map(Failure::to_string).collect();
        assert_eq!(
            text,
            "---- bad ----\nthread 'bad' panicked at tests/bad.rs:1:1:\nleft is not right\n\
             ---- worse ----\nit said\n"
        );
    }

    #[test]
    fn a_program_that_was_killed_is_told_with_its_last_words() {
        let killed = "running 2 tests\ntest good ... ok\n";
        for after in ["", PRINTED] {
            let printed = format!("{PRINTED}{killed}{after}");
            let failures = pass_on(printed.as_bytes(), Vec::new()).unwrap();
            let names: Vec<_> = failures.iter().map(|failure| &failure.name[..]).collect();
            let without = "a test program ended without a result";
            assert_eq!(names[..3], ["bad", "worse", without]);
            assert_eq!(names.len(), if after.is_empty() { 3 } else { 5 });
            assert_eq!(failures[2].said, ["running 2 tests", "test good ... ok"]);
        }
    }

    #[test]
    fn a_program_that_a_test_ran_is_not_one_without_a_result() {
        let inner = "running 1 test\ntest inner ... ok\n\ntest result: ok. 1 passed\n";
        let printed = format!(
            "running 2 tests\ntest outer ... ok\ntest bad ... FAILED\n\nsuccesses:\n\n---- outer stdout ----\n\
             {inner}\n\nsuccesses:\n    outer\n\nfailures:\n\n---- bad stdout ----\nthread 'bad' panicked at \
             tests/bad.rs:1:1:\nleft is not right\n\n\nfailures:\n    bad\n\ntest result: FAILED. 1 passed\n"
        );
        let failures = pass_on(printed.as_bytes(), Vec::new()).unwrap();
        let brief: Vec<_> = failures.iter().map(Failure::brief).collect();
        assert_eq!(brief, ["bad (left is not right)"]);
    }

    #[test]
    fn of_a_long_text_the_end_is_kept() {
        let said = (0..100).map(|line| line.to_string()).collect();
        let name = "long".to_owned();
        let text = Failure { name, said }.to_string();
        assert!(
            text.starts_with("---- long ----\n(40 lines before)\n40\n"),
            "{text}"
        );
        assert!(text.ends_with("99\n"), "{text}");
    }
}
