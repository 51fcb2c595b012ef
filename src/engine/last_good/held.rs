//! What is held of the clusters' answers, and where.
//!
//! Answers with records, negatives, and addresses that came beside other
//! answers have rooms of their own, so that none displaces another. What goes
//! in is in [`super::learn`], what stands in for a cluster in
//! [`super::look_up`].

use super::beside::Addresses;
use super::registry::{ClusterId, Registry, Wanted};
use super::subject::{Said, StandIn, Subject};
use crate::engine::room::{Bounds, Room, Slot};
use crate::engine::sub::Source;
use crate::engine::time::Time;
use crate::wire::reply::Summary;
use ahash::RandomState;
use domain::base::iana::{Rcode, Rtype};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

/// Octets of a room for each question, all clusters' answers to it together:
/// four datagrams of our payload size, some names and numbers for negatives, some
/// names and a handful of addresses for those beside.
const OCTETS: [usize; 3] = [4 * 1232, 512, 1024];

/// The nearest names above a held one that are known: more than any service has,
/// and few enough that a name of 127 labels costs no more than others.
const MOST_ANCESTORS: usize = 32;

/// Octets of memory that an ancestor of a held name takes.
pub(super) const ANCESTOR_OCTETS: usize = 24;

/// The rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Answer = 0,
    Negative = 1,
    Beside = 2,
}

pub(super) enum Data {
    /// With the addresses that came beside its records.
    Reply { reply: Box<[u8]>, beside: Box<[Beside]> },
    /// With a hash of their octets.
    Addresses { addresses: Addresses, content: u64 },
    /// When the first of these came since there were records.
    Nothing { rcode: Rcode, first: Time },
}

/// Addresses that came beside an answer: the key they are held under, and the
/// hash of their octets as they came. Another answer with the same beside it
/// does not make them different.
#[derive(Clone, Copy)]
pub(super) struct Beside {
    pub(super) key: u64,
    pub(super) content: u64,
}

pub(super) struct Entry {
    pub(super) cluster: ClusterId,
    pub(super) name: Box<[u8]>,
    pub(super) rtype: Rtype,
    pub(super) cd: bool,
    pub(super) data: Data,
    pub(super) summary: Summary,
    pub(super) source: Source,
    /// When the TTL of its records runs out.
    pub(super) expires: Time,
    /// Octets of the cluster's suffix, with which the name ends.
    pub(super) suffix: usize,
}

impl Entry {
    /// The same came again.
    pub(super) fn renew(&mut self, summary: Summary, source: Source) {
        let ttl = self.expires.since(self.source.at);
        self.expires = source.at + ttl;
        (self.summary, self.source) = (summary, source);
    }

    /// These are the addresses that came so.
    pub(super) fn has_come_as(&self, came: Beside) -> bool {
        matches!(self.data, Data::Addresses { content, .. } if content == came.content)
    }

    pub(super) fn is_about(&self, subject: Subject<'_>) -> bool {
        (self.cluster, self.rtype, self.cd) == (subject.cluster, subject.rtype, subject.cd)
            && *self.name == *subject.name
    }

    pub(super) fn stand_in(&self) -> StandIn<'_> {
        let said = match &self.data {
            Data::Reply { reply, .. } => Said::Reply(reply),
            Data::Addresses { addresses, .. } => Said::Addresses(addresses),
            Data::Nothing { rcode, .. } => Said::Nothing(*rcode),
        };
        StandIn { said, summary: self.summary, source: Some(self.source) }
    }

    pub(super) fn octets(&self) -> usize {
        let data = match &self.data {
            Data::Reply { reply, beside } => reply.len() + size_of_val(&**beside),
            Data::Addresses { addresses, .. } => addresses.records.len(),
            Data::Nothing { .. } => 0,
        };
        size_of::<Entry>() + self.name.len() + data
    }
}

/// The type under which NXDOMAIN is held, which is said of a name (RFC 2308, 5);
/// no question has this type.
pub(super) const ANY_TYPE: Rtype = Rtype::from_int(0);

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
    pub(super) hasher: RandomState,
    pub(super) index: HashMap<u64, (Kind, Slot), RandomState>,
    pub(super) rooms: [Room<Entry>; 3],
    /// Names above those of which records are held (K4).
    pub(super) ancestors: HashMap<u64, Ancestor, RandomState>,
}

/// What is held below a name.
#[derive(Default)]
pub(super) struct Ancestor {
    /// Entries.
    pub(super) below: u32,
    /// When the latest of them was given.
    pub(super) latest: Time,
}

/// The names above a flat name, down to its last `suffix` octets. With each: it is
/// the first behind labels that begin with `_`, so that it is a service's name,
/// and mostly has addresses.
pub(super) fn ancestors(name: &[u8], suffix: usize) -> impl Iterator<Item = (&[u8], bool)> {
    let begins_so = |name: &[u8]| name.get(1) == Some(&b'_');
    let mut rest = name;
    std::iter::from_fn(move || {
        let below = begins_so(rest);
        rest = rest.get(1 + usize::from(*rest.first()?)..)?;
        (rest.len() >= suffix).then_some((rest, below && !begins_so(rest)))
    })
    .take(MOST_ANCESTORS)
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

    /// Gives up the room that only plans wanted which are no longer in use.
    pub(super) fn tidy(&mut self) {
        if self.registry.forget_ended() {
            self.set_bounds();
        }
    }

    /// Forgets what was evicted from a room.
    pub(super) fn collect(&mut self, kind: Kind) {
        while let Some((key, entry)) = self.rooms[kind as usize].pop_evicted() {
            self.index.remove(&key);
            self.forget_name(kind, &entry);
        }
    }

    pub(super) fn forget_name(&mut self, kind: Kind, entry: &Entry) {
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

    pub(super) fn entry(&self, kind: Kind, subject: Subject<'_>) -> Option<&Entry> {
        let &(known, slot) = self.index.get(&self.key(kind, subject))?;
        let entry = self.rooms.get(known as usize)?.get(slot)?;
        (known == kind && entry.is_about(subject)).then_some(entry)
    }

    pub(super) fn key(&self, kind: Kind, subject: Subject<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u8(kind as u8 | u8::from(subject.cd) << 7);
        hasher.write_u16(subject.rtype.to_int());
        hasher.write_u32(subject.cluster.number());
        hasher.write(subject.name);
        hasher.finish()
    }

    pub(super) fn entry_mut(&mut self, kind: Kind, key: u64) -> Option<&mut Entry> {
        let &(known, slot) = self.index.get(&key)?;
        let entry = self.rooms.get_mut(known as usize)?.get_mut(slot)?;
        (known == kind).then_some(entry)
    }
}

pub(super) fn ancestor_key(hasher: &RandomState, subject: Subject<'_>, is_service: bool) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write_u8(u8::from(is_service) | u8::from(subject.cd) << 1);
    hasher.write_u32(subject.cluster.number());
    hasher.write(subject.name);
    hasher.finish()
}
