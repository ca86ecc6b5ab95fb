//! `landfall status` as a whole process.

use super::figures::{Durations, goal};
use super::options::Options;
use super::seeded;
use landfall_loadgen::{Shape, World};
use landfall_store::{Folder, Store};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_millis(10);

pub fn run(options: &Options) -> anyhow::Result<()> {
    let program = options.program()?;
    let (count, releases) = (options.count.unwrap_or(100), options.releases.unwrap_or(10_000));
    let world = World::new(&program, Shape::default());
    world.host.run(&["up"]).expect(0);
    println!("a process that does nothing (`true`): {}", times(count, || Command::new("true"))?);
    let few = measure(&world, count)?;
    println!("`landfall status`, 1 release:         {few}");
    world.host.run(&["agent", "stop"]).expect(0);
    fill(&world, releases)?;
    world.host.run(&["agent", "start"]).expect(0);
    world.host.run(&["up", "--set", "version=2"]).expect(0);
    let many = measure(&world, count)?;
    println!("`landfall status`, {} releases:   {many}", releases + 1);
    let ratio = many.median().as_secs_f64() / few.median().as_secs_f64();
    println!("many releases against one: {ratio:.2} times");
    let back = world.host.run(&["rollback"]).expect(0).took;
    println!("`rollback` at {} releases: {back:.2?}", releases + 1);
    goal("`landfall status` under 10 ms", few.median() < LIMIT && many.median() < LIMIT)
}

fn measure(world: &World, count: u32) -> anyhow::Result<Durations> {
    times(count, || world.host.command(&["status"]))
}

/// From the start of a process to its end.
fn times(count: u32, command: impl Fn() -> Command) -> anyhow::Result<Durations> {
    let mut durations = Durations::default();
    for _ in 0..count {
        let mut command = command();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        let status = command.status()?;
        durations.add(began.elapsed());
        anyhow::ensure!(status.success(), "{command:?} failed");
    }
    Ok(durations)
}

/// Fills the stack of a host whose agent is stopped with copies of its release.
fn fill(world: &World, releases: u64) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let folder = Folder::open(world.host.home().join("store"))?;
        seeded::fill(&Store::open(Arc::new(folder)).await?, releases).await
    })
}
