//! One world: an engine, its clients and clusters, and the network between
//! them, which is a heap of events with the moments they happen.

use crate::cluster::{self, Fact, Truth};
use crate::common::text::Question;
use crate::common::{Asked, Lab, client, plan};
use crate::laws::{Book, Case, Rules, Tally};
use crate::weather::Weather;
use domain::base::iana::Rtype;
use gathersrv::engine::{Client, LinkId, LinkState, Time, Transport};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// What a packet from a cluster is.
enum Kind {
    /// The truth, about a name or one that no cluster has.
    True { fact: Option<Fact>, cluster: u8, name: u8 },
    /// It makes the engine ask again, or elsewhere.
    Excuse,
    /// It should make no difference.
    Noise,
}

enum Event {
    Query(u64),
    Reply { link: LinkId, id: u16, kind: Kind, packet: Vec<u8> },
    Strike(LinkId, LinkState),
}

pub struct World {
    lab: Lab,
    rng: StdRng,
    seed: u64,
    weather: Weather,
    rules: Rules,
    book: Book,
    tally: Tally,
    /// By moment, and for the same moment by order of coming.
    events: BTreeMap<(Time, u64), Event>,
    number: u64,
    /// Queries not answered yet.
    open: BTreeMap<u64, Case>,
    /// First sub-questions of queries not answered yet.
    first: HashMap<(LinkId, u16), (u64, u8)>,
    /// When each server is dead.
    deaths: Vec<Vec<(Time, Time)>>,
    next_query: u64,
    begin: Time,
}

impl World {
    pub fn new(seed: u64, weather: Weather) -> Self {
        let mut flags = vec!["--zone".to_string(), "Distributed.local.".into()];
        for (n, servers) in weather.clusters.iter().enumerate() {
            let prefix = char::from(b'a' + n as u8);
            let servers: Vec<String> = (1..=*servers).map(|s| format!("10.{n}.0.{s}")).collect();
            let words = format!("cluster.local. {prefix}- {}", servers.join(" "));
            flags.extend(["--cluster".to_string(), words]);
        }
        flags.extend(weather.flags.iter().cloned());
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let plan = plan(&flags);
        let rules = Rules {
            seed,
            clusters: weather.clusters.len() as u8,
            deadline: weather.deadline,
            ttl: Duration::from_secs(weather.ttl.into()),
            keep_for: plan.settings.behaviour.keep_for.max(plan.settings.behaviour.keep_on_empty),
        };
        let mut engine_seed = [0; 32];
        engine_seed[..8].copy_from_slice(&seed.to_be_bytes());
        let lab = Lab::with_plan(plan, engine_seed);
        World {
            begin: lab.now,
            lab,
            rng: StdRng::seed_from_u64(seed),
            seed,
            deaths: vec![Vec::new(); weather.clusters.len() * 16],
            weather,
            rules,
            book: Book::default(),
            tally: Tally::default(),
            events: BTreeMap::new(),
            number: 0,
            open: BTreeMap::new(),
            first: HashMap::new(),
            next_query: 0,
        }
    }

    /// The whole life of a world.
    pub fn run(mut self) -> Tally {
        self.play();
        self.end();
        let counters = self.lab.engine.counters();
        Tally {
            hits: counters.hits,
            shared: counters.shared,
            taken_out: counters.taken_out,
            mismatched: counters.mismatched,
            malformed: counters.malformed,
            retransmitted: counters.retransmitted,
            over_tcp: counters.truncated_replies,
            overloaded: counters.overloaded,
            ..self.tally
        }
    }

    fn at(&mut self, time: Time, event: Event) {
        self.number += 1;
        self.events.insert((time, self.number), event);
    }

    fn chance(&mut self, percent: u32) -> bool {
        percent > 0 && self.rng.random_range(0..100) < percent
    }

