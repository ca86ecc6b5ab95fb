//! A deploy to a cluster by Landfall, by kubectl and by Helm: the same application, the same fake
//! nodes, in turn; wall time, and requests to the API server from its audit log.
//!
//! kubectl and Helm change Deployments in place. Landfall seals a release, takes a lease, makes new
//! Deployments beside the old ones, moves the traffic and removes the old: its journal and store are
//! in the same cluster and counted too.

use super::figures::{Durations, goal};
use super::options::Options;
use anyhow::Context;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const SCRIPT: &str = "scripts/kubernetes.sh";
const SERVICES: usize = 5;
/// The goal for requests of one deploy, and of one that changes nothing.
const REQUESTS: (usize, usize) = (60, 15);

/// A cluster that is gone when this is.
struct Bed(PathBuf);

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = Command::new(SCRIPT).arg("down").arg(&self.0).stdout(Stdio::null()).status();
    }
}

/// What one tool took.
#[derive(Default)]
struct Took {
    time: Durations,
    requests: Vec<usize>,
}

impl Took {
    fn requests(&self) -> usize {
        let mut sorted = self.requests.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    fn print(&self, what: &str) {
        println!("{what:<34}{}, {} requests", self.time, self.requests());
    }
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let program = options.program()?;
    let count = options.count.unwrap_or(10);
    let folder = std::env::current_dir()?.join("target/bench-deploys");
    let _ = Command::new(SCRIPT).arg("down").arg(&folder).stdout(Stdio::null()).status();
    let _ = Command::new(SCRIPT).args(["build", "helm"]).status();
    let mut up = Command::new(SCRIPT);
    let started =
        up.arg("up").arg(&folder).args(["--nodes", "3"]).stdout(Stdio::null()).status()?;
    anyhow::ensure!(started.success(), "no cluster to measure with");
    let bed = Bed(folder);
    let work = tempfile::tempdir()?;
    let tools = Tools { program, bed: &bed, work: work.path() };
    tools.prepare()?;
    let (mut ours, mut nothing) = (Took::default(), Took::default());
    let (mut kubectl, mut helm) = (Took::default(), Took::default());
    for version in 1..=count {
        tools.kubectl(version, &mut kubectl)?;
        tools.landfall(version, &mut ours)?;
        tools.landfall(version, &mut nothing)?;
        if tools.has_helm() {
            tools.helm(version, &mut helm)?;
        }
    }
    println!(
        "{SERVICES} services with 2 replicas, {} objects, {count} deploys in turn",
        SERVICES * 4
    );
    kubectl.print("kubectl apply and rollout status");
    helm.print("helm upgrade --wait");
    ours.print("landfall up");
    nothing.print("landfall up, nothing changed");
    let ratio = |other: &Took| {
        ours.time.median().as_secs_f64() / other.time.median().as_secs_f64().max(0.001)
    };
    println!("against kubectl: {:.2} times the time", ratio(&kubectl));
    println!("against helm:    {:.2} times the time", ratio(&helm));
    let met = [
        goal("no more time than kubectl", ratio(&kubectl) <= 1.0),
        goal("a quarter of Helm's time", !tools.has_helm() || ratio(&helm) <= 0.25),
        goal("at most 60 requests", ours.requests() <= REQUESTS.0),
        goal("at most 15 requests when nothing changed", nothing.requests() <= REQUESTS.1),
    ];
    met.into_iter().collect::<anyhow::Result<Vec<()>>>().map(drop)
}

struct Tools<'a> {
    program: PathBuf,
    bed: &'a Bed,
    work: &'a Path,
}

