//! The life of a worker: what it begins with, what it is told while it serves,
//! and how it ends without losing what has arrived.

use super::alarm::Alarm;
use super::batch::watch;
use super::limits::ConnectionLimits;
use super::proven::Proven;
use super::pulse::Beat;
use super::roster::Inquiry;
use super::sockets::{Opened, Service};
use super::tell::Teller;
use super::worker::{Served, Shared, Worker, flush_rounds, keep_time, send_put_off};
use super::{datagrams, streams};
use crate::engine::{Common, Engine};
use crate::tell::Reporter;
use std::cell::RefCell;
use std::io;
use std::net::UdpSocket;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use tokio::runtime::LocalRuntime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// How often a stopping worker looks whether it is done.
const STOP_POLL: Duration = Duration::from_millis(2);

/// How far a worker's end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It serves.
    Serve,
    /// It has no listeners any more; connections go on until they pause.
    Leave,
    /// It answers what is in flight, and ends.
    Stop,
}

/// What a worker is told from outside.
pub enum Order {
    /// To serve this from now on.
    Serve(Served),
    /// To say how it is doing.
    Tell(Inquiry),
    /// To say that it goes around.
    Beat(Beat),
}

/// Does what it is told.
async fn take_orders(shared: Shared, mut orders: mpsc::UnboundedReceiver<Order>) {
    while let Some(order) = orders.recv().await {
        let mut worker = shared.borrow_mut();
        let worker = &mut *worker;
        let now = worker.now();
        match order {
            Order::Serve(served) => worker.serve(now, served),
            Order::Tell(inquiry) => inquiry.answer(worker, now),
            // Who asked may have lost patience.
            Order::Beat(beat) => drop(beat.send(())),
        }
        worker.flush(&shared);
    }
}

/// What a worker begins with.
pub struct Birth {
    /// Its number.
    pub number: usize,
    /// What it serves.
    pub served: Served,
    /// For its randomness (U2).
    pub seed: [u8; 32],
    /// The same for all workers.
    pub common: Common,
    /// When the clock of all workers started.
    pub epoch: Instant,
    /// Who is told what it notices.
    pub reporter: Reporter,
    /// Its own sockets.
    pub listeners: Vec<Opened>,
    /// What it is told from then on.
    pub orders: mpsc::UnboundedReceiver<Order>,
    /// How far its end has come.
    pub stages: watch::Receiver<Stage>,
    /// How many TCP clients there may be.
    pub limits: Arc<ConnectionLimits>,
    /// Clients that are known to be where they say.
    pub proven: Arc<Proven>,
    /// Raised by a panic.
    pub alarm: Alarm,
}

/// A worker that has begun, on the thread that it stays on.
pub struct Life {
    runtime: LocalRuntime,
    shared: Shared,
    /// Its datagram sockets, and which of them are on every address of the host.
    listeners: Vec<(Rc<AsyncFd<UdpSocket>>, bool)>,
    /// What goes on until the end of all.
    lasting: Vec<JoinHandle<()>>,
    /// What lets queries in.
    letting_in: Vec<JoinHandle<()>>,
    stages: watch::Receiver<Stage>,
}

/// Begins a worker on this thread: from here on what comes is read. Fails if the
/// system has nothing left for it.
pub fn begin(birth: Birth) -> io::Result<Life> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build_local(tokio::runtime::LocalOptions::default())?;
    let entered = runtime.enter();
    let Birth { number, served, seed, common, epoch, reporter, listeners: opened, .. } = birth;
    let Birth { orders, stages, limits, proven, alarm, .. } = birth;
    let mut listeners = Vec::new();
    let mut accepting = Vec::new();
    for socket in opened {
        if let Some(udp) = socket.udp {
            listeners.push((Rc::new(watch(udp)?), socket.wildcard));
        }
        let tls = socket.service == Service::Tls;
        if let Some(tcp) = socket.tcp {
            accepting.push((tokio::net::TcpListener::from_std(tcp)?, tls));
        }
    }
    let sockets = listeners.iter().map(|(socket, _)| socket.clone()).collect();
    let taps = served.taps.clone();
    let engine = Engine::in_daemon(served.plan.clone(), seed, common);
    let mut worker = Worker::new(engine, epoch, served, sockets, &proven);
    worker.number = number;
    worker.alarm = alarm.clone();
    worker.teller = Teller::to(reporter);
    worker.taps.set(worker.now(), taps);
    let shared: Shared = Rc::new(RefCell::new(worker));
    let lasting = vec![
        alarm.spawn(keep_time(shared.clone())),
        alarm.spawn(flush_rounds(shared.clone())),
        alarm.spawn(send_put_off(shared.clone())),
        alarm.spawn(take_orders(shared.clone(), orders)),
    ];
    let mut letting_in = Vec::new();
    for (n, (socket, wildcard)) in listeners.iter().enumerate() {
        let task = datagrams::receive_queries(shared.clone(), n as u64, socket.clone(), *wildcard);
        letting_in.push(alarm.spawn(task));
    }
    for (socket, tls) in accepting {
        let (limits, stages) = (limits.clone(), stages.clone());
        let proven = proven.clone();
        let hall = streams::Hall { shared: shared.clone(), limits, proven, stages, tls };
        letting_in.push(alarm.spawn(streams::accept(hall, socket)));
    }
    drop(entered);
    Ok(Life { runtime, shared, listeners, lasting, letting_in, stages })
}

