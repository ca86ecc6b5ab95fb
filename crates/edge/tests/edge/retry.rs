//! A request goes elsewhere when nothing of it was sent, and never otherwise.

use crate::support::edge::plain;
use crate::support::{Behaviour, Client, TestEdge, TestTarget, eventually, listener};
use landfall_model::{ListenerProtocol, Timestamp};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

const HOST: &str = "shop.example";

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_cannot_be_reached_is_passed_over() {
    let (alive, dead) = (TestTarget::start("alive").await, TestTarget::start("dead").await);
    dead.kill();
    let unreachable = dead.address;
    eventually("the port is closed", || async {
        tokio::net::TcpStream::connect(unreachable).await.is_err()
    })
    .await;
    let (socket, address) = listener();
    let http = plain(address, ListenerProtocol::Http);
    let mut edge = TestEdge::simple(http, &socket, &[&alive, &dead]).await;
    let mut client = Client::plain(address).await.expect("connected");
    for _ in 0..20 {
        let answer = client.post(HOST, "/echo", vec![1; 50_000]).await;
        assert_eq!((answer.target(), answer.body.len()), ("alive", 50_000));
    }
    let measured = edge.measured().await;
    assert_eq!((measured.requests, measured.unavailable, measured.errors), (20, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nobody_can_be_reached_the_answer_is_503_after_a_short_search() {
    let dead = TestTarget::start("dead").await;
    dead.kill();
    let (socket, address) = listener();
    let http = plain(address, ListenerProtocol::Http);
    let mut edge = TestEdge::simple(http, &socket, &[&dead]).await;
    let mut client = Client::plain(address).await.expect("connected");
    let started = Instant::now();
    let answer = client.post(HOST, "/", vec![1; 10]).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
    assert!(started.elapsed() >= Duration::from_millis(900), "it looked for somebody");
    assert_eq!(edge.measured().await.unavailable, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_connections_that_their_target_closes_lose_nothing() {
    let quiet = TestTarget::start_as("quiet", Behaviour::ClosesQuietly).await;
    let (socket, address) = listener();
    let http = plain(address, ListenerProtocol::Http);
    let mut edge = TestEdge::simple(http, &socket, &[&quiet]).await;
    let mut client = Client::plain(address).await.expect("connected");
    for round in 0..60 {
        let answer = client.post(HOST, "/echo", vec![1; 2_000]).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 2_000), "round {round}");
        // Long enough that the target has closed, short enough that the edge kept the connection.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(quiet.requests(), 60, "nothing was sent twice");
    assert_eq!(edge.measured().await.errors, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_not_sent_again() {
    let swallowing = TestTarget::start_as("swallowing", Behaviour::Swallows).await;
    let (socket, address) = listener();
    let http = plain(address, ListenerProtocol::Http);
    let mut edge = TestEdge::simple(http, &socket, &[&swallowing]).await;
    let mut client = Client::plain(address).await.expect("connected");
    assert_eq!(client.get(HOST, "/").await.status, 502);
    assert_eq!(client.post(HOST, "/", vec![1; 10]).await.status, 502);
    assert_eq!(swallowing.connections.load(std::sync::atomic::Ordering::SeqCst), 2);
    let measured = edge.measured().await;
    assert_eq!((measured.errors, measured.lost), (2, 0), "no change could have caused it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_closes_before_anything_is_sent_is_passed_over() {
    let refusing = TestTarget::start_as("refusing", Behaviour::Refuses).await;
    let alive = TestTarget::start("alive").await;
    let (socket, address) = listener();
    let http = plain(address, ListenerProtocol::Http);
    let mut edge = TestEdge::simple(http, &socket, &[&alive, &refusing]).await;
    let mut client = Client::plain(address).await.expect("connected");
    let mut answered = 0;
    for _ in 0..20 {
        // The kernel may take the request before the target closes; then it counts as sent.
        match client.get(HOST, "/").await.status.as_u16() {
            200 => answered += 1,
            status => assert_eq!(status, 502),
        }
    }
    let measured = edge.measured().await;
    assert_eq!(answered + measured.errors, 20);
    assert!(answered >= 10, "{answered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_breaks_while_its_target_leaves_is_lost_and_counted() {
    let target = TestTarget::start("a").await;
    let (socket, address) = listener();
    let http = plain(address, ListenerProtocol::Http);
    let mut edge = TestEdge::simple(http, &socket, &[&target]).await;
    let mut client = Client::plain(address).await.expect("connected");
    let running = tokio::spawn(async move { client.get(HOST, "/slow/20000").await.status });
    eventually("it runs", || async { target.requests() == 1 }).await;
    assert_eq!(edge.stats().await.connections["a"], 1);
    edge.config.groups.get_mut("a").expect("there").drain_until = Some(Timestamp(u64::MAX));
    edge.apply().await;
    target.kill();
    assert_eq!(running.await.expect("joined"), 502);
    let measured = edge.measured().await;
    assert_eq!((measured.lost, measured.errors, measured.cut), (1, 0, 0));
    assert_eq!(edge.stats().await.connections["a"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_outlives_the_drain_is_cut_and_counted() {
    let (old, new) = (TestTarget::start("old").await, TestTarget::start("new").await);
    let (socket, address) = listener();
    let http = plain(address, ListenerProtocol::Http);
    let mut edge = TestEdge::simple(http, &socket, &[&old]).await;
    let mut client = Client::plain(address).await.expect("connected");
    let mut streaming = Client::plain(address).await.expect("connected");
    let running = tokio::spawn(async move { client.get(HOST, "/slow/20000").await.status });
    let request = streaming.request("GET", HOST, "/stream/4000").body(Default::default());
    let streamed = tokio::spawn(async move {
        streaming.send(request.expect("built")).await.expect_err("cut in the middle")
    });
    eventually("both run", || async { old.requests() == 2 }).await;
    let group = edge.config.groups.get_mut("a").expect("there");
    group.targets[0].drain_until = Some(crate::support::later(Duration::from_millis(300)));
    group.targets.extend(crate::support::group(&[&new]).targets);
    edge.apply().await;
    let mut other = Client::plain(address).await.expect("connected");
    assert_eq!(other.get(HOST, "/").await.target(), "new");
    assert_eq!(running.await.expect("joined"), 503);
    streamed.await.expect("joined");
    let measured = edge.measured().await;
    assert_eq!((measured.cut, measured.lost), (2, 0));
    // Back in service, it is not cut again.
    let group = edge.config.groups.get_mut("a").expect("there");
    group.targets[0].drain_until = None;
    group.targets.truncate(1);
    edge.apply().await;
    assert_eq!(other.get(HOST, "/slow/600").await.target(), "old");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_in_the_middle_is_not_passed_off_as_whole() {
    let target = TestTarget::start("a").await;
    let (socket, address) = listener();
    let http = plain(address, ListenerProtocol::Http);
    let mut edge = TestEdge::simple(http, &socket, &[&target]).await;
    let mut client = Client::plain(address).await.expect("connected");
    let request = client.request("GET", HOST, "/stream/300").body(Default::default());
    let streamed = tokio::spawn(async move { client.send(request.expect("built")).await });
    eventually("it runs", || async { target.requests() == 1 }).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    target.kill();
    streamed.await.expect("joined").expect_err("truncated, and visibly so");
    assert_eq!(edge.measured().await.errors, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_its_request_and_is_nobody_s_fault() {
    let target = TestTarget::start("a").await;
    let (socket, address) = listener();
    let http = plain(address, ListenerProtocol::Http);
    let mut edge = TestEdge::simple(http, &socket, &[&target]).await;
    let mut client = Client::plain(address).await.expect("connected");
    let running = tokio::spawn(async move { client.get(HOST, "/slow/20000").await.status });
    eventually("it runs", || async { target.requests() == 1 }).await;
    running.abort();
    let mut upload = tokio::net::TcpStream::connect(address).await.expect("connected");
    let head = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nsome";
    upload.write_all(head.as_bytes()).await.expect("written");
    eventually("it runs too", || async { target.requests() == 2 }).await;
    drop(upload);
    edge.until_idle("a").await;
    let measured = edge.measured().await;
    assert_eq!((measured.errors, measured.lost, measured.cut), (0, 0, 0));
}
