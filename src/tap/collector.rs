//! The connection to a collector of dnstap: made, kept, and made again with
//! growing pauses when the collector goes away.
//!
//! A collector that is slow or reads nothing costs entries and nothing else: they
//! are dropped at the pipe, before anybody waits for them.

use super::dnstap::Sender;
use super::frames::{self, Control};
use super::{Batch, GATHER, Outlet};
use crate::config::Endpoint;
use crate::tell::Reporter;
use crate::tell::limited::{Allowance, Limited};
use socket2::{SockRef, Socket, TcpKeepalive};
use std::io::{self, ErrorKind, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tracing::Level;

/// Pause before the first attempt to connect again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A collector that takes nothing for this long is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same at the end of the daemon.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

/// A connection over which nothing goes is felt as often as this.
const IDLE: Duration = Duration::from_secs(30);

/// How often a writer that waits looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// Octets that are written together.
const TOGETHER: usize = 64 * 1024;

/// Sends what comes to one collector.
pub(super) struct Collector {
    to: Endpoint,
    outlet: Outlet,
    stopping: Arc<AtomicBool>,
    reporter: Reporter,
    sender: Sender,
    /// Frames to be written, and how many entries they are.
    output: Vec<u8>,
    entries: u64,
    /// Limits on what the collector can cause in the log.
    lines: Allowance,
    drops: Limited,
    dropped_told: u64,
    /// It is known to be away.
    away: bool,
}

impl Collector {
    pub fn new(
        to: Endpoint,
        outlet: Outlet,
        stopping: Arc<AtomicBool>,
        reporter: Reporter,
    ) -> Self {
        Collector {
            to,
            outlet,
            stopping,
            reporter,
            sender: Sender::here(),
            output: Vec::new(),
            entries: 0,
            lines: Allowance::new(Instant::now()),
            drops: Limited::default(),
            dropped_told: 0,
            away: false,
        }
    }

    /// Until nothing will come any more.
    pub fn run(mut self) {
        let mut pause = PAUSES.0;
        loop {
            let began = Instant::now();
            match self.session() {
                Ok(()) => return,
                Err(error) => self.lost(&error),
            }
            // One that lets us in and goes away at once is no better than none.
            if began.elapsed() > PAUSES.1 {
                pause = PAUSES.0;
            }
            let end = Instant::now() + pause;
            while Instant::now() < end {
                if self.stopping.load(Relaxed) {
                    return self.drop_rest();
                }
                std::thread::park_timeout(end.saturating_duration_since(Instant::now()));
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// One connection, from the handshake to the end of everything.
    fn session(&mut self) -> io::Result<()> {
        let socket = match &self.to {
            Endpoint::Unix(path) => Socket::from(UnixStream::connect(path)?),
            Endpoint::Tcp(addr) => Socket::from(TcpStream::connect_timeout(addr, PATIENCE)?),
        };
        if let Endpoint::Tcp(_) = &self.to {
            // A host that is gone takes nothing, and the kernel's buffer much.
            socket.set_tcp_user_timeout(Some(PATIENCE))?;
            socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(IDLE).with_interval(IDLE))?;
        }
        socket.set_write_timeout(Some(LOOK))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        self.write(&socket, &frames::control(Control::Ready))?;
        frames::expect(&mut &socket, Control::Accept)?;
        self.write(&socket, &frames::control(Control::Start))?;
        self.found();
        // The last batch is the end of the channel: no worker is left.
        while let Ok(batch) = self.outlet.wait() {
            self.add(&batch);
            while self.output.len() < TOGETHER {
                let Ok(batch) = self.outlet.next() else { break };
                self.add(&batch);
            }
            self.is_there(&socket)?;
            self.send(&socket)?;
            self.tell_drops();
            if !self.stopping.load(Relaxed) {
                std::thread::sleep(GATHER);
            }
        }
        if self.entries > 0 {
            self.send(&socket)?;
        }
        self.write(&socket, &frames::control(Control::Stop))?;
        socket.set_read_timeout(Some(LAST_PATIENCE))?;
        // It has everything; whether it says so is its own business.
        let _ = frames::expect(&mut &socket, Control::Finish);
        Ok(())
    }

    fn add(&mut self, batch: &Batch) {
        // Left by sessions that came to nothing.
        if self.output.len() >= TOGETHER {
            self.output.clear();
            self.outlet.counts.dropped.fetch_add(std::mem::take(&mut self.entries), Relaxed);
        }
        for (entry, octets) in batch.iter() {
            frames::push(&mut self.output, &self.sender.encode(batch, entry, octets));
        }
        self.entries += batch.len() as u64;
    }

    /// Looks whether it is: a connection that was closed still takes what is written
    /// once. What was to be written is for the next one.
    fn is_there(&self, socket: &Socket) -> io::Result<()> {
        let mut said = [MaybeUninit::uninit(); 16];
        let seen = SockRef::from(socket).recv_with_flags(&mut said, libc::MSG_DONTWAIT);
        match seen {
            Ok(0) => Err(io::Error::new(ErrorKind::ConnectionReset, "it closed the connection")),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn send(&mut self, socket: &Socket) -> io::Result<()> {
        let output = std::mem::take(&mut self.output);
        let entries = std::mem::take(&mut self.entries);
        let sent = self.write(socket, &output);
        let counts = &self.outlet.counts;
        let counter = if sent.is_ok() { &counts.written } else { &counts.dropped };
        counter.fetch_add(entries, Relaxed);
        self.output = output;
        self.output.clear();
        sent
    }

    /// Writes all of it, with patience for as long as some of it is taken.
    fn write(&self, mut socket: &Socket, mut octets: &[u8]) -> io::Result<()> {
        let mut moved = Instant::now();
        while !octets.is_empty() {
            match socket.write(octets) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    octets = octets.get(written..).unwrap_or_default();
                    moved = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let stopping = self.stopping.load(Relaxed);
                    let patience = if stopping { LAST_PATIENCE } else { PATIENCE };
                    if moved.elapsed() > patience {
                        return Err(io::Error::new(ErrorKind::TimedOut, "it reads nothing"));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What waits at the end has nowhere to go.
    fn drop_rest(&mut self) {
        let mut entries = self.entries;
        while let Ok(batch) = self.outlet.wait() {
            entries += batch.len() as u64;
        }
        self.outlet.counts.dropped.fetch_add(entries, Relaxed);
        self.tell_drops();
    }

    fn found(&mut self) {
        self.away = false;
        if self.lines.take(Instant::now()) {
            self.reporter.line(
                Level::INFO,
                "dnstap_connected",
                format!("dnstap goes to {}", self.to),
            );
        }
    }

    fn lost(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.away, true) && self.lines.take(Instant::now()) {
            let text = format!("dnstap does not reach {}: {error}; it is tried again", self.to);
            self.reporter.line(Level::WARN, "dnstap_lost", text);
        }
        self.tell_drops();
    }

    fn tell_drops(&mut self) {
        let dropped = self.outlet.counts.dropped();
        if dropped > self.dropped_told && self.drops.happened().is_some() {
            let entries = dropped - self.dropped_told;
            self.dropped_told = dropped;
            let text = format!("dnstap: {entries} entries were dropped: no collector took them");
            self.reporter.dropped("dnstap_dropped", text, entries);
        }
    }
}
