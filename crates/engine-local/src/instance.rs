//! The life of one instance, from its folder to its burial, as one task that tells what happens.

use crate::disk;
use crate::flag::raised;
use crate::health::{self, Subject, Verdict};
use crate::host::{Host, Offer, StackFolder};
use crate::run::{self, Run, RunState};
use crate::workplace;
use landfall_engine::EngineError;
use landfall_model::{Group, GroupId, StackId};
use landfall_protocol::shim::{self, Exit, Identity, Purpose, Spec};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// The file that says that an instance was healthy when it was last checked.
const READY: &str = "ready";

/// What to start.
pub(crate) struct Order {
    pub stack: StackId,
    pub group: GroupId,
    pub what: Group,
    pub place: u16,
    pub restarts: u32,
    pub materials: Offer,
}

/// Where an instance begins.
pub(crate) enum Beginning {
    /// It is to be made.
    New(Box<Order>),
    /// Its folder is there.
    Found(Arc<Spec>),
}

/// What happens to an instance.
pub(crate) enum News {
    /// It has its folder and its address.
    Placed(Arc<Spec>),
    /// It runs; and whether it was healthy when it was last seen.
    Running { pid: Option<u32>, was_ready: bool },
    /// What its checks say.
    Health(Verdict),
    /// Its main process ended; the rest is being cleared away.
    MainEnded,
    /// Nothing is left of it. How it ended, if anybody knows.
    Ended(Option<Exit>),
    /// It could not be made.
    NotMade(String),
}

/// Holds one instance for its whole life.
pub(crate) struct Keeper {
    pub host: Arc<Host>,
    pub stack: StackFolder,
    pub id: String,
    pub stop: watch::Receiver<bool>,
    pub news: mpsc::UnboundedSender<(String, News)>,
}

impl Keeper {
    fn tell(&self, news: News) {
        // Nobody listens only when the engine shuts down.
        let _ = self.news.send((self.id.clone(), news));
    }

    /// Lives.
    pub async fn keep(mut self, beginning: Beginning) {
        let spec = match beginning {
            Beginning::Found(spec) => spec,
            Beginning::New(order) => {
                let mut stop = self.stop.clone();
                let made = tokio::select! {
                    made = self.make(&order) => made,
                    () = raised(&mut stop) => Err("it was not wanted any more".to_owned()),
                };
                match made {
                    Ok(spec) => spec,
                    Err(why) => {
                        self.discard();
                        return self.tell(News::NotMade(why));
                    }
                }
            }
        };
        let folder = self.stack.instance(&self.id);
        let run = Run { host: Arc::clone(&self.host), folder, spec: Arc::clone(&spec) };
        self.tell(News::Placed(spec));
        if let Err(error) = self.live(&run).await {
            tracing::warn!(id = %self.id, %error, "an instance could not be held");
        }
        let exit = run.bury().await;
        if let Some(address) = run.spec.address {
            self.host.ports.give_back(address.port());
        }
        self.tell(News::Ended(exit));
    }

    fn discard(&self) {
        if let Err(error) = disk::remove_folder(&self.stack.instance(&self.id)) {
            tracing::warn!(%error, "the folder of an instance that was not made stays");
        }
    }

    async fn live(&mut self, run: &Run) -> Result<(), run::RunError> {
        let mut state = if *self.stop.borrow() {
            run.give_up("it was not wanted any more").await?
        } else {
            match run.ensure_taken().await {
                Ok(state) => state,
                Err(error) => run.give_up(&error.to_string()).await?,
            }
        };
        while let RunState::Held(shim) = state {
            self.attend(run, &shim).await;
            state = run.state()?;
        }
        Ok(())
    }

    /// Watches an instance that runs until its shim has ended.
    async fn attend(&mut self, run: &Run, shim: &Identity) {
        let mut stop = self.stop.clone();
        let over = run.wait(shim, &mut stop);
        tokio::pin!(over);
        let main = tokio::select! {
            () = &mut over => return,
            main = main_of(run) => main,
        };
        let was_ready = was_ready(&run.folder);
        self.tell(News::Running { pid: Some(main.pid), was_ready });
        let (tell, mut verdicts) = mpsc::unbounded_channel();
        let checks = checks(run, shim, was_ready, tell);
        let main_over =
            run::ended(crate::process::open(&main, &run.host.boot), &main, &run.host.boot);
        tokio::pin!(checks, main_over);
        let mut main_lives = true;
        loop {
            tokio::select! {
                () = &mut over => return,
                () = &mut main_over, if main_lives => {
                    main_lives = false;
                    self.tell(News::MainEnded);
                }
                () = &mut checks, if main_lives => {}
                Some(verdict) = verdicts.recv(), if main_lives => {
                    remember(&run.folder, &verdict);
                    self.tell(News::Health(verdict));
                }
            }
        }
    }

