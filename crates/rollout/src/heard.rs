//! What whoever follows a rollout hears of its instances: how many are well, and why not.

use crate::{Drive, Record, Told};
use landfall_model::{EventKind, GroupId, GroupStatus, Level, Millis, Observed, Timestamp};
use std::collections::BTreeMap;

/// How long a group is not well before it is told why.
const TROUBLED: Millis = Millis(2000);

/// What was told of a group.
#[derive(Default)]
pub(crate) struct Heard {
    words: Option<String>,
    /// Why it is not well, since when that is so, and whether it was told.
    failing: Option<(String, Timestamp, bool)>,
}

impl Heard {
    /// Why the group is not well, once it has been so for a while and was not told yet: a moment of
    /// not being ready is how every instance starts.
    fn news(&mut self, status: &GroupStatus, now: Timestamp) -> Option<String> {
        let why = status.failing.as_ref().filter(|_| status.ready < status.wanted);
        let Some(why) = why else {
            self.failing = None;
            return None;
        };
        match &mut self.failing {
            Some((known, since, told)) if known == why => {
                let tell = !*told && now.since(*since) >= TROUBLED;
                *told |= tell;
                tell.then(|| why.clone())
            }
            other => {
                *other = Some((why.clone(), now, false));
                None
            }
        }
    }
}

pub(crate) fn tell_instances(
    drive: &Drive,
    record: &Record,
    report: &Observed,
    heard: &mut BTreeMap<GroupId, Heard>,
) {
    let from = drive.context.from.as_deref().map(|from| from.number);
    let instances = |level, message| {
        let step = record.state.word();
        (drive.told)(Told { level, kind: EventKind::Instances, step, message });
    };
    for (id, status) in report.groups.iter().filter(|(_, status)| status.wanted > 0) {
        let mut words = format!("{id}: {} of {} healthy", status.ready, status.wanted);
        if status.crash_loop {
            words.push_str(", crashing again and again");
        }
        let heard = heard.entry(id.clone()).or_default();
        let before = heard.words.replace(words.clone());
        // What served before and is well is no news.
        let known = before.is_none() && from == Some(id.release) && status.ready >= status.wanted;
        if !known && before.as_ref() != Some(&words) {
            instances(Level::Info, words);
        }
        if let Some(why) = heard.news(status, (drive.clock)()) {
            instances(Level::Warning, format!("{id}: {why}"));
        }
    }
}
