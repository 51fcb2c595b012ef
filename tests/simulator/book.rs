//! The book: what each cluster has properly told any worker, when, and what of
//! it may stand in for the cluster while it is missing (rules K). It knows
//! nothing of the engine; where the contract leaves a moment open (when a worker
//! hears what another learned, which of two orders two events had), it gives
//! every view that is possible.

use crate::names::{Kind, Name};
use crate::truth::Truth;
use domain::base::iana::Rtype;
use gathersrv::engine::Time;
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// What one worker learned another finds within this time.
const ELSEWHERE: Duration = Duration::from_secs(1);

/// Records stand in where the cluster went missing this soon after it first
/// denied them (K2).
const DOUBT: Duration = Duration::from_secs(5 * 60);

/// NXDOMAIN stands in for this long after its cluster went missing (K1).
const NXDOMAIN_LASTS: Duration = Duration::from_secs(60 * 60);

/// Types whose records keep NXDOMAIN of their name from standing in (K2), of
/// those that are asked for.
const KNOWN: [Rtype; 6] = [Rtype::A, Rtype::AAAA, Rtype::HTTPS, Rtype::NS, Rtype::SRV, Rtype::TXT];

/// What a cluster says again unchanged may be taken to be up to this much older.
const NOTED_EVERY: Duration = Duration::from_secs(1);

/// TTLs are whole seconds, and a reply may wait a while before it is noted.
const ROUNDING: Duration = Duration::from_secs(2);

/// Something a cluster said to some worker.
#[derive(Debug, Clone, Copy)]
pub struct Word {
    pub at: Time,
    pub worker: usize,
    pub rtype: Rtype,
    pub cd: bool,
    pub truth: Truth,
    pub epoch: u8,
    pub ttl: Duration,
    /// An address that came with an answer to another question (K6).
    pub beside: bool,
}

/// What a cluster's part in an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    Records(u8),
    NoData,
    NxDomain,
    /// It is missing, and nothing is held.
    Nothing,
}

/// Why that is so: for the tally.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It was said in answer to this question.
    Said,
    /// It was said before, and is the last word.
    Last,
    /// Records, in spite of a later negative (K2).
    Doubted,
    /// A negative, said five minutes after the records or later (K2).
    Believed,
    /// An address beside another answer (K6).
    Beside,
    /// Held for CD=0, for a question with CD=1 (K7).
    Lent,
    /// The cluster is there, and is not believed yet (`keep-on-empty`).
    Distrusted,
    /// Nothing was ever said, or it is too old.
    Never,
}

/// A view, and where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    pub view: View,
    pub why: Why,
    /// When it was said, and to whom.
    pub at: Time,
    pub worker: usize,
}

pub type Views = SmallVec<[Held; 4]>;

/// Who asks, and within which time what is held was looked up.
#[derive(Debug, Clone, Copy)]
pub struct Lookup {
    pub worker: usize,
    pub from: Time,
    pub until: Time,
    pub keep_for: Duration,
    /// How long a reply may wait until it is noted.
    pub settle: Duration,
}

impl Lookup {
    /// The moments within the look-up that make a difference: its first, and those
    /// at which something has just become too old.
    fn moments(&self, known: &[Word], rtype: Rtype, went: Time) -> SmallVec<[Time; 8]> {
        let last = self.until + NOTED_EVERY;
        let about = |word: &&Word| word.rtype == rtype || word.truth == Truth::NxDomain;
        let ends = known.iter().filter(about).map(|word| word.at + self.keep_for);
        let ends = ends.chain([went + NXDOMAIN_LASTS]);
        let within = ends.filter(|&end| end > self.from && end <= last);
        std::iter::once(self.from).chain(within).collect()
    }
}

/// How well a cluster's words are held by a daemon with little room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Room {
    /// For all.
    #[default]
    Ample,
    /// For what is asked again and again: a flood came at this moment.
    Flooded(Time),
    /// Nothing is promised.
    Scarce,
}

#[derive(Default)]
pub struct Book {
    words: HashMap<(u8, Name), Vec<Word>>,
    /// Names with records, for their ancestors.
    named: BTreeMap<u8, Vec<Name>>,
    /// When each cluster gave a proper answer, to whom; and whether it was one
    /// to a client's question.
    proper: BTreeMap<u8, Vec<(Time, usize, bool)>>,
    /// What was said before may have been forgotten: the cluster was taken out
    /// of the configuration.
    removed: BTreeMap<u8, Time>,
    pub room: Room,
}

