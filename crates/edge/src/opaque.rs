//! Connections whose bytes go on as they are: `tcp`, and `tls` after its handshake.

use crate::count::add;
use crate::edge::Edge;
use crate::relay::{End, relay};
use crate::router::Pick;
use crate::tls::Stream;
use crate::upstream::connect;
use std::net::SocketAddr;
use std::sync::Arc;

/// Connects a client with a target, another one when a target cannot be reached, and carries bytes until
/// the end.
pub(crate) async fn serve(
    edge: &Arc<Edge>,
    address: SocketAddr,
    host: Option<&str>,
    client: Box<dyn Stream>,
) {
    let mut tried = Vec::new();
    loop {
        match edge.router.pick(address, host, &tried) {
            Pick::NoListener | Pick::Redirect(..) => return,
            Pick::Unavailable(route) => {
                add(&route.stack.unavailable);
                return;
            }
            Pick::Target(_, running) => {
                let connected = tokio::select! {
                    connected = connect(running.target.address) => connected,
                    () = running.cut.cancelled() => continue,
                };
                let Ok(target) = connected else {
                    tried.push(running.target.address);
                    continue;
                };
                match relay(client, target, &running.cut).await {
                    End::Cut => add(&running.stack.cut),
                    End::TargetBroke => running.broke(),
                    End::Closed | End::ClientBroke | End::Idle => {}
                }
                return;
            }
        }
    }
}
