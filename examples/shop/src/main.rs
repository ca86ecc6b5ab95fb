//! The shop: a small web service with two versions, for the examples and the tests.
//!
//! It listens on `HOST`:`PORT`, answers one request after the other on each connection, and says
//! which version and release it is. `SHOP_VERSION` makes it version 2; other variables make it
//! behave badly on purpose, so that what is around it can be seen at work:
//!
//! | variable | effect |
//! |---|---|
//! | `SHOP_START` | milliseconds before it listens |
//! | `SHOP_UNHEALTHY` | `/healthz` answers 503 |
//! | `SHOP_TERM` | `behave` (default: finish what runs, then end), `exit` (end at once), `ignore` |
//! | `SHOP_SERVED` | a file to which the id of each answered request is appended |

mod chatter;
mod http;
mod served;

use http::{Request, Response};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// How the shop was asked to be.
struct Shop {
    version: String,
    release: String,
    instance: String,
    unhealthy: bool,
    served: served::Served,
    ending: AtomicBool,
    running: AtomicUsize,
}

fn variable(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}

fn main() -> std::io::Result<()> {
    match std::env::args().nth(1).as_deref() {
        None | Some("serve") => serve(),
        Some("version") => {
            println!("shop {}", variable("SHOP_VERSION", "1"));
            Ok(())
        }
        Some("migrate") => {
            println!("migrated to {}", variable("SHOP_VERSION", "1"));
            Ok(())
        }
        Some("work") => work(),
        Some("chatter") => {
            let rate = variable("CHATTER_BYTES", "1024").parse().unwrap_or(1_024);
            chatter::chatter(rate, variable("CHATTER_STOP", "stop").as_ref())
        }
        Some(other) => {
            eprintln!("shop: `{other}` is none of serve, work, chatter, migrate, version");
            std::process::exit(2);
        }
    }
}

/// A worker without a port: says that it is there, now and then.
fn work() -> std::io::Result<()> {
    loop {
        println!("working");
        std::io::stdout().flush()?;
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn serve() -> std::io::Result<()> {
    let start: u64 = variable("SHOP_START", "0").parse().unwrap_or(0);
    std::thread::sleep(Duration::from_millis(start));
    let shop = Arc::new(Shop {
        version: variable("SHOP_VERSION", "1"),
        release: variable("LANDFALL_RELEASE", "none"),
        instance: variable("LANDFALL_INSTANCE", "none"),
        unhealthy: std::env::var_os("SHOP_UNHEALTHY").is_some(),
        served: served::Served::open(std::env::var_os("SHOP_SERVED").map(Into::into))?,
        ending: AtomicBool::new(false),
        running: AtomicUsize::new(0),
    });
    on_term(&shop, &variable("SHOP_TERM", "behave"))?;
    let address = format!("{}:{}", variable("HOST", "127.0.0.1"), variable("PORT", "8080"));
    let listener = TcpListener::bind(&address)?;
    println!("shop {} listens on {address}", shop.version);
    for stream in listener.incoming().flatten() {
        let shop = Arc::clone(&shop);
        std::thread::spawn(move || {
            // A client that goes away is not the shop's trouble.
            let _ = converse(&shop, stream);
        });
    }
    Ok(())
}

/// What happens on SIGTERM.
fn on_term(shop: &Arc<Shop>, behaviour: &str) -> std::io::Result<()> {
    let signals = [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT];
    let mut signals = signal_hook::iterator::Signals::new(signals)?;
    let (shop, behaviour) = (Arc::clone(shop), behaviour.to_owned());
    std::thread::spawn(move || {
        for _ in signals.forever() {
            match behaviour.as_str() {
                "ignore" => {}
                "exit" => std::process::exit(0),
                _ => {
                    shop.ending.store(true, Ordering::SeqCst);
                    // Whoever was let in is answered; whoever waits on an idle connection is not kept.
                    for _ in 0..3_000 {
                        if shop.running.load(Ordering::SeqCst) == 0 {
                            std::process::exit(0);
                        }
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    std::process::exit(1);
                }
            }
        }
    });
    Ok(())
}

fn converse(shop: &Shop, stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut connection = http::Connection::new(stream);
    while let Some(request) = connection.read()? {
        shop.running.fetch_add(1, Ordering::SeqCst);
        let last = request.close || shop.ending.load(Ordering::SeqCst);
        let response = answer(shop, &request);
        // Before it is sent: whatever is on the list and did not reach its client was lost on the way.
        if response.status == 200
            && let Some(id) = &request.id
        {
            shop.served.add(id)?;
        }
        let sent = connection.write(&response, last);
        shop.running.fetch_sub(1, Ordering::SeqCst);
        sent?;
        if last {
            break;
        }
    }
    Ok(())
}

fn answer(shop: &Shop, request: &Request) -> Response {
    match request.path() {
        "/healthz" if shop.unhealthy => {
            println!("the health check asks, and the shop is not well");
            Response::text(503, "not well\n")
        }
        "/healthz" => Response::text(200, "ok\n"),
        "/" => Response::html(&page(shop)),
        "/version" => Response::text(
            200,
            &format!(
                "version={} release={} instance={}\n",
                shop.version, shop.release, shop.instance
            ),
        ),
        "/echo" => Response::bytes(200, "application/octet-stream", request.body.clone()),
        "/headers" => Response::text(200, &request.head),
        "/slow" => {
            let time: u64 = request.query("ms").and_then(|text| text.parse().ok()).unwrap_or(1_000);
            std::thread::sleep(Duration::from_millis(time.min(60_000)));
            Response::text(200, &format!("slow {time}\n"))
        }
        // An answer that takes its time byte by byte.
        "/drip" => {
            let pieces: u64 =
                request.query("pieces").and_then(|text| text.parse().ok()).unwrap_or(10);
            Response::drip(pieces.min(600))
        }
        "/environment" => {
            let mut names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
            names.sort();
            Response::text(200, &(names.join("\n") + "\n"))
        }
        _ => Response::text(404, "there is no such page in the shop\n"),
    }
}

fn page(shop: &Shop) -> String {
    let colour = if shop.version == "1" { "#0b5" } else { "#06c" };
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Shop {0}</title>\
         <body style=\"font-family:sans-serif;background:{colour};color:#fff;text-align:center;padding:4em\">\
         <h1>Shop, version {0}</h1><p>release {1}, instance {2}</p></body></html>\n",
        shop.version, shop.release, shop.instance
    )
}
