//! The names of one answer, each once.
//!
//! Merging compares names all the time: which records make an RRset, which are
//! equal (M2), which address belongs to which target (M8). Here every name of
//! an answer gets a number, and names equal but for case share an identity.
//! How a name is spelled is kept apart from what it is: names we make are
//! spelled once for the whole message, by whoever wrote them first (R3), and
//! names we pass on stay as they came.

use super::name::same;
use super::table::Table;
use ahash::RandomState;

/// A name of the answer being built, with its spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(u32);

/// A name of the answer being built, whatever its case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ident(u32);

impl Ident {
    /// The number, for hashing.
    pub fn number(self) -> u32 {
        self.0
    }
}

impl NameId {
    /// The question's name: always the first.
    pub const QUESTION: NameId = NameId(0);
}

#[derive(Clone, Copy)]
struct Entry {
    at: u32,
    len: u8,
    /// Some record of the answer section has it, as owner or in its RDATA.
    in_answer: bool,
    ident: u32,
    /// On an identity: its spelling as a name we made.
    made: u32,
    /// Where it stands in the message being written; 0 if nowhere.
    place: u16,
}

const NONE: u32 = u32::MAX;

/// All names of one answer.
pub struct Names {
    octets: Vec<u8>,
    entries: Vec<Entry>,
    by_fold: Table,
    by_case: Table,
    hasher: RandomState,
    folded: Vec<u8>,
}

impl Names {
    /// An empty set whose hashes nobody outside can predict.
    pub fn new(hasher: RandomState) -> Self {
        Names {
            octets: Vec::new(),
            entries: Vec::new(),
            by_fold: Table::default(),
            by_case: Table::default(),
            hasher,
            folded: Vec::new(),
        }
    }

    /// Begins an answer to a question with this name, as the client spelled it.
    pub fn start(&mut self, question: &[u8]) {
        self.octets.clear();
        self.entries.clear();
        self.by_fold.clear();
        self.by_case.clear();
        self.kept(question);
    }

    /// A name that R2 made.
    pub fn made(&mut self, name: &[u8]) -> NameId {
        let (hash, found) = self.find(name);
        let Some(ident) = found else {
            let id = self.add(name, None);
            self.entries[id as usize].made = id;
            self.by_fold.insert(hash, id);
            return NameId(id);
        };
        let known = self.entries[ident as usize].made;
        if known != NONE {
            return NameId(known);
        }
        let id = if self.spelled(ident) == name { ident } else { self.add(name, Some(ident)) };
        self.entries[ident as usize].made = id;
        NameId(id)
    }

    /// A name that stays as it came.
    pub fn kept(&mut self, name: &[u8]) -> NameId {
        let (hash, found) = self.find(name);
        let Some(ident) = found else {
            let id = self.add(name, None);
            self.by_fold.insert(hash, id);
            return NameId(id);
        };
        if self.spelled(ident) == name {
            return NameId(ident);
        }
        // The same name in another case: rare enough to look twice.
        let hash = self.hasher.hash_one(name);
        if let Some(id) = self.by_case.find(hash, |id| self.spelled(id) == name) {
            return NameId(id);
        }
        let id = self.add(name, Some(ident));
        self.by_case.insert(hash, id);
        NameId(id)
    }

    fn find(&mut self, name: &[u8]) -> (u64, Option<u32>) {
        self.folded.clear();
        self.folded.extend_from_slice(name);
        self.folded.make_ascii_lowercase();
        let hash = self.hasher.hash_one(&self.folded[..]);
        let found = self.by_fold.find(hash, |id| same(self.spelled(id), name));
        (hash, found)
    }

    fn add(&mut self, name: &[u8], ident: Option<u32>) -> u32 {
        let id = self.entries.len() as u32;
        self.entries.push(Entry {
            at: self.octets.len() as u32,
            len: name.len() as u8,
            in_answer: false,
            ident: ident.unwrap_or(id),
            made: NONE,
            place: 0,
        });
        self.octets.extend_from_slice(name);
        id
    }

    fn spelled(&self, id: u32) -> &[u8] {
        let entry = &self.entries[id as usize];
        &self.octets[entry.at as usize..entry.at as usize + entry.len as usize]
    }

    /// How many names there are; every [`Ident::number`] is below.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// The name, flat, as it is to be written.
    pub fn octets(&self, id: NameId) -> &[u8] {
        self.spelled(id.0)
    }

    /// What the name is, whatever its case.
    pub fn ident(&self, id: NameId) -> Ident {
        Ident(self.entries[id.0 as usize].ident)
    }

    /// Notes that the answer section has this name (M8).
    pub fn mark_in_answer(&mut self, id: NameId) {
        let ident = self.ident(id);
        self.entries[ident.0 as usize].in_answer = true;
    }

    /// Whether the answer section has a name equal to this one.
    pub fn is_in_answer(&self, ident: Ident) -> bool {
        self.entries[ident.0 as usize].in_answer
    }

    /// Where the message being written has this name, if a pointer reaches it.
    pub fn place(&self, id: NameId) -> Option<u16> {
        let place = self.entries[id.0 as usize].place;
        (place != 0).then_some(place)
    }

    /// Notes where the message being written has this name.
    pub fn set_place(&mut self, id: NameId, place: Option<u16>) {
        self.entries[id.0 as usize].place = place.unwrap_or(0);
    }

    /// Forgets all places: the message is written again.
    pub fn forget_places(&mut self) {
        for entry in &mut self.entries {
            entry.place = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let mut names = Names::new(RandomState::with_seeds(1, 2, 3, 4));
        names.start(b"\x01Q\0");
        names
    }

    #[test]
    fn r3_a_made_name_keeps_its_first_spelling() {
        let mut names = names();
        let first = names.made(b"\x01a\x01X\0");
        assert_eq!(names.made(b"\x01A\x01x\0"), first);
        assert_eq!(names.octets(first), b"\x01a\x01X\0");
    }

    #[test]
    fn r1_r3_a_made_name_equal_to_the_question_is_spelled_by_its_own_rule() {
        let mut names = names();
        let made = names.made(b"\x01q\0");
        assert_ne!(made, NameId::QUESTION);
        assert_eq!(names.ident(made), names.ident(NameId::QUESTION));
        assert_eq!(names.octets(made), b"\x01q\0");
        assert_eq!(names.made(b"\x01Q\0"), made);
    }

    #[test]
    fn r2_a_kept_name_stays_as_it_came() {
        let mut names = names();
        let lower = names.kept(b"\x01e\0");
        let upper = names.kept(b"\x01E\0");
        assert_ne!(lower, upper);
        assert_eq!(names.ident(lower), names.ident(upper));
        assert_eq!(names.kept(b"\x01E\0"), upper);
        let made = names.made(b"\x01E\0");
        assert_eq!(names.octets(made), b"\x01E\0");
    }
}
