//! Words for what the YAML parser stumbles over.

use crate::codes;
use crate::diagnostic::{Diagnostic, Report};

/// Reports one syntax error in words that say what to change.
pub(super) fn explain(report: &mut Report<'_>, place: usize, info: &str) {
    let text = &report.source().text;
    let place = report.source().floor(place);
    let line_start = text[..place].rfind('\n').map_or(0, |index| index + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let indentation = line.len() - line.trim_start().len();
    let (span, message, help) = if let Some(tab) = line[..indentation].find('\t') {
        let start = line_start + tab;
        (
            start..start + 1,
            "a tab stands in the indentation".to_owned(),
            "YAML is indented with spaces: replace the tab with two spaces for each level",
        )
    } else {
        let next = text[place..].chars().next().map_or(0, char::len_utf8);
        let (message, help) = words(info);
        (place..place + next, message, help)
    };
    report.add(Diagnostic::error(codes::SYNTAX, span, message).caret("noticed here").help(help));
}

fn words(info: &str) -> (String, &'static str) {
    match info {
        _ if info.contains("anchor or alias") => (
            "text that begins with `*` or `&` needs quotes".to_owned(),
            "write it in quotes, like `\"*.shop.example\"`",
        ),
        _ if info.contains("mapping values are not allowed") => (
            "a `:` stands where no key can be".to_owned(),
            "put the text in quotes when it contains `: `; or the line is indented too deep",
        ),
        _ if info.contains("escape") || info.contains("hexadecimal") => (
            "text in double quotes has an escape that does not exist".to_owned(),
            "write `\\\\` for a backslash, or use single quotes, which have no escapes",
        ),
        _ if info.contains("trailing content") => (
            "text goes on behind the closing quote".to_owned(),
            "put the whole text in one pair of quotes; write `\\\"` for a quote inside of double quotes",
        ),
        _ if info.contains("quoted scalar") => {
            ("a quote is not closed".to_owned(), "add the closing quote")
        }
        _ if info.contains("flow mapping") => (
            "a `{` is not closed, or a `,` is missing".to_owned(),
            "write `{ key: value, other: value }`, with a space after each `:`",
        ),
        _ if info.contains("flow sequence") || info.contains("flow construct") => (
            "a `[` is not closed, or a `,` is missing".to_owned(),
            "write `[one, two]`, with quotes around text that has commas or brackets",
        ),
        _ if info.contains("tab") => {
            ("a tab stands where YAML wants spaces".to_owned(), "replace the tab with spaces")
        }
        _ if info.contains("unexpected character") || info.contains("anchor") => {
            ("text cannot begin with this character".to_owned(), "put the text in quotes")
        }
        _ if info.contains("block mapping") || info.contains("simple key") => (
            "a line is not a `key: value` of the map around it".to_owned(),
            "write `key: value`, and begin the keys of one map in the same column",
        ),
        _ if info.contains("block collection") || info.contains("indentation") => (
            "a line is not indented like the ones around it".to_owned(),
            "begin the lines of one list or map in the same column",
        ),
        _ if info.contains("recursion limit") => {
            ("brackets are nested too deep".to_owned(), "nothing in the file needs so many levels")
        }
        _ => (format!("not valid YAML: {info}"), "put text with special characters in quotes"),
    }
}
