//! A name read flat: decompressed into one run of octets with the place of
//! every label beside it.
//!
//! Rewriting replaces the end of a name and puts octets in front of one label,
//! so it needs the labels' places and no pointers; comparing suffixes is one
//! slice comparison once the place of the n-th last label is known. A message
//! cannot make this expensive: pointers go strictly backwards, never into the
//! header (there is no name in it, and who passes a message on changes it), and
//! a [`Budget`] bounds what all names of a message may expand to.

use super::{HEADER_LEN, Malformed};

/// The longest name, its root label included (RFC 1035, 2.3.4).
pub const MAX_NAME: usize = 255;

/// The longest label (RFC 1035, 2.3.4).
pub const MAX_LABEL: usize = 63;

/// The most labels a name can have, root not counted: 127 of one octet each.
pub const MAX_LABELS: usize = 127;

/// How far the names of one message may expand, in octets.
///
/// An honest message expands to two or three times its length. One made of
/// pointers into the middles of long names can reach 20 times; 16 times plus
/// some room for small messages is where we stop reading (CVE-2024-8508 is
/// the bug of not stopping).
#[derive(Debug, Clone, Copy)]
pub struct Budget(usize);

impl Budget {
    /// The budget for a message of `len` octets.
    pub fn for_message(len: usize) -> Self {
        Budget(16 * len + 4096)
    }

    /// Octets left.
    pub(super) fn left(self) -> usize {
        self.0
    }

    pub(super) fn spend(&mut self, octets: usize) -> Result<(), Malformed> {
        self.0 = self.0.checked_sub(octets).ok_or(Malformed)?;
        Ok(())
    }
}

/// One name, flat: wire format without pointers, root label included.
///
/// Made to be reused: [`FlatName::read`] overwrites it.
#[derive(Clone)]
pub struct FlatName {
    octets: [u8; MAX_NAME + 1],
    starts: [u8; MAX_LABELS + 1],
    len: u8,
    labels: u8,
}

impl Default for FlatName {
    fn default() -> Self {
        Self::root()
    }
}

impl std::fmt::Debug for FlatName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FlatName({})", Shown(self.as_slice()))
    }
}

impl FlatName {
    /// The root.
    pub fn root() -> Self {
        FlatName { octets: [0; MAX_NAME + 1], starts: [0; MAX_LABELS + 1], len: 1, labels: 0 }
    }

    /// A copy of a name that is already flat.
    pub fn from_flat(octets: &[u8]) -> Result<Self, Malformed> {
        let mut name = Self::root();
        let end = name.read(octets, 0, &mut Budget(MAX_NAME))?;
        if end == octets.len() { Ok(name) } else { Err(Malformed) }
    }

    /// Reads the name at `at`, following pointers, and returns where the
    /// record goes on behind it.
    pub fn read(&mut self, msg: &[u8], at: usize, budget: &mut Budget) -> Result<usize, Malformed> {
        let mut after = None;
        let mut pos = at;
        let mut run = at; // where the labels not yet copied begin
        let mut lowest = at; // every pointer goes in front of this
        let mut len = 0usize;
        let mut labels = 0usize;
        loop {
            let first = *msg.get(pos).ok_or(Malformed)? as usize;
            match first {
                0 => {
                    self.copy(msg, run, pos + 1, len + run - pos)?;
                    let total = len + 1;
                    if total > MAX_NAME {
                        return Err(Malformed);
                    }
                    budget.spend(total)?;
                    self.len = total as u8;
                    self.labels = labels as u8;
                    return Ok(after.unwrap_or(pos + 1));
                }
                1..=MAX_LABEL => {
                    if len + first + 2 > MAX_NAME || pos + first + 1 > msg.len() {
                        return Err(Malformed);
                    }
                    // In bounds: MAX_NAME allows no more than MAX_LABELS.
                    *self.starts.get_mut(labels).ok_or(Malformed)? = len as u8;
                    labels += 1;
                    len += first + 1;
                    pos += first + 1;
                }
                0xC0..=0xFF => {
                    let low = *msg.get(pos + 1).ok_or(Malformed)? as usize;
                    let target = (first & 0x3F) << 8 | low;
                    if !(HEADER_LEN..lowest).contains(&target) {
                        return Err(Malformed);
                    }
                    self.copy(msg, run, pos, len + run - pos)?;
                    // A chain of pointers costs although it adds no label.
                    budget.spend(2)?;
                    after.get_or_insert(pos + 2);
                    lowest = target;
                    pos = target;
                    run = target;
                }
                // 01 and 10: extended and reserved labels (RFC 6891, 5).
                _ => return Err(Malformed),
            }
        }
    }

    fn copy(&mut self, msg: &[u8], from: usize, to: usize, at: usize) -> Result<(), Malformed> {
        let run = msg.get(from..to).ok_or(Malformed)?;
        let space = self.octets.get_mut(at..at + run.len()).ok_or(Malformed)?;
        space.copy_from_slice(run);
        Ok(())
    }