    fn within(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.rng.random_range(0..=most.as_micros() as u64))
    }

    /// A packet's way to a server and back: mostly quick, now and then as slow
    /// as it gets.
    fn delay(&mut self) -> Duration {
        let slowest = self.weather.slowest;
        let most = if self.chance(80) { slowest / 8 } else { slowest };
        Duration::from_micros(100) + self.within(most)
    }

    /// A stretch of queries, deaths and whatever comes of them.
    pub fn play(&mut self) {
        for server in 0..self.deaths.len() {
            self.deaths[server].clear();
            for _ in 0..self.weather.deaths {
                let from = self.lab.now + self.within(self.weather.over);
                let until = from + self.within(self.weather.over / 2);
                self.deaths[server].push((from, until));
            }
        }
        for _ in 0..self.weather.queries {
            // Some at the same moment: equal questions are shared.
            let step =
                if self.chance(30) { Duration::ZERO } else { self.within(self.weather.over) };
            let time = self.lab.now + step;
            self.at(time, Event::Query(self.next_query));
            self.next_query += 1;
        }
        let end = self.lab.now + self.weather.over + self.weather.deadline;
        self.run_until(end);
        assert!(self.open.is_empty(), "not answered: {:?}", self.open);
    }

    fn run_until(&mut self, end: Time) {
        let step = Duration::from_millis(20);
        while self.lab.now < end {
            let step = (self.lab.now + step).min(end);
            match self.events.first_entry() {
                Some(first) if first.key().0 <= step => {
                    let ((time, _), event) = first.remove_entry();
                    self.happen(time, event);
                }
                _ => self.pass_to(step),
            }
        }
    }

    fn happen(&mut self, time: Time, event: Event) {
        self.pass_to(time.max(self.lab.now));
        match event {
            Event::Query(n) => self.query(n),
            Event::Reply { link, id, kind, packet } => self.reply(link, id, kind, &packet),
            Event::Strike(link, state) => self.strike(link, state),
        }
        self.settle();
    }

    /// Law 7: everybody is well, and after a while nothing is left.
    pub fn end(&mut self) {
        self.deaths.iter_mut().for_each(Vec::clear);
        self.weather = Weather { clusters: self.weather.clusters.clone(), ..Weather::fair(0) };
        let time = self.lab.now + crate::AFTERMATH;
        self.run_until(time);
        self.lab.assert_idle();
        let links = self.lab.opened.len() - self.lab.closed.len();
        let servers: usize = self.weather.clusters.iter().sum();
        assert!(links <= servers * 5, "{links} links to {servers} servers");
    }

    /// Forgets what the laboratory has noted down, which grows with time.
    pub fn forget(&mut self) {
        self.lab.opened = Vec::new();
        self.lab.closed = Vec::new();
        self.lab.asked = Vec::new();
        self.lab.answers = Vec::new();
    }

    /// What has happened so far does not count.
    pub fn warmed_up(mut self) -> Self {
        self.play();
        self.tally = Tally::default();
        self
    }

    /// Lets time pass in the steps in which something is due, so that what is
    /// sent goes out at its moment.
    fn pass_to(&mut self, end: Time) {
        while let Some(next) = self.lab.engine.next_timeout().filter(|&next| next <= end) {
            self.lab.pass(next.since(self.lab.now));
            self.settle();
        }
        self.lab.pass(end.since(self.lab.now));
        self.settle();
    }

    fn query(&mut self, n: u64) {
        let name = self.rng.random_range(0..self.weather.names);
        let only = if self.chance(10) {
            Some(self.rng.random_range(0..self.rules.clusters))
        } else {
            None
        };
        let prefix = only.map_or(String::new(), |c| format!("{}-", char::from(b'a' + c)));
        let underscores = if self.chance(20) { "_x._tcp." } else { "" };
        let mut text = format!("{underscores}{prefix}n{name}.distributed.local.");
        if self.chance(20) {
            text = text.to_uppercase();
        }
        let mut question = Question::new(&text, Rtype::A);
        question.id = self.rng.random_range(0..=u16::MAX);
        let edns = self.chance(80);
        question.edns = edns.then_some(1232);
        let packet = question.packet();
        let case = Case {
            name,
            only,
            at: self.lab.now,
            packet: packet.clone(),
            edns,
            timely: BTreeMap::new(),
            asked: Default::default(),
            disturbed: false,
        };
        self.open.insert(n, case);
        self.lab.query(Client { socket: n, ..client(Transport::Udp) }, &packet);
        let asked = self.lab.asked.clone();
        for asked in asked {
            let cluster = cluster_of(&asked);
            if let Some(case) = self.open.get_mut(&n) {
                case.asked.insert(cluster);
                self.first.insert((asked.link, asked.id()), (n, cluster));
            }
        }
    }

    fn strike(&mut self, link: LinkId, state: LinkState) {
        for (_, (query, _)) in self.first.iter().filter(|((known, _), _)| *known == link) {
            if let Some(case) = self.open.get_mut(query) {
                case.disturbed = true;
            }
        }
        self.lab.link(link, state);
    }

    fn reply(&mut self, link: LinkId, id: u16, kind: Kind, packet: &[u8]) {
        let first = self.first.get(&(link, id)).copied();
        let case = first.and_then(|(query, _)| self.open.get_mut(&query));
        match (kind, case) {
            (Kind::True { fact: Some(fact), .. }, case) => {
                self.book.given.insert(fact, self.lab.now);
                if let Some(case) = case {
                    case.timely.entry(fact.cluster).or_insert(fact);
                }
                // A prefixed name that is not there is asked for once more.
                if fact.truth(self.seed) == Truth::NxDomain {
                    for case in self.open.values_mut().filter(|case| case.only.is_some()) {
                        case.disturbed = true;
                    }
                }
            }
            (Kind::True { fact: None, cluster, name }, _) => {
                self.book.denied.insert((cluster, name), self.lab.now);
            }
            (Kind::Excuse, Some(case)) => case.disturbed = true,
            (Kind::Excuse, None) | (Kind::Noise, _) => {}
        }
        self.lab.reply(link, packet);
    }

    /// Carries what the engine has sent: questions to servers, which answer or
    /// not, and answers before the law.
    fn settle(&mut self) {
        for asked in self.lab.take_asked() {
            self.carry(&asked);
        }
        for answer in self.lab.take_answers() {
            let case = self.open.remove(&answer.client.socket).expect("one answer to each");
            self.rules.judge(&self.book, &case, answer.at, &answer.packet, &mut self.tally);
            self.first.retain(|_, (query, _)| *query != answer.client.socket);
        }
    }

    fn is_dead(&self, asked: &Asked) -> bool {
        let host = match asked.server.ip() {
            std::net::IpAddr::V4(ip) => usize::from(ip.octets()[3]),
            std::net::IpAddr::V6(_) => unreachable!("servers here are IPv4"),
        };
        let deaths = &self.deaths[usize::from(cluster_of(asked)) * 16 + host];
        deaths.iter().any(|&(from, until)| from <= self.lab.now && self.lab.now < until)
    }

    fn carry(&mut self, asked: &Asked) {
        let udp = asked.transport == Transport::Udp;
        if self.chance(self.weather.struck) {
            let state = if self.chance(50) { LinkState::Refused } else { LinkState::Closed };
            let time = self.lab.now + self.delay();
            self.at(time, Event::Strike(asked.link, state));
        }
        if self.is_dead(asked) {
            // A dead host says nothing; on a live one the port is closed.
            if !udp || self.chance(30) {
                let state = if udp { LinkState::Refused } else { LinkState::Closed };
                let time = self.lab.now + self.delay();
                self.at(time, Event::Strike(asked.link, state));
            }
            return;
        }
        // A stream repeats what is lost.
        if udp && self.chance(self.weather.lost) {
            return;
        }
        let copies = if self.chance(self.weather.copied) { 2 } else { 1 };
        for _ in 0..copies {
            if udp && self.chance(self.weather.lost) {
                continue;
            }
            let delay = self.delay();
            if self.chance(self.weather.rubbish) {
                let early = self.lab.now + self.within(delay);
                self.send(early, asked, Kind::Noise, cluster::rubbish(asked));
            }
            if self.chance(self.weather.forged) {
                let early = self.lab.now + self.within(delay);
                let guess = self.rng.random_range(0..=u16::MAX);
                self.send(early, asked, Kind::Noise, cluster::forged(asked, guess));
            }
            let (kind, packet) = self.says(asked, udp);
            let time = self.lab.now + delay;
            self.send(time, asked, kind, packet);
        }
    }

    /// What a server says to a question now.
    fn says(&mut self, asked: &Asked, udp: bool) -> (Kind, Vec<u8>) {
        if udp && self.chance(self.weather.truncated) {
            return (Kind::Excuse, cluster::truncated(asked));
        }
        if self.chance(self.weather.servfail) {
            let refused = self.chance(50);
            return (Kind::Excuse, cluster::excuse(asked, refused));
        }
        let cluster = cluster_of(asked);
        let epoch = self.lab.now.since(self.begin).as_micros() / self.weather.epoch.as_micros();
        let number = cluster::number(asked);
        let fact = number.map(|name| Fact { cluster, name, epoch: epoch as u8 });
        let packet = cluster::reply(asked, fact, self.seed, self.weather.ttl);
        let name = number.unwrap_or_else(|| digits_of(asked));
        (Kind::True { fact, cluster, name }, packet)
    }

    fn send(&mut self, time: Time, asked: &Asked, kind: Kind, packet: Vec<u8>) {
        self.at(time, Event::Reply { link: asked.link, id: asked.id(), kind, packet });
    }
}

/// The cluster a server belongs to: servers are `10.CLUSTER.0.N`.
fn cluster_of(asked: &Asked) -> u8 {
    match asked.server.ip() {
        std::net::IpAddr::V4(ip) => ip.octets()[1],
        std::net::IpAddr::V6(_) => unreachable!("servers here are IPv4"),
    }
}

/// The number in a prefixed name that was asked for plainly.
fn digits_of(asked: &Asked) -> u8 {
    let text = String::from_utf8_lossy(cluster::question(&asked.packet)).into_owned();
    let digits: String =
        text.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(u8::MAX)
}
