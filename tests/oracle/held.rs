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

/// K2: while records of these types stand in for a name, it is not denied: the
/// others are TXT, HTTPS, SVCB and NS.
const LOOKED_AT: [u16; 9] = [A, AAAA, CNAME, MX, SRV, 16, 65, 64, 2];

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
        // A negative without SOA is not to be cached at all (RFC 2308, 5).
        Duration::from_secs(ttl.unwrap_or(0).into())
    }
}

/// What is held for a name and type.
#[derive(Clone, Debug)]
struct Held {
    at: Time,
    /// When it was first denied since there were records (K2).
    denied: Time,
    says: Says,
    ttl: Duration,
    /// It came beside another answer (K6).
    beside: bool,
    packet: Packet,
}

impl Held {
    /// K6: the addresses for `name` beside an answer, if it is a target there.
    fn beside(given: &Given, name: &Labels, rtype: u16) -> Option<Held> {
        let sections = &given.packet.sections;
        let leads =
            |record: &&Record| record.class == 1 && matches!(record.rtype, SRV | MX | CNAME);
        let mut targets = sections[0].iter().filter(leads).flat_map(Record::names);
        let asked_itself = given.name.same(name) && given.rtype == rtype;
        if !matches!(rtype, A | AAAA) || asked_itself || !targets.any(|known| known.same(name)) {
            return None;
        }
        let about = |record: &&Record| {
            record.class == 1 && record.rtype == rtype && record.owner.same(name)
        };
        let found = [0, 2].iter().flat_map(|&n| sections[n].iter().filter(about).cloned());
        let records: Vec<Record> = found.collect();
        let ttl = records.iter().map(|record| record.ttl).min()?;
        Some(Held {
            at: given.at,
            denied: given.at,
            says: Says::Records,
            ttl: Duration::from_secs(ttl.into()),
            beside: true,
            packet: Packet { sections: [records, vec![], vec![]], ..given.packet.clone() },
        })
    }
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

    /// What was learned about a question, oldest first.
    ///
    /// Any other word about a name ends its NXDOMAIN. An address that came
    /// beside an answer counts unless the last answer's TTL still ran.
    fn learned(&self, name: &Labels, rtype: u16) -> Vec<Held> {
        let mut learned: Vec<Held> = Vec::new();
        let all = self.given();
        // Which counts, if answers of both kinds are held, is open.
        let about = |cd: bool| all.iter().any(|given| given.name.same(name) && given.cd == cd);
        self.memory.close.set(self.memory.close.get() || (about(true) && about(false)));
        for given in all {
            let says = given.says();
            if given.name.same(name) {
                let denied = learned.last().filter(|held| held.says != Says::Records);
                let denied = denied.map_or(given.at, |held| held.denied);
                if says != Says::Nxdomain {
                    learned.retain(|held| held.says != Says::Nxdomain);
                }
                if says == Says::Nxdomain || given.rtype == rtype {
                    let mut packet = given.packet.clone();
                    if says != Says::Records {
                        // What was with a negative is not about the question.
                        packet.sections[0].clear();
                        packet.sections[2].clear();
                    }
                    let (at, ttl) = (given.at, given.ttl());
                    learned.push(Held { at, denied, says, ttl, beside: false, packet });
                }
            }
            for family in [A, AAAA] {
                let Some(beside) = Held::beside(given, name, family) else { continue };
                let fresh = learned.last().is_some_and(|held| {
                    !held.beside && self.memory.younger(given.at.since(held.at), held.ttl)
                });
                if fresh {
                    // Whether a negative ranks above what came later is open.
                    let negative = learned.last().is_some_and(|held| held.says != Says::Records);
                    self.memory.close.set(self.memory.close.get() || negative);
                    continue;
                }
                learned.retain(|held| held.says != Says::Nxdomain);
                if family == rtype {
                    learned.push(beside);
                }
            }
        }
        learned
    }

    /// K2: the records that stand in for an answer to a question.
    fn standing_records(&self, name: &Labels, rtype: u16) -> Option<Held> {
        let learned = self.learned(name, rtype);
        let went_missing = self.went_missing()?;
        let records = learned.iter().rposition(|held| held.says == Says::Records)?;
        let stand_in = learned
            .get(records + 1)
            .is_none_or(|negative| self.memory.younger(went_missing.since(negative.denied), DYING));
        stand_in.then(|| learned[records].clone())
    }

    /// K1, K2 and K6: what stands in for an answer to a question.
    fn stand_in(&self, name: &Labels, rtype: u16) -> Option<Held> {
        if let Some(records) = self.standing_records(name, rtype) {
            return Some(records);
        }
        let learned = self.learned(name, rtype);
        let last = learned.last()?;
        if last.says == Says::Nodata {
            return Some(last.clone());
        }
        let denies_others = LOOKED_AT.iter().any(|&o| self.standing_records(name, o).is_some());
        if denies_others || self.gave_below(name, last.at) {
            return learned.into_iter().rfind(|held| held.says == Says::Nodata);
        }
        let went_missing = self.went_missing()?;
        let lasts = self.memory.younger(self.now.since(went_missing), HOUR);
        // Addresses it ranked above are held all the same.
        if lasts { Some(last.clone()) } else { self.latest_beside(name, rtype) }
    }

    /// K2: records of a name under this one were given later.
    fn gave_below(&self, name: &Labels, since: Time) -> bool {
        let below = |other: &Labels| other.in_front_of(name).is_some_and(|own| !own.0.is_empty());
        let later = |given: &&Given| given.at > since && given.says() == Says::Records;
        self.given().into_iter().filter(later).any(|given| {
            let names = given.packet.sections[0].iter().flat_map(Record::names);
            let beside = |target: &Labels| {
                [A, AAAA].iter().any(|&family| Held::beside(given, target, family).is_some())
            };
            below(&given.name) || names.filter(|target| below(target)).any(beside)
        })
    }

