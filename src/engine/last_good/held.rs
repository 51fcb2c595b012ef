//! What is held of the clusters' answers, and what of it may stand in for a
//! cluster that is missing: the rules K1, K2, K4 and K6.
//!
//! Answers with records, negatives, and addresses that came beside other
//! answers have rooms of their own, so that none displaces another.

use super::beside::{self, Addresses};
use super::registry::{ClusterId, Registry, Wanted};
use crate::engine::room::{Bounds, Room, Slot};
use crate::engine::sub::Source;
use crate::engine::time::Time;
use crate::wire::reply::Summary;
use ahash::RandomState;
use domain::base::iana::{Rcode, Rtype};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// NXDOMAIN stands in for so long after its cluster went missing (K1): it denies
/// a whole subtree (RFC 8020), and services come and go.
const NXDOMAIN_FOR: Duration = Duration::from_secs(3600);

/// A negative that came so shortly before its cluster went missing is doubted
/// (K2): a dying cluster mostly loses its endpoints seconds before its DNS.
const DOUBTED_FOR: Duration = Duration::from_secs(300);

/// Types by which a name is known to have records.
const KNOWN_TYPES: [Rtype; 6] =
    [Rtype::A, Rtype::AAAA, Rtype::CNAME, Rtype::MX, Rtype::SRV, Rtype::TXT];

/// Octets of a room for each question, all clusters' answers to it together:
/// four datagrams of our payload size, some names and numbers for negatives, some
/// names and a handful of addresses for those beside.
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

impl Holding {
    /// What the numbers are about, in their order.
    pub const KINDS: [&str; 3] = ["answer", "negative", "address"];
}

/// Everything that is held.
pub struct Held {
    /// Which cluster is which.
    pub registry: Registry,
    hasher: RandomState,
    index: HashMap<u64, (Kind, Slot), RandomState>,
    rooms: [Room<Entry>; 3],
    /// Names above those of which records are held (K4).
    ancestors: HashMap<u64, Ancestor, RandomState>,
}

/// What is held below a name.
#[derive(Default)]
struct Ancestor {
    /// Entries.
    below: u32,
    /// When the latest of them was given.
    latest: Time,
}

