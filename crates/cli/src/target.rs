//! A stack and where it is: the agent of this machine, or one in this very process for a stack of
//! a cluster. Both are asked in the same words.

use crate::deploy::who;
use crate::failure::{Failure, Result, unexpected};
use crate::output::Output;
use landfall_agent::client::{self, Connection};
use landfall_agent::{ClusterOptions, Home, InProcess};
use landfall_engine_kubernetes::{Address, Reached, reach};
use landfall_model::{ExitCode, StackId};
use landfall_protocol::agent::{Reply, Request};
use std::fmt;
use std::path::PathBuf;
use tokio::sync::OnceCell;

/// A stack and where it is.
pub struct Target {
    /// The stack.
    pub id: StackId,
    place: Place,
}

enum Place {
    /// This machine.
    Host,
    /// A namespace of a cluster.
    Cluster(Box<ClusterPlace>),
}

struct ClusterPlace {
    address: Address,
    /// Where images of artifacts are pushed.
    registry: Option<String>,
    take_ownership: bool,
    opened: OnceCell<InProcess>,
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(formatter)
    }
}

impl Target {
    /// A stack of this machine.
    pub const fn host(id: StackId) -> Self {
        Self { id, place: Place::Host }
    }

    /// A stack of a cluster.
    pub fn cluster(id: StackId, address: Address, registry: Option<String>) -> Self {
        let opened = OnceCell::new();
        let place = ClusterPlace { address, registry, take_ownership: false, opened };
        Self { id, place: Place::Cluster(Box::new(place)) }
    }

    /// Takes fields of objects that another field manager owns, instead of saying so.
    pub fn taking_ownership(mut self, take: bool) -> Self {
        if let Place::Cluster(place) = &mut self.place {
            place.take_ownership = take;
        }
        self
    }

    /// The repository to which images of artifacts are pushed.
    pub fn registry(&self) -> Option<&str> {
        match &self.place {
            Place::Host => None,
            Place::Cluster(place) => place.registry.as_deref(),
        }
    }

    /// Whether whoever asks also drives, so that nobody goes on when this process ends.
    pub const fn is_driven_here(&self) -> bool {
        matches!(self.place, Place::Cluster(_))
    }

    /// The namespace, when it is one.
    pub async fn reach(&self) -> Result<Option<Reached>> {
        match &self.place {
            Place::Host => Ok(None),
            Place::Cluster(place) => place.reach().await.map(Some),
        }
    }

    /// Connects, and starts the agent of this machine when it is first needed.
    pub async fn agent(&self, output: &Output) -> Result<Connection> {
        match &self.place {
            Place::Host => agent(output).await,
            Place::Cluster(place) => place.connect(&self.id).await,
        }
    }

    /// Connects to what is there. Where no agent was ever started, nothing is here; one that is
    /// gone since a reboot is started again, and so everything comes back.
    pub async fn running(&self) -> Result<Connection> {
        match &self.place {
            Place::Host => running().await,
            Place::Cluster(place) => place.connect(&self.id).await,
        }
    }

    /// Asks one thing.
    pub async fn ask(&self, output: &Output, request: &Request) -> Result<Reply> {
        self.agent(output).await?.request(request).await
    }

    /// Asks one thing of what is there.
    pub async fn ask_running(&self, request: &Request) -> Result<Reply> {
        self.running().await?.request(request).await
    }

    /// Before this process ends: what it holds is let go of.
    pub async fn leave(&self) {
        if let Place::Cluster(place) = &self.place
            && let Some(agent) = place.opened.get()
        {
            agent.end().await;
        }
    }

    /// The keys that may deploy; this machine's own is enrolled when there is none yet.
    pub async fn enrol(&self) -> Result<Vec<String>> {
        match &self.place {
            Place::Host => Ok(Vec::new()),
            Place::Cluster(place) => Ok(place.open(&self.id).await?.keys().await?),
        }
    }

    /// Drives whatever of the stack nobody drives, until the end of this process.
    pub async fn stay(&self) -> Result<()> {
        if let Place::Cluster(place) = &self.place {
            place.open(&self.id).await?.go_on().await;
        }
        Ok(())
    }
}

impl ClusterPlace {
    async fn reach(&self) -> Result<Reached> {
        reach(&self.address).await.map_err(|error| {
            Failure::new(ExitCode::Usage, error.to_string())
                .help("the stack's `kubeconfig` and `context` name one; `kubectl config get-contexts` lists what is there")
        })
    }

    async fn open(&self, id: &StackId) -> Result<&InProcess> {
        self.opened
            .get_or_try_init(|| async {
                let reached = self.reach().await?;
                let server = reached.server;
                let options = ClusterOptions {
                    stack: id.clone(),
                    client: reached.client,
                    namespace: reached.namespace,
                    home: Home::find(),
                    holder: who(),
                    take_ownership: self.take_ownership,
                };
                InProcess::open(options).await.map_err(|failure| {
                    if failure.exit == ExitCode::Unexpected && failure.help.is_none() {
                        Failure::new(
                            failure.exit,
                            format!("the cluster at {server}: {}", failure.message),
                        )
                        .help("`kubectl cluster-info` shows whether it answers from here")
                    } else {
                        failure
                    }
                })
            })
            .await
    }

    async fn connect(&self, id: &StackId) -> Result<Connection> {
        self.open(id).await?.connect().await
    }
}

/// The agent answered something else than was asked.
pub fn odd() -> Failure {
    Failure::new(ExitCode::Unexpected, "the agent answered something that was not asked")
        .help("`landfall agent restart` lets this program take its place")
}

/// This program.
pub fn program() -> Result<PathBuf> {
    // The link stays good when the file was replaced by an upgrade; its target then says so.
    let path = std::env::current_exe().map_err(|error| unexpected("find this program", &error))?;
    let text = path.to_string_lossy();
    Ok(text.strip_suffix(" (deleted)").map_or_else(|| path.clone(), PathBuf::from))
}

/// Connects to the agent of this machine, and starts it when it is first needed.
async fn agent(output: &Output) -> Result<Connection> {
    let home = Home::find();
    let (connection, started) = client::connect_or_start(&home, &program()?).await?;
    if started {
        output.note(&format!("started the agent for {}", home.path().display()));
        if !output.interactive() {
            output.note(
                "it lasts until the next reboot; `landfall agent unit` prints a unit that lasts",
            );
        }
    }
    Ok(connection)
}

async fn running() -> Result<Connection> {
    let home = Home::find();
    if home.is_used() {
        Ok(client::connect_or_start(&home, &program()?).await?.0)
    } else {
        client::connect(&home).await
    }
}

/// Asks the agent of this machine one thing.
pub async fn ask_host(output: &Output, request: &Request) -> Result<Reply> {
    agent(output).await?.request(request).await
}

/// Asks the agent of this machine one thing, if there is one.
pub async fn ask_running_host(request: &Request) -> Result<Reply> {
    running().await?.request(request).await
}
