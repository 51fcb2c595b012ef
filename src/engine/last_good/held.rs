//! What is held of the clusters' answers, and what of it may stand in for a
//! cluster that is missing: the rules K1, K2, K4 and K6.
//!
//! Answers with records, negatives, and addresses that came beside other
//! answers have rooms of their own, so that none displaces another.

use super::beside::{self, Addresses};
use super::registry::{ClusterId, Registry};
use crate::engine::room::{Bounds, Room, Slot};
use crate::engine::sub::Source;
use crate::engine::time::Time;
use crate::wire::reply::Summary;
use ahash::RandomState;
use domain::base::iana::{Rcode, Rtype};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// NXDOMAIN stands in for so long after its cluster went missing (K1): it denies
/// a whole subtree (RFC 8020), and services come and go.
const NXDOMAIN_FOR: Duration = Duration::from_secs(3600);

/// A negative that came so shortly before its cluster went missing is doubted
/// (K2): a dying cluster mostly loses its endpoints seconds before its DNS.
const DOUBTED_FOR: Duration = Duration::from_secs(300);

/// Octets of a room for each entry: on average over all four datagrams of our
/// payload size for answers, a name and some numbers for negatives, a name and
/// a handful of addresses for those beside.
const OCTETS: [usize; 3] = [4 * 1232, 512, 1024];

/// Octets of memory that an ancestor of a held name takes.
const ANCESTOR_OCTETS: usize = 24;

/// What an entry is about: a sub-question, and to which cluster.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The cluster.
    pub cluster: ClusterId,
    /// The name it was asked for, flat, in lower case.
    pub name: &'a [u8],
    /// The type.
    pub rtype: Rtype,
    /// CD was set: who asks without it must not get this (RFC 4035, 3.2.2).
    pub cd: bool,
}

/// What a cluster has just said.
#[derive(Debug, Clone, Copy)]
pub struct Lesson<'a> {
    /// To which question.
    pub subject: Subject<'a>,
    /// What its reply says.
    pub summary: Summary,
    /// The reply.
    pub reply: &'a [u8],
    /// When it came, and from whom.
    pub source: Source,
}

/// What may stand in for a cluster.
pub struct StandIn<'a> {
    /// What it says.
    pub said: Said<'a>,
    /// What the reply said that it came in.
    pub summary: Summary,
    /// When that came, and from whom; nothing if it follows from several.
    pub source: Option<Source>,
}

impl StandIn<'_> {
    /// The name it is about exists.
    pub fn says_that_it_exists(&self) -> bool {
        !matches!(self.said, Said::Nothing(Rcode::NXDOMAIN))
    }
}

/// The content of a [`StandIn`].
#[derive(Debug, Clone, Copy)]
pub enum Said<'a> {
    /// A reply with records.
    Reply(&'a [u8]),
    /// Addresses that came beside another answer (K6).
    Addresses(&'a Addresses),
    /// NXDOMAIN, or NODATA.
    Nothing(Rcode),
}

/// The rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Answer = 0,
    Negative = 1,
    Beside = 2,
}

enum Data {
    Reply(Box<[u8]>),
    Addresses(Addresses),
    /// When the first of these came since there were records.
    Nothing {
        rcode: Rcode,
        first: Time,
    },
}

struct Entry {
    cluster: ClusterId,
    name: Box<[u8]>,
    rtype: Rtype,
    cd: bool,
    data: Data,
    summary: Summary,
    source: Source,
    /// When the TTL of its records runs out.
    expires: Time,
    /// Octets of the cluster's suffix, with which the name ends.
    suffix: usize,
}

impl Entry {
    fn is_about(&self, subject: Subject<'_>) -> bool {
        (self.cluster, self.rtype, self.cd) == (subject.cluster, subject.rtype, subject.cd)
            && *self.name == *subject.name
    }

