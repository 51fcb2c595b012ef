//! T1: what of an answer goes out in how many octets, found by encoding it
//! again and again.

use crate::labels::Labels;
use crate::merge::{Answer, Row};
use crate::pack::{self, Packing};
use crate::packet::Record;

/// An answer as it goes out.
#[derive(Clone, Debug)]
pub struct Sized {
    pub sections: [Vec<Record>; 3],
    pub truncated: bool,
    /// Octets in the shortest encoding the rules allow, OPT included.
    pub len: usize,
}

/// What sizes depend on.
#[derive(Clone, Debug)]
pub struct Frame {
    pub question: (Labels, u16, u16),
    /// Octets of the OPT record.
    pub opt: usize,
    pub limit: usize,
    /// A truncated answer carries no records.
    pub empty: bool,
}

impl Frame {
    fn len(&self, sections: &[Vec<Record>; 3]) -> usize {
        let message = pack::message(Packing::Rules, 0, 0, &self.question, sections);
        message.out.len() + self.opt
    }

    fn fits(&self, sections: &[Vec<Record>; 3]) -> bool {
        self.len(sections) <= self.limit
    }

    fn sized(&self, sections: [Vec<Record>; 3], truncated: bool) -> Sized {
        let len = self.len(&sections);
        Sized { sections, truncated, len }
    }

    fn cut(&self, sections: [Vec<Record>; 3]) -> Sized {
        let sections = if self.empty { Default::default() } else { sections };
        self.sized(sections, true)
    }

    /// What of `answer` goes out.
    pub fn fit(&self, answer: &Answer) -> Sized {
        let records = |rows: &[Row]| rows.iter().map(|row| row.record.clone()).collect::<Vec<_>>();
        let mut out: [Vec<Record>; 3] = Default::default();
        for record in records(&answer.answer) {
            out[0].push(record);
            if !self.fits(&out) {
                out[0].pop();
                return self.cut(out);
            }
        }
        if !answer.authority.is_empty() {
            // A negative answer without its SOA is none.
            let mut with = out.clone();
            with[1] = records(&answer.authority);
            return if self.fits(&with) { self.sized(with, false) } else { self.cut(out) };
        }
        let mut all = out.clone();
        all[2] = records(&answer.additional);
        if self.fits(&all) {
            return self.sized(all, false);
        }
        out[2] = self.in_turn(&out, &answer.additional);
        self.sized(out, false)
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
