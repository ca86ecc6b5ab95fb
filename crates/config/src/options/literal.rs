//! Literal values of options, in the file and from outside of it.

use super::Setting;
use crate::codes;
use crate::decode::{Decoder, article, old_boolean, quantity_help};
use crate::diagnostic::Diagnostic;
use crate::template::{Piece, pieces};
use crate::tree::{self, Kind, Node};
use landfall_model::{OptionType, OptionValue};

impl Decoder<'_, '_> {
    /// Whether a value has no references, where none can stand.
    pub(crate) fn literal(&mut self, node: &Node) -> bool {
        let (Kind::Plain(text) | Kind::Quoted(text)) = &node.kind else { return true };
        let free = pieces(text).iter().all(|piece| matches!(piece, Piece::Text(_)));
        if !free {
            self.add(
                Diagnostic::error(
                    codes::REFERENCE_NOT_HERE,
                    node.span.clone(),
                    "no reference can stand here: options are not known before this is read",
                )
                .help("write the value itself; for the characters `${` write `$${`"),
            );
        }
        free
    }

    /// A literal value of an option's type.
    pub(crate) fn setting(&mut self, node: &Node, what: &str, kind: Option<OptionType>) -> Setting {
        let span = node.span.clone();
        let value = match kind {
            Some(kind) if self.literal(node) => self.option_value(node, what, kind),
            _ => None,
        };
        Setting { value, span }
    }

    fn option_value(&mut self, node: &Node, what: &str, kind: OptionType) -> Option<OptionValue> {
        let text = match &node.kind {
            Kind::Plain(text) | Kind::Quoted(text) => text.replace("$${", "${"),
            _ => {
                self.misfit(node, what, kind, format!("write {}", article(kind)));
                return None;
            }
        };
        let quoted = matches!(node.kind, Kind::Quoted(_));
        let bare = matches!(kind, OptionType::Integer | OptionType::Number | OptionType::Boolean);
        match from_text(kind, &text) {
            Ok(_) if quoted && bare => {
                self.misfit(node, what, kind, format!("write `{text}` without quotes"));
                None
            }
            Ok(value) => Some(value),
            Err(help) => {
                self.misfit(node, what, kind, help);
                None
            }
        }
    }

    fn misfit(&mut self, node: &Node, what: &str, kind: OptionType, help: String) {
        let text = match &node.kind {
            Kind::Plain(text) => format!("`{text}` is not"),
            Kind::Quoted(text) => format!("`\"{text}\"` is not"),
            _ => format!("this is {}", node.what()),
        };
        self.add(
            Diagnostic::error(
                codes::OPTION_WRONG_TYPE,
                node.span.clone(),
                format!("{what} must be {}, and {text}", article(kind)),
            )
            .help(help),
        );
    }
}

/// Reads a value of a type from text.
///
/// # Errors
/// Says what to write instead.
pub(super) fn from_text(kind: OptionType, text: &str) -> Result<OptionValue, String> {
    let quantity = |error: landfall_model::QuantityError| quantity_help(text, &error);
    match kind {
        OptionType::String => Ok(OptionValue::String(text.to_owned())),
        OptionType::Integer => tree::integer(text)
            .map(OptionValue::Integer)
            .ok_or("write a whole number, like 2".into()),
        OptionType::Number => {
            tree::number(text).map(OptionValue::Number).ok_or("write a number, like 0.5".into())
        }
        OptionType::Boolean => match text {
            "true" => Ok(OptionValue::Boolean(true)),
            "false" => Ok(OptionValue::Boolean(false)),
            _ => Err(match old_boolean(text) {
                Some(meant) => format!("write `{meant}`"),
                None => "write `true` or `false`".to_owned(),
            }),
        },
        OptionType::Duration => text.parse().map(OptionValue::Duration).map_err(quantity),
        OptionType::Size => text.parse().map(OptionValue::Size).map_err(quantity),
        OptionType::Url if is_url(text) => Ok(OptionValue::Url(text.to_owned())),
        OptionType::Url => Err("write an absolute URL, like `https://shop.example/`".to_owned()),
    }
}

fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && rest.starts_with(|c: char| c != '/' && c != '?' && c != '#')
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Whether one value is larger than another of the same type.
pub(super) fn larger(one: &OptionValue, two: &OptionValue) -> bool {
    match (one, two) {
        (OptionValue::Integer(one), OptionValue::Integer(two)) => one > two,
        (OptionValue::Number(one), OptionValue::Number(two)) => one > two,
        (OptionValue::Duration(one), OptionValue::Duration(two)) => one > two,
        (OptionValue::Size(one), OptionValue::Size(two)) => one > two,
        _ => false,
    }
}
