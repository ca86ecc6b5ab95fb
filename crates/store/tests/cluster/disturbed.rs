//! An API server that is busy, forgets, or whose answers are lost.

use crate::common::key;
use crate::front::{Fault, Front};
use crate::world::{VERBS, world};
use futures::stream::{self, StreamExt as _};
use http::Method;
use landfall_store::{Backend, Put};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_whose_place_is_forgotten_begins_again() {
    let Some(world) = world("forgotten", &VERBS).await else { return };
    let keys: Vec<_> = (0..510).map(|number| key(&format!("many/{number:04}"))).collect();
    let put = async |key| {
        world.cluster.put_if_absent(key, "x".into()).await.expect("a put");
    };
    stream::iter(&keys).for_each_concurrent(16, put).await;
    let front = Front::new();
    let cluster = world.behind(&front);
    let mut forget = 2;
    front.disturb(move |_, path| {
        let forgotten = forget > 0 && path.contains("continue=");
        forget -= i32::from(forgotten);
        forgotten.then_some(Fault::Refuse(410, "Expired"))
    });
    assert_eq!(cluster.list(&key("many"), None, 1000).await.expect("a list"), keys);
    assert_eq!(front.take().requests, 6, "two pages, three times");
    front.disturb(|_, path| path.contains("continue=").then_some(Fault::Refuse(410, "Expired")));
    let never = cluster.list(&key("many"), None, 1000).await.expect_err("no list");
    assert!(never.to_string().contains("many in the namespace"), "{never}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writing_whose_answer_is_lost_was_its_own() {
    let Some(world) = world("lost", &VERBS).await else { return };
    let front = Front::new();
    let cluster = world.behind(&front);
    for size in [10, 2 << 20] {
        // Each first answer to a POST of a Secret is lost.
        let mut lost = false;
        front.disturb(move |method, _| {
            lost = *method == Method::POST && !lost;
            lost.then_some(Fault::Lose)
        });
        let key = key(&format!("lost/{size}"));
        let put = cluster.put_if_absent(&key, vec![1; size].into()).await.expect("a put");
        assert_eq!(put, Put::Created, "{size} bytes");
        front.calm();
        let put = cluster.put_if_absent(&key, vec![1; size].into()).await.expect("a put");
        assert_eq!(put, Put::Exists, "{size} bytes, by somebody else");
        assert!(cluster.get(&key).await.expect("a get").expect("there") == vec![1; size]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_to_come_later_does() {
    let Some(world) = world("later", &VERBS).await else { return };
    let front = Front::new();
    let cluster = world.behind(&front);
    let mut answers = [429, 500, 503].into_iter();
    front.disturb(move |_, _| answers.next().map(|code| Fault::Refuse(code, "a test")));
    let began = Instant::now();
    let put = cluster.put_if_absent(&key("late"), "x".into()).await.expect("a put");
    assert_eq!((put, front.take().requests), (Put::Created, 4));
    assert!(began.elapsed() >= Duration::from_secs(1), "as the answer asked for");
    front.disturb(|_, _| Some(Fault::Refuse(403, "Forbidden")));
    cluster.get(&key("late")).await.expect_err("no good to try again");
    assert_eq!(front.take().requests, 1);
}
