//! The life of a service: up, changed, taken back, brought forward, down.

use landfall_testkit::processes::Kind;
use landfall_testkit::{Host, free_ports};

fn shop(public: u16, extra: &str) -> String {
    format!(
        r#"landfall: v1
app: shop
options:
  version: {{ type: string, default: "1" }}
services:
  web:
    artifact: ./dist
    command: [./shop, serve]
    replicas: 2
    env: {{ SHOP_VERSION: "${{options.version}}" }}
    health: {{ http: /healthz, every: 200ms, timeout: 1s, healthy: 1, unhealthy: 2 }}
    stop: {{ grace: 5s }}
certificates:
  shop: {{ names: [localhost, 127.0.0.1] }}
listeners:
  public: {{ listen: "127.0.0.1:{public}", protocol: https, certificate: shop, to: web }}
rollout: {{ drain: 2s, deadline: 20s }}
{extra}"#
    )
}

fn host(extra: &str) -> (Host, u16) {
    let host = Host::new(env!("CARGO_BIN_EXE_landfall"));
    let [port] = free_ports();
    host.install_shop();
    host.write("landfall.yaml", &shop(port, extra));
    (host, port)
}

#[test]
fn up_change_back_forward_down() {
    let (host, _) = host("");
    host.run(&["plan", "--detailed-exitcode"]).expect(2);
    let up = host.run(&["up", "--output", "json"]).expect(0);
    assert_eq!(up.json().first().map(|it| it["type"].clone()), Some("version".into()));
    assert_eq!(up.typed("summary")["serving_release"], 1);
    assert_eq!(host.processes(Kind::Instance).len(), 2);
    host.run(&["plan", "--detailed-exitcode"]).expect(0);
    host.run(&["up"]).expect(0);
    let up = host.run(&["up", "--set", "version=2", "--output", "json"]).expect(0);
    assert_eq!(up.typed("summary")["serving_release"], 2);
    let releases: Vec<_> = host.processes(Kind::Instance).iter().map(|it| it.release).collect();
    assert_eq!(releases, [Some(2), Some(2)]);
    let back = host.run(&["rollback", "--output", "json"]).expect(0);
    assert_eq!(back.typed("summary")["serving_release"], 3);
    let history = host.run(&["history", "--output", "json"]).expect(0).typed("history");
    assert_eq!(history["releases"][0]["restores"], 1);
    host.run(&["forward"]).expect(0);
    host.run(&["forward"]).expect(2);
    host.run(&["verify"]).expect(0);
    host.run(&["down"]).expect(0);
    assert!(host.processes(Kind::Instance).is_empty());
}
