//! The laws, and what must be remembered to judge by them.
//!
//! 1. Every query gets one answer, by its deadline.
//! 2. No record that no cluster gave; of what one gave, all of it, about this
//!    name.
//! 3. If every cluster's answer to the first sub-question came in time, the
//!    answer lacks nothing and is as fresh as that.
//! 4. Nothing is older than its TTL allows, unless the answer says so (EDE 3),
//!    and then no older than configured.
//! 5. A negative answer only if every cluster asked confirmed it.
//! 6. What is missing is named.
//! 7. When all is quiet no query, ID or timer is left (`world.rs`).

use crate::answer::Got;
use crate::cluster::{Fact, HONEST, Truth};
use domain::base::iana::Rcode;
use gathersrv::engine::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The longest TTL of an answer that is less than whole (M6).
const INCOMPLETE: Duration = Duration::from_secs(5);

/// What happened in a world: so that a world where nothing does is noticed.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    pub answers: u64,
    pub whole: u64,
    pub stale: u64,
    pub partial: u64,
    pub negative: u64,
    pub servfail: u64,
    /// Queries whose first sub-questions were all answered in time.
    pub timely: u64,
    pub hits: u64,
    pub shared: u64,
    pub taken_out: u64,
    pub mismatched: u64,
    pub malformed: u64,
    pub retransmitted: u64,
    pub over_tcp: u64,
    pub overloaded: u64,
}

impl Tally {
    pub fn counts(&self) -> [(&'static str, u64); 15] {
        [
            ("answer", self.answers),
            ("whole answer", self.whole),
            ("stale answer", self.stale),
            ("partial answer", self.partial),
            ("negative answer", self.negative),
            ("SERVFAIL", self.servfail),
            ("query answered in time by all", self.timely),
            ("answer from memory", self.hits),
            ("shared question", self.shared),
            ("server taken out", self.taken_out),
            ("mismatch", self.mismatched),
            ("malformed reply", self.malformed),
            ("retransmission", self.retransmitted),
            ("truncated reply", self.over_tcp),
            ("query too many", self.overloaded),
        ]
    }

    pub fn add(&mut self, other: &Tally) {
        self.answers += other.answers;
        self.whole += other.whole;
        self.stale += other.stale;
        self.partial += other.partial;
        self.negative += other.negative;
        self.servfail += other.servfail;
        self.timely += other.timely;
        self.hits += other.hits;
        self.shared += other.shared;
        self.taken_out += other.taken_out;
        self.mismatched += other.mismatched;
        self.malformed += other.malformed;
        self.retransmitted += other.retransmitted;
        self.over_tcp += other.over_tcp;
        self.overloaded += other.overloaded;
    }
}

/// The law's memory: which facts reached the engine, and when last.
#[derive(Default)]
pub struct Book {
    pub given: BTreeMap<Fact, Time>,
    /// When each cluster last denied a name that it never has.
    pub denied: BTreeMap<(u8, u8), Time>,
}

/// A query, as far as the laws speak of it.
#[derive(Debug)]
pub struct Case {
    pub name: u8,
    /// The cluster whose prefix the name has.
    pub only: Option<u8>,
    pub at: Time,
    pub packet: Vec<u8>,
    pub edns: bool,
    /// The first sub-question to each cluster that is answered well, by now.
    pub timely: BTreeMap<u8, Fact>,
    /// Clusters whose first sub-question was sent with the query.
    pub asked: BTreeSet<u8>,
    /// Something else happened that may settle it differently.
    pub disturbed: bool,
}

/// What holds in this world.
pub struct Rules {
    pub seed: u64,
    pub clusters: u8,
    pub deadline: Duration,
    pub ttl: Duration,
    pub keep_for: Duration,
}

impl Rules {
    /// Judges an answer; the tally takes note of it.
    pub fn judge(&self, book: &Book, case: &Case, at: Time, packet: &[u8], tally: &mut Tally) {
        assert!(at <= case.at + self.deadline, "late");
        let got = Got::read(packet, &case.packet);
        let seen = self.records(book, case, &got);
        self.age(book, case, at, &got, &seen);
        self.negative(book, case, at, &got);
        self.missing(book, case, at, &got, &seen);
        let expected: BTreeSet<u8> =
            case.only.map_or((0..self.clusters).collect(), |only| [only].into());
        let all = expected.iter().all(|cluster| case.timely.contains_key(cluster));
        if all && case.asked == expected && !case.disturbed {
            tally.timely += 1;
            self.fresh(book, case, &got, &seen);
        }
        tally.answers += 1;
        tally.whole += u64::from(got.says_whole());
        tally.stale += u64::from(got.has(3));
        tally.partial += u64::from(got.rcode == Rcode::NOERROR && got.has(23));
        tally.negative += u64::from(got.rcode != Rcode::SERVFAIL && got.addresses.is_empty());
        tally.servfail += u64::from(got.rcode == Rcode::SERVFAIL);
    }

