//! Where things are said: data on standard output, talk on standard error.

use crate::arguments::{Format, Global, When};
use indicatif::{ProgressBar, ProgressStyle};
use landfall_config::{Diagnostics, SourceFile};
use landfall_model::{EVENT_SCHEMA, Event, EventKind, Finding, Level, Severity, Summary};
use landfall_protocol::agent::Failure;
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use std::time::Duration;

/// Where and how a verb speaks.
pub struct Output {
    format: Format,
    colour: bool,
    yes: bool,
    progress: OnceLock<ProgressBar>,
    versioned: OnceLock<()>,
    summarised: OnceLock<()>,
}

/// A line of JSON with its type.
#[derive(Serialize)]
struct Typed<'a, T> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(flatten)]
    value: T,
}

#[derive(Serialize)]
struct Version {
    schema: &'static str,
    program: &'static str,
}

impl Output {
    /// As the command line and the terminal say.
    pub fn new(global: &Global) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let colour = match global.color {
            When::Always => true,
            When::Never => false,
            When::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty()),
        };
        Self {
            format: global.output,
            colour,
            yes: global.yes,
            progress: OnceLock::new(),
            versioned: OnceLock::new(),
            summarised: OnceLock::new(),
        }
    }

    /// For a command line that could not be understood: the format as far as it can be seen.
    pub fn before_parsing() -> Self {
        let words: Vec<String> = std::env::args().collect();
        let json = words.iter().any(|word| word == "--output=json")
            || words.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json")
            || std::env::var_os("LANDFALL_OUTPUT").is_some_and(|it| it == "json");
        let output = if json { Format::Json } else { Format::Human };
        Self::new(&Global { file: None, output, color: When::Auto, yes: false })
    }

    /// Whether one JSON object a line is wanted.
    pub fn json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether a person sits there.
    pub fn interactive(&self) -> bool {
        !self.json() && std::io::stderr().is_terminal() && std::env::var_os("CI").is_none()
    }

    fn line(&self, value: &impl Serialize) {
        if let Ok(text) = serde_json::to_string(value) {
            self.raw(&text);
        }
    }

    fn raw(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
            // Whoever read us is gone; what is being done goes on without an audience.
        }
    }

    fn version(&self) {
        self.versioned.get_or_init(|| {
            let program = env!("CARGO_PKG_VERSION");
            self.line(&Typed { kind: "version", value: Version { schema: EVENT_SCHEMA, program } });
        });
    }

    /// The answer of a verb: an object of its own type for machines, a text for people.
    pub fn answer(&self, kind: &str, value: &impl Serialize, text: impl FnOnce() -> String) {
        self.pause();
        if self.json() {
            self.version();
            self.line(&Typed { kind, value });
        } else {
            let text = text();
            if !text.is_empty() {
                self.raw(text.trim_end_matches('\n'));
            }
        }
    }

    /// A text that is the answer itself; for machines it is in an object of this type.
    pub fn text(&self, kind: &str, text: &str) {
        self.answer(kind, &serde_json::json!({ "text": text }), || text.to_owned());
        self.done(landfall_model::ExitCode::Done);
    }

    /// How a run ended: exactly once, and last.
    pub fn summary(&self, summary: &Summary, text: impl FnOnce() -> String) {
        if self.summarised.set(()).is_err() {
            return;
        }
        self.pause();
        if self.json() {
            self.version();
            self.line(&Typed { kind: "summary", value: summary });
        } else {
            let text = text();
            if !text.is_empty() {
                self.raw(text.trim_end_matches('\n'));
            }
        }
    }

    /// Talk on standard error, which people see and machines may ignore.
    pub fn note(&self, text: &str) {
        self.suspend(|| eprintln!("{text}"));
    }

    fn suspend(&self, say: impl FnOnce()) {
        match self.progress.get() {
            Some(bar) if !bar.is_finished() => bar.suspend(say),
            _ => say(),
        }
    }

    /// What is going on at the moment, for people at a terminal.
    pub fn working(&self, text: &str) {
        if !self.interactive() {
            return;
        }
        let bar = self.progress.get_or_init(|| {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        bar.set_message(text.to_owned());
    }

    fn pause(&self) {
        if let Some(bar) = self.progress.get() {
            bar.finish_and_clear();
        }
    }

    /// An event of a run.
    pub fn event(&self, event: &Event) {
        if self.json() {
            self.version();
            self.line(event);
            return;
        }
        match (event.kind, event.level) {
            (EventKind::Instances, _) if self.interactive() => self.working(&event.message),
            (_, Level::Debug) => {}
            // The summary says it.
            (EventKind::Step, Level::Info) if event.step == "ended" => {}
            (kind, level) => {
                let mark = match (level, kind) {
                    (Level::Error, _) => self.paint("✗", "31"),
                    (Level::Warning, _) => self.paint("!", "33"),
                    (_, EventKind::Step) => self.paint("→", "36"),
                    _ => "·".to_owned(),
                };
                let text = event.message.replace('\n', "\n  ");
                self.note(&format!("{mark} {text}"));
                if kind == EventKind::Step {
                    self.working(event.message.lines().next().unwrap_or_default());
                }
            }
        }
    }

    /// Paints a text when colours are wanted: `code` as in ANSI SGR.
    pub fn paint(&self, text: &str, code: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Mistakes in the file.
    pub fn diagnostics(&self, found: &Diagnostics, source: &SourceFile) {
        self.pause();
        if self.json() {
            self.version();
            for diagnostic in &found.0 {
                let value = diagnostic.finding();
                self.line(&Typed {
                    kind: "finding",
                    value: Placed {
                        file: &source.name,
                        line: diagnostic.line,
                        column: diagnostic.column,
                        finding: value,
                    },
                });
            }
        } else {
            eprintln!("{}", found.render(source, self.colour).trim_end());
        }
    }

    /// What a check found.
    pub fn finding(&self, finding: &Finding) {
        if self.json() {
            self.version();
            self.line(&Typed { kind: "finding", value: finding });
            return;
        }
        let (word, code) = match finding.severity {
            Severity::Note => ("note", "36"),
            Severity::Warning => ("warning", "33"),
            Severity::Error => ("error", "31"),
        };
        let mut text = format!("{}[{}]: {}", self.paint(word, code), finding.code, finding.message);
        if let Some(help) = &finding.help {
            text.push_str(&format!("\n  help: {help}"));
        }
        self.note(&text);
    }

    /// A verb could not do what was asked.
    pub fn failure(&self, failure: &Failure) {
        self.pause();
        if self.json() {
            let mut summary = Summary::new(failure.exit, None);
            let help = failure.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
            summary.message = Some(format!("{}{help}", failure.message));
            self.summary(&summary, String::new);
            return;
        }
        eprintln!("{}: {}", self.paint("error", "31"), failure.message);
        if let Some(help) = &failure.help {
            eprintln!("  help: {help}");
        }
    }

    /// Closes the output of a verb that changes nothing.
    pub fn done(&self, code: landfall_model::ExitCode) {
        if self.json() {
            self.summary(&Summary::new(code, None), String::new);
        }
    }

    /// Asks a person; elsewhere `--yes` is wanted.
    pub fn confirm(&self, question: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !self.interactive() || !std::io::stdin().is_terminal() {
            return Err(Failure::new(
                landfall_model::ExitCode::Usage,
                format!("{question} Nobody is here to ask"),
            )
            .help("say `--yes`"));
        }
        self.pause();
        eprint!("{question} [y/N] ");
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
        Err(Failure::new(landfall_model::ExitCode::Cancelled, "nothing was changed"))
    }
}

#[derive(Serialize)]
struct Placed<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    #[serde(flatten)]
    finding: Finding,
}
