//! One worker: an engine, the sockets it speaks through, and what brings them
//! together. How it begins and ends is in [`super::life`].
//!
//! Each socket has a task that waits until it can be read; what it reads goes
//! to the engine, and what the engine wants done is done before the task waits
//! again ([`Worker::flush`]). All of a worker's tasks share its state on one
//! thread, so nothing is locked.

use super::alarm::Alarm;
use super::batch::{Inbox, Outlet, Parcel, give_memory_back, watch};
use super::egress::{Egress, PAUSE};
use super::keys::{KeyError, Keys};
use super::limits::Most;
use super::mailbox::{Mailbox, Unread};
use super::proven::Proven;
use super::sockets;
use super::taps::Taps;
use super::tell::Teller;
use super::{datagrams, tcp_link};
use crate::config::Plan;
use crate::engine::{Engine, LinkId, LinkState, Open, Outbox, Time, Transport};
use crate::tap::Handles;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// Links that fail while a flush opens them are reported to the engine, which
/// may open others; this many rounds of that, and the rest waits for a timer.
const FLUSH_ROUNDS: usize = 4;

/// Memory is given back to the system this often at most: it takes milliseconds.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(1);

/// A socket towards a cluster.
enum Socket {
    Datagrams(Rc<AsyncFd<UdpSocket>>),
    Stream(mpsc::UnboundedSender<Vec<u8>>),
}

struct Link {
    id: LinkId,
    socket: Socket,
    task: JoinHandle<()>,
}

