//! The tree of the file: every value and key with its place.

use crate::source::Span;
use landfall_model::{OptionName, OptionType, OptionValue};

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) kind: Kind,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// Text without quotes, which may be a number or a boolean.
    Plain(String),
    /// Text in quotes, or a block of text.
    Quoted(String),
    /// Text that references were put into.
    Composed(String),
    /// The typed value of an option that a reference stood for.
    Option {
        /// The option.
        name: OptionName,
        /// Its value; none when it is given later or was already found to be wrong.
        value: Option<OptionValue>,
        /// Its type, unless the declaration of it is wrong.
        kind: Option<OptionType>,
        /// Where the option is declared.
        declared: Span,
        /// Where the value is written in the file.
        origin: Option<Span>,
    },
    /// Text with an option that has no value yet, or a reference that was already reported.
    Unknown,
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file.
    Map(Vec<Entry>),
}

impl Node {
    /// What it is, with its article, for messages.
    pub(crate) fn what(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Plain(text) if integer(text).is_some() => "an integer".to_owned(),
            Kind::Plain(text) if number(text).is_some() => "a number".to_owned(),
            Kind::Plain(text) if text == "true" || text == "false" => "a boolean".to_owned(),
            Kind::Plain(_) | Kind::Composed(_) | Kind::Unknown => "text".to_owned(),
            Kind::Quoted(_) => "text".to_owned(),
            Kind::Option { name, kind: Some(kind), .. } => format!("the {kind} option `{name}`"),
            Kind::Option { name, .. } => format!("the option `{name}`"),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    pub(crate) fn is_null(&self) -> bool {
        self.kind == Kind::Null
    }
}

/// A whole number as YAML 1.2 writes it in decimal.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// A finite number.
pub(crate) fn number(text: &str) -> Option<f64> {
    let starts = text.trim_start_matches(['-', '+', '.']).starts_with(|c: char| c.is_ascii_digit());
    text.parse::<f64>().ok().filter(|value| starts && value.is_finite())
}
