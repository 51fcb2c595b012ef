//! The same work with what a Rust program would take otherwise: `domain`'s
//! parser, builder and compressors, and `hickory-proto`.
//!
//! The same is: the question is read, one sub-question for each cluster is
//! written, each answer is checked against it and rewritten, equal records are
//! left out (M2), TTLs evened out (M3), addresses of nothing in the answer
//! dropped (M8), and one message is written. No IDs are drawn and no timers
//! set, and buffers are used again where the libraries allow it.
//!
//! [`WithDomain::bare`] and hickory do not merge, they only put the records
//! one behind the other: less than the work, for who doubts the comparison.

use crate::support::{Packets, Shape, ZONE, suffix, wire};
use ahash::RandomState;
use domain::base::iana::{Class, Rtype};
use domain::base::message_builder::{HashCompressor, StaticCompressor, TreeCompressor};
use domain::base::name::{Name, NameBuilder, ToLabelIter, ToName};
use domain::base::wire::Composer;
use domain::base::{Message, MessageBuilder, Record, Ttl};
use domain::rdata::{A, Srv};
use std::collections::{HashMap, HashSet};

type Owned = Name<Vec<u8>>;

/// The plan, in `domain`'s words.
pub struct WithDomain {
    packets: Packets,
    zone: Owned,
    suffixes: Vec<Owned>,
    prefixes: Vec<Vec<u8>>,
    next: usize,
    out: Vec<u8>,
    ask: Vec<u8>,
    /// Whether duplicates, TTLs and stray addresses are looked after.
    merging: bool,
    answers: Vec<(Owned, Ttl, Srv<Owned>)>,
    addresses: Vec<(Owned, Ttl, A)>,
    seen: HashSet<(Owned, Srv<Owned>), RandomState>,
    seen_addresses: HashSet<(Owned, A), RandomState>,
    targets: HashSet<Owned, RandomState>,
    ttls: HashMap<(Owned, Rtype), Ttl, RandomState>,
}

impl WithDomain {
    pub fn new(shape: Shape) -> Self {
        let hasher = RandomState::with_seeds(1, 2, 3, 4);
        WithDomain {
            packets: Packets::new(shape),
            zone: Name::from_octets(wire(ZONE)).unwrap(),
            suffixes: (0..shape.clusters)
                .map(|n| Name::from_octets(wire(&suffix(n))).unwrap())
                .collect(),
            prefixes: (0..shape.clusters).map(|n| format!("c{n}-").into_bytes()).collect(),
            next: 0,
            out: Vec::new(),
            ask: Vec::new(),
            merging: true,
            answers: Vec::new(),
            addresses: Vec::new(),
            seen: HashSet::with_hasher(hasher.clone()),
            seen_addresses: HashSet::with_hasher(hasher.clone()),
            targets: HashSet::with_hasher(hasher.clone()),
            ttls: HashMap::with_hasher(hasher),
        }
    }

    /// The records of all answers, one behind the other.
    pub fn bare(&mut self) -> usize {
        self.merging = false;
        let len = self.query(StaticCompressor::new, StaticCompressor::into_target);
        self.merging = true;
        len
    }

    pub fn with_static(&mut self) -> usize {
        self.query(StaticCompressor::new, StaticCompressor::into_target)
    }

    pub fn with_tree(&mut self) -> usize {
        self.query(TreeCompressor::new, TreeCompressor::into_target)
    }

    pub fn with_hash(&mut self) -> usize {
        self.query(HashCompressor::new, HashCompressor::into_target)
    }

