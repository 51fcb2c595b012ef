//! The laws, and how an answer is judged by them.
//!
//! 1. Every query gets one answer, by its deadline.
//! 2. No record that no cluster gave; of what one gave, all of it, about this
//!    name.
//! 3. A cluster whose answer to the first sub-question came in time is not
//!    missing; if all came, the answer is whole, and as fresh as that.
//! 4. Nothing is older than its TTL allows, unless the answer says so (EDE 3),
//!    and then no older than configured. What lacks a cluster, or has something
//!    held in it, has short TTLs.
//! 5. What was asked before is answered as before: each answer is what the
//!    rules M and K make of one view of each cluster, fresh or from the book,
//!    and says of which clusters something held is in it and which are missing.
//!    So no answer is poorer than the book allows, and no negative is given
//!    against it.
//! 6. A flood displaces nothing that is asked again and again, and what is held
//!    is bounded.
//! 7. When all is quiet no query, ID or timer is left (`world.rs`).
//! 8. What servers are asked, which, and when (`upstream.rs`).
//! 9. Which servers are up (`health.rs`).
//! 10. Everything is counted once and in its place (`counters.rs`).
//! 11. What is given again (`cache.rs`).
//! 12. Header, order and size of an answer (`content.rs`).

pub mod cache;
mod content;
pub mod counters;
pub mod upstream;

use crate::answer::{Got, Record};
use crate::book::{Book, Held, Lookup, Room, View, Views, Why};
use crate::names::{Kind, Name};
use crate::tally::Tally;
use crate::truth::{HONEST, Truth, Truths, payload};
use crate::verdict::{By, Expected, Part, Policy, outcomes};
use domain::base::iana::{Rcode, Rtype};
use gathersrv::config::OnMissing;
use gathersrv::engine::Time;
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// The longest TTL of an answer that is less than whole (M6).
const INCOMPLETE: Duration = Duration::from_secs(5);

/// A SERVFAIL is remembered this long at the most (RFC 9520).
const FAILURE: Duration = Duration::from_secs(30);

/// The clusters a question is put to, and the name they are asked for.
type Round = (SmallVec<[u8; 6]>, Name);

/// Everything that a cluster's part may be.
type Parts = SmallVec<[Part; 4]>;

/// A query, as far as the laws speak of it.
#[derive(Debug)]
pub struct Case {
    pub worker: usize,
    pub name: Name,
    pub rtype: Rtype,
    pub cd: bool,
    pub at: Time,
    pub packet: Vec<u8>,
    pub edns: bool,
    pub stream: bool,
    pub rules: Rc<Rules>,
    /// Epochs of the first sub-questions that are answered well, by now.
    pub timely: BTreeMap<u8, (Truth, u8)>,
    /// Clusters whose first sub-question was sent with the query.
    pub asked: BTreeSet<u8>,
    /// Something else happened that may settle it differently.
    pub disturbed: bool,
    /// There were too many queries in flight.
    pub overloaded: bool,
    /// Servers were asked for it, and no other query.
    pub leads: bool,
    /// Clusters that have answered it.
    pub replied: BTreeSet<u8>,
    /// A server would not answer, or a socket was in trouble.
    pub excused: bool,
}

/// What holds under one configuration.
#[derive(Debug, Clone)]
pub struct Rules {
    pub truths: Truths,
    pub clusters: u8,
    pub deadline: Duration,
    pub ttl: Duration,
    pub keep_for: Duration,
    pub keep_on_empty: Duration,
    pub policy: Policy,
}

/// What else has happened so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Past {
    pub reloaded: Option<Time>,
    /// The longest `keep-on-empty` that held at any time.
    pub keep_on_empty: Duration,
    /// The longest deadline that held at any time.
    pub deadline: Duration,
}

/// An answer, and when it was given.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    pub at: Time,
    pub packet: &'a [u8],
    /// No cluster was asked for it.
    pub kept: bool,
}

/// One judgement.
pub struct Judge<'a> {
    pub book: &'a Book,
    pub past: Past,
    pub case: &'a Case,
    pub given: Given<'a>,
    pub got: Got,
}

impl<'a> Judge<'a> {
    pub fn new(book: &'a Book, past: Past, case: &'a Case, given: Given<'a>) -> Self {
        let got = Got::read(given.packet, &case.packet);
        Judge { book, past, case, given, got }
    }

