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

use super::health::Health;
use super::outbox::{Open, Outbox, Transport};
use super::probe::Probe;
use super::rtt::Rtt;
use super::time::Time;
use ahash::RandomState;
use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
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

/// IDs on one socket.
const IDS: usize = 1 << 16;

/// The engine's name for a socket. A name is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkId {
    /// A small number, used again when its link is gone.
    pub index: u32,
    generation: u32,
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
    },
    /// Ours: whether a server is back (U5).
    Probe {
        /// The server.
        server: u32,
    },
}

struct Link {
    generation: u32,
    open: bool,
    server: u32,
    transport: Transport,
    /// One bit an ID: in flight or resting.
    taken: Box<[u64]>,
    /// IDs in flight.
    in_flight: u32,
    /// IDs taken, resting ones included.
    held: u32,
    uses_left: u32,
    expires: Time,
    /// No new questions; closed when the last one in flight is done.
    retired: bool,
}

/// A server and the way to it.
pub struct Server {
    /// Where it is.
    pub addr: SocketAddr,
    /// How long it takes.
    pub rtt: Rtt,
    /// Whether it is worth asking.
    pub health: Health,
    /// The probe on its way to it.
    pub(super) probe: Option<Probe>,
    /// What it is probed with: name, type and class.
    pub probe_question: Vec<u8>,
    udp: [Option<u32>; LINKS_PER_SERVER],
    picked: usize,
    picked_at: Option<Time>,
    tcp: Option<u32>,
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
    by_addr: HashMap<SocketAddr, usize, RandomState>,
    links: Vec<Link>,
    free: Vec<u32>,
    slots: HashMap<u64, Slot, RandomState>,
    resting: VecDeque<Resting>,
    rng: StdRng,
}

impl Links {
    /// Nothing yet; all randomness comes from `rng`.
    pub fn new(rng: StdRng, hasher: RandomState) -> Self {
        Links {
            servers: Vec::new(),
            by_addr: HashMap::with_hasher(hasher.clone()),
            links: Vec::new(),
            free: Vec::new(),
            slots: HashMap::with_hasher(hasher),
            resting: VecDeque::new(),
            rng,
        }
    }

    /// The number of the server at `addr`.
    pub fn server(&mut self, addr: SocketAddr) -> usize {
        *self.by_addr.entry(addr).or_insert_with(|| {
            self.servers.push(Server {
                addr,
                rtt: Rtt::default(),
                health: Health::default(),
                probe: None,
                probe_question: Vec::new(),
                udp: [None; LINKS_PER_SERVER],
                picked: 0,
                picked_at: None,
                tcp: None,
            });
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
            Transport::Tcp => self.pick_tcp(now, server, out),
        };
        let id = self.draw(index)?;
        let link = &mut self.links[index as usize];
        link.in_flight += 1;
        link.uses_left = link.uses_left.saturating_sub(1);
        self.slots.insert(key(index, id), slot);
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
            if (self.links[index as usize].held as usize) < IDS {
                let known = &mut self.servers[server];
                known.picked = n;
                known.picked_at = Some(now);
                return Some(index);
            }
        }
        None
    }

    fn pick_tcp(&mut self, now: Time, server: usize, out: &mut Outbox) -> u32 {
        if let Some(index) = self.servers[server].tcp {
            return index;
        }
        let index = self.open(now, server, Transport::Tcp, out);
        self.servers[server].tcp = Some(index);
        index
    }

    fn is_fresh(&self, index: u32, now: Time) -> bool {
        let link = &self.links[index as usize];
        now < link.expires && link.uses_left > 0
    }

