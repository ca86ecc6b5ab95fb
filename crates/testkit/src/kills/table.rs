//! What was seen, as Markdown.

use super::{Ended, Rounds, Row, Rows, Served, Verb, Victim};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The matrix, a row a line.
#[must_use]
pub fn table(rows: &Rows) -> String {
    let mut text = String::from(
        "| verb | entry | moment | killed | serves then | exit code | seconds |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for (row, result) in rows {
        let Row { verb, entry, step, moment, victim } = row;
        let _ = match result {
            Ok(ended) => writeln!(
                text,
                "| {verb} | {entry} {step} | {moment} | {} | {} | {} | {:.1} |",
                ended.killed,
                ended.served,
                code(ended),
                ended.took.as_secs_f64()
            ),
            Err(why) => writeln!(
                text,
                "| {verb} | {entry} {step} | {moment} | {victim} | **not in order** | {} | |",
                why.lines().next().unwrap_or_default()
            ),
        };
    }
    text
}

fn code(ended: &Ended) -> String {
    let code = ended.code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
    match ended.answered {
        Some(answer) => format!("{code}, then answered *{answer}*"),
        None => code,
    }
}

#[derive(Default)]
struct Sum {
    rounds: usize,
    new: usize,
    previous: usize,
    answered: usize,
    wrong: usize,
    slowest: f64,
}

/// Random kills, summed up by verb and victim.
#[must_use]
pub fn rounds(rounds: &Rounds) -> String {
    let mut sums: BTreeMap<(Verb, Victim), Sum> = BTreeMap::new();
    for (round, result) in rounds {
        let verb = result.as_ref().map_or(round.wish, |(verb, _)| *verb);
        let sum = sums.entry((verb, round.victim)).or_default();
        sum.rounds += 1;
        match result {
            Err(_) => sum.wrong += 1,
            Ok((_, ended)) => {
                match ended.served {
                    Served::New => sum.new += 1,
                    Served::Previous => sum.previous += 1,
                }
                sum.answered += usize::from(ended.answered.is_some());
                sum.slowest = sum.slowest.max(ended.took.as_secs_f64());
            }
        }
    }
    let mut text = String::from(
        "| verb | killed | times | new serves | previous serves | hook answered | not in order | slowest, seconds |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for ((verb, victim), sum) in sums {
        let _ = writeln!(
            text,
            "| {verb} | {victim} | {} | {} | {} | {} | {} | {:.1} |",
            sum.rounds, sum.new, sum.previous, sum.answered, sum.wrong, sum.slowest
        );
    }
    text
}

/// Both tables with what they mean, as they are kept in `docs/`.
#[must_use]
pub fn document(matrix: &Rows, random: &Rounds, seed: u64) -> String {
    format!(
        "# Kill matrix\n\n\
         What happens when the command line, the agent, an instance, a shim or the edge is killed\n\
         (SIGKILL) while a release takes the place of another. Written by\n\
         `LANDFALL_WRITE_DOCS=1 cargo test -p landfall-cli --test kill_matrix` on a machine with\n\
         two shared cores, with a debug build, two hosts at once. CI tries a part of it with every\n\
         change: each moment of each journal entry, and every victim at every moment.\n\n\
         Every row starts from a host in order: two healthy instances of the release that serves,\n\
         behind one HTTP listener, and a hook that leaves a trace each time it runs. The rollout\n\
         waits at the moment, the victim is killed, the rollout goes on. After a killed agent comes\n\
         `landfall agent start`; then `landfall resume` follows what is left to do. The row is in\n\
         order when, within a minute,\n\n\
         - nothing is in progress, and the new or the previous release serves and answers requests,\n\
         - `/proc` has exactly its instances, a shim for each, one edge and one agent,\n\
         - the exit code says what serves (0: the new one, 4: the previous one; 9: the agent was\n  \
         killed under the verb, or nobody knows what became of a hook),\n\
         - no release's hook ran twice,\n\
         - the next `landfall up` exits with 0, so nothing is locked.\n\n\
         A hook that dies with its shim has an unknown outcome: the run waits, and the row answers\n\
         `landfall resume --hook migrate=done` or `=again` by what the hook left behind. Whoever\n\
         is killed while a hook runs is killed after it left its trace, so that a second run would\n\
         show; only the hook's own process is killed at once. A new instance that dies while it is watched under traffic makes the rollout go back. An agent\n\
         that dies before the first entry of a run is written leaves a sealed release that was\n\
         never rolled out. *Seconds* are from the kill until all was found in order.\n\n\
         ## Every moment of every journal entry: {rows} rows\n\n{matrix}\n\
         ## Random instants: {count} kills, seed {seed}\n\n\
         A random verb, a random victim, an instant between 0 and 1.5 times what a calm `up` takes.\n\n{random}",
        rows = matrix.len(),
        matrix = table(matrix),
        count = random.len(),
        random = rounds(random),
    )
}