    /// Judges the answer; the tally takes note of it.
    pub fn judge(&self, tally: &mut Tally) {
        let (case, got) = (self.case, &self.got);
        assert!(self.given.at <= case.at + case.rules.deadline, "late");
        self.header();
        self.order();
        let seen = self.records();
        self.beside();
        self.left_out(&seen);
        self.patient(tally);
        self.ages(&seen);
        self.timely(&seen, tally);
        self.as_before(&seen, tally);
        tally.answers += 1;
        tally.whole += u64::from(got.says_whole());
        tally.stale += u64::from(got.has(3));
        tally.partial += u64::from(got.rcode == Rcode::NOERROR && got.has(23));
        let negative = got.rcode != Rcode::SERVFAIL && got.records.is_empty() && !got.truncated;
        tally.negative += u64::from(negative);
        tally.stale_negative += u64::from(negative && (got.has(3) || got.has(19)));
        tally.servfail += u64::from(got.rcode == Rcode::SERVFAIL);
        tally.cut += u64::from(got.truncated);
        tally.streamed += u64::from(case.stream);
    }

    /// How long a reply may wait for the others: for the deadline of the first
    /// client, and of one that joins it until half of that has passed (U4). What is
    /// given again may have been collected before a reload made the deadline shorter.
    fn settle(&self) -> Duration {
        let deadline = match self.given.kept {
            true => self.past.deadline,
            false => self.case.rules.deadline,
        };
        deadline * 3 / 2
    }

    /// The name clusters have records for: with its prefix or without.
    pub fn recorded_name(&self) -> Name {
        match self.case.name {
            Name { kind: Kind::Thing, .. } => self.case.name,
            name => name.stripped(),
        }
    }

    /// Whose record it is, and since when that is true.
    fn source(&self, record: &Record, name: Name) -> (u8, u8, u8) {
        let [first, second, code, epoch] = record.payload;
        assert_eq!((first, code), (HONEST, name.code()), "whose record is it? {self:?}");
        (second / 16, second % 16, epoch)
    }

    /// Law 2: the clusters with records in the answer, and since when those
    /// are true.
    fn records(&self) -> BTreeMap<u8, u8> {
        let (case, got) = (self.case, &self.got);
        let name = self.recorded_name();
        let mut seen: BTreeMap<u8, u8> = BTreeMap::new();
        let mut count = 0;
        for record in &got.records {
            let (cluster, member, epoch) = self.source(record, name);
            let known = seen.insert(cluster, epoch);
            assert!(known.is_none_or(|known| known == epoch), "two epochs of one: {self:?}");
            let truth = case.rules.truths.of(cluster, name, case.rtype, epoch);
            let Truth::Records(members) = truth else { panic!("no such records: {self:?}") };
            let there = match name.kind {
                Kind::Member(m) => member == m,
                _ => member < members,
            };
            assert!(there, "no such member: {self:?}");
            if let Some(target) = record.name {
                let expected = Name::plain(Kind::Member(member), name.number).of(cluster);
                assert_eq!(target, expected, "{self:?}");
            }
            if known.is_none() {
                count += usize::from(members);
                let words = self.book.words(cluster, name).iter();
                let mut given = words.filter(|word| word.rtype == case.rtype);
                let is_it = |truth| matches!(truth, Truth::Records(_));
                let found = given.any(|word| word.epoch == epoch && is_it(word.truth));
                assert!(found, "cluster {cluster} did not give it so far: {self:?}");
            }
            let prefix = case.name.prefix.filter(|_| name.prefix.is_none());
            assert!(prefix.is_none_or(|only| only == cluster), "not asked: {self:?}");
        }
        if got.truncated {
            assert!(!case.stream, "cut over a stream: {self:?}");
            assert!(got.records.len() < count || got.records.is_empty() || count > 0);
        } else {
            assert_eq!(got.records.len(), count, "a part of what a cluster gave: {self:?}");
        }
        seen
    }

