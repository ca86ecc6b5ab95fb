//! Certificates: what is wrong with them is said, and a new one costs nobody a connection.

use crate::client::Connection;
use crate::world::{PATIENCE, SHOP, Shop, World};
use landfall_testkit::{Ran, until};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::sync::atomic::{AtomicBool, Ordering};
use time::{Duration, OffsetDateTime};

/// A certificate.
pub struct Made {
    /// As PEM.
    pub chain: String,
    /// As PEM.
    pub key: String,
    /// The leaf.
    pub der: Vec<u8>,
    until: OffsetDateTime,
}

/// A self-signed certificate for these names that is good for so many seconds from now.
pub fn make(names: &[&str], seconds: i64) -> Made {
    let (now, until) =
        (OffsetDateTime::now_utc(), OffsetDateTime::now_utc() + Duration::seconds(seconds));
    let key = KeyPair::generate().expect("a key");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).expect("parameters");
    parameters.not_before = now - Duration::days(1);
    parameters.not_after = until;
    let certificate = parameters.self_signed(&key).expect("a certificate");
    let (chain, der) = (certificate.pem(), certificate.der().to_vec());
    Made { chain, key: key.serialize_pem(), der, until }
}

impl Made {
    /// Whether its time is over.
    pub fn expired(&self) -> bool {
        // A certificate's time has whole seconds.
        OffsetDateTime::now_utc() > self.until + Duration::seconds(1)
    }

    /// Imports it as `shop`.
    pub fn import(&self, world: &World) -> Ran {
        import(world, &self.chain, &self.key)
    }
}

fn import(world: &World, chain: &str, key: &str) -> Ran {
    world.host.write("chain.pem", chain);
    world.host.write("key.pem", key);
    world.host.run(&["cert", "import", "shop", "--chain", "chain.pem", "--key", "key.pem"])
}

#[test]
fn what_is_wrong_with_a_certificate_is_said() {
    let world = World::new();
    world.write(&Shop { tls: true, ..SHOP });
    world.host.run(&["agent", "start"]).expect(0);
    let (one, other) = (make(&["localhost"], 3600), make(&["localhost"], 3600));
    let says = |ran: Ran, words: &str| {
        let ran = ran.expect(2);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
        assert!(ran.stderr.contains("help:"), "a next step: {}", ran.stderr);
        assert!(!ran.stderr.contains("PRIVATE KEY-----\nM"), "never the key: {}", ran.stderr);
    };
    says(import(&world, &one.chain, &other.key), "the key is not the key of the first certificate");
    says(import(&world, "no certificate", &one.key), "the chain holds no certificate");
    says(import(&world, &one.chain, "no key"), "the key is no PEM");
    says(make(&["localhost"], -60).import(&world), "the certificate has expired");
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).expect("an authority").pem();
    let leaf_key = KeyPair::generate().expect("a key");
    let mut leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    leaf.distinguished_name.push(rcgen::DnType::CommonName, "a leaf");
    let leaf_pem =
        leaf.signed_by(&leaf_key, &Issuer::new(authority, &authority_key)).expect("a leaf").pem();
    let reversed = authority_pem.clone() + &leaf_pem;
    says(
        import(&world, &reversed, &leaf_key.serialize_pem()),
        "the key is not the key of the first",
    );
    let foreign = leaf_pem.clone() + &one.chain;
    says(import(&world, &foreign, &leaf_key.serialize_pem()), "the chain is out of order");
    import(&world, &(leaf_pem + &authority_pem), &leaf_key.serialize_pem()).expect(0);
    world
        .host
        .run(&["cert", "import", "shop", "--chain", "gone.pem", "--key", "key.pem"])
        .expect(6);
    let list = world.host.run(&["cert", "list"]).expect(0).stdout;
    assert!(list.contains("shop version 1") && list.contains("imported"), "{list}");
    assert_eq!(list.lines().count(), 1, "only the good one was kept: {list}");
}

#[test]
fn a_certificate_for_another_host_is_found_before_anything_moves() {
    let world = World::new();
    world.host.write(
        "landfall.yaml",
        &format!(
            "landfall: v1\napp: shop\nservices:\n  web: {{ artifact: ./dist, command: [./shop] }}\n\
             certificates:\n  shop: {{ names: [shop.example] }}\nlisteners:\n  public: {{ listen: \
             \"127.0.0.1:{}\", protocol: https, certificate: shop, hosts: [shop.example], to: web }}\n",
            world.port
        ),
    );
    let missing = world.host.run(&["up"]).expect(2).stderr;
    assert!(missing.contains("LF0903") && missing.contains("cert import"), "{missing}");
    make(&["localhost"], 3600).import(&world).expect(0);
    let wrong = world.host.run(&["up"]).expect(2).stderr;
    assert!(wrong.contains("LF0907") && wrong.contains("shop.example"), "{wrong}");
    assert!(world.serves().is_none());
}

#[test]
fn a_new_certificate_cuts_nobody() {
    let world = World::new();
    world.write(&Shop { tls: true, rollout: "{ drain: 10s, deadline: 30s }", ..SHOP });
    let (old, new) = (make(&["localhost"], 3600), make(&["localhost"], 7200));
    old.import(&world).expect(0);
    world.host.run(&["up"]).expect(0);
    let mut kept = Connection::tls(world.port, &old.chain).expect("a handshake");
    assert_eq!(kept.leaf.as_ref(), Some(&old.der));
    assert_eq!(kept.get("/version", false).expect("an answer").status, 200);
    let trusted = old.chain.clone() + &new.chain;
    let (port, stop) = (world.port, AtomicBool::new(false));
    let failures = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut failures = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let answer =
                    Connection::tls(port, &trusted).and_then(|mut it| it.get("/version", true));
                match answer {
                    Ok(answer) if answer.status == 200 => {}
                    other => failures.push(format!("{other:?}")),
                }
            }
            failures
        });
        new.import(&world).expect(0);
        let plan = world.host.run(&["plan"]).expect(0).stdout;
        assert!(plan.contains("certificates.shop: version 1"), "{plan}");
        // It is in nobody's way meanwhile: the connection answers while the rollout runs.
        let up = world.host.spawn(&["up", "--output", "json"]);
        until("release 2", PATIENCE, || {
            let fresh = Connection::tls(port, &trusted).ok()?;
            (fresh.leaf.as_ref() == Some(&new.der)).then_some(())
        });
        assert_eq!(kept.get("/version", false).expect("still there").status, 200);
        landfall_testkit::finish(up, &["up"]).expect(0);
        stop.store(true, Ordering::Relaxed);
        load.join().expect("the load")
    });
    assert_eq!(failures, Vec::<String>::new());
    let fresh = Connection::tls(world.port, &new.chain).expect("a handshake");
    assert_eq!(fresh.leaf.as_ref(), Some(&new.der));
    world.host.run(&["verify"]).expect(0);
}
