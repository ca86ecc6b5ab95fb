//! Connections that leave HTTP.

use crate::support::edge::plain;
use crate::support::{Client, Keys, TestEdge, TestTarget, eventually, https, later, listener};
use landfall_model::ListenerProtocol;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const HOST: &str = "shop.example";

/// Asks for another protocol and reads the head of the answer.
async fn leave(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    let request = format!(
        "GET /upgrade HTTP/1.1\r\nhost: {HOST}\r\nconnection: keep-alive, Upgrade\r\nupgrade: echo\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("read"));
    }
    String::from_utf8(head).expect("text").to_lowercase()
}

async fn echoes(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), text: &[u8]) {
    stream.write_all(text).await.expect("written");
    stream.flush().await.expect("flushed");
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).await.expect("read");
    assert_eq!(back, text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_socket_lives_through_changes_and_is_cut_at_the_end_of_the_drain() {
    let (old, new) = (TestTarget::start("old").await, TestTarget::start("new").await);
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let mut edge = TestEdge::simple(https(address, &keys), &socket, &[&old]).await;
    let mut stream = keys.connect(address, HOST, &["http/1.1"]).await.expect("connected");
    let head = leave(&mut stream).await;
    assert!(head.starts_with("http/1.1 101") && head.contains("\r\nupgrade: echo\r\n"), "{head}");
    echoes(&mut stream, b"one").await;
    assert_eq!(edge.stats().await.targets["old"], 1);
    let group = edge.config.groups.get_mut("a").expect("there");
    group.targets.extend(crate::support::group(&[&new]).targets);
    group.targets[0].drain_until = Some(later(Duration::from_secs(100)));
    edge.apply().await;
    echoes(&mut stream, b"two").await;
    let mut client = Client::one(&keys, address, HOST).await.expect("connected");
    assert_eq!(client.get(HOST, "/").await.target(), "new");
    edge.config.groups.get_mut("a").expect("there").targets[0].drain_until =
        Some(later(Duration::from_millis(200)));
    edge.apply().await;
    let mut rest = Vec::new();
    let ended = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "{ended:?}");
    eventually("it is gone", || async { new.requests() == 1 }).await;
    edge.until_idle_target("old").await;
    let measured = edge.measured().await;
    assert_eq!((measured.cut, measured.lost, measured.errors), (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn half_closed_sockets_still_get_their_answer() {
    let target = TestTarget::start("a").await;
    let (socket, address) = listener();
    let http = plain(address, ListenerProtocol::Http);
    let _edge = TestEdge::simple(http, &socket, &[&target]).await;
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connected");
    assert!(leave(&mut stream).await.starts_with("http/1.1 101"));
    stream.write_all(&[7; 100_000]).await.expect("written");
    stream.shutdown().await.expect("shut");
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.expect("a clean end");
    assert_eq!(back.len(), 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_asks_for_another_protocol_gets_one() {
    let target = TestTarget::start("a").await;
    let (socket, address) = listener();
    let http = plain(address, ListenerProtocol::Http);
    let _edge = TestEdge::simple(http, &socket, &[&target]).await;
    let mut client = Client::plain(address).await.expect("connected");
    assert_eq!(client.get(HOST, "/upgrade").await.status, 502);
}