impl Book {
    pub fn note(&mut self, cluster: u8, name: Name, word: Word) {
        if matches!(word.truth, Truth::Records(_)) && name.kind != Kind::Made {
            let named = self.named.entry(cluster).or_default();
            if !named.contains(&name) {
                named.push(name);
            }
        }
        self.words.entry((cluster, name)).or_default().push(word);
    }

    /// A proper answer, to a question or to a probe.
    pub fn note_proper(&mut self, cluster: u8, at: Time, worker: usize, sure: bool) {
        let proper = self.proper.entry(cluster).or_default();
        // Only the last few matter to any look-up.
        match proper.last_mut() {
            Some(last) if last.1 == worker && last.2 == sure => last.0 = at,
            _ => proper.push((at, worker, sure)),
        }
    }

    pub fn note_removed(&mut self, cluster: u8, at: Time) {
        self.removed.insert(cluster, at);
    }

    /// Forgets all but one word of a kind: what is remembered stays bounded.
    pub fn compact(&mut self) {
        for words in self.words.values_mut() {
            let mut last: Vec<Word> = Vec::new();
            for word in words.iter().rev() {
                let same = |known: &Word| {
                    (known.rtype, known.cd, known.truth, known.epoch, known.beside)
                        == (word.rtype, word.cd, word.truth, word.epoch, word.beside)
                };
                if !last.iter().any(same) {
                    last.push(*word);
                }
            }
            last.reverse();
            *words = last;
        }
        for proper in self.proper.values_mut() {
            proper.drain(..proper.len().saturating_sub(4));
        }
    }

    pub fn words(&self, cluster: u8, name: Name) -> &[Word] {
        self.words.get(&(cluster, name)).map_or(&[], Vec::as_slice)
    }

