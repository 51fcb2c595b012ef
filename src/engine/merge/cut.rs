//! What is given of an answer section that does not fit (T1, K9).
//!
//! The CNAMEs and DNAMEs of a chain come first. Of the data, each cluster gives
//! one record in turn, in its own order, until its next one does not fit. What
//! was selected is then written in the usual order (M1), so a cluster's share
//! does not depend on its place in the configuration.
//!
//! A record's size depends on which names the message has before it. To
//! select without writing the message again for every record, names in RDATA
//! count in full: at most what they take, whatever the order.

use super::emit::FIXED;
use super::{Fate, Merger, Record};
use crate::engine::gather::Gather;
use crate::wire::HEADER_LEN;
use crate::wire::message::Message;
use domain::base::iana::Rtype;

impl Merger {
    /// Takes back what was written of the answer section, and marks all records
    /// as left out.
    pub(super) fn discard_answer(
        &mut self,
        gather: &Gather,
        message: &mut Message,
        out: &mut Vec<u8>,
    ) {
        out.truncate(message.start + HEADER_LEN + gather.question.len());
        message.counts = [0; 3];
        for record in &mut self.records {
            if matches!(record.fate, Fate::Answer | Fate::Additional) {
                record.fate = Fate::NoRoom;
            }
        }
        self.names.forget_places();
        self.compressor.start(message.start);
        self.register_question(gather, message.start);
    }

    /// Writes a fair selection of the answer section (K9) into a message that
    /// has nothing but its question.
    pub(super) fn write_selection(
        &mut self,
        gather: &Gather,
        room: usize,
        message: &mut Message,
        out: &mut Vec<u8>,
    ) {
        let qtype = gather.qtype();
        let is_link = |record: &Record| {
            matches!(record.rtype, Rtype::CNAME | Rtype::DNAME) && record.rtype != qtype
        };
        let mut at = 0;
        while let Some(&n) = self.order.get(at)
            && is_link(&self.records[n as usize])
        {
            let place = out.len();
            self.write_record(n as usize, gather, out);
            if message.len(out) > room {
                out.truncate(place);
                return;
            }
            self.count_written(n as usize, message);
            at += 1;
        }
        self.select(at, room - message.len(out), out);
        for at in at..self.order.len() {
            if self.keep[at] {
                let n = self.order[at] as usize;
                self.write_record(n, gather, out);
                self.count_written(n, message);
            }
        }
    }

    fn count_written(&mut self, n: usize, message: &mut Message) {
        self.records[n].fate = Fate::Answer;
        message.counts[0] += 1;
    }

    /// Marks in `keep` which records of `order`, from `first` on, go into
    /// `room` octets.
    fn select(&mut self, first: usize, room: usize, out: &[u8]) {
        self.keep.clear();
        self.keep.resize(self.order.len(), false);
        self.runs.clear();
        // The records of one reply stand together.
        for at in first..self.order.len() {
            let sub = |at: usize| self.records[self.order[at] as usize].sub;
            match self.runs.last_mut() {
                Some(run) if sub(run.start) == sub(at) => run.end = at + 1,
                _ => self.runs.push(at..at + 1),
            }
        }
        let mut left = room;
        let mut any = true;
        while any {
            any = false;
            for run in 0..self.runs.len() {
                let Some(at) = self.runs[run].next() else { continue };
                let len = self.most_len(&self.records[self.order[at] as usize], out);
                if len <= left {
                    left -= len;
                    self.keep[at] = true;
                    any = true;
                } else {
                    self.runs[run] = 0..0;
                }
            }
        }
    }

    /// Octets an answer record takes at most, written behind `out`.
    fn most_len(&self, record: &Record, out: &[u8]) -> usize {
        let names = record.rdata_names().iter().map(|&name| self.names.octets(name).len());
        let rdata = usize::from(record.lead) + names.sum::<usize>() + usize::from(record.tail);
        self.owner_len(record, out) + FIXED + rdata
    }

    /// Octets its owner takes at most.
    pub(super) fn owner_len(&self, record: &Record, out: &[u8]) -> usize {
        match self.names.place(record.owner) {
            Some(_) => 2,
            None => self.compressor.len_of(out, self.names.octets(record.owner)),
        }
    }
}
