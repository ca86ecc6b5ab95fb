//! Commands: a list, or text that is split as a shell would, with nothing expanded.

use super::Decoder;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::tree::{Kind, Node};

/// What a shell takes for a variable of the program behind it.
const ASSIGNMENT: &str = "an assignment (`NAME=value`)";

/// Why a text cannot be split.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// Something that only a shell can do, at a byte.
    NeedsShell { what: &'static str, byte: usize },
    /// A quote that is not closed, at a byte.
    Open { byte: usize },
}

impl Decoder<'_, '_> {
    /// The program and its arguments.
    pub(crate) fn command(&mut self, node: &Node, what: &str) -> Option<Vec<String>> {
        let words = match &node.kind {
            Kind::List(items) => {
                let words: Vec<Option<String>> = items
                    .iter()
                    .map(|item| self.text(item, &format!("an argument in {what}")))
                    .collect();
                words.into_iter().collect::<Option<Vec<_>>>()?
            }
            Kind::Map(_) | Kind::Null => {
                self.wrong_type(
                    node,
                    what,
                    "a list or text",
                    Some("write `[./program, argument]`".to_owned()),
                );
                return None;
            }
            _ => {
                let text = self.text(node, what)?;
                self.split(node, what, &text)?
            }
        };
        if words.first().is_none_or(|program| program.trim().is_empty()) {
            self.add(
                Diagnostic::error(
                    codes::EMPTY,
                    node.span.clone(),
                    format!("{what} names no program"),
                )
                .help("write `[./program, argument]`"),
            );
            return None;
        }
        Some(words)
    }

    fn split(&mut self, node: &Node, what: &str, text: &str) -> Option<Vec<String>> {
        let refusal = match split(text) {
            Ok(words) => return Some(words),
            Err(refusal) => refusal,
        };
        // Only text without quotes stands in the file as it was read.
        let plain = matches!(node.kind, Kind::Plain(_)) && node.span.len() == text.len();
        let (message, byte, help) = match refusal {
            Refusal::NeedsShell { what: ASSIGNMENT, byte } => (
                format!("{what} begins with {ASSIGNMENT}, but a command is not given to a shell"),
                byte,
                "put the variable under `env`, and begin the command with the program".to_owned(),
            ),
            Refusal::NeedsShell { what: thing, byte } => {
                let quoted = text.trim().replace('\\', "\\\\").replace('"', "\\\"");
                (
                    format!("{what} has {thing}, but a command is not given to a shell"),
                    byte,
                    format!(
                        "ask for the shell: `[sh, -c, \"{quoted}\"]`; or put the argument in quotes"
                    ),
                )
            }
            Refusal::Open { byte } => (
                format!("{what} has a quote that is not closed"),
                byte,
                "close the quote, or write a list: `[./program, \"an argument\"]`".to_owned(),
            ),
        };
        let span = if plain {
            let start = node.span.start + byte;
            start..start + text[byte..].chars().next().map_or(0, char::len_utf8)
        } else {
            node.span.clone()
        };
        self.add(Diagnostic::error(codes::BAD_COMMAND, span, message).help(help));
        None
    }
}

/// The words of a text that needs no shell.
pub(crate) fn split_words(text: &str) -> Option<Vec<String>> {
    split(text).ok()
}

/// Splits text into words: white space separates, quotes and `\` keep, nothing is expanded.
fn split(text: &str) -> Result<Vec<String>, Refusal> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.char_indices();
    while let Some((byte, character)) = characters.next() {
        match character {
            _ if character.is_whitespace() => words.extend(word.take()),
            '\'' => {
                let content = quoted_single(&mut characters, byte)?;
                word.get_or_insert_default().push_str(&content);
            }
            '"' => {
                let content = quoted_double(&mut characters, byte)?;
                word.get_or_insert_default().push_str(&content);
            }
            '\\' => {
                let (_, next) = characters.next().ok_or(Refusal::Open { byte })?;
                word.get_or_insert_default().push(next);
            }
            _ => {
                if let Some(what) = shell_only(character, words.is_empty(), word.as_deref()) {
                    return Err(Refusal::NeedsShell { what, byte });
                }
                word.get_or_insert_default().push(character);
            }
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted_single(
    characters: &mut std::str::CharIndices<'_>,
    open: usize,
) -> Result<String, Refusal> {
    let mut content = String::new();
    for (_, character) in characters {
        if character == '\'' {
            return Ok(content);
        }
        content.push(character);
    }
    Err(Refusal::Open { byte: open })
}

fn quoted_double(
    characters: &mut std::str::CharIndices<'_>,
    open: usize,
) -> Result<String, Refusal> {
    let mut content = String::new();
    while let Some((byte, character)) = characters.next() {
        match character {
            '"' => return Ok(content),
            '$' => return Err(Refusal::NeedsShell { what: "a variable (`$`)", byte }),
            '`' => {
                return Err(Refusal::NeedsShell { what: "a command substitution (`` ` ``)", byte });
            }
            '\\' => match characters.next() {
                Some((_, next @ ('"' | '\\' | '$' | '`'))) => content.push(next),
                Some((_, next)) => {
                    content.push('\\');
                    content.push(next);
                }
                None => break,
            },
            _ => content.push(character),
        }
    }
    Err(Refusal::Open { byte: open })
}

fn shell_only(character: char, first: bool, word: Option<&str>) -> Option<&'static str> {
    match character {
        '|' => Some("a pipe (`|`)"),
        '&' => Some("a `&`"),
        ';' => Some("a `;`"),
        '<' | '>' => Some("a redirection (`<`, `>`)"),
        '(' | ')' => Some("a parenthesis"),
        '$' => Some("a variable (`$`)"),
        '`' => Some("a command substitution (`` ` ``)"),
        '*' | '?' | '[' => Some("a pattern (`*`, `?`, `[`)"),
        '~' if word.is_none() => Some("a home folder (`~`)"),
        '#' if word.is_none() => Some("a comment (`#`)"),
        '=' if first && word.is_some_and(|word| !word.contains(['/', '.', '-'])) => {
            Some(ASSIGNMENT)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_split_as_a_shell_would() {
        let cases: [(&str, &[&str]); 6] = [
            ("./shop serve", &["./shop", "serve"]),
            ("  a  'b c' \"d \\\" e\" f\\ g ", &["a", "b c", "d \" e", "f g"]),
            ("a '' \"\"", &["a", "", ""]),
            ("a --x=y b=c", &["a", "--x=y", "b=c"]),
            ("a '$HOME' \"\\$x\" '*'", &["a", "$HOME", "$x", "*"]),
            ("", &[]),
        ];
        for (text, words) in cases {
            assert_eq!(split(text).expect(text), words, "{text}");
        }
    }

    #[test]
    fn what_needs_a_shell_is_refused_where_it_stands() {
        for (text, byte) in
            [("a | b", 2), ("a $X", 2), ("a \"$X\"", 3), ("X=1 a", 1), ("ls *.x", 3)]
        {
            assert!(
                matches!(split(text), Err(Refusal::NeedsShell { byte: at, .. }) if at == byte),
                "{text}"
            );
        }
        assert_eq!(split("a 'b"), Err(Refusal::Open { byte: 2 }));
        assert_eq!(split("a \\"), Err(Refusal::Open { byte: 2 }));
    }
}
