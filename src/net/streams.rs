//! Clients over TCP and TLS (T4, RFC 7766, RFC 7858): pipelined queries,
//! answered as they complete.
//!
//! One task per connection reads frames while there is room for their answers,
//! and writes answers as they come. A client that reads nothing, sends nothing
//! or sends half a frame is let go; how soon depends on how many there are
//! ([`limits`](super::limits)).

use super::frames;
use super::life::Stage;
use super::limits::{ConnectionLimits, Patience, Permit};
use super::mailbox::Mailbox;
use super::proven::Proven;
use super::worker::Shared;
use crate::engine::{Client, Transport};
use bytes::BytesMut;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

/// How long to wait before accepting again when the system has no more files
/// or memory: UDP goes on meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A client that asks nothing for so long while the process is being replaced
/// is let go: its next connection is another's.
const PAUSE: Duration = Duration::from_millis(250);

/// What all connections of a listener share.
#[derive(Clone)]
pub struct Hall {
    /// The worker.
    pub shared: Shared,
    /// How many there may be.
    pub limits: Arc<ConnectionLimits>,
    /// Clients that are known to be where they say.
    pub proven: Arc<Proven>,
    /// Whether queries are still taken.
    pub stages: watch::Receiver<Stage>,
    /// Queries come over TLS.
    pub tls: bool,
}

impl Hall {
    fn admit(&self, client: SocketAddr) -> Option<Permit> {
        self.limits.admit(client.ip(), self.shared.borrow().most_connections())
    }

    fn patience(&self) -> Patience {
        self.limits.patience(self.shared.borrow().most_connections())
    }
}

/// Accepts connections for ever.
pub async fn accept(hall: Hall, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, addr)) => {
                // Who may not ask would take others' places.
                if !hall.shared.borrow().allows(addr) {
                    continue;
                }
                // Too many: closed at once, which tells the client to wait.
                match hall.admit(addr) {
                    Some(permit) => {
                        let serving = serve(hall.clone(), stream, addr, permit);
                        hall.shared.borrow().alarm.spawn(serving);
                    }
                    None => hall.shared.borrow_mut().turned_away += 1,
                }
            }
            Err(error) => {
                hall.shared.borrow_mut().teller.not_accepted(&error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(hall: Hall, stream: TcpStream, addr: SocketAddr, _permit: Permit) {
    let _ = stream.set_nodelay(true);
    hall.proven.note(addr.ip(), Instant::now().into_std());
    let own = stream.local_addr().ok();
    if !hall.tls {
        return Conversation::begin(hall, addr, own, Transport::Tcp).hold(stream).await;
    }
    let acceptor = hall.shared.borrow().keys().acceptor.clone();
    let Some(acceptor) = acceptor else { return };
    // Somebody who speaks no TLS, or not ours, is nobody's business but theirs.
    if let Ok(Ok(stream)) = timeout(hall.patience().unfinished, acceptor.accept(stream)).await {
        Conversation::begin(hall, addr, own, Transport::Tls).hold(stream).await;
    }
}

/// One client, from its first query to its last answer.
struct Conversation {
    hall: Hall,
    client: Client,
    mailbox: Rc<Mailbox>,
    input: BytesMut,
    /// When the frame began that is not complete yet.
    begun: Option<Instant>,
}

impl Conversation {
    fn begin(hall: Hall, addr: SocketAddr, own: Option<SocketAddr>, transport: Transport) -> Self {
        let (socket, mailbox) = {
            let mut worker = hall.shared.borrow_mut();
            worker.connections[usize::from(hall.tls)] += 1;
            let (socket, mailbox) = worker.open_stream();
            worker.taps.stream_opened(socket, own);
            (socket, mailbox)
        };
        let client = Client { addr, local: None, transport, socket, proven: true };
        Conversation { hall, client, mailbox, input: BytesMut::new(), begun: None }
    }

    async fn hold(mut self, stream: impl AsyncRead + AsyncWrite) {
        let (reader, writer) = tokio::io::split(stream);
        self.converse(reader, writer).await;
        // Answers that still come for it are dropped by the worker.
        let mut worker = self.hall.shared.borrow_mut();
        worker.streams.remove(&self.client.socket);
        worker.taps.stream_closed(self.client.socket);
        worker.connections[usize::from(self.hall.tls)] -= 1;
    }

    /// Reads and writes until the client is done or does nothing.
    async fn converse(
        &mut self,
        mut reader: impl AsyncRead + Unpin,
        mut writer: impl AsyncWrite + Unpin,
    ) {
        let mut reading = true;
        let mut active = Instant::now();
        let mut stages = self.hall.stages.clone();
        loop {
            let stage = *stages.borrow_and_update();
            if stage == Stage::Stop {
                reading = false;
            }
            self.take_frames();
            if !self.write_out(&mut writer).await {
                return;
            }
            // Frames may have become readable by the room that writing made.
            if frames::first(&self.input).is_some() && self.mailbox.has_room() {
                continue;
            }
            if self.mailbox.is_overrun() || (!reading && self.mailbox.is_empty()) {
                return;
            }
            let patience = self.hall.patience();
            let end = match self.begun {
                Some(begun) => begun + patience.unfinished,
                None if stage == Stage::Serve => active + patience.idle,
                None => active + patience.idle.min(PAUSE),
            };
            let room = reading && self.mailbox.has_room();
            tokio::select! {
                read = timeout_at(end, reader.read_buf(&mut self.input)), if room => match read {
                    Ok(Ok(0)) => reading = false,
                    Ok(Ok(_)) => active = Instant::now(),
                    // A client with answers to come may be silent meanwhile.
                    Err(_) if self.mailbox.is_waiting() && self.begun.is_none() => {
                        active = Instant::now();
                    }
                    Ok(Err(_)) | Err(_) => return,
                },
                () = self.mailbox.changed() => active = Instant::now(),
                // The time of a client that is to pause begins now.
                Ok(()) = stages.changed() => active = Instant::now(),
            }
        }
    }

    /// Hands complete frames to the engine, as long as there is room for
    /// answers.
    fn take_frames(&mut self) {
        if frames::first(&self.input).is_some() {
            self.begun = None;
            let mut worker = self.hall.shared.borrow_mut();
            let worker = &mut *worker;
            let now = worker.now();
            while let Some(packet) = frames::first(&self.input)
                && self.mailbox.has_room()
            {
                // Before, because an answer may be due at once.
                self.mailbox.expect();
                let len = packet.len();
                if worker.engine.on_query(now, self.client, packet, &mut worker.outbox) {
                    worker.taps.query(now, self.client, packet);
                } else {
                    self.mailbox.expect_no_more();
                }
                frames::advance(&mut self.input, len);
                // Room depends on the answers, so they are put where they go.
                worker.flush(&self.hall.shared);
            }
        }
        if !self.input.is_empty() && frames::first(&self.input).is_none() {
            self.begun.get_or_insert_with(Instant::now);
        }
    }

    /// Writes what is in the mailbox; tells whether the client still takes it.
    async fn write_out(&self, writer: &mut (impl AsyncWrite + Unpin)) -> bool {
        loop {
            let octets = self.mailbox.split();
            if octets.is_empty() {
                return true;
            }
            let end = Instant::now() + self.hall.patience().idle;
            let write = async {
                writer.write_all(&octets).await?;
                writer.flush().await
            };
            if !matches!(timeout_at(end, write).await, Ok(Ok(()))) {
                return false;
            }
        }
    }
}
#[cfg(test)]
mod tests;
