//! Writing names into a message as short as the rules allow (R6, RFC 1035,
//! 4.1.4).
//!
//! Suffixes already in the message form a tree: each is a label in front of
//! another suffix, down to the root. Its edges sit in one [`Table`], so a name
//! costs one look-up for each label, from the right, until the first that is
//! new. A pointer is used only where the octets are equal, case included (R3).

use super::name::MAX_LABELS;
use super::table::Table;
use ahash::RandomState;
use std::hash::{BuildHasher, Hasher};

/// The first offset a pointer cannot reach: it has 14 bits.
const OUT_OF_REACH: usize = 0x4000;

/// How a name may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// With a pointer where one fits: owners, and RDATA of RFC 1035's types.
    Pointers,
    /// In full; later names may point into it.
    Full,
}

/// Knows which suffixes the message being written already has, and where.
pub struct Compressor {
    edges: Table,
    hasher: RandomState,
    base: usize,
}

impl Compressor {
    /// A compressor whose hashes nobody outside can predict.
    pub fn new(hasher: RandomState) -> Self {
        Compressor { edges: Table::default(), hasher, base: 0 }
    }

    /// Begins a new message at `base` in its buffer.
    pub fn start(&mut self, base: usize) {
        self.edges.clear();
        self.base = base;
    }

    /// Writes a flat name. Returns its offset in the message if a pointer can
    /// reach it: that offset, as a pointer, is the name's shortest form from
    /// now on.
    pub fn push(&mut self, out: &mut Vec<u8>, name: &[u8], style: Style) -> Option<u16> {
        let mut starts = [0u8; MAX_LABELS + 1];
        let (labels, mut end) = label_starts(name, &mut starts);
        // Down the tree as far as it goes. The root stands for "no parent".
        let mut parent = 0u16;
        let mut new = labels;
        while new > 0 {
            let start = starts[new - 1] as usize;
            match self.find(out, parent, &name[start..end]) {
                Some(child) => parent = child,
                None => break,
            }
            new -= 1;
            end = start;
        }
        let place = out.len() - self.base;
        match style {
            Style::Pointers => {
                out.extend_from_slice(&name[..end]);
                if parent == 0 {
                    out.push(0);
                } else {
                    push_pointer(out, parent);
                }
            }
            Style::Full => out.extend_from_slice(name),
        }
        self.remember(name, &starts[..new], end, place, parent)
    }

    /// Takes note of a name that the message has already, in full, at `at` in
    /// the buffer; as [`Self::push`] otherwise. Only for a message's first.
    pub fn register(&mut self, name: &[u8], at: usize) -> Option<u16> {
        let mut starts = [0u8; MAX_LABELS + 1];
        let (labels, end) = label_starts(name, &mut starts);
        self.remember(name, &starts[..labels], end, at - self.base, 0)
    }

    /// Remembers labels that are new, from the right: those at `starts` in
    /// `name`, up to `end`, in front of `parent`, with the name at `place`.
    fn remember(
        &mut self,
        name: &[u8],
        starts: &[u8],
        mut end: usize,
        place: usize,
        mut parent: u16,
    ) -> Option<u16> {
        for &start in starts.iter().rev() {
            let start = start as usize;
            let offset = place + start;
            if offset >= OUT_OF_REACH {
                return None;
            }
            let label = &name[start..end];
            self.edges.insert(self.hash(parent, label), u32::from(parent) << 16 | offset as u32);
            parent = offset as u16;
            end = start;
        }
        (parent != 0).then_some(parent)
    }

    fn hash(&self, parent: u16, label: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u16(parent);
        hasher.write(label);
        hasher.finish()
    }

    fn find(&self, out: &[u8], parent: u16, label: &[u8]) -> Option<u16> {
        let found = self.edges.find(self.hash(parent, label), |edge| {
            let at = self.base + (edge & 0xFFFF) as usize;
            (edge >> 16) as u16 == parent && out.get(at..at + label.len()) == Some(label)
        })?;
        Some(found as u16)
    }
}

/// Fills in where each label of a flat name begins; returns how many there are
/// and where the root is.
fn label_starts(name: &[u8], starts: &mut [u8; MAX_LABELS + 1]) -> (usize, usize) {
    let mut labels = 0;
    let mut at = 0;
    while let Some(&len @ 1..) = name.get(at)
        && labels < MAX_LABELS
    {
        starts[labels] = at as u8;
        labels += 1;
        at += len as usize + 1;
    }
    (labels, at)
}

/// Writes a pointer to `offset`, which is below [`OUT_OF_REACH`].
pub fn push_pointer(out: &mut Vec<u8>, offset: u16) {
    out.extend_from_slice(&(0xC000 | offset).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compressor() -> Compressor {
        Compressor::new(RandomState::with_seeds(1, 2, 3, 4))
    }

    #[test]
    fn r6_a_name_points_to_the_longest_suffix_there_is() {
        let mut out = vec![0; 12];
        let mut names = compressor();
        names.start(0);
        assert_eq!(names.push(&mut out, b"\x01a\x01b\x01c\0", Style::Pointers), Some(12));
        assert_eq!(names.push(&mut out, b"\x01x\x01b\x01c\0", Style::Pointers), Some(19));
        assert_eq!(&out[19..], b"\x01x\xC0\x0E");
        assert_eq!(names.push(&mut out, b"\x01x\x01b\x01c\0", Style::Pointers), Some(19));
        assert_eq!(&out[23..], b"\xC0\x13");
        assert_eq!(names.push(&mut out, b"\0", Style::Pointers), None);
        assert_eq!(&out[25..], b"\0");
    }

    #[test]
    fn r3_a_pointer_only_to_the_same_case() {
        let mut out = vec![0; 12];
        let mut names = compressor();
        names.start(0);
        names.push(&mut out, b"\x01a\x01b\0", Style::Pointers);
        names.push(&mut out, b"\x01A\x01b\0", Style::Pointers);
        assert_eq!(&out[17..], b"\x01A\xC0\x0E");
    }

    #[test]
    fn r6_owners_point_into_names_written_in_full() {
        let mut out = vec![0; 12];
        let mut names = compressor();
        names.start(0);
        names.push(&mut out, b"\x01a\x01b\0", Style::Pointers);
        names.push(&mut out, b"\x01t\x01b\0", Style::Full);
        assert_eq!(&out[17..], b"\x01t\x01b\0");
        assert_eq!(names.push(&mut out, b"\x01t\x01b\0", Style::Pointers), Some(17));
        assert_eq!(&out[22..], b"\xC0\x11");
    }

    #[test]
    fn no_pointer_reaches_beyond_14_bits() {
        let mut out = vec![0; 0x3FFE];
        let mut names = compressor();
        names.start(0);
        assert_eq!(names.push(&mut out, b"\x01a\x01b\0", Style::Pointers), None);
        out.clear();
        out.resize(0x4010, 0);
        assert_eq!(names.push(&mut out, b"\x01a\x01b\0", Style::Pointers), None);
        assert_eq!(out.len(), 0x4010 + 5);
    }

    #[test]
    fn offsets_count_from_the_message_not_from_the_buffer() {
        let mut out = vec![0; 100 + 12];
        let mut names = compressor();
        names.start(100);
        names.push(&mut out, b"\x01a\0", Style::Pointers);
        names.push(&mut out, b"\x01a\0", Style::Pointers);
        assert_eq!(&out[115..], b"\xC0\x0C");
    }
}
