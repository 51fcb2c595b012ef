//! TCP clients (T4, RFC 7766): pipelined queries, answered as they complete.
//!
//! One task per connection reads frames while there is room for their answers,
//! and writes answers as they come. A client that reads nothing, sends nothing
//! or sends half a frame is let go after [`IDLE`].

use super::frames;
use super::limits::{ConnectionLimits, Permit};
use super::worker::Shared;
use crate::engine::{Client, Transport};
use bytes::BytesMut;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// A connection on which nothing moves is closed (RFC 7766, 6.2.3, asks for
/// "a few seconds" and a client that wants more sends more).
const IDLE: Duration = Duration::from_secs(10);

/// Queries in flight on one connection; more wait in its socket.
const PIPELINED: usize = 64;

/// Octets of answers kept for a client that does not read; a whole answer of
/// the largest size always fits.
const UNREAD: usize = 256 * 1024;

/// How long to wait before accepting again when the system has no more files
/// or memory: UDP goes on meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where the engine's answers for a connection wait.
#[derive(Default)]
pub struct Mailbox {
    octets: RefCell<BytesMut>,
    waiting: Cell<usize>,
    writing: Cell<bool>,
    changed: Notify,
}

impl Mailbox {
    /// Puts one answer in.
    pub fn put(&self, answer: &[u8]) {
        frames::push(&mut self.octets.borrow_mut(), answer);
        self.waiting.set(self.waiting.get().saturating_sub(1));
        self.changed.notify_one();
    }

    /// Nothing is in it or on its way out, and nothing will come.
    pub fn is_empty(&self) -> bool {
        self.waiting.get() == 0 && !self.writing.get() && self.octets.borrow().is_empty()
    }

    /// Waits for an answer, and takes it out.
    pub async fn take(&self) -> BytesMut {
        loop {
            let answer = self.octets.borrow_mut().split();
            if !answer.is_empty() {
                return answer;
            }
            self.changed.notified().await;
        }
    }

    fn has_room(&self) -> bool {
        self.waiting.get() < PIPELINED && self.octets.borrow().len() < UNREAD
    }
}

/// Accepts connections for ever.
pub async fn accept(
    shared: Shared,
    listener: TcpListener,
    limits: Arc<ConnectionLimits>,
    stopped: watch::Receiver<bool>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, addr)) => {
                // Too many: closed at once, which tells the client to wait.
                if let Some(permit) = limits.admit(addr.ip()) {
                    let task = serve(shared.clone(), stream, addr, permit, stopped.clone());
                    tokio::task::spawn_local(task);
                }
            }
            Err(error) => {
                tracing::warn!("cannot accept a TCP connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(
    shared: Shared,
    mut stream: TcpStream,
    addr: SocketAddr,
    _permit: Permit,
    stopped: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let mailbox = Rc::new(Mailbox::default());
    let name = {
        let mut worker = shared.borrow_mut();
        let name = worker.name_stream();
        worker.streams.insert(name, mailbox.clone());
        name
    };
    let client = Client { addr, local: None, transport: Transport::Tcp, socket: name };
    let (reader, writer) = stream.split();
    converse(&shared, client, &mailbox, reader, writer, stopped).await;
    // Answers that still come for it are dropped by the worker.
    shared.borrow_mut().streams.remove(&name);
}

/// Reads and writes until the client is done or does nothing.
async fn converse(
    shared: &Shared,
    client: Client,
    mailbox: &Mailbox,
    mut reader: ReadHalf<'_>,
    mut writer: WriteHalf<'_>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut input = BytesMut::new();
    let mut reading = true;
    loop {
        take_frames(shared, client, mailbox, &mut input);
        if !write_out(mailbox, &mut writer).await {
            return;
        }
        // Frames may have become readable by the room that writing made.
        if frames::first(&input).is_some() && mailbox.has_room() {
            continue;
        }
        if !reading && mailbox.is_empty() {
            return;
        }
        let room = reading && mailbox.has_room();
        tokio::select! {
            read = timeout(IDLE, reader.read_buf(&mut input)), if room => match read {
                Ok(Ok(0)) => reading = false,
                Ok(Ok(_)) => {}
                // A client with answers to come may be silent meanwhile.
                Err(_) if mailbox.waiting.get() > 0 => {}
                Ok(Err(_)) | Err(_) => return,
            },
            () = mailbox.changed.notified() => {}
            _ = stopped.wait_for(|stop| *stop), if reading => reading = false,
        }
    }
}

/// Hands complete frames to the engine, as long as there is room for answers.
fn take_frames(shared: &Shared, client: Client, mailbox: &Mailbox, input: &mut BytesMut) {
    if frames::first(input).is_none() {
        return;
    }
    let mut worker = shared.borrow_mut();
    let worker = &mut *worker;
    let now = worker.now();
    while let Some(packet) = frames::first(input)
        && mailbox.has_room()
    {
        // Counted first: an answer that is due at once counts itself out.
        mailbox.waiting.set(mailbox.waiting.get() + 1);
        let len = packet.len();
        if !worker.engine.on_query(now, client, packet, &mut worker.outbox) {
            mailbox.waiting.set(mailbox.waiting.get() - 1);
        }
        frames::advance(input, len);
        // Room depends on the answers, so they are put where they go.
        worker.flush(shared);
    }
}

/// Writes what is in the mailbox; tells whether the client still takes it.
async fn write_out(mailbox: &Mailbox, writer: &mut WriteHalf<'_>) -> bool {
    loop {
        let mut octets = mailbox.octets.borrow_mut().split();
        mailbox.writing.set(!octets.is_empty());
        if octets.is_empty() {
            return true;
        }
        while !octets.is_empty() {
            match timeout(IDLE, writer.write_buf(&mut octets)).await {
                Ok(Ok(written)) if written > 0 => {}
                _ => return false,
            }
        }
    }
}