    fn query<C: Composer>(
        &mut self,
        compressor: impl Fn(Vec<u8>) -> C,
        into: impl Fn(C) -> Vec<u8>,
    ) -> usize {
        let n = self.next % self.packets.questions.len();
        self.next += 1;
        let client = Message::from_octets(&self.packets.questions[n][..]).unwrap();
        let question = client.sole_question().unwrap();
        let qname = question.qname();
        assert!(qname.ends_with(&self.zone));
        let edns = client.opt().is_some();

        let mut out = std::mem::take(&mut self.out);
        out.clear();
        let mut builder = MessageBuilder::from_target(compressor(out)).ok().unwrap().question();
        builder.header_mut().set_id(client.header().id());
        builder.header_mut().set_qr(true);
        builder.header_mut().set_aa(true);
        builder.push(question).ok().unwrap();
        let mut builder = builder.answer();
        for (cluster, suffix) in self.suffixes.iter().enumerate() {
            let asked = replace(qname, &self.zone, suffix);
            let reply = Message::from_octets(&self.packets.answers[n][cluster][..]).unwrap();
            self.ask.clear();
            let ask = std::mem::take(&mut self.ask);
            let mut sub = MessageBuilder::from_target(ask).unwrap().question();
            sub.push((&asked, Rtype::SRV)).unwrap();
            let mut sub = sub.additional();
            sub.opt(|opt| {
                opt.set_udp_payload_size(1232);
                Ok(())
            })
            .unwrap();
            self.ask = sub.finish();

            let echoed = reply.sole_question().unwrap();
            assert!(reply.header().qr() && echoed.qname().name_eq(&asked));
            for record in reply.answer().unwrap().limit_to::<Srv<_>>() {
                let record = record.unwrap();
                let owner: Owned = if record.owner().name_eq(&asked) {
                    qname.to_name()
                } else {
                    rewrite(record.owner(), suffix, &self.zone, &self.prefixes[cluster])
                };
                let srv = record.data();
                let target = rewrite(srv.target(), suffix, &self.zone, &self.prefixes[cluster]);
                let data = Srv::new(srv.priority(), srv.weight(), srv.port(), target);
                self.answers.push((owner, record.ttl(), data));
            }
            for record in reply.additional().unwrap().limit_to::<A>() {
                let record = record.unwrap();
                let owner = rewrite(record.owner(), suffix, &self.zone, &self.prefixes[cluster]);
                self.addresses.push((owner, record.ttl(), record.data().clone()));
            }
        }
        if self.merging {
            self.merge();
        }
        for (owner, ttl, data) in self.answers.drain(..) {
            builder.push(Record::new(owner, Class::IN, ttl, data)).ok().unwrap();
        }
        let mut builder = builder.additional();
        for (owner, ttl, data) in self.addresses.drain(..) {
            builder.push(Record::new(owner, Class::IN, ttl, data)).ok().unwrap();
        }
        if edns {
            let opt = builder.opt(|opt| {
                opt.set_udp_payload_size(1232);
                Ok(())
            });
            opt.ok().unwrap();
        }
        self.out = into(builder.finish());
        self.out.len()
    }
}

impl WithDomain {
    /// M2, M3 and M8.
    fn merge(&mut self) {
        self.seen.clear();
        self.seen_addresses.clear();
        self.targets.clear();
        self.ttls.clear();
        let ttls = &mut self.ttls;
        let mut lower = |owner: &Owned, rtype: Rtype, ttl: Ttl| {
            ttls.entry((owner.clone(), rtype))
                .and_modify(|known| *known = ttl.min(*known))
                .or_insert(ttl);
        };
        let (seen, targets) = (&mut self.seen, &mut self.targets);
        self.answers.retain(|(owner, ttl, srv)| {
            lower(owner, Rtype::SRV, *ttl);
            targets.insert(srv.target().clone());
            seen.insert((owner.clone(), srv.clone()))
        });
        let seen = &mut self.seen_addresses;
        self.addresses.retain(|(owner, ttl, address)| {
            lower(owner, Rtype::A, *ttl);
            targets.contains(owner) && seen.insert((owner.clone(), address.clone()))
        });
        for (owner, ttl, _) in &mut self.answers {
            *ttl = self.ttls[&(owner.clone(), Rtype::SRV)];
        }
        for (owner, ttl, _) in &mut self.addresses {
            *ttl = self.ttls[&(owner.clone(), Rtype::A)];
        }
    }
}

/// The name with another suffix.
fn replace(name: impl ToName, from: &Owned, to: &Owned) -> Owned {
    let kept = name.iter_labels().count() - from.iter_labels().count();
    let mut builder = NameBuilder::new_vec();
    for label in name.iter_labels().take(kept) {
        builder.append_label(label.as_slice()).unwrap();
    }
    builder.append_origin(to).unwrap()
}

