//! The settings of every source laid over each other, each value with where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Env(String),
    /// A variable of the predecessor's, and the key that replaces it.
    Seed(&'static str),
    /// A command line flag, such as `--set`.
    Flag(&'static str),
    /// The content of a file that a `…_file` key names.
    SecretFile(PathBuf),
}

impl Origin {
    /// Whether the source knows only text, so that `true` and `5` are read as what the key wants.
    pub(super) const fn is_text_only(&self) -> bool {
        match self {
            Self::File { .. } => false,
            Self::Env(_) | Self::Seed(_) | Self::Flag(_) | Self::SecretFile(_) => true,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{} line {line}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Seed(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::SecretFile(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// A value as its source has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Boolean(value) => value.fmt(f),
        }
    }
}

/// A value with where it came from.
#[derive(Clone, PartialEq)]
pub(super) struct Leaf {
    pub(super) value: Scalar,
    pub(super) origin: Origin,
}

impl Leaf {
    pub(super) fn text(value: impl Into<String>, origin: Origin) -> Self {
        Self {
            value: Scalar::Text(value.into()),
            origin,
        }
    }
}

/// Only where it came from: the value may be a secret.
impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leaf(from {})", self.origin)
    }
}

/// A value, a table or a list.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Leaf(Leaf),
    Table(BTreeMap<String, Self>),
    List(Vec<Self>),
}

impl Default for Node {
    fn default() -> Self {
        Self::Table(BTreeMap::new())
    }
}

impl Node {
    /// The node at `path`, if there is one.
    pub(super) fn at(&self, path: &[String]) -> Option<&Self> {
        let Some((first, rest)) = path.split_first() else {
            return Some(self);
        };
        match self {
            Self::Leaf(_) => None,
            Self::Table(table) => table.get(first)?.at(rest),
            Self::List(list) => list.get(first.parse::<usize>().ok()?)?.at(rest),
        }
    }

    /// Puts `leaf` at `path`, in place of what is there; whether it could be. A number leads into a list, also
    /// one that has just that many elements. It cannot be put below a plain value, nor into a list by name.
    #[must_use]
    pub(super) fn put(&mut self, path: &[String], leaf: Leaf) -> bool {
        let Some((first, rest)) = path.split_first() else {
            *self = Self::Leaf(leaf);
            return true;
        };
        let index = first.parse::<usize>().ok();
        if let (Self::Table(table), Some(0)) = (&*self, index)
            && table.is_empty()
        {
            *self = Self::List(Vec::new());
        }
        match self {
            Self::Table(table) => table.entry(first.clone()).or_default().put(rest, leaf),
            Self::List(list) => {
                if index == Some(list.len()) {
                    list.push(Self::default());
                }
                index
                    .and_then(|index| list.get_mut(index))
                    .is_some_and(|element| element.put(rest, leaf))
            }
            Self::Leaf(_) => false,
        }
    }

    /// Removes the entry of a table at `path`; whether there was one.
    pub(super) fn remove(&mut self, path: &[String]) -> bool {
        match (self, path) {
            (Self::Table(table), [last]) => table.remove(last).is_some(),
            (Self::Table(table), [first, rest @ ..]) => {
                table.get_mut(first).is_some_and(|node| node.remove(rest))
            }
            (Self::List(list), [first, rest @ ..]) => first
                .parse::<usize>()
                .ok()
                .and_then(|at| list.get_mut(at))
                .is_some_and(|node| node.remove(rest)),
            (Self::Leaf(_), _) | (Self::Table(_) | Self::List(_), []) => false,
        }
    }

    /// Every leaf with its path, in order.
    pub(super) fn leaves(&self) -> Vec<(Vec<String>, &Leaf)> {
        let mut found = Vec::new();
        self.collect(&mut Vec::new(), &mut found);
        found
    }

    fn collect<'a>(&'a self, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, &'a Leaf)>) {
        match self {
            Self::Leaf(leaf) => found.push((path.clone(), leaf)),
            Self::Table(table) => {
                for (name, node) in table {
                    path.push(name.clone());
                    node.collect(path, found);
                    path.pop();
                }
            }
            Self::List(list) => {
                for (at, node) in list.iter().enumerate() {
                    path.push(at.to_string());
                    node.collect(path, found);
                    path.pop();
                }
            }
        }
    }
}

/// `hosts[0].address`: the path as a person writes it, a name in quotes where it needs them.
pub(super) fn shown(path: &[String]) -> String {
    let mut text = String::new();
    for segment in path {
        if segment.parse::<usize>().is_ok() {
            text.push('[');
            text.push_str(segment);
            text.push(']');
        } else {
            if !text.is_empty() {
                text.push('.');
            }
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
            if !segment.is_empty() && segment.bytes().all(plain) {
                text.push_str(segment);
            } else {
                text.push_str(&format!("{segment:?}"));
            }
        }
    }
    text
}