    /// What was said to this worker about exactly this since `from`.
    pub fn said<'a>(
        &'a self,
        cluster: u8,
        question: (Name, Rtype, bool),
        worker: usize,
        from: Time,
    ) -> impl Iterator<Item = Held> + 'a {
        let (name, rtype, cd) = question;
        let fits = move |word: &&Word| {
            !word.beside && (word.worker, word.rtype, word.cd) == (worker, rtype, cd)
        };
        let words = self.words(cluster, name).iter().rev();
        words.take_while(move |word| word.at >= from).filter(fits).map(|word| word.held(Why::Said))
    }

    /// The records given last by a cluster, for `keep-on-empty`.
    pub fn records_before(
        &self,
        cluster: u8,
        question: (Name, Rtype, bool),
        until: Time,
    ) -> impl Iterator<Item = Held> {
        let (name, rtype, cd) = question;
        let words = self.words(cluster, name).iter().filter(move |word| {
            word.rtype == rtype
                && word.at <= until
                && (cd || !word.cd)
                && matches!(word.truth, Truth::Records(_))
        });
        words.map(|word| word.held(Why::Distrusted))
    }

    /// When the cluster went missing, at the earliest and at the latest.
    fn went_missing(&self, cluster: u8, look: Lookup) -> (Time, Time) {
        let proper = self.proper.get(&cluster).map_or(&[][..], Vec::as_slice);
        let known =
            look.from.as_micros().saturating_sub((look.settle + ELSEWHERE).as_micros() as u64);
        let surely = |&&(at, worker, sure): &&(Time, usize, bool)| {
            sure && (at.as_micros() <= known || worker == look.worker && at <= look.from)
        };
        let first = proper.iter().filter(surely).map(|word| word.0).max().unwrap_or_default();
        let last = proper.iter().map(|word| word.0).filter(|&at| at <= look.until).max();
        (first, last.unwrap_or_default().max(first))
    }

    /// What may stand in for a cluster that is missing: every view that is
    /// possible. `Nothing` is among them if what is held may be nothing.
    pub fn held(&self, cluster: u8, question: (Name, Rtype, bool), look: Lookup) -> Views {
        let (name, rtype, cd) = question;
        let mut views = self.held_of_type(cluster, question, look);
        if !views.iter().any(|held| held.view == View::NxDomain) {
            return views;
        }
        // It would deny the records of other types that stand in (K2).
        let records = |held: &Held| matches!(held.view, View::Records(_));
        let (mut surely, mut perhaps) = (false, false);
        for other in KNOWN.into_iter().filter(|&other| other != rtype) {
            let others = self.held_of_type(cluster, (name, other, cd), look);
            surely |= others.iter().all(records);
            perhaps |= others.iter().any(records);
        }
        // And those of names below that were given later.
        let denials = self.words(cluster, name).iter().rev();
        let mut denials =
            denials.filter(|word| word.truth == Truth::NxDomain && word.at <= look.until);
        let below = |since| self.gave_records_below(cluster, name, cd, look, since);
        surely |= denials.next().is_some_and(|last| below(last.at) == Some(true));
        perhaps |= below(Time::default()).is_some();
        if surely {
            views.retain(|held| held.view != View::NxDomain);
        }
        if perhaps {
            add(&mut views, NOTHING);
            let no_data = self.words(cluster, name).iter().rfind(|word| {
                word.at <= look.until
                    && (word.rtype, word.truth) == (rtype, Truth::NoData)
                    && (cd || !word.cd)
                    && look.from.since(word.at) < look.keep_for
            });
            if let Some(word) = no_data {
                add(&mut views, word.held(Why::Last));
            }
        }
        views
    }

    fn held_of_type(&self, cluster: u8, question: (Name, Rtype, bool), look: Lookup) -> Views {
        let (name, rtype, cd) = question;
        let words = self.words(cluster, name);
        let mut views = Views::new();
        if words.is_empty() {
            views.push(NOTHING);
            return views;
        }
        let missing = self.went_missing(cluster, look);
        let (mut own_cuts, mut cuts) = (Cuts::new(), Cuts::new());
        let back = |by: Duration| {
            Time::from_micros(look.from.as_micros().saturating_sub(by.as_micros() as u64))
        };
        let (own, others) = (back(look.settle), back(look.settle + ELSEWHERE));
        own_cuts.push(own);
        cuts.push(others);
        for word in words {
            if word.at > look.until {
                break;
            }
            let (known, list) = match word.worker == look.worker {
                true => (own, &mut own_cuts),
                false => (others, &mut cuts),
            };
            if word.at > known && list.last() != Some(&word.at) {
                list.push(word.at);
            }
        }
        let mut known: SmallVec<[Word; 16]> = SmallVec::new();
        for &own_cut in &own_cuts {
            for &cut in &cuts {
                known.clear();
                known.extend(words.iter().copied().filter(|word| {
                    word.at <= if word.worker == look.worker { own_cut } else { cut }
                }));
                for went in [missing.0, missing.1] {
                    for now in look.moments(&known, rtype, went) {
                        let moment = Moment { rtype, now, went, keep_for: look.keep_for };
                        moment.views(&known, cd, &mut views);
                    }
                }
            }
        }
        if !self.is_promised(cluster, question, look) {
            // Of what was said anything may have been displaced.
            for word in words.iter().filter(|word| word.at <= look.until) {
                let age = look.from.since(word.at);
                let about = word.rtype == rtype || word.truth == Truth::NxDomain;
                if about && (cd || !word.cd) && age < look.keep_for {
                    add(&mut views, word.held(Why::Last));
                }
            }
            add(&mut views, NOTHING);
        }
        views
    }

    /// Whether the daemon has room for this, and has not been told to forget.
    fn is_promised(&self, cluster: u8, question: (Name, Rtype, bool), look: Lookup) -> bool {
        let (name, rtype, _) = question;
        let words = self.words(cluster, name);
        if let Some(&removed) = self.removed.get(&cluster)
            && words.iter().any(|word| word.at <= removed)
        {
            return false;
        }
        match self.room {
            Room::Ample => true,
            Room::Scarce => false,
            Room::Flooded(at) => {
                let about = |word: &&Word| word.rtype == rtype || word.truth == Truth::NxDomain;
                let before = words.iter().filter(about).filter(|word| word.at < at).count();
                // What was asked once may be gone, but not at once.
                before >= 2 || look.from < at
            }
        }
    }

    /// Whether records of `rtypes` are held for the name: surely, perhaps, no.
    fn has_records(&self, cluster: u8, name: Name, cd: bool, look: Lookup) -> Option<bool> {
        let mut perhaps = false;
        for rtype in crate::truth::TYPES {
            let views = self.held(cluster, (name, rtype, cd), look);
            let records = views.iter().filter(|held| matches!(held.view, View::Records(_))).count();
            let address = matches!(rtype, Rtype::A | Rtype::AAAA);
            let beside = views.iter().any(|held| held.why == Why::Beside);
            if address && records == views.len() && !beside {
                return Some(true);
            }
            perhaps |= records > 0;
        }
        perhaps.then_some(false)
    }

    /// Whether any records were given for the name after `since` and in the last
    /// `keep-for`, and this worker is sure to know.
    fn gave_records(
        &self,
        cluster: u8,
        name: Name,
        cd: bool,
        look: Lookup,
        since: Time,
    ) -> Option<bool> {
        let mut best = None;
        for word in self.words(cluster, name) {
            let records = matches!(word.truth, Truth::Records(_)) && (cd || !word.cd);
            let within = word.at > since && word.at <= look.until;
            if !records || !within || look.from.since(word.at) >= look.keep_for {
                continue;
            }
            let wait = if word.worker == look.worker { Duration::ZERO } else { ELSEWHERE };
            let known = word.at + wait + look.settle <= look.from;
            let lasts = look.until.since(word.at) < look.keep_for;
            let promised = self.is_promised(cluster, (name, word.rtype, cd), look);
            best = best.max(Some(known && lasts && promised && !word.beside));
        }
        best
    }

    /// Whether records were given for a name below this one after `since` (K2).
    fn gave_records_below(
        &self,
        cluster: u8,
        name: Name,
        cd: bool,
        look: Lookup,
        since: Time,
    ) -> Option<bool> {
        let below = self.named.get(&cluster).map_or(&[][..], Vec::as_slice);
        let below = below.iter().filter(|below| name.is_ancestor_of(**below));
        below.filter_map(|&below| self.gave_records(cluster, below, cd, look, since)).max()
    }

    /// K4: whether the cluster is known to have the name. `Some(false)` where
    /// it may be taken as known or not.
    pub fn exists(&self, cluster: u8, question: (Name, Rtype, bool), look: Lookup) -> Option<bool> {
        let (name, rtype, cd) = question;
        let mut best = self.has_records(cluster, name, cd, look);
        let address = matches!(rtype, Rtype::A | Rtype::AAAA);
        for &below in self.named.get(&cluster).map_or(&[][..], Vec::as_slice) {
            if best == Some(true) {
                break;
            }
            // The name right behind labels with `_` is a service, and has addresses.
            let service = below.kind == Kind::Srv && name.kind == Kind::Service;
            if name.is_ancestor_of(below) && !(address && service) {
                let ever = Time::default();
                best = best.max(self.gave_records(cluster, below, cd, look, ever));
            }
        }
        best
    }
}

