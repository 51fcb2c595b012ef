//! Asking a cluster over TCP, when a datagram could not hold its answer (T2).
//!
//! One connection carries all such questions to one server, pipelined. It is
//! closed when nothing has moved on it for a while, and the engine is told
//! whenever it ends, for whatever reason.

use super::frames;
use super::worker::{Shared, Worker};
use crate::engine::{LinkId, LinkState};
use bytes::BytesMut;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

/// A connection that nothing moves on is closed after this: several deadlines,
/// so that no question is waiting on it any more.
const IDLE: Duration = Duration::from_secs(10);

/// Carries questions and replies until the connection ends.
pub async fn run(
    shared: Shared,
    link: LinkId,
    server: SocketAddr,
    frames: UnboundedReceiver<Vec<u8>>,
) {
    if let Err(error) = converse(&shared, link, server, frames).await {
        tracing::debug!("TCP to {server}: {error}");
    }
    let mut worker = shared.borrow_mut();
    let worker: &mut Worker = &mut worker;
    let now = worker.now();
    worker.engine.on_link(now, link, LinkState::Closed, &mut worker.outbox);
    worker.flush(&shared);
}

async fn converse(
    shared: &Shared,
    link: LinkId,
    server: SocketAddr,
    mut questions: UnboundedReceiver<Vec<u8>>,
) -> io::Result<()> {
    let mut stream = timeout(IDLE, TcpStream::connect(server)).await??;
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.split();
    let mut input = BytesMut::new();
    loop {
        tokio::select! {
            frame = questions.recv() => {
                let Some(frame) = frame else { return Ok(()) };
                let mut octets = BytesMut::with_capacity(frames::LENGTH + frame.len());
                frames::push(&mut octets, &frame);
                timeout(IDLE, writer.write_all(&octets)).await??;
            }
            read = timeout(IDLE, reader.read_buf(&mut input)) => {
                if read?? == 0 {
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
        worker.engine.on_reply(now, link, packet, &mut worker.outbox);
        frames::advance(input, len);
    }
    worker.flush(shared);
}
