//! A host with the shop on it.

use crate::client;
use landfall_testkit::{Host, free_ports};
use serde_json::Value;
use std::process::Child;
use std::time::Duration;

/// How long a condition may take to come true.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A host, and the port of its one listener.
pub struct World {
    pub host: Host,
    pub port: u16,
}

/// What `landfall.yaml` says.
pub struct Shop {
    pub version: u32,
    pub replicas: u32,
    pub command: &'static str,
    /// More variables: `NAME: value` lines.
    pub env: &'static str,
    /// Under `hooks.before`, as lines.
    pub hooks: &'static str,
    pub rollout: &'static str,
    /// Whether the listener speaks TLS, with the certificate `shop`.
    pub tls: bool,
    /// More at the top level.
    pub more: &'static str,
}

/// Version 1 as it should be.
pub const SHOP: Shop = Shop {
    version: 1,
    replicas: 1,
    command: "[./shop, serve]",
    env: "",
    hooks: "",
    rollout: "{ drain: 200ms, deadline: 30s }",
    tls: false,
    more: "",
};

impl Shop {
    /// Another version of the same.
    pub const fn version(version: u32) -> Self {
        Self { version, ..SHOP }
    }

    fn yaml(&self, port: u16) -> String {
        let Self { version, replicas, command, env, hooks, rollout, tls, more } = self;
        let indented = |text: &str, by: &str| {
            text.lines().map(|line| format!("{by}{line}\n")).collect::<String>()
        };
        let hooks = match *hooks {
            "" => String::new(),
            hooks => format!("hooks:\n  before:\n{}", indented(hooks, "    ")),
        };
        let (certificates, listener) = if *tls {
            ("certificates:\n  shop: { names: [localhost] }\n", "https, certificate: shop")
        } else {
            ("", "http")
        };
        format!(
            r#"landfall: v1
app: shop
options:
  version: {{ type: string, default: "{version}" }}
services:
  web:
    artifact: ./dist
    command: {command}
    replicas: {replicas}
    env:
      SHOP_VERSION: "${{options.version}}"
{env}    health: {{ http: /healthz, every: 200ms, timeout: 2s, healthy: 1, unhealthy: 3 }}
    stop: {{ grace: 2s }}
{hooks}{certificates}listeners:
  public: {{ listen: "127.0.0.1:{port}", protocol: {listener}, to: web }}
rollout: {rollout}
{more}
"#,
            env = indented(env, "      "),
        )
    }
}

impl World {
    /// A host with version 1 of the shop in its project, not up yet.
    pub fn new() -> Self {
        let host = Host::new(env!("CARGO_BIN_EXE_landfall"));
        let [port] = free_ports();
        host.install_shop();
        let world = Self { host, port };
        world.write(&SHOP);
        world
    }

    /// The same with version 1 up.
    pub fn up() -> Self {
        let world = Self::new();
        world.host.run(&["up"]).expect(0);
        world
    }

    /// Writes `landfall.yaml`.
    pub fn write(&self, shop: &Shop) {
        self.host.write("landfall.yaml", &shop.yaml(self.port));
    }

    /// Writes `landfall.yaml` and starts `up --output json`.
    pub fn start(&self, shop: &Shop) -> Child {
        self.write(shop);
        self.host.spawn(&["up", "--output", "json"])
    }

    /// The version of the shop that answers; nothing when nobody does.
    pub fn serves(&self) -> Option<String> {
        let answer = client::get(self.port, "/version").ok()?;
        let version = answer.body.split_whitespace().next()?.strip_prefix("version=")?.to_owned();
        (answer.status == 200).then_some(version)
    }

    /// Panics unless this version of the shop answers.
    #[track_caller]
    pub fn assert_serves(&self, version: &str) {
        assert_eq!(self.serves().as_deref(), Some(version));
    }

    /// The one answer of this type of a verb that succeeds.
    #[track_caller]
    pub fn answer(&self, verb: &[&str], kind: &str) -> Value {
        let mut verb = verb.to_vec();
        verb.extend(["--output", "json"]);
        self.host.run(&verb).expect(0).typed(kind)
    }

    /// Numbers, and how their rollouts ended, newest first.
    #[track_caller]
    pub fn history(&self) -> Vec<(u64, String)> {
        let history = self.answer(&["history"], "history");
        let entries = history["releases"].as_array().expect("releases").iter();
        entries
            .map(|entry| {
                let outcome = entry["outcome"]["outcome"].as_str().unwrap_or("none");
                (entry["number"].as_u64().expect("a number"), outcome.to_owned())
            })
            .collect()
    }
}

/// Sends a signal to a verb.
pub fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.expect("a pid"), signal).expect("a signal");
}
