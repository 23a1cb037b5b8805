//! What the reader says of a value: the problem, and what to leave out so that reading can go on.

use std::fmt;

use serde::de::{self, Unexpected};

use super::error::Problem;
use super::secret;
use super::tree::{Leaf, shown};

/// A problem, and the path to take away so that reading can go on.
#[derive(Debug)]
pub(super) struct ReadError {
    pub(super) problem: Box<Problem>,
    missing: Option<&'static str>,
    pub(super) take: Option<Vec<String>>,
}

impl ReadError {
    /// The same, at `path`, unless it is located already.
    pub(super) fn located(mut self, path: &[String], leaf: Option<&Leaf>) -> Self {
        if self.take.is_none() {
            self.problem.key = shown(path);
            self.problem.origin = leaf.map(|leaf| Box::new(leaf.origin.clone()));
            if let Some(field) = self.missing {
                let mut path = path.to_vec();
                path.push(field.to_owned());
                self.problem.key = shown(&path);
                self.problem.fix = format!("set it, or {}", super::sources::variable(&path));
            }
            if let Some(leaf) = leaf.filter(|_| !secret::is_secret(path)) {
                *self.problem = self.problem.clone().value(&leaf.value);
            }
            // Settings of a section stand alone; anything deeper belongs to an entry that needs all of it.
            let deep = path
                .get(1)
                .is_some_and(|segment| segment.parse::<usize>().is_ok());
            self.take = Some(path[..path.len().min(if deep { 1 } else { 2 })].to_vec());
        }
        self
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl std::error::Error for ReadError {}

/// Messages are `what; fix`, so that the types of the settings can say both.
impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let message = message.to_string();
        let (what, fix) = message.split_once("; ").unwrap_or((&message, ""));
        Self {
            problem: Box::new(Problem::new("", what, fix)),
            missing: None,
            take: None,
        }
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let expected = expected.to_string();
        let fix = match &*expected {
            // A rule of ours says all of it.
            rule if rule.starts_with("is ") => return Self::custom(rule),
            "a boolean" => "write true or false, without quotes",
            "a string" => "write a text in quotes",
            "a sequence" => "write a list in brackets, or number its entries from 0 in variables",
            "u16" | "u32" | "u64" | "usize" => "write a whole number, without quotes",
            structure if structure.starts_with("struct ") || structure == "a map" => {
                return Self::custom("is not a table; write its settings below a [section]");
            }
            _ => "",
        };
        let expected = if expected.starts_with('u') {
            "a whole number"
        } else {
            &expected
        };
        let expected = expected
            .replace("string", "text")
            .replace("sequence", "list");
        Self::custom(format_args!("is not {expected}; {fix}"))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let names = expected.join(", ");
        match nearest(variant, expected.iter().copied()) {
            Some(name) => Self::custom(format_args!("is not one of {names}; write {name}")),
            None => Self::custom(format_args!("is not one of {names}; write one of them")),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            missing: Some(field),
            ..Self::custom("is missing")
        }
    }
}

/// The name that was most likely meant.
pub(super) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (strsim::jaro_winkler(wrong, name), name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