impl Tools<'_> {
    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(self.bed.0.join("bin").join(name));
        command.env("KUBECONFIG", self.bed.0.join("etc/admin.kubeconfig"));
        command.current_dir(self.work).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn own(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env("KUBECONFIG", self.bed.0.join("etc/admin.kubeconfig"));
        command.env("LANDFALL_HOME", self.work.join("home"));
        command.current_dir(self.work).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn has_helm(&self) -> bool {
        self.bed.0.join("bin/helm").exists()
    }

    fn prepare(&self) -> anyhow::Result<()> {
        for namespace in ["kubectl", "helm"] {
            done(self.tool("kubectl").args(["create", "namespace", namespace]))?;
        }
        std::fs::write(self.work.join("landfall.yaml"), file())?;
        done(self.own().args(["setup", "bench"]))?;
        let chart = self.work.join("chart");
        std::fs::create_dir_all(chart.join("templates"))?;
        std::fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: shop\nversion: 0.1.0\n")?;
        std::fs::write(chart.join("values.yaml"), "version: 0\n")?;
        std::fs::write(chart.join("templates/all.yaml"), manifests("{{ .Values.version }}"))?;
        Ok(())
    }

    fn landfall(&self, version: u32, took: &mut Took) -> anyhow::Result<()> {
        let set = format!("version={version}");
        self.measure(took, &mut [self.own().args(["up", "bench", "--set", &set])])
    }

    fn kubectl(&self, version: u32, took: &mut Took) -> anyhow::Result<()> {
        std::fs::write(self.work.join("all.yaml"), manifests(&version.to_string()))?;
        let names: Vec<String> =
            (0..SERVICES).map(|number| format!("deployment/service-{number}")).collect();
        let mut apply = self.tool("kubectl");
        apply.args(["--namespace", "kubectl", "apply", "--server-side", "-f", "all.yaml"]);
        let mut waits: Vec<Command> = names
            .iter()
            .map(|name| {
                let mut wait = self.tool("kubectl");
                wait.args(["--namespace", "kubectl", "rollout", "status", name]);
                wait
            })
            .collect();
        let mut all: Vec<&mut Command> = vec![&mut apply];
        all.extend(waits.iter_mut());
        self.measure(took, &mut all)
    }

    fn helm(&self, version: u32, took: &mut Took) -> anyhow::Result<()> {
        let set = format!("version={version}");
        let mut upgrade = self.tool("helm");
        upgrade.args(["--namespace", "helm", "upgrade", "--install", "--wait", "--set", &set]);
        self.measure(took, &mut [upgrade.args(["shop", "chart"])])
    }

    fn measure(&self, took: &mut Took, commands: &mut [&mut Command]) -> anyhow::Result<()> {
        let before = self.requests()?;
        let began = Instant::now();
        for command in commands {
            done(command)?;
        }
        took.time.add(began.elapsed());
        // The log is written a moment after the answer.
        std::thread::sleep(std::time::Duration::from_millis(300));
        took.requests.push(self.requests()? - before);
        Ok(())
    }

    /// Requests of the administrator so far: each counts once, a watch when it begins.
    fn requests(&self) -> anyhow::Result<usize> {
        let file = self.bed.0.join("log/audit.log");
        let text = std::fs::read_to_string(&file).context("read the audit log")?;
        let count = text.lines().filter(|line| {
            let whose = line.contains("\"username\":\"admin\"");
            let watch = line.contains("\"verb\":\"watch\"");
            let started = line.contains("\"stage\":\"ResponseStarted\"");
            whose && watch == started
        });
        Ok(count.count())
    }
}

fn done(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stderr(Stdio::piped()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    Ok(())
}

fn file() -> String {
    let mut text = String::from(
        "landfall: v1\napp: shop\noptions: { version: { type: string, default: \"0\" } }\nservices:\n",
    );
    for number in 0..SERVICES {
        let _ = writeln!(
            text,
            "  service-{number}: {{ image: {{ name: \"testbed.local/app:1\", pull: never }}, replicas: 2, env: {{ VERSION: \"${{options.version}}\" }}, health: {{ http: / }} }}"
        );
    }
    text.push_str("listeners:\n");
    for number in 0..SERVICES {
        let _ = writeln!(
            text,
            "  public-{number}: {{ listen: {}, protocol: tcp, to: service-{number}, type: ClusterIP }}",
            8000 + number
        );
    }
    text.push_str(
        "rollout: { drain: 0s }\nstacks: { bench: { engine: kubernetes, namespace: landfall } }\n",
    );
    text
}

/// The same application as plain manifests.
fn manifests(version: &str) -> String {
    let mut text = String::new();
    for number in 0..SERVICES {
        let _ = write!(
            text,
            "---
apiVersion: v1
kind: ConfigMap
metadata: {{ name: service-{number} }}
data: {{ VERSION: \"{version}\" }}
---
apiVersion: v1
kind: Service
metadata: {{ name: service-{number} }}
spec: {{ selector: {{ app: service-{number} }}, ports: [{{ port: 80, targetPort: 8080 }}] }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{ name: service-{number} }}
spec: {{ maxUnavailable: 1, selector: {{ matchLabels: {{ app: service-{number} }} }} }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: service-{number} }}
spec:
  replicas: 2
  selector: {{ matchLabels: {{ app: service-{number} }} }}
  template:
    metadata: {{ labels: {{ app: service-{number} }}, annotations: {{ version: \"{version}\" }} }}
    spec:
      containers:
        - name: main
          image: testbed.local/app:1
          envFrom: [{{ configMapRef: {{ name: service-{number} }} }}]
          ports: [{{ containerPort: 8080 }}]
          readinessProbe: {{ httpGet: {{ path: /, port: 8080 }} }}
"
        );
    }
    text
}
