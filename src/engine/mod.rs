//! The heart: a state machine that is fed packets and a clock, and says which
//! packets to send. It owns no socket, starts no task and reads no clock; its
//! randomness comes from a seed. UDP, TCP, the tests, the benchmarks and the
//! fuzzers are shells around the same calls:
//!
//! 1. [`Engine::on_query`]: a client asked ([`query`]).
//! 2. [`Engine::on_reply`]: a cluster answered ([`reply`]).
//! 3. [`Engine::on_link`]: a socket towards a cluster is in trouble ([`retry`]).
//! 4. [`Engine::on_timeout`], when [`Engine::next_timeout`] has come ([`retry`]).
//!
//! Each puts what is due into the caller's [`Outbox`]; the engine keeps nothing
//! back. `now` never goes backwards, and is the same for all packets of a
//! batch.
//!
//! A query in flight is a [`gather::Gather`]: one sub-question for each cluster
//! ([`mod@sub`], [`ask`]), IDs and sockets from [`links`], one timer in the [`wheel`]. When
//! the last sub-question is settled, or the deadline has come, chains into other
//! clusters are asked on ([`follow`]), and [`finish`] has the answer merged
//! ([`merge`]) or passed on ([`relay`]).

mod admit;
mod ask;
mod cookies;
mod counters;
mod entangled;
pub mod explain;
mod finish;
mod follow;
mod gather;
mod guard;
mod health;
mod ids;
mod last_good;
mod links;
mod live;
mod memory;
pub mod merge;
pub mod meters;
mod note;
mod outbox;
mod overload;
mod probe;
mod query;
mod rate;
mod recall;
mod relay;
mod reply;
mod retry;
mod room;
mod rtt;
mod server;
mod share;
mod stand_in;
mod store;
mod streams;
mod sub;
mod suspect;
mod synth;
mod time;
mod unchanged;
mod vitals;
mod wheel;
mod windows;

pub use cookies::Secrets;
pub use counters::Counters;
pub use gather::Phase;
pub use guard::{GUESSES, SIEGE, SPAN};
pub use last_good::{Holding, LastGood};
pub use links::{LINKS_PER_SERVER, LinkId};
pub use outbox::{Answer, Client, Notice, Open, Outbox, Send, Transport};
pub use retry::LinkState;
pub use sub::Failure;
pub use time::Time;
pub use vitals::{ServerVitals, State, Vitals};
pub use windows::MOST as WINDOWS;

use crate::config::{Plan, Route, Tls};
use crate::wire::name::FlatName;
use admit::Door;
use ahash::RandomState;
use cookies::Baker;
use gather::{Gather, LivePlan};
use last_good::Journal;
use links::{Links, Slot};
use live::live;
use memory::Memory;
use merge::Merger;
use meters::Meter;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use wheel::Wheel;

/// What an engine keeps of earlier answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Questions.
    pub entries: usize,
    /// Octets of replies and answers.
    pub octets: usize,
    /// Entries that had to make room for others.
    pub evictions: u64,
}

/// Without a cache so many answers are kept all the same, over all workers, not
/// to merge again what has not changed ([`unchanged`]).
const UNCHANGED: usize = 10_000;

/// Questions whose merged answers one worker keeps.
fn kept(plan: &Plan) -> usize {
    let settings = &plan.settings;
    let most = settings.cache.max(settings.keep.min(UNCHANGED));
    most.div_ceil(settings.workers.get())
}

/// What the engines of one daemon have in common. Their clocks are one clock.
#[derive(Clone)]
pub struct Common {
    /// What cookies are made with.
    pub secrets: Secrets,
    /// Seconds since 1970 when the clock was at its start: cookies are dated.
    pub unix: u64,
    /// What the clusters said last.
    pub last_good: Arc<LastGood>,
}

/// One engine serves one worker: it has one owner. What it shares with others is
/// in [`LastGood`], off the usual path of a packet.
pub struct Engine {
    plan: Rc<LivePlan>,
    links: Links,
    gathers: Vec<Gather>,
    free: Vec<u32>,
    memory: Memory,
    gave_back: bool,
    /// Questions in flight that others may join (U4).
    shared: HashMap<u64, u32, RandomState>,
    hasher: RandomState,
    wheel: Wheel,
    /// When servers that are out are probed, by server.
    probes: Wheel,
    store: Store,
    /// What the clusters said last, as far as any worker knows.
    last_good: Arc<LastGood>,
    /// What this engine has heard and not handed in yet.
    journal: Journal,
    /// When a server last came back: what was incomplete before may be whole
    /// now.
    recovered: Time,
    /// Queries in flight by client, where that is limited.
    by_client: HashMap<IpAddr, usize, RandomState>,
    baker: Baker,
    door: Door,
    merger: Merger,
    counters: Counters,
    /// What is counted of questions for no zone or forward.
    stray: Meter,
    /// Where the question at hand was routed.
    asked: Option<Route>,
    /// The question's name, and the same in lower case.
    name: FlatName,
    folded: FlatName,
    /// Clients that wait for the answer to another's query.
    sharing: usize,
    moved: Vec<(u16, Slot)>,
    /// A reply as it would have come to a plain question.
    plain_reply: Vec<u8>,
    /// Whose turn it is, where servers take turns.
    round: u32,
    /// The report being kept, if one is wanted.
    explain: Option<Option<explain::Report>>,
}