    /// Law 2 for what stands beside: addresses of targets, and over a stream
    /// all of them.
    fn beside(&self) {
        let (case, got) = (self.case, &self.got);
        for record in &got.beside {
            let name = record.name.expect("an owner");
            let (cluster, member, epoch) = self.source(record, name);
            assert_eq!(name.prefix, Some(cluster), "{self:?}");
            assert_eq!(name.kind, Kind::Member(member), "{self:?}");
            let target = got.records.iter().find(|srv| srv.name == Some(name));
            let srv = target.unwrap_or_else(|| panic!("no such target: {self:?}"));
            assert_eq!(srv.payload[3], epoch, "of another time: {self:?}");
        }
        if !case.stream {
            return;
        }
        for srv in &got.records {
            let Some(target) = srv.name else { continue };
            let (cluster, member, epoch) = self.source(srv, self.recorded_name());
            let address = payload(cluster, target.stripped(), member, epoch);
            let there = |record: &&Record| record.name == Some(target);
            let found = got.beside.iter().filter(there).any(|r| r.payload == address);
            assert!(found, "no address beside {target:?}: {self:?}");
        }
    }

    /// Law 4.
    fn ages(&self, seen: &BTreeMap<u8, u8>) {
        let (case, got) = (self.case, &self.got);
        let ttl = case.rules.ttl;
        let incomplete = [3, 19, 22, 23].iter().any(|&code| got.has(code));
        let most = match (incomplete, got.records.is_empty()) {
            // What is held need not have come with an SOA (M7).
            (true, true) => INCOMPLETE,
            (true, false) => ttl.min(INCOMPLETE),
            (false, _) if case.edns => ttl,
            (false, _) => ttl.max(INCOMPLETE),
        };
        assert!(u64::from(got.longest_ttl) <= most.as_secs(), "TTLs are too long: {self:?}");
        if !case.edns {
            return;
        }
        for (&cluster, &epoch) in seen {
            let words = self.book.words(cluster, self.recorded_name()).iter();
            let said = words.filter(|word| word.rtype == case.rtype && word.epoch == epoch);
            let last = said.map(|word| word.at).max().expect("it was given");
            let life = match got.names(&[3, 19], cluster) {
                // An answer that was filled in may itself be given again.
                true => case.rules.keep_for.max(self.past.keep_on_empty).max(ttl) + INCOMPLETE,
                false => ttl,
            };
            let age = self.given.at.since(last);
            assert!(age <= life + self.settle(), "cluster {cluster}: {age:?} old: {self:?}");
        }
    }

    /// Law 3.
    fn timely(&self, seen: &BTreeMap<u8, u8>, tally: &mut Tally) {
        let (case, got) = (self.case, &self.got);
        if case.disturbed || case.overloaded {
            return;
        }
        let expected = &self.rounds()[0].0;
        if case.asked.len() != expected.len() {
            return;
        }
        for (&cluster, &(truth, epoch)) in &case.timely {
            tally.timely_cluster += 1;
            assert!(
                !got.names(&[19, 22, 23], cluster)
                    && (!got.names(&[3], cluster) || !self.past.keep_on_empty.is_zero()),
                "cluster {cluster} answered in time: {self:?}"
            );
            if let Some(&known) = seen.get(&cluster) {
                // Another try may have been answered first.
                let words = self.book.words(cluster, self.recorded_name()).iter();
                let lately = |&word: &&crate::book::Word| word.at >= case.at;
                let since = words.filter(lately).any(|word| word.epoch == known);
                let question = (self.recorded_name(), case.rtype, case.cd);
                let mut said = self.book.said(cluster, question, case.worker, case.at);
                let denied = said.any(|held| !matches!(held.view, View::Records(_)))
                    || matches!(truth, Truth::NoData | Truth::NxDomain);
                assert!(
                    known >= epoch || since || denied && !self.past.keep_on_empty.is_zero(),
                    "{epoch} of cluster {cluster} is not there: {self:?}"
                );
            }
        }
        if expected.iter().all(|cluster| case.timely.contains_key(cluster)) {
            tally.timely += 1;
            assert!(got.rcode != Rcode::SERVFAIL, "all answered in time: {self:?}");
            assert!(!got.has(22) && !got.has(23), "all answered in time: {self:?}");
        }
    }

