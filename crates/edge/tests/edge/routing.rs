//! Where requests go: shares, health, hosts, redirects, and what targets are told.

use crate::support::edge::plain;
use crate::support::{Client, Keys, TestEdge, TestTarget, forward, group, https, listener};
use landfall_model::ListenerProtocol;
use landfall_protocol::edge::{Action, Listener, TargetGroup};
use std::collections::{BTreeMap, BTreeSet};

const HOST: &str = "shop.example";

#[tokio::test(flavor = "multi_thread")]
async fn requests_follow_the_shares() {
    let (blue, green) = (TestTarget::start("blue").await, TestTarget::start("green").await);
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let mut edge = TestEdge::simple(https(address, &keys), &socket, &[&blue]).await;
    edge.config.groups.insert("b".to_owned(), group(&[&green]));
    edge.config.listeners[0].action = forward(&[("a", 75), ("b", 25)]);
    edge.apply().await;
    let mut client = Client::two(&keys, address, HOST).await.expect("connected");
    for _ in 0..100 {
        assert_eq!(client.get(HOST, "/").await.status, 200);
    }
    assert!((73..=77).contains(&blue.requests()), "{}", blue.requests());
    edge.config.listeners[0].action = forward(&[("a", 0), ("b", 100)]);
    edge.apply().await;
    for _ in 0..20 {
        assert_eq!(client.get(HOST, "/").await.target(), "green");
    }
    let measured = edge.measured().await;
    assert_eq!((measured.requests, measured.connections), (120, 1));
    assert_eq!((measured.lost, measured.errors, measured.unavailable), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_healthy_target_the_answer_is_503_and_says_when_to_come_back() {
    let target = TestTarget::start("a").await;
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let mut edge = TestEdge::simple(https(address, &keys), &socket, &[&target]).await;
    edge.config.groups.get_mut("a").expect("there").targets[0].healthy = false;
    edge.apply().await;
    let mut client = Client::one(&keys, address, HOST).await.expect("connected");
    let answer = client.get(HOST, "/").await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
    edge.config.groups.insert("a".to_owned(), TargetGroup::default());
    edge.apply().await;
    assert_eq!(client.post(HOST, "/", vec![0; 300_000]).await.status, 503);
    assert_eq!(edge.measured().await.unavailable, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_s_own_errors_are_counted_apart() {
    let target = TestTarget::start("a").await;
    let (socket, address) = listener();
    let http = plain(address, ListenerProtocol::Http);
    let mut edge = TestEdge::simple(http, &socket, &[&target]).await;
    let mut client = Client::plain(address).await.expect("connected");
    assert_eq!(client.get(HOST, "/fail").await.status, 500);
    let measured = edge.measured().await;
    assert_eq!((measured.requests, measured.connections), (1, 1));
    assert_eq!((measured.errors, measured.lost), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_is_told_who_asks_and_does_not_hear_it_from_the_client() {
    let target = TestTarget::start("a").await;
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let _edge = TestEdge::simple(https(address, &keys), &socket, &[&target]).await;
    for mut client in [
        Client::one(&keys, address, HOST).await.expect("connected"),
        Client::two(&keys, address, HOST).await.expect("connected"),
    ] {
        let request = client
            .request("GET", HOST, "/headers?a=1&b=%20")
            .header("x-forwarded-for", "10.9.9.9")
            .header("x-forwarded-proto", "ftp")
            .header("forwarded", "for=10.9.9.9")
            .header("te", "trailers")
            .body(Default::default())
            .expect("built");
        let answer = client.send(request).await.expect("answered");
        let text = answer.text();
        for line in [
            "GET /headers?a=1&b=%20",
            "host: shop.example",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-proto: https",
            "x-forwarded-host: shop.example",
            "te: trailers",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(!text.contains("10.9.9.9") && !text.contains("\nforwarded:"), "{text}");
        let answer = client.get(HOST, "/hops").await;
        assert_eq!((answer.header("x-hop"), answer.header("keep-alive")), ("", ""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_redirects_to_https_with_host_and_path() {
    let (socket, address) = listener();
    let mut redirecting = plain(address, ListenerProtocol::Http);
    redirecting.action = Action::RedirectHttps(8443);
    let mut edge = TestEdge::simple(redirecting, &socket, &[]).await;
    let mut client = Client::plain(address).await.expect("connected");
    let answer = client.get("Shop.example:80", "/a/b?c=d").await;
    assert_eq!(answer.status, 308);
    assert_eq!(answer.header("location"), "https://shop.example:8443/a/b?c=d");
    edge.config.listeners[0].action = Action::RedirectHttps(443);
    edge.apply().await;
    assert_eq!(client.get(HOST, "/").await.header("location"), "https://shop.example/");
    let mut client = Client::plain(address).await.expect("connected");
    assert_eq!(client.get("evil\"example", "/").await.status, 400);
}

fn named(mut listener: Listener, name: &str, hosts: &[&str], to: &str) -> Listener {
    listener.name = name.to_owned();
    listener.hosts = hosts.iter().map(|host| (*host).to_owned()).collect::<BTreeSet<_>>();
    listener.action = forward(&[(to, 1)]);
    listener
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_told_apart_by_name_and_by_request() {
    let (one, two) = (TestTarget::start("one").await, TestTarget::start("two").await);
    let both = Keys::of(&["one.example", "two.example"]);
    let wild = Keys::of(&["*.wild.example"]);
    let (socket, address) = listener();
    let mut edge = TestEdge::start().await;
    edge.config.groups =
        BTreeMap::from([("a".to_owned(), group(&[&one])), ("b".to_owned(), group(&[&two]))]);
    edge.config.listeners = vec![
        named(https(address, &both), "one", &["one.example"], "a"),
        named(https(address, &both), "two", &["TWO.example"], "b"),
        named(https(address, &wild), "wild", &["*.wild.example"], "b"),
    ];
    let configured = edge.apply_with(&[&socket]).await;
    assert!(configured.problems.is_empty(), "{:?}", configured.problems);
    let mut client = Client::one(&both, address, "one.example").await.expect("connected");
    assert_eq!(client.get("One.Example.", "/").await.target(), "one");
    assert_eq!(client.get("two.example", "/").await.target(), "two");
    assert_eq!(
        client.get("x.wild.example", "/").await.status,
        421,
        "the certificate is not for it"
    );
    assert_eq!(client.get("else.example", "/").await.status, 421, "nobody answers to it");
    let mut client = Client::two(&wild, address, "x.wild.example").await.expect("connected");
    assert_eq!(client.get("x.wild.example", "/").await.target(), "two");
    assert_eq!(client.get("one.example", "/").await.status, 421);
    for nobody in ["else.example", "a.b.wild.example", "wild.example"] {
        let error = Client::one(&wild, address, nobody).await.err().expect("refused");
        assert!(format!("{error:?}").contains("UnrecognisedName"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_that_collide_are_named_and_the_rest_is_in_force() {
    let target = TestTarget::start("a").await;
    let (socket, address) = listener();
    let mut edge = TestEdge::start().await;
    edge.config.groups = BTreeMap::from([("a".to_owned(), group(&[&target]))]);
    let http = plain(address, ListenerProtocol::Http);
    let (nowhere, elsewhere) = listener();
    drop(nowhere);
    edge.config.listeners = vec![
        named(http.clone(), "first", &[], "a"),
        named(http.clone(), "second", &[], "a"),
        named(plain(address, ListenerProtocol::Tcp), "third", &[], "a"),
        named(plain(elsewhere, ListenerProtocol::Tcp), "fourth", &[], "a"),
        named(http, "fifth", &["x.example"], "missing"),
    ];
    let problems = edge.apply_with(&[&socket]).await.problems;
    for (name, part) in [
        ("second", "shop/web first already answers to all hosts"),
        ("third", "speaks something else"),
        ("fourth", "no socket"),
        ("fifth", "no target group missing"),
    ] {
        let why = problems.get(&format!("shop/web {name}")).expect(name);
        assert!(why.contains(part), "{why}");
    }
    assert_eq!(problems.len(), 4, "{problems:?}");
    let mut client = Client::plain(address).await.expect("connected");
    assert_eq!(client.get(HOST, "/").await.target(), "a");
    assert_eq!(client.get("x.example", "/").await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_both_ways() {
    let target = TestTarget::start("a").await;
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let mut edge = TestEdge::simple(https(address, &keys), &socket, &[&target]).await;
    for mut client in [
        Client::one(&keys, address, HOST).await.expect("connected"),
        Client::two(&keys, address, HOST).await.expect("connected"),
    ] {
        let body: Vec<u8> = (0..3_000_000_u32).map(|index| (index % 251) as u8).collect();
        let answer = client.post(HOST, "/echo", body.clone()).await;
        assert!(answer.body == body, "{} bytes came back", answer.body.len());
        assert_eq!(client.get(HOST, "/stream/1").await.body.len(), 10_000);
        let head = client.request("HEAD", HOST, "/").body(Default::default()).expect("built");
        let answer = client.send(head).await.expect("answered");
        assert_eq!((answer.header("content-length"), answer.body.len()), ("1", 0));
    }
    let stats = edge.stats().await;
    assert_eq!((stats.connections["a"], stats.targets["a"]), (0, 0));
    assert_eq!(stats.measured["shop/web"].requests, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_revision_is_refused_and_the_same_is_taken_again() {
    let target = TestTarget::start("a").await;
    let (socket, address) = listener();
    let http = plain(address, ListenerProtocol::Http);
    let mut edge = TestEdge::simple(http, &socket, &[&target]).await;
    edge.apply().await;
    let same = edge.config.clone();
    assert_eq!(edge.control.configure(same, &[]).await.expect("taken").revision, 2);
    edge.config.revision = 1;
    let error = edge.control.configure(edge.config.clone(), &[]).await.expect_err("refused");
    assert!(error.to_string().contains("older"), "{error}");
    assert_eq!(edge.stats().await.revision, 2, "the conversation goes on");
}
