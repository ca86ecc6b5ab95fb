//! Each rule of a listener that is an NLB: what trips it, and that nothing else does.

use landfall_model::{
    AcmCertificate, Balancer, Certificate, CertificateSource, CertificateVersion, Content, Digest,
    FORMAT, Health, HealthCheck, Listener, ListenerProtocol, Millis, NLB_PREFIX, NLB_STATED, Nlb,
    NlbAlpn, NlbClass, NlbHealth, NlbScheme, Provider, Release, ReleaseNumber, Resources,
    RolloutPolicy, Route, Service, ServiceKind, Severity, Signal, Source, Stop, Strategy,
    Timestamp, Verb,
};
use landfall_plan::{CODES, Disruption, Shape, Step, Transition, changes, findings, nlb_findings};
use std::collections::{BTreeMap, BTreeSet};

const DAY: u64 = 86_400_000;
const NOW: Timestamp = Timestamp(1000 * DAY);

fn name<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("a good name")
}

fn content() -> Content {
    let service = Service {
        artifact: None,
        image: Some("registry.example/shop@sha256:0".into()),
        preloaded: false,
        port: Some(3000),
        command: Vec::new(),
        replicas: 3,
        env: BTreeMap::new(),
        health: Health {
            check: HealthCheck::Http { path: "/healthz".into() },
            every: Millis(10_000),
            timeout: Millis(5000),
            healthy: 2,
            unhealthy: 2,
        },
        stop: Stop { signal: Signal::Term, grace: Millis(20_000) },
        overlap: true,
        volumes: BTreeMap::new(),
        resources: Resources::default(),
    };
    let certificate = Certificate {
        version: CertificateVersion(1),
        names: vec!["shop.example".into(), "*.shop.example".into()],
        fingerprint: Digest::from_bytes([1; 32]),
        not_before: Timestamp(0),
        not_after: Timestamp(2000 * DAY),
        source: CertificateSource::Acm,
        acm: Some(AcmCertificate {
            arn: "arn:aws:acm:eu-central-1:111122223333:certificate/0b1c".into(),
            key: Some("EC_prime256v1".into()),
        }),
    };
    let nlb =
        Nlb { class: NlbClass::Controller, scheme: NlbScheme::InternetFacing, alpn: NlbAlpn::None };
    let listener = Listener {
        listen: ([0, 0, 0, 0], 443).into(),
        protocol: ListenerProtocol::Tls,
        certificate: Some(name("shop")),
        policy: Some(Nlb::POLICY.into()),
        hosts: BTreeSet::from(["www.shop.example".to_owned()]),
        route: Route::To(name("web")),
        balancer: Some(Balancer { provider: Provider::AwsNlb(nlb), annotations: BTreeMap::new() }),
    };
    Content {
        options: BTreeMap::new(),
        certificates: BTreeMap::from([(name("shop"), certificate)]),
        services: BTreeMap::from([(name("web"), service.clone()), (name("api"), service)]),
        listeners: BTreeMap::from([(name("public"), listener)]),
        hooks: Vec::new(),
        rollout: RolloutPolicy {
            strategy: Strategy::Rolling,
            drain: Millis(30_000),
            bake: Millis(0),
            deadline: Millis(600_000),
        },
    }
}

fn public(content: &mut Content) -> &mut Listener {
    content.listeners.get_mut(&name("public")).expect("there")
}

fn web(content: &mut Content) -> &mut Service {
    content.services.get_mut(&name("web")).expect("there")
}

fn certificate(content: &mut Content) -> &mut Certificate {
    content.certificates.get_mut(&name("shop")).expect("there")
}

fn acm(content: &mut Content) -> &mut AcmCertificate {
    certificate(content).acm.as_mut().expect("there")
}

fn nlb(content: &mut Content) -> &mut Nlb {
    match public(content).balancer.as_mut().map(|it| &mut it.provider) {
        Some(Provider::AwsNlb(nlb)) => nlb,
        _ => panic!("an NLB"),
    }
}

fn annotate(content: &mut Content, key: &str, value: &str) {
    let balancer = public(content).balancer.as_mut().expect("there");
    balancer.annotations.insert(format!("{NLB_PREFIX}{key}"), value.into());
}