    /// Makes the folder of a new instance: artifact, address, user, limits, workplace, record.
    async fn make(&self, order: &Order) -> Result<Arc<Spec>, String> {
        let digest = &digest(&order.what.service)?;
        let artifact = self
            .host
            .artifacts
            .get(digest, order.materials.newest())
            .await
            .map_err(|error: EngineError| error.to_string())?;
        let address = self.host.ports.take().ok_or("no port is left in the reserved range")?;
        let run = self.stack.instance(&self.id);
        let spec = self.place(order, &artifact, address, &run);
        if spec.is_err() {
            self.host.ports.give_back(address.port());
        }
        spec.map(Arc::new)
    }

    fn place(
        &self,
        order: &Order,
        artifact: &Path,
        address: SocketAddr,
        run: &PathBuf,
    ) -> Result<Spec, String> {
        let say = |error: disk::DiskError| error.to_string();
        let service = &order.what.service;
        self.host.folder(run).map_err(say)?;
        let user = self.host.users.of(&order.stack, &order.group.service).map_err(say)?;
        let request = workplace::Request {
            stack: &order.stack,
            group: &order.group,
            service,
            run,
            id: &self.id,
            artifact,
            address: Some(address),
            user,
        };
        let workplace = workplace::make(&self.host, &request).map_err(say)?;
        let spec = self.spec(order, artifact, address, user, workplace);
        disk::write_passing_record(&run.join(shim::SPEC), &spec).map_err(say)?;
        Ok(spec)
    }

    fn spec(
        &self,
        order: &Order,
        artifact: &Path,
        address: SocketAddr,
        user: Option<u32>,
        workplace: workplace::Workplace,
    ) -> Spec {
        let service = &order.what.service;
        Spec {
            version: shim::VERSION,
            id: self.id.clone(),
            stack: order.stack.clone(),
            group: order.group.clone(),
            purpose: Purpose::Instance {
                place: order.place,
                restarts: order.restarts,
                drain: order.what.drain,
                health: service.health.clone(),
                overlap: service.overlap,
            },
            command: service.command.clone(),
            env: workplace.env,
            folder: workplace.folder,
            artifact: artifact.to_owned(),
            address: Some(address),
            user,
            cgroups: self.host.cgroups.plan(&self.id, &service.resources),
            stop: service.stop.clone(),
            created: disk::now(),
            boot: self.host.boot.clone(),
            log_size: self.host.log_size,
            log_files: self.host.log_files,
        }
    }
}

async fn main_of(run: &Run) -> Identity {
    loop {
        if let Some(main) = run.main() {
            return main;
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// The checks of an instance, for ever.
async fn checks(run: &Run, shim: &Identity, was_ready: bool, tell: mpsc::UnboundedSender<Verdict>) {
    if let (Purpose::Instance { health, .. }, Some(address)) = (&run.spec.purpose, run.spec.address)
    {
        let family = run.family(Some(shim.clone()));
        health::watch(Subject { health: health.clone(), address, family, was_ready }, tell).await;
    }
    std::future::pending::<()>().await;
}

/// Whether an instance was healthy when it was last checked.
pub(crate) fn was_ready(folder: &Path) -> bool {
    folder.join(READY).exists()
}

/// So that another agent does not take a healthy instance out of traffic when it comes.
fn remember(folder: &Path, verdict: &Verdict) {
    let marker = folder.join(READY);
    let done = match verdict {
        Verdict::Ready => std::fs::write(&marker, ""),
        Verdict::NotYet(_) | Verdict::Unhealthy(_) => std::fs::remove_file(&marker),
    };
    if let Err(error) = done
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(marker = %marker.display(), %error, "cannot keep what a check said");
    }
}

/// What a service runs from.
pub(crate) fn digest(service: &landfall_model::Service) -> Result<landfall_model::Digest, String> {
    let artifact = service.artifact.as_ref();
    artifact.map(|it| it.digest).ok_or_else(|| "the service has no artifact to run from".to_owned())
}
