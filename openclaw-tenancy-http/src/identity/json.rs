//! Strict JSON objects from outside.
//!
//! `serde_json` keeps the last of two equal keys and says nothing, so that two readers of one document can
//! see two documents (CVE-2017-12635 is the classic). What decides who somebody is goes through here.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Deeper documents are refused: nothing we read is that deep, and recursion costs stack.
const MAX_DEPTH: u8 = 32;

/// The bytes are not one strict JSON object.
#[derive(Debug, thiserror::Error)]
#[error("not one JSON object with unique keys")]
pub(crate) struct JsonError(#[source] serde_json::Error);

/// Parses one JSON object: UTF-8, unique keys at every level, no NUL in a text, at most 32 deep, nothing after it.
///
/// # Errors
/// [`JsonError`] otherwise.
pub(crate) fn object(bytes: &[u8]) -> Result<Map<String, Value>, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }
        .deserialize(&mut deserializer)
        .map_err(JsonError)?;
    deserializer.end().map_err(JsonError)?;
    match value {
        Value::Object(map) => Ok(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(JsonError(de::Error::custom("not an object")))
        }
    }
}

#[derive(Clone, Copy)]
struct Strict {
    depth: u8,
}

impl Strict {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom("nested too deeply"));
        }
        Ok(Self {
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        if value.contains('\0') {
            return Err(E::custom("a text with NUL"));
        }
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = access.next_element_seed(seed)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if key.contains('\0') {
                return Err(de::Error::custom("a key with NUL"));
            }
            if map.contains_key(&key) {
                return Err(de::Error::custom("a duplicate key"));
            }
            map.insert(key, access.next_value_seed(seed)?);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::object;

    #[test]
    fn a_plain_object_parses_as_serde_json_parses_it() {
        let text = r#"{"a":1,"b":[true,null,-2,1.5,"\u00e9"],"c":{"d":{}}}"#;
        let plain: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(
            serde_json::Value::Object(object(text.as_bytes()).unwrap()),
            plain
        );
    }

    #[test]
    fn tricks_are_refused() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"b":1,"b":2}}"#,
            r#"{"x":[{"b":1,"b":2}]}"#,
            r#"{"a":"\u0000"}"#,
            r#"{"a\u0000":1}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":1e999}"#,
            r#"{"a":NaN}"#,
            r#"{"a":01}"#,
            r#"{"a":1} {"a":2}"#,
            r#"{"a":1},"#,
            r#"{"a":1,}"#,
            "[]",
            "null",
            "\"x\"",
            "",
            "\u{feff}{}",
        ] {
            assert!(object(text.as_bytes()).is_err(), "{text}");
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_err(), "bad UTF-8");
        assert!(object(b"{\"a\":\"\xc0\xaf\"}").is_err(), "overlong UTF-8");
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| {
            format!(
                "{{\"a\":{}1{}}}",
                "[".repeat(depth - 1),
                "]".repeat(depth - 1)
            )
        };
        assert!(object(nested(32).as_bytes()).is_ok());
        assert!(object(nested(33).as_bytes()).is_err());
        assert!(object(nested(100_000).as_bytes()).is_err());
    }
}
