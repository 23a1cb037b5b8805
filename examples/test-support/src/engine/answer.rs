//! Answers of the model, before they become HTTP.

use bytes::Bytes;
use serde_json::{Value, json};

/// What the model says to a call.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Body,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Body {
    Empty,
    Json(Value),
    Bytes(&'static str, Bytes),
    /// Events from now on, as a stream that ends with the connection.
    Events,
}

impl Answer {
    pub(super) const fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Empty,
        }
    }

    pub(super) const fn json(status: u16, value: Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Json(value),
        }
    }

    pub(super) fn bytes(status: u16, kind: &'static str, bytes: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Bytes(kind, bytes.into()),
        }
    }

    /// An error, in the engine's form.
    pub(super) fn error(status: u16, message: impl Into<String>) -> Self {
        Self::json(status, json!({ "message": message.into() }))
    }

    pub(super) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}
