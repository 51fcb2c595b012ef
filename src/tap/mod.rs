//! Copies of what is asked and answered, for those who want them: the query log
//! ([`querylog`]) and dnstap ([`dnstap`], [`collector`]).
//!
//! A worker copies octets, addresses and times into a [`Batch`] and offers that to
//! a [`Pipe`]; a thread at its other end formats and writes. Nobody waits for that
//! thread: where it does not keep up, batches are dropped, and counted. What
//! waits for it is bounded.

mod collector;
mod dnstap;
mod frames;
mod querylog;

use crate::config::{Endpoint, Settings};
use crate::engine::{Time, Transport};
use crate::tell::{Reporter, join_within};
use collector::Collector;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// Octets that may wait for a thread that writes: a second's worth of some ten
/// thousand queries.
const MOST_WAITING: usize = 8 << 20;

/// A thread that has nothing left waits this long before it sleeps, so that it is
/// not woken for every query.
const GATHER: Duration = Duration::from_millis(5);

/// How long an end waits for the last entries.
const LAST_ENTRIES: Duration = Duration::from_secs(2);

/// What an entry is a copy of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A client's query.
    ClientQuery,
    /// The answer to it.
    ClientResponse,
    /// A sub-question to a cluster, or a question that is forwarded.
    ForwarderQuery,
    /// What came back.
    ForwarderResponse,
}

/// A packet, and what the packet does not say.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// When it came or went.
    pub at: Time,
    /// When the query came that it answers, if that is known.
    pub came: Option<Time>,
    /// The client, or the server.
    pub peer: SocketAddr,
    /// Our own address, if it is known.
    pub own: Option<SocketAddr>,
    /// How it came or went.
    pub transport: Transport,
    /// It was kept from an earlier query.
    pub kept: bool,
    /// Its octets in the batch.
    pub octets: Range<usize>,
}

/// Entries of one worker.
#[derive(Debug)]
pub struct Batch {
    octets: Vec<u8>,
    entries: Vec<Entry>,
    /// The same moment on the worker's clock and on everybody's.
    now: Time,
    wall: SystemTime,
}

impl Default for Batch {
    fn default() -> Self {
        let (octets, entries, now) = (Vec::new(), Vec::new(), Time::default());
        Batch { octets, entries, now, wall: SystemTime::UNIX_EPOCH }
    }
}

impl Batch {
    /// Adds a packet.
    pub fn push(&mut self, mut entry: Entry, octets: &[u8]) {
        let start = self.octets.len();
        self.octets.extend_from_slice(octets);
        entry.octets = start..self.octets.len();
        self.entries.push(entry);
    }

    /// Nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries are in it.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    fn cost(&self) -> usize {
        self.octets.capacity() + self.entries.capacity() * size_of::<Entry>() + size_of::<Batch>()
    }

    fn iter(&self) -> impl Iterator<Item = (&Entry, &[u8])> {
        let octets = |entry: &Entry| self.octets.get(entry.octets.clone()).unwrap_or_default();
        self.entries.iter().map(move |entry| (entry, octets(entry)))
    }

    /// A moment of the worker's on everybody's clock.
    fn wall(&self, time: Time) -> SystemTime {
        let ago = self.now.since(time);
        self.wall.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl Entry {
    /// One whose octets come with it into a batch.
    pub fn new(kind: Kind, at: Time, peer: SocketAddr, transport: Transport) -> Self {
        Entry { kind, at, came: None, peer, own: None, transport, kept: false, octets: 0..0 }
    }
}

/// What became of entries so far. Written once for each batch, never for a query.
#[derive(Debug, Default)]
pub struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
}

impl Counts {
    /// Entries that were written to where they belong.
    pub fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Entries that were not, because what writes them did not keep up.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

/// The counts of all taps, for as long as the daemon runs.
#[derive(Debug, Clone, Default)]
pub struct TapCounts {
    /// Of the query log.
    pub query_log: Arc<Counts>,
    /// Of dnstap.
    pub dnstap: Arc<Counts>,
}

/// The way to a thread that writes.
#[derive(Debug, Clone)]
pub struct Pipe {
    batches: Sender<Batch>,
    waiting: Arc<AtomicUsize>,
    counts: Arc<Counts>,
}

impl Pipe {
    fn new(counts: Arc<Counts>) -> (Self, Outlet) {
        let (batches, receiver) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let outlet = Outlet { batches: receiver, waiting: waiting.clone(), counts: counts.clone() };
        (Pipe { batches, waiting, counts }, outlet)
    }

    /// Hands a batch over, or drops it. `now` is the worker's time.
    pub fn offer(&self, now: Time, mut batch: Batch) {
        let (cost, entries) = (batch.cost(), batch.len() as u64);
        let full = self.waiting.fetch_add(cost, Relaxed) + cost > MOST_WAITING;
        batch.now = now;
        batch.wall = SystemTime::now();
        if full || self.batches.send(batch).is_err() {
            self.waiting.fetch_sub(cost, Relaxed);
            self.counts.dropped.fetch_add(entries, Relaxed);
        }
    }
}

/// The other end.
struct Outlet {
    batches: Receiver<Batch>,
    waiting: Arc<AtomicUsize>,
    counts: Arc<Counts>,
}

impl Outlet {
    fn taken(&self, batch: Batch) -> Batch {
        self.waiting.fetch_sub(batch.cost(), Relaxed);
        batch
    }

    /// The next batch; an error when there will be none.
    fn wait(&self) -> Result<Batch, RecvError> {
        self.batches.recv().map(|batch| self.taken(batch))
    }

