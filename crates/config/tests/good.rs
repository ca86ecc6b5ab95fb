//! What good files come to.

use landfall_config::{
    ArtifactSource, Config, EngineChoice, Files, FolderFiles, Overrides, Resolved, SourceFile,
    parse,
};
use landfall_model::{
    Bytes, Cpu, HealthCheck, ListenerProtocol, Millis, OptionValue, Route, Signal, StackName,
    Strategy, Verb,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn config(text: &str) -> Config {
    let source = SourceFile::new("landfall.yaml", text);
    match parse(&source) {
        Ok(config) => config,
        Err(diagnostics) => panic!("{}", diagnostics.render(&source, false)),
    }
}

fn good(name: &str) -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good").join(name);
    config(&std::fs::read_to_string(path).expect("a good file"))
}

fn resolve_with(
    config: &Config,
    stack: &str,
    overrides: &Overrides,
    files: &dyn Files,
) -> Resolved {
    let stack: StackName = stack.parse().expect("a name");
    match config.resolve(&stack, overrides, files) {
        Ok(resolved) => resolved,
        Err(diagnostics) => panic!("{}", diagnostics.render(config.source(), false)),
    }
}

fn resolve(config: &Config, stack: &str) -> Resolved {
    resolve_with(config, stack, &Overrides::default(), &BTreeMap::new())
}

fn named<T: Ord + std::str::FromStr>(name: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    name.parse().expect("a name")
}

#[test]
fn the_sample_is_resolved_for_each_stack() {
    let config = good("shop.yaml");
    assert_eq!(config.app().as_str(), "shop");
    let stacks: Vec<&str> = config.stacks().into_iter().map(StackName::as_str).collect();
    assert_eq!(stacks, ["local", "staging", "prod"]);
    assert!(config.warnings().0.is_empty());

    let local = resolve(&config, "local");
    assert!(!local.confirm);
    let web = &local.services[&named("web")];
    assert_eq!(web.replicas, 2);
    assert_eq!(web.env["FEATURES"], "https://config.example/shop.json?debug=false");
    assert_eq!(web.health.check, HealthCheck::Http { path: "/healthz".into() });
    assert_eq!((web.stop.signal, web.stop.grace), (Signal::Term, Millis::from_secs(20)));
    assert_eq!(web.resources.cpu, Some(Cpu(500)));
    assert_eq!(web.resources.memory, Some(Bytes(256 << 20)));
    assert_eq!(web.volumes[&named("data")].path, "data");
    let worker = &local.services[&named("worker")];
    assert!(!worker.overlap);
    assert_eq!(worker.command, ["./shop", "work"]);
    assert_eq!(worker.health.check, HealthCheck::Process);
    assert_eq!(
        worker.artifact,
        Some(ArtifactSource {
            path: "./dist".into(),
            include: vec![],
            exclude: vec!["*.map".into()]
        })
    );
    assert_eq!(local.listeners[&named("plain")].route, Route::RedirectHttps { port: 8443 });
    assert_eq!(
        local.listeners[&named("public")].listen,
        "127.0.0.1:8443".parse().expect("address")
    );
    let hooks: Vec<&str> = local.hooks.iter().map(|hook| hook.name.as_str()).collect();
    assert_eq!(hooks, ["migrate", "announce"], "in the order of the file");
    assert_eq!(local.hooks[1].on, BTreeSet::from([Verb::Up, Verb::Rollback]));
    assert!(local.hooks[1].retry_safe && !local.hooks[0].retry_safe);

    let prod = resolve(&config, "prod");
    assert!(prod.confirm);
    assert_eq!(prod.engine, EngineChoice::Local);
    let web = &prod.services[&named("web")];
    assert_eq!(web.replicas, 6);
    assert_eq!(web.env["LOG"], "debug", "from the extended stack");
    assert!(!web.env.contains_key("REGION"), "taken away by the extended stack");
    assert_eq!(prod.listeners.len(), 1);
    assert_eq!(prod.listeners[&named("public")].listen, "[::]:443".parse().expect("address"));
    assert_eq!(prod.rollout.bake, Millis::from_secs(300));
    assert_eq!(prod.rollout.deadline, Millis::from_secs(600));
    let (value, from) = &prod.options[&named("replicas")];
    assert_eq!(*value, OptionValue::Integer(6));
    assert_eq!(from.from, "set by stack prod");
    assert_eq!(from.place.as_deref(), Some("landfall.yaml:42:49"));
    assert_eq!(prod.options[&named("region")].1.from, "default");
}

