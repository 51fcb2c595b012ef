//! What the daemon tells its operator of what happens to it: one voice for all
//! workers, so that N of them do not say the same N times.
//!
//! A worker says what it noticed ([`Reporter`], [`News`]) and goes on: it never
//! writes to the log itself, and never waits for who does. Nor does the main
//! thread once they run, which answers signals and the service manager. One thread ([`Desk`])
//! makes of all of it what is told: a server's change once ([`states`]), and what
//! the network can cause once in a while ([`limited`]). Whoever shows events
//! elsewhere gets the same ones ([`Reporter::subscribe`]).

pub mod limited;
mod states;

use crate::config::Plan;
use limited::Limited;
use states::States;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, UNIX_EPOCH};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::Level;

/// How often changes that were too many are looked at again.
const TICK: Duration = Duration::from_secs(1);

/// How long an end waits for the last lines: a log that nobody reads must not
/// keep the daemon from ending.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);

/// Something that was told.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When, in seconds since 1970.
    pub at: f64,
    /// How much it matters.
    pub level: Level,
    /// What, in a sentence.
    pub text: String,
}

/// Something the network can cause, as often as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Somebody guesses at a server's answers.
    Siege,
    /// A question of ours came back as a client's.
    Loop,
    /// Records left out because their names would be too long (R4).
    TooLong,
    /// Records left out of an answer over a stream, for want of room (K9).
    CutOverStream,
    /// A socket to a server could not be opened.
    NoSocket,
    /// A client's connection could not be accepted.
    NotAccepted,
    /// A connection to a server came to nothing.
    NoStream,
}

/// How many there are.
const KINDS: usize = Kind::NoStream as usize + 1;

/// What a worker noticed, and what changes for the desk.
pub(crate) enum News {
    /// A server is out for a worker: it left this many questions unanswered, and
    /// was last heard so long ago.
    Out(usize, SocketAddr, u32, Option<Duration>),
    /// It is back for that worker.
    Back(usize, SocketAddr),
    /// Something of a kind, and how many more of it there were.
    Often(Kind, String, u64),
    /// Entries that nobody took were dropped: so many.
    Dropped(&'static str, String, u64),
    /// Anything else.
    Line(Level, &'static str, String),
    /// What is served now, and by which workers.
    Serving(Vec<(Vec<usize>, Arc<Plan>)>),
    Subscribe(UnboundedSender<Event>),
    End,
}

/// Says what happens. Nobody waits in it.
#[derive(Debug, Clone)]
pub struct Reporter {
    desk: Sender<News>,
    /// The worker that this one is for.
    worker: usize,
}

impl Reporter {
    /// The same for one worker.
    pub(crate) fn of(&self, worker: usize) -> Self {
        Reporter { desk: self.desk.clone(), worker }
    }

    /// A line for the log and, if it is no detail, for whoever shows events. `event`
    /// is what it is, in a word that stays the same.
    pub fn line(&self, level: Level, event: &'static str, text: String) {
        self.send(News::Line(level, event, text));
    }

    /// So many entries for others than the log were dropped.
    pub(crate) fn dropped(&self, event: &'static str, text: String, entries: u64) {
        self.send(News::Dropped(event, text, entries));
    }

    /// Everything that is told from now on.
    pub fn subscribe(&self) -> UnboundedReceiver<Event> {
        let (sender, events) = unbounded_channel();
        self.send(News::Subscribe(sender));
        events
    }

    pub(crate) fn out(&self, server: SocketAddr, missed: u32, silence: Option<Duration>) {
        self.send(News::Out(self.worker, server, missed, silence));
    }

    pub(crate) fn back(&self, server: SocketAddr) {
        self.send(News::Back(self.worker, server));
    }

    pub(crate) fn often(&self, kind: Kind, text: String, more: u64) {
        self.send(News::Often(kind, text, more));
    }

    pub(crate) fn serving(&self, plans: Vec<(Vec<usize>, Arc<Plan>)>) {
        self.send(News::Serving(plans));
    }

    fn send(&self, news: News) {
        // After the end nobody listens.
        let _ = self.desk.send(news);
    }
}

/// What is told, with the facts in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub level: Level,
    pub text: String,
    /// What it is, in a word that stays the same.
    pub event: &'static str,
    pub server: Option<String>,
    pub zone: Option<String>,
    pub cluster: Option<String>,
    pub questions: Option<u64>,
    pub seconds: Option<f64>,
    pub more: Option<u64>,
    pub entries: Option<u64>,
}

impl Line {
    pub fn new(level: Level, event: &'static str, text: String) -> Self {
        let (server, zone, cluster) = (None, None, None);
        let (questions, seconds, more, entries) = (None, None, None, None);
        Line { level, text, event, server, zone, cluster, questions, seconds, more, entries }
    }

