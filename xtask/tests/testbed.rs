//! The Kubernetes test bed: it comes up as promised, and goes without a trace.

use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One bed at a time: each takes 600 MiB.
static ONE: Mutex<()> = Mutex::new(());

/// `scripts/kubernetes.sh` says by this code that something is not installed.
const MISSING: i32 = 3;

/// A bed that goes when the test ends, or its process does.
struct Bed {
    folder: tempfile::TempDir,
    _one: MutexGuard<'static, ()>,
}

fn script(verb: &str, folder: &Path) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(root.join("scripts/kubernetes.sh"));
    command.arg(verb).arg(folder).env_remove("KUBECONFIG");
    command
}

impl Bed {
    fn none() -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, _one: one }
    }

    /// None, with a line that says so, when this machine lacks what it takes.
    fn up(test: &str, options: &[&str]) -> Option<Self> {
        let bed = Self::none();
        let owner = std::process::id().to_string();
        let mut command = script("up", bed.folder());
        let output = command.args(options).args(["--while", &owner]).output().expect("bash");
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.code() == Some(MISSING) {
            skipped(test, said.lines().last().unwrap_or_default());
            return None;
        }
        assert!(output.status.success(), "{test}: {said}");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed.trim(), format!("export KUBECONFIG={}", bed.kubeconfig().display()));
        Some(bed)
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder().join("etc/admin.kubeconfig")
    }

    fn kubectl(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(self.folder().join("bin/kubectl"));
        command.args(arguments).env("KUBECONFIG", self.kubeconfig());
        command.env("KUBECACHEDIR", self.folder().join("etc/cache"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("kubectl");
        child.stdin.take().expect("is piped").write_all(input.as_bytes()).expect("kubectl reads");
        child.wait_with_output().expect("kubectl ends")
    }

    /// What kubectl writes; it must succeed.
    #[track_caller]
    fn ask(&self, arguments: &[&str], input: &str) -> String {
        let output = self.kubectl(arguments, input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {said}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Waits until kubectl writes this.
    #[track_caller]
    fn until(&self, arguments: &[&str], wanted: &str) {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let said = String::from_utf8_lossy(&self.kubectl(arguments, "").stdout).into_owned();
            if said.contains(wanted) {
                return;
            }
            assert!(Instant::now() < end, "kubectl {arguments:?}: {said}, not {wanted}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    #[track_caller]
    fn down(&self) {
        let output = script("down", self.folder()).output().expect("bash");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(self.processes(), Vec::<String>::new(), "outlived the bed");
    }

    /// Every process that names the bed's folder in its command line or environment.
    fn processes(&self) -> Vec<String> {
        let folder = self.folder().to_str().expect("text").as_bytes();
        let entries = fs::read_dir("/proc").expect("/proc").flatten();
        let names = |file: PathBuf| {
            let text = fs::read(file).unwrap_or_default();
            text.windows(folder.len()).any(|window| window == folder)
        };
        entries
            .filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok())
            .filter(|entry| {
                names(entry.path().join("cmdline")) || names(entry.path().join("environ"))
            })
            .map(|entry| fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default())
            .collect()
    }

    /// The processes in the control group of the bed's node.
    fn containers(&self) -> Vec<PathBuf> {
        let group = fs::read_to_string(self.folder().join("cgroup")).expect("a node");
        let entries = fs::read_dir("/proc").expect("/proc").flatten();
        let inside = |process: &PathBuf| {
            let groups = fs::read_to_string(process.join("cgroup")).unwrap_or_default();
            groups.contains(&format!("{}/", group.trim()))
        };
        entries.map(|entry| entry.path()).filter(inside).collect()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = script("down", self.folder()).output();
    }
}

/// Says it past the test runner's capture, so that nobody takes it for run.
fn skipped(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

/// A Deployment of pods that `restricted` accepts.
fn deployment(name: &str, image: &str, replicas: u32, annotations: &Value) -> String {
    let labels = serde_json::json!({ "app": name });
    serde_json::json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels, "annotations": annotations },
                "spec": { "containers": [{
                    "name": "app",
                    "image": image,
                    "readinessProbe": { "httpGet": { "path": "/readyz", "port": 8080 } },
                }] },
            },
        },
    })
    .to_string()
}

const CONTAINER: &[&str] =
    &["-o", "jsonpath={.items[*].status.containerStatuses[*].state.waiting.reason}"];