    /// Law 3: nobody is given up before the deadline who might have answered.
    fn patient(&self, tally: &mut Tally) {
        let (case, got) = (self.case, &self.got);
        if !case.leads || case.excused || case.overloaded || case.name.prefix.is_some() {
            return;
        }
        let late = |cluster: &&u8| {
            got.names(&[3, 19, 22, 23], **cluster) && !case.replied.contains(*cluster)
        };
        if !self.given.kept && case.asked.iter().find(late).is_some() {
            let deadline = (case.at + case.rules.deadline).floor();
            assert_eq!(self.given.at, deadline, "not waited for: {self:?}");
            tally.waited_for += 1;
        }
    }

    /// Law 3: whether every cluster has answered, so that the answer is due.
    pub fn is_complete(case: &Case) -> bool {
        let usual = case.leads && !case.excused && !case.disturbed && case.name.prefix.is_none();
        usual && (0..case.rules.clusters).all(|cluster| case.replied.contains(&cluster))
    }

    /// Whom the question is put to, in one round or in two (Q4, Q5).
    fn rounds(&self) -> SmallVec<[Round; 2]> {
        let (name, clusters) = (self.case.name, self.case.rules.clusters);
        let mut rounds = SmallVec::new();
        if let Some(only) = name.prefix.filter(|&only| only < clusters) {
            rounds.push((SmallVec::from_slice(&[only]), name.stripped()));
        }
        rounds.push(((0..clusters).collect(), name));
        rounds
    }

    /// When what the answer is made of was looked up.
    fn lookup(&self) -> Lookup {
        let (case, at) = (self.case, self.given.at);
        let back = |from: Time, by: Duration| {
            Time::from_micros(from.as_micros().saturating_sub(by.as_micros() as u64))
        };
        let from = if self.given.kept {
            let life = match self.got.rcode {
                Rcode::SERVFAIL => FAILURE,
                _ => case.rules.ttl.max(INCOMPLETE),
            };
            back(at, life + self.settle())
        } else {
            back(case.at, case.rules.deadline / 2)
        };
        let keep_for = case.rules.keep_for;
        Lookup { worker: case.worker, from, until: at, keep_for, settle: self.settle() }
    }

    /// All that a cluster's part may be: what it said, or what is held of it.
    fn parts(&self, cluster: u8, name: Name, look: Lookup, deep: bool) -> Parts {
        let case = self.case;
        let question = (name, case.rtype, case.cd);
        let mut parts = Parts::new();
        let mut fresh: SmallVec<[View; 4]> = SmallVec::new();
        let since = Time::from_micros(look.from.as_micros().saturating_sub(if self.given.kept {
            case.rules.ttl.as_micros() as u64
        } else {
            0
        }));
        for held in self.book.said(cluster, question, case.worker, since) {
            if fresh.contains(&held.view) {
                continue;
            }
            fresh.push(held.view);
            parts.push(Part { cluster, held, fresh: true, exists: None });
            if !matches!(held.view, View::Records(_)) && !self.past.keep_on_empty.is_zero() {
                for held in self.book.records_before(cluster, question, look.until) {
                    if look.from.since(held.at) < self.past.keep_on_empty {
                        parts.push(Part { cluster, held, fresh: false, exists: None });
                    }
                }
            }
        }
        if !deep {
            return parts;
        }
        let nothing = Held { view: View::Nothing, why: Why::Never, at: look.until, worker: 0 };
        let on_missing = case.rules.policy.on_missing;
        let held = match on_missing {
            OnMissing::Stale => self.book.held(cluster, question, look),
            OnMissing::Partial | OnMissing::Fail => Views::from_slice(&[nothing]),
        };
        let empty = held.iter().any(|held| held.view == View::Nothing);
        let exists = (empty && on_missing == OnMissing::Stale)
            .then(|| self.book.exists(cluster, question, look))
            .flatten();
        for held in held {
            let exists = exists.filter(|_| held.view == View::Nothing);
            parts.push(Part { cluster, held, fresh: false, exists });
        }
        parts
    }

    /// Law 5: some choice of the clusters' parts makes this answer.
    fn as_before(&self, seen: &BTreeMap<u8, u8>, tally: &mut Tally) {
        let look = self.lookup();
        // Most answers are made of what has just been said.
        if self.explain(seen, look, false, tally) || self.explain(seen, look, true, tally) {
            return;
        }
        // Too many in flight, and nothing held for some cluster.
        let refused = self.case.overloaded && self.given.at == self.case.at;
        let refused = refused && self.got.rcode == Rcode::SERVFAIL;
        let lacking = |(clusters, name): &Round| {
            clusters.iter().any(|&cluster| {
                let parts = self.parts(cluster, *name, look, true);
                parts.iter().any(|part| part.held.view == View::Nothing)
            })
        };
        if refused && self.rounds().iter().any(lacking) {
            return;
        }
        panic!("not as before: {self:?}");
    }

