//! References put in place: `${options.name}` becomes the option's value, with its type where it
//! stands alone.

use crate::codes;
use crate::diagnostic::{Diagnostic, Report};
use crate::keys;
use crate::nearest::{nearest, suggest};
use crate::options::{Current, Values};
use crate::source::Span;
use crate::template::{Piece, pieces};
use crate::tree::{Kind, Node};
use landfall_model::OptionName;
use std::collections::BTreeSet;
use std::ops::Range;

/// Puts values into a tree, and remembers which options were used.
pub(crate) struct Substitution<'v, 'r, 's> {
    pub(crate) values: &'v Values,
    pub(crate) report: &'r mut Report<'s>,
    pub(crate) used: BTreeSet<OptionName>,
}

impl Substitution<'_, '_, '_> {
    /// Replaces every reference in the values below a node. Keys have none.
    pub(crate) fn apply(&mut self, node: &mut Node) {
        match &mut node.kind {
            Kind::List(items) => items.iter_mut().for_each(|item| self.apply(item)),
            Kind::Map(entries) => {
                entries.iter_mut().for_each(|entry| self.apply(&mut entry.value));
            }
            Kind::Plain(text) | Kind::Quoted(text) if text.contains("${") => {
                let text = std::mem::take(text);
                node.kind = self.replace(&text, &node.span);
            }
            _ => {}
        }
    }

    fn replace(&mut self, text: &str, span: &Span) -> Kind {
        let pieces = pieces(text);
        if let [Piece::Reference { inside, range }] = &pieces[..] {
            return match self.resolve(inside, self.place(text, span, range)) {
                Some((name, current)) => Kind::Option {
                    name,
                    value: current.value,
                    kind: current.kind,
                    declared: current.declared,
                    origin: current.origin,
                },
                None => Kind::Unknown,
            };
        }
        // All pieces are looked at, so that every wrong reference is reported.
        let parts: Vec<Option<String>> =
            pieces.iter().map(|piece| self.part(piece, text, span)).collect();
        parts.into_iter().collect::<Option<String>>().map_or(Kind::Unknown, Kind::Composed)
    }

    /// The text of one piece, when it is known.
    fn part(&mut self, piece: &Piece, text: &str, span: &Span) -> Option<String> {
        match piece {
            Piece::Text(text) => Some(text.clone()),
            Piece::Reference { inside, range } => {
                let (_, current) = self.resolve(inside, self.place(text, span, range))?;
                current.value.map(|value| value.to_string())
            }
            Piece::Open { range } => {
                self.report.add(
                    Diagnostic::error(
                        codes::BAD_REFERENCE,
                        self.place(text, span, range),
                        "a reference begins with `${` and has no `}`",
                    )
                    .help("write `${options.name}`; for the characters `${` write `$${`"),
                );
                None
            }
        }
    }

    /// Where a part of a text stands in the file, when the file has the text as it was read.
    fn place(&self, text: &str, span: &Span, range: &Range<usize>) -> Span {
        let source = &self.report.source().text;
        for offset in [0, 1] {
            let start = span.start + offset;
            if source.get(start..).is_some_and(|rest| rest.starts_with(text)) {
                return start + range.start..start + range.end;
            }
        }
        span.clone()
    }

    fn resolve(&mut self, inside: &str, span: Span) -> Option<(OptionName, Current)> {
        let trimmed = inside.trim();
        let (namespace, name) = match trimmed.split_once('.') {
            Some(parts) => parts,
            None => (trimmed, ""),
        };
        if let Some(capability) = keys::find(keys::LATER_REFERENCES, namespace) {
            self.report.add(
                Diagnostic::error(
                    codes::NOT_YET,
                    span,
                    format!(
                        "the reference `${{{trimmed}}}` is not part of this version of Landfall"
                    ),
                )
                .caret(format!("belongs to {capability}"))
                .help("use an option: `${options.name}`"),
            );
            return None;
        }
        if namespace != "options" {
            self.unknown_namespace(trimmed, namespace, span);
            return None;
        }
        let Ok(option) = OptionName::new(name) else {
            self.bad_reference(inside, span);
            return None;
        };
        if trimmed != inside {
            self.bad_reference(inside, span);
            return None;
        }
        let Some(current) = self.values.get(&option) else {
            self.unknown_option(name, span);
            return None;
        };
        self.used.insert(option.clone());
        Some((option, current.clone()))
    }

    fn unknown_option(&mut self, name: &str, span: Span) {
        let names = self.values.keys().map(OptionName::as_str);
        let help = suggest(name, names, "the options are")
            .unwrap_or_else(|| format!("declare it: `options: {{ {name}: {{ type: string }} }}`"));
        let message = format!("the option `{name}` is not declared");
        self.report.add(Diagnostic::error(codes::UNKNOWN_OPTION, span, message).help(help));
    }

    fn unknown_namespace(&mut self, reference: &str, namespace: &str, span: Span) {
        let known = |name: &str| self.values.keys().any(|option| option.as_str() == name);
        let help = if known(reference) {
            format!("write `${{options.{reference}}}`")
        } else if namespace == "env" {
            let name = reference.strip_prefix("env.").unwrap_or("NAME").to_ascii_lowercase();
            format!(
                "the environment is not read from the file: declare an option `{name}` and set it with `LANDFALL_OPTION_{}`",
                name.to_ascii_uppercase()
            )
        } else if nearest(namespace, ["options"]).is_some() {
            format!(
                "write `${{options.{}}}`",
                reference.split_once('.').map_or("name", |(_, name)| name)
            )
        } else {
            "references are made to options: `${options.name}`; for the characters `${` write `$${`"
                .to_owned()
        };
        let message = format!("`${{{reference}}}` refers to nothing that is known here");
        self.report.add(Diagnostic::error(codes::UNKNOWN_REFERENCE, span, message).help(help));
    }

    fn bad_reference(&mut self, inside: &str, span: Span) {
        let cleaned: String = inside.chars().filter(|c| !c.is_whitespace()).collect();
        let fine =
            cleaned.strip_prefix("options.").is_some_and(|name| OptionName::new(name).is_ok());
        let help = if fine {
            format!("write `${{{cleaned}}}`")
        } else {
            "write `${options.name}`: there are no expressions, defaults or functions".to_owned()
        };
        self.report.add(
            Diagnostic::error(
                codes::BAD_REFERENCE,
                span,
                format!("`${{{inside}}}` cannot be read as a reference"),
            )
            .help(help),
        );
    }
}
