//! What a worker copies for the query log and dnstap. While nobody wants that, it
//! costs a look at a flag that is not set.

use crate::engine::{Answer, Client, LinkId, Open, Outbox, Time, Transport};
use crate::tap::{Batch, Entry, Handles, Kind, Pipe};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;

/// More entries than these are handed over at once, whatever else there is to do.
const MOST_TOGETHER: usize = 512;

/// One of the taps.
struct Tap {
    pipe: Pipe,
    batch: Batch,
}

impl Tap {
    fn new(pipe: Pipe) -> Self {
        Tap { pipe, batch: Batch::default() }
    }

    fn push(&mut self, now: Time, entry: Entry, octets: &[u8]) {
        self.batch.push(entry, octets);
        if self.batch.len() >= MOST_TOGETHER {
            self.ship(now);
        }
    }

    fn ship(&mut self, now: Time) {
        if !self.batch.is_empty() {
            self.pipe.offer(now, std::mem::take(&mut self.batch));
        }
    }
}

/// The way to a server.
struct Way {
    link: LinkId,
    server: SocketAddr,
    transport: Transport,
    own: Option<SocketAddr>,
}

/// A worker's taps.
pub struct Taps {
    /// Somebody wants copies.
    on: bool,
    query_log: Option<(NonZeroU32, Tap)>,
    dnstap: Option<Tap>,
    /// Picks the answers that are logged.
    dice: u64,
    /// Where the listeners are.
    listeners: Vec<Option<SocketAddr>>,
    /// Where clients on streams have come to.
    streams: HashMap<u64, SocketAddr>,
    ways: Vec<Option<Way>>,
}

impl Taps {
    /// None, of a worker with these listeners.
    pub fn new(listeners: Vec<Option<SocketAddr>>) -> Self {
        Taps {
            on: false,
            query_log: None,
            dnstap: None,
            dice: rand::random::<u64>() | 1,
            listeners,
            streams: HashMap::new(),
            ways: Vec::new(),
        }
    }

    /// From now on copies go there.
    pub fn set(&mut self, now: Time, handles: Handles) {
        self.ship(now);
        self.query_log = handles.query_log.map(|(of, pipe)| (of, Tap::new(pipe)));
        self.dnstap = handles.dnstap.map(Tap::new);
        self.on = self.query_log.is_some() || self.dnstap.is_some();
    }

    /// Somebody wants copies.
    pub fn are_on(&self) -> bool {
        self.on
    }

    /// Some wait to be handed over.
    pub fn are_waiting(&self) -> bool {
        self.on
            && (self.query_log.as_ref().is_some_and(|(_, tap)| !tap.batch.is_empty())
                || self.dnstap.as_ref().is_some_and(|tap| !tap.batch.is_empty()))
    }

    /// Hands over what there is.
    pub fn ship(&mut self, now: Time) {
        if let Some((_, tap)) = &mut self.query_log {
            tap.ship(now);
        }
        if let Some(tap) = &mut self.dnstap {
            tap.ship(now);
        }
    }

    /// A socket to a server was opened.
    pub fn opened(&mut self, open: Open, own: Option<SocketAddr>) {
        let index = open.link.index as usize;
        if self.ways.len() <= index {
            self.ways.resize_with(index + 1, || None);
        }
        let Open { link, server, transport } = open;
        self.ways[index] = Some(Way { link, server, transport, own });
    }

    /// A client's stream was opened.
    pub fn stream_opened(&mut self, socket: u64, own: Option<SocketAddr>) {
        if let (Some(own), true) = (own, self.dnstap.is_some()) {
            self.streams.insert(socket, own);
        }
    }

    /// It is closed.
    pub fn stream_closed(&mut self, socket: u64) {
        self.streams.remove(&socket);
    }

    /// A client sent a query.
    pub fn query(&mut self, now: Time, client: Client, octets: &[u8]) {
        if self.dnstap.is_none() {
            return;
        }
        let own = self.own(client);
        if let Some(tap) = &mut self.dnstap {
            let entry = Entry::new(Kind::ClientQuery, now, client.addr, client.transport);
            tap.push(now, Entry { own, ..entry }, octets);
        }
    }

    /// A server sent something.
    pub fn reply(&mut self, now: Time, link: LinkId, octets: &[u8]) {
        self.between(Kind::ForwarderResponse, now, link, octets);
    }

    /// All this is sent now.
    pub fn sent(&mut self, now: Time, outbox: &Outbox) {
        for answer in &outbox.answers {
            self.answer(now, answer, &outbox.octets[answer.octets.clone()]);
        }
        if self.dnstap.is_some() {
            for send in &outbox.sends {
                let octets = &outbox.octets[send.octets.clone()];
                self.between(Kind::ForwarderQuery, now, send.link, octets);
            }
        }
    }

    fn answer(&mut self, now: Time, answer: &Answer, octets: &[u8]) {
        let Answer { client, came, kept, .. } = *answer;
        let entry = Entry::new(Kind::ClientResponse, now, client.addr, client.transport);
        let entry = Entry { came: Some(came), kept, ..entry };
        let picked = self.query_log.as_ref().is_some_and(|(of, _)| pick(&mut self.dice, *of));
        if let (true, Some((_, tap))) = (picked, &mut self.query_log) {
            tap.push(now, entry.clone(), octets);
        }
        if self.dnstap.is_none() {
            return;
        }
        let own = self.own(client);
        if let Some(tap) = &mut self.dnstap {
            tap.push(now, Entry { own, ..entry }, octets);
        }
    }

    fn between(&mut self, kind: Kind, now: Time, link: LinkId, octets: &[u8]) {
        let Some(tap) = &mut self.dnstap else { return };
        let way = self.ways.get(link.index as usize).and_then(Option::as_ref);
        let Some(way) = way.filter(|way| way.link == link) else { return };
        let entry = Entry::new(kind, now, way.server, way.transport);
        tap.push(now, Entry { own: way.own, ..entry }, octets);
    }

    /// The address that a client asked.
    fn own(&self, client: Client) -> Option<SocketAddr> {
        let known = match self.listeners.get(client.socket as usize) {
            Some(listener) => *listener,
            None => self.streams.get(&client.socket).copied(),
        };
        let mut own = known?;
        if let Some(ip) = client.local {
            own.set_ip(ip);
        }
        Some(own)
    }
}

/// Whether this one of `of` is picked, at random: what comes in a rhythm would
/// always or never be picked by counting.
fn pick(dice: &mut u64, of: NonZeroU32) -> bool {
    if of == NonZeroU32::MIN {
        return true;
    }
    *dice ^= *dice << 13;
    *dice ^= *dice >> 7;
    *dice ^= *dice << 17;
    let drawn = *dice >> 32;
    (drawn * u64::from(of.get())) >> 32 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_so_many_is_picked() {
        let mut dice = 0x1234_5678_9abc_def1;
        let mut picked = |of| {
            let of = NonZeroU32::new(of).unwrap();
            (0..1_000_000).filter(|_| pick(&mut dice, of)).count()
        };
        assert_eq!(picked(1), 1_000_000);
        assert!((9_500..10_500).contains(&picked(100)));
        assert!((490_000..510_000).contains(&picked(2)));
    }
}
