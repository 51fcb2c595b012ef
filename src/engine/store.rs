//! Merged answers that can be given again, with the replies they were made of.
//!
//! A query that is done leaves its replies here; while they are fresh an equal
//! question is answered from them, and while the clusters say the same again it
//! is not merged again ([`super::unchanged`]). An entry is the finished
//! [`Gather`] itself, swapped in, so keeping it copies nothing; a merged answer
//! in wire format stands beside it, for clients that spell the name alike.
//! Answers with records, negative ones and failures have rooms of their own, so
//! that a flood of names that are not there costs nobody an answer.

use super::gather::{Gather, LivePlan};
use super::room::{Bounds, Room, Slot};
use super::time::Time;
use crate::wire::edns::Edns;
use crate::wire::message::push_answer_again;
use crate::wire::name::same;
use crate::wire::{HEADER_LEN, record};
use ahash::RandomState;
use domain::base::Header;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// Octets of replies per entry, on average over all: four datagrams of our
/// payload size.
const OCTETS_PER_ENTRY: usize = 4 * 1232;

/// A failure is remembered for one second, then twice as long each time, up to
/// this (RFC 9520, 3.2).
const LONGEST_FAILURE: Duration = Duration::from_secs(30);

/// A merged answer as it was sent, but for the OPT record.
#[derive(Default)]
pub struct Built {
    octets: Vec<u8>,
    /// Where the TTLs are.
    ttls: Vec<u16>,
    at: Time,
    /// Its TTLs are the clusters' own, not counted down.
    fresh: bool,
    /// It can be given again.
    usable: bool,
}

/// What is kept of one question.
pub struct Entry {
    /// The finished query.
    pub gather: Gather,
    /// Answered from until then.
    pub expires: Time,
    /// How long that was when it began.
    pub lifetime: Duration,
    /// When it was put here.
    pub since: Time,
    /// Every cluster asked has answered.
    pub whole: bool,
    /// When its replies were last noted as last good answers.
    pub noted: Time,
    /// Since then it has been noted that they were asked for again.
    pub use_noted: bool,
    /// Failures in a row.
    failures: u32,
    /// Times it has answered since it was put here.
    pub hits: u32,
    built: Built,
}

/// What an answer is, as far as it may displace others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It has records.
    Records = 0,
    /// NXDOMAIN or NODATA.
    Negative = 1,
    /// SERVFAIL (RFC 9520).
    Failure = 2,
}

/// Shares of the octets that each class has, and of the entries.
const OCTET_SHARES: [usize; 3] = [1, 4, 8];
const ENTRY_SHARES: [usize; 3] = [1, 1, 8];

/// The entries of one engine.
pub struct Store {
    index: HashMap<u64, (Class, Slot), RandomState>,
    rooms: [Room<Entry>; 3],
    most: usize,
    /// Evicted, its memory is for the next.
    spare: Option<Entry>,
}

/// What a finished query is worth.
#[derive(Debug, Clone, Copy)]
pub struct Worth {
    /// How long the answer may be given again, by its TTLs.
    pub ttl: Duration,
    /// Every cluster asked has answered.
    pub whole: bool,
    /// What it is.
    pub class: Class,
}

fn bounds(most: usize) -> [Bounds; 3] {
    [0, 1, 2].map(|class| Bounds {
        entries: most.div_ceil(ENTRY_SHARES[class]),
        octets: most.saturating_mul(OCTETS_PER_ENTRY).div_ceil(OCTET_SHARES[class]),
    })
}

impl Store {
    /// Room for `most` answers with records; none if that is 0.
    pub fn new(most: usize, mut hasher: impl FnMut() -> RandomState) -> Self {
        Store {
            index: HashMap::with_hasher(hasher()),
            rooms: bounds(most).map(|bounds| Room::new(bounds, hasher())),
            most,
            spare: None,
        }
    }

    /// Room for `most` from now on. With less room than is taken, what is in use
    /// stays.
    pub fn bound(&mut self, most: usize) {
        self.most = most;
        for (room, bounds) in self.rooms.iter_mut().zip(bounds(most)) {
            room.bound(bounds);
        }
        for class in [Class::Records, Class::Negative, Class::Failure] {
            self.collect(class);
        }
        self.spare = None;
    }

