//! T1 and K9: what of an answer goes out in how many octets, found by encoding
//! it again and again.

use crate::labels::Labels;
use crate::merge::{Answer, Row};
use crate::pack::{self, Packing};
use crate::packet::{Part, Record};

/// What an answer says that was cut over a stream.
pub const CUT: &str = "answer is larger than 65535 octets, records left out";

/// An answer as it goes out.
#[derive(Clone, Debug)]
pub struct Sized {
    pub sections: [Vec<Record>; 3],
    /// Not everything fits.
    pub cut: bool,
    /// Octets in the shortest encoding the rules allow, OPT included.
    pub len: usize,
}

/// What sizes depend on.
#[derive(Clone, Debug)]
pub struct Frame {
    pub question: (Labels, u16, u16),
    /// Octets of the OPT record, without what it says of being cut, and those
    /// of that.
    pub opt: usize,
    pub note: usize,
    pub limit: usize,
    /// A cut answer carries no records.
    pub empty: bool,
}

/// Type, class, TTL and RDLENGTH.
const FIXED: usize = 10;

fn records(rows: &[Row]) -> Vec<Record> {
    rows.iter().map(|row| row.record.clone()).collect()
}

impl Frame {
    fn len(&self, sections: &[Vec<Record>; 3]) -> usize {
        let message = pack::message(Packing::Rules, 0, 0, &self.question, sections);
        message.out.len() + self.opt
    }

    fn fits(&self, sections: &[Vec<Record>; 3]) -> bool {
        self.len(sections) <= self.limit
    }

    fn sized(&self, sections: [Vec<Record>; 3], cut: bool) -> Sized {
        let len = self.len(&sections);
        Sized { sections, cut, len }
    }

    /// What of `answer` goes out.
    pub fn fit(&self, answer: &Answer) -> Sized {
        // A negative answer without its SOA is none.
        let out = [records(&answer.answer), records(&answer.authority), Vec::new()];
        if !self.fits(&out) {
            let frame = Frame { opt: self.opt + self.note, ..self.clone() };
            return frame.sized([frame.selection(&answer.answer), vec![], vec![]], true);
        }
        if !answer.authority.is_empty() {
            return self.sized(out, false);
        }
        let mut all = out.clone();
        all[2] = records(&answer.additional);
        if self.fits(&all) {
            return self.sized(all, false);
        }
        let additional = self.in_turn(&out, &answer.additional);
        self.sized([out[0].clone(), vec![], additional], false)
    }

    /// K9: the chain, then of each cluster in turn one record, until its next
    /// one does not fit.
    fn selection(&self, rows: &[Row]) -> Vec<Record> {
        if self.empty {
            return Vec::new();
        }
        let is_link =
            |row: &&Row| matches!(row.record.rtype, 5 | 39) && row.record.rtype != self.question.1;
        let chain: Vec<Row> = rows.iter().take_while(is_link).cloned().collect();
        let rows = &rows[chain.len()..];
        let mut out: [Vec<Record>; 3] = Default::default();
        for record in records(&chain) {
            out[0].push(record);
            if !self.fits(&out) {
                out[0].pop();
                return out[0].clone();
            }
        }
        let written = pack::message(Packing::Rules, 0, 0, &self.question, &out);
        let size = |record: &Record| {
            let part = |part: &Part| match part {
                Part::Octets(octets) => octets.len(),
                Part::Name(name) => name.len(),
            };
            written.len_of(&record.owner) + FIXED + record.rdata.iter().map(part).sum::<usize>()
        };
        let mut subs: Vec<usize> = rows.iter().map(|row| row.sub).collect();
        subs.dedup();
        let mut left = self.limit - self.len(&out);
        let mut kept = vec![false; rows.len()];
        while !subs.is_empty() {
            subs.retain(|&sub| {
                let mut places = (0..rows.len()).filter(|&n| rows[n].sub == sub && !kept[n]);
                let Some(n) = places.next() else { return false };
                let fits = size(&rows[n].record) <= left;
                if fits {
                    kept[n] = true;
                    left -= size(&rows[n].record);
                }
                fits
            });
        }
        let kept = rows.iter().zip(kept).filter(|(_, kept)| *kept).map(|(row, _)| row.clone());
        out[0].extend(records(&kept.collect::<Vec<_>>()));
        out[0].clone()
    }

    /// Additional RRsets that fit, one of each cluster in turn.
    fn in_turn(&self, out: &[Vec<Record>; 3], rows: &[Row]) -> Vec<Record> {
        let clusters = rows.iter().map(|row| row.sub + 1).max().unwrap_or(0);
        let mut offered = vec![0; clusters];
        let mut kept = vec![false; rows.len()];
        let with = |kept: &[bool]| {
            let rows = rows.iter().zip(kept).filter(|(_, kept)| **kept);
            rows.map(|(row, _)| row.record.clone()).collect::<Vec<_>>()
        };
        while offered.iter().any(|&n| n < rows.len()) {
            for (sub, next) in offered.iter_mut().enumerate() {
                while *next < rows.len() && (rows[*next].sub != sub || kept[*next]) {
                    *next += 1;
                }
                let Some(row) = rows.get(*next) else { continue };
                *next += 1;
                let mut more = kept.clone();
                for (n, other) in rows.iter().enumerate() {
                    more[n] |= other.record.same_set(&row.record);
                }
                let candidate = [out[0].clone(), out[1].clone(), with(&more)];
                if self.fits(&candidate) {
                    kept = more;
                }
            }
        }
        with(&kept)
    }
}
