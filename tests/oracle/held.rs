//! The rules K on lists: every proper answer a cluster ever gave is written
//! down, and what is held, and stands in, is found by reading that list from
//! the start, for each question anew.
//!
//! Ages that are within two seconds of a rule's bound are not judged: the
//! contract does not say at which moment of a query an age is taken.

use crate::labels::Labels;
use crate::merge::{Context, Outcome, Sub, negative_ttl};
use crate::packet::{AA, Packet, Record, is_dnssec};
use gathersrv::engine::Time;
use std::cell::Cell;
use std::time::Duration;

const A: u16 = 1;
const CNAME: u16 = 5;
const MX: u16 = 15;
const AAAA: u16 = 28;
const SRV: u16 = 33;

/// K3: A, AAAA, HTTPS, SVCB and NS.
pub const LISTED: [u16; 5] = [A, AAAA, 65, 64, 2];

/// K2: a negative that came less than this before the cluster went missing
/// does not erase records.
const DYING: Duration = Duration::from_secs(5 * 60);

/// K1: NXDOMAIN is used for this long after the cluster went missing.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// What an answer says about the name it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Records,
    Nodata,
    Nxdomain,
}

/// A proper answer of a cluster.
#[derive(Clone, Debug)]
pub struct Given {
    pub at: Time,
    pub cluster: usize,
    pub name: Labels,
    pub rtype: u16,
    pub cd: bool,
    pub packet: Packet,
}

impl Given {
    fn says(&self) -> Says {
        let counts = |record: &&Record| {
            record.class == 1
                && !is_dnssec(record.rtype)
                && record.owner.same(&self.name)
                && (record.rtype == self.rtype || record.rtype == CNAME)
        };
        if self.packet.sections[0].iter().any(|record| counts(&record)) {
            Says::Records
        } else if self.packet.flags & 15 == 3 {
            Says::Nxdomain
        } else {
            Says::Nodata
        }
    }

    /// The TTL of the answer: of its records, or its negative one (M7).
    fn ttl(&self) -> Duration {
        let of = |section: usize| self.packet.sections[section].iter().filter(|r| r.class == 1);
        let ttl = if self.says() == Says::Records {
            of(0).map(|record| if record.ttl >> 31 == 1 { 0 } else { record.ttl }).min()
        } else {
            of(1).filter(|record| record.rtype == 6).map(negative_ttl).min()
        };
        Duration::from_secs(ttl.unwrap_or(5).into())
    }

    /// K6: addresses of `rtype` for `name`, if it is a target in this answer.
    fn beside(&self, name: &Labels, rtype: u16) -> Vec<Record> {
        let sections = &self.packet.sections;
        let leads =
            |record: &&Record| record.class == 1 && matches!(record.rtype, SRV | MX | CNAME);
        let mut targets = sections[0].iter().filter(leads).flat_map(Record::names);
        let asked_itself = self.name.same(name) && self.rtype == rtype;
        if !matches!(rtype, A | AAAA) || asked_itself || !targets.any(|known| known.same(name)) {
            return Vec::new();
        }
        let about = |record: &&Record| {
            record.class == 1 && record.rtype == rtype && record.owner.same(name)
        };
        [0, 2].iter().flat_map(|&n| sections[n].iter().filter(about).cloned()).collect()
    }
}

/// Something that stands in for a cluster's answer.
#[derive(Clone, Debug)]
struct StandIn {
    packet: Packet,
    says: Says,
}

/// What all clusters ever gave, in the order of time.
#[derive(Debug)]
pub struct Memory {
    pub given: Vec<Given>,
    pub keep_for: Duration,
    pub keep_on_empty: Duration,
    /// Whether a missing cluster's held answers are used (K5).
    pub stale: bool,
    /// Some age was too near to its bound to say what is right.
    pub close: Cell<bool>,
}

impl Memory {
    fn younger(&self, age: Duration, bound: Duration) -> bool {
        let near = age.abs_diff(bound) < Duration::from_secs(2);
        self.close.set(self.close.get() || near);
        age < bound
    }
}

/// What is held of one cluster, for questions with or without CD, at a time.
#[derive(Clone, Copy)]
struct View<'a> {
    memory: &'a Memory,
    cluster: usize,
    cd: bool,
    now: Time,
}

