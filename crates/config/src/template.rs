//! References in text: `${options.name}`, and `$${` for the characters themselves.

use std::ops::Range;

/// A piece of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Characters that stand for themselves.
    Text(String),
    /// What stands between `${` and `}`, with the bytes of the whole reference in the text.
    Reference { inside: String, range: Range<usize> },
    /// A `${` without its `}`.
    Open { range: Range<usize> },
}

/// Cuts a text into pieces. Text without `${` is one piece.
pub(crate) fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let start = at + found;
        if text[at..start].ends_with('$') {
            plain.push_str(&text[at..start - 1]);
            plain.push_str("${");
            at = start + 2;
            continue;
        }
        plain.push_str(&text[at..start]);
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        let Some(length) = text[start..].find('}') else {
            pieces.push(Piece::Open { range: start..text.len() });
            return pieces;
        };
        let end = start + length + 1;
        let inside = text[start + 2..end - 1].to_owned();
        pieces.push(Piece::Reference { inside, range: start..end });
        at = end;
    }
    plain.push_str(&text[at..]);
    if !plain.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(inside: &str, range: Range<usize>) -> Piece {
        Piece::Reference { inside: inside.to_owned(), range }
    }

    #[test]
    fn text_is_cut_at_references() {
        assert_eq!(pieces("plain $1 {x}"), [Piece::Text("plain $1 {x}".into())]);
        assert_eq!(pieces("${options.x}"), [reference("options.x", 0..12)]);
        assert_eq!(
            pieces("a${b}c"),
            [Piece::Text("a".into()), reference("b", 1..5), Piece::Text("c".into())]
        );
        assert_eq!(pieces("$${x} ${y}"), [Piece::Text("${x} ".into()), reference("y", 6..10)]);
        assert_eq!(pieces("a${b"), [Piece::Text("a".into()), Piece::Open { range: 1..4 }]);
        assert_eq!(pieces(""), [Piece::Text(String::new())]);
    }
}