    /// Moves every entry to `plan`, and drops those whose zone has changed.
    pub fn move_to(&mut self, plan: &Rc<LivePlan>) {
        let Store { index, rooms, .. } = self;
        index.retain(|_, &mut (class, slot)| {
            let room = &mut rooms[class as usize];
            let stays = room.get_mut(slot).is_some_and(|entry| entry.gather.move_to(plan));
            if !stays {
                room.remove(slot);
            }
            stays
        });
        self.spare = None;
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.rooms.iter().map(Room::len).sum()
    }

    /// Octets of replies and answers held.
    pub fn octets(&self) -> usize {
        self.rooms.iter().map(Room::octets).sum()
    }

    /// Entries that had to make room for others.
    pub fn evictions(&self) -> u64 {
        self.rooms.iter().map(Room::evictions).sum()
    }

    /// The entry for a question (name, type, class) with this key.
    pub fn find(&mut self, key: u64, question: &[u8], cd: bool) -> Option<&mut Entry> {
        let &(class, slot) = self.index.get(&key)?;
        let room = &mut self.rooms[class as usize];
        let entry = room.get(slot)?;
        let equal =
            same_question(&entry.gather.question, question) && entry.gather.header.cd() == cd;
        if !equal {
            return None;
        }
        room.credit(slot);
        room.get_mut(slot)
    }

    /// Keeps a finished query, leaving another's memory in its place. Tells
    /// whether the question was there before.
    pub fn put(&mut self, now: Time, key: u64, gather: &mut Gather, worth: Worth) -> bool {
        if self.most == 0 {
            return false;
        }
        let before = self.index.get(&key).copied();
        let room = |class: Class| class as usize;
        // In its place, if it is of the same class as before.
        let mut taken = before.filter(|&(class, _)| class != worth.class).and_then(|old| {
            self.index.remove(&key);
            self.rooms[room(old.0)].remove(old.1)
        });
        let stays = before.filter(|&(class, _)| class == worth.class).map(|(_, slot)| slot);
        let entry = match stays.and_then(|slot| self.rooms[room(worth.class)].get_mut(slot)) {
            Some(entry) => entry,
            None => taken.get_or_insert_with(|| {
                self.spare.take().unwrap_or_else(|| Entry::new(Gather::like(gather)))
            }),
        };
        let again = before.is_some() && same_question(&entry.gather.question, &gather.question);
        entry.fill(now, gather, worth, again);
        let octets = entry.octets();
        let room = &mut self.rooms[room(worth.class)];
        match (stays, taken) {
            (Some(slot), None) => {
                room.credit(slot);
                room.resize(slot, octets);
            }
            (_, Some(entry)) => {
                let slot = room.insert(key, entry, octets);
                self.index.insert(key, (worth.class, slot));
            }
            (None, None) => {}
        }
        self.collect(worth.class);
        again
    }

    /// Forgets what was evicted from a room.
    fn collect(&mut self, class: Class) {
        while let Some((key, entry)) = self.rooms[class as usize].pop_evicted() {
            self.index.remove(&key);
            self.spare = Some(entry);
        }
    }

    /// Keeps the answer just merged for the entry, to be given again: the
    /// message as it was sent, without its OPT record.
    pub fn keep_built(&mut self, now: Time, key: u64, message: &[u8], opt: usize) {
        let Some(&(class, slot)) = self.index.get(&key) else { return };
        let room = &mut self.rooms[class as usize];
        let Some(entry) = room.get_mut(slot) else { return };
        entry.build(now, message, opt);
        let octets = entry.octets();
        room.resize(slot, octets);
        self.collect(class);
    }
}

impl Entry {
    fn new(gather: Gather) -> Self {
        Entry {
            gather,
            expires: Time::default(),
            lifetime: Duration::ZERO,
            since: Time::default(),
            whole: false,
            noted: Time::default(),
            use_noted: false,
            failures: 0,
            hits: 0,
            built: Built::default(),
        }
    }

