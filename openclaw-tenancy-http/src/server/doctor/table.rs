//! The report for people.

use comfy_table::{ContentArrangement, Table, presets};

use super::{Outcome, Report};

const WIDTH: u16 = 110;

pub(super) fn render(report: &Report) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH);
    for check in &report.checks {
        let mark = match check.outcome {
            Outcome::Note => "note",
            Outcome::Ok => "ok",
            Outcome::Warn => "WARN",
            Outcome::Fail => "FAIL",
        };
        let found = match check.fix.as_deref().filter(|fix| !fix.is_empty()) {
            Some(fix) => format!("{}\n-> {fix}", check.found),
            None => check.found.clone(),
        };
        table.add_row([mark, &check.subject, &found]);
    }
    let count = |outcome| {
        report
            .checks
            .iter()
            .filter(|check| check.outcome == outcome)
            .count()
    };
    let (warnings, failures) = (count(Outcome::Warn), count(Outcome::Fail));
    let total = report.checks.len() - count(Outcome::Note);
    let verdict = match report.outcome {
        Outcome::Note | Outcome::Ok => format!("All {total} checks passed."),
        Outcome::Warn => {
            format!("Nothing keeps it from working; {warnings} of {total} checks warn.")
        }
        Outcome::Fail => format!("{failures} of {total} checks failed, {warnings} warn."),
    };
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    format!("{}\n\n{verdict}\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::super::Check;
    use super::*;

    #[test]
    fn a_report_is_readable() {
        let checks = vec![
            Check::ok("database", "SQLite, up to date"),
            Check::warn(
                "engine local",
                "the kernel does not limit swap, so that a plan's swap allowance is not granted and \
                 what needs it does not run",
                "boot with swapaccount=1",
            ),
            Check::fail(
                "engine worker-1",
                "does not answer: connection refused",
                "start it",
            ),
        ];
        let report = Report {
            outcome: Outcome::Fail,
            checks,
        };
        insta::assert_snapshot!("table", report.table());
    }
}
