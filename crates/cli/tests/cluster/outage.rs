//! The API server is gone in the middle of a rollout: it takes longer, and nothing else.
//! `LANDFALL_OUTAGE` says for how many seconds (10).

use crate::file::Shop;
use crate::world::{PATIENCE, World};
use landfall_testkit::{finish, until};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How the way to the API server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Every connection is cut, and none is taken.
    Refused,
    /// Nothing gets through, and nobody says so.
    Silent,
}

/// A way to the API server that can be cut.
struct Proxy {
    address: SocketAddr,
    way: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl Proxy {
    fn start(server: &str) -> Self {
        let to = server.trim_start_matches("https://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (way, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (of_thread, over) = (Arc::clone(&way), Arc::clone(&ended));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                if of_thread.load(Ordering::Relaxed) == Way::Refused as usize {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&to) else { continue };
                for (from, to) in [(&stream, &server), (&server, &stream)] {
                    let (from, to) = (from.try_clone(), to.try_clone());
                    let (way, over) = (Arc::clone(&of_thread), Arc::clone(&over));
                    if let (Ok(from), Ok(to)) = (from, to) {
                        std::thread::spawn(move || pass(from, to, &way, &over));
                    }
                }
            }
        });
        Self { address, way, ended }
    }

    fn set(&self, way: Way) {
        self.way.store(way as usize, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

/// Passes bytes on as long as the way is open.
fn pass(mut from: TcpStream, mut to: TcpStream, way: &AtomicUsize, over: &AtomicBool) {
    use std::io::{ErrorKind, Read as _, Write as _};
    let _ = from.set_read_timeout(Some(Duration::from_millis(50)));
    let mut buffer = [0; 16 << 10];
    while !over.load(Ordering::Relaxed) && way.load(Ordering::Relaxed) != Way::Refused as usize {
        if way.load(Ordering::Relaxed) == Way::Silent as usize {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                if to.write_all(&buffer[..read]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}

fn an_outage(name: &str, way: Way) {
    let Some(mut world) = World::up(name) else { return };
    let seconds = std::env::var("LANDFALL_OUTAGE").map_or(10, |it| it.parse().expect("a number"));
    let proxy = Proxy::start(&world.server());
    world.go_through(proxy.address);
    let load = crate::load::Load::start(world.address().expect("an address"));
    let began = Instant::now();
    let child = world.start(&Shop { rollout: "drain: 2s, deadline: 90s", ..Shop::version(2) });
    let news = world.dynamic("apps/v1", "Deployment");
    until("the new release", PATIENCE, || world.block(news.get_opt("shop-web-r2")));
    proxy.set(way);
    std::thread::sleep(Duration::from_secs(seconds));
    proxy.set(Way::Open);
    let ran = finish(child, &["up"]).expect(0);
    eprintln!("{way:?} for {seconds} s: the rollout took {:?}", began.elapsed());
    assert_eq!(ran.typed("summary")["serving_release"], 2);
    let (asked, lost) = load.end();
    assert_eq!(lost, Vec::<String>::new(), "of {asked}");
    world.exactly(2, 2);
}

#[test]
fn an_api_server_that_refuses_for_a_while() {
    an_outage("refused", Way::Refused);
}

#[test]
fn an_api_server_that_says_nothing_for_a_while() {
    an_outage("silent", Way::Silent);
}
