//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Takes a web service from a versioned artifact to healthy behind a TLS load balancer, and can
/// always go back.
#[derive(Debug, Parser)]
#[command(name = "landfall", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Start with `landfall init`, then `landfall up`. `landfall explain exit-codes` lists the exit codes."
)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every verb takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The file to read; `landfall.yaml` here or in a folder above when it is not given
    #[arg(
        long,
        global = true,
        env = "LANDFALL_FILE",
        value_name = "FILE",
        help_heading = "Global"
    )]
    pub file: Option<PathBuf>,
    /// People's text, or one JSON object a line on standard output
    #[arg(long, global = true, value_enum, default_value_t = Format::Human, env = "LANDFALL_OUTPUT", help_heading = "Global")]
    pub output: Format,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = When::Auto, help_heading = "Global")]
    pub color: When,
    /// Say yes to every question
    #[arg(short, long, global = true, help_heading = "Global")]
    pub yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Human,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    Auto,
    Always,
    Never,
}

/// The stack a verb is about.
#[derive(Debug, Clone, Args)]
pub struct StackArgument {
    /// The stack; may be left out when there is only one
    #[arg(env = "LANDFALL_STACK", value_name = "STACK")]
    pub stack: Option<String>,
}

/// The stack of a verb whose positional argument is something else.
#[derive(Debug, Clone, Args)]
pub struct StackOption {
    /// The stack; may be left out when there is only one
    #[arg(short, long, env = "LANDFALL_STACK", value_name = "STACK")]
    pub stack: Option<String>,
}

