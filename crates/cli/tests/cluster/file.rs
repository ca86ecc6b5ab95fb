//! What `landfall.yaml` says.

use std::fmt;

/// A shop with one service behind one listener.
#[derive(Debug, Clone, Copy)]
pub struct Shop<'a> {
    pub version: u32,
    pub replicas: u32,
    /// Instead of the test bed's image.
    pub image: Option<&'a str>,
    pub command: &'a str,
    /// More lines of the service.
    pub service: &'a str,
    /// More lines at the top.
    pub more: &'a str,
    pub rollout: &'a str,
}

/// Version 1 as it should be.
pub const SHOP: Shop<'_> = Shop {
    version: 1,
    replicas: 2,
    image: None,
    command: "[/app, serve]",
    service: "",
    more: "",
    rollout: "drain: 1s, deadline: 90s",
};

impl Shop<'_> {
    /// Another version of the same.
    pub const fn version(version: u32) -> Self {
        Self { version, ..SHOP }
    }

    /// The file for a stack in this namespace.
    pub fn yaml(&self, image: &str, namespace: &str) -> String {
        self.of_app("shop", image, namespace)
    }

    /// The same as another app.
    pub fn of_app(&self, app: &str, image: &str, namespace: &str) -> String {
        let Self { version, replicas, command, service, more, rollout, .. } = self;
        let image = self.image.unwrap_or(image);
        format!(
            r#"landfall: v1
app: {app}
options:
  version: {{ type: string, default: "{version}" }}
services:
  web:
    image: {{ name: "{image}", pull: never }}
    command: {command}
    replicas: {replicas}
    env: {{ VERSION: "${{options.version}}" }}
    health: {{ http: /healthz, every: 1s, healthy: 1 }}
    stop: {{ grace: 1s }}
{service}
listeners:
  public: {{ listen: 80, protocol: tcp, to: web, type: ClusterIP }}
rollout: {{ {rollout} }}
stacks:
  prod: {{ engine: kubernetes, namespace: {namespace} }}
{more}
"#,
            service = Indented(service),
        )
    }
}

struct Indented<'a>(&'a str);

impl fmt::Display for Indented<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.lines().try_for_each(|line| writeln!(formatter, "    {line}"))
    }
}