impl Life {
    /// Goes on until it is told to stop, and what is in flight is answered.
    pub fn run(self) {
        let Life { runtime, shared, listeners, lasting, letting_in, stages } = self;
        runtime.block_on(end(&shared, &listeners, letting_in, stages));
        lasting.iter().for_each(JoinHandle::abort);
    }
}

async fn end(
    shared: &Shared,
    listeners: &[(Rc<AsyncFd<UdpSocket>>, bool)],
    letting_in: Vec<JoinHandle<()>>,
    mut stages: watch::Receiver<Stage>,
) {
    let _ = stages.wait_for(|stage| *stage >= Stage::Leave).await;

    // No new queries but those that have arrived; then what is in flight.
    letting_in.iter().for_each(JoinHandle::abort);
    for (n, (socket, wildcard)) in listeners.iter().enumerate() {
        datagrams::drain_queries(shared, n as u64, socket, *wildcard);
    }
    // What was answered at once is sent before anybody looks what is in flight.
    shared.borrow_mut().flush(shared);
    let _ = stages.wait_for(|stage| *stage >= Stage::Stop).await;
    let deadline = shared.borrow().engine.deadline();
    let end = Instant::now() + deadline + deadline / 4;
    while Instant::now() < end {
        let done = {
            let worker = shared.borrow();
            worker.engine.queries_in_flight() == 0
                && worker.streams.values().all(|mailbox| mailbox.is_empty())
        };
        if done {
            break;
        }
        tokio::time::sleep(STOP_POLL).await;
    }
    shared.borrow_mut().close();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::plan;
    use crate::config::Plan;
    use crate::engine::{LastGood, Secrets};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    /// Has one of a worker's tasks panic, and tells whether anybody hears of it.
    fn is_heard(provoke: impl FnOnce(&mpsc::UnboundedSender<Order>, &Opened)) -> bool {
        let here = (Ipv4Addr::LOCALHOST, 0);
        let (udp, tcp) = (UdpSocket::bind(here).unwrap(), TcpListener::bind(here).unwrap());
        udp.set_nonblocking(true).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let opened =
            Opened { udp: Some(udp), tcp: Some(tcp), service: Service::Plain, wildcard: false };
        let (end, mut ended) = mpsc::unbounded_channel();
        let (orders, taken) = mpsc::unbounded_channel();
        let (_stage, stages) = watch::channel(Stage::Serve);
        let desk = crate::tell::Desk::open().unwrap();
        let flags = ["--zone", "a.", "--cluster", "k. a- 127.0.0.1:9"];
        let life = begin(Birth {
            number: 7,
            served: Served::load(Plan::clone(&plan(&flags))).unwrap(),
            seed: [1; 32],
            common: Common {
                secrets: Secrets { shown: [0; 16], given: [0; 16] },
                unix: 0,
                last_good: LastGood::new([2; 32]),
            },
            epoch: Instant::now(),
            reporter: desk.reporter().of(7),
            listeners: vec![opened.try_clone().unwrap()],
            orders: taken,
            stages,
            limits: Arc::new(ConnectionLimits::new(10)),
            proven: Arc::default(),
            alarm: Alarm::new(end, 7),
        });
        let Life { runtime, shared, .. } = life.unwrap();
        // All tasks wait for something; whoever then wants the worker panics: it is
        // borrowed.
        runtime.block_on(async {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        });
        assert!(ended.try_recv().is_err());
        let held = shared.borrow_mut();
        provoke(&orders, &opened);
        let error = runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(10), ended.recv()).await });
        drop(held);
        matches!(error, Ok(Some(error)) if error.to_string().starts_with("worker 7 ended"))
    }

    #[test]
    fn a_task_that_panicked_left_a_worker_that_swallowed_its_queries() {
        assert!(is_heard(|orders, _| drop(
            orders.send(Order::Beat(tokio::sync::oneshot::channel().0))
        )));
        assert!(is_heard(|_, opened| {
            let to = opened.udp.as_ref().unwrap().local_addr().unwrap();
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().send_to(&[0; 12], to).unwrap();
        }));
        assert!(is_heard(|_, opened| {
            let to = opened.tcp.as_ref().unwrap().local_addr().unwrap();
            drop(TcpStream::connect(to).unwrap());
        }));
    }
}
