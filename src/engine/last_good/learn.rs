//! Taking in what clusters say (K1, K2, K6): a record ends what was denied
//! before, a negative leaves records where they are, and addresses beside an
//! answer are held for their own names.

use super::beside::Found;
use super::held::{
    ANCESTOR_OCTETS, ANY_TYPE, Beside, Data, Entry, Held, Kind, ancestor_key, ancestors,
};
use super::subject::{Lesson, Subject};
use crate::engine::sub::Source;
use crate::engine::time::Time;
use crate::wire::reply::Summary;
use domain::base::iana::Rcode;
use std::time::Duration;

impl Held {
    /// Takes in what a cluster said. What is held and newer stays. True if it has
    /// records that are not held so far: they are left to [`Self::take_records`],
    /// after they were read without keeping everybody else waiting.
    #[must_use]
    pub fn learn(&mut self, lesson: Lesson<'_>) -> bool {
        let Lesson { subject, summary, source, .. } = lesson;
        self.registry.note_answered(subject.cluster, source.at);
        let of_name = Subject { rtype: ANY_TYPE, ..subject };
        if summary.has_answer {
            self.withdraw(subject, source.at);
            self.withdraw(of_name, source.at);
            return !self.renew(lesson);
        }
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
        false
    }

    /// Takes in some of the addresses that came beside an answer.
    pub(super) fn take_addresses(
        &mut self,
        lesson: Lesson<'_>,
        found: impl Iterator<Item = Found>,
        beside: &mut Vec<Beside>,
    ) {
        let Lesson { summary, source, .. } = lesson;
        for Found { name, rtype, addresses } in found {
            let subject = Subject { name: &name, rtype, ..lesson.subject };
            let content = self.hasher.hash_one(&addresses.records);
            beside.push(Beside { key: self.key(Kind::Beside, subject), content });
            // They contradict what was denied before (K1).
            self.withdraw(subject, source.at);
            self.withdraw(Subject { rtype: ANY_TYPE, ..subject }, source.at);
            let data = Data::Addresses { addresses, content };
            self.put(Kind::Beside, subject, data, 0, summary, source);
        }
    }

    /// Takes in the records of an answer, of which the smallest TTL is `ttl`.
    pub(super) fn take_records(&mut self, lesson: Lesson<'_>, ttl: u32, beside: Vec<Beside>) {
        let Lesson { subject, summary, reply, source } = lesson;
        let data = Data::Reply { reply: reply.into(), beside: beside.into() };
        self.put(Kind::Answer, subject, data, ttl, summary, source);
    }

    /// Holds something. Of an answer's records `ttl` is the smallest TTL; of anything
    /// else it is not needed.
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

    fn renew_ancestors(&mut self, subject: Subject<'_>, suffix: usize, at: Time) {
        for (name, is_service) in ancestors(subject.name, suffix) {
            let key = ancestor_key(&self.hasher, Subject { name, ..subject }, is_service);
            if let Some(known) = self.ancestors.get_mut(&key) {
                known.latest = known.latest.max(at);
            }
        }
    }

    /// Takes in a reply that says what is held already, to the octet but for its
    /// ID; false if it does not. Nothing is allocated for it.
    fn renew(&mut self, lesson: Lesson<'_>) -> bool {
        let Lesson { subject, summary, reply, source } = lesson;
        let answer = self.key(Kind::Answer, subject);
        let Some(entry) = self.entry_mut(Kind::Answer, answer) else { return false };
        let Data::Reply { reply: held, .. } = &entry.data else { return false };
        if !entry.is_about(subject)
            || entry.source.at > source.at
            || held.get(2..) != reply.get(2..)
        {
            return false;
        }
        let suffix = entry.suffix;
        // What came beside it may have been evicted, or be different by now.
        if !self.has_all_beside(answer) {
            return false;
        }
        if let Some(entry) = self.entry_mut(Kind::Answer, answer) {
            entry.renew(summary, source);
        }
        self.renew_ancestors(subject, suffix, source.at);
        self.use_again(answer, Some((summary, source)));
        true
    }

    /// A client asked again for what a cluster said, and was given it from a
    /// cache: it is in use.
    pub fn note_use(&mut self, subject: Subject<'_>) {
        let of_name = Subject { rtype: ANY_TYPE, ..subject };
        self.use_again(self.key(Kind::Answer, subject), None);
        self.credit(self.key(Kind::Beside, subject));
        for about in [subject, of_name] {
            self.credit(self.key(Kind::Negative, about));
        }
    }

    /// Everything that came beside an answer is held as it came.
    fn has_all_beside(&mut self, answer: u64) -> bool {
        let mut n = 0;
        while let Some(Entry { data: Data::Reply { beside, .. }, .. }) =
            self.entry_mut(Kind::Answer, answer)
            && let Some(&came) = beside.get(n)
        {
            n += 1;
            let held = self.entry_mut(Kind::Beside, came.key);
            if !held.is_some_and(|held| held.has_come_as(came)) {
                return false;
            }
        }
        true
    }

    /// Credits an answer, and what came beside it; renews that if the answer has
    /// come again.
    fn use_again(&mut self, answer: u64, again: Option<(Summary, Source)>) {
        self.credit(answer);
        let mut n = 0;
        while let Some(Entry { data: Data::Reply { beside, .. }, .. }) =
            self.entry_mut(Kind::Answer, answer)
            && let Some(&came) = beside.get(n)
        {
            n += 1;
            self.credit(came.key);
            if let (Some((summary, source)), Some(entry)) =
                (again, self.entry_mut(Kind::Beside, came.key))
                && entry.has_come_as(came)
            {
                entry.renew(summary, source);
            }
        }
    }

    fn credit(&mut self, key: u64) {
        if let Some(&(kind, slot)) = self.index.get(&key) {
            self.rooms[kind as usize].credit(slot);
        }
    }
}