impl<'a> View<'a> {
    /// What may serve (K7), oldest first, without what is too old.
    fn given(&self) -> Vec<&'a Given> {
        let serves = |given: &&Given| {
            given.cluster == self.cluster
                && (self.cd || !given.cd)
                && self.memory.younger(self.now.since(given.at), self.memory.keep_for)
        };
        self.memory.given.iter().filter(serves).collect()
    }

    /// When the cluster last gave any proper answer.
    fn went_missing(&self) -> Option<Time> {
        let own = self.memory.given.iter().filter(|given| given.cluster == self.cluster);
        own.map(|given| given.at).max()
    }

    /// The answers about a question, oldest first, without each NXDOMAIN that
    /// was refuted: by any other word about that name, ...
    fn answers(&self, until: Option<Time>, name: &Labels, rtype: u16) -> Vec<&'a Given> {
        let all = self.given();
        let named = all.iter().filter(|given| given.name.same(name));
        let named: Vec<&&Given> =
            named.filter(|given| until.is_none_or(|until| given.at < until)).collect();
        let mut answers = Vec::new();
        for (n, given) in named.iter().enumerate() {
            let refuted = named[n..].iter().any(|later| later.says() != Says::Nxdomain);
            if if given.says() == Says::Nxdomain { !refuted } else { given.rtype == rtype } {
                answers.push(**given);
            }
        }
        answers
    }

    /// K6: the latest addresses for a name that came beside an answer, and
    /// whether they rank above what had been answered about it by then.
    fn beside(&self, name: &Labels, rtype: u16) -> Option<(&'a Given, Vec<Record>, bool)> {
        let all = self.given();
        let found = all.iter().rev().map(|given| (*given, given.beside(name, rtype)));
        let (given, records) = found.into_iter().find(|(_, records)| !records.is_empty())?;
        let before = self.answers(Some(given.at), name, rtype);
        let outranks =
            before.last().is_none_or(|own| !self.memory.younger(given.at.since(own.at), own.ttl()));
        Some((given, records, outranks))
    }

    /// K1 and K2: what stands in of the answers about a question.
    fn answered(&self, name: &Labels, rtype: u16) -> Option<StandIn> {
        let mut answers = self.answers(None, name, rtype);
        // ... or by an address that came later, and ranks above it.
        for family in [A, AAAA] {
            if let Some((given, _, true)) = self.beside(name, family) {
                answers.retain(|own| own.says() != Says::Nxdomain || own.at > given.at);
            }
        }
        let went_missing = self.went_missing()?;
        let last = *answers.last()?;
        let records = answers.iter().rposition(|given| given.says() == Says::Records);
        let first_negative = answers.get(records.map_or(0, |n| n + 1));
        let chosen = match (records, first_negative) {
            (Some(n), Some(negative))
                if self.memory.younger(went_missing.since(negative.at), DYING) =>
            {
                answers[n]
            }
            _ => last,
        };
        let says = chosen.says();
        if says == Says::Nxdomain && !self.memory.younger(self.now.since(went_missing), HOUR) {
            return None;
        }
        let mut packet = chosen.packet.clone();
        if says != Says::Records {
            // What was with a negative answer is not about the question.
            packet.sections[0].clear();
            packet.sections[2].clear();
        }
        Some(StandIn { packet, says })
    }

    /// K1, K2 and K6: what stands in for an answer to a question.
    fn stand_in(&self, name: &Labels, rtype: u16) -> Option<StandIn> {
        let answered = self.answered(name, rtype);
        let Some((given, records, outranks)) = self.beside(name, rtype) else { return answered };
        let later = self.answers(None, name, rtype).last().is_some_and(|own| own.at > given.at);
        if answered.is_some() && (later || !outranks) {
            return answered;
        }
        let packet = Packet { sections: [records, vec![], vec![]], ..given.packet.clone() };
        Some(StandIn { packet, says: Says::Records })
    }

    /// Every name and type of which something may be held.
    fn questions(&self) -> Vec<(Labels, u16)> {
        let mut questions = Vec::new();
        for given in self.given() {
            questions.push((given.name.clone(), given.rtype));
            for name in given.packet.sections[0].iter().flat_map(Record::names) {
                questions.extend([(name.clone(), A), (name.clone(), AAAA)]);
            }
        }
        questions
    }

    fn has_records(&self, name: &Labels, rtype: u16) -> bool {
        self.stand_in(name, rtype).is_some_and(|held| held.says == Says::Records)
    }

    /// K4: the name exists, because addresses are held for it, or any records
    /// for a name under it.
    fn exists(&self, name: &Labels) -> bool {
        let address = [A, AAAA].into_iter().any(|family| {
            self.stand_in(name, family).is_some_and(|held| {
                let own = |r: &Record| r.rtype == family && r.owner.same(name) && r.class == 1;
                held.packet.sections[0].iter().any(own)
            })
        });
        let below = |(under, rtype): &(Labels, u16)| {
            under.in_front_of(name).is_some_and(|front| !front.0.is_empty())
                && self.has_records(under, *rtype)
        };
        address || self.questions().iter().any(below)
    }

    /// K7: something is held for the name, of any type.
    fn holds(&self, name: &Labels) -> bool {
        let about = |(known, rtype): &(Labels, u16)| {
            known.same(name) && self.stand_in(name, *rtype).is_some()
        };
        self.questions().iter().any(about)
    }

    /// K7: records are held for the name, of any type.
    fn holds_records(&self, name: &Labels) -> bool {
        let about =
            |(known, rtype): &(Labels, u16)| known.same(name) && self.has_records(name, *rtype);
        self.questions().iter().any(about)
    }

    /// K2: records so young that the cluster's "nothing" is not believed.
    fn not_yet_empty(&self, name: &Labels, rtype: u16) -> Option<Packet> {
        let of = |given: &&&Given| {
            given.name.same(name) && given.rtype == rtype && given.says() == Says::Records
        };
        let given = self.given();
        let last = given.iter().rfind(|given| of(&given))?;
        let age = self.now.since(last.at);
        self.memory.younger(age, self.memory.keep_on_empty).then(|| last.packet.clone())
    }
}

