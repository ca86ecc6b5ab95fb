//! A host with the shop on it, behind one listener with TLS.

use crate::rollouts::Style;
use crate::target::Target;
use landfall_testkit::{Host, free_ports};
use serde_json::Value;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The host and where it serves.
pub struct World {
    /// The host.
    pub host: Host,
    /// Where the shop is to be found.
    pub address: SocketAddr,
    /// What is written into `landfall.yaml` next.
    pub shape: Shape,
}

/// What is in `landfall.yaml`.
#[derive(Debug, Clone)]
pub struct Shape {
    /// How releases follow one another, and how the shop ends.
    pub style: Style,
    /// How many instances.
    pub replicas: u16,
    /// How long an old release may finish.
    pub drain: Duration,
    /// How often health is checked.
    pub every: Duration,
    /// What the listener speaks: `https`, `tls`.
    pub protocol: &'static str,
    /// The TLS policy of the listener.
    pub policy: &'static str,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            style: Style::all()[0],
            replicas: 2,
            drain: Duration::from_millis(1_500),
            every: Duration::from_millis(200),
            protocol: "https",
            policy: "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
        }
    }
}

impl World {
    /// A host that runs this program, with nothing on it yet.
    ///
    /// # Panics
    /// When files cannot be written.
    #[must_use]
    pub fn new(program: &Path, shape: Shape) -> Self {
        let host = Host::new(program);
        let [port] = free_ports();
        host.install_shop();
        let world = Self { host, address: SocketAddr::from(([127, 0, 0, 1], port)), shape };
        // Instances may be other users.
        let served = world.served();
        OpenOptions::new().create(true).append(true).open(&served).expect("the served ids");
        std::fs::set_permissions(&served, PermissionsExt::from_mode(0o666)).expect("its mode");
        world.write();
        world
    }

    /// Where the instances write what they served.
    #[must_use]
    pub fn served(&self) -> PathBuf {
        self.host.path("served")
    }

    /// Writes `landfall.yaml`.
    pub fn write(&self) {
        let Shape { style, replicas, drain, every, protocol, policy } = &self.shape;
        let text = format!(
            r#"landfall: v1
app: shop
options:
  version: {{ type: string, default: "1" }}
services:
  web:
    artifact: ./dist
    command: [./shop, serve]
    replicas: {replicas}
    env: {{ SHOP_VERSION: "${{options.version}}", SHOP_TERM: {term}, SHOP_SERVED: "{served}" }}
    health: {{ http: /healthz, every: {every}ms, timeout: {timeout}ms, healthy: 1, unhealthy: 5 }}
    stop: {{ grace: 1s }}
certificates:
  shop: {{ names: [localhost, 127.0.0.1] }}
listeners:
  public: {{ listen: "{address}", protocol: {protocol}, policy: {policy}, certificate: shop, to: web }}
rollout: {{ strategy: {strategy}, drain: {drain}ms, deadline: 60s }}
"#,
            term = style.term,
            strategy = style.strategy,
            served = self.served().display(),
            address = self.address,
            every = every.as_millis(),
            timeout = (every.as_millis() * 10).min(5_000),
            drain = drain.as_millis(),
        );
        self.host.write("landfall.yaml", &text);
    }

    /// The shop as clients see it.
    ///
    /// # Panics
    /// When the agent does not say which authority it is.
    #[must_use]
    pub fn target(&self) -> Target {
        Target::new(self.address, "localhost", &self.authority())
    }

    /// The certificate of the local authority, as PEM.
    ///
    /// # Panics
    /// When the agent does not say it.
    #[must_use]
    pub fn authority(&self) -> String {
        let ran = self.host.run(&["cert", "trust", "--output", "json"]).expect(0);
        ran.typed("authority")["pem"].as_str().map(str::to_owned).expect("the authority")
    }

    /// The stack as `landfall status` shows it.
    #[must_use]
    pub fn status(&self) -> Value {
        self.host.run(&["status", "--output", "json"]).expect(0).typed("status")["stacks"][0]
            .clone()
    }
}
