//! Benches: what is promised about time, measured.

/// Runs the bench of this name.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    anyhow::bail!("there is no bench {arguments:?}")
}
