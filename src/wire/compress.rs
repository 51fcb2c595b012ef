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
    recent: Recent,
}

/// All but the first label of the name last written in full, and the place it
/// has in the tree. The targets of a service share it, and one comparison
/// takes the place of a look-up for each label.
#[derive(Clone, Copy, Default)]
struct Recent {
    /// Where it stands in the buffer.
    at: usize,
    /// Its octets; none if there is no such name.
    len: usize,
    place: u16,
}

impl Compressor {
    /// A compressor whose hashes nobody outside can predict.
    pub fn new(hasher: RandomState) -> Self {
        Compressor { edges: Table::default(), hasher, base: 0, recent: Recent::default() }
    }

    /// Begins a new message at `base` in its buffer.
    pub fn start(&mut self, base: usize) {
        self.edges.clear();
        self.base = base;
        self.recent.len = 0;
    }

    /// Writes a flat name. Returns its offset in the message if a pointer can
    /// reach it: that offset, as a pointer, is the name's shortest form from
    /// now on.
    pub fn push(&mut self, out: &mut Vec<u8>, name: &[u8], style: Style) -> Option<u16> {
        let mut starts = [0u8; MAX_LABELS + 1];
        let (mut parent, mut new, mut end) = match self.known_tail(out, name) {
            Some(place) => (place, 1, name[0] as usize + 1),
            None => {
                let (labels, root) = label_starts(name, &mut starts);
                (0, labels, root)
            }
        };
        // Down the tree as far as it goes. The root stands for "no parent".
        let mut missed = None;
        while new > 0 {
            let start = starts[new - 1] as usize;
            let label = &name[start..end];
            let hash = self.hash(parent, label);
            let Some(child) = self.find(out, hash, parent, label) else {
                missed = Some(hash);
                break;
            };
            parent = child;
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
        let (tail, whole) = self.remember(name, &starts[..new], end, place, parent, missed);
        if style == Style::Full && tail != 0 {
            let first = name[0] as usize + 1;
            let at = self.base + place + first;
            self.recent = Recent { at, len: name.len() - first, place: tail };
        }
        whole
    }

    /// Octets a name would take now with pointers.
    pub fn len_of(&self, out: &[u8], name: &[u8]) -> usize {
        let mut starts = [0u8; MAX_LABELS + 1];
        let (labels, mut end) = label_starts(name, &mut starts);
        let mut parent = 0;
        for &start in starts[..labels].iter().rev() {
            let label = &name[start as usize..end];
            let Some(child) = self.find(out, self.hash(parent, label), parent, label) else {
                break;
            };
            parent = child;
            end = start as usize;
        }
        end + if parent == 0 { 1 } else { 2 }
    }

    /// The place of everything behind the first label, if that is the same as
    /// it was last time.
    fn known_tail(&self, out: &[u8], name: &[u8]) -> Option<u16> {
        let Recent { at, len, place } = self.recent;
        let tail = name.get(*name.first()? as usize + 1..)?;
        (len > 0 && out.get(at..at + len) == Some(tail)).then_some(place)
    }

    /// Takes note of a name that the message has already, in full, at `at` in
    /// the buffer; as [`Self::push`] otherwise. Only for a message's first.
    pub fn register(&mut self, name: &[u8], at: usize) -> Option<u16> {
        let mut starts = [0u8; MAX_LABELS + 1];
        let (labels, end) = label_starts(name, &mut starts);
        self.remember(name, &starts[..labels], end, at - self.base, 0, None).1
    }

    /// Remembers labels that are new, from the right: those at `starts` in
    /// `name`, up to `end`, in front of `parent`, with the name at `place`;
    /// `hash` is the first one's, if it is known. Returns the place of all but
    /// the name's first label, and of the whole name; 0 and `None` if that is
    /// the root, out of reach, or none of the labels.
    fn remember(
        &mut self,
        name: &[u8],
        starts: &[u8],
        mut end: usize,
        place: usize,
        mut parent: u16,
        mut hash: Option<u64>,
    ) -> (u16, Option<u16>) {
        let mut tail = 0;
        for (n, &start) in starts.iter().enumerate().rev() {
            let start = start as usize;
            let offset = place + start;
            if n == 0 {
                tail = parent;
            }
            if offset >= OUT_OF_REACH {
                return (tail, None);
            }
            let label = &name[start..end];
            let hash = hash.take().unwrap_or_else(|| self.hash(parent, label));
            self.edges.insert(hash, u32::from(parent) << 16 | offset as u32);
            parent = offset as u16;
            end = start;
        }
        (tail, (parent != 0).then_some(parent))
    }

    fn hash(&self, parent: u16, label: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u16(parent);
        hasher.write(label);
        hasher.finish()
    }

    fn find(&self, out: &[u8], hash: u64, parent: u16, label: &[u8]) -> Option<u16> {
        let found = self.edges.find(hash, |edge| {
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
    fn r6_behind_sixteen_kilobytes_names_are_written_out() {
        // A pointer has fourteen bits (RFC 1035, 4.1.4).
        let mut out = vec![0; 0x4000];
        let mut names = compressor();
        names.start(0);
        for style in [Style::Full, Style::Pointers, Style::Full, Style::Pointers] {
            let before = out.len();
            names.push(&mut out, b"\x01x\x01b\x01c\0", style);
            assert_eq!(&out[before..], b"\x01x\x01b\x01c\0");
        }
        // The last label begins where a pointer can just reach.
        let mut out = vec![0; 0x3FFB];
        names.start(0);
        names.push(&mut out, b"\x01a\x01b\x01c\0", Style::Full);
        let before = out.len();
        names.push(&mut out, b"\x01z\x01b\x01c\0", Style::Pointers);
        assert_eq!(&out[before..], b"\x01z\xFF\xFD");
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
    fn targets_with_one_tail_are_found_as_any_other_name() {
        let mut out = vec![0; 12];
        let mut names = compressor();
        names.start(0);
        for target in [b"\x01x\x01t\x01b\0", b"\x01y\x01t\x01b\0", b"\x01z\x01T\x01b\0"] {
            let place = names.push(&mut out, target, Style::Full).unwrap();
            assert_eq!(place as usize, out.len() - target.len());
        }
        let end = out.len();
        assert_eq!(names.push(&mut out, b"\x01y\x01t\x01b\0", Style::Pointers), Some(19));
        assert_eq!(names.push(&mut out, b"\x01w\x01t\x01b\0", Style::Pointers), Some(35));
        assert_eq!(names.push(&mut out, b"\x01v\x01T\x01b\0", Style::Pointers), Some(39));
        assert_eq!(&out[end..], b"\xC0\x13\x01w\xC0\x0E\x01v\xC0\x1C");
    }

    #[test]
    fn k9_how_long_a_name_would_be_depends_on_what_is_there() {
        let mut out = vec![0; 12];
        let mut names = compressor();
        names.start(0);
        names.push(&mut out, b"\x01a\x01b\x01c\0", Style::Pointers);
        for (name, len) in [
            (&b"\x01a\x01b\x01c\0"[..], 2),
            (b"\x01b\x01c\0", 2),
            (b"\x01B\x01c\0", 4),
            (b"\x01x\x01b\x01c\0", 4),
            (b"\x01a\x01b\0", 5),
            (b"\0", 1),
        ] {
            assert_eq!(names.len_of(&out, name), len, "{name:?}");
        }
    }

    #[test]
    fn a_name_is_pointed_to_up_to_the_last_offset_of_14_bits() {
        for (at, reached) in [(0x3FFE, true), (0x3FFF, true), (0x4000, false), (0x4001, false)] {
            for style in [Style::Pointers, Style::Full] {
                let mut out = vec![0; at];
                let mut names = compressor();
                names.start(0);
                let place = names.push(&mut out, b"\x01a\0", style);
                assert_eq!(place, reached.then_some(at as u16), "{at:x}");
                let end = out.len();
                names.push(&mut out, b"\x01x\x01a\0", Style::Pointers);
                let pointer = (0xC000 | at as u16).to_be_bytes();
                let short = [&b"\x01x"[..], &pointer].concat();
                let wanted = if reached { &short[..] } else { b"\x01x\x01a\0" };
                assert_eq!(&out[end..], wanted, "{at:x}");
            }
        }
    }

    #[test]
    fn a_name_across_the_last_offset_is_pointed_to_by_its_end_alone() {
        // Of a.b.c. only b.c. and c. are there before; a.b.c. is out of reach.
        let mut out = vec![0; 12];
        let mut names = compressor();
        names.start(0);
        names.push(&mut out, b"\x01b\x01c\0", Style::Pointers);
        out.resize(0x4000, 0);
        assert_eq!(names.push(&mut out, b"\x01a\x01b\x01c\0", Style::Full), None);
        let end = out.len();
        names.push(&mut out, b"\x01a\x01b\x01c\0", Style::Pointers);
        names.push(&mut out, b"\x01z\x01b\x01c\0", Style::Pointers);
        assert_eq!(&out[end..], b"\x01a\xC0\x0C\x01z\xC0\x0C");
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
