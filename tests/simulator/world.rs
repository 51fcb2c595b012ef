//! One world: a daemon of some workers, its clients and clusters, and the
//! network between them, which is a heap of events with the moments they
//! happen.

use crate::book::{Book, Room, Word};
use crate::clients::{Manners, Query};
use crate::cluster::{self, Said};
use crate::common::{Asked, Lab};
use crate::floods;
use crate::health::Servers;
use crate::laws::cache::Cache;
use crate::laws::counters::Ledger;
use crate::laws::upstream::{Cause, Link, Question, Upstream};
use crate::laws::{Case, Given, Judge, Past, Rules};
use crate::names::{Name, asked_name};
use crate::outages::Outages;
use crate::reloads::{Change, Config};
use crate::tally::Tally;
use crate::truth::{Truth, Truths};
use crate::weather::Weather;
use domain::base::iana::Rtype;
use gathersrv::config::Plan;
use gathersrv::engine::WINDOWS;
use gathersrv::engine::{Client, LastGood, LinkId, LinkState, Notice, Time};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What a packet from a cluster is.
pub enum Kind {
    True(Said),
    /// A probe is answered.
    Probe(u8),
    /// It makes the engine ask again, or elsewhere.
    Excuse,
    /// It says, without the question, that it was not understood.
    Header,
    /// It should make no difference.
    Noise,
}

/// Who began to ask the clusters a question: the query, unless nobody waits for the
/// answer; when, and after how many changes of the configuration.
pub struct Leader {
    pub query: Option<u64>,
    pub started: Time,
    pub changes: u64,
}

/// Longer than two questions can be in flight, one after the other.
pub const IN_FLIGHT: Duration = Duration::from_secs(5);

pub enum Event {
    Query(Box<Query>),
    Reply { link: Link, id: u16, kind: Kind, packet: Vec<u8> },
    Strike(Link, LinkState),
    Reload,
    FloodBegins,
}

pub struct World {
    /// All workers there ever were; those that serve are `serving`.
    pub labs: Vec<Lab>,
    serving: Vec<usize>,
    last_good: Arc<LastGood>,
    pub now: Time,
    pub begin: Time,
    pub rng: StdRng,
    pub truths: Truths,
    pub weather: Weather,
    config: Config,
    pub plan: Arc<Plan>,
    pub rules: Rc<Rules>,
    most_servers: usize,
    most_clusters: usize,
    pub outages: Outages,
    favourites: Vec<(Name, Rtype, bool)>,
    book: Book,
    pub past: Past,
    pub tally: Tally,
    /// By moment, and for the same moment by order of coming.
    events: BTreeMap<(Time, u64), Event>,
    number: u64,
    flooded: u16,
    /// Queries not answered yet.
    pub open: BTreeMap<u64, (Case, Box<Query>)>,
    next_query: u64,
    /// First sub-questions of queries not answered yet.
    first: HashMap<(Link, u16), (u64, u8)>,
    /// What was asked lately on streams, and when: one that says nothing for a
    /// quarter of the deadline is taken for dead, and replaced.
    pub streamed: HashMap<(Link, u16), Time>,
    /// What was asked lately by datagram, under which ID.
    asked: VecDeque<(Time, Question, LinkId, u16)>,
    /// What has been sent, to which servers, and what has been counted.
    pub upstream: Upstream,
    pub servers: Servers,
    pub ledgers: Vec<Ledger>,
    pub cache: Cache,
    pub plans: Vec<Arc<Plan>>,
    pub leaders: HashMap<(usize, Name, Rtype, bool), Leader>,
    /// The shortest deadline there ever was.
    pub shortest: Duration,
    /// Times the configuration has changed.
    pub changes: u64,
}