    fn stand_in(&self) -> StandIn<'_> {
        let said = match &self.data {
            Data::Reply(reply) => Said::Reply(reply),
            Data::Addresses(addresses) => Said::Addresses(addresses),
            Data::Nothing { rcode, .. } => Said::Nothing(*rcode),
        };
        StandIn { said, summary: self.summary, source: Some(self.source) }
    }

    fn octets(&self) -> usize {
        let data = match &self.data {
            Data::Reply(reply) => reply.len(),
            Data::Addresses(addresses) => addresses.records.len(),
            Data::Nothing { .. } => 0,
        };
        size_of::<Entry>() + self.name.len() + data
    }
}

/// The type under which NXDOMAIN is held, which is said of a name (RFC 2308, 5);
/// no question has this type.
const ANY_TYPE: Rtype = Rtype::from_int(0);

/// Numbers about what is held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holding {
    /// Answers with records, negatives, and sets of addresses that came beside
    /// other answers.
    pub entries: [usize; 3],
    /// Octets of each.
    pub octets: [usize; 3],
    /// Entries of each that had to make room for others.
    pub evictions: [u64; 3],
}

/// Everything that is held.
pub struct Held {
    /// Which cluster is which.
    pub registry: Registry,
    hasher: RandomState,
    index: HashMap<u64, (Kind, Slot), RandomState>,
    rooms: [Room<Entry>; 3],
    /// For each name above one of which records are held, below how many.
    ancestors: HashMap<u64, u32, RandomState>,
}

/// The names above a flat name that are below its suffix of so many octets.
fn ancestors(name: &[u8], suffix: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = name;
    std::iter::from_fn(move || {
        rest = rest.get(1 + usize::from(*rest.first()?)..)?;
        (rest.len() > suffix).then_some(rest)
    })
}

impl Held {
    /// Nothing, and no room until a plan is enrolled.
    pub fn new(mut hasher: impl FnMut() -> RandomState) -> Self {
        let mut room = || Room::new(Bounds { entries: 0, octets: 0 }, hasher());
        let rooms = [room(), room(), room()];
        Held {
            registry: Registry::default(),
            rooms,
            index: HashMap::with_hasher(hasher()),
            ancestors: HashMap::with_hasher(hasher()),
            hasher: hasher(),
        }
    }

    /// What is held, in numbers.
    pub fn holding(&self) -> Holding {
        Holding {
            entries: self.rooms.each_ref().map(Room::len),
            octets: self.rooms.each_ref().map(Room::octets),
            evictions: self.rooms.each_ref().map(Room::evictions),
        }
    }

    /// Holds as much from now on as the plans in use want.
    pub fn set_bounds(&mut self) {
        let entries = self.registry.keep();
        for (room, octets) in self.rooms.iter_mut().zip(OCTETS) {
            room.bound(Bounds { entries, octets: entries.saturating_mul(octets) });
        }
        for kind in [Kind::Answer, Kind::Negative, Kind::Beside] {
            self.collect(kind);
        }
    }

    /// Takes in what a cluster said. What is held and newer stays.
    pub fn learn(&mut self, lesson: Lesson<'_>) {
        let Lesson { subject, summary, reply, source } = lesson;
        self.registry.note_answered(subject.cluster, source.at);
        let of_name = Subject { rtype: ANY_TYPE, ..subject };
        if summary.has_answer {
            let ttl = beside::smallest_ttl(reply, &summary);
            self.put(Kind::Answer, subject, Data::Reply(reply.into()), ttl, summary, source);
            self.withdraw(subject, source.at);
            self.withdraw(of_name, source.at);
            let Some(suffix) = self.registry.suffix(subject.cluster) else { return };
            for found in beside::addresses(reply, &summary, suffix) {
                let beside::Found { name, rtype, ttl, addresses } = found;
                let subject = Subject { name: &name, rtype, ..subject };
                self.put(Kind::Beside, subject, Data::Addresses(addresses), ttl, summary, source);
            }
        } else {
            let exists = summary.rcode != Rcode::NXDOMAIN;
            let about = if exists { subject } else { of_name };
            let first = match self.entry(Kind::Negative, about).map(|entry| &entry.data) {
                Some(Data::Nothing { first, .. }) => *first,
                _ => source.at,
            };
            let data = Data::Nothing { rcode: summary.rcode, first };
            self.put(Kind::Negative, about, data, 0, summary, source);
            if exists {
                self.withdraw(of_name, source.at);
            }
        }
    }

