//! The kinds of clients, each a loop until the load stops.

use crate::chance::Chance;
use crate::http1::{Body, Connection, Request, Response};
use crate::http2;
use crate::report::{Kind, Outcome, Report};
use crate::target::{Failure, Target};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The largest body, in bytes.
const LARGEST: u64 = 256 << 10;
/// What the edge says when an instance's drain has ended.
const OVER: &[u8] = b"the instance's time is over";
/// The statuses of a load balancer that has no answer.
const GATEWAY: [u16; 3] = [502, 503, 504];

/// What all clients share.
pub(crate) struct Clients {
    pub(crate) target: Target,
    pub(crate) drain: Duration,
    pub(crate) slowest: Duration,
    pub(crate) report: Mutex<Report>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// HTTP/2 requests that GOAWAY sent to another connection.
    pub(crate) turned_away: Arc<AtomicU64>,
}

/// A request with what makes its answer right.
struct Ask {
    kind: Kind,
    request: Request,
    /// How long it takes by its nature.
    takes: Duration,
    /// The exact body of its answer, where it is known.
    expects: Option<Vec<u8>>,
}

impl Ask {
    fn get(kind: Kind, id: &str, path: &str) -> Self {
        let request = Request::get(path, id);
        Self { kind, request, takes: Duration::ZERO, expects: None }
    }

    fn echo(id: &str, chance: &mut Chance) -> Self {
        // Every size matters as much as its double.
        let size = 1_u64 << chance.between(0, 18);
        let size = chance.between(size / 2 + 1, size).min(LARGEST);
        let bytes: Vec<u8> = (0..size).map(|_| chance.next().to_le_bytes()[0]).collect();
        let mut ask = Self::get(Kind::Bodies, id, "/echo");
        ask.expects = Some(bytes.clone());
        ask.request.method = "POST";
        ask.request.body = if chance.next().is_multiple_of(2) {
            Body::Chunked(bytes)
        } else {
            Body::Length(bytes)
        };
        ask
    }

    fn slow(kind: Kind, id: &str, chance: &mut Chance, slowest: Duration) -> Self {
        let slowest = u64::try_from(slowest.as_millis()).unwrap_or(u64::MAX).max(100);
        let mut ask = Self::get(kind, id, "");
        let text = if chance.next().is_multiple_of(2) {
            let time = chance.between(slowest / 4, slowest);
            ask.request.path = format!("/slow?ms={time}");
            ask.takes = Duration::from_millis(time);
            format!("slow {time}\n")
        } else {
            let pieces = chance.between(1, slowest / 100);
            ask.request.path = format!("/drip?pieces={pieces}");
            ask.takes = Duration::from_millis(pieces * 100);
            (1..=pieces).map(|piece| format!("{piece}\n")).collect()
        };
        ask.expects = Some(text.into_bytes());
        ask
    }

    fn judge(&self, answer: Result<Response, Failure>) -> Outcome {
        let response = match answer {
            Ok(response) => response,
            Err(failure) => return Outcome::Lost(failure),
        };
        match response.status {
            200 if self.expects.as_ref().is_none_or(|expected| *expected == response.body) => {
                Outcome::Answered
            }
            200 => Outcome::Lost(Failure::Wrong(format!(
                "an answer of {} bytes that was not asked for",
                response.body.len()
            ))),
            503 if response.body.starts_with(OVER) => Outcome::Cut,
            status if GATEWAY.contains(&status) => {
                let text = String::from_utf8_lossy(&response.body).trim().to_owned();
                Outcome::Lost(Failure::Status(status, text))
            }
            status => Outcome::Error(status),
        }
    }
}

