//! One JSON object from outside, read so that no two readers can see two documents.
//!
//! `serde_json` keeps the last of two equal keys (CVE-2017-12635 is the classic) and turns a large integer into a
//! float without a word; here both are refused, with bytes that are not UTF-8, go on after the object, contain NUL,
//! or are nested deeper than anything we read. A request's body, a provider's documents and the parts of a token
//! all come in here.

use std::cell::RefCell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::echo::echo;

/// The most levels of objects and arrays.
const MAX_DEPTH: u8 = 32;

/// From here on not every integer is a float: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Why bytes are not one strict JSON object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// There is none.
    #[error("there is nothing")]
    Empty,
    /// It is not UTF-8.
    #[error("not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// The first byte that is not, from 0.
        offset: usize,
    },
    /// It is not JSON.
    #[error("not JSON at line {}, column {}", .0.line, .0.column)]
    Syntax(SyntaxFault),
    /// Something follows it.
    #[error("something follows the object")]
    TrailingData,
    /// It is not an object.
    #[error("not an object")]
    NotAnObject,
    /// A key stands twice in one object.
    #[error("the key `{key}` stands twice in one object")]
    DuplicateKey {
        /// Which, as it may be shown.
        key: String,
    },
    /// A key or a text contains NUL.
    #[error("a key or a text contains NUL")]
    Nul,
    /// It is nested too deeply.
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// The most levels.
        limit: u8,
    },
    /// A number that cannot be kept exactly.
    #[error("a number that cannot be kept exactly")]
    Number,
}

/// Where something is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxFault {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The key read last, as it may be shown; `None` before the first.
    pub after: Option<String>,
    /// What is wrong there.
    pub what: Broken,
}

/// What is wrong where something is not JSON: what its writer would do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// It ends.
    Ends,
    /// There is no value.
    Value,
    /// A key is not in quotes.
    Key,
    /// There is no colon after a key.
    Colon,
    /// There is neither a comma nor the end of a list or an object.
    Comma,
    /// A comma stands before the end of a list or an object.
    TrailingComma,
    /// An escape stands for no character.
    Escape,
    /// A text contains a control character.
    Control,
    /// A number is written in another way.
    Number,
    /// Something else.
    Other,
}

impl SyntaxFault {
    /// The parser's error in our terms.
    fn of(error: &serde_json::Error, text: &str, after: Option<String>) -> Self {
        // It counts bytes from 1; 0 is the line break before the line.
        let (line, bytes) = (error.line().max(1), error.column());
        let nth = |line: usize| text.split('\n').nth(line - 1).unwrap_or_default();
        let (line, column) = if bytes == 0 && line > 1 {
            (line - 1, nth(line - 1).chars().count() + 1)
        } else {
            let starts = nth(line).char_indices();
            let column = starts.take_while(|(at, _)| *at < bytes).count();
            (line, column.max(1))
        };
        Self {
            line,
            column,
            after,
            what: Broken::of(error),
        }
    }
}

impl Broken {
    /// The parser tells its errors apart in words alone; one that it words anew is [`Other`](Self::Other).
    fn of(error: &serde_json::Error) -> Self {
        const WORDS: [(&str, Broken); 13] = [
            ("expected value", Broken::Value),
            ("expected ident", Broken::Value),
            ("key must be a string", Broken::Key),
            ("expected `:`", Broken::Colon),
            ("expected `,` or", Broken::Comma),
            ("trailing comma", Broken::TrailingComma),
            ("invalid escape", Broken::Escape),
            ("invalid unicode code point", Broken::Escape),
            ("lone leading surrogate", Broken::Escape),
            ("unexpected end of hex escape", Broken::Escape),
            ("control character", Broken::Control),
            ("invalid number", Broken::Number),
            ("number out of range", Broken::Number),
        ];
        if error.is_eof() {
            return Self::Ends;
        }
        let text = error.to_string();
        let mut known = WORDS.iter();
        known
            .find(|(words, _)| text.starts_with(words))
            .map_or(Self::Other, |(_, what)| *what)
    }
}

/// The object that `bytes` are.
///
/// # Errors
/// A [`JsonFault`] when they are not exactly one, by the rules of this module.
pub(crate) fn object(bytes: &[u8]) -> Result<Map<String, Value>, JsonFault> {
    let text = std::str::from_utf8(bytes).map_err(|error| JsonFault::NotUtf8 {
        offset: error.valid_up_to(),
    })?;
    if text.trim_ascii().is_empty() {
        return Err(JsonFault::Empty);
    }
    let (found, key) = (RefCell::new(None), RefCell::new(None));
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let strict = Strict {
        levels: MAX_DEPTH,
        found: &found,
        key: &key,
    };
    let value = match strict.deserialize(&mut deserializer) {
        Ok(value) => value,
        Err(error) => {
            return Err(found
                .take()
                .unwrap_or_else(|| JsonFault::Syntax(SyntaxFault::of(&error, text, key.take()))));
        }
    };
    deserializer.end().map_err(|_| JsonFault::TrailingData)?;
    match value {
        Value::Object(map) => Ok(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(JsonFault::NotAnObject)
        }
    }
}

/// Builds a [`Value`], and notes what a serde error could only say in words.
#[derive(Clone, Copy)]
struct Strict<'f> {
    /// How many more may be opened.
    levels: u8,
    found: &'f RefCell<Option<JsonFault>>,
    /// The key read last.
    key: &'f RefCell<Option<String>>,
}

