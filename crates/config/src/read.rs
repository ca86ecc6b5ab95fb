//! Reading the text into a tree, with every oddity of YAML refused where it stands.

mod syntax;

use crate::codes;
use crate::diagnostic::{Diagnostic, Report};
use crate::source::{SourceFile, Span};
use crate::tree::{Entry, Kind, Node};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span as Marked};
use std::collections::HashMap;

/// The largest file that is read, in bytes.
const LARGEST: usize = 1 << 20;
/// The deepest nesting of collections.
const DEEPEST: usize = 32;

/// Reads the text. Nothing means that it could not be read and that the reason is in the report.
pub(crate) fn read(report: &mut Report<'_>) -> Option<Node> {
    let source = report.source();
    if source.text.len() > LARGEST {
        report.add(
            Diagnostic::error(
                codes::TOO_LARGE,
                0..0,
                format!("the file has {} bytes; at most {LARGEST} are read", source.text.len()),
            )
            .help("move generated data into a file that the artifact carries, or into an env_file"),
        );
        return None;
    }
    let mut builder = Builder::new(report);
    let node = builder.document(source)?;
    match &node.kind {
        Kind::Map(entries) if !entries.is_empty() => Some(node),
        _ => {
            let what = match &node.kind {
                Kind::Null => "the file is empty".to_owned(),
                Kind::Map(_) => "the file is an empty map".to_owned(),
                _ => format!("the file is {}, not a map of keys", node.what()),
            };
            report.add(Diagnostic::error(codes::NO_MAP, node.span, what).help(
                "begin with the lines `landfall: v1` and `app: NAME`, or run `landfall init`",
            ));
            None
        }
    }
}

/// A collection that is being read.
enum Open {
    List { start: usize, items: Vec<Node> },
    Map { start: usize, entries: Vec<Entry>, seen: HashMap<String, Span>, key: Option<Key> },
}

/// A key that waits for its value; one that was refused still takes its value away.
struct Key {
    text: Option<String>,
    span: Span,
}

struct Builder<'r, 's> {
    report: &'r mut Report<'s>,
    /// The byte of each character, when the text is not plain ASCII.
    bytes: Option<Vec<usize>>,
    stack: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    stop: bool,
}

impl<'r, 's> Builder<'r, 's> {
    fn new(report: &'r mut Report<'s>) -> Self {
        let text = &report.source().text;
        let bytes = (!text.is_ascii()).then(|| {
            text.char_indices().map(|(byte, _)| byte).chain(std::iter::once(text.len())).collect()
        });
        Self { report, bytes, stack: Vec::new(), root: None, documents: 0, stop: false }
    }

    fn byte(&self, marker: &Marker) -> usize {
        let length = self.report.source().text.len();
        match &self.bytes {
            Some(bytes) => bytes.get(marker.index()).copied().unwrap_or(length),
            None => marker.index().min(length),
        }
    }

    fn document(&mut self, source: &SourceFile) -> Option<Node> {
        let mut parser = Parser::new_from_str(&source.text);
        while let Some(next) = parser.next_event() {
            match next {
                Ok((event, marked)) => self.event(event, &marked),
                Err(error) => {
                    let place = self.byte(error.marker());
                    syntax::explain(self.report, place, error.info());
                    return None;
                }
            }
            if self.stop {
                return None;
            }
        }
        let end = source.text.len();
        Some(self.root.take().unwrap_or(Node { span: end..end, kind: Kind::Null }))
    }

