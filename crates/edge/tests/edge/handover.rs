//! One edge hands over to the next, under load, and nothing is lost.

use crate::support::load::HOST;
use crate::support::{
    Client, Keys, Load, TestEdge, TestTarget, eventually, group, https, later, listener, rounds,
};
use landfall_protocol::edge::client::EdgeClient;
use landfall_protocol::edge::{Config, Listener};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edges_hand_over_under_load() {
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let target = TestTarget::start("a").await;
    let listener = https(address, &keys);
    let mut edge = TestEdge::simple(listener, &socket, &[&target]).await;
    let load = Load::start(keys, address);
    let mut requests = 0;
    for _ in 0..rounds(4) {
        load.more(300).await;
        let mut next = TestEdge::start().await;
        next.config = edge.config.clone();
        let configured = next.apply_with(&[&socket]).await;
        assert!(configured.problems.is_empty(), "{:?}", configured.problems);
        edge.control.retire(later(Duration::from_secs(15))).await.expect("retiring");
        load.more(100).await;
        let mut measured = edge.measured().await;
        while let Ok(stats) = edge.control.stats().await {
            measured = stats.measured["shop/web"];
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!((measured.lost, measured.cut, measured.errors), (0, 0, 0));
        timeout(Duration::from_secs(20), &mut edge.task).await.expect("in time").expect("exited");
        requests += measured.requests;
        edge = next;
    }
    let (answered, lost) = load.stop().await;
    assert!(
        lost.is_empty(),
        "{} of {answered} lost, such as {:?}",
        lost.len(),
        &lost[..lost.len().min(5)]
    );
    assert!(answered > 2_000, "{answered}");
    assert_eq!(requests + edge.measured().await.requests, answered, "all were counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_gets_its_next_answer_from_the_retiring_edge_and_follows_changes() {
    let (old, new) = (TestTarget::start("old").await, TestTarget::start("new").await);
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let mut edge = TestEdge::simple(https(address, &keys), &socket, &[&old]).await;
    let mut one = Client::one(&keys, address, HOST).await.expect("connected");
    let mut two = Client::two(&keys, address, HOST).await.expect("connected");
    assert_eq!(one.get(HOST, "/").await.target(), "old");
    assert_eq!(two.get(HOST, "/").await.target(), "old");
    edge.control.retire(later(Duration::from_secs(20))).await.expect("retiring");
    assert!(edge.control.sockets().await.expect("asked").is_empty());
    edge.config.groups.insert("a".to_owned(), group(&[&new]));
    edge.apply().await;
    old.kill();
    let answer = one.get(HOST, "/").await;
    assert_eq!((answer.target(), answer.header("connection")), ("new", "close"));
    assert!(!one.is_usable().await, "the edge has closed it");
    timeout(Duration::from_secs(10), &mut edge.task).await.expect("early").expect("exited");
    assert!(!edge.path().exists(), "the control socket is gone");
    assert!(!two.is_usable().await);
    assert!(tokio::net::TcpStream::connect(address).await.is_ok(), "connections wait in the queue");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_closed_cleanly_when_the_time_is_over() {
    let target = TestTarget::start("a").await;
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let mut edge = TestEdge::simple(https(address, &keys), &socket, &[&target]).await;
    let mut idle = keys.connect(address, HOST, &["http/1.1"]).await.expect("connected");
    idle.write_all(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes())
        .await
        .expect("written");
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.expect("read");
    assert_eq!(&first, b"HTTP/1.1 200");
    edge.control.retire(later(Duration::from_millis(500))).await.expect("retiring");
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.expect("a clean end, with the farewell of TLS");
    drop(idle);
    timeout(Duration::from_secs(10), &mut edge.task).await.expect("in time").expect("exited");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_outlives_the_retirement_is_cut() {
    let target = TestTarget::start("a").await;
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let mut edge = TestEdge::simple(https(address, &keys), &socket, &[&target]).await;
    let mut client = Client::one(&keys, address, HOST).await.expect("connected");
    let _idle = Client::one(&keys, address, HOST).await.expect("connected");
    let running = tokio::spawn(async move { client.get(HOST, "/slow/20000").await.status });
    eventually("it runs", || async { target.requests() == 1 }).await;
    edge.control.retire(later(Duration::from_millis(300))).await.expect("retiring");
    assert_eq!(running.await.expect("joined"), 503);
    timeout(Duration::from_secs(10), &mut edge.task).await.expect("in time").expect("exited");
}

/// An edge as a process: the example of the same name, which `cargo test` builds beside the tests.
fn spawn_process(socket: &std::path::Path) -> Option<tokio::process::Child> {
    let tests = std::env::current_exe().expect("a path");
    let program = tests.parent().and_then(|deps| deps.parent()).expect("a folder");
    let program = program.join("examples/edge");
    if !program.exists() {
        eprintln!("skipped: {} is not built", program.display());
        return None;
    }
    let spawned = tokio::process::Command::new(program).arg(socket).kill_on_drop(true).spawn();
    Some(spawned.expect("started"))
}

/// Starts a process and gives it this configuration.
async fn configured_process(
    path: &std::path::Path,
    config: &Config,
    socket: &std::net::TcpListener,
) -> Option<(tokio::process::Child, EdgeClient)> {
    let process = spawn_process(path)?;
    eventually("it listens", || async { EdgeClient::connect(path).await.is_ok() }).await;
    let mut control = EdgeClient::connect(path).await.expect("connected");
    let address = socket.local_addr().expect("bound");
    control.configure(config.clone(), &[(address, socket.as_fd())]).await.expect("configured");
    Some((process, control))
}

fn one_listener(listener: Listener, target: &TestTarget) -> Config {
    let groups = [("a".to_owned(), group(&[target]))].into();
    Config { revision: 1, listeners: vec![listener], groups }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signalled_process_finishes_what_runs() {
    let target = TestTarget::start("a").await;
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("edge.sock");
    let config = one_listener(https(address, &keys), &target);
    let started = configured_process(&path, &config, &socket).await;
    let Some((mut process, control)) = started else { return };
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut client = Client::one(&keys, address, HOST).await.expect("connected");
    let running = tokio::spawn(async move { client.get(HOST, "/slow/700").await });
    eventually("it runs", || async { target.requests() == 1 }).await;
    signal(&process, rustix::process::Signal::TERM);
    let answer = running.await.expect("joined");
    assert_eq!((answer.status.as_u16(), answer.header("connection")), (200, "close"));
    drop(control);
    let ended = timeout(Duration::from_secs(10), process.wait()).await.expect("in time");
    assert!(ended.expect("ended").success());
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_leaves_the_queue_to_the_next() {
    let target = TestTarget::start("a").await;
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("edge.sock");
    let config = one_listener(https(address, &keys), &target);
    let started = configured_process(&path, &config, &socket).await;
    let Some((mut process, _control)) = started else { return };
    signal(&process, rustix::process::Signal::KILL);
    process.wait().await.expect("ended");
    let waiting = tokio::spawn(async move {
        let mut client = Client::one(&keys, address, HOST).await.expect("connected");
        client.get(HOST, "/").await.status
    });
    let _next = configured_process(&path, &config, &socket).await.expect("built");
    assert_eq!(waiting.await.expect("joined"), 200);
}

fn signal(process: &tokio::process::Child, signal: rustix::process::Signal) {
    let id = process.id().and_then(|id| i32::try_from(id).ok()).expect("it runs");
    let id = rustix::process::Pid::from_raw(id).expect("not zero");
    rustix::process::kill_process(id, signal).expect("sent");
}
