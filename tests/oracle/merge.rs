//! The rules R and M on lists: from the clusters' replies, taken apart, to the
//! records and flags of the one answer, before sizes matter.

use crate::chains;
use crate::held::LISTED;
use crate::labels::{Labels, Rewritten, Zone};
use crate::packet::{AA, Packet, Part, RA, Record, is_dnssec, is_rewritten};
use std::collections::BTreeSet;

/// What came of one sub-question.
#[derive(Clone, Debug)]
pub enum Outcome {
    Answered(Packet),
    /// The name would be too long for the cluster (Q6).
    CannotExist,
    Failed,
}

/// A sub-question and its outcome.
#[derive(Clone, Debug)]
pub struct Sub {
    pub cluster: usize,
    pub name: Labels,
    pub outcome: Outcome,
    /// It goes on where another's chain ends.
    pub follows: bool,
    /// The answer is one that was held.
    pub stale: bool,
}

/// What the rules depend on besides the replies.
#[derive(Clone, Debug)]
pub struct Context {
    pub zone: Zone,
    pub question: Labels,
    pub rtype: u16,
    pub fail: bool,
    pub min_clusters: usize,
    pub forward: bool,
}

/// A record, and the sub-question it answers.
#[derive(Clone, Debug)]
pub struct Row {
    pub sub: usize,
    pub record: Record,
    /// The first name in its RDATA, as the cluster gave it.
    pub target: Option<Labels>,
    /// Its owner is a name of the cluster that gave it, else one outside (R7).
    pub is_own: bool,
}

impl Row {
    /// A record that is in no reply.
    pub fn own(record: Record) -> Row {
        Row { sub: 0, record, target: None, is_own: true }
    }
}

/// The answer, before sizes.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub rcode: u16,
    pub aa: bool,
    pub ra: bool,
    pub answer: Vec<Row>,
    pub authority: Vec<Row>,
    pub additional: Vec<Row>,
    pub ede: Vec<u16>,
}

/// A reply's records that may matter, rewritten.
#[derive(Clone, Debug, Default)]
pub struct Rewrites {
    pub answer: Vec<Row>,
    pub additional: Vec<Row>,
    too_long: bool,
    /// R3: names made so far, as first spelled.
    made: Vec<Labels>,
}

/// A TTL with its top bit set is zero (RFC 2181, 8).
fn ttl(field: u32) -> u32 {
    if field >> 31 == 1 { 0 } else { field }
}

/// R7: whether a cluster speaks for a name as for its own; `None` if it is
/// somebody else's.
fn may_speak(context: &Context, sub: &Sub, owner: &Labels) -> Option<bool> {
    if owner.same(&sub.name) && !sub.follows {
        return Some(true);
    }
    match context.zone.whose(sub.cluster, owner) {
        // A name without a label for a prefix is one of all clusters.
        Some((front, cluster)) => {
            (cluster == sub.cluster && front.carrier().is_some()).then_some(true)
        }
        None => owner.in_front_of(&context.zone.name).is_none().then_some(false),
    }
}

impl Rewrites {
    /// R1 to R5 for all replies, in the clusters' order.
    pub fn of(context: &Context, subs: &[Sub]) -> Rewrites {
        let mut all = Rewrites::default();
        for (n, sub) in subs.iter().enumerate() {
            let Outcome::Answered(packet) = &sub.outcome else { continue };
            for section in [0, 2] {
                for record in &packet.sections[section] {
                    if record.class != 1 || is_dnssec(record.rtype) {
                        continue;
                    }
                    let target = record.names().next().cloned();
                    let Some(is_own) = may_speak(context, sub, &record.owner) else { continue };
                    let Some(record) = all.record(context, sub, record) else {
                        all.too_long = true;
                        continue;
                    };
                    let rows = if section == 0 { &mut all.answer } else { &mut all.additional };
                    rows.push(Row { sub: n, record, target, is_own });
                }
            }
        }
        all
    }

    fn record(&mut self, context: &Context, sub: &Sub, record: &Record) -> Option<Record> {
        let mut record = record.clone();
        record.ttl = ttl(record.ttl);
        record.owner = if record.owner.same(&sub.name) && !sub.follows {
            context.question.clone()
        } else {
            self.name(context, sub, &record.owner)?
        };
        if is_rewritten(record.rtype) {
            for part in &mut record.rdata {
                if let Part::Name(name) = part {
                    *name = self.name(context, sub, name)?;
                }
            }
        }
        Some(record)
    }

    fn name(&mut self, context: &Context, sub: &Sub, name: &Labels) -> Option<Labels> {
        match context.zone.rewrite(sub.cluster, name) {
            Rewritten::Kept => Some(name.clone()),
            Rewritten::TooLong => None,
            Rewritten::Made(made) => {
                let known = self.made.iter().find(|known| known.same(&made)).cloned();
                Some(known.unwrap_or_else(|| {
                    self.made.push(made.clone());
                    made
                }))
            }
        }
    }
}

/// Q5: no cluster knows the name that was looked up with its prefix.
pub fn ends_in_nxdomain(context: &Context, subs: &[Sub]) -> bool {
    subs.iter().all(|sub| match &sub.outcome {
        Outcome::Answered(packet) => {
            packet.flags & 15 == 3
                && !packet.sections[0].iter().any(|record| {
                    record.class == 1
                        && !is_dnssec(record.rtype)
                        && record.owner.same(&sub.name)
                        && (record.rtype == context.rtype || record.rtype == 5)
                })
        }
        Outcome::CannotExist => true,
        Outcome::Failed => false,
    })
}

