//! One question through the whole daemon but its listeners: for who wants to
//! see what becomes of it.

use super::frames::LENGTH;
use super::worker::{Served, Shared, Worker, flush_rounds, keep_time};
use super::{CannotRun, fresh_seed};
use crate::engine::explain::Report;
use crate::engine::{Client, Engine, Transport};
use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Asks what a client would have asked; returns the answer, and how it came
/// about if somebody had to be asked. A packet that gets no answer gives an
/// empty one.
pub fn ask(
    served: Served,
    packet: &[u8],
    transport: Transport,
) -> Result<(Vec<u8>, Option<Report>), CannotRun> {
    let patience = served.plan.longest_deadline() + Duration::from_secs(1);
    let mut engine = Engine::new(served.plan.clone(), fresh_seed()?);
    engine.explain_next();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build_local(tokio::runtime::LocalOptions::default())
        .map_err(CannotRun::start)?;
    runtime.block_on(async {
        let shared: Shared = Rc::new(RefCell::new(Worker::new(
            engine,
            Instant::now(),
            served,
            Vec::new(),
            &Arc::default(),
        )));
        let timer = tokio::task::spawn_local(keep_time(shared.clone()));
        let flusher = tokio::task::spawn_local(flush_rounds(shared.clone()));
        let mailbox = {
            let mut worker = shared.borrow_mut();
            let worker = &mut *worker;
            let (socket, mailbox) = worker.open_stream();
            let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let client = Client { addr, local: None, transport, socket, proven: false };
            let now = worker.now();
            worker.engine.on_query(now, client, packet, &mut worker.outbox);
            worker.flush(&shared);
            mailbox
        };
        let answer = tokio::time::timeout(patience, mailbox.take()).await.unwrap_or_default();
        timer.abort();
        flusher.abort();
        let report = shared.borrow().engine.report().cloned();
        shared.borrow_mut().close();
        Ok((answer.get(LENGTH..).unwrap_or_default().to_vec(), report))
    })
}
