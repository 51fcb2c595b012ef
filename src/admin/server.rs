//! The admin server: HTTP, for operators and their programs. It reads and never
//! changes anything; who reaches it may see everything that is on it.

use super::history::History;
use super::ledger::Ledger;
use super::room::{Held, Number, Room};
use super::teller::Told;
use super::watch::Watch;
use super::{Sources, host, metrics, page, ready};
use crate::config::Shows;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::cell::Cell;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

/// How often the workers are asked how they are.
const TICK: Duration = Duration::from_secs(1);

/// What is asked for sooner after that is answered from what was said then.
const FRESH: Duration = Duration::from_millis(50);

/// How long a connection may say nothing.
const IDLE: Duration = Duration::from_secs(30);

/// A connection takes no more requests after this time, ...
const LONG: Duration = Duration::from_secs(50);

/// ... and has this long to read its last answer.
const LAST: Duration = Duration::from_secs(10);

/// Octets of a request's head.
const HEAD: usize = 16 << 10;

/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the server knows.
struct State {
    sources: Sources,
    ledger: Ledger,
    history: History,
    watch: Watch,
    /// When sampling began.
    start: Instant,
    sampled: Option<Instant>,
}

/// The server, on every address it listens on.
#[derive(Clone)]
pub struct Admin {
    /// For what can be told without waiting for the workers.
    sources: Sources,
    state: Rc<Mutex<State>>,
    room: Room,
    policy: Rc<str>,
}

/// What is shown at an address; open connections notice when that changes.
pub type Scope = Rc<Cell<Shows>>;

/// A connection, as its requests need to know it.
struct Link {
    number: Number,
    local: Option<IpAddr>,
    scope: Scope,
}

/// An answer, but for its headers.
struct Reply {
    code: StatusCode,
    kind: &'static str,
    text: String,
    /// It is large, and has this place.
    place: Option<Arc<()>>,
    /// It is worth asking again in a while.
    again: bool,
}

/// Seconds until it is worth asking again.
const AGAIN: u64 = 5;

const FULL: &str = "too many are reading this already: ask again in a few seconds\n";

const PROBES: &str = "there are /health and /ready; 'prometheus' in the Corefile, or --admin, has \
    the rest at an address of its own\n";

const TEXT: &str = "text/plain; charset=utf-8";

fn plain(code: StatusCode, text: impl Into<String>) -> Reply {
    Reply { code, kind: TEXT, text: text.into(), place: None, again: false }
}

fn broken(what: &str) -> Reply {
    plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{what}\n"))
}

impl State {
    async fn sample(&mut self) {
        let told = self.sources.roster.ask().await;
        let now = SystemTime::now();
        self.ledger.take(now, told);
        self.watch.take(now, &self.ledger);
        self.history.take(self.start.elapsed(), &self.ledger);
        self.sampled = Some(Instant::now());
    }

    async fn refresh(&mut self) {
        if self.sampled.is_none_or(|at| at.elapsed() > FRESH) {
            self.sample().await;
        }
    }

    fn status(&self) -> Result<String, serde_json::Error> {
        let told = Told {
            ledger: &self.ledger,
            history: &self.history,
            watch: &self.watch,
            pinned: self.sources.board.read(),
            places: self.sources.roster.places(),
            ready: self.sources.roster.is_open(),
            at: self.start.elapsed(),
        };
        serde_json::to_string(&told.status())
    }
}

impl Admin {
    /// A server that nothing listens for yet. To be called inside a runtime of
    /// the admin thread.
    pub fn new(sources: Sources) -> Self {
        let state = State {
            sources: sources.clone(),
            ledger: Ledger::default(),
            history: History::default(),
            watch: Watch::default(),
            start: Instant::now(),
            sampled: None,
        };
        Admin {
            sources,
            state: Rc::new(Mutex::new(state)),
            room: Room::default(),
            policy: page::policy().into(),
        }
    }

