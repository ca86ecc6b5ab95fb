//! Several writers, one winner, over and over: `LANDFALL_RACE_ROUNDS` says how often (50).

mod common;

use landfall_store::{Backend, Folder};

fn rounds() -> usize {
    let text = std::env::var("LANDFALL_RACE_ROUNDS").ok();
    text.map_or(50, |text| text.parse().expect("LANDFALL_RACE_ROUNDS is a number"))
}

async fn race(backend: &dyn Backend) {
    for round in 0..rounds() {
        common::one_winner(backend, &format!("races/{round}"), 8).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn one_of_eight_wins_in_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    race(&Folder::open(folder.path()).expect("open")).await;
}

/// Each writer has a handle of its own, as programs beside each other have.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn one_of_eight_programs_wins_in_a_folder() {
    use landfall_store::Put;
    let folder = tempfile::tempdir().expect("a folder");
    for round in 0..rounds() {
        let key = common::key(&format!("races/{round}"));
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..8 {
            let backend = Folder::open(folder.path()).expect("open");
            let key = key.clone();
            writers.spawn(async move {
                backend.put_if_absent(&key, format!("{writer}").into()).await.expect("put")
            });
        }
        let puts = writers.join_all().await;
        assert_eq!(puts.iter().filter(|put| **put == Put::Created).count(), 1, "round {round}");
    }
}

#[cfg(feature = "cloud")]
mod clouds {
    use super::{common, race};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_of_eight_wins_in_s3() {
        let test = "one_of_eight_wins_in_s3";
        if let Some(objects) = common::cloud::server(test, "LANDFALL_TEST_S3") {
            race(&objects).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_of_eight_wins_in_google_cloud_storage() {
        let test = "one_of_eight_wins_in_google_cloud_storage";
        if let Some(objects) = common::cloud::server(test, "LANDFALL_TEST_GCS") {
            race(&objects).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_of_eight_wins_in_azure() {
        let test = "one_of_eight_wins_in_azure";
        if let Some(objects) = common::cloud::server(test, "LANDFALL_TEST_AZURE") {
            race(&objects).await;
        }
    }
}
