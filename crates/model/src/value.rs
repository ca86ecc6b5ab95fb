//! Typed option values.

use crate::{Bytes, Millis};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What an option may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptionType {
    /// Any text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A duration such as `30s`.
    Duration,
    /// A size such as `256Mi`.
    Size,
    /// An absolute URL.
    Url,
}

impl OptionType {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::String,
        Self::Integer,
        Self::Number,
        Self::Boolean,
        Self::Duration,
        Self::Size,
        Self::Url,
    ];

    /// The word in the file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Duration => "duration",
            Self::Size => "size",
            Self::Url => "url",
        }
    }
}

impl fmt::Display for OptionType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// The value of an option; the type is kept wherever it is referred to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "kebab-case")]
pub enum OptionValue {
    /// Any text.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A duration.
    Duration(Millis),
    /// A size.
    Size(Bytes),
    /// An absolute URL.
    Url(String),
}

impl OptionValue {
    /// The type of the value.
    #[must_use]
    pub const fn kind(&self) -> OptionType {
        match self {
            Self::String(_) => OptionType::String,
            Self::Integer(_) => OptionType::Integer,
            Self::Number(_) => OptionType::Number,
            Self::Boolean(_) => OptionType::Boolean,
            Self::Duration(_) => OptionType::Duration,
            Self::Size(_) => OptionType::Size,
            Self::Url(_) => OptionType::Url,
        }
    }
}

impl fmt::Display for OptionValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) | Self::Url(text) => formatter.write_str(text),
            Self::Integer(value) => value.fmt(formatter),
            Self::Number(value) => value.fmt(formatter),
            Self::Boolean(value) => value.fmt(formatter),
            Self::Duration(value) => value.fmt(formatter),
            Self::Size(value) => value.fmt(formatter),
        }
    }
}
