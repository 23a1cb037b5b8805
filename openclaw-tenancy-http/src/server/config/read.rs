//! Reads the laid-over settings into the typed configuration.
//!
//! A `serde` deserializer of our own, because no other one keeps all four things a message needs: the key,
//! the value, where it came from, and the names that would have been right.

use std::cell::RefCell;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};

use super::error::{ConfigError, Problem};
use super::read_error::{ReadError, nearest};
use super::secret;
use super::tree::{Leaf, Node, Origin, Scalar, shown};

/// Reads `root`, and reports everything that is wrong with it.
pub(super) fn read<T: DeserializeOwned>(root: &Node) -> Result<T, ConfigError> {
    let mut root = root.clone();
    let mut problems = Vec::new();
    loop {
        let unknown = RefCell::new(Vec::new());
        let outcome = T::deserialize(Reader {
            node: &root,
            path: Vec::new(),
            unknown: &unknown,
        });
        let error = match outcome {
            Ok(value) if problems.is_empty() && unknown.borrow().is_empty() => return Ok(value),
            Ok(_) => {
                problems.extend(unknown.into_inner());
                return Err(ConfigError { problems });
            }
            Err(error) => error,
        };
        // With what is wrong taken away, reading goes on and finds what else is wrong.
        let taken = error.take.as_ref().is_some_and(|path| root.remove(path));
        problems.push(*error.problem);
        if !taken {
            problems.extend(unknown.into_inner());
            return Err(ConfigError { problems });
        }
    }
}

struct Reader<'a> {
    node: &'a Node,
    path: Vec<String>,
    unknown: &'a RefCell<Vec<Problem>>,
}

impl<'a> Reader<'a> {
    fn leaf(&self) -> Option<&'a Leaf> {
        match self.node {
            Node::Leaf(leaf) => Some(leaf),
            Node::Table(_) | Node::List(_) => None,
        }
    }

    fn child(&self, name: &str, node: &'a Node) -> Self {
        let mut path = self.path.clone();
        path.push(name.to_owned());
        Self {
            node,
            path,
            unknown: self.unknown,
        }
    }

    /// The value that `seed` makes of this; what it finds wrong with it is wrong here.
    fn value<'de, S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, ReadError>
    where
        'a: 'de,
    {
        let (path, leaf) = (self.path.clone(), self.leaf());
        seed.deserialize(self)
            .map_err(|error| error.located(&path, leaf))
    }

    /// The value as text, where the source knows nothing else.
    fn loose(&self) -> Option<&'a str> {
        match self.leaf()? {
            Leaf {
                value: Scalar::Text(text),
                origin,
            } if origin.is_text_only() => Some(text.trim()),
            Leaf { .. } => None,
        }
    }

    /// Reports the keys of a table that are none of `fields`.
    fn check_fields(&self, fields: &'static [&'static str]) {
        let Node::Table(table) = self.node else {
            return;
        };
        for (name, node) in table {
            if fields.contains(&name.as_str()) {
                continue;
            }
            let mut path = self.path.clone();
            path.push(name.clone());
            let origin = node.leaves().first().map(|(_, leaf)| leaf.origin.clone());
            let spelled = |field: &str| {
                let mut path = self.path.clone();
                path.push(field.to_owned());
                match &origin {
                    Some(Origin::Env(_)) => super::sources::variable(&path),
                    Some(_) | None => shown(&path),
                }
            };
            let files: Vec<String> = fields
                .iter()
                .filter(|field| {
                    let mut path = self.path.clone();
                    path.push((**field).to_owned());
                    secret::is_secret(&path)
                })
                .map(|field| format!("{field}_file"))
                .collect();
            let names = fields
                .iter()
                .copied()
                .chain(files.iter().map(String::as_str));
            let fix = match nearest(name, names) {
                Some(field) => format!("did you mean {}?", spelled(field)),
                None => format!("the names here are {}", fields.join(", ")),
            };
            let problem = Problem::new(shown(&path), "there is no such setting", fix).from(origin);
            self.unknown.borrow_mut().push(problem);
        }
    }
}

