//! Targets and certificates change under load, and nothing is lost.

use crate::support::load::HOST;
use crate::support::{
    Client, Keys, Load, TestEdge, TestTarget, eventually, forward, group, https, later, listener,
    rounds,
};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_are_replaced_under_load_and_killed_once_nothing_runs_there() {
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let mut targets = vec![TestTarget::start("t0").await];
    let listener = https(address, &keys);
    let mut edge = TestEdge::simple(listener, &socket, &[&targets[0]]).await;
    let load = Load::start(keys, address);
    let mut before = "a".to_owned();
    for round in 1..=rounds(12) {
        load.more(250).await;
        let target = TestTarget::start(&format!("t{round}")).await;
        let next = format!("g{round}");
        edge.config.groups.insert(next.clone(), group(&[&target]));
        edge.config.listeners[0].action = forward(&[(&before, 50), (&next, 50)]);
        edge.apply().await;
        load.more(100).await;
        edge.config.listeners[0].action = forward(&[(&next, 100)]);
        let old = edge.config.groups.get_mut(&before).expect("there");
        old.drain_until = Some(later(Duration::from_secs(15)));
        edge.apply().await;
        edge.until_idle(&before).await;
        targets.remove(0).kill();
        targets.push(target);
        edge.config.groups.remove(&before);
        edge.apply().await;
        before = next;
    }
    let (answered, lost) = load.stop().await;
    assert!(
        lost.is_empty(),
        "{} of {answered} lost, such as {:?}",
        lost.len(),
        &lost[..lost.len().min(5)]
    );
    let measured = edge.measured().await;
    assert_eq!((measured.lost, measured.cut, measured.errors, measured.unavailable), (0, 0, 0, 0));
    assert_eq!(measured.requests, answered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_certificate_is_for_new_connections_and_older_ones_go_on() {
    let (first, second) = (Keys::of(&[HOST]), Keys::of(&[HOST]));
    let target = TestTarget::start("a").await;
    let (socket, address) = listener();
    let mut edge = TestEdge::simple(https(address, &first), &socket, &[&target]).await;
    let mut one = Client::one(&first, address, HOST).await.expect("connected");
    let mut two = Client::two(&first, address, HOST).await.expect("connected");
    assert_eq!(one.get(HOST, "/").await.status, 200);
    edge.config.listeners[0] = https(address, &second);
    edge.apply().await;
    assert_eq!(one.get(HOST, "/").await.status, 200);
    assert_eq!(two.get(HOST, "/").await.status, 200);
    assert!(Client::one(&first, address, HOST).await.is_err(), "the older certificate is gone");
    let mut fresh = Client::one(&second, address, HOST).await.expect("connected");
    assert_eq!(fresh.get(HOST, "/").await.status, 200);
    assert_eq!(edge.measured().await.connections, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_used_is_a_problem_and_the_older_one_stays() {
    let (keys, other) = (Keys::of(&[HOST]), Keys::of(&[HOST]));
    let target = TestTarget::start("a").await;
    let (socket, address) = listener();
    let mut edge = TestEdge::simple(https(address, &keys), &socket, &[&target]).await;
    for (chain, key, part) in [
        ("nonsense", keys.key_pem.as_str(), "not PEM"),
        (&keys.chain_pem, "nonsense", "not PEM"),
        (&keys.chain_pem, &other.key_pem, "cannot be used"),
    ] {
        edge.config.listeners[0].chain_pem = Some(chain.to_owned());
        edge.config.listeners[0].key_pem = Some(key.to_owned());
        let problems = edge.apply_with(&[]).await.problems;
        let why = &problems["shop/web public"];
        assert!(why.contains(part) && why.contains("stay in use"), "{why}");
        let mut client = Client::one(&keys, address, HOST).await.expect("connected");
        assert_eq!(client.get(HOST, "/").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_goes_on_when_nobody_talks_to_it_and_gives_its_sockets_to_the_next_agent() {
    let target = TestTarget::start("a").await;
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let mut edge = TestEdge::simple(https(address, &keys), &socket, &[&target]).await;
    drop(socket);
    let again = landfall_protocol::edge::client::EdgeClient::connect(&edge.path()).await;
    edge.control = again.expect("connected");
    let mut client = Client::one(&keys, address, HOST).await.expect("connected");
    assert_eq!(client.get(HOST, "/").await.status, 200);
    let sockets = edge.control.sockets().await.expect("sockets");
    assert_eq!(sockets.iter().map(|(address, _)| *address).collect::<Vec<_>>(), [address]);
    let duplicate = std::net::TcpListener::from(sockets.into_iter().next().expect("one").1);
    assert_eq!(duplicate.local_addr().expect("bound"), address);
    drop(duplicate);
    edge.config.listeners.clear();
    edge.apply().await;
    eventually("the socket is closed", || async {
        tokio::net::TcpStream::connect(address).await.is_err()
    })
    .await;
}