/// What spoils the content, the code, its severity, and words that it says.
type Case = (fn(&mut Content), &'static str, Severity, &'static [&'static str]);

const CASES: &[Case] = &[
    (
        |it| public(it).policy = Some("ELBSecurityPolicy-TLS13-1-2-Res-2021-6".into()),
        "LF1101",
        Severity::Error,
        &["did you mean `ELBSecurityPolicy-TLS13-1-2-Res-2021-06`"],
    ),
    (
        |it| public(it).policy = Some("ELBSecurityPolicy-2016-08".into()),
        "LF1102",
        Severity::Warning,
        &["TLS 1.0 and TLS 1.1"],
    ),
    (|it| certificate(it).acm = None, "LF1103", Severity::Error, &["no ARN"]),
    (|it| it.certificates.clear(), "LF1103", Severity::Error, &["listeners.public.certificate"]),
    (|it| certificate(it).not_after = NOW, "LF1104", Severity::Error, &["has expired"]),
    (
        |it| certificate(it).not_after = Timestamp(1003 * DAY),
        "LF1105",
        Severity::Warning,
        &["in 3 days"],
    ),
    (|it| certificate(it).not_before = Timestamp(1001 * DAY), "LF1106", Severity::Error, &[]),
    (
        |it| public(it).hosts = BTreeSet::from(["shop.other".to_owned()]),
        "LF1107",
        Severity::Error,
        &["shop.other", "*.shop.example"],
    ),
    (|it| acm(it).key = Some("RSA_4096".into()), "LF1109", Severity::Error, &["RSA_4096"]),
    (|it| acm(it).key = Some("UNHEARD_OF".into()), "LF1109", Severity::Error, &["UNHEARD_OF"]),
    (|it| acm(it).key = None, "LF1110", Severity::Warning, &["acm:DescribeCertificate"]),
    (
        |it| {
            public(it).protocol = ListenerProtocol::Tcp;
            public(it).policy = None;
        },
        "LF1111",
        Severity::Error,
        &["listeners.public.certificate", "`tcp`"],
    ),
    (|it| public(it).protocol = ListenerProtocol::Https, "LF1112", Severity::Error, &["`https`"]),
    (|it| public(it).protocol = ListenerProtocol::Http, "LF1112", Severity::Error, &["`http`"]),
    (
        |it| public(it).route = Route::RedirectHttps { port: 443 },
        "LF1112",
        Severity::Error,
        &["redirects"],
    ),
    (
        |it| {
            let other = public(it).clone();
            it.listeners.insert(name("second"), other);
        },
        "LF1113",
        Severity::Error,
        &["public, second", "port 443"],
    ),
    (
        |it| public(it).listen = ([10, 0, 0, 1], 443).into(),
        "LF1114",
        Severity::Error,
        &["10.0.0.1:443"],
    ),
    (|it| public(it).listen = ([0, 0, 0, 0], 0).into(), "LF1114", Severity::Error, &[]),
    (|it| web(it).replicas = 1, "LF1115", Severity::Warning, &["one instance"]),
    (|it| web(it).replicas = 0, "LF1115", Severity::Warning, &["refused"]),
    (|it| web(it).health.every = Millis(1500), "LF1116", Severity::Note, &["every 5s"]),
    (|it| web(it).health.healthy = 11, "LF1116", Severity::Note, &["healthy 10"]),
    (|it| web(it).overlap = false, "LF1117", Severity::Warning, &["minutes"]),
    (|it| it.rollout.strategy = Strategy::BlueGreen, "LF1118", Severity::Error, &["rolling"]),
    (|it| it.rollout.drain = Millis(3_600_000), "LF1119", Severity::Warning, &["58m"]),
    (
        |it| {
            annotate(
                it,
                "target-group-attributes",
                "deregistration_delay.connection_termination.enabled=false",
            );
        },
        "LF1120",
        Severity::Warning,
        &["break"],
    ),
    (
        |it| {
            annotate(
                it,
                "target-group-attributes",
                "a.b=c, deregistration_delay.timeout_seconds=5",
            );
        },
        "LF1121",
        Severity::Error,
        &["rollout.drain"],
    ),
    (|it| annotate(it, "name", &"n".repeat(33)), "LF1123", Severity::Error, &["longer than 32"]),
    (|it| annotate(it, "name", "internal-shop"), "LF1123", Severity::Error, &["internal-"]),
    (|it| it.rollout.deadline = Millis(60_000), "LF1124", Severity::Warning, &["web"]),
    (
        |it| annotate(it, "target-group-attributes", "proxy_protocol_v2.enabled=true"),
        "LF1125",
        Severity::Warning,
        &["never healthy"],
    ),
];

#[test]
fn each_rule_has_its_code_and_says_what_to_do() {
    for (spoil, code, severity, words) in CASES {
        let mut spoiled = content();
        spoil(&mut spoiled);
        let found = findings(&spoiled, NOW);
        let all: Vec<String> = found.iter().map(ToString::to_string).collect();
        let hit = found.iter().find(|it| it.code == *code && it.severity == *severity);
        let hit = hit.unwrap_or_else(|| panic!("{code}: {all:#?}")).to_string();
        assert!(words.iter().all(|word| hit.contains(word)), "{code}: {hit}");
        let others: Vec<&str> = found
            .iter()
            .filter(|it| it.severity > Severity::Note && it.code != *code)
            .map(|it| it.code.as_str())
            .collect();
        assert_eq!(others, Vec::<&str>::new(), "{code}: {all:#?}");
    }
}

#[test]
fn a_sound_content_has_only_the_note_of_its_drain() {
    let found = findings(&content(), NOW);
    let codes: Vec<(&str, Severity)> =
        found.iter().map(|it| (it.code.as_str(), it.severity)).collect();
    assert_eq!(codes, [("LF1119", Severity::Note)]);
    assert!(found[0].message.contains("3m"), "{}", found[0].message);
    assert_eq!(nlb_findings(&content(), Some(&content()), Some("eu-central-1")), []);
}

#[test]
fn every_code_is_explained_and_tried() {
    let known: BTreeSet<&str> =
        CODES.iter().map(|it| it.0).filter(|it| it.starts_with("LF11")).collect();
    let tried = CASES.iter().map(|it| it.1).chain(["LF1108", "LF1122"]);
    assert_eq!(known, tried.collect());
}

#[test]
fn what_the_file_says_is_not_said_by_annotations() {
    for (key, word) in NLB_STATED {
        let mut spoiled = content();
        annotate(&mut spoiled, key, "anything");
        let found = findings(&spoiled, NOW);
        let hit = found.iter().find(|it| it.code == "LF1121").map(ToString::to_string);
        assert!(hit.as_ref().is_some_and(|it| it.contains(&format!("`{word}`"))), "{key}: {hit:?}");
    }
}

#[test]
fn what_is_known_beside_a_content_counts() {
    let codes = |serving: &Content, wanted: &Content, region: &str| -> Vec<String> {
        let found = nlb_findings(wanted, Some(serving), Some(region));
        found.into_iter().map(|it| it.code).collect()
    };
    assert_eq!(codes(&content(), &content(), "us-east-1"), ["LF1108"]);
    let mut before = content();
    annotate(&mut before, "attributes", "deletion_protection.enabled=true");
    annotate(&mut before, "target-group-attributes", "preserve_client_ip.enabled=true");
    assert_eq!(codes(&before, &content(), "eu-central-1"), ["LF1122"], "the other one is stated");
    assert_eq!(codes(&content(), &before, "eu-central-1"), Vec::<String>::new());
    let mut named = content();
    annotate(&mut named, "name", "shop");
    assert_eq!(codes(&named, &content(), "eu-central-1"), ["LF1123"]);
}

#[test]
fn the_figures_agree() {
    assert_eq!(Nlb::POLICY, landfall_tls_policy::DEFAULT);
    let odd = Health {
        check: HealthCheck::Process,
        every: Millis(1),
        timeout: Millis(200_000),
        healthy: 1,
        unhealthy: 99,
    };
    let health = NlbHealth::of(&odd);
    assert_eq!(health, NlbHealth { path: None, every: 5, timeout: 5, healthy: 2, unhealthy: 10 });
}

/// What changes, the key of the listener, and what that does.
type Change = (fn(&mut Content), &'static str, Disruption);

#[test]
fn a_change_says_what_it_replaces() {
    let cases: &[Change] = &[
        (|it| nlb(it).scheme = NlbScheme::Internal, "scheme", Disruption::ReplacesBalancer),
        (|it| nlb(it).class = NlbClass::AutoMode, "class", Disruption::ReplacesBalancer),
        (
            |it| {
                let kind = ServiceKind::LoadBalancer;
                let provider = Provider::Service { kind, node_port: None };
                public(it).balancer = Some(Balancer { provider, annotations: BTreeMap::new() });
            },
            "provider",
            Disruption::ReplacesBalancer,
        ),
        (|it| public(it).listen.set_port(8443), "listen", Disruption::ReplacesTargetGroup),
        (|it| public(it).route = Route::To(name("api")), "to", Disruption::ReplacesTargets),
        (|it| public(it).protocol = ListenerProtocol::Tcp, "protocol", Disruption::Closed),
        (|it| nlb(it).alpn = NlbAlpn::Http2Only, "alpn", Disruption::InPlace),
        (
            |it| public(it).policy = Some("ELBSecurityPolicy-TLS13-1-3-2021-06".into()),
            "policy",
            Disruption::InPlace,
        ),
    ];
    for (change, key, disruption) in cases {
        let mut changed = content();
        change(&mut changed);
        let all = changes(Some(&content()), Some(&changed));
        let path = format!("listeners.public.{key}");
        let said = all.iter().find(|it| it.path == path).map(|it| it.disruption);
        assert_eq!(said, Some(*disruption), "{all:#?}");
    }
    let mut renewed = content();
    acm(&mut renewed).arn.push('1');
    let all = changes(Some(&content()), Some(&renewed));
    let said: Vec<(&str, Disruption)> =
        all.iter().map(|it| (it.path.as_str(), it.disruption)).collect();
    assert_eq!(said, [("certificates.shop", Disruption::InPlace)]);
}

fn release(number: u64, content: Content) -> Release {
    Release {
        format: FORMAT,
        app: name("shop"),
        stack: name("prod"),
        number: ReleaseNumber(number),
        restores: None,
        substitutions: Vec::new(),
        sealed_at: NOW,
        sealed_by: "me@here".into(),
        source: Source::default(),
        content,
    }
}

fn steps(from: Option<&Release>, to: &Release) -> Vec<Step> {
    Transition { verb: Verb::Up, from, to: Some(to) }.steps()
}

/// Instances that are made before their NLB get no readiness gate.
#[test]
fn an_nlb_is_opened_before_its_instances_are_started() {
    let (old, new) = (release(1, content()), release(2, content()));
    let first = steps(None, &old);
    let opened = matches!(&first[0], Step::Shift { listeners: Some(ReleaseNumber(1)), weights }
        if weights[&name("public")].is_empty());
    assert!(opened, "{first:#?}");
    let next = steps(Some(&old), &new);
    assert!(matches!(next[0], Step::Start { .. }), "it is there: {next:#?}");
    let mut moved = content();
    public(&mut moved).listen.set_port(8443);
    let moved = release(2, moved);
    let steps = steps(Some(&old), &moved);
    assert!(
        matches!(&steps[0], Step::Shift { listeners: Some(ReleaseNumber(2)), weights }
        if weights[&name("public")] == BTreeMap::from([(name("web@1"), 1)])),
        "{steps:#?}"
    );
    let groups = BTreeMap::from([(name("web@1"), 3), (name("api@1"), 3)]);
    let mut shape = Shape { groups, ..Shape::default() };
    for step in &steps {
        step.enter(&mut shape, NOW);
        assert_eq!(shape.fault(), None, "{step:?}");
    }
}

#[test]
fn a_stop_waits_as_long_as_an_instance_serves_on() {
    let (old, new) = (release(1, content()), release(2, content()));
    let longest = steps(Some(&old), &new).into_iter().filter_map(|step| match step {
        Step::Stop { grace, .. } => Some(grace),
        _ => None,
    });
    assert_eq!(longest.max(), Some(Millis(200_000)));
}