impl<'de, 'a: 'de> de::Deserializer<'de> for Reader<'a> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let (path, leaf) = (self.path.clone(), self.leaf());
        let outcome = match self.node {
            Node::Leaf(leaf) => match &leaf.value {
                Scalar::Text(text) => visitor.visit_str(text),
                Scalar::Integer(number) => visitor.visit_i64(*number),
                Scalar::Float(number) => visitor.visit_f64(*number),
                Scalar::Boolean(value) => visitor.visit_bool(*value),
            },
            Node::Table(table) => visitor.visit_map(Map {
                reader: &self,
                entries: table.iter(),
                value: None,
            }),
            Node::List(list) => visitor.visit_seq(Seq {
                reader: &self,
                elements: list.iter().enumerate(),
            }),
        };
        outcome.map_err(|error| error.located(&path, leaf))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let value = match self.loose().map(str::to_ascii_lowercase).as_deref() {
            Some("true" | "1" | "yes" | "on") => Some(true),
            Some("false" | "0" | "no" | "off") => Some(false),
            Some(_) | None => None,
        };
        match value {
            Some(value) => visitor.visit_bool(value),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.loose().and_then(|text| text.parse::<u64>().ok()) {
            Some(number) => {
                let (path, leaf) = (self.path.clone(), self.leaf());
                visitor
                    .visit_u64(number)
                    .map_err(|error: ReadError| error.located(&path, leaf))
            }
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.check_fields(fields);
        self.deserialize_any(visitor)
    }

    /// A text from the environment or a flag is a list with commas.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let Some(text) = self.loose() else {
            return self.deserialize_any(visitor);
        };
        let (path, leaf) = (self.path.clone(), self.leaf());
        let items = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        let items = items.map(IntoDeserializer::<ReadError>::into_deserializer);
        let seq = de::value::SeqDeserializer::<_, ReadError>::new(
            items
                .collect::<Vec<StrDeserializer<'_, ReadError>>>()
                .into_iter(),
        );
        visitor
            .visit_seq(seq)
            .map_err(|error| error.located(&path, leaf))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let (path, leaf) = (self.path.clone(), self.leaf());
        let outcome = match leaf.map(|leaf| &leaf.value) {
            Some(Scalar::Text(text)) => {
                let name: StrDeserializer<'_, ReadError> = text.trim().into_deserializer();
                visitor.visit_enum(name)
            }
            Some(Scalar::Integer(_) | Scalar::Float(_) | Scalar::Boolean(_)) | None => {
                Err(de::Error::custom("is not a text; write a name in quotes"))
            }
        };
        outcome.map_err(|error| error.located(&path, leaf))
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct tuple tuple_struct map identifier ignored_any
    }
}

struct Map<'r, 'a> {
    reader: &'r Reader<'a>,
    entries: std::collections::btree_map::Iter<'a, String, Node>,
    value: Option<(&'a str, &'a Node)>,
}

impl<'de, 'a: 'de> MapAccess<'de> for Map<'_, 'a> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        let Some((name, node)) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some((name, node));
        let key: StrDeserializer<'_, ReadError> = name.as_str().into_deserializer();
        let path = || self.reader.child(name, node).path;
        seed.deserialize(key)
            .map(Some)
            .map_err(|error| error.located(&path(), None))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ReadError> {
        match self.value.take() {
            Some((name, node)) => self.reader.child(name, node).value(seed),
            None => Err(de::Error::custom("has no value")),
        }
    }
}

struct Seq<'r, 'a> {
    reader: &'r Reader<'a>,
    elements: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

impl<'de, 'a: 'de> SeqAccess<'de> for Seq<'_, 'a> {
    type Error = ReadError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ReadError> {
        match self.elements.next() {
            Some((at, node)) => self
                .reader
                .child(&at.to_string(), node)
                .value(seed)
                .map(Some),
            None => Ok(None),
        }
    }
}