    fn put(
        &mut self,
        kind: Kind,
        subject: Subject<'_>,
        data: Data,
        ttl: u32,
        summary: Summary,
        source: Source,
    ) {
        let Subject { cluster, name, rtype, cd } = subject;
        let expires = source.at + Duration::from_secs(ttl.into());
        let suffix = self.registry.suffix(cluster).map_or(name.len(), |s| s.as_slice().len());
        let name = Box::from(name);
        let entry = Entry { cluster, name, rtype, cd, data, summary, source, expires, suffix };
        let name = subject.name;
        let above = match kind {
            Kind::Negative => 0,
            Kind::Answer | Kind::Beside => ancestors(name, suffix).count(),
        };
        let octets = entry.octets() + above * ANCESTOR_OCTETS;
        let key = self.key(kind, subject);
        let room = &mut self.rooms[kind as usize];
        if let Some(&(known, slot)) = self.index.get(&key) {
            match room.get_mut(slot) {
                Some(held) if known == kind && held.is_about(subject) => {
                    if held.source.at <= source.at {
                        *held = entry;
                        room.credit(slot);
                        room.resize(slot, octets);
                        self.collect(kind);
                    }
                    return;
                }
                // Two subjects with one hash: the newer is held.
                _ => self.drop_entry(key),
            }
        }
        if kind != Kind::Negative {
            self.count_ancestors(cluster, name, suffix, true);
        }
        let slot = self.rooms[kind as usize].insert(key, entry, octets);
        self.index.insert(key, (kind, slot));
        self.collect(kind);
    }

    /// A negative that something newer says the contrary of.
    fn withdraw(&mut self, subject: Subject<'_>, at: Time) {
        // What was said without CD holds for both, what was said with it not.
        for cd in [true, false] {
            let subject = Subject { cd, ..subject };
            let old = self.entry(Kind::Negative, subject).is_some_and(|old| old.source.at <= at);
            if old && (cd || !subject.cd) {
                self.drop_entry(self.key(Kind::Negative, subject));
            }
        }
    }

    fn drop_entry(&mut self, key: u64) {
        if let Some((kind, slot)) = self.index.remove(&key)
            && let Some(entry) = self.rooms[kind as usize].remove(slot)
        {
            self.forget_name(kind, &entry);
        }
    }

    /// Forgets what was evicted from a room.
    fn collect(&mut self, kind: Kind) {
        while let Some((key, entry)) = self.rooms[kind as usize].pop_evicted() {
            self.index.remove(&key);
            self.forget_name(kind, &entry);
        }
    }

    fn forget_name(&mut self, kind: Kind, entry: &Entry) {
        if kind != Kind::Negative {
            self.count_ancestors(entry.cluster, &entry.name, entry.suffix, false);
        }
    }

    fn count_ancestors(&mut self, cluster: ClusterId, name: &[u8], suffix: usize, more: bool) {
        for ancestor in ancestors(name, suffix) {
            let key = name_key(&self.hasher, cluster, ancestor);
            let count = self.ancestors.entry(key).or_insert(0);
            *count = if more { count.saturating_add(1) } else { count.saturating_sub(1) };
            if *count == 0 {
                self.ancestors.remove(&key);
            }
        }
    }
}

