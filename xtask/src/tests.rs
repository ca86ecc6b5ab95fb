//! Every test, after what they need was built and started.

use crate::run;
use std::process::{Command, Output};

/// Builds the program and the shop, starts the services that can be had, fetches a registry, runs
/// the tests.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    run::cargo("build", &["build", "--package", "landfall-cli", "--package", "shop"])?;
    let mut variables = stores();
    variables.extend(registry());
    let cluster = Cluster::start();
    variables.extend(cluster.iter().flat_map(Cluster::variables));
    let aws = Aws::start();
    variables.extend(aws.iter().flat_map(|aws| aws.variables.clone()));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["test", "--no-fail-fast"]);
    if !arguments.iter().any(|it| it == "-p" || it.starts_with("--package")) {
        command.arg("--workspace");
    }
    command.args(arguments);
    command.envs(variables);
    let tested = run::run("tests", &mut command);
    drop((cluster, aws));
    let _ = Command::new("scripts/stores.sh").arg("stop").status();
    tested
}

/// A Kubernetes for the tests of what speaks to one, with a real node where that is possible.
struct Cluster {
    folder: tempfile::TempDir,
    node: bool,
}

impl Cluster {
    const SCRIPT: &str = "scripts/kubernetes.sh";
    /// The image that the script puts on a real node: a shell and a small server.
    const IMAGE: &str = "testbed.local/app:1";

    /// None when it cannot be had here; the tests that need it then say that they are skipped.
    fn start() -> Option<Self> {
        println!("── cluster: {} up", Self::SCRIPT);
        let up = |options: &[&str]| {
            let folder = tempfile::tempdir().ok()?;
            let mut command = Command::new(Self::SCRIPT);
            let owner = std::process::id().to_string();
            command.arg("up").arg(folder.path()).args(["--while", &owner]).args(options);
            let started = command.stdout(std::process::Stdio::null()).status();
            started.is_ok_and(|status| status.success()).then_some(folder)
        };
        if let Some(folder) = up(&["--node"]) {
            return Some(Self { folder, node: true });
        }
        up(&[]).map(|folder| Self { folder, node: false })
    }

    fn variables(&self) -> Vec<(String, String)> {
        let kubeconfig = self.folder.path().join("etc/admin.kubeconfig");
        let mut variables =
            vec![("LANDFALL_TEST_KUBECONFIG".to_owned(), kubeconfig.display().to_string())];
        if self.node {
            variables.push(("LANDFALL_TEST_IMAGE".to_owned(), Self::IMAGE.to_owned()));
        }
        variables
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = Command::new(Self::SCRIPT).arg("down").arg(self.folder.path()).status();
    }
}

/// Where the object stores listen, as variables; none when they cannot be installed here. The
/// tests that need one then say that they are skipped.
pub fn stores() -> Vec<(String, String)> {
    printed("object stores", "scripts/stores.sh", "start")
}

/// Where the program of a registry for images is, as a variable; nothing when it cannot be had
/// here. Each test starts one of its own.
fn registry() -> Vec<(String, String)> {
    printed("registry", "scripts/registry.sh", "install")
}

/// Runs a script and reads the variables that it prints.
fn printed(what: &str, script: &str, verb: &str) -> Vec<(String, String)> {
    println!("── {what}: {script} {verb}");
    let started = Command::new(script).arg(verb).output();
    started.map(|output| exported(&output)).unwrap_or_default()
}

/// The variables that a script prints for a shell; what it says besides is passed on.
fn exported(output: &Output) -> Vec<(String, String)> {
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("export ").split_once('='))
        .map(|(name, value)| (name.to_owned(), value.trim_matches(['\'', '"', ';']).to_owned()))
        .collect()
}

/// An AWS for the tests of what speaks to it: moto with its gaps closed.
struct Aws {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Aws {
    const SCRIPT: &str = "scripts/aws.sh";

    /// None when it cannot be had here; the tests that need it then say that they are skipped.
    fn start() -> Option<Self> {
        println!("── AWS: {} up", Self::SCRIPT);
        let folder = tempfile::tempdir().ok()?;
        let mut command = Command::new(Self::SCRIPT);
        let owner = std::process::id().to_string();
        command.arg("up").arg(folder.path()).args(["--while", &owner]);
        let output = command.output().ok()?;
        let variables = exported(&output);
        output.status.success().then_some(Self { folder, variables })
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        let _ = Command::new(Self::SCRIPT).arg("down").arg(self.folder.path()).status();
    }
}
