//! Answers as text for people: readable without colour and by a screen reader.

use crate::output::Output;
use landfall_model::{
    Difference, ExitCode, GroupStatus, InstanceState, Measured, Millis, Outcome, ReleaseNumber,
    Summary, Timestamp,
};
use landfall_plan::{Becomes, Change, Disruption, ObjectChange, Plan};
use landfall_protocol::agent::{HistoryEntry, StackStatus};
use std::fmt::Write as _;

/// A point in time in the machine's time zone.
pub fn time(at: Timestamp) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).map_or_else(
        |_| at.0.to_string(),
        |at| {
            at.to_zoned_datetime(jiff::tz::TimeZone::system())
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string()
        },
    )
}

/// How long ago, roughly.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let gone = now.since(at).0 / 1000;
    match gone {
        0..=1 => "just now".into(),
        2..60 => format!("{gone} s ago"),
        60..3600 => format!("{} min ago", gone / 60),
        3600..172_800 => format!("{} h ago", gone / 3600),
        _ => format!("{} days ago", gone / 86_400),
    }
}

fn took(millis: Millis) -> String {
    if millis.0 < 60_000 {
        format!("{}.{} s", millis.0 / 1000, millis.0 % 1000 / 100)
    } else {
        format!("{} min {} s", millis.0 / 60_000, millis.0 % 60_000 / 1000)
    }
}

fn number(release: Option<ReleaseNumber>) -> String {
    release.map_or_else(|| "nothing".to_owned(), |number| format!("release {number}"))
}

/// What the load balancer counted, in one line.
pub fn measured(measured: &Measured) -> String {
    let Measured { requests, connections, lost, cut, errors, unavailable } = measured;
    let mut text =
        format!("{requests} requests, {connections} connections, {lost} lost, {cut} cut");
    if *errors > 0 {
        let _ = write!(text, ", {errors} errors of the application");
    }
    if *unavailable > 0 {
        let _ = write!(text, ", {unavailable} unavailable");
    }
    text
}

/// How a run ended.
pub fn summary(summary: &Summary, output: &Output) -> String {
    let mut text = String::new();
    let good = summary.exit_code == ExitCode::Done.code();
    let mark = if good { output.paint("✓", "32") } else { output.paint("✗", "31") };
    let word = match summary.exit_code {
        0 => "done".to_owned(),
        _ => summary.outcome.clone(),
    };
    let _ = write!(text, "{mark} {word}: {} serves", number(summary.serving_release));
    if summary.took.0 > 0 {
        let _ = write!(text, " (took {})", took(summary.took));
    }
    text.push('\n');
    if let Some(message) = &summary.message {
        let _ = writeln!(text, "  {}", message.replace('\n', "\n  "));
    }
    if let Some(counted) = &summary.measured {
        let _ = writeln!(text, "  meanwhile: {}", measured(counted));
    }
    text
}

/// A plan.
pub fn plan(plan: &Plan, output: &Output) -> String {
    let mut text = String::new();
    let next = crate::deploy::next_number(plan.head);
    if plan.changes.is_empty() {
        return match plan.serving {
            Some(number) => format!(
                "no changes: release {number} of {} serves just this{}",
                plan.stack,
                drift(&plan.drift, output).trim_end()
            ),
            None => format!("nothing to run in {}", plan.stack),
        };
    }
    let _ = match plan.serving {
        Some(serving) => writeln!(
            text,
            "{}: release {serving} serves; `up` would seal release {next}",
            plan.stack
        ),
        None => writeln!(text, "{}: nothing serves; `up` would seal release {next}", plan.stack),
    };
    text.push('\n');
    text.push_str(&changes(&plan.changes, output));
    if !plan.objects.is_empty() {
        text.push('\n');
        text.push_str(&objects(&plan.objects, output));
    }
    text.push_str(&drift(&plan.drift, output));
    text.push('\n');
    for (index, step) in plan.steps.iter().enumerate() {
        let words = match step {
            landfall_plan::Step::Hook { hook } => plan.content.hooks.get(*hook).map_or_else(
                || step.to_string(),
                |hook| format!("run {}: {}", hook.name, hook.command.join(" ")),
            ),
            _ => step.to_string(),
        };
        let _ = writeln!(text, "  {}. {words}", index + 1);
    }
    text
}

