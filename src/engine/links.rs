//! The sockets towards the clusters, as the engine sees them: names for
//! sockets it never touches, and the IDs in flight on each.
//!
//! A link is one connected socket on one random port. Each server has a few,
//! replaced by age and by use before their ports can be scanned; for each
//! millisecond one of them is picked at random, so that sending in batches and
//! hiding the port do not fight (U2). An ID is drawn at
//! random among those free on its link. It stays taken while its question is
//! in flight and rests for a while after, so that a late reply meets no new
//! question.

use super::ids::Ids;
use super::outbox::{Open, Outbox, Transport};
use super::server::Server;
use super::time::Time;
use super::windows::{Window, Windows};
use crate::config;
use ahash::RandomState;
use rand::RngExt;
use rand::rngs::StdRng;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Datagram sockets per server. With two workers that is eight ports a forger
/// has to hit, each with its own ID.
pub const LINKS_PER_SERVER: usize = 4;

/// A link is replaced after 20 to 40 seconds ...
const LIFETIME: std::ops::Range<u64> = 20_000_000..40_000_000;

/// ... or after this many questions: half the IDs there are.
const USES: std::ops::Range<u32> = 16_384..32_768;

/// An ID rests this long after its question is done. Longer than a reply is
/// ever on its way from a server that will not be waited for any more.
const REST: Duration = Duration::from_secs(1);

/// The engine's name for a socket. A name is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkId {
    /// A small number, used again when its link is gone.
    pub index: u32,
    pub(super) generation: u32,
}

/// Whose answer an ID in flight is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// A query's.
    Sub {
        /// The gather's index.
        gather: u32,
        /// Its sub-question.
        sub: u16,
        /// Where the question is counted.
        window: Window,
    },
    /// Ours: whether a server is back (U5).
    Probe {
        /// The server.
        server: u32,
    },
}

pub(super) struct Link {
    generation: u32,
    open: bool,
    server: u32,
    transport: Transport,
    ids: Ids,
    /// IDs in flight.
    in_flight: u32,
    uses_left: u32,
    /// No question has gone out on it yet.
    unused: bool,
    expires: Time,
    /// When something last came on it, ...
    pub(super) heard_at: Option<Time>,
    /// ... and when first.
    proven_at: Option<Time>,
    /// No new questions; closed when the last one in flight is done.
    retired: bool,
}

struct Resting {
    until: Time,
    link: LinkId,
    id: u16,
}

/// All servers, links and IDs in flight.
pub struct Links {
    /// The servers ever named by a plan.
    pub servers: Vec<Server>,
    by_name: HashMap<config::Server, usize, RandomState>,
    pub(super) links: Vec<Link>,
    free: Vec<u32>,
    slots: HashMap<u64, Slot, RandomState>,
    /// Of the IDs in flight by datagram, how many are for the same question.
    pub windows: Windows,
    resting: VecDeque<Resting>,
    rng: StdRng,
}

impl Links {
    /// Nothing yet; all randomness comes from `rng`.
    pub fn new(rng: StdRng, hasher: RandomState) -> Self {
        Links {
            servers: Vec::new(),
            by_name: HashMap::with_hasher(hasher.clone()),
            links: Vec::new(),
            free: Vec::new(),
            slots: HashMap::with_hasher(hasher),
            windows: Windows::default(),
            resting: VecDeque::new(),
            rng,
        }
    }

    /// The number of a server.
    pub fn server(&mut self, server: &config::Server) -> usize {
        if let Some(&known) = self.by_name.get(server) {
            return known;
        }
        *self.by_name.entry(server.clone()).or_insert_with(|| {
            self.servers.push(Server::new(server));
            self.servers.len() - 1
        })
    }

    /// Takes an ID for a question to `server`, on a link that may have to be
    /// opened first. `None` if every ID is taken: a slot is never stolen.
    pub fn claim(
        &mut self,
        now: Time,
        server: usize,
        transport: Transport,
        slot: Slot,
        out: &mut Outbox,
    ) -> Option<(LinkId, u16)> {
        self.wake_rested(now);
        let index = match transport {
            Transport::Udp => self.pick_udp(now, server, out)?,
            Transport::Tcp | Transport::Tls => self.pick_stream(now, server, out),
        };
        let link = &mut self.links[index as usize];
        let id = link.ids.draw(&mut self.rng)?;
        link.in_flight += 1;
        link.uses_left = link.uses_left.saturating_sub(1);
        self.slots.insert(key(index, id), slot);
        if let (Transport::Udp, Slot::Sub { window, .. }) = (transport, slot) {
            self.windows.open(window);
        }
        Some((LinkId { index, generation: link.generation }, id))
    }

