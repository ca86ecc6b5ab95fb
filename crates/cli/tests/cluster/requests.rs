//! What a verb asks of the API server, as the API server's audit log has it.

use crate::file::Shop;
use crate::world::World;
use serde_json::Value;
use std::collections::BTreeMap;

/// An `up` of a change may ask so often. The goal is 60: each of its five entries lists every kind,
/// moves the fence and looks at it again.
const OF_A_CHANGE: usize = 120;
/// An `up` of nothing new.
const OF_NOTHING: usize = 15;

/// Requests of the account in the namespace so far, by what was asked; nothing without the log.
fn asked(world: &World) -> Option<Vec<String>> {
    let bed = crate::world::bed()?;
    // The log is written a moment later.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let text = std::fs::read_to_string(bed.join("log/audit.log")).ok()?;
    let user = format!("system:serviceaccount:{}:landfall", world.namespace);
    let of_account = text.lines().filter(|line| line.contains(&user));
    let events = of_account.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut seen = std::collections::BTreeSet::new();
    let once = events.filter(|event| seen.insert(event["auditID"].to_string()));
    let words = once.map(|event| {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        format!("{} {}", word(&event["verb"]), word(&event["objectRef"]["resource"]))
    });
    Some(words.collect())
}

/// How often each was asked since then, most often first.
fn since(before: &[String], after: &[String]) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::new();
    after.iter().for_each(|word| *counts.entry(word.clone()).or_insert(0) += 1);
    for word in before {
        if let Some(count) = counts.get_mut(word) {
            *count -= 1;
        }
    }
    let mut counts: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

#[test]
fn few_requests_are_enough() {
    let Some(mut world) = World::up("requests") else { return };
    // As it is when nobody tests.
    world.host.unset("LANDFALL_TEST_LEASE_MS");
    let Some(before) = asked(&world) else {
        eprintln!("skipped: few_requests_are_enough: no audit log beside the kubeconfig");
        return;
    };
    world.up_to(&Shop::version(2)).expect(0);
    let of_change = asked(&world).expect("the log");
    world.host.run(&["up"]).expect(0);
    let of_nothing = asked(&world).expect("the log");
    let change = since(&before, &of_change);
    let nothing = since(&of_change, &of_nothing);
    let sum = |counts: &[(String, usize)]| counts.iter().map(|(_, count)| count).sum::<usize>();
    eprintln!("a change: {} requests: {change:?}", sum(&change));
    eprintln!("nothing new: {} requests: {nothing:?}", sum(&nothing));
    assert!(sum(&nothing) <= OF_NOTHING, "{nothing:?}");
    assert!(sum(&change) <= OF_A_CHANGE, "{change:?}");
}
