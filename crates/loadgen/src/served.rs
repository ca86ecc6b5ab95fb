//! What clients got against what instances say they served, id by id.

use crate::report::Report;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long instances may take to write down what they served.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many ids are named.
const NAMED: usize = 20;

/// The difference between both sides; all empty when nothing was lost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// How many ids instances served.
    pub served: usize,
    /// Served and not answered, and not cut: answers that were lost.
    pub unanswered: Vec<String>,
    /// Answered and not served: answers from nowhere.
    pub unserved: Vec<String>,
    /// Served more than once: somebody retried.
    pub repeated: Vec<String>,
}

impl Comparison {
    /// Compares with the file to which instances append an id a line, once both agree or the time
    /// for that is over.
    ///
    /// # Panics
    /// When the file cannot be read.
    #[must_use]
    pub fn of(report: &Report, file: &Path) -> Self {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(file).expect("the file of served ids");
            let comparison = Self::between(report, &text);
            if comparison.is_equal() || Instant::now() >= deadline {
                return comparison;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn between(report: &Report, served: &str) -> Self {
        let mut counts: HashMap<&str, u32> = HashMap::new();
        for id in served.lines() {
            *counts.entry(id).or_default() += 1;
        }
        let known = |id: &str| report.answered.contains(id) || report.cut.contains(id);
        let named = |ids: Vec<&str>| {
            let mut ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
            ids.sort();
            ids
        };
        Self {
            served: counts.len(),
            unanswered: named(counts.keys().copied().filter(|id| !known(id)).collect()),
            unserved: named(
                report
                    .answered
                    .iter()
                    .map(String::as_str)
                    .filter(|id| !counts.contains_key(id))
                    .collect(),
            ),
            repeated: named(
                counts.iter().filter(|(_, count)| **count > 1).map(|(id, _)| *id).collect(),
            ),
        }
    }

    /// Whether both sides say the same.
    #[must_use]
    pub const fn is_equal(&self) -> bool {
        self.unanswered.is_empty() && self.unserved.is_empty() && self.repeated.is_empty()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { served, unanswered, unserved, repeated } = self;
        if self.is_equal() {
            return writeln!(
                formatter,
                "served by instances: {served}, the same ids that were answered"
            );
        }
        writeln!(formatter, "served by instances: {served}")?;
        for (what, ids) in [
            ("not answered", unanswered),
            ("answered, not served", unserved),
            ("served twice", repeated),
        ] {
            if !ids.is_empty() {
                let named = &ids[..ids.len().min(NAMED)];
                writeln!(formatter, "{what}: {} ({} …)", ids.len(), named.join(" "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Kind, Outcome};

    #[test]
    fn every_difference_is_found() {
        let mut report = Report::default();
        for id in ["a", "b", "c"] {
            report.add(Kind::Kept, id, Instant::now(), Duration::ZERO, Outcome::Answered);
        }
        report.add(Kind::Kept, "cut", Instant::now(), Duration::ZERO, Outcome::Cut);
        assert!(Comparison::between(&report, "a\nb\nc\n").is_equal());
        assert!(Comparison::between(&report, "c\ncut\nb\na\n").is_equal());
        let found = Comparison::between(&report, "a\na\nc\nlost\n");
        assert_eq!(found.unanswered, ["lost"]);
        assert_eq!(found.unserved, ["b"]);
        assert_eq!(found.repeated, ["a"]);
    }
}