/// The names above a flat name, down to its suffix of so many octets. With each:
/// it is the first behind labels that begin with `_`, so that it is a service's
/// name, and mostly has addresses.
fn ancestors(name: &[u8], suffix: usize) -> impl Iterator<Item = (&[u8], bool)> {
    let begins_so = |name: &[u8]| name.get(1) == Some(&b'_');
    let mut rest = name;
    std::iter::from_fn(move || {
        let below = begins_so(rest);
        rest = rest.get(1 + usize::from(*rest.first()?)..)?;
        (rest.len() >= suffix).then_some((rest, below && !begins_so(rest)))
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
        let Wanted { questions, answers } = self.registry.wanted();
        for (room, octets) in self.rooms.iter_mut().zip(OCTETS) {
            room.bound(Bounds { entries: answers, octets: questions.saturating_mul(octets) });
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
            // NXDOMAIN denied the type as well, if NODATA takes its place (K2).
            let before = [about, of_name].map(|about| self.entry(Kind::Negative, about));
            let first = before.into_iter().flatten().filter_map(|entry| match entry.data {
                Data::Nothing { first, .. } => Some(first),
                _ => None,
            });
            let first = first.fold(source.at, Time::min);
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
                        if kind != Kind::Negative {
                            self.renew_ancestors(subject, suffix, source.at);
                        }
                        self.collect(kind);
                    }
                    return;
                }
                // Two subjects with one hash: the newer is held.
                _ => self.drop_entry(key),
            }
        }
        if kind != Kind::Negative {
            for (ancestor, is_service) in ancestors(name, suffix) {
                let key =
                    ancestor_key(&self.hasher, Subject { name: ancestor, ..subject }, is_service);
                let known = self.ancestors.entry(key).or_default();
                known.below = known.below.saturating_add(1);
                known.latest = known.latest.max(source.at);
            }
        }
        let slot = self.rooms[kind as usize].insert(key, entry, octets);
        self.index.insert(key, (kind, slot));
        self.collect(kind);
    }

    /// A negative that something newer says the contrary of.
    fn withdraw(&mut self, subject: Subject<'_>, at: Time) {
        // What was said without CD holds for both, what was said with it not.
        let reach: &[bool] = if subject.cd { &[true] } else { &[true, false] };
        for &cd in reach {
            let about = Subject { cd, ..subject };
            if self.entry(Kind::Negative, about).is_some_and(|old| old.source.at <= at) {
                self.drop_entry(self.key(Kind::Negative, about));
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
        if kind == Kind::Negative {
            return;
        }
        let Entry { cluster, rtype, cd, suffix, .. } = *entry;
        for (name, is_service) in ancestors(&entry.name, suffix) {
            let subject = Subject { cluster, name, rtype, cd };
            let key = ancestor_key(&self.hasher, subject, is_service);
            if let Some(known) = self.ancestors.get_mut(&key) {
                known.below = known.below.saturating_sub(1);
                if known.below == 0 {
                    self.ancestors.remove(&key);
                }
            }
        }
    }

    fn renew_ancestors(&mut self, subject: Subject<'_>, suffix: usize, at: Time) {
        for (name, is_service) in ancestors(subject.name, suffix) {
            let key = ancestor_key(&self.hasher, Subject { name, ..subject }, is_service);
            if let Some(known) = self.ancestors.get_mut(&key) {
                known.latest = known.latest.max(at);
            }
        }
    }

    /// A client asked again for what a cluster said, and was given it from a
    /// cache: it is in use.
    pub fn note_use(&mut self, subject: Subject<'_>) {
        let of_name = Subject { rtype: ANY_TYPE, ..subject };
        for (kind, about) in
            [(Kind::Answer, subject), (Kind::Negative, subject), (Kind::Negative, of_name)]
        {
            self.credit(kind, about);
        }
        let Some(suffix) = self.registry.suffix(subject.cluster) else { return };
        let Some(Entry { data: Data::Reply(reply), summary, .. }) =
            self.entry(Kind::Answer, subject)
        else {
            return;
        };
        for found in beside::addresses(reply, summary, suffix) {
            let beside::Found { name, rtype, .. } = &found;
            self.credit(Kind::Beside, Subject { name, rtype: *rtype, ..subject });
        }
    }

    fn credit(&mut self, kind: Kind, subject: Subject<'_>) {
        if self.entry(kind, subject).is_some()
            && let Some(&(_, slot)) = self.index.get(&self.key(kind, subject))
        {
            self.rooms[kind as usize].credit(slot);
        }
    }
}

/// Looking up.
impl Held {
    /// What stands in for a cluster that is missing: what it gave in the last
    /// `keep_for`, by the rules K1, K2 and K6.
    pub fn find(&self, subject: Subject<'_>, now: Time, keep_for: Duration) -> Option<StandIn<'_>> {
        if let Some(records) = self.records_that_stand_in(subject, now, keep_for) {
            return Some(records.stand_in());
        }
        let mut newer = self.newer_negatives(subject, now, keep_for);
        if self.has_records_of_other_type(subject, now, keep_for) {
            // NXDOMAIN would deny those as well (RFC 8020).
            newer.retain(|negative| negative.rtype != ANY_TYPE);
        }
        let latest = newer.into_iter().max_by_key(|negative| negative.source.at)?;
        let denied = latest.rtype == ANY_TYPE;
        let missing_since = self.missing_since(subject, now);
        let expired = denied && now.since(missing_since) >= NXDOMAIN_FOR;
        (!expired).then(|| latest.stand_in())
    }

    /// When the cluster went missing.
    fn missing_since(&self, subject: Subject<'_>, now: Time) -> Time {
        self.registry.answered_at(subject.cluster).unwrap_or(now)
    }

    /// Negatives that came after the records that are held, if any are.
    fn newer_negatives(
        &self,
        subject: Subject<'_>,
        now: Time,
        keep_for: Duration,
    ) -> SmallVec<[&Entry; 2]> {
        let within = |entry: &&Entry| now.since(entry.source.at) < keep_for;
        let records = self.records(subject, &within);
        let of_name = Subject { rtype: ANY_TYPE, ..subject };
        let negatives = [subject, of_name].map(|about| self.latest(Kind::Negative, about, &within));
        let newer = negatives.into_iter().flatten().filter(|negative| {
            records.is_none_or(|records| negative.source.at > records.source.at)
        });
        newer.collect()
    }

    /// K2: records, unless a negative after them is to be believed.
    fn records_that_stand_in(
        &self,
        subject: Subject<'_>,
        now: Time,
        keep_for: Duration,
    ) -> Option<&Entry> {
        let within = |entry: &&Entry| now.since(entry.source.at) < keep_for;
        let records = self.records(subject, &within)?;
        let newer = self.newer_negatives(subject, now, keep_for);
        let first = newer.iter().filter_map(|negative| match negative.data {
            Data::Nothing { first, .. } => Some(first.max(records.source.at)),
            _ => None,
        });
        let missing_since = self.missing_since(subject, now);
        let doubted = first.min().is_none_or(|first| missing_since.since(first) < DOUBTED_FOR);
        doubted.then_some(records)
    }

    /// Records of another type stand in for this name.
    fn has_records_of_other_type(
        &self,
        subject: Subject<'_>,
        now: Time,
        keep_for: Duration,
    ) -> bool {
        let of_name = Subject { rtype: ANY_TYPE, ..subject };
        let within = |entry: &&Entry| now.since(entry.source.at) < keep_for;
        if self.latest(Kind::Negative, of_name, &within).is_none() {
            return false;
        }
        let others = KNOWN_TYPES.into_iter().filter(|&rtype| rtype != subject.rtype);
        let mut others = others.map(|rtype| Subject { rtype, ..subject });
        others.any(|other| self.records_that_stand_in(other, now, keep_for).is_some())
    }

    /// Whether a cluster that is missing has the name, as far as is held: it gave
    /// records, or NODATA, of the type asked for or of one that is known.
    pub fn has_name(&self, subject: Subject<'_>, now: Time, keep_for: Duration) -> bool {
        let types = KNOWN_TYPES.into_iter().chain([subject.rtype]);
        let mut found = types.map(|rtype| self.find(Subject { rtype, ..subject }, now, keep_for));
        found.any(|found| found.is_some_and(|found| found.says_that_it_exists()))
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

    /// What a cluster that is missing says to a type that nothing is held for,
    /// if addresses are held for the name, or records below it (K4): NODATA; or,
    /// if the name is an alias, what it is an alias of (K8).
    pub fn find_name(
        &self,
        subject: Subject<'_>,
        now: Time,
        keep_for: Duration,
    ) -> Option<StandIn<'_>> {
        let said = Said::Nothing(Rcode::NOERROR);
        // It is we who say that, so AA.
        let summary = Summary { aa: true, ..Summary::empty(Rcode::NOERROR) };
        for rtype in [Rtype::A, Rtype::AAAA] {
            let about = Subject { rtype, ..subject };
            let Some(entry) = self.records_that_stand_in(about, now, keep_for) else { continue };
            let found = entry.stand_in();
            return match found.said {
                Said::Reply(reply) if beside::is_alias(reply, &entry.summary, subject.name) => {
                    Some(found)
                }
                _ => Some(StandIn { said, summary, ..found }),
            };
        }
        let below = [true, false].into_iter().filter(|cd| subject.cd || !cd).any(|cd| {
            let address = matches!(subject.rtype, Rtype::A | Rtype::AAAA);
            let services = [false, true].into_iter().filter(|is_service| !is_service || !address);
            services.into_iter().any(|is_service| {
                let key = ancestor_key(&self.hasher, Subject { cd, ..subject }, is_service);
                let known = self.ancestors.get(&key);
                known.is_some_and(|known| now.since(known.latest) < keep_for)
            })
        });
        below.then_some(StandIn { said, summary, source: None })
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

fn ancestor_key(hasher: &RandomState, subject: Subject<'_>, is_service: bool) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write_u8(u8::from(is_service) | u8::from(subject.cd) << 1);
    hasher.write_u32(subject.cluster.number());
    hasher.write(subject.name);
    hasher.finish()
}