type Cuts = SmallVec<[Time; 4]>;

impl Word {
    fn held(&self, why: Why) -> Held {
        let view = match self.truth {
            Truth::Records(_) => View::Records(self.epoch),
            Truth::NoData => View::NoData,
            Truth::NxDomain => View::NxDomain,
        };
        Held { view, why, at: self.at, worker: self.worker }
    }
}

fn add(views: &mut Views, held: Held) {
    if !views.iter().any(|known| (known.view, known.why) == (held.view, held.why)) {
        views.push(held);
    }
}

const NOTHING: Held =
    Held { view: View::Nothing, why: Why::Never, at: Time::from_micros(0), worker: 0 };

/// One moment at which what is known is looked up.
struct Moment {
    rtype: Rtype,
    now: Time,
    /// When the cluster went missing.
    went: Time,
    keep_for: Duration,
}

impl Moment {
    /// The views of all words, with what CD=0 may lend to CD=1 (K7).
    fn views(&self, known: &[Word], cd: bool, views: &mut Views) {
        let plain: SmallVec<[Word; 16]> = known.iter().copied().filter(|word| !word.cd).collect();
        if !cd {
            return self.of(&plain, None, views);
        }
        let own: SmallVec<[Word; 16]> = known.iter().copied().filter(|word| word.cd).collect();
        if own.is_empty() {
            return self.of(&plain, Some(Why::Lent), views);
        }
        if plain.is_empty() {
            return self.of(&own, None, views);
        }
        // Both are there, and either will do.
        let (mut lent, mut its_own, mut all) = (Views::new(), Views::new(), Views::new());
        self.of(&plain, Some(Why::Lent), &mut lent);
        self.of(&own, None, &mut its_own);
        self.of(known, None, &mut all);
        let nothing = |views: &Views| views.iter().any(|held| held.view == View::Nothing);
        let none = nothing(&all) || nothing(&lent) && nothing(&its_own);
        for held in lent.into_iter().chain(its_own).chain(all) {
            if held.view != View::Nothing || none {
                add(views, held);
            }
        }
    }

