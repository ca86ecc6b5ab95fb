//! A Kubernetes of one's own on this machine: `scripts/kubernetes.sh` with a folder in `target`.
//!
//! Who has set `KUBECONFIG` has chosen a cluster: then nothing is started.

use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const HELP: &str = "\
cargo xtask testbed VERB

  up [--node] [--nodes N]  start a Kubernetes on this machine: --node with a real node (root), --nodes
                           with N fake ones (3 if neither is given), and print its variables
  env                      print the variables again, for `eval \"$(cargo xtask testbed env)\"`
  down                     end it, and every process that it started
";

const SCRIPT: &str = "scripts/kubernetes.sh";

/// Runs one verb.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    let bed = Bed { folder: std::env::current_dir()?.join("target/testbed") };
    let rest = arguments.get(1..).unwrap_or_default();
    match arguments.first().map(String::as_str) {
        Some("up") => bed.up(rest),
        Some("env") => bed.print(),
        Some("down") => bed.down(),
        Some("help" | "--help" | "-h") | None => {
            print!("{HELP}");
            Ok(())
        }
        Some(other) => bail!("the test bed has no verb `{other}`\n\n{HELP}"),
    }
}

struct Bed {
    folder: PathBuf,
}

impl Bed {
    fn up(&self, options: &[String]) -> anyhow::Result<()> {
        if self.others().is_some() {
            return self.print();
        }
        if self.answers() {
            eprintln!("it is up already: `cargo xtask testbed down` ends it");
            return self.print();
        }
        // What a crash or a restart of the machine left.
        self.down()?;
        let mut command = Command::new(SCRIPT);
        command.arg("up").arg(&self.folder).args(options);
        if options.is_empty() {
            command.args(["--nodes", "3"]);
        }
        let status =
            command.stdout(Stdio::null()).status().with_context(|| format!("start {SCRIPT}"))?;
        if !status.success() {
            bail!("{SCRIPT} up: {status}");
        }
        self.print()
    }

    fn down(&self) -> anyhow::Result<()> {
        let status = Command::new(SCRIPT).arg("down").arg(&self.folder).status();
        let status = status.with_context(|| format!("start {SCRIPT}"))?;
        if !status.success() {
            bail!("{SCRIPT} down: {status}");
        }
        Ok(())
    }

    /// The variables on stdout, for `eval`; what they mean on stderr.
    fn print(&self) -> anyhow::Result<()> {
        if let Some(kubeconfig) = self.others() {
            eprintln!(
                "KUBECONFIG selects a cluster of your own, {kubeconfig}: no test bed is used"
            );
            println!("export KUBECONFIG={}", quoted(&kubeconfig));
            return Ok(());
        }
        if !self.kubeconfig().exists() {
            bail!("no test bed is up: `cargo xtask testbed up` starts one");
        }
        println!("export KUBECONFIG={}", quoted(&self.kubeconfig().to_string_lossy()));
        println!("export PATH={}:\"$PATH\"", quoted(&self.programs().to_string_lossy()));
        Ok(())
    }

    /// The user's own choice of a cluster.
    fn others(&self) -> Option<String> {
        let kubeconfig = std::env::var("KUBECONFIG").ok()?;
        let own = Path::new(&kubeconfig) == self.kubeconfig();
        (!kubeconfig.is_empty() && !own).then_some(kubeconfig)
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.join("etc/admin.kubeconfig")
    }

    fn programs(&self) -> PathBuf {
        self.folder.join("bin")
    }

    fn answers(&self) -> bool {
        let mut command = Command::new(self.programs().join("kubectl"));
        command.args(["get", "--raw", "/readyz", "--request-timeout", "5s"]);
        command.env("KUBECONFIG", self.kubeconfig()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-:".contains(character);
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