    /// The next, if it is there.
    fn next(&self) -> Result<Batch, TryRecvError> {
        self.batches.try_recv().map(|batch| self.taken(batch))
    }
}

/// What a worker needs of all this.
#[derive(Debug, Clone, Default)]
pub struct Handles {
    /// One of so many answers goes there.
    pub query_log: Option<(NonZeroU32, Pipe)>,
    /// Every packet goes there.
    pub dnstap: Option<Pipe>,
}

/// A thread that writes.
struct Writer {
    pipe: Pipe,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Writer {
    fn start(
        counts: &Arc<Counts>,
        name: &str,
        reporter: &Reporter,
        run: impl FnOnce(Outlet, Arc<AtomicBool>) + Send + 'static,
    ) -> Option<Self> {
        let (pipe, outlet) = Pipe::new(counts.clone());
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = stopping.clone();
        let thread = std::thread::Builder::new().name(name.into());
        match thread.spawn(move || run(outlet, stop)) {
            Ok(thread) => Some(Writer { pipe, stopping, thread }),
            Err(error) => {
                let text = format!("{name} cannot start: {error}");
                reporter.line(tracing::Level::ERROR, "no_thread", text);
                None
            }
        }
    }

    /// No entries will come but those of workers that have not heard of it yet.
    fn stop(self) -> JoinHandle<()> {
        self.stopping.store(true, Relaxed);
        self.thread.thread().unpark();
        self.thread
    }
}

/// All threads that write.
pub struct Taps {
    reporter: Reporter,
    counts: TapCounts,
    query_log: Option<Writer>,
    dnstap: HashMap<Endpoint, Writer>,
}

impl Taps {
    /// None so far.
    pub fn new(reporter: Reporter) -> Self {
        let counts = TapCounts::default();
        Taps { reporter, counts, query_log: None, dnstap: HashMap::new() }
    }

    /// What is counted, now and later.
    pub fn counts(&self) -> TapCounts {
        self.counts.clone()
    }

    /// What a worker with these settings needs; threads that it takes are started.
    pub fn handles(&mut self, settings: &Settings) -> Handles {
        let Taps { reporter, counts, query_log, dnstap } = self;
        if settings.query_log.is_some() && query_log.is_none() {
            let (counts, own) = (&counts.query_log, reporter.clone());
            *query_log = Writer::start(counts, "query-log", reporter, move |outlet, _| {
                querylog::write(&outlet, &own);
            });
        }
        if let Some(endpoint) = &settings.dnstap
            && !dnstap.contains_key(endpoint)
        {
            let (to, reporter) = (endpoint.clone(), reporter.clone());
            let run = move |outlet, stopping| Collector::new(to, outlet, stopping, reporter).run();
            if let Some(writer) = Writer::start(&counts.dnstap, "dnstap", &self.reporter, run) {
                dnstap.insert(endpoint.clone(), writer);
            }
        }
        let pipe = |writer: &Writer| writer.pipe.clone();
        let log = settings.query_log.zip(query_log.as_ref().map(pipe));
        let tap = settings.dnstap.as_ref().and_then(|to| dnstap.get(to)).map(pipe);
        Handles { query_log: log, dnstap: tap }
    }

    /// Ends what none of these settings wants any more.
    pub fn keep<'s>(&mut self, settings: impl Iterator<Item = &'s Settings> + Clone) {
        let wanted = |to: &Endpoint| settings.clone().any(|one| one.dnstap.as_ref() == Some(to));
        for (_, writer) in self.dnstap.extract_if(|to, _| !wanted(to)) {
            writer.stop();
        }
    }
}

impl Drop for Taps {
    fn drop(&mut self) {
        // All at once, so that they end together.
        let writers = self.query_log.take().into_iter().chain(self.dnstap.drain().map(|(_, w)| w));
        let threads: Vec<_> = writers.map(Writer::stop).collect();
        for thread in threads {
            join_within(thread, LAST_ENTRIES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(entries: usize, octets: usize) -> Batch {
        let mut batch = Batch::default();
        let peer = "192.0.2.1:53".parse().unwrap();
        for _ in 0..entries {
            let entry = Entry::new(Kind::ClientQuery, Time::default(), peer, Transport::Udp);
            batch.push(entry, &vec![7; octets]);
        }
        batch
    }

    #[test]
    fn what_waits_is_bounded_and_what_is_dropped_is_counted() {
        let (pipe, outlet) = Pipe::new(Arc::default());
        for _ in 0..1000 {
            pipe.offer(Time::default(), batch(10, 10_000));
        }
        let dropped = pipe.counts.dropped();
        assert!(dropped > 8000 && dropped % 10 == 0, "{dropped}");
        let mut taken = 0;
        while let Ok(batch) = outlet.next() {
            taken += batch.len() as u64;
        }
        assert_eq!(taken + dropped, 10_000);
        assert_eq!(pipe.waiting.load(Relaxed), 0);
        pipe.offer(Time::default(), batch(1, 10));
        assert_eq!(outlet.wait().unwrap().len(), 1);
        drop(outlet);
        pipe.offer(Time::default(), batch(3, 10));
        assert_eq!(pipe.counts.dropped(), dropped + 3);
    }

    #[test]
    fn moments_of_a_worker_are_told_by_everybodys_clock() {
        let mut batch = batch(1, 1);
        batch.now = Time::from_micros(5_000_000);
        batch.wall = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let wall = batch.wall(Time::from_micros(4_250_000));
        assert_eq!(wall, SystemTime::UNIX_EPOCH + Duration::from_millis(99_250));
    }
}
