//! Diagnostics: collected all at once, placed in the file, drawn for people.

use crate::codes::Code;
use crate::source::{SourceFile, Span};
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use landfall_model::{Finding, Severity};
use std::fmt;

/// At most this many diagnostics are drawn; the rest is counted.
const DRAWN: usize = 100;

/// A file that is wrong in more places than this is not a `landfall.yaml`.
const COLLECTED: usize = 1000;

/// A place that explains a diagnostic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The bytes it is about, within one line.
    pub span: Span,
    /// What is to be seen there.
    pub text: String,
}

/// Something wrong in the file, with its place and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The stable code.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, naming the object.
    pub message: String,
    /// The file as shown to people.
    pub file: String,
    /// The bytes it is about, within one line.
    pub span: Span,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// A few words beside the caret.
    pub caret: Option<String>,
    /// Other places that explain it.
    pub labels: Vec<Label>,
    /// What else is good to know, like the stacks it concerns.
    pub notes: Vec<String>,
    /// What to write instead.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub(crate) fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            file: String::new(),
            span,
            line: 0,
            column: 0,
            caret: None,
            labels: Vec::new(),
            notes: Vec::new(),
            help: None,
        }
    }

    /// A warning at a place.
    pub(crate) fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    /// A few words beside the caret.
    pub(crate) fn caret(mut self, text: impl Into<String>) -> Self {
        self.caret = Some(text.into());
        self
    }

    /// Another place that explains it.
    pub(crate) fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// The other place, when there is one.
    pub(crate) fn label_if(self, span: Option<Span>, text: impl Into<String>) -> Self {
        match span {
            Some(span) => self.label(span, text),
            None => self,
        }
    }

    /// What to write instead.
    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// What to write instead, when it is known.
    pub(crate) fn help_if(mut self, text: Option<String>) -> Self {
        self.help = text.or(self.help);
        self
    }

    /// As a finding without a place, for events and machines.
    #[must_use]
    pub fn finding(&self) -> Finding {
        Finding {
            severity: self.severity,
            code: self.code.id.to_owned(),
            message: format!("{}:{}:{}: {}", self.file, self.line, self.column, self.message),
            help: self.help.clone(),
        }
    }

    fn settle(mut self, source: &SourceFile) -> Self {
        self.span = source.first_line(&self.span);
        for label in &mut self.labels {
            label.span = source.first_line(&label.span);
        }
        (self.line, self.column) = source.line_column(self.span.start);
        self.file.clone_from(&source.name);
        self
    }

    fn render(&self, source: &SourceFile, renderer: &Renderer) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let window = Window::around(source, self);
        let mut primary = AnnotationKind::Primary.span(window.inside(&self.span));
        if let Some(caret) = &self.caret {
            primary = primary.label(caret);
        }
        let snippet = Snippet::source(window.text)
            .line_start(window.line)
            .path(&source.name)
            .annotation(primary)
            .annotations(self.labels.iter().map(|label| {
                AnnotationKind::Context.span(window.inside(&label.span)).label(&label.text)
            }));
        let mut group: Group<'_> =
            level.primary_title(&self.message).id(self.code.id).element(snippet);
        for note in &self.notes {
            group = group.element(Level::NOTE.message(note));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help));
        }
        renderer.render(&[group])
    }
}

/// The lines that a diagnostic shows, so that a large file is not walked for each of them.
struct Window<'s> {
    text: &'s str,
    start: usize,
    line: usize,
}

impl<'s> Window<'s> {
    fn around(source: &'s SourceFile, diagnostic: &Diagnostic) -> Self {
        let spans =
            || std::iter::once(&diagnostic.span).chain(diagnostic.labels.iter().map(|l| &l.span));
        let first = source.floor(spans().map(|span| span.start).min().unwrap_or_default());
        let last = source.floor(spans().map(|span| span.end).max().unwrap_or_default()).max(first);
        let start = source.text[..first].rfind('\n').map_or(0, |index| index + 1);
        let end = source.text[last..].find('\n').map_or(source.text.len(), |index| last + index);
        let line = source.line_column(start).0;
        Self { text: &source.text[start..end], start, line }
    }

    /// The span within the window, at least one character wide where the line has one.
    fn inside(&self, span: &Span) -> Span {
        let clamp = |byte: usize| byte.saturating_sub(self.start).min(self.text.len());
        let (start, mut end) = (clamp(span.start), clamp(span.end));
        if end <= start {
            let next = self.text.get(start..).and_then(|rest| rest.chars().next());
            end = start
                + next.filter(|next| *next != '\n' && *next != '\r').map_or(0, char::len_utf8);
        }
        start..end
    }
}

/// Everything that was found, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Whether one of them is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Draws all of them with their lines of the source, for a terminal or a log.
    ///
    /// `source` must be the text that was parsed; another one only makes the picture wrong.
    #[must_use]
    pub fn render(&self, source: &SourceFile, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(140);
        let mut parts: Vec<String> = self
            .0
            .iter()
            .take(DRAWN)
            .map(|diagnostic| diagnostic.render(source, &renderer))
            .collect();
        if self.0.len() > DRAWN {
            parts.push(format!("… and {} more", self.0.len() - DRAWN));
        }
        parts.join("\n\n")
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            diagnostic.finding().fmt(formatter)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// Where checks put what they find.
pub(crate) struct Report<'s> {
    source: &'s SourceFile,
    found: Vec<Diagnostic>,
}

impl<'s> Report<'s> {
    pub(crate) fn new(source: &'s SourceFile) -> Self {
        Self { source, found: Vec::new() }
    }

    pub(crate) fn add(&mut self, diagnostic: Diagnostic) {
        if self.found.len() >= COLLECTED {
            return;
        }
        let diagnostic = diagnostic.settle(self.source);
        if !self.found.contains(&diagnostic) {
            self.found.push(diagnostic);
        }
    }

    pub(crate) fn source(&self) -> &'s SourceFile {
        self.source
    }

    pub(crate) fn into_found(self) -> Vec<Diagnostic> {
        self.found
    }

    /// Everything in the order of the file.
    pub(crate) fn finish(self) -> Diagnostics {
        let mut found = self.found;
        found.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.code));
        Diagnostics(found)
    }
}