impl World {
    pub fn new(seed: u64, weather: Weather) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let config = Config::new(&weather);
        let plan = config.plan();
        let truths = Truths { seed, large: weather.large };
        let rules = config.rules(&plan, truths, weather.ttl);
        let mut book = Book::default();
        if weather.keep < 100 {
            book.room = Room::Scarce;
        }
        let begin = Time::from_micros(1_000_000);
        let mut world = World {
            labs: Vec::new(),
            serving: Vec::new(),
            last_good: LastGood::new([9; 32]),
            now: begin,
            begin,
            truths,
            most_servers: config.servers(),
            // One may be added.
            most_clusters: weather.clusters.len() + 1,
            outages: Outages::default(),
            favourites: weather.favourites(&mut rng),
            rng,
            weather,
            config,
            plan,
            past: Past {
                reloaded: None,
                keep_on_empty: rules.keep_on_empty,
                deadline: rules.deadline,
            },
            rules,
            book,
            tally: Tally::default(),
            events: BTreeMap::new(),
            number: 0,
            flooded: 0,
            open: BTreeMap::new(),
            next_query: 0,
            first: HashMap::new(),
            streamed: HashMap::new(),
            asked: VecDeque::new(),
            upstream: Upstream::default(),
            servers: Servers::default(),
            ledgers: Vec::new(),
            cache: Cache::default(),
            plans: Vec::new(),
            leaders: HashMap::new(),
            shortest: Duration::MAX,
            changes: 0,
        };
        world.start_workers();
        world
    }

    /// Fresh workers serve from now on; those before end with what they have.
    fn start_workers(&mut self) {
        self.serving.clear();
        self.note_plan();
        for _ in 0..self.weather.workers {
            let number = self.labs.len();
            let mut seed = [number as u8; 32];
            seed[..8].copy_from_slice(&self.truths.seed.to_be_bytes());
            let mut lab = Lab::in_daemon(self.plan.clone(), seed, self.last_good.clone());
            lab.now = self.now;
            self.labs.push(lab);
            self.ledgers.push(Ledger::default());
            self.plans.push(self.plan.clone());
            self.serving.push(number);
        }
    }

    /// The whole life of a world.
    pub fn run(mut self) -> Tally {
        self.play();
        self.end();
        for lab in &self.labs {
            let counters = lab.engine.counters();
            self.tally.hits += counters.hits;
            self.tally.shared += counters.shared;
            self.tally.mismatched += counters.mismatched;
            self.tally.malformed += counters.malformed;
            self.tally.retransmitted += counters.retransmitted;
            self.tally.over_tcp += counters.truncated_replies;
            self.tally.overloaded += counters.overloaded;
            self.tally.sieges += counters.sieges;
        }
        self.tally
    }

    pub fn at(&mut self, time: Time, event: Event) {
        self.number += 1;
        self.events.insert((time, self.number), event);
    }

    pub fn chance(&mut self, percent: u32) -> bool {
        percent > 0 && self.rng.random_range(0..100) < percent
    }

    pub fn within(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.rng.random_range(0..=most.as_micros() as u64))
    }

    /// A packet's way to a server and back: mostly quick, now and then as slow
    /// as it gets.
    pub fn delay(&mut self) -> Duration {
        let slowest = self.weather.slowest;
        let most = if self.chance(80) { slowest / 8 } else { slowest };
        Duration::from_micros(100) + self.within(most)
    }

    /// A stretch of queries, deaths and whatever comes of them.
    pub fn play(&mut self) {
        let (start, over) = (self.now, self.weather.over);
        self.outages = Outages::plan(&self.weather, start, &mut self.rng);
        let manners = Manners { streams: self.weather.streams, small: self.weather.small };
        // Some at the same moment: equal questions are shared.
        let crowded = start + self.within(over);
        for _ in 0..self.weather.queries {
            let time = if self.chance(20) { crowded } else { start + self.within(over) };
            let question = match self.favourites.len() {
                most if most > 0 && self.chance(85) => {
                    self.favourites[self.rng.random_range(0..most)]
                }
                _ => self.weather.question(&mut self.rng),
            };
            let query = Query::new(question, manners, &mut self.rng);
            self.at(time, Event::Query(Box::new(query)));
        }
        for _ in 0..self.weather.reloads {
            let time = start + self.within(over);
            self.at(time, Event::Reload);
        }
        let flood = floods::questions(&self.weather, self.flooded, &mut self.rng);
        if let Some(&(first, ..)) = flood.first() {
            self.at(start + first, Event::FloodBegins);
        }
        for (time, name, rtype) in flood {
            self.flooded = self.flooded.wrapping_add(1);
            let plain = Manners { streams: 0, small: 0 };
            let query = Query::new((name, rtype, false), plain, &mut self.rng);
            self.at(start + time, Event::Query(Box::new(query)));
        }
        self.run_until(start + over + Duration::from_secs(5));
        self.bound();
        assert!(self.open.is_empty(), "not answered: {:?}", self.open);
    }

    /// Lets everything happen in its order: what comes, and what is due.
    fn run_until(&mut self, end: Time) {
        loop {
            let due = self.labs.iter().enumerate();
            let due = due.filter_map(|(n, lab)| Some((lab.engine.next_timeout()?, n))).min();
            let due = due.filter(|due| due.0 <= end);
            let first = self.events.first_entry().filter(|first| first.key().0 <= end);
            let cause = match (due, first) {
                (None, None) => break,
                (Some((at, worker)), first) if first.as_ref().is_none_or(|e| at <= e.key().0) => {
                    self.now = self.now.max(at);
                    let lab = &mut self.labs[worker];
                    lab.pass(self.now.since(lab.now));
                    Cause::Timer
                }
                (_, Some(first)) => {
                    let ((time, _), event) = first.remove_entry();
                    self.now = self.now.max(time);
                    self.happen(event)
                }
                (Some(_), None) => unreachable!("it is due before nothing"),
            };
            self.settle(cause);
        }
        self.now = self.now.max(end);
    }

    fn happen(&mut self, event: Event) -> Cause {
        match event {
            Event::Query(query) => return self.query(query),
            Event::Reply { link, id, kind, packet } => {
                self.reply(link, id, &kind, &packet);
                return Cause::Reply(link, id);
            }
            Event::Strike(link, state) => self.strike(link, state),
            Event::Reload => self.reload(),
            Event::FloodBegins => {
                self.tally.flooded += 1;
                if self.book.room == Room::Ample {
                    self.book.room = Room::Flooded(self.now);
                }
            }
        }
        Cause::Other
    }

    /// Law 6: what is held is bounded, each kind by the questions that `keep`
    /// has room for at every cluster.
    fn bound(&mut self) {
        let most = self.weather.keep * self.most_clusters;
        let entries = self.last_good.holding().entries;
        assert!(entries.iter().all(|&count| count <= most), "{entries:?} of {most}");
        self.tally.bounded += u64::from(entries.iter().any(|&count| count > most / 2));
    }

    /// Law 7: everybody is well, and after a while nothing is left.
    pub fn end(&mut self) {
        self.outages = Outages::default();
        let clusters = self.weather.clusters.clone();
        let (large, old) = (self.weather.large, self.weather.old);
        self.weather = Weather { clusters, large, old, ..Weather::fair(0) };
        self.run_until(self.now + crate::AFTERMATH);
        for (worker, lab) in self.labs.iter_mut().enumerate() {
            lab.pass(self.now.since(lab.now));
            lab.assert_idle();
            assert_eq!(lab.engine.octets_in_flight(), 0, "octets in flight");
            let links = self.upstream.sockets_of(worker).count();
            assert!(links <= self.most_servers * 5, "{links} links of one worker");
            let (vitals, counters) = (lab.engine.vitals(self.now), lab.engine.counters());
            self.servers.compare(worker, &vitals, self.now, &mut self.tally);
            self.ledgers[worker].compare(&counters, &vitals, &mut self.tally);
            let settings = &self.plans[worker].settings;
            let most = settings.cache.max(settings.keep.min(10_000));
            let most = most.div_ceil(settings.workers.get());
            let entries = vitals.kept.entries;
            assert!(entries <= 2 * most + most.div_ceil(8), "{entries} entries of {most}");
        }
    }

    /// Forgets what is remembered of what cannot matter any more.
    pub fn forget(&mut self) {
        self.book.compact();
        self.upstream.forget(self.now);
    }

    /// What has happened so far does not count.
    pub fn warmed_up(mut self) -> Self {
        self.play();
        self.tally = Tally::default();
        self
    }

    /// A worker whose clock shows what all clocks show.
    fn lab(&mut self, worker: usize) -> &mut Lab {
        let lab = &mut self.labs[worker];
        lab.now = self.now;
        lab
    }

    fn query(&mut self, query: Box<Query>) -> Cause {
        let n = self.next_query;
        self.next_query += 1;
        let worker = self.serving[self.rng.random_range(0..self.serving.len())];
        let case = Case {
            worker,
            name: query.name,
            rtype: query.rtype,
            cd: query.cd,
            at: self.now,
            packet: query.packet.clone(),
            edns: query.edns.is_some(),
            stream: query.is_stream(),
            rules: self.rules.clone(),
            timely: BTreeMap::new(),
            asked: Default::default(),
            disturbed: false,
            overloaded: false,
            leads: false,
            replied: Default::default(),
            excused: false,
        };
        let client = Client { socket: n, ..query.client };
        let settings = &self.plan.settings;
        let most = settings.max_queries.div_ceil(settings.workers.get());
        let lab = self.lab(worker);
        // Each worker has its share of what may be in flight.
        let overloaded = lab.engine.queries_in_flight() >= most;
        let before = lab.engine.counters();
        lab.query(client, &query.packet);
        let after = lab.engine.counters();
        let asked: Vec<_> = lab.asked.iter().map(|a| (a.link, a.id(), cluster_of(a))).collect();
        let kept = lab.answers.iter().any(|answer| answer.client.socket == n && answer.kept);
        let mut case = Case { overloaded, ..case };
        self.gathered(n, &mut case, kept, &before, &after);
        for (link, id, cluster) in asked {
            case.asked.insert(cluster);
            self.first.insert(((worker, link), id), (n, cluster));
        }
        self.open.insert(n, (case, query));
        Cause::Query(n)
    }

    fn strike(&mut self, link: Link, state: LinkState) {
        if !self.upstream.is_open(link) {
            return;
        }
        for query in self.upstream.blur_link(link) {
            if let Some((case, _)) = self.open.get_mut(&query) {
                case.excused = true;
            }
        }
        for (_, (query, _)) in self.first.iter().filter(|((known, _), _)| *known == link) {
            if let Some((case, _)) = self.open.get_mut(query) {
                case.disturbed = true;
            }
        }
        self.lab(link.0).link(link.1, state);
        if state == LinkState::Closed {
            self.upstream.closed(link, self.now, true);
        }
    }

    fn reload(&mut self) {
        let change = self.config.change(&mut self.rng);
        self.plan = self.config.plan();
        self.rules = self.config.rules(&self.plan, self.truths, self.weather.ttl);
        self.most_servers = self.most_servers.max(self.config.servers());
        self.past.reloaded = Some(self.now);
        self.past.keep_on_empty = self.past.keep_on_empty.max(self.rules.keep_on_empty);
        self.past.deadline = self.past.deadline.max(self.rules.deadline);
        for (case, _) in self.open.values_mut() {
            (case.disturbed, case.excused) = (true, true);
        }
        self.tally.changed += 1;
        self.note_plan();
        for worker in 0..self.labs.len() {
            self.upstream.reloaded(worker, self.now);
        }
        match change {
            Change::Workers => {
                self.tally.replaced += 1;
                return self.start_workers();
            }
            Change::Added => self.tally.clusters_changed += 1,
            Change::Removed => self.book.note_removed(self.rules.clusters, self.now),
            Change::Settings => {}
        }
        for worker in self.serving.clone() {
            let plan = self.plan.clone();
            self.servers.reloaded(worker, &plan);
            self.ledgers[worker].reloaded = true;
            self.plans[worker] = plan.clone();
            self.lab(worker).set_plan(plan);
        }
    }

    fn reply(&mut self, link: Link, id: u16, kind: &Kind, packet: &[u8]) {
        // Nothing comes on a socket that has been closed.
        if !self.upstream.is_open(link) {
            return;
        }
        let (now, worker) = (self.now, link.0);
        let lab = self.lab(worker);
        let ignored = |lab: &Lab| {
            let counters = lab.engine.counters();
            counters.unexpected + counters.mismatched + counters.malformed
        };
        let (before, counters) = (ignored(lab), lab.engine.counters());
        lab.reply(link.1, packet);
        let ignored = ignored(lab) > before;
        self.heard(link, id, kind, packet, ignored, &counters);
        let given_up = ignored
            && (matches!(kind, Kind::True(said) if self.is_crowded(worker, said, packet))
                || self.is_slow_stream(link, id));
        let first = self.first.get(&(link, id)).copied();
        let case = first.and_then(|(query, _)| self.open.get_mut(&query)).map(|open| &mut open.0);
        match (kind, case) {
            (Kind::True(said), case) => {
                if let Some(case) = case.filter(|_| !given_up) {
                    case.timely.entry(said.cluster).or_insert((said.truth, said.epoch));
                }
                // A prefixed name that is not there is asked for once more.
                if said.truth == Truth::NxDomain {
                    let open = self.open.values_mut().map(|open| &mut open.0);
                    open.filter(|case| case.name.prefix.is_some())
                        .for_each(|case| case.disturbed = true);
                }
            }
            (Kind::Excuse, Some(case)) => case.disturbed = true,
            (Kind::Header, Some(case)) => case.disturbed = true,
            (Kind::Excuse | Kind::Header, None) | (Kind::Noise | Kind::Probe(_), _) => {}
        }
        if ignored {
            return;
        }
        match kind {
            Kind::True(said) => self.note(worker, said, cluster::has_cd(packet)),
            &Kind::Probe(cluster) => self.book.note_proper(cluster, now, worker, false),
            Kind::Excuse | Kind::Header | Kind::Noise => {}
        }
    }

    /// Whether a worker had [`WINDOWS`] IDs of this question in flight, so that it may
    /// have given up the first for another server's (U4).
    fn is_crowded(&self, worker: usize, said: &Said, packet: &[u8]) -> bool {
        let question = (worker, said.cluster, said.name, said.rtype, cluster::has_cd(packet));
        let lately = self.rules.deadline * 2;
        let same = self
            .asked
            .iter()
            .filter(|&&(at, known, ..)| known == question && self.now.since(at) <= lately);
        same.count() >= usize::from(WINDOWS)
    }

    /// Whether a reply comes so late on its stream that another may have taken its
    /// place.
    fn is_slow_stream(&self, link: Link, id: u16) -> bool {
        let slow = self.rules.deadline / 4;
        self.streamed.get(&(link, id)).is_some_and(|&at| self.now.since(at) >= slow)
    }

    /// A cluster has told a worker something.
    fn note(&mut self, worker: usize, said: &Said, cd: bool) {
        let word = Word {
            at: self.now,
            worker,
            rtype: said.rtype,
            cd,
            truth: said.truth,
            epoch: said.epoch,
            ttl: Duration::from_secs(said.ttl.into()),
            beside: false,
        };
        self.book.note_proper(said.cluster, self.now, worker, true);
        self.book.note(said.cluster, said.name, word);
        let Truth::Records(members) = said.truth else { return };
        for member in 0..members {
            for (name, rtype) in said.beside(self.truths, member) {
                let word = Word { rtype, truth: Truth::Records(1), beside: true, ..word };
                self.book.note(said.cluster, name, word);
            }
        }
    }

    /// Carries what the engines have sent: questions to servers, which answer
    /// or not, and answers before the law.
    fn settle(&mut self, cause: Cause) {
        for worker in 0..self.labs.len() {
            let lab = &mut self.labs[worker];
            let (asked, answers) = (lab.take_asked(), lab.take_answers());
            let (opened, closed) =
                (std::mem::take(&mut lab.opened), std::mem::take(&mut lab.closed));
            let notices = std::mem::take(&mut lab.notices);
            if asked.is_empty() && answers.is_empty() && closed.is_empty() && notices.is_empty() {
                self.servers.are_checked(worker, self.now);
                continue;
            }
            for open in opened {
                let link = (worker, open.link);
                self.upstream.opened(link, open.server, open.transport, self.now);
            }
            self.told(worker, &notices);
            for asked in asked {
                self.note_sent(worker, &asked, cause, !notices.is_empty());
                self.carry(worker, &asked);
            }
            let besieged = notices.iter().any(|notice| matches!(notice, Notice::Besieged(_)));
            for link in closed {
                self.upstream.closed((worker, link), self.now, besieged);
            }
            for answer in answers {
                let n = answer.client.socket;
                let (case, query) = self.open.remove(&n).expect("one answer to each");
                let given = Given { at: answer.at, packet: &answer.packet, kept: answer.kept };
                let judge = Judge::new(&self.book, self.past, &case, given);
                judge.judge(&mut self.tally);
                let cut = judge.got.truncated;
                self.answered(n, &case, query.client.transport, &answer.packet, answer.kept);
                self.first.retain(|_, (query, _)| *query != n);
                if cut {
                    self.at(self.now, Event::Query(Box::new(query.over_tcp())));
                }
            }
            self.servers.are_checked(worker, self.now);
        }
        if let Cause::Reply(link, id) = cause
            && let Some((case, _)) =
                self.upstream.query_of(link, id).and_then(|n| self.open.get(&n))
        {
            assert!(!Judge::is_complete(case), "all have answered: {case:?}");
        }
    }

    pub fn remember_asked(&mut self, worker: usize, asked: &Asked) {
        let now = self.now;
        while self.asked.front().is_some_and(|first| now.since(first.0) > IN_FLIGHT) {
            self.asked.pop_front();
        }
        let rtype = cluster::rtype_of(&asked.packet);
        let cd = cluster::has_cd(&asked.packet);
        let question = (worker, cluster_of(asked), asked_name(asked), rtype, cd);
        let (link, id) = (asked.link, asked.id());
        if !self.asked.iter().any(|known| (known.1, known.2, known.3) == (question, link, id)) {
            self.asked.push_back((now, question, link, id));
        }
    }
}

pub fn cluster_of(asked: &Asked) -> u8 {
    octets_of(asked.server)[1]
}

pub fn host_of(asked: &Asked) -> u8 {
    octets_of(asked.server)[3]
}

/// Servers are `10.CLUSTER.0.N`.
pub fn octets_of(server: SocketAddr) -> [u8; 4] {
    match server.ip() {
        std::net::IpAddr::V4(ip) => ip.octets(),
        std::net::IpAddr::V6(_) => unreachable!("servers here are IPv4"),
    }
}