/// K4's word for a cluster: there is such a name.
fn nodata() -> Packet {
    Packet { id: 0, flags: 0x8000 | AA, question: None, sections: Default::default(), opt: None }
}

/// Whether an answer of just now says that the cluster has the name (K8).
fn has_name(sub: &Sub) -> bool {
    let Outcome::Answered(packet) = &sub.outcome else { return false };
    let cname = |record: &Record| {
        record.class == 1 && record.rtype == CNAME && record.owner.same(&sub.name)
    };
    packet.flags & 15 != 3 || packet.sections[0].iter().any(cname)
}

/// Fills in for clusters that are missing, or not yet believed to be empty.
pub fn fill_in(memory: &Memory, context: &Context, cd: bool, now: Time, subs: &mut [Sub]) {
    let nobody_has_it = !subs.iter().any(has_name);
    let rtype = context.rtype;
    for sub in subs {
        let view = View { memory, cluster: sub.cluster, cd, now };
        let packet = match &sub.outcome {
            Outcome::Failed if memory.stale => {
                let held = view.stand_in(&sub.name, rtype).map(|held| held.packet);
                let k4 = nobody_has_it && LISTED.contains(&rtype);
                held.or_else(|| (k4 && view.exists(&sub.name)).then(nodata))
            }
            Outcome::Answered(packet) => {
                let said = Given {
                    at: now,
                    cluster: sub.cluster,
                    name: sub.name.clone(),
                    rtype,
                    cd,
                    packet: packet.clone(),
                };
                let empty = said.says() != Says::Records && !memory.keep_on_empty.is_zero();
                empty.then(|| view.not_yet_empty(&sub.name, rtype)).flatten()
            }
            _ => None,
        };
        if let Some(packet) = packet {
            sub.outcome = Outcome::Answered(packet);
            sub.stale = true;
        }
    }
}

/// K7: a prefixed round that could not be finished ends in NXDOMAIN all the
/// same, because the name as it was asked is known.
pub fn known_as_asked(
    memory: &Memory,
    context: &Context,
    cd: bool,
    now: Time,
    subs: &[Sub],
) -> bool {
    let view = |cluster| View { memory, cluster, cd, now };
    let mut failed = subs.iter().filter(|sub| matches!(sub.outcome, Outcome::Failed));
    let plain = context.zone.plain(&context.question);
    memory.stale
        && failed.all(|sub| !view(sub.cluster).holds(&sub.name))
        && plain.iter().any(|(cluster, name)| {
            name.as_ref().is_some_and(|name| view(*cluster).holds_records(name))
        })
}
