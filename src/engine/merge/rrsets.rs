//! Step three: equal records once (M2), one TTL for an RRset (M3), and which
//! additional records belong to the answer (M8).

use super::{Fate, Merger, Record, Rrset, Section};
use crate::engine::gather::Gather;
use crate::wire::names::NameId;
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
            self.names.mark_in_answer(record.owner);
            for &name in record.rdata_names() {
                self.names.mark_in_answer(name);
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
        hasher.write(record.lead(packet));
        for &name in record.rdata_names() {
            hasher.write_u32(self.names.ident(name).number());
        }
        if record.tail > 0 {
            hasher.write(record.tail(packet));
        }
        hasher.finish()
    }

    fn same_rdata(&self, a: &Record, b: &Record, gather: &Gather) -> bool {
        let packet_a = &gather.subs()[a.sub].reply[..];
        let packet_b = &gather.subs()[b.sub].reply[..];
        let ident = |&name: &NameId| self.names.ident(name);
        a.lead(packet_a) == b.lead(packet_b)
            && a.tail(packet_a) == b.tail(packet_b)
            && a.rdata_names().iter().map(ident).eq(b.rdata_names().iter().map(ident))
    }
}

impl Record {
    /// The names in its RDATA.
    pub(super) fn rdata_names(&self) -> &[NameId] {
        &self.names[..self.name_count as usize]
    }

    /// Its RDATA in its reply: what stands in front of the names.
    pub(super) fn lead<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        let start = self.rdata.start as usize;
        &packet[start..start + self.lead as usize]
    }

    /// And what stands behind them.
    pub(super) fn tail<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        let end = self.rdata.end as usize;
        &packet[end - self.tail as usize..end]
    }
}