/// Values for options, over what the file says.
#[derive(Debug, Clone, Default, Args)]
pub struct Values {
    /// Set an option: `--set replicas=3`. May be given several times
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a landfall.yaml for the program in this folder
    #[command(after_help = "Examples:\n  landfall init\n  landfall init path/to/service")]
    Init {
        /// The folder
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Check the file and say everything that is wrong with it
    #[command(after_help = "Examples:\n  landfall check\n  landfall check prod --set replicas=3")]
    Check {
        #[command(flatten)]
        stack: StackArgument,
        #[command(flatten)]
        values: Values,
    },
    /// Show what `up` would change, and why
    #[command(
        after_help = "Examples:\n  landfall plan\n  landfall plan prod --detailed-exitcode\n  landfall plan prod -o prod.plan && landfall up prod --plan prod.plan\n\nWith --detailed-exitcode: 0 no changes, 1 error, 2 changes."
    )]
    Plan {
        #[command(flatten)]
        stack: StackArgument,
        #[command(flatten)]
        values: Values,
        /// Save the plan for `up --plan`
        #[arg(short = 'o', long = "out", value_name = "PLAN")]
        out: Option<PathBuf>,
        /// Exit with 0 for no changes, 1 for an error, 2 for changes
        #[arg(long)]
        detailed_exitcode: bool,
        /// Exit with 7 when there are changes
        #[arg(long, conflicts_with = "detailed_exitcode")]
        expect_no_changes: bool,
    },
    /// Bring about what the file says: plan, seal a release, roll it out
    #[command(
        after_help = "Examples:\n  landfall up\n  landfall up prod --set image_tag=2.1\n  landfall up prod --plan prod.plan\n\nCtrl-C cancels: before traffic moves, and while the new release is watched, the old release\nstays or comes back; later the rollout is finished. A second Ctrl-C leaves it to the agent."
    )]
    Up(UpArguments),
    /// Show what serves, since when, and how it is
    #[command(after_help = "Examples:\n  landfall status\n  landfall status --output json")]
    Status {
        #[command(flatten)]
        stack: StackArgument,
    },
    /// List releases, newest first
    #[command(
        after_help = "Examples:\n  landfall history\n  landfall history prod --limit 50\n  landfall history --before 120"
    )]
    History {
        #[command(flatten)]
        stack: StackArgument,
        /// At most this many
        #[arg(short = 'n', long, default_value_t = 20)]
        limit: usize,
        /// Only releases older than this
        #[arg(long, value_name = "RELEASE")]
        before: Option<String>,
    },
    /// Show one release, whole
    #[command(after_help = "Examples:\n  landfall show 12\n  landfall show 12 --output json")]
    Show {
        /// Its number; the one that serves when it is left out
        release: Option<String>,
        #[command(flatten)]
        stack: StackOption,
    },
    /// Show what differs between two releases
    #[command(
        after_help = "Examples:\n  landfall diff 1 2\n  landfall diff 3 --stack prod     # 3 against the one that serves\n  landfall diff --live             # what serves against the cluster"
    )]
    Diff {
        /// The older one
        #[arg(required_unless_present = "live")]
        from: Option<String>,
        /// The newer one; the one that serves when it is left out
        to: Option<String>,
        /// What was written for the release that serves, against what stands in the cluster
        #[arg(long, conflicts_with_all = ["from", "to"])]
        live: bool,
        #[command(flatten)]
        stack: StackOption,
    },
    /// Show what instances write
    #[command(
        after_help = "Examples:\n  landfall logs\n  landfall logs web -f\n  landfall logs web -n 500 --stack prod"
    )]
    Logs {
        /// Only this service
        service: Option<String>,
        #[command(flatten)]
        stack: StackOption,
        /// Go on with new lines
        #[arg(short, long)]
        follow: bool,
        /// Lines of the past, from each instance
        #[arg(short = 'n', long, default_value_t = 100)]
        lines: usize,
        /// Only this instance
        #[arg(long)]
        instance: Option<String>,
        /// Show when each line was written
        #[arg(long)]
        timestamps: bool,
    },
    /// Run a command beside an instance: same artifact, environment and user
    #[command(
        after_help = "Examples:\n  landfall exec web -- ./shop version\n  echo 'select 1' | landfall exec web -- sh -c 'cat'"
    )]
    Exec {
        /// The service
        service: String,
        #[command(flatten)]
        stack: StackOption,
        /// The command
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Bring an older release back, as a new release
    #[command(
        after_help = "Examples:\n  landfall rollback              # to the newest older release that was healthy\n  landfall rollback prod --to 12\n\nData is never rolled back: a change of schema should first expand, later contract."
    )]
    Rollback {
        #[command(flatten)]
        stack: StackArgument,
        /// The release to bring back
        #[arg(long, value_name = "RELEASE")]
        to: Option<String>,
        #[command(flatten)]
        run: RunArguments,
    },
    /// Undo a rollback
    #[command(
        after_help = "Examples:\n  landfall forward\n\nAfter another `up` there is nothing to go forward to."
    )]
    Forward {
        #[command(flatten)]
        stack: StackArgument,
        #[command(flatten)]
        run: RunArguments,
    },
    /// Check what serves: instances, listeners, certificates, drift
    #[command(
        after_help = "Examples:\n  landfall verify\n\nExit codes: 0 all good, 4 nothing serves, 5 something is not as it should be."
    )]
    Verify {
        #[command(flatten)]
        stack: StackArgument,
    },
    /// Follow a run in progress, or answer what it asks
    #[command(
        after_help = "Examples:\n  landfall resume\n  landfall resume --hook migrate=done\n  landfall resume --hook migrate=again\n  landfall resume --cancel"
    )]
    Resume {
        #[command(flatten)]
        stack: StackArgument,
        /// What became of a hook whose outcome is unknown: NAME=done or NAME=again
        #[arg(long, value_name = "NAME=ANSWER")]
        hook: Option<String>,
        /// Cancel the run instead
        #[arg(long, conflicts_with = "hook")]
        cancel: bool,
    },
    /// Stop everything that runs; the history stays
    #[command(
        after_help = "Examples:\n  landfall down\n  landfall down --purge --yes     # and remove history, volumes and logs"
    )]
    Down {
        #[command(flatten)]
        stack: StackArgument,
        /// Remove history, volumes and logs as well
        #[arg(long)]
        purge: bool,
    },
    /// Prepare a cluster's namespace for a stack: the namespace, an account, its rights, the keys
    #[command(
        after_help = "Examples:\n  landfall setup prod\n\nIt may be run again at any time. What it makes, `landfall export rbac` prints."
    )]
    Setup {
        #[command(flatten)]
        stack: StackArgument,
    },
    /// Print what other tools take: rights, manifests, the agent for a cluster
    #[command(subcommand)]
    Export(ExportCommand),
    /// Remove old releases and what only they need
    #[command(
        after_help = "Examples:\n  landfall prune --dry-run\n  landfall prune prod --keep 30 --yes"
    )]
    Prune {
        #[command(flatten)]
        stack: StackArgument,
        /// How many releases stay
        #[arg(long, default_value_t = 10)]
        keep: usize,
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
    },
    /// Certificates
    #[command(subcommand)]
    Cert(CertCommand),
    /// The agent on this host
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Say what runs, what is missing and what to do
    #[command(after_help = "Examples:\n  landfall doctor")]
    Doctor,
    /// Explain a code, such as LF0102, or `exit-codes`
    #[command(after_help = "Examples:\n  landfall explain LF0102\n  landfall explain exit-codes")]
    Explain {
        /// The code
        topic: String,
    },
    /// Print the JSON Schema of landfall.yaml
    #[command(after_help = "Examples:\n  landfall schema > landfall.schema.json")]
    Schema,
    /// Print completions for a shell
    #[command(
        after_help = "Examples:\n  landfall completions bash > /etc/bash_completion.d/landfall"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a token for a cluster of EKS, as its kubeconfigs ask for
    #[command(hide = true)]
    EksToken {
        #[arg(long)]
        cluster_name: String,
        #[arg(long)]
        region: Option<String>,
        #[arg(long)]
        profile: Option<String>,
    },
    /// Print the reference in Markdown
    #[command(hide = true)]
    Reference,
    /// Be a shim
    #[command(hide = true)]
    Shim { folder: PathBuf },
    /// Become the program of an instance
    #[command(hide = true)]
    ShimExec {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Be the edge
    #[command(hide = true)]
    Edge {
        #[arg(long)]
        socket: PathBuf,
        #[arg(long)]
        metrics: Option<std::net::SocketAddr>,
    },
}