    /// Takes a finished query, and gives its own memory for it.
    fn fill(&mut self, now: Time, gather: &mut Gather, worth: Worth, again: bool) {
        let failed = worth.class == Class::Failure;
        self.failures = match (failed, again) {
            (true, true) => self.failures.saturating_add(1),
            (failed, _) => failed.into(),
        };
        self.lifetime = if failed {
            let times = 1u64 << self.failures.saturating_sub(1).min(5);
            Duration::from_secs(times).min(LONGEST_FAILURE)
        } else {
            worth.ttl
        };
        self.since = now;
        self.noted = now;
        self.use_noted = false;
        self.expires = now + self.lifetime;
        self.whole = worth.whole;
        self.hits = 0;
        self.built.usable = false;
        std::mem::swap(&mut self.gather, gather);
        // Which is counted among those in flight stays so.
        (gather.counted, self.gather.counted) = (self.gather.counted, 0);
        gather.swapped = true;
        self.gather.live = false;
    }

    fn octets(&self) -> usize {
        self.gather.octets() + self.built.octets.capacity()
    }

    fn build(&mut self, now: Time, message: &[u8], opt: usize) {
        let fresh = is_fresh(now, &self.gather);
        let mut at = HEADER_LEN + self.gather.question.len();
        let built = &mut self.built;
        built.usable = false;
        built.ttls.clear();
        built.octets.clear();
        built.octets.extend_from_slice(&message[..message.len() - opt]);
        while at < built.octets.len() {
            let Ok((record, next)) = record::read(&built.octets, at) else { return };
            let Ok(place) = u16::try_from(record.rdata.start - 6) else { return };
            built.ttls.push(place);
            at = next;
        }
        if opt > 0 {
            let count = u16::from_be_bytes([built.octets[10], built.octets[11]]) - 1;
            built.octets[10..12].copy_from_slice(&count.to_be_bytes());
        }
        built.at = now;
        built.fresh = fresh;
        built.usable = true;
    }

    /// Writes the answer as new: the clusters have all just said again what it
    /// was made of.
    pub fn push_unchanged(
        &mut self,
        now: Time,
        gather: &Gather,
        limits: (usize, u16),
        out: &mut Vec<u8>,
    ) -> bool {
        let built_at = std::mem::replace(&mut self.built.at, now);
        let asker = gather.asker();
        let done = self.built.fresh
            && is_fresh(now, gather)
            && self.push_built(now, &asker.header, asker.question, asker.edns, limits, out);
        if !done {
            self.built.at = built_at;
            return false;
        }
        for (kept, sub) in self.gather.subs_mut().iter_mut().zip(gather.subs()) {
            kept.answered = sub.answered;
        }
        self.gather.settled = now;
        self.since = now;
        self.expires = now + self.lifetime;
        self.hits = 0;
        true
    }

    /// Writes the answer again, if this client spells the name alike and has
    /// room for it.
    pub fn push_built(
        &self,
        now: Time,
        client: &Header,
        question: &[u8],
        edns: Option<Edns>,
        limits: (usize, u16),
        out: &mut Vec<u8>,
    ) -> bool {
        let (limit, payload) = limits;
        let built = &self.built;
        let opt = edns.map_or(0, |edns| edns.opt_len() + edns.most_padding());
        let asked = built.octets.get(HEADER_LEN..HEADER_LEN + question.len());
        if !built.usable || asked != Some(question) || built.octets.len() + opt > limit {
            return false;
        }
        let age = now.since(built.at).as_secs() as u32;
        push_answer_again(out, &built.octets, &built.ttls, age, client, edns, payload);
        true
    }
}

/// Every reply is younger than a second, so no TTL has been reduced.
fn is_fresh(now: Time, gather: &Gather) -> bool {
    gather.subs().iter().all(|sub| sub.age(now) == 0)
}

fn same_question(a: &[u8], b: &[u8]) -> bool {
    let fixed = |question: &[u8]| question.len().saturating_sub(4);
    a.len() == b.len() && a[fixed(a)..] == b[fixed(b)..] && same(&a[..fixed(a)], &b[..fixed(b)])
}
