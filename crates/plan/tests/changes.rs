//! No difference that decides what runs goes unsaid.

use landfall_model::{
    Artifact, Bytes, Certificate, CertificateSource, CertificateVersion, Content, Cpu, Digest,
    Health, HealthCheck, Hook, Listener, ListenerProtocol, Millis, OptionValue, Provenance,
    Resources, RolloutPolicy, Route, Service, Signal, Stop, Strategy, Timestamp, Verb, Volume,
};
use landfall_plan::changes;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

fn name<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("a good name")
}

/// A content in which everything is said that can be said. A field that is added to any of these
/// stops this from compiling; given here, its differences have to be said as well.
fn full() -> Content {
    let provenance = Provenance { from: "default".into(), place: Some("landfall.yaml:3:5".into()) };
    Content {
        options: BTreeMap::from([(name("size"), (OptionValue::Integer(3), provenance))]),
        certificates: BTreeMap::from([(name("shop"), certificate())]),
        services: BTreeMap::from([(name("web"), service()), (name("api"), service())]),
        listeners: BTreeMap::from([
            (name("public"), listener(Route::To(name("web")))),
            (name("plain"), listener(Route::RedirectHttps { port: 443 })),
        ]),
        hooks: vec![hook("migrate"), hook("warm")],
        rollout: RolloutPolicy {
            strategy: Strategy::BlueGreen,
            drain: Millis(1000),
            bake: Millis(1000),
            deadline: Millis(1000),
        },
    }
}

fn certificate() -> Certificate {
    Certificate {
        version: CertificateVersion(1),
        names: vec!["shop.example".into()],
        fingerprint: Digest::from_bytes([1; 32]),
        not_before: Timestamp(1),
        not_after: Timestamp(2),
        source: CertificateSource::Imported,
        acm: None,
    }
}

fn service() -> Service {
    Service {
        artifact: Some(Artifact {
            digest: Digest::from_bytes([2; 32]),
            size: Bytes(10),
            path: "./dist".into(),
        }),
        image: None,
        preloaded: false,
        port: None,
        command: vec!["./shop".into(), "serve all".into()],
        replicas: 2,
        env: BTreeMap::from([("LOG".into(), "info".into())]),
        health: Health {
            check: HealthCheck::Http { path: "/healthz".into() },
            every: Millis(1000),
            timeout: Millis(1000),
            healthy: 1,
            unhealthy: 2,
        },
        stop: Stop { signal: Signal::Term, grace: Millis(1000) },
        overlap: true,
        volumes: BTreeMap::from([(name("data"), Volume { path: "data".into() })]),
        resources: Resources { cpu: Some(Cpu(500)), memory: Some(Bytes(1 << 20)) },
    }
}

fn listener(route: Route) -> Listener {
    Listener {
        listen: ([127, 0, 0, 1], 8443).into(),
        protocol: ListenerProtocol::Https,
        certificate: Some(name("shop")),
        policy: Some("ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09".into()),
        hosts: BTreeSet::from(["shop.example".into()]),
        route,
        balancer: None,
    }
}

fn hook(text: &str) -> Hook {
    Hook {
        name: name(text),
        service: name("web"),
        command: vec!["./shop".into(), "migrate".into()],
        timeout: Millis(1000),
        on: BTreeSet::from([Verb::Up]),
        retry_safe: false,
    }
}

/// What follows from something else that is said, or is about people and not about what runs.
const FOLLOWS: &[&str] = &[
    // Where a value came from and what it is checked to be; its text counts.
    "/options/size/0/type",
    "/options/size/1/from",
    "/options/size/1/place",
    // The size of what the digest names.
    "/services/web/artifact/size",
    "/services/api/artifact/size",
    // The fingerprint names the certificate with all of this in it.
    "/certificates/shop/names",
    "/certificates/shop/names/0",
    "/certificates/shop/not_before",
    "/certificates/shop/not_after",
    "/certificates/shop/source",
];

/// Words of which some other than the one that is there is understood, wherever a text is.
const WORDS: &[&str] = &[
    "web",
    "api",
    "other",
    "1s",
    "7",
    "x:1",
    "127.0.0.1:9",
    "INT",
    "HUP",
    "tcp",
    "rolling",
    "rollback",
    "local-ca",
    "process",
    "warm2",
    "sha256:0303030303030303030303030303030303030303030303030303030303030303",
];

fn variants(path: &str, value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(it) => vec![Value::Bool(!it)],
        Value::Number(it) => vec![Value::from(it.as_u64().unwrap_or(0) + 1)],
        Value::String(it) => {
            WORDS.iter().filter(|word| *word != it).map(|word| Value::from(*word)).collect()
        }
        Value::Array(items) => {
            let mut variants: Vec<Value> =
                (0..items.len()).map(|gone| without(items, gone)).collect();
            variants.push(items.iter().rev().cloned().collect());
            // One word instead of several that read the same.
            if items.iter().all(Value::is_string) {
                let words: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                variants.push(Value::from(vec![words.join(" ")]));
                let split = words.iter().flat_map(|word| word.split(' ')).map(Value::from);
                variants.push(split.collect());
            }
            variants
        }
        Value::Object(fields) => fields
            .keys()
            .filter(|gone| !FOLLOWS.contains(&format!("{path}/{gone}").as_str()))
            .map(|gone| {
                let mut fields = fields.clone();
                fields.remove(gone);
                Value::Object(fields)
            })
            .collect(),
        Value::Null => Vec::new(),
    }
}

fn without(items: &[Value], gone: usize) -> Value {
    items.iter().enumerate().filter(|(at, _)| *at != gone).map(|(_, item)| item.clone()).collect()
}

fn paths(value: &Value, at: String, all: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                paths(item, format!("{at}/{index}"), all);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                paths(field, format!("{at}/{key}"), all);
            }
        }
        _ => {}
    }
    all.push(at);
}

#[test]
fn every_field_that_differs_is_said() {
    let content = full();
    let json = serde_json::to_value(&content).expect("a content has a JSON");
    let mut all = Vec::new();
    paths(&json, String::new(), &mut all);
    assert!(all.len() > 80, "{all:#?}");
    for path in all.iter().filter(|path| !FOLLOWS.contains(&path.as_str())) {
        let there = json.pointer(path).expect("a path of it");
        let mut varied = 0;
        for variant in variants(path, there) {
            let mut other = json.clone();
            *other.pointer_mut(path).expect("a path of it") = variant.clone();
            let Ok(other) = serde_json::from_value::<Content>(other) else { continue };
            if other == content {
                continue;
            }
            varied += 1;
            let said = changes(Some(&content), Some(&other));
            assert!(!said.is_empty(), "{path}: {there} → {variant} goes unsaid");
            assert_eq!(said.len(), changes(Some(&other), Some(&content)).len(), "{path}");
        }
        let leaf = !there.is_object() && !there.is_array();
        assert!(varied > 0 || !leaf, "no way was found to vary {path}: {there}");
    }
}

#[test]
fn nothing_differs_from_itself() {
    assert_eq!(changes(Some(&full()), Some(&full())), []);
    assert_eq!(changes(None, None), []);
}

#[test]
fn everything_is_new_at_first_and_goes_at_last() {
    let (first, last) = (changes(None, Some(&full())), changes(Some(&full()), None));
    assert!(first.iter().all(|change| change.from.is_none() && change.to.is_some()));
    assert!(last.iter().all(|change| change.from.is_some() && change.to.is_none()));
    assert_eq!(first.len(), last.len());
}
