//! Single values: text, words, numbers, booleans, quantities.

use super::{Decoder, quantity_help};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::nearest::suggest;
use crate::source::Span;
use crate::tree::{self, Kind, Node};
use landfall_model::{Bytes, Cpu, Millis, OptionType, OptionValue, QuantityError};
use std::ops::RangeInclusive;
use std::str::FromStr;

impl Decoder<'_, '_> {
    /// Reports a value of the wrong type; a value that is not known yet is passed over.
    pub(crate) fn wrong_type(
        &mut self,
        node: &Node,
        what: &str,
        wanted: &str,
        help: Option<String>,
    ) {
        match &node.kind {
            Kind::Unknown => {}
            Kind::Option { name, kind, declared, .. } => {
                let Some(kind) = kind else { return };
                self.add(
                    Diagnostic::error(
                        codes::REFERENCE_WRONG_TYPE,
                        node.span.clone(),
                        format!(
                            "{what} must be {wanted}, and the option `{name}` is {}",
                            article(*kind)
                        ),
                    )
                    .caret(format!("expected {wanted}"))
                    .label(declared.clone(), "the option is declared here")
                    .help_if(type_help(wanted).or(help)),
                );
            }
            Kind::Null => self.add(
                Diagnostic::error(
                    codes::NO_VALUE,
                    node.span.clone(),
                    format!("{what} has no value"),
                )
                .help_if(help),
            ),
            _ => self.add(
                Diagnostic::error(
                    codes::WRONG_TYPE,
                    node.span.clone(),
                    format!("{what} must be {wanted}, not {}", node.what()),
                )
                .caret(format!("expected {wanted}"))
                .help_if(help),
            ),
        }
    }

