//! What can be wrong with one field of a request.

use serde_json::Value;

use super::super::lang::Lang;
use super::{FieldError, echo, sentence};

/// A field with what is wrong about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// Which.
    pub field: String,
    /// Its value, as it may be shown.
    pub value: Option<String>,
    /// What.
    pub fault: Fault,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// There is no such field.
    Unknown {
        /// The valid one that is spelled most alike.
        nearest: Option<&'static str>,
        /// Every valid one.
        known: &'static [&'static str],
    },
    /// It has to be given.
    Missing,
    /// It is of another type.
    Type {
        /// What it should be: `text`, `true or false`.
        expected: Expected,
        /// What it is.
        found: Found,
    },
    /// It is longer than allowed.
    TooLong {
        /// In bytes of UTF-8.
        limit: usize,
    },
    /// A rule of the core's, in its words.
    Rule {
        /// What a valid value looks like.
        rule: &'static str,
    },
}

/// A type that a field can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Text.
    Text,
    /// `true` or `false`.
    Flag,
}

/// A type that a value has in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// `null`.
    Nothing,
    /// `true` or `false`.
    Flag,
    /// A number.
    Number,
    /// Text.
    Text,
    /// A list.
    List,
    /// An object.
    Object,
}

impl Found {
    /// The type of `value`.
    #[must_use]
    pub const fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Nothing,
            Value::Bool(_) => Self::Flag,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::Text,
            Value::Array(_) => Self::List,
            Value::Object(_) => Self::Object,
        }
    }

    const fn words(self, lang: Lang) -> &'static str {
        match (lang, self) {
            (_, Self::Nothing) => "null",
            (Lang::En, Self::Flag) => "true or false",
            (Lang::En, Self::Number) => "a number",
            (Lang::En, Self::Text) => "text",
            (Lang::En, Self::List) => "a list",
            (Lang::En, Self::Object) => "an object",
            (Lang::ZhCn, Self::Flag) => "布尔值",
            (Lang::ZhCn, Self::Number) => "数字",
            (Lang::ZhCn, Self::Text) => "文本",
            (Lang::ZhCn, Self::List) => "列表",
            (Lang::ZhCn, Self::Object) => "对象",
        }
    }
}

impl FieldFault {
    /// `field` with `value`, which may be shown, and its fault.
    #[must_use]
    pub fn new(field: impl Into<String>, value: Option<&str>, fault: Fault) -> Self {
        Self {
            field: echo(&field.into()),
            value: value.map(echo),
            fault,
        }
    }

    pub(super) fn error(&self, lang: Lang) -> FieldError {
        let (detail, fix) = self.words(lang);
        FieldError {
            field: self.field.clone(),
            value: self.value.clone(),
            detail,
            fix: sentence(&fix, lang),
        }
    }

    /// What is wrong and what to write instead.
    pub(super) fn words(&self, lang: Lang) -> (String, String) {
        let field = &self.field;
        match (lang, &self.fault) {
            (Lang::En, Fault::Unknown { nearest, known }) => (
                format!("There is no field `{field}`."),
                unknown_fix(
                    *nearest,
                    known,
                    "did you mean ",
                    "?",
                    "the fields are: ",
                    "give none",
                ),
            ),
            (Lang::ZhCn, Fault::Unknown { nearest, known }) => (
                format!("没有名为 `{field}` 的字段。"),
                unknown_fix(
                    *nearest,
                    known,
                    "您是否想写 ",
                    "？",
                    "可用字段：",
                    "请不要提供任何字段",
                ),
            ),
            (Lang::En, Fault::Missing) => {
                (format!("`{field}` is missing."), format!("give `{field}`"))
            }
            (Lang::ZhCn, Fault::Missing) => {
                (format!("缺少 `{field}`。"), format!("请提供 `{field}`"))
            }
            (Lang::En, Fault::Type { expected, found }) => {
                let expected = match expected {
                    Expected::Text => "text in quotes",
                    Expected::Flag => "true or false",
                };
                (
                    format!("`{field}` is {}.", found.words(lang)),
                    format!("give {expected}"),
                )
            }
            (Lang::ZhCn, Fault::Type { expected, found }) => {
                let expected = match expected {
                    Expected::Text => "带引号的文本",
                    Expected::Flag => "true 或 false",
                };
                (
                    format!("`{field}` 是{}。", found.words(lang)),
                    format!("请提供{expected}"),
                )
            }
            (Lang::En, Fault::TooLong { limit }) => (
                format!("`{field}` is too long."),
                format!("give at most {limit} bytes"),
            ),
            (Lang::ZhCn, Fault::TooLong { limit }) => {
                (format!("`{field}` 过长。"), format!("最多 {limit} 字节"))
            }
            (Lang::En, Fault::Rule { rule }) => {
                (format!("`{field}` is not valid."), (*rule).to_owned())
            }
            (Lang::ZhCn, Fault::Rule { rule }) => (
                format!("`{field}` 无效。"),
                super::phrases::phrase(rule).to_owned(),
            ),
        }
    }
}

fn unknown_fix(
    nearest: Option<&str>,
    known: &[&str],
    did_you_mean: &str,
    mark: &str,
    the_fields_are: &str,
    none: &str,
) -> String {
    match nearest {
        Some(nearest) => format!("{did_you_mean}`{nearest}`{mark}"),
        None if known.is_empty() => none.to_owned(),
        None => format!("{the_fields_are}{}", known.join(", ")),
    }
}
