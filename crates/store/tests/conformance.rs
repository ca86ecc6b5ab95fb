//! The promises of a backend, for those that need nothing but this machine.

mod common;

use landfall_store::{Counted, Folder, Memory};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_folder_keeps_the_promises() {
    let folder = tempfile::tempdir().expect("a folder");
    let backend = Folder::open(folder.path().join("store")).expect("open");
    common::conformance(&backend, "test").await;
    let left = std::fs::read_dir(folder.path().join("store/.work")).expect("read").count();
    assert_eq!(left, 0, "no temporary file is left");
}

#[tokio::test]
async fn memory_keeps_the_promises() {
    common::conformance(&Memory::new(), "test").await;
}

#[tokio::test]
async fn a_wrapper_keeps_the_promises() {
    common::conformance(&Counted::new(Memory::new()), "test").await;
}