    /// Becomes a copy of a name that is already flat.
    pub fn clone_flat(&mut self, octets: &[u8]) -> Result<(), Malformed> {
        self.read(octets, 0, &mut Budget(MAX_NAME)).map(|_| ())
    }

    /// The name in wire format, root label included.
    pub fn as_slice(&self) -> &[u8] {
        &self.octets[..self.len as usize]
    }

    /// How many labels it has, root not counted.
    pub fn labels(&self) -> usize {
        self.labels as usize
    }

    /// Where label `n`, counted from the left, begins in [`Self::as_slice`];
    /// for `n` equal to the number of labels, where the root is.
    pub fn start(&self, n: usize) -> usize {
        if n < self.labels() { self.starts[n] as usize } else { self.len as usize - 1 }
    }

    /// Label `n` without its length octet.
    pub fn label(&self, n: usize) -> &[u8] {
        let start = self.start(n);
        if n >= self.labels() {
            return &[];
        }
        &self.octets[start + 1..start + 1 + self.octets[start] as usize]
    }

    /// The last `count` labels and the root; `None` if it has fewer.
    pub fn last(&self, count: usize) -> Option<&[u8]> {
        let skip = self.labels().checked_sub(count)?;
        Some(&self.as_slice()[self.start(skip)..])
    }

    /// How many labels stand in front of `suffix`, if the name is at or under
    /// it (Q1): label by label, ASCII case folded.
    pub fn under(&self, suffix: &Suffix) -> Option<usize> {
        let end = self.last(suffix.labels())?;
        same(end, suffix.as_slice()).then(|| self.labels() - suffix.labels())
    }

    /// The first label, of the first `count`, that does not begin with `_`.
    pub fn first_plain(&self, count: usize) -> Option<usize> {
        (0..count).find(|&n| self.label(n).first() != Some(&b'_'))
    }

    /// Folds ASCII upper case to lower in place.
    pub fn make_lowercase(&mut self) {
        // Length octets are below 'A', so folding the whole run is safe.
        self.octets[..self.len as usize].make_ascii_lowercase();
    }
}

/// Two flat names are equal, ASCII case folded. Most are equal to the octet,
/// and that is the faster comparison.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a == b || a.eq_ignore_ascii_case(b)
}

/// A name from the configuration that others may end in.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Suffix {
    octets: Box<[u8]>,
    labels: u8,
}

impl Suffix {
    /// Takes a flat name in wire format.
    pub fn new(octets: &[u8]) -> Result<Self, Malformed> {
        let name = FlatName::from_flat(octets)?;
        Ok(Suffix { octets: name.as_slice().into(), labels: name.labels })
    }

    /// Wire format, root label included.
    pub fn as_slice(&self) -> &[u8] {
        &self.octets
    }

    /// Labels, root not counted.
    pub fn labels(&self) -> usize {
        self.labels as usize
    }

    /// Equal label by label, case folded.
    pub fn same(&self, other: &Suffix) -> bool {
        self.octets.eq_ignore_ascii_case(&other.octets)
    }
}

impl std::fmt::Debug for Suffix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Suffix({self})")
    }
}

impl std::fmt::Display for Suffix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Shown(&self.octets).fmt(f)
    }
}

/// Shows a flat name as text, with a final dot, escaped as RFC 4343 has it.
pub struct Shown<'a>(pub &'a [u8]);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut rest = self.0;
        if rest.first() == Some(&0) {
            return f.write_str(".");
        }
        while let Some((&len, tail)) = rest.split_first() {
            if len == 0 || tail.len() < len as usize {
                break;
            }
            let (label, next) = tail.split_at(len as usize);
            for &octet in label {
                match octet {
                    b'.' | b'\\' | b'"' | b';' | b'@' | b'$' | b'(' | b')' => {
                        write!(f, "\\{}", octet as char)?
                    }
                    0x21..=0x7E => write!(f, "{}", octet as char)?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            f.write_str(".")?;
            rest = next;
        }
        Ok(())
    }
}

/// Checks the name at `at` without keeping it; returns where the record goes
/// on behind it.
pub fn check(msg: &[u8], at: usize, budget: &mut Budget) -> Result<usize, Malformed> {
    let mut after = None;
    let mut pos = at;
    let mut lowest = at;
    let mut len = 1usize;
    loop {
        let first = *msg.get(pos).ok_or(Malformed)? as usize;
        match first {
            0 => {
                budget.spend(len)?;
                return Ok(after.unwrap_or(pos + 1));
            }
            1..=MAX_LABEL => {
                len += first + 1;
                pos += first + 1;
                if len > MAX_NAME {
                    return Err(Malformed);
                }
            }
            0xC0..=0xFF => {
                let low = *msg.get(pos + 1).ok_or(Malformed)? as usize;
                let target = (first & 0x3F) << 8 | low;
                if !(HEADER_LEN..lowest).contains(&target) {
                    return Err(Malformed);
                }
                budget.spend(2)?;
                after.get_or_insert(pos + 2);
                lowest = target;
                pos = target;
            }
            _ => return Err(Malformed),
        }
    }
}