    fn open(&mut self, now: Time, server: usize, transport: Transport, out: &mut Outbox) -> u32 {
        let expires = now + Duration::from_micros(self.rng.random_range(LIFETIME));
        let uses_left = self.rng.random_range(USES);
        let index = self.free.pop().unwrap_or_else(|| {
            self.links.push(Link {
                generation: 0,
                open: false,
                server: 0,
                transport,
                taken: vec![0; IDS / 64].into(),
                in_flight: 0,
                held: 0,
                uses_left: 0,
                expires,
                retired: false,
            });
            self.links.len() as u32 - 1
        });
        let link = &mut self.links[index as usize];
        link.generation = link.generation.wrapping_add(1);
        link.open = true;
        link.server = server as u32;
        link.transport = transport;
        link.taken.fill(0);
        link.in_flight = 0;
        link.held = 0;
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

    fn retire(&mut self, index: u32, out: &mut Outbox) {
        let link = &mut self.links[index as usize];
        link.retired = true;
        if link.in_flight == 0 {
            self.close(index, out);
        }
    }

    /// No more questions for this server; its sockets close when those in
    /// flight are done. Should it be named again, nothing is held against it.
    pub fn leave(&mut self, server: usize, out: &mut Outbox) {
        let known = &mut self.servers[server];
        known.health = Health::default();
        known.rtt = Rtt::default();
        let links = known.udp.iter_mut().map(Option::take).chain([known.tcp.take()]);
        for index in links.flatten().collect::<Vec<_>>() {
            self.retire(index, out);
        }
    }

    fn close(&mut self, index: u32, out: &mut Outbox) {
        let link = &mut self.links[index as usize];
        link.open = false;
        out.closes.push(LinkId { index, generation: link.generation });
        self.free.push(index);
    }

    /// A random ID among those free on a link; uniform but for a link nearly
    /// full, where the search goes on from a random place.
    fn draw(&mut self, index: u32) -> Option<u16> {
        let link = &mut self.links[index as usize];
        if link.held as usize >= IDS {
            return None;
        }
        let mut id = 0;
        for _ in 0..64 {
            id = self.rng.next_u32() as usize & (IDS - 1);
            if link.taken[id / 64] & (1 << (id % 64)) == 0 {
                break;
            }
        }
        while link.taken[id / 64] & (1 << (id % 64)) != 0 {
            id = (id + 1) & (IDS - 1);
        }
        link.taken[id / 64] |= 1 << (id % 64);
        link.held += 1;
        Some(id as u16)
    }

    /// The question with this ID on this link is done; the ID goes to rest.
    pub fn release(&mut self, now: Time, id: LinkId, message_id: u16, out: &mut Outbox) {
        if !self.is_open(id) || self.slots.remove(&key(id.index, message_id)).is_none() {
            return;
        }
        let Some(link) = self.links.get_mut(id.index as usize) else { return };
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
                let id = resting.id as usize;
                link.taken[id / 64] &= !(1 << (id % 64));
                link.held -= 1;
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
        for place in known.udp.iter_mut().chain([&mut known.tcp]) {
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
        let link = &self.links[id.index as usize];
        for (word, &bits) in link.taken.iter().enumerate() {
            let mut bits = bits;
            while bits != 0 {
                let message_id = (word * 64) as u16 | bits.trailing_zeros() as u16;
                bits &= bits - 1;
                if let Some(&slot) = self.slots.get(&key(id.index, message_id)) {
                    list.push((message_id, slot));
                }
            }
        }
    }

    /// A random number below `bound`, which is not 0.
    pub fn random_below(&mut self, bound: usize) -> usize {
        self.rng.random_range(0..bound.max(1))
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
mod tests {
    use super::*;
    use rand::SeedableRng;

    const SLOT: Slot = Slot::Sub { gather: 0, sub: 0 };

    fn links() -> (Links, usize) {
        let mut links = Links::new(StdRng::seed_from_u64(1), RandomState::with_seeds(1, 2, 3, 4));
        let server = links.server("10.8.0.1:53".parse().unwrap());
        (links, server)
    }

    #[test]
    fn u2_an_id_is_taken_once_until_it_has_rested() {
        let (mut links, server) = links();
        let mut out = Outbox::default();
        let mut seen = std::collections::HashSet::new();
        let now = Time::from_micros(1);
        let all = LINKS_PER_SERVER * IDS;
        let mut last = None;
        // More than a link's uses: its successors open, the old ones drain.
        while let Some((link, id)) = links.claim(now, server, Transport::Udp, SLOT, &mut out) {
            assert!(seen.insert((link, id)));
            last = Some((link, id));
            if seen.len() > all {
                break;
            }
        }
        assert!(seen.len() > all, "rotation makes room");
        let (link, id) = last.unwrap();
        links.release(now, link, id, &mut out);
        assert_eq!(links.find(link, id), None);
        links.release(now, link, id, &mut out);
        assert_eq!(links.in_flight(), seen.len() - 1);
    }

    #[test]
    fn u2_when_every_id_is_taken_none_is_stolen() {
        let (mut links, server) = links();
        let mut out = Outbox::default();
        let now = Time::from_micros(1);
        links.claim(now, server, Transport::Tcp, SLOT, &mut out).unwrap();
        for _ in 1..IDS {
            assert!(links.claim(now, server, Transport::Tcp, SLOT, &mut out).is_some());
        }
        assert_eq!(links.claim(now, server, Transport::Tcp, SLOT, &mut out), None);
    }

    #[test]
    fn u2_links_are_replaced_by_age_and_closed_when_drained() {
        let (mut links, server) = links();
        let mut out = Outbox::default();
        let (old, id) =
            links.claim(Time::default(), server, Transport::Udp, SLOT, &mut out).unwrap();
        let later = Time::from_micros(LIFETIME.end);
        let mut fresh = 0;
        for step in 0..100 {
            let now = later + Duration::from_millis(step);
            let (link, id) = links.claim(now, server, Transport::Udp, SLOT, &mut out).unwrap();
            assert_ne!(link, old);
            links.release(now, link, id, &mut out);
            fresh = out.opens.len();
        }
        assert_eq!(fresh, 1 + LINKS_PER_SERVER);
        assert!(out.closes.is_empty(), "a question is still in flight on the old link");
        assert_eq!(links.find(old, id), Some(SLOT));
        links.release(later, old, id, &mut out);
        assert_eq!(out.closes, [old]);
        assert_eq!(links.find(old, id), None);
    }

    #[test]
    fn a_batch_leaves_through_one_socket_and_batches_through_several() {
        let (mut links, server) = links();
        let mut out = Outbox::default();
        let mut used = std::collections::HashSet::new();
        for batch in 0..50u64 {
            let now = Time::from_micros(batch * 1000);
            let (link, _) = links.claim(now, server, Transport::Udp, SLOT, &mut out).unwrap();
            for _ in 0..10 {
                let (other, _) = links.claim(now, server, Transport::Udp, SLOT, &mut out).unwrap();
                assert_eq!(other, link);
            }
            used.insert(link);
        }
        assert_eq!(used.len(), LINKS_PER_SERVER);
    }
}