    /// The link to a server for this millisecond: what is sent together can be
    /// received together, and a forger still has to guess among all.
    fn pick_udp(&mut self, now: Time, server: usize, out: &mut Outbox) -> Option<u32> {
        let known = &self.servers[server];
        let picked_now = known.picked_at.is_some_and(|at| at.tick() == now.tick());
        let first =
            if picked_now { known.picked } else { self.rng.random_range(0..LINKS_PER_SERVER) };
        for step in 0..LINKS_PER_SERVER {
            let n = (first + step) % LINKS_PER_SERVER;
            let index = match self.servers[server].udp[n] {
                Some(index) if self.is_fresh(index, now) => index,
                old => {
                    if let Some(old) = old {
                        self.retire(old, out);
                    }
                    let index = self.open(now, server, Transport::Udp, out);
                    self.servers[server].udp[n] = Some(index);
                    index
                }
            };
            if !self.links[index as usize].ids.is_full() {
                let known = &mut self.servers[server];
                known.picked = n;
                known.picked_at = Some(now);
                return Some(index);
            }
        }
        None
    }

    /// Something came on a link.
    pub fn note_heard(&mut self, now: Time, id: LinkId) {
        if let Some(link) = self.links.get_mut(id.index as usize) {
            link.heard_at = Some(now);
            link.proven_at.get_or_insert(now);
        }
    }

    /// Whether something had come on a link before this time.
    pub fn was_proven(&self, id: LinkId, at: Time) -> bool {
        let proven_at = self.links.get(id.index as usize).and_then(|link| link.proven_at);
        proven_at.is_some_and(|proven_at| proven_at < at)
    }

    /// When something came on a link.
    pub fn heard_at(&self, id: LinkId) -> Option<Time> {
        self.links.get(id.index as usize)?.heard_at
    }

    /// The server behind a link.
    pub fn server_of(&self, id: LinkId) -> Option<usize> {
        self.is_open(id).then(|| self.links[id.index as usize].server as usize)
    }

    /// The first question on a link asks whether the server speaks cookies; tells
    /// whether this is it.
    pub fn take_first_use(&mut self, id: LinkId) -> bool {
        self.links.get_mut(id.index as usize).is_some_and(|link| std::mem::take(&mut link.unused))
    }

    /// No question on this link ever had this ID.
    pub fn was_never_used(&self, id: LinkId, message_id: u16) -> bool {
        self.is_open(id) && self.links[id.index as usize].ids.was_never_used(message_id)
    }

    /// The datagram sockets of a server.
    pub fn datagram_links(&self, server: usize) -> impl Iterator<Item = LinkId> {
        let open = self.links.iter().enumerate().filter(move |(_, link)| {
            link.open && link.server as usize == server && link.transport == Transport::Udp
        });
        open.map(|(index, link)| LinkId { index: index as u32, generation: link.generation })
    }

    fn is_fresh(&self, index: u32, now: Time) -> bool {
        let link = &self.links[index as usize];
        now < link.expires && link.uses_left > 0
    }

    pub(super) fn open(
        &mut self,
        now: Time,
        server: usize,
        transport: Transport,
        out: &mut Outbox,
    ) -> u32 {
        let expires = now + Duration::from_micros(self.rng.random_range(LIFETIME));
        let uses_left = self.rng.random_range(USES);
        let index = self.free.pop().unwrap_or_else(|| {
            self.links.push(Link {
                generation: 0,
                open: false,
                server: 0,
                transport,
                ids: Ids::default(),
                in_flight: 0,
                uses_left: 0,
                unused: true,
                expires,
                heard_at: None,
                proven_at: None,
                retired: false,
            });
            self.links.len() as u32 - 1
        });
        let link = &mut self.links[index as usize];
        link.generation = link.generation.wrapping_add(1);
        link.open = true;
        link.server = server as u32;
        link.transport = transport;
        link.ids.clear();
        link.in_flight = 0;
        link.unused = true;
        link.heard_at = None;
        link.proven_at = None;
        link.uses_left = uses_left;
        link.expires = expires;
        link.retired = false;
        out.opens.push(Open {
            link: LinkId { index, generation: link.generation },
            server: self.servers[server].addr,
            transport,
        });
        index
    }