    /// K6: the addresses that came last beside an answer.
    fn latest_beside(&self, name: &Labels, rtype: u16) -> Option<Held> {
        let all = self.given();
        all.into_iter().rev().find_map(|given| Held::beside(given, name, rtype))
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

    /// Records that are held, whether they would stand in or not.
    fn records(&self, name: &Labels, rtype: u16) -> Option<Held> {
        let mut learned = self.learned(name, rtype).into_iter();
        learned.rfind(|held| held.says == Says::Records).or_else(|| self.latest_beside(name, rtype))
    }

    /// K4: what a cluster says of a name of which nothing is held for the type
    /// that is asked: it exists, because addresses are held for it, or any
    /// records for a name under it.
    fn exists(&self, name: &Labels, rtype: u16) -> Option<Packet> {
        for family in [A, AAAA].into_iter().filter(|&family| family != rtype) {
            let Some(held) = self.standing_records(name, family) else { continue };
            let at = |r: &Record| r.class == 1 && r.owner.same(name);
            let has = |rtype| held.packet.sections[0].iter().any(|r| at(r) && r.rtype == rtype);
            if has(CNAME) {
                return Some(held.packet);
            }
            if has(family) {
                return Some(nodata());
            }
        }
        let below = |(under, other): &(Labels, u16)| {
            let Some(front) = under.in_front_of(name) else { return false };
            let Some(label) = front.0.last() else { return false };
            let behind = label[0] == b'_' && name.0.first().is_none_or(|own| own[0] != b'_');
            let service = behind && matches!(rtype, A | AAAA);
            !service && self.records(under, *other).is_some()
        };
        self.questions().iter().any(below).then(nodata)
    }

    /// K7: something stands in for the name, of any type that is looked at.
    fn holds(&self, name: &Labels, rtype: u16) -> bool {
        let types = [&LOOKED_AT[..], &[rtype]].concat();
        types.iter().any(|&rtype| self.stand_in(name, rtype).is_some())
    }

    /// K7: anything but NXDOMAIN is held for the name, of those types.
    fn is_known(&self, name: &Labels, rtype: u16) -> bool {
        let types = [&LOOKED_AT[..], &[rtype]].concat();
        let known = |held: &Held| held.says != Says::Nxdomain;
        types.iter().any(|&rtype| self.learned(name, rtype).iter().any(known))
    }

    /// K2: records so young that the cluster's "nothing" is not believed.
    fn not_yet_empty(&self, name: &Labels, rtype: u16) -> Option<Packet> {
        let of = |given: &&&Given| {
            given.name.same(name) && given.rtype == rtype && given.says() == Says::Records
        };
        let given = self.given();
        let last = given.iter().rfind(|given| of(given))?;
        let age = self.now.since(last.at);
        self.memory.younger(age, self.memory.keep_on_empty).then(|| last.packet.clone())
    }
}

/// K4's word for a cluster: there is such a name.
fn nodata() -> Packet {
    Packet { id: 0, flags: 0x8000 | AA, question: None, sections: Default::default(), opt: None }
}

/// Whether an answer of just now says that the cluster has the name, but for an
/// alias (K4).
fn has_name(sub: &Sub) -> bool {
    let Outcome::Answered(packet) = &sub.outcome else { return false };
    packet.flags & 15 != 3 && !has_alias(sub)
}

fn has_alias(sub: &Sub) -> bool {
    let Outcome::Answered(packet) = &sub.outcome else { return false };
    let cname = |record: &Record| {
        record.class == 1 && record.rtype == CNAME && record.owner.same(&sub.name)
    };
    packet.sections[0].iter().any(cname)
}

/// Fills in for clusters that are missing, or not yet believed to be empty.
pub fn fill_in(memory: &Memory, context: &Context, cd: bool, now: Time, subs: &mut [Sub]) {
    let rtype = context.rtype;
    let view = |cluster| View { memory, cluster, cd, now };
    let somebody_has_it = subs.iter().any(has_name) && !subs.iter().any(has_alias);
    for sub in subs.iter_mut() {
        let view = view(sub.cluster);
        let packet = match &sub.outcome {
            Outcome::Failed if memory.stale => {
                view.stand_in(&sub.name, rtype).map(|held| held.packet)
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
    if memory.stale && LISTED.contains(&rtype) && !somebody_has_it {
        let failed = subs.iter_mut().filter(|sub| matches!(sub.outcome, Outcome::Failed));
        for sub in failed {
            if let Some(packet) = view(sub.cluster).exists(&sub.name, rtype) {
                sub.outcome = Outcome::Answered(packet);
                sub.stale = true;
            }
        }
    }
}

/// K7: a prefixed round that could not be finished ends in NXDOMAIN all the
/// same: nothing is known of the name that was looked up, but something of the
/// name as it was asked.
pub fn known_as_asked(
    memory: &Memory,
    context: &Context,
    cd: bool,
    now: Time,
    failed: &[Sub],
) -> bool {
    let view = |cluster| View { memory, cluster, cd, now };
    let plain = context.zone.plain(&context.question);
    memory.stale
        && !failed.iter().any(|sub| view(sub.cluster).holds(&sub.name, context.rtype))
        && plain.iter().any(|(cluster, name)| {
            name.as_ref().is_some_and(|name| view(*cluster).is_known(name, context.rtype))
        })
}
