//! Which zone a name belongs to, at a cost that does not grow with the zones.

use crate::wire::name::{FlatName, Suffix};
use ahash::RandomState;
use std::collections::HashMap;

/// Finds the longest configured name that another name is at or under (Q1).
///
/// One look-up for each number of labels some configured name has: with a
/// thousand zones of two and three labels, two look-ups.
#[derive(Debug, Clone)]
pub(super) struct NameIndex {
    by_name: HashMap<Box<[u8]>, usize, RandomState>,
    /// Bit n: some configured name has n labels.
    depths: u128,
}

impl NameIndex {
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a Suffix>) -> Self {
        let mut index =
            // The names are the operator's own: a fixed key is safe here.
            NameIndex { by_name: HashMap::with_hasher(RandomState::with_seeds(1, 2, 3, 4)), depths: 0 };
        for (n, name) in names.enumerate() {
            index.by_name.entry(name.as_slice().to_ascii_lowercase().into()).or_insert(n);
            index.depths |= 1 << name.labels();
        }
        index
    }

    /// `name` is in lower case.
    pub(super) fn longest(&self, name: &FlatName) -> Option<usize> {
        let mut depths = self.depths;
        while depths != 0 {
            let depth = 127 - depths.leading_zeros() as usize;
            depths &= !(1 << depth);
            if let Some(&found) = name.last(depth).and_then(|end| self.by_name.get(end)) {
                return Some(found);
            }
        }
        None
    }
}
