//! Listeners that do not look into what they carry.

use crate::support::edge::plain;
use crate::support::{
    Behaviour, Keys, TestEdge, TestTarget, eventually, group, https, later, listener,
};
use landfall_model::ListenerProtocol;
use landfall_protocol::edge::Listener;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

const HOST: &str = "shop.example";

async fn all_comes_back(mut stream: impl AsyncRead + AsyncWrite + Unpin, length: usize) {
    let sent: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
    let (mut read, mut write) = tokio::io::split(&mut stream);
    let mut back = Vec::new();
    let writing = async {
        write.write_all(&sent).await.expect("written");
        write.shutdown().await.expect("shut");
    };
    let reading = async { read.read_to_end(&mut back).await.expect("a clean end") };
    tokio::join!(writing, reading);
    assert!(back == sent, "{} of {length} bytes came back", back.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_go_on_as_they_are_and_half_closes_are_kept() {
    let (echo, dead) =
        (TestTarget::start_as("echo", Behaviour::Echoes).await, TestTarget::start("dead").await);
    dead.kill();
    let keys = Keys::of(&[HOST]);
    let (tcp, tcp_address) = listener();
    let (tls, tls_address) = listener();
    let mut edge = TestEdge::start().await;
    edge.config.groups.insert("a".to_owned(), group(&[&echo, &dead]));
    let secure = Listener {
        protocol: ListenerProtocol::Tls,
        name: "secure".to_owned(),
        ..https(tls_address, &keys)
    };
    edge.config.listeners = vec![plain(tcp_address, ListenerProtocol::Tcp), secure];
    let configured = edge.apply_with(&[&tcp, &tls]).await;
    assert!(configured.problems.is_empty(), "{:?}", configured.problems);
    for _ in 0..4 {
        all_comes_back(TcpStream::connect(tcp_address).await.expect("connected"), 1_000_000).await;
        let stream = keys.connect(tls_address, HOST, &["h2", "x"]).await.expect("connected");
        assert_eq!(stream.get_ref().1.alpn_protocol(), None, "nothing is agreed on");
        all_comes_back(stream, 1_000_000).await;
    }
    edge.until_idle("a").await;
    let measured = edge.measured().await;
    assert_eq!((measured.connections, measured.requests), (8, 0));
    assert_eq!((measured.errors, measured.lost, measured.cut, measured.unavailable), (0, 0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_goes_on_while_its_group_drains_and_is_cut_at_the_end() {
    let old = TestTarget::start_as("old", Behaviour::Echoes).await;
    let new = TestTarget::start_as("new", Behaviour::Echoes).await;
    let (socket, address) = listener();
    let mut edge = TestEdge::simple(plain(address, ListenerProtocol::Tcp), &socket, &[&old]).await;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(b"x").await.expect("written");
    assert_eq!(stream.read_u8().await.expect("read"), b'x');
    let mut draining = edge.config.groups.remove("a").expect("there");
    draining.drain_until = Some(later(Duration::from_millis(500)));
    edge.config.groups.insert("old".to_owned(), draining.clone());
    edge.config.groups.insert("a".to_owned(), group(&[&new]));
    edge.apply().await;
    stream.write_all(b"y").await.expect("written");
    assert_eq!(stream.read_u8().await.expect("read"), b'y');
    all_comes_back(TcpStream::connect(address).await.expect("connected"), 1_000).await;
    let connections = &new.connections;
    eventually("the new one serves", || async {
        connections.load(std::sync::atomic::Ordering::SeqCst) == 1
    })
    .await;
    // Another key for the group is another group: the older one left without a time, so it has half a
    // minute, in which its connections go on.
    stream.write_all(b"z").await.expect("written");
    assert_eq!(stream.read_u8().await.expect("read"), b'z');
    assert_eq!(edge.stats().await.targets["old"], 1);
    let kept = edge.config.groups.remove("a").expect("there");
    edge.config.groups.insert("a".to_owned(), draining);
    edge.config.groups.insert("b".to_owned(), kept);
    edge.config.listeners[0].action = crate::support::forward(&[("b", 1)]);
    edge.apply().await;
    let mut rest = Vec::new();
    drop(stream.read_to_end(&mut rest).await);
    assert!(rest.is_empty());
    edge.until_idle_target("old").await;
    assert_eq!(edge.measured().await.cut, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_target_the_connection_ends_and_is_counted() {
    let dead = TestTarget::start("dead").await;
    dead.kill();
    let (socket, address) = listener();
    let mut edge = TestEdge::simple(plain(address, ListenerProtocol::Tcp), &socket, &[&dead]).await;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let mut rest = Vec::new();
    drop(stream.read_to_end(&mut rest).await);
    assert_eq!(edge.measured().await.unavailable, 1);
}