impl Engine {
    /// An engine that serves `plan`. `seed` is 32 octets from the system's
    /// CSPRNG, or any others in a test that wants to run twice the same.
    pub fn new(plan: Arc<Plan>, seed: [u8; 32]) -> Self {
        let mut rng = StdRng::from_seed(seed);
        let secrets = Secrets { shown: rng.random(), given: rng.random() };
        let common = Common { secrets, unix: 0, last_good: LastGood::new(seed) };
        Self::in_daemon(plan, seed, common)
    }

    /// The same as one of a daemon's engines.
    pub fn in_daemon(plan: Arc<Plan>, seed: [u8; 32], common: Common) -> Self {
        let mut rng = StdRng::from_seed(seed);
        let baker = Baker::new(common.secrets, common.unix);
        let mut hasher = || {
            let mut key = || rng.next_u64();
            RandomState::with_seeds(key(), key(), key(), key())
        };
        let merger = Merger::new(hasher());
        let (slots, shared, sharing) = (hasher(), hasher(), hasher());
        let clients = hasher();
        let store = Store::new(kept(&plan), &mut hasher);
        let mut links = Links::new(rng, slots);
        let mut door = Door::new();
        let enrolment = common.last_good.enrol(&plan);
        let plan = live(plan, enrolment, None, &sharing, &mut links, &baker, &mut door.own);
        Engine {
            plan,
            links,
            gathers: Vec::new(),
            free: Vec::new(),
            memory: Memory::default(),
            gave_back: false,
            shared: HashMap::with_hasher(shared),
            hasher: sharing,
            wheel: Wheel::default(),
            probes: Wheel::default(),
            store,
            last_good: common.last_good,
            journal: Journal::default(),
            recovered: Time::default(),
            by_client: HashMap::with_hasher(clients),
            baker,
            door,
            merger,
            counters: Counters::default(),
            stray: Meter::default(),
            asked: None,
            name: FlatName::root(),
            folded: FlatName::root(),
            sharing: 0,
            moved: Vec::new(),
            plain_reply: Vec::new(),
            round: 0,
            explain: None,
        }
    }

    /// New configuration. Queries in flight finish on the one they came under,
    /// and what is kept of zones that have not changed is still good.
    pub fn set_plan(&mut self, now: Time, plan: Arc<Plan>, out: &mut Outbox) {
        let most = kept(&plan);
        self.door.own.clear();
        self.hand_in();
        let enrolment = self.last_good.enrol(&plan);
        let (before, hasher, links) = (self.plan.clone(), &self.hasher, &mut self.links);
        let (baker, own) = (&self.baker, &mut self.door.own);
        self.plan = live(plan, enrolment, Some(&before), hasher, links, baker, own);
        // Nothing but what is in flight holds on to the old one.
        self.store.move_to(&self.plan);
        self.store.bound(most);
        for gather in self.gathers.iter_mut().filter(|gather| !gather.live) {
            gather.plan = self.plan.clone();
        }
        let mut gone = vec![true; self.links.servers.len()];
        for &server in &self.plan.servers {
            gone[server] = false;
        }
        for server in (0..gone.len()).filter(|&server| gone[server]) {
            self.forget(now, server, out);
        }
    }

    /// When [`Self::on_timeout`] is due: never later than something is.
    pub fn next_timeout(&self) -> Option<Time> {
        let timers = [self.wheel.next(), self.probes.next(), self.journal.due()];
        timers.into_iter().flatten().min()
    }

    /// Whom the server behind a link has to prove to be, if it is asked over
    /// TLS.
    pub fn tls(&self, link: LinkId) -> Option<&Tls> {
        self.links.servers[self.links.server_of(link)?].tls.as_ref()
    }

    /// The longest time a query may take, of those in flight and to come.
    pub fn deadline(&self) -> Duration {
        let live = self.gathers.iter().filter(|gather| gather.live);
        let deadlines = live.map(|gather| gather.behaviour().deadline);
        deadlines.fold(self.plan.longest_deadline, Duration::max)
    }

    /// Queries not answered yet, those that share another's fan-out included.
    pub fn queries_in_flight(&self) -> usize {
        self.gathers.len() - self.free.len() + self.sharing
    }

    /// Much memory has been given back since this was asked last: a flood is over.
    pub fn has_given_back(&mut self) -> bool {
        std::mem::take(&mut self.gave_back)
    }

    /// Octets of memory that queries in flight take.
    pub fn octets_in_flight(&self) -> usize {
        self.memory.in_flight()
    }

    /// IDs in flight towards clusters: none when no query is.
    pub fn questions_in_flight(&self) -> usize {
        self.links.in_flight()
    }

    /// What is kept of earlier answers.
    pub fn kept(&self) -> Kept {
        Kept {
            entries: self.store.len(),
            octets: self.store.octets(),
            evictions: self.store.evictions(),
        }
    }

    /// What is held for when a cluster is missing, by all engines of the daemon.
    pub fn holding(&self) -> Holding {
        self.last_good.holding()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

impl Drop for Engine {
    /// What one worker heard outlives it.
    fn drop(&mut self) {
        self.hand_in();
    }
}
