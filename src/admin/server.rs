//! The admin server: HTTP, for operators and their programs. It reads and never
//! changes anything; who reaches it may see everything that is on it.

use super::history::History;
use super::ledger::Ledger;
use super::status::ClusterState;
use super::teller::Told;
use super::watch::Watch;
use super::{Sources, metrics, page};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};

/// How often the workers are asked how they are.
const TICK: Duration = Duration::from_secs(1);

/// What is asked for sooner after that is answered from what was said then.
const FRESH: Duration = Duration::from_millis(50);

/// Connections at once: a few browsers and scrapers.
const CONNECTIONS: usize = 64;

/// How long a connection may say nothing.
const IDLE: Duration = Duration::from_secs(30);

/// How long a connection lasts, whatever is said on it: who reads slowly makes
/// room for others.
const LONGEST: Duration = Duration::from_secs(600);

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
    started: SystemTime,
    start: Instant,
    sampled: Option<Instant>,
}

/// The server, on every address it listens on.
#[derive(Clone)]
pub struct Admin {
    state: Rc<Mutex<State>>,
    room: Rc<Semaphore>,
    policy: Rc<str>,
}

/// An answer, but for its headers.
struct Reply {
    code: StatusCode,
    kind: &'static str,
    text: String,
}

const TEXT: &str = "text/plain; charset=utf-8";

fn plain(code: StatusCode, text: impl Into<String>) -> Reply {
    Reply { code, kind: TEXT, text: text.into() }
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

    fn ready(&self, strict: bool) -> Reply {
        if !self.sources.roster.is_open() {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "stopping: no more queries are taken\n");
        }
        if !strict {
            return plain(StatusCode::OK, "ready\n");
        }
        let mut dead = String::new();
        if self.ledger.silent > 0 {
            dead += "workers do not answer: what they serve is as it was when they last did\n";
        }
        for account in self.ledger.accounts.iter().filter(|account| !account.is_forward) {
            for cluster in &account.clusters {
                let why = match self.watch.cluster(account, cluster).0 {
                    ClusterState::Up | ClusterState::Degraded => continue,
                    ClusterState::Down => "is down: all of its servers are out",
                    ClusterState::Unknown => "has not been heard of yet",
                };
                let (suffix, prefix, zone) = (&cluster.suffix, &cluster.prefix, &account.name);
                dead += &format!("cluster {suffix} {prefix} of {zone} {why}\n");
            }
        }
        match dead.is_empty() {
            true => plain(StatusCode::OK, "ready, and every cluster has a live server\n"),
            false => plain(StatusCode::SERVICE_UNAVAILABLE, dead),
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
            started: self.started,
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
            sources,
            ledger: Ledger::default(),
            history: History::default(),
            watch: Watch::default(),
            started: SystemTime::now(),
            start: Instant::now(),
            sampled: None,
        };
        Admin {
            state: Rc::new(Mutex::new(state)),
            room: Rc::new(Semaphore::new(CONNECTIONS)),
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
    pub async fn accept(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    // Without a place it is closed at once.
                    if let Ok(place) = Semaphore::try_acquire(&self.room) {
                        place.forget();
                        tokio::task::spawn_local(self.clone().serve(stream));
                    }
                }
                Err(error) => {
                    tracing::debug!("admin: cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve(self, stream: TcpStream) {
        let answer = |request| self.answer(request);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE)
            .max_buf_size(HEAD)
            .serve_connection(TokioIo::new(stream), service_fn(answer));
        // What a client does wrong is its own business.
        let _ = tokio::time::timeout(LONGEST, connection).await;
        self.room.add_permits(1);
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let known = matches!(*request.method(), Method::GET | Method::HEAD);
        let reply = if known {
            self.reply(request.uri().path(), request.uri().query()).await
        } else {
            plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n")
        };
        let mut response = Response::new(Full::new(Bytes::from(reply.text)));
        *response.status_mut() = reply.code;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if !known {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        if let Ok(policy) = HeaderValue::from_str(&self.policy) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        Ok(response)
    }

    async fn reply(&self, path: &str, query: Option<&str>) -> Reply {
        let broken = |what: &str| plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{what}\n"));
        match path {
            "/" => Reply {
                code: StatusCode::OK,
                kind: "text/html; charset=utf-8",
                text: page::PAGE.into(),
            },
            "/health" => plain(StatusCode::OK, "ok\n"),
            "/ready" => {
                let strict =
                    query.is_some_and(|query| query.split('&').any(|word| word == "strict"));
                let mut state = self.state.lock().await;
                if strict {
                    state.refresh().await;
                }
                state.ready(strict)
            }
            "/config" => plain(StatusCode::OK, self.state.lock().await.sources.board.read().plan),
            "/metrics" => {
                let mut state = self.state.lock().await;
                state.refresh().await;
                let text = metrics::text(&state.sources, state.ledger.clone(), state.started);
                match text {
                    Ok(text) => Reply {
                        code: StatusCode::OK,
                        kind: prometheus_client::encoding::prometheus_text::CONTENT_TYPE,
                        text,
                    },
                    Err(_) => broken("the metrics cannot be written"),
                }
            }
            "/status.json" => {
                let mut state = self.state.lock().await;
                state.refresh().await;
                match state.status() {
                    Ok(text) => Reply { code: StatusCode::OK, kind: "application/json", text },
                    Err(_) => broken("the status cannot be written"),
                }
            }
            _ => plain(
                StatusCode::NOT_FOUND,
                "there are /, /metrics, /health, /ready, /ready?strict, /config and /status.json\n",
            ),
        }
    }
}