/// The negative TTL an SOA gives: the smaller of its own and its MINIMUM.
pub fn negative_ttl(record: &Record) -> u32 {
    let Some(Part::Octets(numbers)) = record.rdata.last() else { panic!("no SOA") };
    let minimum = numbers[16..].try_into().expect("four octets");
    ttl(record.ttl).min(ttl(u32::from_be_bytes(minimum)))
}

/// Q8 and M7: the SOA of the zone.
pub fn soa(zone: &Zone, ttl: u32) -> Record {
    let beside = |label: &[u8]| Part::Name(Labels(vec![label.to_vec()]).join(&zone.name));
    let numbers = [1, 7200, 1800, 86_400, ttl].map(u32::to_be_bytes).concat();
    let rdata = vec![beside(b"ns"), beside(b"hostmaster"), Part::Octets(numbers)];
    Record { owner: zone.name.clone(), rtype: 6, class: 1, ttl, rdata }
}

/// M2 and M3: equal records once, one TTL for each RRset.
fn merge(rows: Vec<Row>) -> Vec<Row> {
    let mut merged: Vec<Row> = Vec::new();
    for row in &rows {
        if !merged.iter().any(|known| known.record.same(&row.record)) {
            merged.push(row.clone());
        }
    }
    for row in &mut merged {
        let set = rows.iter().filter(|other| other.record.same_set(&row.record));
        row.record.ttl = set.map(|other| other.record.ttl).min().expect("itself");
    }
    merged
}

/// All rules M.
pub fn answer(context: &Context, subs: &[Sub]) -> Answer {
    let rewrites = Rewrites::of(context, subs);
    let mut out = Answer::default();
    let settled = chains::settle(context, subs, &rewrites.answer);
    out.answer = merge(drop_absent(settled.rows.clone()));
    let related = rewrites.additional.iter().filter(|row| {
        let address = matches!(row.record.rtype, 1 | 28);
        let named = out.answer.iter().any(|other| {
            other.record.owner.same(&row.record.owner)
                || other.record.names().any(|name| name.same(&row.record.owner))
        });
        // An RRset stands in one section.
        let there = out.answer.iter().any(|other| other.record.same_set(&row.record));
        // R7: of a name outside a cluster speaks where its own CNAMEs lead there.
        let leads =
            |(sub, target): &(usize, Labels)| *sub == row.sub && target.same(&row.record.owner);
        address && named && !there && (row.is_own || settled.led.iter().any(leads))
    });
    out.additional = merge(related.cloned().collect());

    let replies: Vec<&Packet> = subs
        .iter()
        .filter_map(|sub| match &sub.outcome {
            Outcome::Answered(packet) => Some(packet),
            _ => None,
        })
        .collect();
    // A cluster may be asked twice: where a chain leads there, too.
    let of = |counts: &dyn Fn(&Sub) -> bool| {
        let counted = subs.iter().filter(|sub| counts(sub)).map(|sub| sub.cluster);
        counted.collect::<BTreeSet<usize>>().len()
    };
    let is_missing = |sub: &Sub| matches!(sub.outcome, Outcome::Failed);
    let (asked, failed) = (of(&|_| true), of(&is_missing));
    let stale = of(&|sub| sub.stale);
    out.aa = replies.iter().all(|packet| packet.flags & AA != 0);
    out.ra = context.forward || replies.iter().any(|packet| packet.flags & RA != 0);
    let enough = asked - failed >= context.min_clusters.min(asked);
    let has_records = !out.answer.is_empty();
    // K3: somebody else says that there is nothing.
    let nothing = (settled.any_noerror || settled.flattened) && LISTED.contains(&context.rtype);
    out.ede.extend(vec![0; settled.conflicts]);
    if failed > 0 && (context.fail || !enough || (!has_records && !nothing)) {
        // What is held was not answered now (K5).
        let answered = asked - of(&|sub| is_missing(sub) || sub.stale);
        let code = if answered == 0 { 22 } else { 23 };
        let ra = out.ra;
        let mut out = Answer { rcode: 2, ra, ede: out.ede, ..Answer::default() };
        out.ede.push(code);
        out.ede.extend(rewrites.too_long.then_some(0));
        return out;
    }
    let apex = context.question.same(&context.zone.name);
    // RFC 6604: a chain that ends nowhere does not make the name exist.
    let exists = settled.any_noerror || settled.has_data || settled.flattened || apex;
    if failed == 0 && !exists {
        out.rcode = 3;
    }
    let cap = if failed > 0 || stale > 0 { 5 } else { u32::MAX };
    if !has_records || out.rcode == 3 {
        let records = replies.iter().flat_map(|packet| &packet.sections[1]);
        let soas = records.filter(|record| record.rtype == 6 && record.class == 1);
        let ttl = soas.map(negative_ttl).min().unwrap_or(5).min(cap);
        out.authority.push(Row::own(soa(&context.zone, ttl)));
        out.aa |= !out.ra;
    }
    for row in out.answer.iter_mut().chain(&mut out.additional) {
        row.record.ttl = row.record.ttl.min(cap);
    }
    if stale > 0 {
        out.ede.push(if out.rcode == 3 { 19 } else { 3 });
    }
    if failed > 0 {
        out.ede.push(23);
    }
    out.ede.extend(rewrites.too_long.then_some(0));
    out
}

/// M10.
fn drop_absent(rows: Vec<Row>) -> Vec<Row> {
    let is_srv = |row: &&Row| row.record.rtype == 33;
    let absent = |row: &Row| row.record.names().next().is_some_and(Labels::is_root);
    if rows.iter().filter(is_srv).any(|row| !absent(row)) {
        return rows.into_iter().filter(|row| !is_srv(&row) || !absent(row)).collect();
    }
    rows
}
