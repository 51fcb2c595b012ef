//! Asking a cluster over a connection: when a datagram could not hold its answer
//! (T2), when datagrams are not to be trusted, or over TLS (RFC 7858).
//!
//! One connection carries all questions to one server, pipelined. It is closed
//! when nothing has moved on it for a while, and the engine is told whenever it
//! ends, for whatever reason.

use super::frames;
use super::worker::{Shared, Worker};
use crate::config::Tls;
use crate::engine::{LinkId, LinkState};
use bytes::BytesMut;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

/// A connection that nothing moves on is closed after this: several deadlines,
/// so that no question is waiting on it any more.
const IDLE: Duration = Duration::from_secs(10);

/// Questions that wait are written together, up to so many octets: one segment
/// for a batch of them.
const WRITTEN_TOGETHER: usize = 16 * 1024;

/// Carries questions and replies until the connection ends.
pub async fn run(
    shared: Shared,
    link: LinkId,
    server: SocketAddr,
    tls: Option<Tls>,
    frames: UnboundedReceiver<Vec<u8>>,
) {
    if let Err(error) = connect(&shared, link, server, tls.as_ref(), frames).await {
        // Over TCP a server may well be silent; one over TLS is there for it,
        // and what is wrong with its certificate is worth knowing.
        if let Some(tls) = tls {
            let named = crate::config::Server { addr: server, tls: Some(tls) };
            shared.borrow_mut().teller.no_stream(&named, &error);
        }
    }
    let mut worker = shared.borrow_mut();
    let worker: &mut Worker = &mut worker;
    let now = worker.now();
    worker.engine.on_link(now, link, LinkState::Closed, &mut worker.outbox);
    worker.flush(&shared);
}

async fn connect(
    shared: &Shared,
    link: LinkId,
    server: SocketAddr,
    tls: Option<&Tls>,
    questions: UnboundedReceiver<Vec<u8>>,
) -> io::Result<()> {
    let stream = timeout(IDLE, TcpStream::connect(server)).await??;
    stream.set_nodelay(true)?;
    let Some(tls) = tls else {
        return converse(shared, link, stream, questions).await;
    };
    let connector = shared.borrow().keys().connector(&tls.ca);
    let connector = connector.ok_or_else(|| io::Error::other("its authorities are not known"))?;
    let stream = timeout(IDLE, connector.connect(tls.name.clone(), stream)).await??;
    converse(shared, link, stream, questions).await
}

async fn converse(
    shared: &Shared,
    link: LinkId,
    stream: impl AsyncRead + AsyncWrite,
    mut questions: UnboundedReceiver<Vec<u8>>,
) -> io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut input = BytesMut::new();
    let mut output = BytesMut::new();
    loop {
        tokio::select! {
            frame = questions.recv() => {
                let Some(frame) = frame else { return Ok(()) };
                frames::push(&mut output, &frame);
                while output.len() < WRITTEN_TOGETHER && let Ok(frame) = questions.try_recv() {
                    frames::push(&mut output, &frame);
                }
                let write = async {
                    writer.write_all(&output).await?;
                    writer.flush().await
                };
                timeout(IDLE, write).await??;
                output.clear();
            }
            read = timeout(IDLE, reader.read_buf(&mut input)) => {
                // Nothing more to say is no fault; what was asked is the engine's care.
                let Ok(read) = read else { return Ok(()) };
                if read? == 0 {
                    return Ok(());
                }
                take_replies(shared, link, &mut input);
            }
        }
    }
}

fn take_replies(shared: &Shared, link: LinkId, input: &mut BytesMut) {
    let mut worker = shared.borrow_mut();
    let worker: &mut Worker = &mut worker;
    let now = worker.now();
    while let Some(packet) = frames::first(input) {
        let len = packet.len();
        worker.taps.reply(now, link, packet);
        worker.engine.on_reply(now, link, packet, &mut worker.outbox);
        frames::advance(input, len);
    }
    worker.flush(shared);
}
