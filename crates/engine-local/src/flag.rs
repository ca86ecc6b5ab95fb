//! Waiting for a flag that another task raises.

use tokio::sync::watch;

/// Resolves when the flag is raised; never when nobody can raise it any more.
pub(crate) async fn raised(flag: &mut watch::Receiver<bool>) {
    if flag.wait_for(|raised| *raised).await.is_err() {
        std::future::pending::<()>().await;
    }
}