    fn is_kept(&self, word: &Word) -> bool {
        self.now.since(word.at) < self.keep_for
    }

    /// K1, K2 and K6 for words of one CD.
    fn of(&self, known: &[Word], lent: Option<Why>, views: &mut Views) {
        let held = |word: &Word, why: Why| word.held(lent.unwrap_or(why));
        let about = |word: &&Word| {
            !word.beside && (word.rtype == self.rtype || word.truth == Truth::NxDomain)
        };
        let is_records = |word: &Word| matches!(word.truth, Truth::Records(_));
        let records = known.iter().rfind(|word| about(word) && is_records(word));
        let records = records.filter(|word| self.is_kept(word));
        let since = records.map_or(Time::default(), |word| word.at);
        let mut denials =
            known.iter().filter(about).filter(|word| !is_records(word) && word.at >= since);
        let first = denials.next();
        // An NXDOMAIN that another type's answer has contradicted since may
        // count as the first, or not.
        let contradicted = |first: &&Word| {
            first.truth == Truth::NxDomain
                && known.iter().any(|word| {
                    let other = word.rtype != self.rtype && !word.beside;
                    other && word.at > first.at && word.truth != Truth::NxDomain
                })
        };
        let doubtful = first.is_some_and(|first| contradicted(&first));
        let second = denials.clone().find(|word| !contradicted(word));
        let last = denials.next_back().or(first);
        let beside = known
            .iter()
            .rfind(|word| word.beside && word.rtype == self.rtype && self.is_kept(word));
        let latest = [records, last].into_iter().flatten().max_by_key(|word| word.at);
        // Where they are all there is, they are what a later negative denies.
        let alone = |beside: &&Word| {
            let before = |word: &Word| about(&word) && word.at <= beside.at;
            records.is_none() && last.is_some() && !known.iter().any(before)
        };
        let (records, beside) = match beside.filter(alone) {
            Some(beside) => (Some(beside), None),
            None => (records, beside),
        };
        if let Some(beside) = beside {
            match latest {
                None => return add(views, held(beside, Why::Beside)),
                Some(word) if beside.at > word.at + word.ttl + ROUNDING => {
                    return add(views, held(beside, Why::Beside));
                }
                // Its TTL may have run out, or the five minutes of K2 may be
                // taken to be about these records as well.
                Some(word)
                    if beside.at + ROUNDING > word.at + word.ttl
                        || !is_records(word)
                        || !self.is_kept(word) =>
                {
                    add(views, held(beside, Why::Beside));
                }
                Some(_) => {}
            }
        }
        let (records, last, first) = match (records, last, first) {
            (None, None, _) | (None, _, None) => return add(views, NOTHING),
            (Some(records), None, _) | (Some(records), _, None) => {
                return add(views, held(records, Why::Last));
            }
            (records, Some(last), Some(first)) => (records, last, first),
        };
        if let Some(records) = records {
            if self.went < first.at + DOUBT {
                return add(views, held(records, Why::Doubted));
            }
            if doubtful && second.is_none_or(|second| self.went < second.at + DOUBT) {
                add(views, held(records, Why::Doubted));
            }
        }
        let why = if records.is_some() { Why::Believed } else { Why::Last };
        match last.truth {
            Truth::NxDomain => {
                // Something said later about another type proves that the name
                // is there.
                let later = |word: &&Word| {
                    !word.beside && word.at > last.at && word.truth != Truth::NxDomain
                };
                let lasts = self.now < self.went + NXDOMAIN_LASTS;
                let disproved = known.iter().any(|word| later(&word));
                match disproved {
                    true => add(views, NOTHING),
                    false if self.is_kept(last) && lasts => return add(views, held(last, why)),
                    false => add(views, NOTHING),
                }
                // What the NXDOMAIN stood above may be there again.
                let below = known
                    .iter()
                    .rfind(|word| about(word) && word.truth == Truth::NoData && self.is_kept(word));
                for word in below.into_iter().chain(records.filter(|_| disproved)) {
                    add(views, held(word, why));
                }
            }
            _ if self.is_kept(last) => add(views, held(last, why)),
            _ => add(views, NOTHING),
        }
    }
}
