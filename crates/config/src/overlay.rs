//! What a stack changes, laid over the tree of the file.
//!
//! The rule is that of a JSON merge patch (RFC 7396): maps are merged key by key, `null` takes
//! away, everything else replaces. Beside that, names that are changed must be there.

use crate::codes;
use crate::diagnostic::{Diagnostic, Report};
use crate::nearest::suggest;
use crate::stacks::Stack;
use crate::tree::{Entry, Kind, Node};

/// The parts of the file that a stack can change.
const PARTS: [(&str, &str); 4] = [
    ("services", "service"),
    ("listeners", "listener"),
    ("certificates", "certificate"),
    ("rollout", "rollout"),
];

/// Lays the changes of one stack over a tree.
pub(crate) fn apply(report: &mut Report<'_>, root: &mut Node, stack: &Stack) {
    let Kind::Map(parts) = &mut root.kind else { return };
    for (part, thing) in PARTS {
        let Some(changes) = stack.node.get(part).filter(|changes| !changes.value.is_null()) else {
            continue;
        };
        if part == "rollout" {
            merge_entry(parts, changes);
            continue;
        }
        let Kind::Map(changes_by_name) = &changes.value.kind else {
            if part != "services" {
                merge_entry(parts, changes);
            }
            continue;
        };
        let position = parts.iter().position(|entry| entry.key == part).unwrap_or_else(|| {
            let value = Node { span: changes.value.span.clone(), kind: Kind::Map(Vec::new()) };
            parts.push(Entry { value, ..changes.clone() });
            parts.len() - 1
        });
        let Kind::Map(names) = &mut parts[position].value.kind else { continue };
        for change in changes_by_name {
            if present(report, names, change, thing, stack.name.as_str()) {
                change_one(names, change, thing);
            }
        }
    }
}

/// Whether the change has something to change, or is complete enough to be something new.
fn present(
    report: &mut Report<'_>,
    names: &[Entry],
    change: &Entry,
    thing: &str,
    stack: &str,
) -> bool {
    if names.iter().any(|entry| entry.key == change.key) {
        return true;
    }
    let complete = match thing {
        "certificate" => change.value.get("names").is_some(),
        "listener" => change.value.get("protocol").is_some(),
        _ => false,
    };
    if complete || (!change.value.is_null() && !matches!(change.value.kind, Kind::Map(_))) {
        return complete || thing != "service";
    }
    let does = if change.value.is_null() { "takes away" } else { "changes" };
    let message =
        format!("stack `{stack}` {does} the {thing} `{}`, which is not there", change.key);
    let candidates = names.iter().map(|entry| entry.key.as_str());
    let known = suggest(&change.key, candidates, &format!("the {thing}s are"));
    let nothing = if change.value.is_null() {
        format!("remove the line: there are no {thing}s to take away")
    } else {
        format!("declare the {thing} `{}` first", change.key)
    };
    report.add(
        Diagnostic::error(codes::NOTHING_TO_CHANGE, change.key_span.clone(), message)
            .help(known.unwrap_or(nothing)),
    );
    false
}

fn change_one(names: &mut Vec<Entry>, change: &Entry, thing: &str) {
    if thing != "service" {
        merge_entry(names, change);
        return;
    }
    let Some(service) = names.iter_mut().find(|entry| entry.key == change.key) else { return };
    let Kind::Map(keys) = &mut service.value.kind else { return };
    for entry in change.value.entries() {
        if ["replicas", "env", "resources"].contains(&entry.key.as_str()) {
            merge_entry(keys, entry);
        }
    }
}

/// Merges one entry into a map.
pub(crate) fn merge_entry(into: &mut Vec<Entry>, change: &Entry) {
    let position = into.iter().position(|entry| entry.key == change.key);
    match position {
        Some(position) if change.value.is_null() => drop(into.remove(position)),
        None if change.value.is_null() => {}
        Some(position) => {
            let entry = &mut into[position];
            if merge(&mut entry.value, &change.value) {
                entry.key_span = change.key_span.clone();
            }
        }
        None => {
            let mut value = Node { span: change.value.span.clone(), kind: Kind::Null };
            merge(&mut value, &change.value);
            into.push(Entry { value, ..change.clone() });
        }
    }
}

/// Merges a value into another; tells whether it was replaced as a whole.
fn merge(into: &mut Node, change: &Node) -> bool {
    let Kind::Map(changes) = &change.kind else {
        *into = change.clone();
        return true;
    };
    let replaced = !matches!(into.kind, Kind::Map(_));
    if replaced {
        *into = Node { span: change.span.clone(), kind: Kind::Map(Vec::new()) };
    }
    if let Kind::Map(entries) = &mut into.kind {
        for entry in changes {
            merge_entry(entries, entry);
        }
    }
    replaced
}

#[cfg(test)]
mod tests;
