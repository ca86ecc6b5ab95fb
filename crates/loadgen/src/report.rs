//! What became of the requests.

use crate::target::Failure;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

/// A kind of client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Kept connections, with idle times from zero to twice the drain.
    Kept,
    /// A connection for each request, at a fixed rate whatever happens.
    Single,
    /// Bodies from 1 byte to 256 KiB, sent back.
    Bodies,
    /// Answers that take longer than the switch.
    Slow,
    /// Streams of HTTP/2.
    Http2,
}

impl Kind {
    /// The word before the ids of its requests.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Single => "single",
            Self::Bodies => "bodies",
            Self::Slow => "slow",
            Self::Http2 => "http2",
        }
    }
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An instance's whole and right answer.
    Answered,
    /// The application's own error.
    Error(u16),
    /// The load balancer said that the instance's time was over.
    Cut,
    /// None of these.
    Lost(Failure),
}

/// Counts of one kind.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Requests sent, or meant to be sent.
    pub requests: u64,
    /// Whole and right answers.
    pub answered: u64,
    /// Cut at the end of a drain.
    pub cut: u64,
    /// Lost.
    pub lost: u64,
    /// The application's errors.
    pub errors: u64,
    latencies: Vec<u32>,
}

/// Latencies, without the time that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latency {
    /// Half of the answers took no longer.
    pub median: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

/// A request that was lost.
#[derive(Debug, Clone)]
pub struct LostRequest {
    /// Its id.
    pub id: String,
    /// When it began, after the load began.
    pub began: Duration,
    /// When it was given up, after the load began.
    pub ended: Duration,
    /// How.
    pub how: Failure,
}

/// What became of all requests.
#[derive(Debug, Clone)]
pub struct Report {
    began: Instant,
    /// Counts by kind.
    pub kinds: BTreeMap<Kind, Figures>,
    /// The ids that were answered.
    pub answered: HashSet<String>,
    /// Those that were lost.
    pub lost: Vec<LostRequest>,
    /// The ids of those that were cut.
    pub cut: HashSet<String>,
    /// Kept connections that the other side ended while they were idle, before anything was sent.
    pub idle_ends: u64,
    /// HTTP/2 requests that GOAWAY sent to another connection before the server had taken them.
    pub turned_away: u64,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            kinds: BTreeMap::new(),
            answered: HashSet::new(),
            lost: Vec::new(),
            cut: HashSet::new(),
            idle_ends: 0,
            turned_away: 0,
        }
    }
}

impl Report {
    /// Takes down what became of a request that began then, and should have taken `asked` by its
    /// own nature.
    pub fn add(&mut self, kind: Kind, id: &str, began: Instant, asked: Duration, outcome: Outcome) {
        let figures = self.kinds.entry(kind).or_default();
        figures.requests += 1;
        match outcome {
            Outcome::Answered => {
                figures.answered += 1;
                let took = began.elapsed().saturating_sub(asked);
                figures.latencies.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
                self.answered.insert(id.to_owned());
            }
            Outcome::Error(_) => figures.errors += 1,
            Outcome::Cut => {
                figures.cut += 1;
                self.cut.insert(id.to_owned());
            }
            Outcome::Lost(how) => {
                figures.lost += 1;
                let since = |at: Instant| at.saturating_duration_since(self.began);
                let (began, ended) = (since(began), since(Instant::now()));
                self.lost.push(LostRequest { id: id.to_owned(), began, ended, how });
            }
        }
    }

    /// All kinds together.
    #[must_use]
    pub fn total(&self) -> Figures {
        let mut total = Figures::default();
        for figures in self.kinds.values() {
            total.requests += figures.requests;
            total.answered += figures.answered;
            total.cut += figures.cut;
            total.lost += figures.lost;
            total.errors += figures.errors;
            total.latencies.extend_from_slice(&figures.latencies);
        }
        total
    }
}

impl Figures {
    /// Its latencies; zero without answers.
    #[must_use]
    pub fn latency(&self) -> Latency {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let at = |share: usize| {
            let index = (sorted.len() * share / 100).min(sorted.len().saturating_sub(1));
            Duration::from_micros(sorted.get(index).copied().unwrap_or(0).into())
        };
        Latency { median: at(50), p99: at(99), max: at(100) }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
        writeln!(
            formatter,
            "kind      requests  answered  lost   cut errors   p50 ms   p99 ms   max ms"
        )?;
        let mut line = |name: &str, figures: &Figures| {
            let Latency { median, p99, max } = figures.latency();
            writeln!(
                formatter,
                "{name:8} {:9} {:9} {:5} {:5} {:6} {:8.1} {:8.1} {:8.1}",
                figures.requests,
                figures.answered,
                figures.lost,
                figures.cut,
                figures.errors,
                milliseconds(median),
                milliseconds(p99),
                milliseconds(max)
            )
        };
        for (kind, figures) in &self.kinds {
            line(kind.word(), figures)?;
        }
        line("all", &self.total())?;
        writeln!(formatter, "idle connections ended by the other side: {}", self.idle_ends)?;
        writeln!(
            formatter,
            "streams that GOAWAY sent to another connection: {}",
            self.turned_away
        )?;
        for LostRequest { id, began, ended, how } in self.lost.iter().take(40) {
            let (began, ended) = (began.as_secs_f64(), ended.as_secs_f64());
            writeln!(formatter, "lost {id} from {began:.3} s to {ended:.3} s: {how}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_latencies_are_those_of_the_requests() {
        let mut report = Report::default();
        let then = Instant::now();
        let ago =
            |ms| then.checked_sub(Duration::from_millis(ms)).expect("the machine runs longer");
        report.add(Kind::Slow, "slow-1", ago(150), Duration::from_millis(100), Outcome::Answered);
        report.add(Kind::Kept, "kept-1", ago(10), Duration::ZERO, Outcome::Answered);
        report.add(Kind::Kept, "kept-2", then, Duration::ZERO, Outcome::Lost(Failure::Refused));
        report.add(Kind::Kept, "kept-3", then, Duration::ZERO, Outcome::Cut);
        report.add(Kind::Kept, "kept-4", then, Duration::ZERO, Outcome::Error(500));
        let total = report.total();
        assert_eq!((total.requests, total.answered, total.lost), (5, 2, 1));
        assert_eq!((total.cut, total.errors), (1, 1));
        assert!(report.answered.contains("slow-1") && report.answered.contains("kept-1"));
        let slow = report.kinds[&Kind::Slow].latency();
        assert!(slow.max >= Duration::from_millis(50) && slow.median == slow.max);
        assert!(report.to_string().contains("lost kept-2"));
    }
}