/// What becomes of the objects of a cluster.
fn objects(changes: &[ObjectChange], output: &Output) -> String {
    let mut text = String::new();
    for change in changes {
        let mark = match change.becomes {
            Becomes::Made => output.paint("+", "32"),
            Becomes::Changed => output.paint("~", "33"),
            Becomes::Removed => output.paint("-", "31"),
        };
        let _ = write!(text, "  {mark} {} {}", change.kind, change.name);
        if let Some(old) = &change.instead_of {
            let _ = write!(text, "  beside {old}, which then goes");
        }
        text.push('\n');
        for field in &change.fields {
            let none = || "nothing".to_owned();
            let _ = writeln!(
                text,
                "      {}: {} → {}",
                field.path,
                field.from.clone().unwrap_or_else(none),
                field.to.clone().unwrap_or_else(none)
            );
        }
    }
    text
}

/// How a cluster differs from what was written last.
pub fn drift(differences: &[Difference], output: &Output) -> String {
    let mut text = String::new();
    let mut last = "";
    for difference in differences {
        if last.is_empty() {
            let _ = writeln!(text, "\n  the cluster differs from what was written last:");
        }
        if last != difference.object {
            let owner = difference.owner.as_ref();
            let owner = owner.map_or_else(String::new, |who| format!("  (last written by {who})"));
            let _ = writeln!(text, "  {} {}{owner}", output.paint("!", "33"), difference.object);
            last = &difference.object;
        }
        let path = if difference.path.is_empty() { "it" } else { &difference.path };
        let _ = match (&difference.live, &difference.wanted) {
            (Some(live), Some(wanted)) => {
                writeln!(text, "      {path} is {live} and should be {wanted}")
            }
            (Some(live), None) if difference.path.is_empty() => {
                writeln!(text, "      {path} {live} and should not be")
            }
            (Some(live), None) => writeln!(text, "      {path} is {live} and should not be there"),
            (None, Some(wanted)) if difference.path.is_empty() => {
                let _ = wanted;
                writeln!(text, "      it is gone, and the next change makes it again")
            }
            (None, Some(wanted)) => writeln!(text, "      {path} is gone and should be {wanted}"),
            (None, None) => Ok(()),
        };
    }
    text
}

/// Changes, path by path.
pub fn changes(changes: &[Change], output: &Output) -> String {
    let mut text = String::new();
    for change in changes {
        let line = match (&change.from, &change.to) {
            (None, Some(to)) => format!("{} {}: {to}", output.paint("+", "32"), change.path),
            (Some(from), None) => format!("{} {}: {from}", output.paint("-", "31"), change.path),
            (Some(from), Some(to)) => {
                format!("{} {}: {from} → {to}", output.paint("~", "33"), change.path)
            }
            (None, None) => continue,
        };
        let _ = write!(text, "  {line}");
        if let Some(because) = &change.because {
            let _ = write!(text, "  ({because})");
        }
        text.push_str(match change.disruption {
            Disruption::None => "",
            Disruption::Drained => "",
            Disruption::Gap => "  — a gap: the old instances stop before the new ones start",
            Disruption::InPlace => "  — in place: nothing is cut",
            Disruption::ReplacesTargets => {
                "  — REPLACES ALL TARGETS AT ONCE: a gap until the new ones are healthy"
            }
            Disruption::ReplacesTargetGroup => {
                "  — REPLACES THE TARGET GROUP: a gap until its targets are healthy"
            }
            Disruption::ReplacesBalancer => {
                "  — REPLACES THE NLB (NEW HOSTNAME): the old one goes first"
            }
            Disruption::Closed => "  — the listener closes and its clients have to connect again",
        });
        text.push('\n');
    }
    text
}

/// Stacks and how they are.
pub fn status(stacks: &[StackStatus], now: Timestamp, output: &Output) -> String {
    let mut text = String::new();
    for status in stacks {
        one(&mut text, status, now, output);
    }
    text
}