    fn log(&self) {
        let Line { text, event, questions, seconds, more, entries, .. } = self;
        let (server, zone) = (self.server.as_deref(), self.zone.as_deref());
        let cluster = self.cluster.as_deref();
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(
                    event, server, zone, cluster, questions, seconds, more, entries, "{text}"
                )
            };
        }
        match self.level {
            Level::ERROR => log!(error),
            Level::WARN => log!(warn),
            Level::INFO => log!(info),
            _ => log!(debug),
        }
    }
}

/// The thread that tells, and the way to it.
pub struct Desk {
    reporter: Reporter,
    thread: Option<JoinHandle<()>>,
}

impl Desk {
    /// Begins to listen.
    pub fn open() -> std::io::Result<Self> {
        let (desk, news) = channel();
        let clerk = Clerk::default();
        let thread = std::thread::Builder::new().name("log".into());
        let thread = Some(thread.spawn(move || clerk.listen(&news))?);
        Ok(Desk { reporter: Reporter { desk, worker: usize::MAX }, thread })
    }

    /// For whoever has something to say.
    pub fn reporter(&self) -> &Reporter {
        &self.reporter
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.reporter.send(News::End);
        if let Some(thread) = self.thread.take() {
            join_within(thread, LAST_WORDS);
        }
    }
}

/// Waits for a thread, but not for ever.
pub(crate) fn join_within(thread: JoinHandle<()>, patience: Duration) {
    let end = Instant::now() + patience;
    while !thread.is_finished() {
        if Instant::now() >= end {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = thread.join();
}

#[derive(Default)]
struct Clerk {
    states: States,
    /// When changes that were too many were looked at last.
    looked: Option<Instant>,
    often: [Limited; KINDS],
    readers: Vec<UnboundedSender<Event>>,
}

impl Clerk {
    fn listen(mut self, news: &Receiver<News>) {
        loop {
            let next = match self.states.has_untold() {
                false => news.recv().map_err(|_| RecvTimeoutError::Disconnected),
                true => news.recv_timeout(TICK),
            };
            let news = match next {
                Ok(News::End) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(news) => Some(news),
                Err(RecvTimeoutError::Timeout) => None,
            };
            let lines = self.turn(Instant::now(), news);
            lines.iter().for_each(|line| self.tell(line));
        }
    }

    /// What there is to tell of news, or of time that has passed: news that never
    /// pauses does not keep back what is due.
    fn turn(&mut self, now: Instant, news: Option<News>) -> Vec<Line> {
        let mut lines = news.map(|news| self.take(now, news)).unwrap_or_default();
        let due = self.looked.is_none_or(|at| now.saturating_duration_since(at) >= TICK);
        if due && self.states.has_untold() {
            self.looked = Some(now);
            lines.extend(self.states.look_again(now));
        }
        lines
    }

    fn take(&mut self, now: Instant, news: News) -> Vec<Line> {
        match news {
            News::Out(worker, server, missed, silence) => {
                self.states.out(now, worker, server, missed, silence)
            }
            News::Back(worker, server) => self.states.back(now, worker, server),
            News::Serving(plans) => {
                self.states.serving(plans);
                Vec::new()
            }
            News::Often(kind, text, more) => self.often(kind, &text, more).into_iter().collect(),
            News::Dropped(event, text, entries) => {
                let line = Line::new(Level::WARN, event, text);
                vec![Line { entries: Some(entries), ..line }]
            }
            News::Line(level, event, text) => vec![Line::new(level, event, text)],
            News::Subscribe(reader) => {
                self.readers.push(reader);
                Vec::new()
            }
            News::End => Vec::new(),
        }
    }

    fn often(&mut self, kind: Kind, text: &str, more: u64) -> Option<Line> {
        let untold = self.often[kind as usize].happened_more(1 + more)?;
        let (event, level) = match kind {
            Kind::Siege => ("siege", Level::WARN),
            Kind::Loop => ("loop", Level::WARN),
            Kind::TooLong => ("too_long", Level::WARN),
            Kind::CutOverStream => ("cut_over_stream", Level::WARN),
            Kind::NoSocket => ("no_socket", Level::WARN),
            Kind::NotAccepted => ("not_accepted", Level::WARN),
            Kind::NoStream => ("no_connection", Level::WARN),
        };
        let more = untold + more;
        let text = match more {
            0 => text.into(),
            n => format!("{text} ({n} more since this was last told)"),
        };
        Some(Line { more: Some(more), ..Line::new(level, event, text) })
    }

    fn tell(&mut self, line: &Line) {
        line.log();
        if line.level > Level::INFO {
            return;
        }
        let at = UNIX_EPOCH.elapsed().map_or(0.0, |since| since.as_secs_f64());
        self.readers.retain(|reader| {
            reader.send(Event { at, level: line.level, text: line.text.clone() }).is_ok()
        });
    }
}

/// A span as people say it.
pub(crate) fn said(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", span.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests;
