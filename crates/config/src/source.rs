//! The text of the file, and places in it.

use std::ops::Range;

/// A range of bytes in the source.
pub type Span = Range<usize>;

/// A text that was read, with the name people know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The name as shown to people, usually a relative path.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl SourceFile {
    /// A source from its parts.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// The line and column of a byte, both from 1; columns count characters.
    #[must_use]
    pub fn line_column(&self, byte: usize) -> (usize, usize) {
        let before = &self.text[..self.floor(byte)];
        let line_start = before.rfind('\n').map_or(0, |index| index + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// `file:line:column` of a byte.
    #[must_use]
    pub fn place(&self, byte: usize) -> String {
        let (line, column) = self.line_column(byte);
        format!("{}:{line}:{column}", self.name)
    }

    /// The nearest character boundary at or before a byte, inside the text.
    pub(crate) fn floor(&self, byte: usize) -> usize {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        byte
    }

    /// The part of a span that lies in its first line and inside the text.
    pub(crate) fn first_line(&self, span: &Span) -> Span {
        let start = self.floor(span.start);
        let end = self.floor(span.end).max(start);
        let text = &self.text[start..end];
        let text = text.split('\n').next().unwrap_or_default().trim_end();
        start..start + text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_and_stay_inside() {
        let source = SourceFile::new("f", "a: ü\nbü: x\n");
        assert_eq!(source.line_column(0), (1, 1));
        assert_eq!(source.line_column(6), (2, 1));
        assert_eq!(source.place(9), "f:2:3");
        assert_eq!(source.line_column(999), (3, 1));
        assert_eq!(source.first_line(&(3..9)), 3..5);
        assert_eq!(source.first_line(&(90..100)), 13..13);
    }
}