    /// Text. Numbers and booleans are taken as they are written.
    pub(crate) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.kind {
            Kind::Plain(text) | Kind::Quoted(text) | Kind::Composed(text) => Some(text.clone()),
            Kind::Option { value, .. } => value.as_ref().map(ToString::to_string),
            _ => {
                self.wrong_type(node, what, "text", None);
                None
            }
        }
    }

    /// Text that is a name: no boolean, because other readers of YAML do not see text there.
    pub(crate) fn name_text(&mut self, node: &Node, what: &str) -> Option<String> {
        if matches!(&node.kind, Kind::Plain(text) if text == "true" || text == "false") {
            let help = "a name that is a boolean elsewhere needs quotes; better take another name";
            self.wrong_type(node, what, "text", Some(help.to_owned()));
            return None;
        }
        self.text(node, what)
    }

    /// Text that says something.
    pub(crate) fn full_text(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = self.text(node, what)?;
        if text.trim().is_empty() {
            self.add(
                Diagnostic::error(codes::EMPTY, node.span.clone(), format!("{what} is empty"))
                    .help("write something, or remove the key"),
            );
            return None;
        }
        Some(text)
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        node: &Node,
        what: &str,
        words: &[(&'static str, T)],
        later: &[(&str, &'static str)],
    ) -> Option<T> {
        let text = self.text(node, what)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        if let Some(capability) = crate::keys::find(later, &text) {
            self.not_yet(&node.span, &format!("`{text}` as {what}"), capability);
            return None;
        }
        let names = words.iter().map(|(word, _)| *word);
        self.add(
            Diagnostic::error(
                codes::UNKNOWN_WORD,
                node.span.clone(),
                format!("{what} cannot be `{text}`"),
            )
            .help_if(suggest(&text, names, "it can be")),
        );
        None
    }

    /// A whole number within a range.
    pub(crate) fn integer(
        &mut self,
        node: &Node,
        what: &str,
        range: RangeInclusive<i64>,
    ) -> Option<i64> {
        let value = match &node.kind {
            Kind::Plain(text) if tree::integer(text).is_some() => tree::integer(text)?,
            Kind::Option { value: Some(OptionValue::Integer(value)), .. } => *value,
            Kind::Option { kind: Some(OptionType::Integer), .. } => return None,
            _ => {
                self.wrong_type(node, what, "an integer", integer_help(node));
                return None;
            }
        };
        if range.contains(&value) {
            return Some(value);
        }
        let (low, high) = (range.start(), range.end());
        let (bound, help) = if value < *low {
            (format!("must be at least {low}"), format!("write a number from {low} to {high}"))
        } else {
            (format!("must be at most {high}"), format!("write a number from {low} to {high}"))
        };
        self.add(
            Diagnostic::error(
                codes::OUT_OF_RANGE,
                node.span.clone(),
                format!("{what} is {value}, but {bound}"),
            )
            .label_if(origin(node), "the value comes from here")
            .help(help),
        );
        None
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        match &node.kind {
            Kind::Plain(text) if text == "true" => Some(true),
            Kind::Plain(text) if text == "false" => Some(false),
            Kind::Plain(text) if old_boolean(text).is_some() => {
                let meant = old_boolean(text)?;
                self.add(
                    Diagnostic::error(
                        codes::OLD_BOOLEAN,
                        node.span.clone(),
                        format!("{what} must be `true` or `false`, and `{text}` is neither"),
                    )
                    .help(format!("write `{meant}`")),
                );
                None
            }
            Kind::Option { value: Some(OptionValue::Boolean(value)), .. } => Some(*value),
            Kind::Option { kind: Some(OptionType::Boolean), .. } => None,
            _ => {
                let help = match &node.kind {
                    Kind::Quoted(text) if text == "true" || text == "false" => {
                        format!("write `{text}` without quotes")
                    }
                    _ => "write `true` or `false`".to_owned(),
                };
                self.wrong_type(node, what, "a boolean", Some(help));
                None
            }
        }
    }

    /// A duration such as `30s`.
    pub(crate) fn duration(&mut self, node: &Node, what: &str) -> Option<Millis> {
        match &node.kind {
            Kind::Option { value: Some(OptionValue::Duration(value)), .. } => Some(*value),
            Kind::Option { kind: Some(OptionType::Duration), .. } => None,
            _ => self.quantity(node, what, "a duration"),
        }
    }

    /// A size such as `256Mi`.
    pub(crate) fn size(&mut self, node: &Node, what: &str) -> Option<Bytes> {
        match &node.kind {
            Kind::Option { value: Some(OptionValue::Size(value)), .. } => Some(*value),
            Kind::Option { kind: Some(OptionType::Size), .. } => None,
            _ => self.quantity(node, what, "a size"),
        }
    }

    /// A share of processors such as `500m` or `2`; options of it are integers or text.
    pub(crate) fn cpu(&mut self, node: &Node, what: &str) -> Option<Cpu> {
        match &node.kind {
            Kind::Option { value: Some(OptionValue::Integer(value)), .. } => {
                self.parsed(&value.to_string(), &node.span, what, origin(node))
            }
            Kind::Option { value: Some(OptionValue::String(text)), .. } => {
                self.parsed(text, &node.span, what, origin(node))
            }
            Kind::Option { kind: Some(OptionType::Integer | OptionType::String), .. } => None,
            _ => self.quantity(node, what, "a share of processors"),
        }
    }

    fn quantity<T>(&mut self, node: &Node, what: &str, wanted: &str) -> Option<T>
    where
        T: FromStr<Err = QuantityError>,
    {
        match &node.kind {
            Kind::Plain(text) | Kind::Quoted(text) | Kind::Composed(text) => {
                self.parsed(text, &node.span, what, None)
            }
            _ => {
                let help =
                    "x".parse::<T>().err().map(|error| format!("write it like {}", error.example));
                self.wrong_type(node, what, wanted, help);
                None
            }
        }
    }

    fn parsed<T>(&mut self, text: &str, span: &Span, what: &str, from: Option<Span>) -> Option<T>
    where
        T: FromStr<Err = QuantityError>,
    {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(
                    Diagnostic::error(
                        codes::BAD_QUANTITY,
                        span.clone(),
                        format!("{what} must be {}, and `{text}` is not", error.what),
                    )
                    .label_if(from, "the value comes from here")
                    .help(quantity_help(text, &error)),
                );
                None
            }
        }
    }

    /// The items of a list.
    pub(crate) fn items<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        help: &str,
    ) -> Option<&'n [Node]> {
        match &node.kind {
            Kind::List(items) => Some(items),
            _ => {
                self.wrong_type(node, what, "a list", Some(help.to_owned()));
                None
            }
        }
    }
}

/// Where the value of a reference was written.
pub(crate) fn origin(node: &Node) -> Option<Span> {
    match &node.kind {
        Kind::Option { origin, .. } => origin.clone(),
        _ => None,
    }
}

/// What a boolean of YAML 1.1 means.
pub(crate) fn old_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "y" | "true" => Some(true),
        "no" | "off" | "n" | "false" => Some(false),
        _ => None,
    }
}

fn integer_help(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Quoted(text) if tree::integer(text).is_some() => {
            Some(format!("write `{text}` without quotes"))
        }
        Kind::Composed(_) => {
            Some("a reference keeps the option's type only where it is the whole value".to_owned())
        }
        _ => Some("write a whole number".to_owned()),
    }
}

/// A type with its article.
pub(crate) fn article(kind: OptionType) -> String {
    match kind {
        OptionType::Integer => "an integer".to_owned(),
        OptionType::Url => "a URL".to_owned(),
        other => format!("a {other}"),
    }
}

/// The type that an option needs to fit.
fn type_help(wanted: &str) -> Option<String> {
    let kind = match wanted {
        "a list" | "a map" | "a list of verbs" => {
            return Some(format!("an option cannot hold {wanted}: write it here"));
        }
        _ => wanted.split_once(' ')?.1,
    };
    OptionType::ALL
        .iter()
        .any(|known| known.word() == kind)
        .then(|| format!("declare the option with `type: {kind}`"))
}
