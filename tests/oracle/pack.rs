//! Messages put together: the clusters' replies in every style of compression
//! a server may have, and answers as short as R6 allows, to hold the engine's
//! size against.
//!
//! Compression is by search: for every suffix of a name, from the longest,
//! look through all names written so far.

use crate::labels::Labels;
use crate::packet::{Part, Record, is_compressed};

/// How names are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Every name in full.
    None,
    /// Owners only.
    Owners,
    /// Every name, RDATA of every type included: not allowed to senders (RFC
    /// 3597), but receivers must read it.
    Everything,
    /// The same, pointing to names equal without case, and to pointers.
    Loose,
    /// R6: owners, and RDATA of RFC 1035's types.
    Rules,
}

/// A message being written.
pub struct Packer {
    pub out: Vec<u8>,
    packing: Packing,
    /// Every suffix written, and where.
    written: Vec<(Labels, usize)>,
    /// Octets its names have when read: readers bound this.
    pub expanded: usize,
}

impl Packer {
    /// Begins with a header and a question.
    pub fn new(packing: Packing, header: [u8; 12], question: &(Labels, u16, u16)) -> Packer {
        let mut packer = Packer { out: header.to_vec(), packing, written: Vec::new(), expanded: 0 };
        packer.name(&question.0, false);
        packer.out.extend(question.1.to_be_bytes());
        packer.out.extend(question.2.to_be_bytes());
        packer
    }

    fn name(&mut self, name: &Labels, compress: bool) {
        self.expanded += name.len();
        for n in 0..name.0.len() {
            let suffix = Labels(name.0[n..].to_vec());
            let place = self.out.len();
            if compress && let Some(at) = self.find(&suffix) {
                if self.packing == Packing::Loose && place < 0x4000 {
                    // The next equal name may point to this pointer.
                    self.written.insert(0, (suffix, place));
                }
                self.out.extend((0xC000 | at as u16).to_be_bytes());
                return;
            }
            if place < 0x4000 {
                self.written.push((suffix, place));
            }
            self.out.push(name.0[n].len() as u8);
            self.out.extend(&name.0[n]);
        }
        self.out.push(0);
    }

    fn find(&self, suffix: &Labels) -> Option<usize> {
        let equal = |known: &Labels| match self.packing {
            Packing::Loose => known.same(suffix),
            _ => known == suffix,
        };
        self.written.iter().find(|(known, _)| equal(known)).map(|&(_, at)| at)
    }

    /// Octets a name would take now.
    pub fn len_of(&self, name: &Labels) -> usize {
        let behind = |n: usize| Labels(name.0[n..].to_vec());
        let known = (0..name.0.len()).find(|&n| self.find(&behind(n)).is_some());
        known.map_or(name.len(), |n| name.len() - behind(n).len() + 2)
    }

    pub fn record(&mut self, record: &Record) {
        let (owner, rdata) = match self.packing {
            Packing::None => (false, false),
            Packing::Owners => (true, false),
            Packing::Everything | Packing::Loose => (true, true),
            Packing::Rules => (true, is_compressed(record.rtype)),
        };
        self.name(&record.owner, owner);
        self.out.extend(record.rtype.to_be_bytes());
        self.out.extend(record.class.to_be_bytes());
        self.out.extend(record.ttl.to_be_bytes());
        self.out.extend([0, 0]);
        let start = self.out.len();
        for part in &record.rdata {
            match part {
                Part::Octets(octets) => self.out.extend(octets),
                Part::Name(name) => self.name(name, rdata),
            }
        }
        let len = (self.out.len() - start) as u16;
        self.out[start - 2..start].copy_from_slice(&len.to_be_bytes());
    }
}

/// A header of its parts.
pub fn header(id: u16, flags: u16, counts: [usize; 4]) -> [u8; 12] {
    let mut out = [0; 12];
    let fields = [id, flags].into_iter().chain(counts.map(|count| count as u16));
    for (n, field) in fields.enumerate() {
        out[2 * n..2 * n + 2].copy_from_slice(&field.to_be_bytes());
    }
    out
}

/// A whole message without OPT.
pub fn message(
    packing: Packing,
    id: u16,
    flags: u16,
    question: &(Labels, u16, u16),
    sections: &[Vec<Record>; 3],
) -> Packer {
    let counts = [1, sections[0].len(), sections[1].len(), sections[2].len()];
    let mut packer = Packer::new(packing, header(id, flags, counts), question);
    for record in sections.iter().flatten() {
        packer.record(record);
    }
    packer
}