    /// Whether there is such a choice: of what was just said alone, or also of
    /// what is held.
    fn explain(
        &self,
        seen: &BTreeMap<u8, u8>,
        look: Lookup,
        deep: bool,
        tally: &mut Tally,
    ) -> bool {
        let rounds = self.rounds();
        let mut entered = None;
        for (n, (clusters, name)) in rounds.iter().enumerate() {
            let last = n + 1 == rounds.len();
            if n > 0 && entered.is_none() {
                return false;
            }
            let all: Vec<Parts> =
                clusters.iter().map(|&cluster| self.parts(cluster, *name, look, deep)).collect();
            let mut choice = vec![0; all.len()];
            if all.iter().any(|parts| parts.is_empty()) {
                return false;
            }
            loop {
                let parts: SmallVec<[Part; 6]> =
                    choice.iter().zip(&all).map(|(&n, parts)| parts[n]).collect();
                let expected = outcomes(self.case.rtype, self.case.rules.policy, &parts);
                let goes_on = if last { None } else { self.goes_on(&parts, look) };
                if goes_on.is_some() {
                    entered = Some(parts[0].held.why);
                }
                let to_be = |expected: &&Expected| goes_on != Some(true) && self.is(expected, seen);
                if let Some(expected) = expected.iter().find(to_be) {
                    let held = entered.is_some_and(|why| !matches!(why, Why::Said | Why::Never));
                    tally.k7_second_round += u64::from(n > 0 && held);
                    self.count(&parts, expected, tally);
                    return true;
                }
                if !advance(&mut choice, &all) {
                    break;
                }
            }
        }
        false
    }

    /// Whether the first round leads to the second (Q5, K7); `Some(false)` if
    /// it may or may not.
    fn goes_on(&self, parts: &[Part], look: Lookup) -> Option<bool> {
        let case = self.case;
        let question = (case.name, case.rtype, case.cd);
        let part = parts.first()?;
        match part.held.view {
            View::NxDomain => Some(true),
            View::Nothing if case.rules.policy.on_missing == OnMissing::Stale => {
                let unheard = self.book.words(part.cluster, case.name.stripped()).is_empty();
                let all = 0..case.rules.clusters;
                let known = all.clone().any(|cluster| {
                    let held = self.book.held(cluster, question, look);
                    held.iter().all(|held| matches!(held.view, View::Records(_)))
                });
                let heard = all.clone().any(|cluster| {
                    let mut words = self.book.words(cluster, case.name).iter();
                    words.any(|word| word.truth != Truth::NxDomain)
                });
                let beneath =
                    all.clone().any(|cluster| self.book.exists(cluster, question, look).is_some());
                (heard || beneath).then_some(unheard && known)
            }
            _ => None,
        }
    }

    /// Whether the answer is what is expected.
    fn is(&self, expected: &Expected, seen: &BTreeMap<u8, u8>) -> bool {
        let got = &self.got;
        if got.rcode != expected.rcode {
            return false;
        }
        let same = |(cluster, epoch): &(u8, u8)| seen.get(cluster) == Some(epoch);
        let records = match got.truncated {
            false => seen.len() == expected.records.len() && expected.records.iter().all(same),
            true => seen.iter().all(|(&c, &e)| expected.records.contains(&(c, e))),
        };
        if !records || !self.case.edns {
            return records;
        }
        let says = |codes: &[u16], cluster| got.names(codes, cluster);
        (0..self.case.rules.clusters).all(|cluster| {
            let perhaps = expected.perhaps.contains(&cluster);
            let stale = expected.stale.contains(&cluster);
            let missing = expected.missing.contains(&cluster);
            match expected.rcode {
                Rcode::SERVFAIL => {
                    let named = !missing || says(&[22, 23], cluster) || perhaps;
                    named && got.has(expected.failure) && !got.has(3) && !got.has(19)
                }
                Rcode::NXDOMAIN => says(&[19], cluster) == stale && !says(&[3, 22, 23], cluster),
                _ => {
                    let told = says(&[3], cluster) == stale && says(&[23], cluster) == missing;
                    (perhaps || told) && !says(&[19, 22], cluster)
                }
            }
        })
    }

