//! The same promises over real servers, where they run: see `scripts/stores.sh`.
#![cfg(feature = "cloud")]

mod common;

use common::cloud::server;
use common::{sealed, stack};
use landfall_store::{Backend, Objects, Sealed, Store, StoreError};
use std::sync::Arc;

async fn promises(test: &str, variable: &str) {
    let Some(objects) = server(test, variable) else { return };
    common::conformance(&objects, "test").await;
}

async fn a_store(test: &str, variable: &str) {
    let Some(objects) = server(test, variable) else { return };
    let backend: Arc<dyn Backend> = Arc::new(objects);
    let store = Store::open(Arc::clone(&backend)).await.expect("a safe store");
    let shop = stack("shop", "prod");
    for number in 1..=12 {
        let release = sealed(&shop, number, &[]);
        assert_eq!(store.seal(&release).await.expect("seal"), Sealed::Created);
    }
    let again = Store::open(backend).await.expect("again");
    let head = again.head(&shop).await.expect("head").expect("a release");
    assert_eq!(head, sealed(&shop, 12, &[]));
    assert_eq!(again.stacks().await.expect("stacks"), [shop]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_keeps_the_promises() {
    promises("s3_keeps_the_promises", "LANDFALL_TEST_S3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn google_cloud_storage_keeps_the_promises() {
    promises("google_cloud_storage_keeps_the_promises", "LANDFALL_TEST_GCS").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azure_keeps_the_promises() {
    promises("azure_keeps_the_promises", "LANDFALL_TEST_AZURE").await;
}

#[tokio::test]
async fn s3_is_a_store() {
    a_store("s3_is_a_store", "LANDFALL_TEST_S3").await;
}

#[tokio::test]
async fn google_cloud_storage_is_a_store() {
    a_store("google_cloud_storage_is_a_store", "LANDFALL_TEST_GCS").await;
}

#[tokio::test]
async fn azure_is_a_store() {
    a_store("azure_is_a_store", "LANDFALL_TEST_AZURE").await;
}

#[tokio::test]
async fn a_server_that_ignores_put_if_absent_is_refused() {
    let test = "a_server_that_ignores_put_if_absent_is_refused";
    let Some(objects) = server(test, "LANDFALL_TEST_S3RVER") else { return };
    let error = Store::open(Arc::new(objects)).await.expect_err("unsafe");
    assert!(matches!(&error, StoreError::Unsafe { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("127.0.0.1") && text.contains("Amazon S3"), "{text}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_in_time() {
    // A port that was free a moment ago.
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("ok").port();
    let option = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let options = [
        option("endpoint", &format!("http://127.0.0.1:{port}")),
        option("region", "us-east-1"),
        option("access_key_id", "x"),
        option("secret_access_key", "hidden-secret"),
        option("allow_http", "true"),
    ];
    let objects = Objects::open("s3://landfall", &options).expect("options");
    let error = Store::open(Arc::new(objects)).await.expect_err("nobody listens").to_string();
    assert!(error.contains("s3://landfall at 127.0.0.1"), "{error}");
    assert!(!error.contains("hidden-secret"), "{error}");
}
