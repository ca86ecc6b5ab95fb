use crate::world::*;
use futures::StreamExt as _;
use landfall_engine::{Engine as _, ExecRequest, LogQuery, SessionOutput};
use landfall_model::*;
use std::collections::BTreeSet;
use std::time::Duration;

fn query(tail: usize, follow: bool) -> LogQuery {
    LogQuery { stack: stack(), service: None, instance: None, tail, follow }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_is_lost_in_a_burst_across_lives() {
    // 10 MiB/s for two seconds in files of 4 MiB, while the engine dies again and again.
    let mut world = World::with(|options| {
        options.log_size = 4 << 20;
        options.log_files = 10;
    })
    .await;
    let lines = 40_000;
    let mut spam = service(&[PROGRAM, "spam", "40000", "512", "2000"]);
    spam.health.check = HealthCheck::Process;
    world.want(&[(1, 1, 0, &spam)]).await;
    let seen = world.until_ready(1, 1).await;
    let id = seen.groups[&group(1)].instances[0].id.clone();
    for _ in 0..30 {
        world.reopen().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eventually("its end", || world.instances().join(&id).join("exit.json").exists()).await;
    world.engine.shutdown().await;
    let mut found = BTreeSet::new();
    let mut files: Vec<_> = std::fs::read_dir(world.instances().join(&id).join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 4, "rotated");
    for file in files {
        assert!(std::fs::metadata(&file).unwrap().len() <= 4 << 20);
        for record in std::fs::read(&file).unwrap().split(|byte| *byte == b'\n') {
            let Some((_, _, text)) = landfall_protocol::shim::read_record(record) else { continue };
            assert_eq!(text.len(), 512);
            found.insert(std::str::from_utf8(&text[..9]).unwrap().parse::<u32>().unwrap());
        }
    }
    assert_eq!(found.len(), lines);
    let exit: landfall_protocol::shim::Exit = world.read(&id, "exit.json");
    assert_eq!((exit.code, exit.lost_bytes), (Some(0), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_then_the_new_also_of_later_instances() {
    let mut world = World::new().await;
    world.want(&[(1, 1, 0, &serve())]).await;
    world.until_ready(1, 1).await;
    let mut stream = world.engine.logs(query(10, true));
    let first = tokio::time::timeout(Duration::from_secs(10), stream.next()).await;
    let first = first.unwrap().unwrap().unwrap();
    assert!(first.text.starts_with("listening on") && !first.error);
    assert_eq!(first.group, group(1));
    world.want(&[(1, 1, 0, &serve()), (2, 1, 0, &serve())]).await;
    let second = tokio::time::timeout(Duration::from_secs(10), stream.next()).await;
    assert_eq!(second.unwrap().unwrap().unwrap().group, group(2));
    let past: Vec<_> = world.engine.logs(query(10, false)).collect().await;
    assert_eq!(past.len(), 2);
    let only = LogQuery { service: Some("other".parse().unwrap()), ..query(10, false) };
    assert_eq!(world.engine.logs(only).collect::<Vec<_>>().await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_run_beside_the_newest_instance() {
    let mut world = World::new().await;
    world.want(&[(1, 1, 0, &serve())]).await;
    let seen = world.until_ready(1, 1).await;
    let request = |command: &[&str]| ExecRequest {
        stack: stack(),
        service: "web".parse().unwrap(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
    };
    let mut session = world
        .engine
        .exec(request(&[
            "sh",
            "-c",
            "read line; echo $line $COLOUR $PORT; ./hello; echo oops >&2; exit 7",
        ]))
        .await
        .unwrap();
    session.input.send(b"typed\n".to_vec()).await.unwrap();
    let (mut out, mut error, mut exit) = (Vec::new(), Vec::new(), None);
    while let Some(output) = session.output.recv().await {
        match output {
            SessionOutput::Stdout(bytes) => out.extend(bytes),
            SessionOutput::Stderr(bytes) => error.extend(bytes),
            SessionOutput::Exit(code) => exit = Some(code),
        }
    }
    let port = seen.groups[&group(1)].instances[0].address.unwrap().port();
    let expected = format!("typed green {port}\nhello from the artifact\n");
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    assert_eq!(String::from_utf8(error).unwrap(), "oops\n");
    assert_eq!(exit, Some(7));
    // A client that goes away takes its command with it, and leaves the instance alone.
    let id = seen.groups[&group(1)].instances[0].id.clone();
    let session = world.engine.exec(request(&["sh", "-c", "sleep 60 & sleep 61"])).await.unwrap();
    eventually("it runs", || marked(&id).len() >= 5).await;
    drop(session);
    eventually("it is gone", || marked(&id).len() == 2).await;
}
