//! What `up` takes beyond the service's own start. It may wait for the health interval too; it is
//! counted as overhead here.

use super::figures::{Durations, goal, milliseconds};
use super::options::Options;
use landfall_loadgen::{Shape, World};
use landfall_testkit::{Host, free_ports, shop, until};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_secs(1);

pub fn run(options: &Options) -> anyhow::Result<()> {
    let program = options.program()?;
    let count = options.count.unwrap_or(20);
    let mut starts = Durations::default();
    for _ in 0..count {
        starts.add(start(&program)?);
    }
    println!("the shop's own start:             {starts}");
    let world = World::new(&program, Shape { every: EVERY, ..Shape::default() });
    let first = up(&world.host, 0);
    println!("the first `up`, agent and edge included: {}", milliseconds(first));
    // The first check comes as soon as the shop listens, so no interval is taken off.
    let own = starts.median();
    let (mut whole, mut beyond) = (Durations::default(), Durations::default());
    for version in 1..=count {
        let took = up(&world.host, version);
        whole.add(took);
        beyond.add(took.saturating_sub(own));
    }
    println!("`up` from start to end:           {whole}");
    println!("beyond the shop's own start:      {beyond}");
    let mut back = Durations::default();
    for _ in 0..count {
        let ran = world.host.run(&["rollback"]).expect(0);
        back.add(ran.took);
        up(&world.host, count + 1);
    }
    println!("`rollback` from start to end:     {back}");
    goal("overhead of `up` under 1 s", beyond.median() < LIMIT)
}

fn up(host: &Host, version: u32) -> Duration {
    host.run(&["up", "--again", "--set", &format!("version={version}")]).expect(0).took
}

/// From the shop's start until it takes connections.
fn start(program: &Path) -> anyhow::Result<Duration> {
    let [port] = free_ports();
    let began = Instant::now();
    let mut command = Command::new(shop(program));
    command.arg("serve").env("HOST", "127.0.0.1").env("PORT", port.to_string());
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let took = until("the shop", Duration::from_secs(10), || {
        TcpStream::connect(("127.0.0.1", port)).ok().map(|_| began.elapsed())
    });
    child.kill()?;
    child.wait()?;
    Ok(took)
}