const READY: &[&str] =
    &["-o", r#"jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}"#];

fn pods<'a>(app: &'a str, output: &[&'a str]) -> Vec<&'a str> {
    [&["get", "pods", "-l", app], output].concat()
}

#[test]
fn a_bed_of_fake_nodes_behaves_as_a_cluster_and_leaves_no_process() {
    let test = "a_bed_of_fake_nodes_behaves_as_a_cluster_and_leaves_no_process";
    let Some(bed) = Bed::up(test, &["--nodes", "3"]) else { return };
    assert_eq!(bed.ask(&["get", "nodes", "-o", "name"], "").lines().count(), 3);
    assert!(bed.processes().len() >= 6, "{:?}", bed.processes());

    // A rollout.
    bed.ask(&["create", "-f", "-"], &deployment("web", "web:1", 3, &Value::Null));
    bed.ask(&["rollout", "status", "deployment/web", "--timeout", "30s"], "");

    // Pods obey their annotations.
    let crash = serde_json::json!({ "testbed.landfall.dev/crash": "true" });
    bed.ask(&["apply", "-f", "-"], &deployment("bad", "bad:1", 1, &crash));
    let waiting = serde_json::json!({ "testbed.landfall.dev/waiting": "ImagePullBackOff" });
    bed.ask(&["apply", "-f", "-"], &deployment("gone", "gone:1", 1, &waiting));
    let never = serde_json::json!({ "testbed.landfall.dev/ready": "never" });
    bed.ask(&["apply", "-f", "-"], &deployment("never", "never:1", 1, &never));
    bed.until(&pods("app=bad", CONTAINER), "CrashLoopBackOff");
    bed.until(&pods("app=gone", CONTAINER), "ImagePullBackOff");
    bed.until(&pods("app=never", READY), "False");

    // Admission.
    bed.ask(&["create", "namespace", "strict"], "");
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    bed.ask(&["label", "namespace", "strict", enforce], "");
    bed.until(&["get", "serviceaccounts", "-n", "strict", "-o", "name"], "default");
    let bare = bed.kubectl(&["run", "bare", "--image", "web:1", "-n", "strict"], "");
    let said = String::from_utf8_lossy(&bare.stderr);
    assert!(!bare.status.success() && said.contains("violates PodSecurity"), "{said}");

    // The audit log.
    let audit = fs::read_to_string(bed.folder().join("log/audit.log")).expect("an audit log");
    let created = audit
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .filter(|event| event["user"]["username"] == "admin" && event["verb"] == "create")
        .any(|event| event["objectRef"]["name"] == "web");
    assert!(created, "the audit log has no creation of web");

    bed.down();
}

/// As with a kubelet: ready by its containers and its gates.
#[test]
fn a_pod_with_a_readiness_gate_waits_for_it() {
    let test = "a_pod_with_a_readiness_gate_waits_for_it";
    let Some(bed) = Bed::up(test, &["--nodes", "1"]) else { return };
    let mut pod = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "gated", "labels": { "app": "gated" } },
        "spec": {
            "containers": [{ "name": "app", "image": "app:1" }],
            "readinessGates": [{ "conditionType": "example.org/registered" }],
        },
    });
    bed.ask(&["create", "-f", "-"], &pod.to_string());
    let containers =
        r#"jsonpath={.items[*].status.conditions[?(@.type=="ContainersReady")].status}"#;
    bed.until(&pods("app=gated", &["-o", containers]), "True");
    assert_eq!(bed.ask(&pods("app=gated", READY), ""), "False");
    for open in ["True", "False"] {
        pod = serde_json::json!({ "status": { "conditions": [
            { "type": "example.org/registered", "status": open }
        ] } });
        let patch = pod.to_string();
        bed.ask(&["patch", "pod", "gated", "--subresource", "status", "-p", &patch], "");
        bed.until(&pods("app=gated", READY), open);
    }
}

/// `down` needs nothing that a killed `up` might not have written yet.
#[test]
fn what_was_started_by_half_is_ended() {
    let test = "what_was_started_by_half_is_ended";
    let bed = Bed::none();
    let mut up = script("up", bed.folder());
    up.stderr(Stdio::null()).stdout(Stdio::null());
    let mut child = up.spawn().expect("bash");
    let end = Instant::now() + Duration::from_secs(1200);
    // The script itself, and etcd.
    while bed.processes().len() < 2 || !bed.folder().join("pid/etcd").exists() {
        if let Some(status) = child.try_wait().expect("a child") {
            assert_eq!(status.code(), Some(MISSING), "up");
            skipped(test, "Go is missing");
            return;
        }
        assert!(Instant::now() < end, "etcd was not started");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("a child");
    child.wait().expect("a child");
    bed.down();
}

/// A real container, reached through its Service.
#[test]
fn a_real_node_runs_pods() {
    let test = "a_real_node_runs_pods";
    let Some(bed) = Bed::up(test, &["--node"]) else { return };
    let app = deployment("web", "testbed.local/app:1", 2, &Value::Null);
    bed.ask(&["apply", "-f", "-"], &app);
    bed.ask(&["rollout", "status", "deployment/web", "--timeout", "60s"], "");
    bed.ask(&["expose", "deployment", "web", "--port", "80", "--target-port", "8080"], "");
    let address = bed.ask(&["get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"], "");
    bed.until(&["logs", "deployment/web"], "listening on 8080");
    let end = Instant::now() + Duration::from_secs(10);
    while get(&address).is_none_or(|answer| !answer.contains("version=")) {
        assert!(Instant::now() < end, "the Service does not answer at {address}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let containers = bed.containers();
    assert!(!containers.is_empty());
    bed.down();
    assert!(containers.iter().all(|process| !process.exists()), "a container outlived the bed");
}

/// One answer of HTTP on port 80.
fn get(address: &str) -> Option<String> {
    use std::io::Read as _;
    let mut stream = std::net::TcpStream::connect((address, 80)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn a_cluster_of_ones_own_is_left_alone() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["testbed", "up"]).env("KUBECONFIG", "/mine/config");
    let output = command.output().expect("xtask");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "export KUBECONFIG=/mine/config\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("a cluster of your own"));
}
