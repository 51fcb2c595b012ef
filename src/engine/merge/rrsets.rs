//! Step three: equal records once (M2), one TTL for an RRset (M3), no "not here"
//! beside services (M10), and which additional records belong to the answer (M8).

use super::collect::Home;
use super::{Fate, Merger, NONE, Record, Rrset, Section};
use crate::engine::gather::Gather;
use crate::wire::names::{Ident, NameId};
use domain::base::iana::Rtype;
use std::hash::{BuildHasher, Hasher};

impl Merger {
    /// M10: "not here" from one cluster is no news when another has it.
    pub(super) fn drop_absent_services(&mut self) {
        let absent = |merger: &Self, n: u32| {
            let record = &merger.records[n as usize];
            record.rtype == Rtype::SRV && merger.names.octets(record.names[0]) == [0]
        };
        let present = |merger: &Self, n: u32| {
            merger.records[n as usize].rtype == Rtype::SRV && !absent(merger, n)
        };
        if !self.order.iter().any(|&n| absent(self, n)) {
            return;
        }
        if !self.order.iter().any(|&n| present(self, n)) {
            return;
        }
        let mut order = std::mem::take(&mut self.order);
        order.retain(|&n| {
            let gone = absent(self, n);
            if gone {
                self.records[n as usize].fate = Fate::NotHere;
            }
            !gone
        });
        self.order = order;
    }

    /// Groups the records kept so far, and the additional ones that go with
    /// them.
    pub(super) fn group(&mut self, gather: &Gather) {
        self.rrsets.clear();
        self.rrset_of_name.clear();
        self.rrset_of_name.resize(self.names.count(), NONE);
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
            let owner = self.names.ident(record.owner);
            if address && self.names.is_in_answer(owner) && self.may_speak(record, owner) {
                self.admit(n, gather, Fate::Additional);
            } else {
                self.records[n].fate = Fate::Unrelated;
            }
        }
    }

    /// R7: of a name outside a cluster speaks if its own chain, as it is given, leads
    /// there.
    fn may_speak(&self, record: &Record, owner: Ident) -> bool {
        record.home == Home::Own
            || self.chains.links.iter().any(|&link| {
                let link = &self.records[link as usize];
                matches!(link.fate, Fate::Answer | Fate::Duplicate)
                    && link.sub == record.sub
                    && self.names.ident(link.names[0]) == owner
            })
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
        let ttl = record.ttl;
        let rrset = &mut self.rrsets[number as usize];
        rrset.ttl = rrset.ttl.min(ttl);
        let new = rrset.first == n as u32 || self.is_new(n, gather);
        self.records[n].fate = if new { fate } else { Fate::Duplicate };
        new
    }

    /// Whether no earlier record of its RRset is equal. The first is put into
    /// the index when a second comes: most addresses are alone.
    fn is_new(&mut self, n: usize, gather: &Gather) -> bool {
        let number = self.records[n].rrset;
        let rrset = &mut self.rrsets[number as usize];
        if !rrset.indexed {
            rrset.indexed = true;
            let first = rrset.first;
            let hash = self.record_hash(&self.records[first as usize], gather);
            self.record_index.insert(hash, first);
        }
        let record = &self.records[n];
        let hash = self.record_hash(record, gather);
        let found = self.record_index.find(hash, |other| {
            let other = &self.records[other as usize];
            other.rrset == number && self.same_rdata(record, other, gather)
        });
        if found.is_none() {
            self.record_index.insert(hash, n as u32);
        }
        found.is_none()
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
        // A name owns few: CNAME, DNAME, the type asked for, addresses.
        let head = self.rrset_of_name[owner.number() as usize];
        let mut number = head;
        while number != NONE {
            let rrset = &self.rrsets[number as usize];
            if rrset.rtype == rtype {
                return number;
            }
            number = rrset.other;
        }
        let number = self.rrsets.len() as u32;
        self.rrsets.push(Rrset {
            owner,
            rtype,
            ttl: u32::MAX,
            in_answer: fate == Fate::Answer,
            first: n as u32,
            indexed: false,
            other: head,
            size: 0,
        });
        self.rrset_of_name[owner.number() as usize] = number;
        number
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
