//! What operators see of the daemon over HTTP (`--admin`).
//!
//! One thread, beside the workers: once a second it asks each of them for a
//! copy of what it has counted (`net::roster`), adds those up by [`accounts`] in the
//! [`ledger`], keeps the last minutes ([`history`]) and watches for changes
//! ([`watch`]). The main thread pins up what it has to say on the [`board`]. The
//! [`server`] tells all this: as [`metrics`] for Prometheus, as [`status`] in
//! JSON ([`teller`]), and on the [`page`] that shows the same.

mod accounts;
mod asked;
pub mod board;
mod history;
mod host;
mod ledger;
mod metrics;
mod page;
mod ready;
mod room;
mod server;
pub mod status;
mod teller;
mod watch;

use crate::config::AdminAt;
use crate::net::CannotRun;
use crate::net::roster::Roster;
use crate::tap::TapCounts;
use crate::tell::{self, Reporter};
use board::Board;
use server::{Admin, Scope};
use socket2::{Domain, Protocol, Socket, Type};
use status::Level;
use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// Who knows what is shown.
#[derive(Clone)]
pub struct Sources {
    /// The workers.
    pub roster: Roster,
    /// What the main thread has to say.
    pub board: Board,
    /// What happens.
    pub reporter: Reporter,
    /// What became of the query log and of dnstap.
    pub taps: TapCounts,
}

/// Addresses as configured, and who listens there.
pub struct Listeners(Vec<(AdminAt, TcpListener)>);

/// The admin thread, from outside. It begins with the first address there is to
/// listen on, and ends with the process.
pub struct Running {
    sources: Sources,
    held: Listeners,
    /// Addresses are shared with a process that will stop.
    shared: bool,
    thread: Option<mpsc::UnboundedSender<Listeners>>,
}

/// Every address of a host without IPv6 is every IPv4 address.
fn bind(addr: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    bind_here(addr, shared).or_else(|why| {
        let no_v6 = matches!(why.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL));
        match addr.ip() == Ipv6Addr::UNSPECIFIED && no_v6 {
            true => bind_here((Ipv4Addr::UNSPECIFIED, addr.port()).into(), shared),
            false => Err(why),
        }
    })
}