impl Link {
    /// Our address, if it is known.
    fn local(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Datagrams(socket) => socket.get_ref().local_addr().ok(),
            Socket::Stream(_) => None,
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A worker's state.
pub struct Worker {
    /// The engine.
    pub engine: Engine,
    /// What it wants done.
    pub outbox: Outbox,
    /// Datagrams just received.
    pub inbox: Inbox,
    outlet: Outlet,
    start: Instant,
    listeners: Vec<Egress>,
    links: Vec<Option<Link>>,
    /// Where answers to TCP clients go.
    pub streams: HashMap<u64, Rc<Mailbox>>,
    next_stream: u64,
    trouble: Vec<(LinkId, LinkState)>,
    armed: Option<Time>,
    timer: Rc<Notify>,
    due: Rc<Notify>,
    /// Answers had no room.
    put_off: Rc<Notify>,
    /// When memory was last given back to the system.
    given_back: Instant,
    /// Raised by a panic in one of its tasks.
    pub alarm: Alarm,
    /// What the log is told.
    pub teller: Teller,
    /// What is copied.
    pub taps: Taps,
    served: Served,
    unread: Unread,
    /// Its number, which no other worker of this process ever has.
    pub number: usize,
    /// Clients' connections that are open, over TCP and over TLS.
    pub connections: [usize; 2],
    /// Connections closed at once because there were too many.
    pub turned_away: u64,
}

/// What a worker serves.
#[derive(Clone)]
pub struct Served {
    /// The plan.
    pub plan: Arc<Plan>,
    /// What TLS needs for it.
    pub keys: Arc<Keys>,
    /// Who gets copies of packets.
    pub taps: Handles,
}

impl Served {
    /// A plan, and the files that it names.
    pub fn load(plan: Plan) -> Result<Self, KeyError> {
        let keys = Arc::new(Keys::load(&plan)?);
        Ok(Served { plan: Arc::new(plan), keys, taps: Handles::default() })
    }
}

/// How tasks share their worker.
pub type Shared = Rc<RefCell<Worker>>;

impl Worker {
    /// A worker with these listeners, which nothing reads yet.
    /// Its clock started at `start`, as those of all workers.
    pub fn new(
        engine: Engine,
        start: Instant,
        served: Served,
        listeners: Vec<Rc<AsyncFd<UdpSocket>>>,
        proven: &Arc<Proven>,
    ) -> Self {
        let places = listeners.iter().map(|socket| socket.get_ref().local_addr().ok()).collect();
        Worker {
            engine,
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            outlet: Outlet::default(),
            start,
            next_stream: listeners.len() as u64,
            listeners: listeners.into_iter().map(|s| Egress::new(s, proven.clone())).collect(),
            links: Vec::new(),
            streams: HashMap::new(),
            trouble: Vec::new(),
            armed: None,
            timer: Rc::new(Notify::new()),
            due: Rc::new(Notify::new()),
            put_off: Rc::new(Notify::new()),
            given_back: start,
            alarm: Alarm::default(),
            teller: Teller::default(),
            taps: Taps::new(places),
            served,
            unread: Unread::default(),
            number: 0,
            connections: [0; 2],
            turned_away: 0,
        }
    }

    /// Serves something else from now on.
    pub fn serve(&mut self, now: Time, served: Served) {
        self.engine.set_plan(now, served.plan.clone(), &mut self.outbox);
        self.taps.set(now, served.taps.clone());
        self.served = served;
    }

    /// The time, read once for each batch.
    pub fn now(&self) -> Time {
        Time::from_micros(self.start.elapsed().as_micros() as u64)
    }

    /// The moment `time` of the engine on the system's clock.
    fn instant(&self, time: Time) -> Instant {
        self.start + Duration::from_micros(time.as_micros())
    }

    /// A number for a new client on a stream, and its mailbox; listeners have
    /// the small numbers.
    pub fn open_stream(&mut self) -> (u64, Rc<Mailbox>) {
        self.next_stream += 1;
        let mailbox = Rc::new(Mailbox::new(self.unread.clone()));
        self.streams.insert(self.next_stream, mailbox.clone());
        (self.next_stream, mailbox)
    }

    /// Certificates and keys as they are now.
    pub fn keys(&self) -> &Keys {
        &self.served.keys
    }

    /// Whether a client may ask.
    pub fn allows(&self, client: SocketAddr) -> bool {
        self.served.plan.allows(client.ip())
    }

    /// How many connections clients may have.
    pub fn most_connections(&self) -> Most {
        let settings = &self.served.plan.settings;
        Most { in_all: settings.max_tcp, per_address: settings.max_tcp_per_client }
    }

    /// Has everything that is in the outbox done when all sockets that can be
    /// read now have been: what several of them cause leaves in one batch.
    pub fn flush_soon(&self) {
        if !self.outbox.is_empty() || !self.trouble.is_empty() || self.taps.are_waiting() {
            self.due.notify_one();
        }
    }

    /// Does everything that is in the outbox.
    pub fn flush(&mut self, shared: &Shared) {
        for _ in 0..FLUSH_ROUNDS {
            if !self.outbox.is_empty() {
                self.open_links(shared);
                if self.taps.are_on() {
                    self.taps.sent(self.now(), &self.outbox);
                }
                self.send_questions();
                self.send_answers();
                self.close_links();
                for &notice in &self.outbox.notices {
                    self.teller.notice(notice);
                }
                self.outbox.clear();
            }
            if self.trouble.is_empty() {
                break;
            }
            let now = self.now();
            for (link, state) in std::mem::take(&mut self.trouble) {
                self.engine.on_link(now, link, state, &mut self.outbox);
            }
        }
        if self.taps.are_waiting() {
            self.taps.ship(self.now());
        }
        self.teller.counted(&self.engine.counters());
        let next = self.engine.next_timeout();
        if next.is_some_and(|next| self.armed.is_none_or(|armed| next < armed)) {
            self.armed = next;
            self.timer.notify_one();
        }
    }

    /// Lets go of all sockets. Links and their tasks refer to each other through
    /// the worker, so nothing ends by itself.
    pub fn close(&mut self) {
        self.links.clear();
        self.streams.clear();
    }

    fn open_links(&mut self, shared: &Shared) {
        for n in 0..self.outbox.opens.len() {
            let open = self.outbox.opens[n];
            match self.open_link(open, shared) {
                Ok(link) => {
                    self.taps.opened(open, link.local());
                    let index = open.link.index as usize;
                    if self.links.len() <= index {
                        self.links.resize_with(index + 1, || None);
                    }
                    self.links[index] = Some(link);
                }
                Err(error) => {
                    self.teller.no_socket(&open.server, &error);
                    self.trouble.push((open.link, LinkState::Closed));
                }
            }
        }
    }

    fn open_link(&self, open: Open, shared: &Shared) -> io::Result<Link> {
        let id = open.link;
        match open.transport {
            Transport::Udp => {
                let socket = Rc::new(watch(sockets::open_link(open.server)?)?);
                let task = datagrams::receive_replies(shared.clone(), id, socket.clone());
                let task = self.alarm.spawn(task);
                Ok(Link { id, socket: Socket::Datagrams(socket), task })
            }
            Transport::Tcp | Transport::Tls => {
                let (sender, frames) = mpsc::unbounded_channel();
                let tls = self.engine.tls(id).cloned();
                let task = tcp_link::run(shared.clone(), id, open.server, tls, frames);
                let task = self.alarm.spawn(task);
                Ok(Link { id, socket: Socket::Stream(sender), task })
            }
        }
    }

    fn send_questions(&mut self) {
        let Outbox { sends, octets, .. } = &mut self.outbox;
        // A batch to one server has one link, so this is nearly sorted.
        sends.sort_unstable_by_key(|send| send.link.index);
        for batch in sends.chunk_by(|a, b| a.link == b.link) {
            let Some(first) = batch.first() else { continue };
            let known = self.links.get(first.link.index as usize).and_then(Option::as_ref);
            let Some(link) = known.filter(|link| link.id == first.link) else { continue };
            match &link.socket {
                Socket::Datagrams(socket) => {
                    let parcels = batch.iter().map(|send| Parcel {
                        octets: send.octets.clone(),
                        to: None,
                        from: None,
                    });
                    let sent = self.outlet.send(socket.get_ref().as_fd(), octets, parcels);
                    // What had no room is repeated as what was lost.
                    if sent.refused || sent.taken < batch.len() {
                        self.trouble.push((link.id, LinkState::Refused));
                    }
                }
                Socket::Stream(frames) => {
                    for send in batch {
                        // A closed channel means that its task is reporting
                        // the link as closed.
                        let _ = frames.send(octets[send.octets.clone()].to_vec());
                    }
                }
            }
        }
    }

    fn send_answers(&mut self) {
        let Outbox { answers, octets, .. } = &mut self.outbox;
        answers.sort_unstable_by_key(|answer| answer.client.socket);
        for batch in answers.chunk_by(|a, b| a.client.socket == b.client.socket) {
            let Some(first) = batch.first() else { continue };
            let socket = first.client.socket;
            if let Some(listener) = self.listeners.get_mut(socket as usize) {
                listener.send(&mut self.outlet, octets, batch);
                if listener.is_waiting() {
                    self.put_off.notify_one();
                }
            } else if let Some(mailbox) = self.streams.get(&socket) {
                for answer in batch {
                    mailbox.put(&octets[answer.octets.clone()]);
                }
            }
        }
    }

    /// Answers that clients were not given, because there was no room for them.
    pub fn unsent(&self) -> u64 {
        self.listeners.iter().map(Egress::dropped).sum()
    }

    fn close_links(&mut self) {
        for link in &self.outbox.closes {
            if let Some(place) = self.links.get_mut(link.index as usize)
                && place.as_ref().is_some_and(|known| known.id == *link)
            {
                *place = None;
            }
        }
    }
}

/// Flushes after each round of reading. The runtime runs tasks in the order in
/// which they were woken, so this one comes behind all sockets of the round.
pub async fn flush_rounds(shared: Shared) {
    let due = shared.borrow().due.clone();
    loop {
        due.notified().await;
        shared.borrow_mut().flush(&shared);
    }
}

/// Sends answers that had no room when they were due.
pub async fn send_put_off(shared: Shared) {
    let put_off = shared.borrow().put_off.clone();
    loop {
        put_off.notified().await;
        loop {
            tokio::time::sleep(PAUSE).await;
            let mut worker = shared.borrow_mut();
            let Worker { listeners, outlet, .. } = &mut *worker;
            listeners.iter_mut().for_each(|listener| listener.try_again(outlet));
            if !listeners.iter().any(Egress::is_waiting) {
                break;
            }
        }
    }
}

/// Waits for timers and lets the engine know.
pub async fn keep_time(shared: Shared) {
    let timer = shared.borrow().timer.clone();
    loop {
        let (next, at) = {
            let mut worker = shared.borrow_mut();
            worker.armed = worker.engine.next_timeout();
            (worker.armed, worker.armed.map(|next| worker.instant(next)))
        };
        let (Some(next), Some(at)) = (next, at) else {
            timer.notified().await;
            continue;
        };
        tokio::select! {
            () = tokio::time::sleep_until(at.into()) => {}
            () = timer.notified() => continue,
        }
        let mut worker = shared.borrow_mut();
        let worker = &mut *worker;
        let now = worker.now().max(next);
        worker.engine.on_timeout(now, &mut worker.outbox);
        worker.flush(&shared);
        if worker.engine.has_given_back() && worker.given_back.elapsed() >= GIVE_BACK_EVERY {
            worker.given_back = Instant::now();
            give_memory_back();
        }
    }
}
#[cfg(test)]
mod tests;
