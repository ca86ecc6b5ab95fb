//! Log lines of a stack as one stream: the past by time, then what is new, also of instances that
//! start later.

use crate::disk;
use crate::flag::raised;
use crate::log::{self, Follower, Line};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use landfall_engine::{EngineError, LogLine, LogQuery};
use landfall_model::GroupId;
use landfall_protocol::shim::{self, Spec};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How often new lines are looked for.
const LOOK: Duration = Duration::from_millis(100);
/// After how many looks new instances are looked for.
const LOOKS_PER_SEARCH: u32 = 5;
/// How many lines wait for a slow reader.
const WAITING: usize = 1024;
/// The largest past that is read from an instance, in lines.
const TAIL_MAXIMUM: usize = 100_000;

type Sender = mpsc::Sender<Result<LogLine, EngineError>>;

struct Source {
    group: GroupId,
    id: String,
    follower: Follower,
}

impl Source {
    fn line(&self, line: Line) -> LogLine {
        LogLine {
            at: line.at,
            group: self.group.clone(),
            instance: self.id.clone(),
            error: line.error,
            text: line.text,
        }
    }
}

/// The lines that a query asks for. Ends when the stream is dropped or the engine closes.
pub(crate) fn stream(
    folder: PathBuf,
    query: LogQuery,
    closing: watch::Receiver<bool>,
) -> BoxStream<'static, Result<LogLine, EngineError>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(read(folder, query, sender, closing));
    futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|line| (line, receiver))
    })
    .boxed()
}

async fn read(
    folder: PathBuf,
    query: LogQuery,
    sender: Sender,
    mut closing: watch::Receiver<bool>,
) {
    tokio::select! {
        () = raised(&mut closing) => {}
        () = sender.closed() => {}
        outcome = read_all(&folder, &query, &sender) => if let Err(error) = outcome {
            let _ = sender.send(Err(error)).await;
        }
    }
}

async fn read_all(folder: &Path, query: &LogQuery, sender: &Sender) -> Result<(), EngineError> {
    let (past, mut sources) = {
        let (folder, query) = (folder.to_owned(), query.clone());
        tokio::task::spawn_blocking(move || past(&folder, &query)).await.map_err(|error| {
            EngineError::Failed { operation: "read logs".to_owned(), why: error.to_string() }
        })?
    };
    if let Some(instance) = &query.instance
        && sources.is_empty()
        && !query.follow
    {
        return Err(EngineError::NotFound(format!("the instance {instance}")));
    }
    for line in past {
        if sender.send(Ok(line)).await.is_err() {
            return Ok(());
        }
    }
    if !query.follow {
        return Ok(());
    }
    let mut looks = 0_u32;
    loop {
        let busy = follow(&mut sources, sender).await?;
        if looks.is_multiple_of(LOOKS_PER_SEARCH) {
            search(folder, query, &mut sources);
        }
        looks = looks.wrapping_add(1);
        if !busy {
            // Only those that have been read to their end.
            sources.retain(|id, _| folder.join(id).is_dir());
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// The last lines of every instance that is meant, by time.
fn past(folder: &Path, query: &LogQuery) -> (Vec<LogLine>, BTreeMap<String, Source>) {
    let mut lines = Vec::new();
    let mut sources = BTreeMap::new();
    for (id, group) in meant(folder, query, &sources) {
        let log = folder.join(&id).join(shim::LOG);
        let (last, follower) = log::tail(&log, query.tail.min(TAIL_MAXIMUM));
        let source = Source { group, id: id.clone(), follower };
        lines.extend(last.into_iter().map(|line| source.line(line)));
        sources.insert(id, source);
    }
    // Stable: lines of one instance keep their order.
    lines.sort_by_key(|line| line.at);
    (lines, sources)
}

/// Instances that are meant and not known yet.
fn meant(
    folder: &Path,
    query: &LogQuery,
    known: &BTreeMap<String, Source>,
) -> Vec<(String, GroupId)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let id = entry.file_name().into_string().ok()?;
            if known.contains_key(&id) || query.instance.as_ref().is_some_and(|only| *only != id) {
                return None;
            }
            let spec = disk::read_record::<Spec>(&entry.path().join(shim::SPEC)).ok()??;
            let fits = query.service.as_ref().is_none_or(|only| *only == spec.group.service);
            fits.then_some((id, spec.group))
        })
        .collect()
}

fn search(folder: &Path, query: &LogQuery, sources: &mut BTreeMap<String, Source>) {
    for (id, group) in meant(folder, query, sources) {
        let follower = Follower::new(folder.join(&id).join(shim::LOG));
        sources.insert(id.clone(), Source { group, id, follower });
    }
}

/// Sends what is new, and says whether there was anything.
async fn follow(
    sources: &mut BTreeMap<String, Source>,
    sender: &Sender,
) -> Result<bool, EngineError> {
    let mut busy = false;
    for source in sources.values_mut() {
        let lines = source.follower.read().map_err(|error| EngineError::Failed {
            operation: format!("read the log of {}", source.id),
            why: error.to_string(),
        })?;
        for line in lines {
            busy = true;
            let line = source.line(line);
            if sender.send(Ok(line)).await.is_err() {
                return Ok(false);
            }
        }
    }
    Ok(busy)
}