fn bind_here(addr: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl Listeners {
    fn of(&self, addr: SocketAddr) -> Option<&TcpListener> {
        self.0.iter().find(|(known, _)| known.addr == addr).map(|(_, listener)| listener)
    }

    fn try_clone(&self) -> io::Result<Self> {
        let copies = self.0.iter().map(|(at, listener)| Ok((*at, listener.try_clone()?)));
        Ok(Listeners(copies.collect::<io::Result<_>>()?))
    }
}

impl Running {
    /// One that will tell what its sources do. Where the daemon shares its ports
    /// (`--take-over`), this one does too.
    pub fn new(sources: Sources, shared: bool) -> Self {
        Running { sources, held: Listeners(Vec::new()), shared, thread: None }
    }

    /// Listens on these addresses, and keeps the sockets of those it has. What
    /// is served does not change before [`Self::serve`].
    pub fn listen(&self, wanted: &[AdminAt]) -> Result<Listeners, CannotRun> {
        let mut listeners = Listeners(Vec::new());
        for at in AdminAt::together(wanted.iter().copied()) {
            let listener = match self.held.of(at.addr) {
                Some(listener) => listener.try_clone().map_err(CannotRun::start)?,
                None => bind(at.addr, self.shared).map_err(|why| CannotRun::admin(at.addr, why))?,
            };
            listeners.0.push((at, listener));
        }
        Ok(listeners)
    }

    /// Serves there, and nowhere else, from now on.
    pub fn serve(&mut self, listeners: Listeners) -> Result<(), CannotRun> {
        let copies = listeners.try_clone().map_err(CannotRun::start)?;
        if self.thread.is_none() && !copies.0.is_empty() {
            let (given, taken) = mpsc::unbounded_channel();
            let sources = self.sources.clone();
            // Before the thread runs, so that it hears of the change it begins with.
            let events = sources.reporter.subscribe();
            let thread = std::thread::Builder::new().name("admin".into());
            let run = move || {
                if let Err(error) = serve(sources, taken, events) {
                    tracing::error!("the admin server ended: {error}");
                }
            };
            thread.spawn(run).map_err(CannotRun::start)?;
            self.thread = Some(given);
        }
        self.held = listeners;
        if let Some(thread) = &self.thread {
            // One that has ended has said so.
            let _ = thread.send(copies);
        }
        Ok(())
    }

    /// Leaves its addresses to whoever shares them.
    pub fn leave(&mut self) -> Result<(), CannotRun> {
        self.serve(Listeners(Vec::new()))
    }

    /// Where it listens; ports the system picked are filled in.
    pub fn addresses(&self) -> Vec<AdminAt> {
        let bound = |(at, listener): &(AdminAt, TcpListener)| {
            Some(AdminAt { addr: listener.local_addr().ok()?, shows: at.shows })
        };
        self.held.0.iter().filter_map(bound).collect()
    }
}

/// What is told of goes up on the board.
async fn pin_events(mut events: mpsc::UnboundedReceiver<tell::Event>, board: Board) {
    while let Some(event) = events.recv().await {
        let level = match event.level {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            _ => Level::Info,
        };
        board.happened(level, event.text);
    }
}

/// Serves on this thread, for ever.
fn serve(
    sources: Sources,
    mut given: mpsc::UnboundedReceiver<Listeners>,
    events: mpsc::UnboundedReceiver<tell::Event>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        // For the metrics' text: one at a time.
        .max_blocking_threads(1)
        .thread_name("admin-text")
        .build_local(tokio::runtime::LocalOptions::default())?;
    runtime.block_on(async move {
        tokio::task::spawn_local(pin_events(events, sources.board.clone()));
        let admin = Admin::new(sources);
        tokio::task::spawn_local(admin.clone().keep_sampling());
        let mut accepting: Vec<(SocketAddr, Scope, JoinHandle<()>)> = Vec::new();
        while let Some(listeners) = given.recv().await {
            accepting.retain(|(addr, _, task)| {
                let stays = listeners.of(*addr).is_some();
                if !stays {
                    task.abort();
                }
                stays
            });
            for (AdminAt { addr, shows }, listener) in listeners.0 {
                if let Some((_, scope, _)) = accepting.iter().find(|(known, ..)| *known == addr) {
                    scope.set(shows);
                    continue;
                }
                listener.set_nonblocking(true)?;
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let scope = Scope::new(Cell::new(shows));
                let task = admin.clone().accept(listener, scope.clone());
                accepting.push((addr, scope, tokio::task::spawn_local(task)));
            }
        }
        Ok(())
    })
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Shows;
    use crate::tell::Desk;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    /// Longer than the admin thread takes to hear of a change.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn running(desk: &Desk, board: &Board) -> Running {
        let (roster, taps) = (Roster::default(), TapCounts::default());
        let (reporter, board) = (desk.reporter().clone(), board.clone());
        Running::new(Sources { roster, board, reporter, taps }, false)
    }

    /// The code of the answer to a request, if there is one.
    fn code(addr: SocketAddr, path: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(addr).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }

    /// Waits until it is so.
    #[track_caller]
    fn becomes(what: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !what() {
            assert!(Instant::now() < end, "it never was");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn an_address_that_stays_shows_what_it_is_told_to_and_one_that_goes_is_left() {
        let desk = Desk::open().unwrap();
        let mut running = running(&desk, &Board::new(String::new(), &[]));
        let at = |shows| AdminAt { addr: "127.0.0.1:0".parse().unwrap(), shows };
        running.serve(running.listen(&[at(Shows::Probes)]).unwrap()).unwrap();
        let addr = running.addresses()[0].addr;
        assert_eq!((code(addr, "/health"), code(addr, "/config")), (Some(200), Some(404)));
        running.serve(running.listen(&[at(Shows::All)]).unwrap()).unwrap();
        assert_eq!(running.addresses(), [AdminAt { addr, shows: Shows::All }]);
        becomes(|| code(addr, "/config") == Some(200));
        running.leave().unwrap();
        assert!(running.addresses().is_empty());
        becomes(|| TcpStream::connect(addr).is_err());
    }

    #[test]
    fn what_is_told_is_pinned_up_with_its_level() {
        let (desk, board) = (Desk::open().unwrap(), Board::new(String::new(), &[]));
        let mut running = running(&desk, &board);
        let at = AdminAt { addr: "127.0.0.1:0".parse().unwrap(), shows: Shows::All };
        running.serve(running.listen(&[at]).unwrap()).unwrap();
        let levels = [tracing::Level::ERROR, tracing::Level::WARN, tracing::Level::INFO];
        for level in levels {
            desk.reporter().line(level, "test", format!("it was {level}"));
        }
        becomes(|| board.read().events.len() == 3);
        let events = board.read().events;
        let told: Vec<_> = events.iter().map(|event| (event.level, &*event.text)).collect();
        let wanted = [
            (Level::Info, "it was INFO"),
            (Level::Warn, "it was WARN"),
            (Level::Error, "it was ERROR"),
        ];
        assert_eq!(told, wanted);
    }
}