/// Steps over the name at `at` without looking behind its first pointer. Only
/// for messages that [`check`] has seen.
pub fn skip(msg: &[u8], at: usize) -> Result<usize, Malformed> {
    let mut pos = at;
    loop {
        match *msg.get(pos).ok_or(Malformed)? as usize {
            0 => return Ok(pos + 1),
            label @ 1..=MAX_LABEL => pos += label + 1,
            0xC0..=0xFF => return Ok(pos + 2),
            _ => return Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        for label in text.split('.').filter(|label| !label.is_empty()) {
            out.push(label.len() as u8);
            out.extend(label.bytes());
        }
        out.push(0);
        out
    }

    fn read(msg: &[u8], at: usize) -> Result<(String, usize), Malformed> {
        let mut name = FlatName::root();
        let end = name.read(msg, at, &mut Budget::for_message(msg.len()))?;
        assert_eq!(check(msg, at, &mut Budget::for_message(msg.len())), Ok(end));
        Ok((Shown(name.as_slice()).to_string(), end))
    }

    #[test]
    fn q1_belongs_by_label_not_by_octets() {
        let zone = Suffix::new(&flat("distributed.local")).unwrap();
        let under = |text: &str| FlatName::from_flat(&flat(text)).unwrap().under(&zone);
        assert_eq!(under("distributed.local"), Some(0));
        assert_eq!(under("x.DISTRIBUTED.Local"), Some(1));
        assert_eq!(under("evildistributed.local"), None);
        assert_eq!(under("local"), None);
    }

    #[test]
    fn pointers_are_followed_and_the_record_goes_on_behind_the_first() {
        let mut msg = vec![0; HEADER_LEN];
        msg.extend(flat("b.example"));
        let at = msg.len();
        msg.extend([1, b'a', 0xC0, HEADER_LEN as u8]);
        assert_eq!(read(&msg, at), Ok(("a.b.example.".into(), at + 4)));
        msg.extend([0xC0, at as u8]);
        assert_eq!(read(&msg, at + 4), Ok(("a.b.example.".into(), at + 6)));
    }

    #[test]
    fn pointers_that_do_not_go_back_are_malformed() {
        let behind_header = |octets: &[u8]| {
            let msg = [&[0; HEADER_LEN], octets].concat();
            assert_eq!(check(&msg, HEADER_LEN, &mut Budget(100)), Err(Malformed));
            read(&msg, HEADER_LEN)
        };
        assert_eq!(behind_header(&[0xC0, 12]), Err(Malformed));
        assert_eq!(behind_header(&[0xC0, 14, 0]), Err(Malformed));
        // Back, and then forward again into the part already read.
        assert_eq!(behind_header(&[1, b'a', 0xC0, 12]), Err(Malformed));
        assert_eq!(behind_header(&[0xC0]), Err(Malformed));
    }

    #[test]
    fn pointers_into_the_header_are_malformed() {
        // Zeros of the header would read as the root, until a flag is set.
        for target in 0..HEADER_LEN as u8 {
            let msg = [&[0; HEADER_LEN][..], &[0xC0, target]].concat();
            assert_eq!(check(&msg, HEADER_LEN, &mut Budget(100)), Err(Malformed));
            assert_eq!(read(&msg, HEADER_LEN), Err(Malformed));
        }
    }

    #[test]
    fn names_of_255_octets_are_read_and_of_256_are_not() {
        let mut name = Vec::new();
        for _ in 0..3 {
            name.push(63);
            name.extend([b'x'; 63]);
        }
        let mut fits = name.clone();
        fits.push(61);
        fits.extend([b'y'; 61]);
        fits.push(0);
        assert_eq!(fits.len(), 255);
        assert_eq!(read(&fits, 0).map(|(_, end)| end), Ok(255));
        name.push(62);
        name.extend([b'y'; 62]);
        name.push(0);
        assert_eq!(read(&name, 0), Err(Malformed));
        assert_eq!(check(&name, 0, &mut Budget::for_message(256)), Err(Malformed));
    }

    #[test]
    fn label_types_01_and_10_are_malformed() {
        for first in [0x40, 0x41, 0x80, 0xBF] {
            assert_eq!(read(&[first, 0, 0], 0), Err(Malformed));
        }
    }

    #[test]
    fn the_budget_ends_a_message_made_of_pointers() {
        let mut budget = Budget(10);
        let msg = flat("abcdef");
        assert!(check(&msg, 0, &mut budget).is_ok());
        assert_eq!(check(&msg, 0, &mut budget), Err(Malformed));
    }

    #[test]
    fn binary_labels_are_shown_escaped() {
        assert_eq!(Shown(&[3, b'a', b'.', 7, 0]).to_string(), "a\\.\\007.");
        assert_eq!(Shown(&[0]).to_string(), ".");
    }
}