impl Clients {
    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, ask: &Ask, began: Instant, answer: Result<Response, Failure>) {
        let outcome = ask.judge(answer);
        self.report().add(ask.kind, &ask.request.id, began, ask.takes, outcome);
    }

    /// Waits, and says whether the load goes on.
    async fn rest(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = sleep(time) => !self.stop.is_cancelled(),
        }
    }

    /// A kept connection with idle times from zero to twice the drain, mostly short ones.
    pub(crate) async fn kept(self: Arc<Self>, client: u32, mut chance: Chance) {
        let mut connection = None;
        let mut sequence = 0_u64;
        loop {
            let idle = self.drain.mul_f64(2.0 * chance.share().powi(3));
            if !self.rest(idle).await {
                break;
            }
            sequence += 1;
            let id = format!("kept-{client}-{sequence}");
            let ask = Ask::get(Kind::Kept, &id, "/version");
            self.over(&mut connection, &ask).await;
        }
        if let Some(connection) = connection {
            connection.close().await;
        }
    }

    /// A kept connection that sends bodies and wants them back.
    pub(crate) async fn bodies(self: Arc<Self>, client: u32, mut chance: Chance) {
        let mut connection = None;
        let mut sequence = 0_u64;
        while self.rest(Duration::from_millis(chance.between(20, 300))).await {
            sequence += 1;
            let ask = Ask::echo(&format!("bodies-{client}-{sequence}"), &mut chance);
            self.over(&mut connection, &ask).await;
        }
        if let Some(connection) = connection {
            connection.close().await;
        }
    }

    /// One request over a kept connection, or a new one when that has been ended.
    async fn over(&self, kept: &mut Option<Connection>, ask: &Ask) {
        let began = Instant::now();
        if let Some(connection) = kept
            && connection.is_closed().await
        {
            *kept = None;
            self.report().idle_ends += 1;
        }
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => match Connection::open(&self.target).await {
                Ok(connection) => connection,
                Err(failure) => return self.add(ask, began, Err(failure)),
            },
        };
        let answer = connection.exchange(&ask.request).await;
        if answer.as_ref().is_ok_and(|response| !response.close) {
            *kept = Some(connection);
        }
        self.add(ask, began, answer);
    }

    /// A connection for each request, so many a second.
    pub(crate) async fn single(self: Arc<Self>, per_second: u32) {
        self.open_loop(per_second, |sequence| {
            let mut ask = Ask::get(Kind::Single, &format!("single-{sequence}"), "/version");
            ask.request.close = sequence.is_multiple_of(2);
            ask
        })
        .await;
    }

    /// Slow answers, so many a second, each on a connection of its own.
    pub(crate) async fn slow(self: Arc<Self>, per_second: u32, mut chance: Chance) {
        let slowest = self.slowest;
        self.open_loop(per_second, move |sequence| {
            Ask::slow(Kind::Slow, &format!("slow-{sequence}"), &mut chance, slowest)
        })
        .await;
    }

    /// Starts requests at a rate, whatever becomes of them. Their time runs from when they were due.
    async fn open_loop(self: &Arc<Self>, per_second: u32, mut next: impl FnMut(u64) -> Ask) {
        let mut due = interval(Duration::from_secs(1) / per_second.max(1));
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut sequence = 0_u64;
        loop {
            let began = tokio::select! {
                () = self.stop.cancelled() => return,
                at = due.tick() => at.into_std(),
            };
            sequence += 1;
            let (clients, ask) = (Arc::clone(self), next(sequence));
            self.tasks.spawn(async move {
                let answer = match Connection::open(&clients.target).await {
                    Ok(mut connection) => {
                        let answer = connection.exchange(&ask.request).await;
                        clients.add(&ask, began, answer);
                        return connection.close().await;
                    }
                    Err(failure) => Err(failure),
                };
                clients.add(&ask, began, answer);
            });
        }
    }

    /// One of the streams of an HTTP/2 connection: small answers, bodies and slow answers in turn.
    pub(crate) async fn stream(
        self: Arc<Self>,
        client: Arc<http2::Client>,
        name: String,
        mut chance: Chance,
    ) {
        let mut sequence = 0_u64;
        while self.rest(Duration::from_millis(chance.between(20, 500))).await {
            sequence += 1;
            let id = format!("http2-{name}-{sequence}");
            let mut ask = match chance.between(0, 9) {
                0..=5 => Ask::get(Kind::Http2, &id, "/version"),
                6..=7 => Ask::echo(&id, &mut chance),
                _ => Ask::slow(Kind::Http2, &id, &mut chance, self.slowest),
            };
            ask.kind = Kind::Http2;
            let began = Instant::now();
            let answer = client.exchange(&ask.request).await;
            self.add(&ask, began, answer);
        }
        client.close().await;
    }
}