#[test]
fn the_short_file_has_sensible_defaults() {
    let resolved = resolve(&good("small.yaml"), "local");
    assert_eq!(resolved.stack.as_str(), "local");
    let web = &resolved.services[&named("web")];
    assert_eq!(web.command, ["python3", "-m", "server"]);
    assert_eq!((web.replicas, web.overlap), (1, true));
    assert_eq!(web.stop.grace, Millis::from_secs(10));
    let listener = &resolved.listeners[&named("plain")];
    assert_eq!((listener.protocol, &listener.policy), (ListenerProtocol::Http, &None));
    assert_eq!(resolved.rollout.strategy, Strategy::BlueGreen);
    assert_eq!(resolved.rollout.drain, Millis::from_secs(30));
    assert_eq!(resolved.rollout.bake, Millis(0));
    assert_eq!(resolved.rollout.deadline, Millis::from_secs(300));
}

#[test]
fn every_form_is_read() {
    let config = good("forms.yaml");
    let files = BTreeMap::from([
        (".env".to_owned(), "A=1\nNUMBER=from file\n".to_owned()),
        (".env.more".to_owned(), "A=2\nB='x y'\n".to_owned()),
    ]);
    let resolved = resolve_with(&config, "more", &Overrides::default(), &files);
    let one = &resolved.services[&named("one")];
    assert_eq!(one.command, ["./one", "--ratio", "0.5", "8080"]);
    let env: Vec<(&str, &str)> = one.env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let expected = [
        ("A", "2"),
        ("B", "x y"),
        ("EMPTY", ""),
        ("FLAG", "true"),
        ("LITERAL", "${HOME}"),
        ("NUMBER", "0.10"),
    ];
    assert_eq!(env, expected, "`env` wins over files, later files over earlier ones");
    assert_eq!(one.health.check, HealthCheck::Tcp);
    assert_eq!(one.health.every, Millis(500));
    let two = &resolved.services[&named("two")];
    assert_eq!(two.command, ["sh", "-c", "echo $HOME | wc"]);
    assert_eq!(two.replicas, 0);
    assert_eq!(resolved.certificates[&named("both")].names.len(), 4);
    let raw = &resolved.listeners[&named("raw")];
    assert_eq!(raw.listen, "127.0.0.1:5432".parse().expect("address"));
    assert_eq!(resolved.listeners[&named("plain")].route, Route::To(named("one")));
    let c = &resolved.listeners[&named("c")];
    assert_eq!(c.policy.as_deref(), Some("ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"));
    assert_eq!(resolved.rollout.strategy, Strategy::Rolling);
    assert_eq!(resolved.rollout.drain, Millis(0));
    assert_eq!(resolve_with(&config, "local", &Overrides::default(), &files).listeners.len(), 4);
}