/// R2: the zone instead of the suffix, the prefix in front of the first label
/// that does not begin with `_`.
fn rewrite(name: impl ToName, suffix: &Owned, zone: &Owned, prefix: &[u8]) -> Owned {
    if !name.ends_with(suffix) {
        return name.to_name();
    }
    let kept = name.iter_labels().count() - suffix.iter_labels().count();
    let mut builder = NameBuilder::new_vec();
    let mut due = true;
    for label in name.iter_labels().take(kept) {
        if due && label.as_slice().first() != Some(&b'_') {
            builder.append_slice(prefix).unwrap();
            due = false;
        }
        builder.append_slice(label.as_slice()).unwrap();
        builder.end_label();
    }
    builder.append_origin(zone).unwrap()
}

/// The plan, in hickory's words.
pub struct WithHickory {
    packets: Packets,
    zone: hickory_proto::rr::Name,
    suffixes: Vec<hickory_proto::rr::Name>,
    prefixes: Vec<Vec<u8>>,
    next: usize,
}

impl WithHickory {
    pub fn new(shape: Shape) -> Self {
        let name = |text: &str| hickory_proto::rr::Name::from_ascii(text).unwrap();
        WithHickory {
            packets: Packets::new(shape),
            zone: name(ZONE),
            suffixes: (0..shape.clusters).map(|n| name(&suffix(n))).collect(),
            prefixes: (0..shape.clusters).map(|n| format!("c{n}-").into_bytes()).collect(),
            next: 0,
        }
    }

    pub fn query(&mut self) -> usize {
        use hickory_proto::op::{Edns, Message, OpCode, Query};
        use hickory_proto::rr::{Name, RData, RecordType};
        let n = self.next % self.packets.questions.len();
        self.next += 1;
        let client = Message::from_vec(&self.packets.questions[n]).unwrap();
        let question = client.queries.first().unwrap();
        let qname = question.name();
        assert!(self.zone.zone_of(qname));
        let mut out = Message::response(client.metadata.id, OpCode::Query);
        out.metadata.authoritative = true;
        out.add_query(question.clone());
        let kept = usize::from(qname.num_labels() - self.zone.num_labels());
        for (cluster, suffix) in self.suffixes.iter().enumerate() {
            let labels = qname.iter().take(kept).chain(suffix.iter());
            let asked = Name::from_labels(labels).unwrap();
            let mut sub = Message::query();
            sub.add_query(Query::query(asked.clone(), RecordType::SRV));
            sub.set_edns(Edns::new());
            std::hint::black_box(sub.to_vec().unwrap());

            let mut reply = Message::from_vec(&self.packets.answers[n][cluster]).unwrap();
            assert_eq!(reply.queries.first().unwrap().name(), &asked);
            let prefix = &self.prefixes[cluster];
            for mut record in reply.answers.drain(..) {
                if record.name == asked {
                    record.name = qname.clone();
                } else {
                    record.name = self.rewrite(&record.name, suffix, prefix);
                }
                if let RData::SRV(srv) = &mut record.data {
                    srv.target = self.rewrite(&srv.target, suffix, prefix);
                }
                out.add_answer(record);
            }
            for mut record in reply.additionals.drain(..) {
                record.name = self.rewrite(&record.name, suffix, prefix);
                out.add_additional(record);
            }
        }
        if client.edns.is_some() {
            out.set_edns(Edns::new());
        }
        out.to_vec().unwrap().len()
    }

    fn rewrite(
        &self,
        name: &hickory_proto::rr::Name,
        suffix: &hickory_proto::rr::Name,
        prefix: &[u8],
    ) -> hickory_proto::rr::Name {
        if !suffix.zone_of(name) {
            return name.clone();
        }
        let kept = usize::from(name.num_labels() - suffix.num_labels());
        let mut labels: Vec<Vec<u8>> = name.iter().take(kept).map(<[u8]>::to_vec).collect();
        if let Some(label) = labels.iter_mut().find(|label| label.first() != Some(&b'_')) {
            label.splice(0..0, prefix.iter().copied());
        }
        let labels = labels.iter().map(Vec::as_slice).chain(self.zone.iter());
        hickory_proto::rr::Name::from_labels(labels).unwrap()
    }
}
