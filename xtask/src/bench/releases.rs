//! How many requests a store gets for what `status`, `history` and `rollback` need.

use super::figures::goal;
use super::options::Options;
use super::seeded;
use super::stores::Stores;
use anyhow::Context as _;
use landfall_model::{ReleaseNumber, StackId};
use landfall_store::seal::seal;
use landfall_store::{Backend, Counted, Key, Memory, Objects, Requests, Store};
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;

/// How many releases a page of `history` shows.
const PAGE: usize = 5;
/// How many objects are copied at once.
const AT_ONCE: usize = 16;
/// What `status` and `rollback` may cost.
const LIMIT: u64 = 5;

pub fn run(options: &Options) -> anyhow::Result<()> {
    let many = options.releases.unwrap_or(10_000);
    let stores = Stores::start();
    let url = stores.url("LANDFALL_TEST_S3").context("moto is not there, see scripts/stores.sh")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (few, many) =
        runtime.block_on(async { anyhow::Ok((count(url, 10).await?, count(url, many).await?)) })?;
    println!(
        "requests to S3         10 releases   {} releases",
        options.releases.unwrap_or(10_000)
    );
    let mut same = true;
    for ((what, few, allowed), (_, many, _)) in few.iter().zip(&many) {
        println!("{what:24} {few:9}   {many:9}   at most {allowed}");
        same &= few == many && few <= allowed;
    }
    goal("the same at any number of releases, and within the limit", same)
}

/// A row: what was done, its requests, and how many it may take.
type Row = (&'static str, u64, u64);

async fn count(url: &str, releases: u64) -> anyhow::Result<Vec<Row>> {
    let began = Instant::now();
    let stack = StackId { app: "shop".parse()?, stack: "bench".parse()? };
    let objects = Arc::new(objects(url, releases)?);
    copy(&filled(&stack, releases).await?, &objects).await?;
    println!("a store of {releases} releases was made in {:.0?}", began.elapsed());
    // The first opening of a place tries whether it is safe.
    Store::open(Arc::clone(&objects) as Arc<dyn Backend>).await?;
    let counted = Arc::new(Counted::new(objects.as_ref().clone()));
    let backend: Arc<dyn Backend> = Arc::clone(&counted) as Arc<dyn Backend>;
    let mut rows = Vec::new();
    let mut row = |what: &'static str, allowed: u64| {
        let requests: Requests = counted.take();
        rows.push((what, requests.total(), allowed));
    };
    let store = Store::open(backend).await?;
    row("open", LIMIT);
    let head = store.head(&stack).await?.context("a head")?.release.number;
    row("the newest release", LIMIT);
    // The run's last entry names the release that serves.
    store.last_entry(&stack).await?.context("an entry")?;
    store.release(&stack, head).await?.context("the release that serves")?;
    row("status", LIMIT);
    let page = store.releases(&stack, None, PAGE).await?;
    let numbers: Vec<ReleaseNumber> = page.iter().map(|it| it.release.number).collect();
    store.outcomes(&stack, &numbers).await?;
    row("history, 5 releases", 2 * PAGE as u64 + LIMIT);
    // What going back needs: what serves, the release before, and how that ended.
    let target = ReleaseNumber(head.0 - 1);
    store.last_entry(&stack).await?.context("an entry")?;
    let old = store.release(&stack, target).await?.context("the one before")?;
    store.outcome(&stack, target).await?.context("its outcome")?;
    row("rollback, its look-ups", LIMIT);
    let mut release = old.release;
    release.number = head.next();
    release.restores = Some(target);
    store.seal(&seal(release, None)?).await?;
    row("rollback, its sealing", LIMIT);
    Ok(rows)
}

/// A store in memory with so many releases.
async fn filled(stack: &StackId, releases: u64) -> anyhow::Result<Arc<Memory>> {
    let memory = Arc::new(Memory::default());
    let store = Store::open(Arc::clone(&memory) as Arc<dyn Backend>).await?;
    seeded::begin(&store, stack).await?;
    seeded::fill(&store, releases).await?;
    Ok(memory)
}

/// Copies everything into the bucket, hints too.
async fn copy(from: &Arc<Memory>, to: &Arc<Objects>) -> anyhow::Result<()> {
    let (mut after, mut puts) = (None, JoinSet::new());
    loop {
        let keys = from.list(&Key::root(), after.as_ref(), 1_000).await?;
        let Some(last) = keys.last() else { break };
        after = Some(last.clone());
        for key in keys {
            let bytes = from.get(&key).await?.context("a listed object")?;
            let to = Arc::clone(to);
            puts.spawn(async move { to.put_hint(&key, bytes).await });
            if puts.len() >= AT_ONCE {
                puts.join_next().await.context("a put")???;
            }
        }
    }
    while let Some(put) = puts.join_next().await {
        put??;
    }
    Ok(())
}

fn objects(url: &str, releases: u64) -> anyhow::Result<Objects> {
    let option = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_nanos();
    // moto takes any key.
    let options = [
        option("endpoint", url),
        option("region", "us-east-1"),
        option("access_key_id", "bench"),
        option("secret_access_key", "bench"),
        option("allow_http", "true"),
    ];
    Ok(Objects::open(&format!("s3://landfall/releases-{releases}-{nanos}"), &options)?)
}
