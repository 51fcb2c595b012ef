//! A bounded set of entries, in which a flood displaces nothing that is asked
//! again and again.
//!
//! New entries queue up in *probation*; the oldest there makes room for the
//! next. One that is asked for again before its turn comes, or soon after it
//! was evicted (its key is remembered as a *ghost*), becomes *protected*.
//! Names that are asked for once, however many, pass through probation alone.
//! The policy is S3-FIFO's (Yang et al., SOSP 2023), with a longer ghost queue:
//! a flood of thousands of names a second must not outrun a client that asks
//! every ten seconds.

use ahash::RandomState;
use std::collections::{HashSet, VecDeque};

/// Of a room's entries and octets probation may always have this share.
const PROBATION_SHARE: usize = 10;

/// Ghosts for each entry. At 2,500 new names a second and 10,000 entries, a
/// name is remembered for 16 seconds after it left probation.
const GHOSTS: usize = 4;

/// Turns that an entry may be let off at most, one for each time it was used.
const MOST_CREDIT: u8 = 3;

const NONE: u32 = u32::MAX;

/// The place of an entry in its room, until it is evicted or taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(u32);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Queue {
    Probation,
    Protected,
}

struct Entry<T> {
    key: u64,
    /// `None`: the slot is free.
    value: Option<T>,
    octets: usize,
    queue: Queue,
    credit: u8,
    before: u32,
    after: u32,
}

/// A queue of entries, linked through them.
#[derive(Clone, Copy)]
struct Line {
    first: u32,
    last: u32,
    len: usize,
    octets: usize,
}

impl Line {
    const EMPTY: Line = Line { first: NONE, last: NONE, len: 0, octets: 0 };
}

/// What a room may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Entries.
    pub entries: usize,
    /// Octets of all entries together, as the owner counts them.
    pub octets: usize,
}

/// Entries with keys of 64 bits, which are hashes nobody outside can predict.
pub struct Room<T> {
    bounds: Bounds,
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    probation: Line,
    protected: Line,
    /// Keys evicted from probation, the oldest first.
    ghosts: VecDeque<u64>,
    ghost_keys: HashSet<u64, RandomState>,
    evictions: u64,
    /// Evicted, and not yet collected by the owner.
    evicted: Vec<(u64, T)>,
}

impl<T> Room<T> {
    /// An empty room.
    pub fn new(bounds: Bounds, hasher: RandomState) -> Self {
        Room {
            bounds,
            entries: Vec::new(),
            free: Vec::new(),
            probation: Line::EMPTY,
            protected: Line::EMPTY,
            ghosts: VecDeque::new(),
            ghost_keys: HashSet::with_hasher(hasher),
            evictions: 0,
            evicted: Vec::new(),
        }
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.probation.len + self.protected.len
    }

    /// Octets held.
    pub fn octets(&self) -> usize {
        self.probation.octets + self.protected.octets
    }

    /// Entries that had to make room for others.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    /// The entry in a slot.
    pub fn get(&self, slot: Slot) -> Option<&T> {
        self.entries.get(slot.0 as usize)?.value.as_ref()
    }

