//! Health checks and stopping.

use super::{Decoder, Fields};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::keys;
use crate::source::Span;
use crate::tree::{Entry, Kind, Node};
use landfall_model::{Health, HealthCheck, Millis, Signal, Stop};

const SECOND: Millis = Millis::from_secs(1);
const HOUR: Millis = Millis::from_secs(3600);
/// The longest time that a watched deadline or a hook may take.
pub(crate) const DAY: Millis = Millis::from_secs(86_400);
const SIGNALS: [(&str, Signal); 6] = [
    ("TERM", Signal::Term),
    ("INT", Signal::Int),
    ("QUIT", Signal::Quit),
    ("HUP", Signal::Hup),
    ("USR1", Signal::Usr1),
    ("USR2", Signal::Usr2),
];

/// The check of a service that says nothing else about its health.
pub(crate) fn default_health(check: HealthCheck) -> Health {
    Health { check, every: SECOND, timeout: SECOND, healthy: 2, unhealthy: 3 }
}

impl Decoder<'_, '_> {
    /// A duration between two bounds, both possible.
    pub(crate) fn span_of(
        &mut self,
        node: &Node,
        what: &str,
        low: Millis,
        high: Millis,
    ) -> Option<Millis> {
        let value = self.duration(node, what)?;
        if value >= low && value <= high {
            return Some(value);
        }
        let (message, help) = if value < low && value.0 == 0 {
            (format!("{what} is {value}, and some time must pass"), format!("write {low} or more"))
        } else if value < low {
            (
                format!("{what} is {value}, but must be at least {low}"),
                format!("write {low} or more"),
            )
        } else {
            (
                format!("{what} is {value}, but must be at most {high}"),
                format!("write {high} or less"),
            )
        };
        self.add(
            Diagnostic::error(codes::IMPOSSIBLE_DURATION, node.span.clone(), message)
                .label_if(super::scalar::origin(node), "the value comes from here")
                .help(help),
        );
        None
    }

    /// A duration under a key, or its default.
    pub(crate) fn span_or(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        default: Millis,
        bounds: (Millis, Millis),
    ) -> Option<Millis> {
        match fields.get(key) {
            None => Some(default),
            Some(entry) => self.span_of(&entry.value, &fields.of(key), bounds.0, bounds.1),
        }
    }

    /// `health`, in its long form or as the path alone.
    pub(crate) fn health(&mut self, entry: &Entry, service: &str) -> Option<Health> {
        let what = format!("`health` of {service}");
        let node = &entry.value;
        if !matches!(node.kind, Kind::Map(_)) {
            if matches!(node.kind, Kind::List(_)) {
                let help = "write the path, like `/healthz`, or `{ http: /healthz, every: 1s }`";
                self.wrong_type(node, &what, "a path or a map", Some(help.to_owned()));
                return None;
            }
            let path = self.health_path(node, &what)?;
            return Some(default_health(HealthCheck::Http { path }));
        }
        let fields = self.fields(node, &keys::HEALTH, &entry.key_span, what)?;
        let check = self.check(&fields);
        let every = self.span_or(&fields, "every", SECOND, (Millis(10), HOUR));
        let timeout = self.span_or(&fields, "timeout", SECOND, (Millis(1), HOUR));
        let healthy = self.count(&fields, "healthy", 2);
        let unhealthy = self.count(&fields, "unhealthy", 3);
        self.check_timeout(&fields, every, timeout);
        Some(Health {
            check: check?,
            every: every?,
            timeout: timeout?,
            healthy: healthy?,
            unhealthy: unhealthy?,
        })
    }

    fn check_timeout(
        &mut self,
        fields: &Fields<'_>,
        every: Option<Millis>,
        timeout: Option<Millis>,
    ) {
        let (Some(every), Some(timeout)) = (every, timeout) else { return };
        let longest = Millis(every.0.saturating_mul(10));
        if timeout <= longest {
            return;
        }
        let place = |key: &str| fields.get(key).map(|entry| entry.value.span.clone());
        let Some(span) = place("timeout").or_else(|| place("every")) else { return };
        let other = place("every").filter(|other| *other != span);
        self.add(
            Diagnostic::error(
                codes::IMPOSSIBLE_DURATION,
                span,
                format!(
                    "a check every {every} cannot wait {timeout} for its answer: more than ten would wait at once"
                ),
            )
            .label_if(other, "the interval")
            .help(format!("write a `timeout` of {longest} or less, or a longer `every`")),
        );
    }