impl Strict<'_> {
    fn refuse<T, E: de::Error>(self, fault: JsonFault) -> Result<T, E> {
        self.found.replace(Some(fault));
        Err(E::custom("refused"))
    }

    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        match self.levels.checked_sub(1) {
            Some(levels) => Ok(Self { levels, ..self }),
            None => self.refuse(JsonFault::TooDeep { limit: MAX_DEPTH }),
        }
    }

    fn text<E: de::Error>(self, text: String) -> Result<String, E> {
        if text.contains('\0') {
            return self.refuse(JsonFault::Nul);
        }
        Ok(text)
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
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
        match Number::from_f64(value).filter(|_| value.abs() < EXACT) {
            Some(number) => Ok(Value::Number(number)),
            None => self.refuse(JsonFault::Number),
        }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        self.text(value).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = access.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let key = self.text(key)?;
            self.key.replace(Some(echo(&key)));
            if map.contains_key(&key) {
                return self.refuse(JsonFault::DuplicateKey { key: echo(&key) });
            }
            map.insert(key, access.next_value_seed(inner)?);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_object_reads_as_serde_json_reads_it() {
        let text =
            r#"{"a":1,"b":[true,null,-2,1.5,"\u00e9"],"c":{"d":{}},"e":18446744073709551615}"#;
        let plain: Value = serde_json::from_str(text).unwrap();
        assert_eq!(Value::Object(object(text.as_bytes()).unwrap()), plain);
    }

    #[test]
    fn a33_json_tricks_are_refused_by_name() {
        let duplicate = |key: &str| JsonFault::DuplicateKey {
            key: key.to_owned(),
        };
        let deep =
            |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        for (body, fault) in [
            ("", JsonFault::Empty),
            (" \r\n\t", JsonFault::Empty),
            (r#"{"plan":"a","plan":"b"}"#, duplicate("plan")),
            (r#"{"plan":"a","pl\u0061n":"b"}"#, duplicate("plan")),
            (r#"{"x":[{"y":1,"y":1}]}"#, duplicate("y")),
            ("{} {}", JsonFault::TrailingData),
            ("{}x", JsonFault::TrailingData),
            ("{},", JsonFault::TrailingData),
            (r#"{"a":"\u0000"}"#, JsonFault::Nul),
            (r#"{"a\u0000b":1}"#, JsonFault::Nul),
            ("[]", JsonFault::NotAnObject),
            ("null", JsonFault::NotAnObject),
            ("\"x\"", JsonFault::NotAnObject),
            (r#"{"a":18446744073709551616}"#, JsonFault::Number),
            (r#"{"a":-9223372036854775809}"#, JsonFault::Number),
            (r#"{"a":1e300}"#, JsonFault::Number),
            (&deep(32), JsonFault::TooDeep { limit: 32 }),
            (&deep(60_000), JsonFault::TooDeep { limit: 32 }),
        ] {
            assert_eq!(object(body.as_bytes()), Err(fault), "{body:.60}");
        }
        assert!(object(deep(31).as_bytes()).is_ok());
        let not_utf8 = |body: &[u8]| object(body) == Err(JsonFault::NotUtf8 { offset: 6 });
        assert!(not_utf8(b"{\"a\":\"\xff\"}"), "no lead byte");
        assert!(not_utf8(b"{\"a\":\"\xc0\xaf\"}"), "overlong");
        assert!(not_utf8(b"{\"a\":\"\xed\xa0\x80\"}"), "a surrogate");
    }

    #[test]
    fn a33_json_tricks_what_is_not_json_is_refused() {
        use Broken::{
            Colon, Comma, Control, Ends, Escape, Key, Number, TrailingComma, Value as NoValue,
        };
        for (body, column, after, what) in [
            ("{", 1, None, Ends),
            ("{\"a\":\"b", 7, Some("a"), Ends),
            ("{'a':1}", 2, None, Key),
            ("{a:1}", 2, None, Key),
            ("{\"a\" 1}", 6, Some("a"), Colon),
            ("{\"a\":1 \"b\":2}", 8, Some("a"), Comma),
            ("{\"a\":[1 2]}", 9, Some("a"), Comma),
            ("{\"a\":1,}", 8, Some("a"), TrailingComma),
            ("{\"a\":[1,]}", 9, Some("a"), TrailingComma),
            (
                "{\"\u{4e2d}\u{6587}\":,}",
                7,
                Some("\u{4e2d}\u{6587}"),
                NoValue,
            ),
            ("{\"a\":NaN}", 6, Some("a"), NoValue),
            ("{\"a\":nul}", 9, Some("a"), NoValue),
            ("{\"a\":01}", 7, Some("a"), Number),
            ("{\"a\":+1}", 6, Some("a"), NoValue),
            ("{\"a\":.5}", 6, Some("a"), NoValue),
            ("{\"a\":1e999}", 10, Some("a"), Number),
            ("{\"a\":0x10}", 7, Some("a"), Comma),
            ("{\"a\":\"\n\"}", 7, Some("a"), Control),
            ("{/**/}", 2, None, Key),
            ("\u{feff}{}", 1, None, NoValue),
            (r#"{"a":"\ud800"}"#, 13, Some("a"), Escape),
            (r#"{"a":"\udc00\ud800"}"#, 12, Some("a"), Escape),
            (r#"{"a":"\x41"}"#, 8, Some("a"), Escape),
            (r#"{"\ud800":1}"#, 9, None, Escape),
            ("plan=basic", 1, None, NoValue),
        ] {
            let after = after.map(str::to_owned);
            let at = SyntaxFault {
                line: 1,
                column,
                after,
                what,
            };
            assert_eq!(
                object(body.as_bytes()),
                Err(JsonFault::Syntax(at.clone())),
                "{body}"
            );
            // Lines are counted.
            let at = SyntaxFault { line: 3, ..at };
            let lower = format!("\n \r\n{body}");
            assert_eq!(
                object(lower.as_bytes()),
                Err(JsonFault::Syntax(at)),
                "{body}"
            );
        }
    }
}