    /// The entry in a slot, to change. Its size is set with [`Self::resize`].
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        self.entries.get_mut(slot.0 as usize)?.value.as_mut()
    }

    /// Notes that an entry was asked for again.
    pub fn credit(&mut self, slot: Slot) {
        if let Some(entry) = self.entries.get_mut(slot.0 as usize) {
            entry.credit = (entry.credit + 1).min(MOST_CREDIT);
        }
    }

    /// The next entry that was evicted, with its key. To be called after every
    /// change until there is none.
    pub fn pop_evicted(&mut self) -> Option<(u64, T)> {
        self.evicted.pop()
    }

    /// Takes an entry in under a key that no other entry has. Others may be
    /// evicted for it, or it may be itself.
    pub fn insert(&mut self, key: u64, value: T, octets: usize) -> Slot {
        let queue = if self.ghost_keys.remove(&key) { Queue::Protected } else { Queue::Probation };
        let entry =
            Entry { key, value: Some(value), octets, queue, credit: 0, before: NONE, after: NONE };
        let index = match self.free.pop() {
            Some(index) => {
                self.entries[index as usize] = entry;
                index
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
        };
        self.append(index);
        self.shrink();
        Slot(index)
    }

    /// An entry has another size now.
    pub fn resize(&mut self, slot: Slot, octets: usize) {
        let Some(entry) = self.entries.get_mut(slot.0 as usize) else { return };
        if entry.value.is_none() {
            return;
        }
        let before = std::mem::replace(&mut entry.octets, octets);
        let queue = entry.queue;
        let line = self.line(queue);
        line.octets = line.octets - before + octets;
        self.shrink();
    }

    /// Takes an entry out.
    pub fn remove(&mut self, slot: Slot) -> Option<T> {
        self.entries.get(slot.0 as usize)?.value.as_ref()?;
        self.unlink(slot.0);
        self.free.push(slot.0);
        self.entries[slot.0 as usize].value.take()
    }

    /// Has other bounds from now on.
    pub fn bound(&mut self, bounds: Bounds) {
        self.bounds = bounds;
        self.shrink();
        self.forget_ghosts();
    }

    fn line(&mut self, queue: Queue) -> &mut Line {
        match queue {
            Queue::Probation => &mut self.probation,
            Queue::Protected => &mut self.protected,
        }
    }

    /// Puts an entry behind all others of its queue.
    fn append(&mut self, index: u32) {
        let Entry { queue, octets, .. } = self.entries[index as usize];
        let line = self.line(queue);
        line.len += 1;
        line.octets += octets;
        let last = std::mem::replace(&mut line.last, index);
        if last == NONE {
            line.first = index;
        } else {
            self.entries[last as usize].after = index;
        }
        let entry = &mut self.entries[index as usize];
        (entry.before, entry.after) = (last, NONE);
    }

    fn unlink(&mut self, index: u32) {
        let Entry { queue, octets, before, after, .. } = self.entries[index as usize];
        let line = self.line(queue);
        line.len -= 1;
        line.octets -= octets;
        if before == NONE {
            line.first = after;
        }
        if after == NONE {
            line.last = before;
        }
        if before != NONE {
            self.entries[before as usize].after = after;
        }
        if after != NONE {
            self.entries[after as usize].before = before;
        }
    }

    /// Evicts until the rest is within the bounds. Each turn takes an entry or
    /// a credit away, and credits were earned one at a time.
    fn shrink(&mut self) {
        while self.len() > self.bounds.entries || self.octets() > self.bounds.octets {
            let Bounds { entries, octets } = self.bounds;
            let probation = self.probation.len > entries / PROBATION_SHARE
                || self.probation.octets > octets / PROBATION_SHARE
                || self.protected.len == 0;
            let index = if probation && self.probation.len > 0 {
                self.probation.first
            } else {
                self.protected.first
            };
            let entry = &mut self.entries[index as usize];
            if entry.credit > 0 {
                let next = if entry.queue == Queue::Probation { 0 } else { entry.credit - 1 };
                self.unlink(index);
                let entry = &mut self.entries[index as usize];
                entry.credit = next;
                entry.queue = Queue::Protected;
                self.append(index);
                continue;
            }
            let (key, queue) = (entry.key, entry.queue);
            self.evictions += 1;
            if let Some(value) = self.remove(Slot(index)) {
                self.evicted.push((key, value));
            }
            if queue == Queue::Probation && self.ghost_keys.insert(key) {
                self.ghosts.push_back(key);
                self.forget_ghosts();
            }
        }
    }

    fn forget_ghosts(&mut self) {
        while self.ghosts.len() > self.bounds.entries.saturating_mul(GHOSTS) {
            if let Some(key) = self.ghosts.pop_front() {
                self.ghost_keys.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// A room of numbers, and where they are.
    struct Lodge {
        room: Room<u64>,
        slots: HashMap<u64, Slot>,
    }

    impl Lodge {
        fn new(entries: usize, octets: usize) -> Self {
            let hasher = RandomState::with_seeds(1, 2, 3, 4);
            Lodge { room: Room::new(Bounds { entries, octets }, hasher), slots: HashMap::new() }
        }

        /// Asks for a number of so many octets.
        fn ask(&mut self, number: u64, octets: usize) {
            match self.slots.get(&number) {
                Some(&slot) => self.room.credit(slot),
                None => {
                    let slot = self.room.insert(number, number, octets);
                    self.slots.insert(number, slot);
                    self.collect();
                }
            }
        }

        /// Forgets where evicted numbers were; how many there are.
        fn collect(&mut self) -> usize {
            let evicted = std::iter::from_fn(|| self.room.pop_evicted());
            evicted.map(|(key, _)| self.slots.remove(&key)).count()
        }

        fn has(&self, numbers: std::ops::Range<u64>) -> usize {
            let there = |number: &u64| {
                self.slots.get(number).is_some_and(|&slot| self.room.get(slot) == Some(number))
            };
            numbers.filter(there).count()
        }
    }

    #[test]
    fn names_asked_twice_outlive_any_number_that_are_asked_once() {
        let mut lodge = Lodge::new(1000, 1_000_000);
        for number in (0..300).chain(0..300) {
            lodge.ask(number, 100);
        }
        (1000..1_000_000).for_each(|number| lodge.ask(number, 100));
        assert_eq!(lodge.has(0..300), 300);
        assert_eq!(lodge.room.len(), 1000);
    }

    #[test]
    fn names_that_are_asked_now_and_then_win_a_place_during_a_flood() {
        let mut lodge = Lodge::new(1000, 1_000_000);
        // Each of 30 names once in 2,500 others: probation alone is shorter.
        for round in 0..20 {
            (0..30).for_each(|number| lodge.ask(number, 100));
            (0..2500).for_each(|n| lodge.ask(1000 + round * 2500 + n, 100));
        }
        assert_eq!(lodge.has(0..30), 30);
    }

    #[test]
    fn large_entries_that_are_asked_once_displace_no_small_ones_in_use() {
        let mut lodge = Lodge::new(1000, 1_000_000);
        for number in (0..300).chain(0..300) {
            lodge.ask(number, 100);
        }
        (1000..2000).for_each(|number| lodge.ask(number, 64_000));
        assert_eq!(lodge.has(0..300), 300);
        assert!(lodge.room.octets() <= 1_000_000);
    }

    #[test]
    fn what_is_asked_no_more_gives_way_to_what_is() {
        let mut lodge = Lodge::new(100, 1_000_000);
        for number in (0..100).chain(0..100) {
            lodge.ask(number, 1);
        }
        for _ in 0..5 {
            for number in (1000..1090).chain(1000..1090) {
                lodge.ask(number, 1);
            }
        }
        assert_eq!(lodge.has(1000..1090), 90);
    }

    #[test]
    fn a_smaller_bound_keeps_what_is_in_use_and_none_is_no_room() {
        let mut lodge = Lodge::new(100, 1_000_000);
        (0..100).for_each(|number| lodge.ask(number, 10));
        (50..60).for_each(|number| lodge.ask(number, 10));
        lodge.room.bound(Bounds { entries: 20, octets: 1000 });
        lodge.collect();
        assert_eq!((lodge.room.len(), lodge.has(50..60)), (20, 10));
        lodge.room.bound(Bounds { entries: 0, octets: 0 });
        lodge.collect();
        lodge.ask(1, 1);
        assert_eq!((lodge.room.len(), lodge.room.octets(), lodge.has(1..2)), (0, 0, 0));
    }

    #[test]
    fn taking_out_and_resizing_keep_the_sums_right() {
        let mut lodge = Lodge::new(10, 1000);
        (0..10).for_each(|number| lodge.ask(number, 50));
        assert_eq!(lodge.room.remove(lodge.slots[&5]), Some(5));
        assert_eq!(lodge.room.remove(lodge.slots[&5]), None);
        assert_eq!((lodge.room.len(), lodge.room.octets()), (9, 450));
        lodge.room.resize(lodge.slots[&9], 700);
        assert_eq!(lodge.collect(), 2);
        assert_eq!((lodge.room.len(), lodge.room.octets()), (7, 1000));
        assert_eq!(lodge.room.get(lodge.slots[&9]), Some(&9));
        assert_eq!(lodge.room.evictions(), 2);
    }
}
