//! What whoever follows a rollout hears of its instances: how many are well, and why not.

use crate::{Drive, Record, Told};
use landfall_model::{EventKind, GroupId, Level, Observed, Timestamp};
use std::collections::BTreeMap;

/// How long something is not well before its reason is told: what merely starts is no news.
const REASON: u64 = 1500;

/// What was told of a group last.
#[derive(Default)]
pub(crate) struct Heard {
    words: Option<String>,
    /// Why it is not well, and since when that is said.
    failing: Option<(String, Timestamp)>,
    reason: Option<String>,
}

pub(crate) fn tell_instances(
    drive: &Drive,
    record: &Record,
    report: &Observed,
    seen: &mut BTreeMap<GroupId, Heard>,
) {
    let from = drive.context.from.as_deref().map(|from| from.number);
    let instances = |level, message| {
        let (kind, step) = (EventKind::Instances, record.state.word());
        (drive.told)(Told { level, kind, step, message });
    };
    for (id, status) in &report.groups {
        if status.wanted == 0 {
            continue;
        }
        let group = seen.entry(id.clone()).or_default();
        let mut words = format!("{id}: {} of {} healthy", status.ready, status.wanted);
        if status.crash_loop {
            words.push_str(", crashing again and again");
        }
        let before = group.words.replace(words.clone());
        // What served before and is well is no news.
        let known = before.is_none() && from == Some(id.release) && status.ready >= status.wanted;
        if !known && before.as_ref() != Some(&words) {
            instances(Level::Info, words);
        }
        let failing = status.failing.as_ref().filter(|_| status.ready < status.wanted);
        if let Some(reason) = group.reason_of(failing, (drive.clock)()) {
            instances(Level::Warning, format!("{id}: {reason}"));
        }
    }
}

impl Heard {
    /// The reason why it is not well, once it stood for a while and was not told yet.
    fn reason_of(&mut self, failing: Option<&String>, now: Timestamp) -> Option<String> {
        let since = match (failing, &self.failing) {
            (Some(why), Some((before, since))) if why == before => *since,
            _ => now,
        };
        self.failing = failing.map(|why| (why.clone(), since));
        let why = failing.filter(|_| now.since(since).0 >= REASON)?;
        let news = self.reason.as_ref() != Some(why);
        self.reason = Some(why.clone());
        news.then(|| why.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_once_and_only_when_it_stands() {
        let mut group = Heard::default();
        let (probe, crash) = ("not good yet".to_owned(), "exited with code 7".to_owned());
        let mut at = |ms, why| group.reason_of(why, Timestamp(ms));
        assert_eq!(at(0, Some(&probe)), None, "it may just be starting");
        assert_eq!(at(1000, None), None);
        assert_eq!(at(1200, Some(&crash)), None);
        assert_eq!(at(2700, Some(&crash)), Some(crash.clone()));
        assert_eq!(at(9000, Some(&crash)), None, "once is enough");
    }
}