    fn event(&mut self, event: Event<'_>, marked: &Marked) {
        let span = self.byte(&marked.start)..self.byte(&marked.end);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_) => self.begin_document(span),
            Event::Alias(_) => self.refuse_alias(span),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_extras(&span, anchor, tag.is_some());
                self.scalar(&text, style, span);
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_extras(&span, anchor, tag.is_some());
                self.open(Open::List { start: span.start, items: Vec::new() }, span);
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_extras(&span, anchor, tag.is_some());
                let start = span.start;
                let seen = HashMap::new();
                self.open(Open::Map { start, entries: Vec::new(), seen, key: None }, span);
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(&span),
        }
    }

    fn begin_document(&mut self, span: Span) {
        self.documents += 1;
        if self.documents == 2 {
            self.report.add(
                Diagnostic::error(
                    codes::SEVERAL_DOCUMENTS,
                    span,
                    "a second document begins here, and a file holds one application",
                )
                .help("remove the `---`, or put the second application into a folder of its own"),
            );
            self.stop = true;
        }
    }

    fn refuse_alias(&mut self, span: Span) {
        self.report.add(
            Diagnostic::error(codes::ALIAS, span.clone(), "aliases are not used here")
                .help("for a shared value use an option and `${options.name}`; text that begins with `*` needs quotes"),
        );
        self.push(Node { span, kind: Kind::Unknown });
    }

    fn refuse_extras(&mut self, span: &Span, anchor: usize, tagged: bool) {
        if anchor > 0 {
            let place = self.before(span, '&');
            self.report.add(
                Diagnostic::error(codes::ALIAS, place, "anchors are not used here")
                    .help("for a shared value use an option and `${options.name}`; text that begins with `&` needs quotes"),
            );
        }
        if tagged {
            let place = self.before(span, '!');
            self.report.add(
                Diagnostic::error(codes::TAG, place, "tags are not used here")
                    .help("remove the tag; text that begins with `!` needs quotes"),
            );
        }
    }

    /// The word that begins with a mark, on the line of a span and before its end.
    fn before(&self, span: &Span, mark: char) -> Span {
        let text = &self.report.source().text;
        let end = self.report.source().floor(span.start);
        match text[..end].rfind(mark) {
            Some(last) => {
                let start = text[..last].trim_end_matches(mark).len();
                let word = text[start..].find(char::is_whitespace).unwrap_or(text.len() - start);
                start..start + word
            }
            None => span.clone(),
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) {
        let plain = style == ScalarStyle::Plain;
        let kind = match text {
            "" | "~" | "null" | "Null" | "NULL" if plain => Kind::Null,
            _ if plain => Kind::Plain(text.to_owned()),
            _ => Kind::Quoted(text.to_owned()),
        };
        self.push(Node { span, kind });
    }

    fn open(&mut self, open: Open, span: Span) {
        if self.stack.len() >= DEEPEST {
            self.report.add(
                Diagnostic::error(
                    codes::TOO_DEEP,
                    span,
                    format!("nested deeper than {DEEPEST} levels"),
                )
                .help("nothing in the file needs more than a few levels"),
            );
            self.stop = true;
            return;
        }
        self.stack.push(open);
    }

    fn close(&mut self, span: &Span) {
        let Some(open) = self.stack.pop() else { return };
        let node = match open {
            Open::List { start, items } => {
                let last = items.last().map(|item| item.span.end);
                Node { span: self.around(start, last, span), kind: Kind::List(items) }
            }
            Open::Map { start, entries, .. } => {
                let last = entries.last().map(|entry| entry.value.span.end);
                Node { span: self.around(start, last, span), kind: Kind::Map(entries) }
            }
        };
        self.push(node);
    }

    /// The span of a collection: to its bracket, or to the end of its last value, because the
    /// parser notices the end of an indented collection only at whatever comes next.
    fn around(&self, start: usize, last: Option<usize>, close: &Span) -> Span {
        let bracket = self.report.source().text[start..].starts_with(['{', '[']);
        let end = if bracket { close.end } else { last.unwrap_or(start) };
        start..end.max(start)
    }

    fn push(&mut self, node: Node) {
        let Some(mut open) = self.stack.pop() else {
            self.root = Some(node);
            return;
        };
        match &mut open {
            Open::List { items, .. } => items.push(node),
            Open::Map { entries, seen, key, .. } => match key.take() {
                None => *key = Some(self.check_key(node, seen)),
                Some(Key { text: None, .. }) => {}
                Some(Key { text: Some(text), span }) => {
                    entries.push(Entry { key: text, key_span: span, value: node });
                }
            },
        }
        self.stack.push(open);
    }

    fn check_key(&mut self, node: Node, seen: &mut HashMap<String, Span>) -> Key {
        let span = node.span.clone();
        let text = match node.kind {
            Kind::Plain(text) if text == "<<" => {
                self.report.add(
                    Diagnostic::error(codes::MERGE_KEY, span.clone(), "merge keys are not used here")
                        .help("for shared settings use `stacks` with `extends`, for a shared value use an option"),
                );
                // Kept, so that keys which it might bring are not reported as missing.
                Some("<<".to_owned())
            }
            Kind::Plain(text) | Kind::Quoted(text) => self.check_twice(text, &span, seen),
            _ => {
                let message = format!("a key must be a word, and this is {}", node.what());
                self.report.add(
                    Diagnostic::error(codes::KEY_NOT_TEXT, span.clone(), message)
                        .help("write `key: value`, with quotes around a key that needs them"),
                );
                None
            }
        };
        Key { text, span }
    }

    fn check_twice(
        &mut self,
        text: String,
        span: &Span,
        seen: &mut HashMap<String, Span>,
    ) -> Option<String> {
        if let Some(first) = seen.get(&text) {
            self.report.add(
                Diagnostic::error(
                    codes::DUPLICATE_KEY,
                    span.clone(),
                    format!("the key `{text}` is written twice"),
                )
                .caret("and again here")
                .label(first.clone(), "first here")
                .help("remove one of the two, or bring their contents together under one key"),
            );
            return None;
        }
        seen.insert(text.clone(), span.clone());
        Some(text)
    }
}