    fn count(&mut self, fields: &Fields<'_>, key: &str, default: u16) -> Option<u16> {
        match fields.get(key) {
            None => Some(default),
            Some(entry) => {
                let value = self.integer(&entry.value, &fields.of(key), 1..=100)?;
                u16::try_from(value).ok()
            }
        }
    }

    fn check(&mut self, fields: &Fields<'_>) -> Option<HealthCheck> {
        let given: Vec<&Entry> =
            ["http", "tcp", "process"].iter().filter_map(|key| fields.get(key)).collect();
        if let [one, two, ..] = given[..] {
            self.exclusive(fields, one, two, "a service has one health check: keep one of them");
            return None;
        }
        let Some(entry) = given.first() else {
            if ["http", "tcp", "process"].iter().all(|key| fields.misses(key)) {
                self.add(
                    Diagnostic::error(
                        codes::MISSING_KEY,
                        fields.owner.clone(),
                        format!("{} says nothing to check", fields.what),
                    )
                    .caret("needs `http`, `tcp` or `process`")
                    .help("add `http: /healthz`, `tcp: true` or `process: true`"),
                );
            }
            return None;
        };
        let what = fields.of(&entry.key);
        if entry.key == "http" {
            return Some(HealthCheck::Http { path: self.health_path(&entry.value, &what)? });
        }
        if self.boolean(&entry.value, &what)? {
            let tcp = entry.key == "tcp";
            return Some(if tcp { HealthCheck::Tcp } else { HealthCheck::Process });
        }
        self.not_here(
            entry,
            format!("{what} is `false`, which says nothing to check"),
            "write `http: /healthz`, `tcp: true` or `process: true`",
        );
        None
    }

    fn health_path(&mut self, node: &Node, what: &str) -> Option<String> {
        let path = self.text(node, what)?;
        let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if path.starts_with('/') && plain && path.len() <= 1024 {
            return Some(path);
        }
        let help = match path.as_str() {
            "tcp" | "process" => format!("write `{{ {path}: true }}`"),
            _ if path.starts_with("http://") || path.starts_with("https://") => {
                "write only the path: the host and port are the instance's own".to_owned()
            }
            _ if plain && !path.is_empty() => format!("write `/{}`", path.trim_start_matches('/')),
            _ => "write a path like `/healthz`".to_owned(),
        };
        self.add(
            Diagnostic::error(
                codes::BAD_HEALTH_PATH,
                node.span.clone(),
                format!("{what} must be a path that begins with `/`, and `{path}` is not"),
            )
            .help(help),
        );
        None
    }

    /// `stop`, with its defaults.
    pub(crate) fn stop(&mut self, entry: Option<&Entry>, service: &str) -> Option<Stop> {
        let default = Stop { signal: Signal::Term, grace: Millis::from_secs(10) };
        let Some(entry) = entry else { return Some(default) };
        let what = format!("`stop` of {service}");
        let owner: Span = entry.key_span.clone();
        let fields = self.fields(&entry.value, &keys::STOP, &owner, what)?;
        let signal = match fields.get("signal") {
            None => Some(default.signal),
            Some(entry) => self.signal(&entry.value, &fields.of("signal")),
        };
        let grace = self.span_or(&fields, "grace", default.grace, (Millis(0), HOUR));
        Some(Stop { signal: signal?, grace: grace? })
    }

    fn signal(&mut self, node: &Node, what: &str) -> Option<Signal> {
        if let Kind::Plain(text) | Kind::Quoted(text) = &node.kind {
            let bare = text.to_ascii_uppercase();
            let bare = bare.strip_prefix("SIG").unwrap_or(&bare);
            if bare != text && SIGNALS.iter().any(|(word, _)| *word == bare) {
                self.add(
                    Diagnostic::error(
                        codes::UNKNOWN_WORD,
                        node.span.clone(),
                        format!("{what} cannot be `{text}`"),
                    )
                    .help(format!("write `{bare}`")),
                );
                return None;
            }
            if bare == "KILL" || bare == "STOP" {
                self.add(
                    Diagnostic::error(
                        codes::UNKNOWN_WORD,
                        node.span.clone(),
                        format!("{what} cannot be `{text}`: a process cannot answer it"),
                    )
                    .help("write `TERM` with a short `grace`, after which the instance is killed"),
                );
                return None;
            }
        }
        self.word(node, what, &SIGNALS, &[])
    }
}
