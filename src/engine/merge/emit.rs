//! Step four: writing the answer within the client's size (T1).

use super::{Fate, Merger};
use crate::engine::gather::Gather;
use crate::wire::HEADER_LEN;
use crate::wire::compress::{Style, push_pointer};
use crate::wire::message::Message;
use crate::wire::names::NameId;
use domain::base::iana::Class;

/// Type, class, TTL and RDLENGTH.
pub(super) const FIXED: usize = 10;

impl Merger {
    /// The question stands at the start of the message: names may point there.
    pub(super) fn register_question(&mut self, gather: &Gather, start: usize) {
        // Replayed into a buffer of its own, for the offsets: the message has
        // the question already.
        let place = self.compressor.register(gather.name(), start + HEADER_LEN);
        self.names.set_place(NameId::QUESTION, place);
    }

    /// Writes the answer section; false if it does not fit.
    pub(super) fn write_answer(
        &mut self,
        gather: &Gather,
        room: usize,
        message: &mut Message,
        out: &mut Vec<u8>,
    ) -> bool {
        for n in 0..self.order.len() {
            let number = self.order[n] as usize;
            self.write_record(number, gather, out);
            if message.len(out) > room {
                return false;
            }
            message.counts[0] += 1;
        }
        true
    }

    /// Writes as many additional RRsets as fit.
    pub(super) fn write_additional(
        &mut self,
        gather: &Gather,
        room: usize,
        message: &mut Message,
        out: &mut Vec<u8>,
    ) {
        let room = room - message.len(out);
        self.choose_additional(gather, room, out);
        for n in 0..self.records.len() {
            let record = &self.records[n];
            if record.fate != Fate::Additional {
                continue;
            }
            if self.keep[record.rrset as usize] {
                self.write_record(n, gather, out);
                message.counts[2] += 1;
            } else {
                self.records[n].fate = Fate::NoRoom;
            }
        }
    }

    /// Picks the RRsets that fit: one of each cluster in turn, so that none
    /// loses all of its own while another keeps several.
    fn choose_additional(&mut self, gather: &Gather, room: usize, out: &[u8]) {
        let mut total = 0;
        self.keep.clear();
        self.keep.resize(self.rrsets.len(), false);
        let mut before = None;
        for n in 0..self.records.len() {
            let record = &self.records[n];
            if record.fate == Fate::Additional {
                let rrset = record.rrset as usize;
                // An owner in another spelling than the answer section's is in
                // the message once it has been written.
                let again = before == Some((rrset, record.owner));
                let owner = self.owner_len(record, out).min(if again { 2 } else { usize::MAX });
                before = Some((rrset, record.owner));
                let len = owner + FIXED + record.rdata.len();
                self.rrsets[rrset].size += len;
                total += len;
            }
        }
        if total <= room {
            self.keep.fill(true);
            return;
        }
        let mut left = room;
        // Each cluster's place in the list of records.
        self.turns.clear();
        self.turns.resize(gather.subs().len(), 0);
        let mut more = true;
        while more {
            more = false;
            for sub in 0..self.turns.len() {
                let from = self.turns[sub];
                let next = (from..self.records.len()).find(|&n| {
                    let record = &self.records[n];
                    record.sub == sub
                        && record.fate == Fate::Additional
                        && !self.keep[record.rrset as usize]
                });
                let Some(n) = next else {
                    self.turns[sub] = self.records.len();
                    continue;
                };
                self.turns[sub] = n + 1;
                more = true;
                let rrset = self.records[n].rrset;
                let len = self.rrsets[rrset as usize].size;
                if len <= left {
                    left -= len;
                    self.keep[rrset as usize] = true;
                }
            }
        }
    }

    pub(super) fn write_record(&mut self, n: usize, gather: &Gather, out: &mut Vec<u8>) {
        let (owner, rtype, ttl) = {
            let record = &self.records[n];
            (record.owner, record.rtype, self.rrsets[record.rrset as usize].ttl.min(self.cap))
        };
        self.write_name(owner, Style::Pointers, out);
        let [t0, t1] = rtype.to_int().to_be_bytes();
        let [c0, c1] = Class::IN.to_int().to_be_bytes();
        let [l0, l1, l2, l3] = ttl.to_be_bytes();
        out.extend_from_slice(&[t0, t1, c0, c1, l0, l1, l2, l3, 0, 0]);
        let start = out.len();
        let record = &self.records[n];
        let packet = &gather.subs()[record.sub].reply[..];
        let style = if record.compress { Style::Pointers } else { Style::Full };
        let (names, count, tail) = (record.names, record.name_count, record.tail(packet));
        out.extend_from_slice(record.lead(packet));
        for &name in &names[..count as usize] {
            self.write_name(name, style, out);
        }
        out.extend_from_slice(tail);
        let len = ((out.len() - start) as u16).to_be_bytes();
        out[start - 2..start].copy_from_slice(&len);
    }

    fn write_name(&mut self, name: NameId, style: Style, out: &mut Vec<u8>) {
        let place = self.names.place(name);
        match (place, style) {
            (Some(place), Style::Pointers) => push_pointer(out, place),
            (Some(_), Style::Full) => out.extend_from_slice(self.names.octets(name)),
            (None, _) => {
                let place = self.compressor.push(out, self.names.octets(name), style);
                self.names.set_place(name, place);
            }
        }
    }
}
