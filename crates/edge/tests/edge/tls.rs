//! Policies, as clients meet them.

use crate::support::client::connect;
use crate::support::{Client, Keys, TestEdge, TestTarget, https, listener};
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HOST: &str = "shop.example";
const ONLY_13: &str = "ELBSecurityPolicy-TLS13-1-3-2021-06";
const ONLY_12: &str = "ELBSecurityPolicy-FS-1-2-Res-2020-10";

#[tokio::test(flavor = "multi_thread")]
async fn each_policy_allows_what_it_says() {
    let target = TestTarget::start("a").await;
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let mut edge = TestEdge::simple(https(address, &keys), &socket, &[&target]).await;
    for policy in landfall_tls_policy::POLICIES {
        edge.config.listeners[0].policy = Some(policy.name.to_owned());
        let problems = edge.apply_with(&[]).await.problems;
        let exact = landfall_tls_policy::expressible(policy);
        assert_eq!(problems.is_empty(), exact.is_ok(), "{}: {problems:?}", policy.name);
        if let Err(error) = exact {
            assert!(problems["shop/web public"].contains(&error.to_string()), "{problems:?}");
            continue;
        }
        for (version, word) in [
            (&TLS12, landfall_tls_policy::Version::Tls12),
            (&TLS13, landfall_tls_policy::Version::Tls13),
        ] {
            let config = Arc::new(keys.config(&[], &[version]));
            let connected = connect(config, address, HOST).await;
            assert_eq!(connected.is_ok(), policy.versions.contains(&word), "{}", policy.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_policy_is_a_problem_with_a_suggestion() {
    let target = TestTarget::start("a").await;
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let mut edge = TestEdge::simple(https(address, &keys), &socket, &[&target]).await;
    edge.config.listeners[0].policy = Some("ELBSecurityPolicy-TLS13-1-3-2021-07".to_owned());
    let problems = edge.apply_with(&[]).await.problems;
    assert!(problems["shop/web public"].contains(ONLY_13), "{problems:?}");
}

fn config_with(
    keys: &Keys,
    change: impl FnOnce(&mut rustls::crypto::CryptoProvider),
) -> ClientConfig {
    let mut provider = aws_lc_rs::default_provider();
    change(&mut provider);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(keys.der.clone()).expect("added");
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_policy_prefers_hybrid_groups_and_its_own_order_of_suites() {
    let target = TestTarget::start("a").await;
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let _edge = TestEdge::simple(https(address, &keys), &socket, &[&target]).await;
    for (groups, name) in [
        (vec![kx_group::X25519MLKEM768, kx_group::X25519], "X25519MLKEM768"),
        (vec![kx_group::SECP256R1MLKEM768, kx_group::X25519], "secp256r1MLKEM768"),
        (vec![kx_group::SECP384R1], "secp384r1"),
    ] {
        let config = config_with(&keys, |provider| {
            provider.kx_groups = groups;
            provider.cipher_suites.reverse();
        });
        let stream = connect(Arc::new(config), address, HOST).await.expect("connected");
        let session = stream.get_ref().1;
        let group = session.negotiated_key_exchange_group().expect("negotiated");
        assert_eq!(format!("{:?}", group.name()), name);
        let suite = session.negotiated_cipher_suite().expect("negotiated");
        assert_eq!(suite, cipher_suite::TLS13_AES_128_GCM_SHA256);
    }
    let config = config_with(&keys, |provider| {
        provider.cipher_suites = vec![cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256];
    });
    let refused = connect(Arc::new(config), address, HOST).await;
    assert!(refused.is_err(), "ChaCha20 with TLS 1.2 is not in the policy");
}

/// A whole exchange, so that the client has read its session tickets.
async fn exchange(
    config: &Arc<ClientConfig>,
    address: std::net::SocketAddr,
) -> (HandshakeKind, ProtocolVersion) {
    let mut stream = connect(Arc::clone(config), address, HOST).await.expect("connected");
    let request = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("a clean end");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    let session = stream.get_ref().1;
    (session.handshake_kind().expect("done"), session.protocol_version().expect("done"))
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_resume_after_a_change_as_far_as_the_policy_allows() {
    let target = TestTarget::start("a").await;
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let mut edge = TestEdge::simple(https(address, &keys), &socket, &[&target]).await;
    let modern = Arc::new(keys.config(&[], &[&TLS13]));
    let older = Arc::new(keys.config(&[], &[&TLS12]));
    for config in [&modern, &older] {
        assert_eq!(exchange(config, address).await.0, HandshakeKind::Full);
    }
    edge.config.listeners[0].policy = Some("ELBSecurityPolicy-TLS13-1-2-Res-2021-06".to_owned());
    edge.apply().await;
    for config in [&modern, &older] {
        assert_eq!(exchange(config, address).await.0, HandshakeKind::Resumed);
    }
    edge.config.listeners[0].policy = Some(ONLY_13.to_owned());
    edge.apply().await;
    assert!(connect(older, address, HOST).await.is_err(), "its session is not resumed either");
    let both = Arc::new(keys.config(&[], &[&TLS12, &TLS13]));
    assert_eq!(exchange(&both, address).await.1, ProtocolVersion::TLSv1_3);
    edge.config.listeners[0].policy = Some(ONLY_12.to_owned());
    edge.apply().await;
    assert_eq!(exchange(&both, address).await.1, ProtocolVersion::TLSv1_2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_tls_gets_an_alert_and_is_counted() {
    let target = TestTarget::start("a").await;
    let keys = Keys::of(&[HOST]);
    let (socket, address) = listener();
    let mut edge = TestEdge::simple(https(address, &keys), &socket, &[&target]).await;
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connected");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("written");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    let mut client = Client::one(&keys, address, HOST).await.expect("connected");
    assert_eq!(client.get(HOST, "/").await.status, 200);
    assert_eq!(edge.measured().await.connections, 1);
}