    /// Asks the workers how they are, again and again.
    pub async fn keep_sampling(self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.state.lock().await.sample().await;
        }
    }

    /// Accepts connections for ever.
    pub async fn accept(self, listener: TcpListener, scope: Scope) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let local = stream.local_addr().ok().map(|addr| addr.ip());
                    let (admin, scope) = (self.clone(), scope.clone());
                    self.room.admit(|number| admin.serve(stream, Link { number, local, scope }));
                }
                Err(error) => {
                    tracing::debug!("admin: cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve(self, stream: TcpStream, link: Link) {
        let answer = |request| self.answer(&link, request);
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(IDLE)
                .max_buf_size(HEAD)
                .serve_connection(TokioIo::new(stream), service_fn(answer))
        );
        // What a client does wrong is its own business.
        if tokio::time::timeout(LONG, connection.as_mut()).await.is_err() {
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(LAST, connection).await;
        }
    }

    async fn answer(
        &self,
        link: &Link,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let known = matches!(*request.method(), Method::GET | Method::HEAD);
        let reply = if !host::is_meant(link.local, request.headers()) {
            plain(StatusCode::MISDIRECTED_REQUEST, host::REMEDY)
        } else if known {
            self.reply(link, request.uri().path(), request.uri().query()).await
        } else {
            plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n")
        };
        let text = match reply.place {
            None => Bytes::from(reply.text),
            Some(place) => Bytes::from_owner(Held::new(reply.text, place)),
        };
        let mut response = Response::new(Full::new(text));
        *response.status_mut() = reply.code;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if !known {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        if reply.again {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(AGAIN));
        }
        if let Ok(policy) = HeaderValue::from_str(&self.policy) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        Ok(response)
    }

    async fn reply(&self, link: &Link, path: &str, query: Option<&str>) -> Reply {
        let probes = link.scope.get() == Shows::Probes;
        match path {
            _ if probes && !matches!(path, "/health" | "/ready") => {
                plain(StatusCode::NOT_FOUND, PROBES)
            }
            "/" => Reply { kind: "text/html; charset=utf-8", ..plain(StatusCode::OK, page::PAGE) },
            "/health" => plain(StatusCode::OK, "ok\n"),
            "/ready" => {
                let strict =
                    query.is_some_and(|query| query.split('&').any(|word| word == "strict"));
                self.ready(strict).await
            }
            "/config" => plain(StatusCode::OK, self.sources.board.read().plan),
            // What grows with the configuration.
            "/metrics" | "/status.json" => match self.room.place(Instant::now(), link.number) {
                None => Reply { again: true, ..plain(StatusCode::SERVICE_UNAVAILABLE, FULL) },
                Some(place) if path == "/metrics" => self.metrics(place).await,
                Some(place) => self.status(place).await,
            },
            _ => plain(
                StatusCode::NOT_FOUND,
                "there are /, /metrics, /health, /ready, /ready?strict, /config and /status.json\n",
            ),
        }
    }

    /// Whether queries are taken, and if `strict` whether all of them can be
    /// answered. Only the latter waits for workers.
    async fn ready(&self, strict: bool) -> Reply {
        if !self.sources.roster.is_open() {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "stopping: no more queries are taken\n");
        }
        if !strict {
            return plain(StatusCode::OK, "ready\n");
        }
        let mut state = self.state.lock().await;
        state.refresh().await;
        let lacking = ready::lacking(&state.ledger, &state.watch);
        match lacking.is_empty() {
            true => plain(StatusCode::OK, "ready, and every cluster has a live server\n"),
            false => plain(StatusCode::SERVICE_UNAVAILABLE, lacking),
        }
    }

    /// The metrics are made beside this thread, which has probes to answer. Their
    /// place is theirs even if who asked has gone.
    async fn metrics(&self, place: Arc<()>) -> Reply {
        let mut state = self.state.lock().await;
        state.refresh().await;
        let (sources, ledger) = (state.sources.clone(), state.ledger.clone());
        drop(state);
        let made = move || (metrics::text(&sources, ledger), place);
        match tokio::task::spawn_blocking(made).await {
            Ok((Ok(text), place)) => Reply {
                kind: prometheus_client::encoding::prometheus_text::CONTENT_TYPE,
                place: Some(place),
                ..plain(StatusCode::OK, text)
            },
            _ => broken("the metrics cannot be written"),
        }
    }

    async fn status(&self, place: Arc<()>) -> Reply {
        let mut state = self.state.lock().await;
        state.refresh().await;
        match state.status() {
            Ok(text) => Reply {
                kind: "application/json",
                place: Some(place),
                ..plain(StatusCode::OK, text)
            },
            Err(_) => broken("the status cannot be written"),
        }
    }
}

#[cfg(test)]
mod tests;
