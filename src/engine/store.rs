//! What the clusters said last: answers that can be given again, and, when a
//! cluster is missing, its last good answer (M6).
//!
//! Both are one thing. A query that is done leaves its replies here; while they
//! are fresh an equal question is answered from them, and when they are not,
//! and a cluster cannot be asked, its reply is still the best there is. An
//! entry is the finished [`Gather`] itself, swapped in, so keeping it copies
//! nothing; a merged answer in wire format stands beside it, for clients that
//! spell the name alike. Entries and octets are bounded; what has not been used
//! for longest goes first (by the clock algorithm).

use super::gather::Gather;
use super::time::Time;
use crate::wire::edns::Edns;
use crate::wire::message::push_answer_again;
use crate::wire::name::same;
use crate::wire::{HEADER_LEN, record};
use ahash::RandomState;
use domain::base::Header;
use std::collections::HashMap;
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
    key: u64,
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
    /// Failures in a row.
    failures: u32,
    /// Times it has answered since it was put here.
    pub hits: u32,
    built: Built,
    octets: usize,
    used: bool,
}

/// The entries of one engine.
pub struct Store {
    index: HashMap<u64, u32, RandomState>,
    entries: Vec<Entry>,
    most: usize,
    octets: usize,
    hand: usize,
    evictions: u64,
}

/// What a finished query is worth.
#[derive(Debug, Clone, Copy)]
pub struct Worth {
    /// How long the answer may be given again, by its TTLs.
    pub ttl: Duration,
    /// Every cluster asked has answered.
    pub whole: bool,
    /// It is a SERVFAIL.
    pub failed: bool,
}

impl Store {
    /// Room for `most` entries; none if that is 0.
    pub fn new(most: usize, hasher: RandomState) -> Self {
        Store {
            index: HashMap::with_hasher(hasher),
            entries: Vec::new(),
            most,
            octets: 0,
            hand: 0,
            evictions: 0,
        }
    }

    /// Room for `most` entries from now on. With less room than is taken, it
    /// begins anew.
    pub fn bound(&mut self, most: usize) {
        self.most = most;
        if self.entries.len() > most {
            self.entries.clear();
            self.index.clear();
            (self.hand, self.octets) = (0, 0);
        }
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Octets of replies and answers held.
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// Entries that had to make room for others.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    /// The entry for a question (name, type, class) with this key.
    pub fn find(&mut self, key: u64, question: &[u8], cd: bool) -> Option<&mut Entry> {
        let &n = self.index.get(&key)?;
        let entry = self.entries.get_mut(n as usize)?;
        let equal =
            same_question(&entry.gather.question, question) && entry.gather.header.cd() == cd;
        entry.used |= equal;
        equal.then_some(entry)
    }

    /// Keeps a finished query, leaving another's memory in its place. Tells
    /// whether the question was there before.
    pub fn put(&mut self, now: Time, key: u64, gather: &mut Gather, worth: Worth) -> bool {
        if self.most == 0 {
            return false;
        }
        let n = match self.index.get(&key) {
            Some(&n) => n as usize,
            None => {
                let n = self.room(gather);
                self.index.insert(key, n as u32);
                n
            }
        };
        let entry = &mut self.entries[n];
        let again = entry.key == key && same_question(&entry.gather.question, &gather.question);
        entry.failures = match (worth.failed, again) {
            (true, true) => entry.failures.saturating_add(1),
            (failed, _) => failed.into(),
        };
        entry.key = key;
        entry.lifetime = if worth.failed {
            let times = 1u64 << entry.failures.saturating_sub(1).min(5);
            Duration::from_secs(times).min(LONGEST_FAILURE)
        } else {
            worth.ttl
        };
        entry.since = now;
        entry.expires = now + entry.lifetime;
        entry.whole = worth.whole;
        entry.hits = 0;
        // Only being asked for again earns a second chance.
        entry.used = again;
        entry.built.usable = false;
        std::mem::swap(&mut entry.gather, gather);
        entry.gather.live = false;
        self.recount(n);
        self.shrink(n);
        again
    }

    /// A place for a new entry.
    fn room(&mut self, gather: &Gather) -> usize {
        if self.entries.len() < self.most {
            self.entries.push(Entry {
                key: 0,
                gather: Gather::new(gather.plan.clone(), gather.client, gather.header),
                expires: Time::default(),
                lifetime: Duration::ZERO,
                since: Time::default(),
                whole: false,
                failures: 0,
                hits: 0,
                built: Built::default(),
                octets: 0,
                used: false,
            });
            return self.entries.len() - 1;
        }
        self.evict()
    }

    /// Empties the entry that has not been used for longest; returns its place.
    fn evict(&mut self) -> usize {
        // At most one round: the first pass takes every mark away.
        while std::mem::take(&mut self.entries[self.hand].used) {
            self.hand = (self.hand + 1) % self.entries.len();
        }
        let n = self.hand;
        self.hand = (self.hand + 1) % self.entries.len();
        let old = self.entries[n].key;
        if self.index.get(&old) == Some(&(n as u32)) {
            self.index.remove(&old);
        }
        self.evictions += 1;
        n
    }

    /// Gives memory back until the rest is within the bound; never that of
    /// `latest`.
    fn shrink(&mut self, latest: usize) {
        for _ in 0..self.entries.len() {
            if self.octets <= self.most * OCTETS_PER_ENTRY {
                return;
            }
            let n = self.evict();
            if n == latest {
                self.index.insert(self.entries[n].key, n as u32);
                continue;
            }
            let entry = &mut self.entries[n];
            let old = &entry.gather;
            entry.gather = Gather::new(old.plan.clone(), old.client, old.header);
            entry.built = Built::default();
            self.recount(n);
        }
    }

    fn recount(&mut self, n: usize) {
        let entry = &mut self.entries[n];
        let octets = entry.gather.octets() + entry.built.octets.capacity();
        self.octets = self.octets - entry.octets + octets;
        entry.octets = octets;
    }

    /// Keeps the answer just merged for the entry, to be given again: the
    /// message as it was sent, without its OPT record.
    pub fn keep_built(&mut self, now: Time, key: u64, message: &[u8], opt: usize) {
        let Some(&n) = self.index.get(&key) else { return };
        let built = &mut self.entries[n as usize].built;
        built.usable = false;
        built.ttls.clear();
        built.octets.clear();
        built.octets.extend_from_slice(&message[..message.len() - opt]);
        let mut at = HEADER_LEN + self.entries[n as usize].gather.question.len();
        let entry = &mut self.entries[n as usize];
        let fresh = now.since(entry.since).as_secs() == 0;
        let built = &mut entry.built;
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
        self.recount(n as usize);
    }
}

impl Entry {
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

fn same_question(a: &[u8], b: &[u8]) -> bool {
    let fixed = |question: &[u8]| question.len().saturating_sub(4);
    a.len() == b.len() && a[fixed(a)..] == b[fixed(b)..] && same(&a[..fixed(a)], &b[..fixed(b)])
}
