//! Durations in a row, and how they are printed.

use std::time::Duration;

/// Several durations of the same thing.
#[derive(Default)]
pub struct Durations(Vec<Duration>);

impl Durations {
    /// One more.
    pub fn add(&mut self, took: Duration) {
        self.0.push(took);
        self.0.sort_unstable();
    }

    /// The one in the middle; zero when there is none.
    pub fn median(&self) -> Duration {
        self.0.get(self.0.len() / 2).copied().unwrap_or_default()
    }
}

/// Milliseconds.
pub fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

impl std::fmt::Display for Durations {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (least, most) = (self.0.first().copied(), self.0.last().copied());
        write!(
            formatter,
            "median {} ({} to {}, {} times)",
            milliseconds(self.median()),
            milliseconds(least.unwrap_or_default()),
            milliseconds(most.unwrap_or_default()),
            self.0.len()
        )
    }
}

/// Prints whether a goal was met, and is an error when it was not.
pub fn goal(what: &str, met: bool) -> anyhow::Result<()> {
    println!("goal: {what}: {}", if met { "met" } else { "NOT met" });
    anyhow::ensure!(met, "not met: {what}");
    Ok(())
}
