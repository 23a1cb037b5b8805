//! The fields of a request's body: each known, each of its type, every fault told at once.

use axum::extract::{FromRequest, Request};
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::body::{Media, read, unsupported};
use super::problem::{BodyFault, Expected, Fault, FieldFault, Found, Kind, Problem, echo};
use crate::json;

/// Text fields are read up to here, in bytes; what has a narrower rule has it in the core.
const MAX_TEXT: usize = 1024;

/// In how many edits a field's name is still taken for a misspelling.
const MAX_EDITS: usize = 3;

/// The fields of a body, taken one by one.
#[derive(Debug)]
pub(crate) struct Fields {
    /// What was not taken yet.
    map: Map<String, Value>,
    faults: Vec<FieldFault>,
}

impl Fields {
    /// A text; `None` when it is not given or `null`.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        match self.map.remove(name)? {
            Value::Null => None,
            Value::String(text) if text.len() <= MAX_TEXT => Some(text),
            Value::String(text) => {
                let fault = Fault::TooLong { limit: MAX_TEXT };
                self.faults.push(FieldFault::new(name, Some(&text), fault));
                None
            }
            value @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                self.wrong_type(name, &value, Expected::Text);
                None
            }
        }
    }

    /// A secret text, which no error shows.
    pub(crate) fn secret(&mut self, name: &'static str) -> Option<SecretString> {
        let before = self.faults.len();
        let text = self.text(name);
        for fault in &mut self.faults[before..] {
            fault.value = None;
        }
        text.map(SecretString::from)
    }

    /// `true` or `false`; `false` when it is not given or `null`.
    pub(crate) fn flag(&mut self, name: &'static str) -> bool {
        match self.map.remove(name) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => flag,
            Some(
                value @ (Value::String(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)),
            ) => {
                self.wrong_type(name, &value, Expected::Flag);
                false
            }
        }
    }

    fn wrong_type(&mut self, name: &'static str, value: &Value, expected: Expected) {
        let found = Found::of(value);
        let fault = Fault::Type { expected, found };
        self.faults
            .push(FieldFault::new(name, Some(&value.to_string()), fault));
    }

    /// Whether no field was given.
    pub(crate) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// A text as it came, to be shown again in a form; empty when it is none.
    pub(crate) fn peek(&self, name: &str) -> String {
        let text = self.map.get(name).and_then(Value::as_str);
        text.map(echo).unwrap_or_default()
    }

    /// Notes that `name` has to be given.
    pub(crate) fn missing(&mut self, name: &'static str) {
        // A wrong type has been told already.
        if self.faults.iter().all(|fault| fault.field != name) {
            self.faults
                .push(FieldFault::new(name, None, Fault::Missing));
        }
    }

    /// Refuses what was not taken; `known` are the names that could be.
    pub(crate) fn finish(mut self, known: &'static [&'static str]) -> Result<(), Problem> {
        for (name, _) in std::mem::take(&mut self.map) {
            let nearest = nearest(&name, known);
            let fault = Fault::Unknown { nearest, known };
            // Its value is not shown: a misspelled field may hold a secret.
            self.faults.push(FieldFault::new(name, None, fault));
        }
        if self.faults.is_empty() {
            return Ok(());
        }
        Err(Kind::InvalidFields(self.faults).into())
    }

    const fn new(map: Map<String, Value>) -> Self {
        Self {
            map,
            faults: Vec::new(),
        }
    }

    /// The pairs of `application/x-www-form-urlencoded`, each once.
    fn of_form(bytes: &[u8]) -> Result<Self, BodyFault> {
        let mut map = Map::new();
        for (key, value) in url::form_urlencoded::parse(bytes) {
            // The decoder writes U+FFFD for what is not UTF-8.
            if key.contains(['\0', '\u{fffd}']) || value.contains(['\0', '\u{fffd}']) {
                return Err(BodyFault::Nul);
            }
            let shown = echo(&key);
            let value = Value::String(value.into_owned());
            if map.insert(key.into_owned(), value).is_some() {
                return Err(BodyFault::DuplicateKey { key: shown });
            }
        }
        Ok(Self::new(map))
    }
}

/// The valid name that `name` was most likely meant to be.
fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    // Nobody misspells a name to many times its length, and the distance costs length by length.
    let name: String = name
        .chars()
        .take(64)
        .collect::<String>()
        .to_ascii_lowercase();
    known
        .iter()
        .map(|known| (strsim::osa_distance(&name, known), *known))
        .filter(|(edits, known)| *edits <= MAX_EDITS.min(known.len() / 2))
        .min()
        .map(|(_, known)| known)
}

/// A JSON object, or no body at all.
#[derive(Debug)]
pub(crate) struct OptionalJson(pub(crate) Fields);

/// No body, or an empty JSON object: any field is one too many.
#[derive(Debug)]
pub(crate) struct NoFields;

/// A JSON object or a browser's form.
#[derive(Debug)]
pub(crate) enum JsonOrForm {
    /// From a program, or a script of ours.
    Json(Fields),
    /// From a form.
    Form(Fields),
}

impl<S: Sync> FromRequest<S> for OptionalJson {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        match read(request).await? {
            Some((Media::Json, bytes)) => Ok(Self(object(&bytes)?)),
            Some((Media::Form, _)) => Err(unsupported("application/x-www-form-urlencoded")),
            None => Ok(Self(Fields::new(Map::new()))),
        }
    }
}

impl<S: Sync> FromRequest<S> for NoFields {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let OptionalJson(fields) = OptionalJson::from_request(request, state).await?;
        fields.finish(&[])?;
        Ok(Self)
    }
}

impl<S: Sync> FromRequest<S> for JsonOrForm {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        match read(request).await? {
            Some((Media::Json, bytes)) => Ok(Self::Json(object(&bytes)?)),
            Some((Media::Form, bytes)) => Ok(Self::Form(
                Fields::of_form(&bytes).map_err(Kind::InvalidBody)?,
            )),
            None => Err(Kind::InvalidBody(BodyFault::Empty).into()),
        }
    }
}

fn object(bytes: &[u8]) -> Result<Fields, Problem> {
    let map = json::object(bytes).map_err(Kind::InvalidBody)?;
    Ok(Fields::new(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_told() {
        let known = ["email", "name", "plan", "timezone"];
        for (name, meant) in [
            ("pln", Some("plan")),
            ("plna", Some("plan")),
            ("Plan", Some("plan")),
            ("e-mail", Some("email")),
            ("time_zone", Some("timezone")),
            ("owner", None),
            ("limits", None),
            ("image", None),
        ] {
            assert_eq!(nearest(name, &known), meant, "{name}");
        }
        assert_eq!(nearest(&"a".repeat(100_000), &known), None);
    }

    #[test]
    fn forms_are_as_strict() {
        let pairs = Fields::of_form(b"username=a%20b&password=%E4%B8%AD").unwrap();
        assert_eq!(pairs.map["username"], "a b");
        assert_eq!(pairs.map["password"], "\u{4e2d}");
        let duplicate = BodyFault::DuplicateKey {
            key: "a".to_owned(),
        };
        assert_eq!(Fields::of_form(b"a=1&%61=2").unwrap_err(), duplicate);
        for body in [&b"a=%00"[..], b"a=%ff", b"%00=a"] {
            assert_eq!(Fields::of_form(body).unwrap_err(), BodyFault::Nul);
        }
    }
}
