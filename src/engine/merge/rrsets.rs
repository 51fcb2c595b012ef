//! Step three: equal records once (M2), one TTL for an RRset (M3), and which
//! additional records belong to the answer (M8).

use super::{Fate, Merger, Record, Rrset, Section};
use crate::engine::gather::Gather;
use crate::wire::rdata::{self, Parts};
use domain::base::iana::Rtype;
use std::hash::{BuildHasher, Hasher};

impl Merger {
    /// Groups the records kept so far, and the additional ones that go with
    /// them.
    pub(super) fn group(&mut self, gather: &Gather) {
        self.rrsets.clear();
        self.rrset_index.clear();
        self.record_index.clear();
        let mut order = std::mem::take(&mut self.order);
        order.retain(|&n| self.admit(n as usize, gather, Fate::Answer));
        for &n in &order {
            let record = &self.records[n as usize];
            let count = rdata::layout(record.rtype).map_or(0, rdata::Layout::count);
            self.names.mark_in_answer(record.owner);
            for name in &record.names[..count] {
                self.names.mark_in_answer(*name);
            }
        }
        self.order = order;
        for n in 0..self.records.len() {
            let record = &self.records[n];
            if record.section != Section::Additional || record.fate != Fate::Open {
                continue;
            }
            let address = matches!(record.rtype, Rtype::A | Rtype::AAAA);
            if address && self.names.is_in_answer(self.names.ident(record.owner)) {
                self.admit(n, gather, Fate::Additional);
            } else {
                self.records[n].fate = Fate::Unrelated;
            }
        }
    }

    /// Gives a record its RRset and its fate; tells whether it is new.
    fn admit(&mut self, n: usize, gather: &Gather, fate: Fate) -> bool {
        let number = self.rrset_of(n, fate);
        self.records[n].rrset = number;
        let record = &self.records[n];
        let in_answer = fate == Fate::Answer;
        if self.rrsets[number as usize].in_answer && !in_answer {
            // The answer section has the whole RRset.
            self.records[n].fate = Fate::Duplicate;
            return false;
        }
        let hash = self.record_hash(record, gather);
        let found = self.record_index.find(hash, |other| {
            let other = &self.records[other as usize];
            other.rrset == number && self.same_rdata(record, other, gather)
        });
        let ttl = record.ttl;
        let rrset = &mut self.rrsets[number as usize];
        rrset.ttl = rrset.ttl.min(ttl);
        let new = found.is_none();
        if new {
            self.record_index.insert(hash, n as u32);
        }
        self.records[n].fate = if new { fate } else { Fate::Duplicate };
        new
    }

    fn rrset_of(&mut self, n: usize, fate: Fate) -> u32 {
        let record = &self.records[n];
        let owner = self.names.ident(record.owner);
        let rtype = record.rtype;
        if let Some(last) = self.rrsets.last()
            && last.owner == owner
            && last.rtype == rtype
        {
            return self.rrsets.len() as u32 - 1;
        }
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(u64::from(owner.number()) << 16 | u64::from(rtype.to_int()));
        let hash = hasher.finish();
        let found = self.rrset_index.find(hash, |n| {
            let rrset = &self.rrsets[n as usize];
            rrset.owner == owner && rrset.rtype == rtype
        });
        found.unwrap_or_else(|| {
            let number = self.rrsets.len() as u32;
            let in_answer = fate == Fate::Answer;
            self.rrsets.push(Rrset { owner, rtype, ttl: u32::MAX, in_answer, size: 0 });
            self.rrset_index.insert(hash, number);
            number
        })
    }

    /// Names by identity, everything else by its octets.
    fn record_hash(&self, record: &Record, gather: &Gather) -> u64 {
        let packet = &gather.subs()[record.sub].reply[..];
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u32(record.rrset);
        match parts(record, packet) {
            None => hasher.write(octets(record, packet)),
            Some(parts) => {
                hasher.write(&packet[parts.lead]);
                for name in &record.names[..parts.count] {
                    hasher.write_u32(self.names.ident(*name).number());
                }
                hasher.write(&packet[parts.tail]);
            }
        }
        hasher.finish()
    }

    fn same_rdata(&self, a: &Record, b: &Record, gather: &Gather) -> bool {
        let packet_a = &gather.subs()[a.sub].reply[..];
        let packet_b = &gather.subs()[b.sub].reply[..];
        match (parts(a, packet_a), parts(b, packet_b)) {
            (Some(x), Some(y)) => {
                packet_a[x.lead] == packet_b[y.lead]
                    && packet_a[x.tail] == packet_b[y.tail]
                    && (0..x.count)
                        .all(|n| self.names.ident(a.names[n]) == self.names.ident(b.names[n]))
            }
            _ => octets(a, packet_a) == octets(b, packet_b),
        }
    }
}

/// The RDATA as it stands in its reply.
pub(super) fn octets<'a>(record: &Record, packet: &'a [u8]) -> &'a [u8] {
    &packet[record.rdata.start as usize..record.rdata.end as usize]
}

/// The parts of an RDATA with names; `None` for all others.
pub(super) fn parts(record: &Record, packet: &[u8]) -> Option<Parts> {
    let rdata = record.rdata.start as usize..record.rdata.end as usize;
    rdata::layout(record.rtype)?.parts(packet, rdata).ok()
}