fn one(text: &mut String, status: &StackStatus, now: Timestamp, output: &Output) {
    let _ = match &status.serving {
        Some(serving) => {
            let restores =
                serving.restores.map_or_else(String::new, |it| format!(", restores {it}"));
            let source = serving.source.revision.as_deref().map_or_else(String::new, |revision| {
                let dirty = if serving.source.dirty { " with changes" } else { "" };
                format!(", from {}{dirty}", revision.get(..10).unwrap_or(revision))
            });
            writeln!(
                text,
                "{}  {} {} serves since {} ({}{restores}{source})",
                output.paint("●", "32"),
                status.stack,
                number(Some(serving.number)),
                time(serving.since),
                serving.digest.short()
            )
        }
        None => writeln!(text, "{}  {} nothing serves", output.paint("○", "33"), status.stack),
    };
    if let Some(run) = &status.run {
        let _ = writeln!(
            text,
            "   {} by {} since {}: {}{}",
            run.verb,
            run.by,
            ago(run.since, now),
            run.step,
            if run.waits { "; `landfall resume --hook NAME=done|again` answers" } else { "" }
        );
    } else if let Some((verb, outcome, why)) = &status.last
        && *outcome != Outcome::Succeeded
    {
        let why = why.as_deref().unwrap_or_default().lines().next().unwrap_or_default();
        let _ = writeln!(text, "   the last {verb} {outcome}: {why}");
    }
    for (id, group) in &status.groups {
        instances(text, &id.to_string(), group, now, output);
    }
    for listener in &status.listeners {
        let target: Vec<String> = listener.weights.keys().map(ToString::to_string).collect();
        let url = listener.reached.clone().or_else(|| listener.url.clone());
        let url = url.unwrap_or_else(|| listener.listen.to_string());
        let _ = writeln!(
            text,
            "   {} {}  {} {}{}{}",
            if listener.open { output.paint("open", "32") } else { output.paint("closed", "31") },
            listener.name,
            listener.protocol,
            url,
            if target.is_empty() { String::new() } else { format!(" → {}", target.join(", ")) },
            listener.certificate.as_ref().map_or_else(String::new, |(name, version, end)| {
                format!("  (certificate {name} version {version}, valid until {})", time(*end))
            })
        );
    }
    for problem in &status.problems {
        let _ = writeln!(text, "   {} {problem}", output.paint("!", "33"));
    }
}

fn instances(text: &mut String, id: &str, group: &GroupStatus, now: Timestamp, output: &Output) {
    let good = group.ready >= group.wanted;
    let count = format!("{}/{}", group.ready, group.wanted);
    let count = output.paint(&count, if good { "32" } else { "31" });
    let _ = writeln!(text, "   {count} healthy  {id}");
    for instance in &group.instances {
        let state = match instance.state {
            InstanceState::Starting => "starting",
            InstanceState::Ready => "ready",
            InstanceState::Unhealthy => "unhealthy",
            InstanceState::Draining => "draining",
            InstanceState::Stopping => "stopping",
            InstanceState::Waiting => "waiting to be started again",
        };
        let address = instance.address.map_or_else(String::new, |it| format!(" {it}"));
        let pid = instance.pid.map_or_else(String::new, |pid| format!(" pid {pid}"));
        let restarts = match instance.restarts {
            0 => String::new(),
            1 => ", restarted once".into(),
            count => format!(", restarted {count} times"),
        };
        let _ = writeln!(
            text,
            "       {} {state}{pid}{address}, {}{restarts}",
            instance.id,
            ago(instance.since, now)
        );
    }
    if let Some(why) = &group.failing {
        let _ = writeln!(text, "       {}", why.replace('\n', "\n       "));
    }
}

/// Releases, newest first.
pub fn history(entries: &[HistoryEntry], output: &Output) -> String {
    let mut text = String::new();
    for entry in entries {
        let mark = if entry.serving { output.paint("●", "32") } else { " ".into() };
        let outcome = match &entry.outcome {
            Some(outcome) => outcome.outcome.to_string(),
            None if entry.serving => "serving".into(),
            None => "never rolled out".into(),
        };
        let verb = entry.outcome.as_ref().map_or_else(String::new, |it| format!("{} ", it.verb));
        let revision = entry.source.revision.as_deref().map_or_else(String::new, |revision| {
            let dirty = if entry.source.dirty { "+" } else { "" };
            format!("  {}{dirty}", revision.get(..10).unwrap_or(revision))
        });
        let restores = entry.restores.map_or_else(String::new, |it| format!("  restores {it}"));
        let _ = writeln!(
            text,
            "{mark} {:>4}  {}  {}  {verb}{outcome}  {}{revision}{restores}",
            entry.number,
            entry.digest.short(),
            time(entry.sealed_at),
            entry.sealed_by,
        );
        let _ = writeln!(text, "        changed: {}", entry.changed);
        let why = entry.outcome.as_ref().and_then(|it| it.why.as_deref());
        if let Some(why) = why {
            let _ = writeln!(text, "        {}", why.lines().next().unwrap_or_default());
        }
        if let Some(gone) = &entry.gone {
            let _ = writeln!(text, "        {} {gone}", output.paint("!", "31"));
        }
    }
    text
}
