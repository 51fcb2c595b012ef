//! An index from keyed hashes to small numbers that is emptied in one step.
//!
//! Merging an answer needs to find equal names, RRsets, records and suffixes,
//! thousands of times a second, for a dozen entries each time. A general map
//! would be cleared entry by entry; this one forgets by counting up a stamp.
//! It never frees, so it stops allocating once it has seen the largest message
//! of its life. The hashes are keyed, so that no sender can aim at one cell,
//! and a look-up ends after [`MAX_PROBES`] cells all the same.

/// A look-up gives up after this many cells. At the load we keep (half) a
/// keyed hash needs about two.
const MAX_PROBES: usize = 64;

/// The largest table: four times the records that fit in 64 KiB.
const MAX_CELLS: usize = 1 << 16;

#[derive(Clone, Copy, Default)]
struct Cell {
    stamp: u32,
    hash: u32,
    value: u32,
}

/// The index. Equality is the caller's: it compares what a value stands for.
pub struct Table {
    cells: Vec<Cell>,
    stamp: u32,
    used: usize,
}

impl Default for Table {
    fn default() -> Self {
        Table { cells: vec![Cell::default(); 64], stamp: 1, used: 0 }
    }
}

impl Table {
    /// Forgets everything, in constant time.
    pub fn clear(&mut self) {
        self.used = 0;
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            // Once in 2^32 messages the stamps come round.
            self.cells.fill(Cell::default());
            self.stamp = 1;
        }
    }

    /// The value under `hash` for which `same` holds.
    pub fn find(&self, hash: u64, mut same: impl FnMut(u32) -> bool) -> Option<u32> {
        let hash = hash as u32;
        let mask = self.cells.len() - 1;
        for probe in 0..MAX_PROBES {
            let cell = &self.cells[(hash as usize).wrapping_add(probe) & mask];
            if cell.stamp != self.stamp {
                return None;
            }
            if cell.hash == hash && same(cell.value) {
                return Some(cell.value);
            }
        }
        None
    }

    /// Adds a value that [`Self::find`] did not find. A table that is full, or
    /// a hash that is crowded beyond all chance, leaves it out: the answer is
    /// then larger than it need be, never wrong in a record.
    pub fn insert(&mut self, hash: u64, value: u32) {
        if self.used * 2 >= self.cells.len() && self.cells.len() < MAX_CELLS {
            self.grow();
        }
        if self.place(hash as u32, value) {
            self.used += 1;
        }
    }

    fn place(&mut self, hash: u32, value: u32) -> bool {
        let mask = self.cells.len() - 1;
        for probe in 0..MAX_PROBES {
            let cell = &mut self.cells[(hash as usize).wrapping_add(probe) & mask];
            if cell.stamp != self.stamp {
                *cell = Cell { stamp: self.stamp, hash, value };
                return true;
            }
        }
        false
    }

    fn grow(&mut self) {
        let larger = vec![Cell::default(); self.cells.len() * 2];
        let old = std::mem::replace(&mut self.cells, larger);
        let stamp = self.stamp;
        for cell in old.into_iter().filter(|cell| cell.stamp == stamp) {
            self.place(cell.hash, cell.value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_put_in_until_it_is_cleared() {
        let mut table = Table::default();
        for n in 0..1000u32 {
            table.insert(u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 8, n);
        }
        for n in 0..1000u32 {
            let hash = u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 8;
            assert_eq!(table.find(hash, |value| value == n), Some(n));
        }
        table.clear();
        assert_eq!(table.find(0, |_| true), None);
    }

    #[test]
    fn ten_thousand_equal_hashes_cost_no_more_than_the_bound() {
        let mut table = Table::default();
        for n in 0..10_000 {
            table.insert(7, n);
        }
        let mut looked_at = 0;
        table.find(7, |_| {
            looked_at += 1;
            false
        });
        assert!(looked_at <= MAX_PROBES);
    }

    #[test]
    fn stamps_that_come_round_bring_nothing_back() {
        let mut table = Table { stamp: u32::MAX, ..Table::default() };
        table.insert(1, 1);
        table.clear();
        assert_eq!(table.find(1, |_| true), None);
    }
}