    /// How long a reply may wait for the others: for the deadline of the first
    /// client, and of one that joins it until half of that has passed (U4).
    fn held(&self) -> Duration {
        self.deadline * 3 / 2
    }

    /// Law 2. The facts the answer is made of.
    fn records(&self, book: &Book, case: &Case, got: &Got) -> BTreeSet<Fact> {
        let mut seen = BTreeSet::new();
        for &[first, second, name, epoch] in &got.addresses {
            let (cluster, member) = (second / 16, second % 16);
            let fact = Fact { cluster, name, epoch };
            assert_eq!((first, name), (HONEST, case.name), "whose record is it? {got:?}");
            assert!(book.given.contains_key(&fact), "not given so far: {fact:?}");
            assert!(case.only.is_none_or(|only| only == cluster), "not asked: {fact:?}");
            let Truth::Records(count) = fact.truth(self.seed) else { panic!("{fact:?}") };
            assert!(member < count);
            seen.insert(fact);
        }
        let mut count = 0;
        for fact in &seen {
            let Truth::Records(members) = fact.truth(self.seed) else { unreachable!() };
            count += usize::from(members);
        }
        assert_eq!(got.addresses.len(), count, "a part of what a cluster gave: {got:?}");
        let clusters: BTreeSet<u8> = seen.iter().map(|fact| fact.cluster).collect();
        assert_eq!(clusters.len(), seen.len(), "two epochs of one cluster: {seen:?}");
        seen
    }

    /// Law 3.
    fn fresh(&self, book: &Book, case: &Case, got: &Got, seen: &BTreeSet<Fact>) {
        assert!(got.says_whole() || got.has(3), "all answered in time: {got:?} {case:?}");
        assert!(got.rcode != Rcode::SERVFAIL, "all answered in time: {got:?} {case:?}");
        for fact in case.timely.values() {
            // Another try may have been answered first.
            let at_least = |known: &Fact| {
                (known.cluster, known.name) == (fact.cluster, fact.name)
                    && (known.epoch >= fact.epoch || book.given[known] >= case.at)
            };
            let empty = |known: &Fact| !matches!(known.truth(self.seed), Truth::Records(_));
            let found = seen.iter().any(at_least)
                || book.given.keys().any(|known| at_least(known) && empty(known));
            assert!(found, "{fact:?} is not in {got:?}: {case:?}");
        }
    }

    /// Law 4.
    fn age(&self, book: &Book, case: &Case, at: Time, got: &Got, seen: &BTreeSet<Fact>) {
        let incomplete = got.has(3) || got.has(23);
        let most = if incomplete { self.ttl.min(INCOMPLETE) } else { self.ttl };
        assert!(u64::from(got.longest_ttl) <= most.as_secs(), "{got:?}");
        if !case.edns {
            return;
        }
        // An answer that was filled in may itself be given again.
        let stale = self.keep_for.max(self.ttl) + INCOMPLETE;
        let life = if got.has(3) { stale } else { self.ttl };
        for fact in seen {
            let age = at.since(book.given[fact]);
            assert!(age <= life + self.held(), "{fact:?} is {age:?} old: {got:?}");
        }
    }

    /// What `cluster` said lately about the name, and that it had no address.
    fn denied_lately(&self, book: &Book, case: &Case, cluster: u8, at: Time) -> bool {
        let lately = |time: Time| at.since(time) <= self.ttl + self.held();
        book.given.iter().any(|(fact, &time)| {
            (fact.cluster, fact.name) == (cluster, case.name)
                && !matches!(fact.truth(self.seed), Truth::Records(_))
                && lately(time)
        })
    }

    /// Law 5.
    fn negative(&self, book: &Book, case: &Case, at: Time, got: &Got) {
        if got.rcode == Rcode::SERVFAIL || !got.addresses.is_empty() {
            return;
        }
        for cluster in 0..self.clusters {
            let confirmed = match case.only {
                Some(only) if only != cluster => {
                    // NXDOMAIN of a prefixed name is everybody's (Q5).
                    got.rcode == Rcode::NOERROR || book.denied.contains_key(&(cluster, case.name))
                }
                _ => self.denied_lately(book, case, cluster, at),
            };
            assert!(confirmed, "cluster {cluster} did not confirm {got:?} {case:?}");
        }
    }

    /// Law 6.
    fn missing(&self, book: &Book, case: &Case, at: Time, got: &Got, seen: &BTreeSet<Fact>) {
        if !case.edns || got.rcode != Rcode::NOERROR || got.addresses.is_empty() {
            return;
        }
        for cluster in 0..self.clusters {
            let there = case.only.is_some_and(|only| only != cluster)
                || seen.iter().any(|fact| fact.cluster == cluster)
                || self.denied_lately(book, case, cluster, at)
                || got.has(3) && got.names(&label(cluster))
                || got.has(23) && got.names(&label(cluster));
            assert!(there, "cluster {cluster} is missing without a word: {got:?} {case:?}");
        }
    }
}

/// How EDE texts call a cluster.
pub fn label(cluster: u8) -> String {
    format!("cluster.local. {}-", char::from(b'a' + cluster))
}
