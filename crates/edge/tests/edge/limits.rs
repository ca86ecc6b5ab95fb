//! Limits, and the metrics.

use crate::support::edge::plain;
use crate::support::{Client, TestEdge, TestTarget, eventually, group, listener};
use landfall_model::ListenerProtocol;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HOST: &str = "shop.example";

async fn raw(address: std::net::SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    drop(stream.write_all(bytes).await);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    drop(tokio::time::timeout(Duration::from_secs(20), read).await);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn unclear_and_oversized_requests_are_refused() {
    let target = TestTarget::start("a").await;
    let (socket, address) = listener();
    let http = plain(address, ListenerProtocol::Http);
    let _edge = TestEdge::simple(http, &socket, &[&target]).await;
    let large = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(70_000));
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(200));
    let chunked = "transfer-encoding: chunked\r\ncontent-length: 3\r\n";
    let smuggled = format!(
        "POST / HTTP/1.1\r\nhost: a\r\n{chunked}connection: close\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\nhost: a\r\n\r\n"
    );
    for (request, statuses) in [
        ("GET / HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned(), ["400", "400"]),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n".to_owned(),
            ["400", "400"],
        ),
        ("GET / HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n".to_owned(), ["400", "400"]),
        (
            "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\nconnection: close\r\n\r\n".to_owned(),
            ["501", "501"],
        ),
        (large, ["431", "431"]),
        (many, ["431", "431"]),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd"
                .to_owned(),
            ["400", "400"],
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: x, chunkedx\r\n\r\n".to_owned(),
            ["400", "400"],
        ),
        (smuggled, ["400", "200"]),
    ] {
        let answer = raw(address, request.as_bytes()).await;
        let status = answer.get(9..12).unwrap_or_default();
        assert!(statuses.contains(&status), "{answer} to {:.80}", request);
        assert!(answer.matches("HTTP/1.1 ").count() == 1, "one answer: {answer}");
    }
    assert!(target.requests() <= 1, "only the one with its length ignored may arrive");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http_1_0_is_served() {
    let target = TestTarget::start("a").await;
    let (socket, address) = listener();
    let http = plain(address, ListenerProtocol::Http);
    let _edge = TestEdge::simple(http, &socket, &[&target]).await;
    let answer = raw(address, b"GET /headers HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    assert!(answer.contains(&format!("host: {address}\n")), "{answer}");
    let answer = raw(address, b"GET /stream/1 HTTP/1.0\r\nhost: a\r\n\r\n").await;
    assert!(!answer.contains("chunked") && answer.ends_with(&"x".repeat(10_000)), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_100_is_told_to_go_on() {
    let target = TestTarget::start("a").await;
    let (socket, address) = listener();
    let http = plain(address, ListenerProtocol::Http);
    let _edge = TestEdge::simple(http, &socket, &[&target]).await;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let head = "POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut first = vec![0; 25];
    stream.read_exact(&mut first).await.expect("read");
    assert_eq!(first, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.expect("written");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.expect("read");
    assert!(rest.starts_with("HTTP/1.1 200") && rest.ends_with("hello"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_allowed_wait_until_others_end() {
    let target = TestTarget::start("a").await;
    let (socket, address) = listener();
    let others: Vec<_> = (0..3).map(|_| listener()).collect();
    let mut edge = TestEdge::start_with(|options| options.connections = 2).await;
    edge.config.groups.insert("a".to_owned(), group(&[&target]));
    edge.config.listeners = vec![plain(address, ListenerProtocol::Http)];
    for (index, (_, other)) in others.iter().enumerate() {
        let mut listener = plain(*other, ListenerProtocol::Http);
        listener.name = format!("other{index}");
        edge.config.listeners.push(listener);
    }
    edge.apply_with(&[&socket, &others[0].0, &others[1].0, &others[2].0]).await;
    let mut first = Client::plain(address).await.expect("connected");
    let mut second = Client::plain(others[2].1).await.expect("connected");
    assert_eq!(first.get(HOST, "/").await.status, 200);
    assert_eq!(second.get(HOST, "/").await.status, 200);
    let mut third = Client::plain(address).await.expect("the kernel takes it");
    let waiting = tokio::spawn(async move { third.get(HOST, "/").await.status });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    drop(first);
    assert_eq!(waiting.await.expect("joined"), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_what_was_counted() {
    let target = TestTarget::start("a").await;
    let (socket, address) = listener();
    let (free, metrics) = listener();
    drop(free);
    let mut edge = TestEdge::start_with(|options| options.metrics = Some(metrics)).await;
    edge.config.groups.insert("a".to_owned(), group(&[&target]));
    edge.config.listeners = vec![plain(address, ListenerProtocol::Http)];
    edge.apply_with(&[&socket]).await;
    let mut client = Client::plain(address).await.expect("connected");
    for path in ["/", "/", "/fail"] {
        client.get(HOST, path).await;
    }
    eventually("metrics are served", || async { TcpStream::connect(metrics).await.is_ok() }).await;
    let mut scrape = Client::plain(metrics).await.expect("connected");
    let answer = scrape.get("localhost", "/metrics").await;
    let text = answer.text();
    let labels = "stack=\"shop/web\",listener=\"public\"";
    for line in [
        format!("landfall_edge_requests_total{{{labels},code=\"2xx\"}} 2"),
        format!("landfall_edge_requests_total{{{labels},code=\"5xx\"}} 1"),
        format!("landfall_edge_answer_seconds_count{{{labels}}} 3"),
        format!("landfall_edge_connections_total{{{labels}}} 1"),
        format!("landfall_edge_targets_healthy{{{labels}}} 1"),
        "landfall_edge_ended_total{stack=\"shop/web\",how=\"error\"} 1".to_owned(),
        "landfall_edge_running{group=\"a\"} 0".to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    if let Some(verdict) = crate::outside::feed("promtool", &["check", "metrics"], text) {
        assert!(verdict.success);
        assert_eq!(verdict.errors, "", "promtool is content");
    }
}
