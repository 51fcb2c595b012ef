//! UDP on both sides: queries in at the listeners, replies in at the links.

use super::batch::{BATCH, WATCHED};
use super::worker::{Shared, Worker};
use crate::engine::{Client, LinkId, LinkState, Transport};
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::rc::Rc;
use tokio::io::unix::AsyncFd;

/// Datagrams taken in at most when a worker stops: what its buffer may hold.
const DRAIN_BATCHES: usize = 64;

/// Reads one listener for ever.
pub async fn receive_queries(
    shared: Shared,
    listener: u64,
    socket: Rc<AsyncFd<UdpSocket>>,
    wildcard: bool,
) {
    // An error here is the runtime's end.
    while let Ok(mut ready) = socket.readable().await {
        let received = take_queries(&shared, listener, &socket, wildcard);
        // A batch that is not full has emptied the socket; the next datagram
        // makes it readable anew.
        if !matches!(received, Ok(BATCH)) {
            ready.clear_ready();
        }
    }
}

/// Takes in the queries that had arrived when the worker was told to stop.
pub fn drain_queries(shared: &Shared, listener: u64, socket: &AsyncFd<UdpSocket>, wildcard: bool) {
    for _ in 0..DRAIN_BATCHES {
        if !matches!(take_queries(shared, listener, socket, wildcard), Ok(BATCH)) {
            break;
        }
    }
}

fn take_queries(
    shared: &Shared,
    listener: u64,
    socket: &AsyncFd<UdpSocket>,
    wildcard: bool,
) -> io::Result<usize> {
    let mut worker = shared.borrow_mut();
    let worker: &mut Worker = &mut worker;
    let received = worker.inbox.receive(socket.get_ref().as_fd());
    let now = worker.now();
    for n in 0..*received.as_ref().unwrap_or(&0) {
        let Some(datagram) = worker.inbox.get(n) else { break };
        // A query that did not fit is cut somewhere, and answered FORMERR as
        // any other that is.
        let Some(addr) = datagram.from else { continue };
        let local = if wildcard { datagram.local } else { None };
        let client =
            Client { addr, local, transport: Transport::Udp, socket: listener, proven: false };
        if worker.engine.on_query(now, client, datagram.octets, &mut worker.outbox) {
            worker.taps.query(now, client, datagram.octets);
        }
    }
    worker.flush_soon();
    received
}

/// Reads one link until it is closed.
pub async fn receive_replies(shared: Shared, link: LinkId, socket: Rc<AsyncFd<UdpSocket>>) {
    while let Ok(mut ready) = socket.ready(WATCHED).await {
        let mut worker = shared.borrow_mut();
        let worker: &mut Worker = &mut worker;
        let received = worker.inbox.receive(socket.get_ref().as_fd());
        let now = worker.now();
        match received {
            Ok(count) => {
                if count < BATCH {
                    ready.clear_ready();
                }
                for n in 0..count {
                    let Some(datagram) = worker.inbox.get(n) else { break };
                    if !datagram.cut {
                        worker.taps.reply(now, link, datagram.octets);
                        worker.engine.on_reply(now, link, datagram.octets, &mut worker.outbox);
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // An ICMP error about something sent. Reading it has cleared it.
            Err(_) => worker.engine.on_link(now, link, LinkState::Refused, &mut worker.outbox),
        }
        worker.flush_soon();
    }
}