#[test]
fn values_from_outside_win_in_order_and_keep_their_type() {
    let config = good("shop.yaml");
    let mut overrides = Overrides::default();
    let variable = |value: &str| ("LANDFALL_OPTION_REPLICAS".to_owned(), value.to_owned());
    overrides.environment = BTreeMap::from([variable("7"), ("PATH".to_owned(), "x".to_owned())]);
    let resolved = resolve_with(&config, "prod", &overrides, &BTreeMap::new());
    assert_eq!(resolved.services[&named("web")].replicas, 7);
    let from = &resolved.options[&named("replicas")].1;
    assert_eq!(from.from, "environment variable LANDFALL_OPTION_REPLICAS");
    assert_eq!(from.place, None);

    overrides.set = [("replicas", "8"), ("replicas", "9"), ("grace", "1m")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    let resolved = resolve_with(&config, "prod", &overrides, &BTreeMap::new());
    assert_eq!(resolved.services[&named("web")].replicas, 9);
    assert_eq!(resolved.services[&named("web")].stop.grace, Millis::from_secs(60));
    assert_eq!(resolved.options[&named("replicas")].1.from, "--set");
}

#[test]
fn a_listener_gives_its_service_a_health_check() {
    let config = config(
        "landfall: v1\napp: a\nservices: { a: { artifact: ., command: [a] }, b: { artifact: ., command: [b] } }\nlisteners: { plain: { listen: 8080, protocol: http, to: a } }\n",
    );
    let resolved = resolve(&config, "local");
    assert_eq!(resolved.services[&named("a")].health.check, HealthCheck::Tcp);
    assert_eq!(resolved.services[&named("b")].health.check, HealthCheck::Process);
}

#[test]
fn env_files_are_read_from_the_folder_of_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(".env"), "LOG=debug\n").expect("a file");
    let config = config(
        "landfall: v1\napp: a\nservices: { a: { artifact: ., command: [a], env_file: .env } }\n",
    );
    let files = FolderFiles::new(folder.path());
    let resolved = resolve_with(&config, "local", &Overrides::default(), &files);
    assert_eq!(resolved.services[&named("a")].env["LOG"], "debug");
}

#[test]
fn values_of_an_env_file_are_not_shown() {
    let config = config(
        "landfall: v1\napp: a\nservices: { a: { artifact: ., command: [a], env_file: .env } }\n",
    );
    let files = BTreeMap::from([(".env".to_owned(), "A-B=hunter2\nPORT=hunter2\n".to_owned())]);
    let stack = named("local");
    let all = config.resolve(&stack, &Overrides::default(), &files).expect_err("bad names");
    assert_eq!(all.0.len(), 2);
    assert!(!all.render(config.source(), false).contains("hunter2"));
}

#[test]
fn all_mistakes_are_told_at_once_and_in_order() {
    let text = "landfall: v2\napp: Shop\noptions:\n  a: { type: strnig }\nservices:\n  web: { artifact: ./dist, comand: x, replicas: many }\nlisteners:\n  plain: { listen: 0, protocol: http, to: wbe }\n";
    let all = parse(&SourceFile::new("landfall.yaml", text)).expect_err("many mistakes");
    let codes: Vec<&str> = all.0.iter().map(|one| one.code.id).collect();
    assert_eq!(
        codes,
        ["LF0211", "LF0206", "LF0205", "LF0201", "LF0203", "LF0207", "LF0401"],
        "{all}"
    );
    let one = &all.0[3];
    assert_eq!((one.file.as_str(), one.line, one.column), ("landfall.yaml", 6, 28));
    assert_eq!(&text[one.span.clone()], "comand");
}

#[test]
fn references_stand_everywhere_and_keep_their_type() {
    let config = good("references.yaml");
    assert!(config.warnings().0.is_empty(), "{}", config.warnings());
    let resolved = resolve(&config, "prod");
    let web = &resolved.services[&named("web")];
    assert_eq!(web.artifact.as_ref().expect("an artifact").path, "./web");
    assert_eq!(web.command, ["./web", "0.5", "2"]);
    assert_eq!((web.replicas, web.overlap), (2, false));
    assert_eq!(web.env["ROOM"], "64Mi");
    assert_eq!(web.env["FLAG"], "false");
    assert_eq!((web.health.every, web.health.healthy), (Millis::from_secs(5), 2));
    assert_eq!(web.stop.signal, Signal::Int);
    assert_eq!(web.resources.cpu, Some(Cpu(2000)));
    assert_eq!(web.volumes[&named("data")].path, "web/data");
    let public = &resolved.listeners[&named("public")];
    assert_eq!((public.listen.port(), public.protocol), (443, ListenerProtocol::Https));
    assert_eq!(resolved.listeners[&named("plain")].listen.port(), 4430);
    assert_eq!(resolved.rollout.deadline, Millis::from_secs(15));
    assert_eq!(resolved.hooks[0].command, ["web", "first"]);
    assert_eq!(resolved.certificates[&named("shop")].names, ["shop.example", "*.shop.example"]);
}