/// Looking up.
impl Held {
    /// What stands in for a cluster that is missing: what it gave in the last
    /// `keep_for`, by the rules K1, K2 and K6.
    pub fn find(&self, subject: Subject<'_>, now: Time, keep_for: Duration) -> Option<StandIn<'_>> {
        let within = |entry: &&Entry| now.since(entry.source.at) < keep_for;
        let records = self.records(subject, &within);
        let of_name = Subject { rtype: ANY_TYPE, ..subject };
        let negatives = [subject, of_name].map(|about| self.latest(Kind::Negative, about, &within));
        let negatives = negatives.into_iter().flatten();
        let since = records.map(|records| records.source.at);
        // A negative that the records came after says nothing about them.
        let newer = negatives.filter(|negative| since.is_none_or(|at| negative.source.at > at));
        let newer: smallvec::SmallVec<[&Entry; 2]> = newer.collect();
        let missing_since = self.registry.answered_at(subject.cluster).unwrap_or(now);
        let first = newer.iter().filter_map(|negative| match negative.data {
            Data::Nothing { first, .. } => Some(since.map_or(first, |at| first.max(at))),
            _ => None,
        });
        let doubted = first.min().is_none_or(|first| missing_since.since(first) < DOUBTED_FOR);
        if records.is_some() && doubted {
            return records.map(Entry::stand_in);
        }
        let latest = newer.into_iter().max_by_key(|negative| negative.source.at)?;
        let denied = latest.rtype == ANY_TYPE;
        let expired = denied && now.since(missing_since) >= NXDOMAIN_FOR;
        (!expired).then(|| latest.stand_in())
    }

    /// The records that a cluster gave in the last `patience`, whatever it has
    /// said since.
    pub fn find_records(
        &self,
        subject: Subject<'_>,
        now: Time,
        patience: Duration,
    ) -> Option<StandIn<'_>> {
        let within = |entry: &&Entry| now.since(entry.source.at) < patience;
        self.latest(Kind::Answer, subject, &within).map(Entry::stand_in)
    }

    /// NODATA for a name of which a cluster that is missing has held addresses,
    /// or that is above one of which it has held records (K4).
    pub fn find_name(
        &self,
        subject: Subject<'_>,
        now: Time,
        keep_for: Duration,
    ) -> Option<StandIn<'_>> {
        let said = Said::Nothing(Rcode::NOERROR);
        for rtype in [Rtype::A, Rtype::AAAA] {
            match self.find(Subject { rtype, ..subject }, now, keep_for) {
                Some(StandIn { said: Said::Nothing(_), .. }) | None => {}
                Some(found) => return Some(StandIn { said, ..found }),
            }
        }
        let key = name_key(&self.hasher, subject.cluster, subject.name);
        let summary = Summary::empty(Rcode::NOERROR);
        self.ancestors.contains_key(&key).then_some(StandIn { said, summary, source: None })
    }

    /// The records to give, if any are held: an answer ranks above what came
    /// beside another (RFC 2181, 5.4.1), unless its TTL had run out by then.
    fn records(&self, subject: Subject<'_>, within: &impl Fn(&&Entry) -> bool) -> Option<&Entry> {
        let answer = self.latest(Kind::Answer, subject, within);
        let beside = self.latest(Kind::Beside, subject, within);
        match (answer, beside) {
            (Some(answer), Some(beside)) if beside.source.at > answer.expires => Some(beside),
            (answer, beside) => answer.or(beside),
        }
    }

    /// The latest that a question with this CD may be given (K7).
    fn latest(
        &self,
        kind: Kind,
        subject: Subject<'_>,
        within: &impl Fn(&&Entry) -> bool,
    ) -> Option<&Entry> {
        let with = |cd| self.entry(kind, Subject { cd, ..subject }).filter(within);
        let checked = with(false);
        let unchecked = if subject.cd { with(true) } else { None };
        checked.into_iter().chain(unchecked).max_by_key(|entry| entry.source.at)
    }

    fn entry(&self, kind: Kind, subject: Subject<'_>) -> Option<&Entry> {
        let &(known, slot) = self.index.get(&self.key(kind, subject))?;
        let entry = self.rooms.get(known as usize)?.get(slot)?;
        (known == kind && entry.is_about(subject)).then_some(entry)
    }

    fn key(&self, kind: Kind, subject: Subject<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u8(kind as u8 | u8::from(subject.cd) << 7);
        hasher.write_u16(subject.rtype.to_int());
        hasher.write_u32(subject.cluster.number());
        hasher.write(subject.name);
        hasher.finish()
    }
}

fn name_key(hasher: &RandomState, cluster: ClusterId, name: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write_u32(cluster.number());
    hasher.write(name);
    hasher.finish()
}
