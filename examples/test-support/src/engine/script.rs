//! What goes wrong, and when.

use std::time::Duration;

use serde_json::Value;

/// A call that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The method.
    pub method: String,
    /// The path without its version.
    pub path: String,
    /// The version in the path, `1.41`.
    pub version: Option<String>,
    /// The decoded query.
    pub query: Vec<(String, String)>,
    /// The body where it is JSON, else null.
    pub body: Value,
}

/// What a started container's answer-less start leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// A live process that the engine does not know of. It says `created`; starting again is refused with
    /// "already in use"; removing answers success and the process runs on.
    Ghost,
    /// A half-made task and no process. This container can never start.
    HalfMade,
    /// Nothing: the next start is clean.
    Nothing,
}

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No effect, and this answer.
    Refuse {
        /// The status code.
        status: u16,
        /// The text of the engine's error.
        message: String,
    },
    /// As usual, but later.
    Delay(Duration),
    /// As usual, but somebody removed a volume just before.
    VolumeGone(String),
    /// The connection closes before the effect.
    LoseRequest,
    /// The effect takes place and the connection closes.
    LoseAnswer,
    /// The effect takes place and the answer ends after so many bytes of its body.
    CutAnswer(usize),
    /// The effect takes place, and something in between answers with HTML.
    Html(u16),
    /// The effect takes place, and the answer is so many bytes of nothing.
    Flood(u64),
    /// No effect and no answer, until the caller gives up.
    Silence,
    /// The effect takes place, but no answer comes until the caller gives up.
    SilenceAfter,
    /// A start whose answer is lost, and what it leaves.
    LoseStart(Left),
}

/// A fault for some calls.
#[derive(Debug, Clone)]
pub struct Rule {
    method: String,
    path: String,
    skip: usize,
    times: usize,
    fault: Fault,
}

impl Rule {
    /// For calls of `method` to `path` (without version), where `*` stands for one segment.
    #[must_use]
    pub fn call(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            skip: 0,
            times: 1,
            fault: Fault::LoseRequest,
        }
    }

    /// Not the first `n` of them.
    #[must_use]
    pub const fn after(mut self, n: usize) -> Self {
        self.skip = n;
        self
    }

    /// `n` of them; one unless told.
    #[must_use]
    pub const fn times(mut self, n: usize) -> Self {
        self.times = n;
        self
    }

    /// All of them from there on.
    #[must_use]
    pub const fn always(self) -> Self {
        self.times(usize::MAX)
    }

    /// What happens to them.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        let mut wanted = self.path.split('/');
        let mut given = path.split('/');
        self.method == method
            && loop {
                match (wanted.next(), given.next()) {
                    (None, None) => break true,
                    (Some(w), Some(g)) if w == "*" || w == g => {}
                    (Some(_) | None, Some(_) | None) => break false,
                }
            }
    }
}

/// The rules and the record.
#[derive(Debug, Default)]
pub(super) struct Script {
    rules: Vec<Rule>,
    calls: Vec<Call>,
}

impl Script {
    pub(super) fn add(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(super) fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Records a call and says what happens to it.
    pub(super) fn take(&mut self, call: Call) -> Option<Fault> {
        let mut fault = None;
        for rule in &mut self.rules {
            if fault.is_some() || !rule.matches(&call.method, &call.path) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.times > 0 {
                rule.times -= 1;
                fault = Some(rule.fault.clone());
            }
        }
        if call.path != "/_ping" {
            self.calls.push(call);
        }
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, path: &str) -> Call {
        Call {
            method: method.into(),
            path: path.into(),
            version: None,
            query: Vec::new(),
            body: Value::Null,
        }
    }

    #[test]
    fn rules_count_their_own_calls() {
        let mut script = Script::default();
        script.add(
            Rule::call("POST", "/containers/*/start")
                .after(1)
                .times(2)
                .fault(Fault::LoseAnswer),
        );
        let outcomes: Vec<bool> = [
            "/containers/a/start",
            "/containers/a/kill",
            "/containers/b/start",
            "/containers/c/start",
            "/containers/d/start",
        ]
        .iter()
        .map(|path| script.take(call("POST", path)).is_some())
        .collect();
        assert_eq!(outcomes, [false, false, true, true, false]);
        assert_eq!(script.take(call("GET", "/containers/a/start")), None);
        assert_eq!(script.calls().len(), 6);
    }
}