    pub(super) fn retire(&mut self, index: u32, out: &mut Outbox) {
        let link = &mut self.links[index as usize];
        link.retired = true;
        if link.in_flight == 0 {
            self.close(index, out);
        }
    }

    /// No more questions for this server; its sockets close when those in
    /// flight are done. Should it be named again, nothing is held against it.
    pub fn leave(&mut self, server: usize, out: &mut Outbox) {
        for index in self.servers[server].forget() {
            self.retire(index, out);
        }
    }

    fn close(&mut self, index: u32, out: &mut Outbox) {
        let link = &mut self.links[index as usize];
        link.open = false;
        out.closes.push(LinkId { index, generation: link.generation });
        self.free.push(index);
    }

    /// The question with this ID on this link is done; the ID goes to rest.
    pub fn release(&mut self, now: Time, id: LinkId, message_id: u16, out: &mut Outbox) {
        if !self.is_open(id) {
            return;
        }
        let Some(slot) = self.slots.remove(&key(id.index, message_id)) else { return };
        let Some(link) = self.links.get_mut(id.index as usize) else { return };
        if let (Transport::Udp, Slot::Sub { window, .. }) = (link.transport, slot) {
            self.windows.close(window);
        }
        link.in_flight -= 1;
        if link.retired && link.in_flight == 0 {
            self.close(id.index, out);
        } else {
            self.resting.push_back(Resting { until: now + REST, link: id, id: message_id });
        }
    }

    fn wake_rested(&mut self, now: Time) {
        while let Some(resting) = self.resting.front()
            && resting.until <= now
        {
            if let Some(link) = self.links.get_mut(resting.link.index as usize)
                && link.generation == resting.link.generation
                && link.open
            {
                link.ids.free(resting.id);
            }
            self.resting.pop_front();
        }
    }

    /// Whose answer this is, if anybody's.
    pub fn find(&self, id: LinkId, message_id: u16) -> Option<Slot> {
        self.is_open(id).then(|| self.slots.get(&key(id.index, message_id)).copied())?
    }

    /// Whether the caller may still mean this link.
    pub fn is_open(&self, id: LinkId) -> bool {
        self.links
            .get(id.index as usize)
            .is_some_and(|link| link.open && link.generation == id.generation)
    }

    /// The link's transport, while it is open.
    pub fn transport(&self, id: LinkId) -> Transport {
        self.links.get(id.index as usize).map_or(Transport::Udp, |link| link.transport)
    }

    /// The socket behind a link is gone: no new questions go there. What was
    /// in flight on it is for the caller to move.
    pub fn lost(&mut self, id: LinkId, out: &mut Outbox) {
        if !self.is_open(id) {
            return;
        }
        let server = self.links[id.index as usize].server as usize;
        let known = &mut self.servers[server];
        for place in known.udp.iter_mut().chain([&mut known.stream]) {
            if *place == Some(id.index) {
                *place = None;
            }
        }
        self.retire(id.index, out);
    }

    /// Appends everything in flight on a link to `list`.
    pub fn in_flight_on(&self, id: LinkId, list: &mut Vec<(u16, Slot)>) {
        if !self.is_open(id) {
            return;
        }
        for message_id in self.links[id.index as usize].ids.taken() {
            if let Some(&slot) = self.slots.get(&key(id.index, message_id)) {
                list.push((message_id, slot));
            }
        }
    }

    /// A random number below `bound`, which is not 0.
    pub fn random_below(&mut self, bound: usize) -> usize {
        self.rng.random_range(0..bound.max(1))
    }

    /// Random bits.
    pub fn random_bits(&mut self) -> u128 {
        self.rng.random()
    }

    /// Questions in flight on all links.
    pub fn in_flight(&self) -> usize {
        self.slots.len()
    }
}

fn key(index: u32, id: u16) -> u64 {
    u64::from(index) << 16 | u64::from(id)
}

#[cfg(test)]
mod tests;