    /// Which rules have had their say.
    fn count(&self, parts: &[Part], expected: &Expected, tally: &mut Tally) {
        let policy = self.case.rules.policy.on_missing;
        match expected.by {
            By::Gentle => tally.k3_nodata += 1,
            By::Strict => tally.k3_servfail += 1,
            By::Exists => tally.k4_nodata += 1,
            By::StrictExists => tally.k4_servfail += 1,
            By::Fail => tally.k5_fail += 1,
            By::TooFew => tally.k5_min += 1,
            By::Whole | By::Partial | By::Unknown => {}
        }
        let held = self.given.kept && self.given.at == self.case.at && !expected.stale.is_empty();
        tally.overloaded_stale +=
            u64::from(self.case.overloaded && held && expected.rcode != Rcode::SERVFAIL);
        for part in parts.iter().filter(|part| !part.fresh) {
            let held = part.held;
            match (held.why, held.view) {
                (Why::Last, View::NxDomain) => tally.k1_nxdomain += 1,
                (Why::Last, View::NoData) => tally.k1_nodata += 1,
                (Why::Last, View::Records(_)) => tally.k1_records += 1,
                (Why::Doubted, _) => tally.k2_doubted += 1,
                (Why::Believed, _) => tally.k2_believed += 1,
                (Why::Distrusted, _) => tally.k2_distrusted += 1,
                (Why::Beside, _) => tally.k6_beside += 1,
                (Why::Lent, _) => tally.k7_lent += 1,
                _ => {}
            }
            if held.view == View::Nothing {
                tally.nothing_held += 1;
                let words = self.book.words(part.cluster, self.recorded_name()).iter();
                let here = |word: &&crate::book::Word| word.rtype == self.case.rtype;
                let about: Vec<_> = words.filter(here).collect();
                tally.k5_partial += u64::from(policy == OnMissing::Partial && !about.is_empty());
                let marked = !about.is_empty() && about.iter().all(|word| word.cd);
                tally.k7_not_lent += u64::from(!self.case.cd && marked);
                continue;
            }
            tally.elsewhere += u64::from(held.worker != self.case.worker);
            let before = |moment: Option<Time>| moment.is_some_and(|moment| held.at < moment);
            tally.over_reload += u64::from(before(self.past.reloaded));
            let flood = match self.book.room {
                Room::Flooded(at) => Some(at),
                _ => None,
            };
            tally.through_flood += u64::from(before(flood));
        }
    }
}

/// The next choice of one part of each; false after the last.
fn advance(choice: &mut [usize], all: &[Parts]) -> bool {
    for (n, parts) in choice.iter_mut().zip(all) {
        *n += 1;
        if *n < parts.len() {
            return true;
        }
        *n = 0;
    }
    false
}

impl std::fmt::Debug for Judge<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Case { name, rtype, cd, worker, at, edns, .. } = self.case;
        writeln!(f, "{} {rtype} cd={cd} edns={edns} of worker {worker} at {at:?}", name.text())?;
        writeln!(f, "answered at {:?}, kept: {}", self.given.at, self.given.kept)?;
        writeln!(f, "rules: {:?}", self.case.rules)?;
        writeln!(f, "timely: {:?}, asked: {:?}", self.case.timely, self.case.asked)?;
        writeln!(f, "disturbed: {}, overloaded: {}", self.case.disturbed, self.case.overloaded)?;
        writeln!(f, "{:?}", self.got)?;
        for (clusters, name) in self.rounds() {
            for cluster in clusters {
                writeln!(f, "{} in cluster {cluster}:", name.text())?;
                let words = self.book.words(cluster, name);
                for word in &words[words.len().saturating_sub(15)..] {
                    writeln!(f, "  {word:?}")?;
                }
                for part in self.parts(cluster, name, self.lookup(), true) {
                    let Part { held, fresh, exists, .. } = part;
                    writeln!(f, "  it may be {held:?}, fresh: {fresh}, exists: {exists:?}")?;
                }
            }
        }
        Ok(())
    }
}
