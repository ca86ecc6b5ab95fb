//! Files of `NAME=value` lines. Nothing in them is expanded, and values are never shown.

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::files::Files;
use crate::source::Span;
use std::io;

/// Why a file of variables cannot be used.
#[derive(Debug)]
pub(crate) enum Problem {
    /// It could not be read.
    Missing(io::Error),
    /// It is not UTF-8.
    NotText,
    /// A line, from 1, is not understood.
    Line { line: usize, why: &'static str },
}

impl Problem {
    pub(crate) fn diagnostic(&self, path: &str, span: Span) -> Diagnostic {
        match self {
            Self::Missing(error) => {
                let why = match error.kind() {
                    io::ErrorKind::NotFound => "there is no such file".to_owned(),
                    _ => error.to_string(),
                };
                Diagnostic::error(
                    codes::ENV_FILE_MISSING,
                    span,
                    format!("the env_file `{path}` cannot be read: {why}"),
                )
                .help("create it beside `landfall.yaml`, correct the path, or use `env`")
            }
            Self::NotText => Diagnostic::error(
                codes::ENV_FILE_SYNTAX,
                span,
                format!("the env_file `{path}` is not UTF-8 text"),
            )
            .help("save it as UTF-8"),
            Self::Line { line, why } => Diagnostic::error(
                codes::ENV_FILE_SYNTAX,
                span,
                format!("line {line} of the env_file `{path}` {why}"),
            )
            .help("each line is `NAME=value`, `NAME=\"quoted value\"` or a `# comment`"),
        }
    }
}

/// Reads a file of variables, in its order.
pub(crate) fn read(files: &dyn Files, path: &str) -> Result<Vec<(String, String)>, Problem> {
    let content = files.read(path).map_err(Problem::Missing)?;
    let text = String::from_utf8(content).map_err(|_| Problem::NotText)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut variables = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let wrong = |why| Problem::Line { line: index + 1, why };
        let trimmed = trimmed.strip_prefix("export ").unwrap_or(trimmed);
        let (name, value) = trimmed.split_once('=').ok_or(wrong("has no `=`"))?;
        variables.push((name.trim().to_owned(), value_of(value.trim()).map_err(wrong)?));
    }
    Ok(variables)
}

fn value_of(value: &str) -> Result<String, &'static str> {
    if let Some(rest) = value.strip_prefix('\'') {
        let (inside, after) = rest.split_once('\'').ok_or("has a quote that is not closed")?;
        return only_comment(after).then(|| inside.to_owned()).ok_or("goes on after the quote");
    }
    if let Some(rest) = value.strip_prefix('"') {
        return double_quoted(rest);
    }
    let end = value.find(" #").unwrap_or(value.len());
    Ok(value[..end].trim_end().to_owned())
}

fn double_quoted(rest: &str) -> Result<String, &'static str> {
    let mut text = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next() {
            None => return Err("has a quote that is not closed"),
            Some('"') if only_comment(characters.as_str()) => return Ok(text),
            Some('"') => return Err("goes on after the quote"),
            Some('\\') => match characters.next() {
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some('t') => text.push('\t'),
                Some(other @ ('"' | '\\' | '$')) => text.push(other),
                Some(other) => {
                    text.push('\\');
                    text.push(other);
                }
                None => return Err("has a quote that is not closed"),
            },
            Some(other) => text.push(other),
        }
    }
}

fn only_comment(after: &str) -> bool {
    let after = after.trim();
    after.is_empty() || after.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn read_text(text: &str) -> Result<Vec<(String, String)>, Problem> {
        read(&BTreeMap::from([("f".to_owned(), text.to_owned())]), "f")
    }

    #[test]
    fn lines_are_read_and_nothing_is_expanded() {
        let text = "# c\n\nA=1\nexport B = two words # c\nC='a $X #'\nD=\"x\\ny\" # c\nE=\nF=a#b\n";
        let read = read_text(text).expect("a sound file");
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "a $X #"),
            ("D", "x\ny"),
            ("E", ""),
            ("F", "a#b"),
        ];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn bad_lines_are_named() {
        for text in ["A=1\nB", "A=1\nB='x", "A=1\nB=\"x", "A=1\nB='x'y", "A=1\nB=\"x\\"] {
            assert!(matches!(read_text(text), Err(Problem::Line { line: 2, .. })), "{text}");
        }
    }
}
