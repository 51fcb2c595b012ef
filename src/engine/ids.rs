//! The message IDs of one socket: which are taken, and which ever were (U2).

use rand::Rng;

/// IDs on one socket.
pub const ALL: usize = 1 << 16;

/// Random draws before the search for a free ID goes on in order: on a link
/// with half of its IDs taken, 64 draws fail once in 2^64 times.
const DRAWS: usize = 64;

/// A bit for each ID.
type Bits = Box<[u64]>;

/// The IDs of one socket.
pub struct Ids {
    /// In flight or resting.
    taken: Bits,
    /// Taken at some time since the socket was opened: a reply with one of
    /// these may be late, one with another was never asked for.
    used: Bits,
    /// IDs taken.
    held: usize,
}

fn is_set(bits: &[u64], id: usize) -> bool {
    bits[id / 64] & (1 << (id % 64)) != 0
}

impl Default for Ids {
    fn default() -> Self {
        let none = || vec![0; ALL / 64].into_boxed_slice();
        Ids { taken: none(), used: none(), held: 0 }
    }
}

impl Ids {
    /// For a new socket.
    pub fn clear(&mut self) {
        self.taken.fill(0);
        self.used.fill(0);
        self.held = 0;
    }

    /// None is free.
    pub fn is_full(&self) -> bool {
        self.held >= ALL
    }

    /// Takes a random one among those that are free; uniform but for a socket
    /// nearly full, where the search goes on from a random place.
    pub fn draw(&mut self, rng: &mut impl Rng) -> Option<u16> {
        if self.is_full() {
            return None;
        }
        let mut id = 0;
        for _ in 0..DRAWS {
            id = rng.next_u32() as usize & (ALL - 1);
            if !is_set(&self.taken, id) {
                break;
            }
        }
        while is_set(&self.taken, id) {
            id = (id + 1) & (ALL - 1);
        }
        self.taken[id / 64] |= 1 << (id % 64);
        self.used[id / 64] |= 1 << (id % 64);
        self.held += 1;
        Some(id as u16)
    }

    /// It has rested.
    pub fn free(&mut self, id: u16) {
        let id = usize::from(id);
        if is_set(&self.taken, id) {
            self.taken[id / 64] &= !(1 << (id % 64));
            self.held -= 1;
        }
    }

    /// No question ever had this ID.
    pub fn was_never_used(&self, id: u16) -> bool {
        !is_set(&self.used, usize::from(id))
    }

    /// Those that are taken.
    pub fn taken(&self) -> impl Iterator<Item = u16> {
        self.taken.iter().enumerate().flat_map(|(word, &bits)| {
            let next = |bits: &u64| Some(bits & (bits - 1)).filter(|&rest| rest != 0);
            std::iter::successors(Some(bits).filter(|&bits| bits != 0), next)
                .map(move |bits| (word * 64) as u16 | bits.trailing_zeros() as u16)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn u2_every_id_is_drawn_once_before_one_is_drawn_again() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut ids = Ids::default();
        let mut seen = std::collections::HashSet::new();
        while let Some(id) = ids.draw(&mut rng) {
            assert!(seen.insert(id));
        }
        assert_eq!(seen.len(), ALL);
        assert_eq!(ids.taken().count(), ALL);
        for id in [0, 7, 63, 64, 65, 4_097, u16::MAX] {
            ids.free(id);
            ids.free(id);
            assert!(ids.taken().all(|other| other != id), "{id} is free");
            assert_eq!(ids.taken().count(), ALL - 1);
            assert_eq!(ids.draw(&mut rng), Some(id));
            assert!(ids.is_full());
        }
    }

    #[test]
    fn u1_an_id_that_rests_or_has_rested_was_used() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut ids = Ids::default();
        let id = ids.draw(&mut rng).unwrap();
        assert_eq!(ids.taken().collect::<Vec<_>>(), [id]);
        ids.free(id);
        assert!(!ids.was_never_used(id));
        assert!(ids.was_never_used(id ^ 1));
        ids.clear();
        assert!(ids.was_never_used(id));
    }
}