/// How a run is asked for.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArguments {
    /// A repeated request with this key joins the run instead of starting another
    #[arg(long, value_name = "KEY", env = "LANDFALL_IDEMPOTENCY_KEY")]
    pub idempotency_key: Option<String>,
    /// The file of the key that signs the release; the owner's when it is not given
    #[arg(long, value_name = "FILE", env = "LANDFALL_SIGNING_KEY")]
    pub signing_key: Option<PathBuf>,
    /// Take over fields of a cluster's objects that another tool says it owns
    #[arg(long)]
    pub take_ownership: bool,
}

#[derive(Debug, Clone, Args)]
pub struct UpArguments {
    #[command(flatten)]
    pub stack: StackArgument,
    #[command(flatten)]
    pub values: Values,
    /// Apply this saved plan, exactly
    #[arg(long, value_name = "PLAN", conflicts_with = "set")]
    pub plan: Option<PathBuf>,
    /// Try again what failed or was rolled back; on a cluster, also write again what serves
    #[arg(long)]
    pub again: bool,
    /// Fail with 7 when there are changes, and change nothing
    #[arg(long)]
    pub expect_no_changes: bool,
    #[command(flatten)]
    pub run: RunArguments,
}

#[derive(Debug, Subcommand)]
pub enum ExportCommand {
    /// The account for pipelines, with the least rights that work
    #[command(after_help = "Examples:\n  landfall export rbac prod | kubectl apply -f -")]
    Rbac {
        #[command(flatten)]
        stack: StackArgument,
    },
    /// The objects of a release, for GitOps tools
    #[command(
        after_help = "Examples:\n  landfall export manifests prod > prod.yaml\n  landfall export manifests prod --release 12"
    )]
    Manifests {
        #[command(flatten)]
        stack: StackArgument,
        /// The release; the one that serves when it is left out
        #[arg(long)]
        release: Option<String>,
    },
    /// A Deployment that goes on with what a client left unfinished
    #[command(
        after_help = "Examples:\n  landfall export agent prod --image registry.example/landfall@sha256:… | kubectl apply -f -"
    )]
    Agent {
        #[command(flatten)]
        stack: StackArgument,
        /// The image of this program
        #[arg(long)]
        image: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum CertCommand {
    /// Bring a certificate: its chain, leaf first, and its key
    #[command(
        after_help = "Examples:\n  landfall cert import shop --chain fullchain.pem --key privkey.pem\n\nThe next `landfall up` uses it."
    )]
    Import {
        /// Its name in the file
        name: String,
        /// The chain as PEM, leaf first
        #[arg(long)]
        chain: PathBuf,
        /// The private key as PEM
        #[arg(long)]
        key: PathBuf,
        #[command(flatten)]
        stack: StackOption,
    },
    /// List certificates with their versions
    List {
        #[command(flatten)]
        stack: StackOption,
    },
    /// Say how this machine and its browsers trust the local development CA
    Trust,
}

#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Start the agent, if it does not run
    Start,
    /// Stop the agent; what serves goes on serving
    Stop,
    /// Let this program take the agent's place, while everything serves
    Restart,
    /// Print a systemd unit for it
    #[command(
        after_help = "Examples:\n  landfall agent unit | sudo tee /etc/systemd/system/landfall.service\n  sudo systemctl enable --now landfall"
    )]
    Unit,
    /// Be the agent
    #[command(after_help = "This is what a unit runs.")]
    Run {
        /// Leave the caller's session first
        #[arg(long, hide = true)]
        session: bool,
        /// Drive a stack of this cluster, APP/STACK, instead of a host: with the pod's account
        #[arg(long, value_name = "APP/STACK", conflicts_with = "session")]
        in_cluster: Option<String>,
        /// The namespace of the stack; the pod's own when it is left out
        #[arg(long, requires = "in_cluster")]
        namespace: Option<String>,
    },
}
