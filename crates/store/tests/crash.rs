//! A writer that is killed at any instant loses nothing that it was told is there.

mod common;

use common::{sealed, stack};
use landfall_model::Sequence;
use landfall_store::{Folder, Put, Sealed, Store};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

const PLACE: &str = "LANDFALL_TEST_CRASH_STORE";

async fn open(path: &Path) -> Store {
    Store::open(Arc::new(Folder::open(path).expect("open"))).await.expect("a store")
}

async fn end_of(store: &Store) -> (u64, u64) {
    let shop = stack("shop", "prod");
    let entry = store.last_entry(&shop).await.expect("journal").map_or(0, |(n, _)| n.0);
    let head = store.head(&shop).await.expect("head").map_or(0, |s| s.release.number.0);
    (entry, head)
}

/// The writer: says each number only after it is there.
#[tokio::test]
#[ignore = "it is started, and killed, by the test below"]
async fn writes_until_it_is_killed() {
    let Ok(place) = std::env::var(PLACE) else { return };
    let store = open(Path::new(&place)).await;
    let shop = stack("shop", "prod");
    let (mut entry, mut head) = end_of(&store).await;
    loop {
        entry += 1;
        let put = store.append(&shop, Sequence(entry), format!("entry {entry}").as_bytes()).await;
        assert_eq!(put.expect("append"), Put::Created);
        head += 1;
        let seal = store.seal(&sealed(&shop, head, &[])).await;
        assert_eq!(seal.expect("seal"), Sealed::Created);
        writeln!(std::io::stderr(), "written {entry} {head}").expect("the test listens");
    }
}

#[tokio::test]
async fn a_killed_writer_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("store");
    for round in 1..=8_usize {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "writes_until_it_is_killed", "--ignored", "--nocapture"])
            .env(PLACE, &place)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start");
        let lines = BufReader::new(child.stderr.take().expect("its output")).lines();
        let mut said = (0, 0);
        // Another number of writes each time, so that the kill comes at other instants.
        for line in
            lines.map_while(Result::ok).filter(|line| line.starts_with("written")).take(round * 7)
        {
            let mut numbers = line.split(' ').skip(1).map(|text| text.parse().expect("a number"));
            said = (numbers.next().expect("an entry"), numbers.next().expect("a release"));
        }
        child.kill().expect("kill");
        child.wait().expect("wait");
        assert!(said.0 > 0, "round {round}: it wrote");
        let store = open(&place).await;
        let (entry, head) = end_of(&store).await;
        assert!(entry >= said.0 && head >= said.1, "round {round}: {said:?}, found {entry} {head}");
        let shop = stack("shop", "prod");
        let entries = store.entries(&shop, None, 100_000).await.expect("every entry is whole");
        assert!(entries.iter().map(|(n, _)| n.0).eq(1..=entry), "round {round}: no gap");
        let releases = store.releases(&shop, None, 100_000).await.expect("every release is whole");
        assert_eq!(releases.len() as u64, head, "round {round}");
    }
}
