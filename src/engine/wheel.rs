//! One timer for each query in flight, set and cancelled in constant time.
//!
//! Nearly every timer is cancelled, because clusters answer; a heap would
//! carry the cancelled ones until their deadline. This is a ring of lists, one
//! for each millisecond of the next four seconds, linked through an array that
//! the owner's indices point into. A timer further ahead waits in the last
//! list and is put back when its turn comes too early.

use super::time::Time;

/// Milliseconds ahead that have a list of their own: 4,096.
const SLOTS: usize = 4096;
const WORDS: usize = SLOTS / 64;
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Node {
    next: u32,
    prev: u32,
    /// The list it is in, or `NONE`.
    slot: u32,
    at: Time,
}

/// The timers of all queries in flight.
pub struct Wheel {
    heads: Box<[u32; SLOTS]>,
    /// Which lists are not empty.
    used: [u64; WORDS],
    nodes: Vec<Node>,
    /// Ticks before this one have been looked at.
    tick: u64,
    /// How many timers are set.
    len: usize,
}

impl Default for Wheel {
    fn default() -> Self {
        Wheel {
            heads: Box::new([NONE; SLOTS]),
            used: [0; WORDS],
            nodes: Vec::new(),
            tick: 0,
            len: 0,
        }
    }
}

impl Wheel {
    /// Sets the timer of `key`, replacing the one it had.
    pub fn set(&mut self, key: u32, at: Time) {
        self.cancel(key);
        let index = key as usize;
        if index >= self.nodes.len() {
            let empty = Node { next: NONE, prev: NONE, slot: NONE, at: Time::default() };
            self.nodes.resize(index + 1, empty);
        }
        let tick = at.tick().clamp(self.tick, self.tick + SLOTS as u64 - 1);
        let slot = (tick % SLOTS as u64) as usize;
        let next = self.heads[slot];
        self.nodes[index] = Node { next, prev: NONE, slot: slot as u32, at };
        if next != NONE {
            self.nodes[next as usize].prev = key;
        }
        self.heads[slot] = key;
        self.used[slot / 64] |= 1 << (slot % 64);
        self.len += 1;
    }

    /// Cancels the timer of `key`, if it has one.
    pub fn cancel(&mut self, key: u32) {
        let Some(&node) = self.nodes.get(key as usize) else { return };
        if node.slot == NONE {
            return;
        }
        let slot = node.slot as usize;
        if node.prev == NONE {
            self.heads[slot] = node.next;
        } else {
            self.nodes[node.prev as usize].next = node.next;
        }
        if node.next != NONE {
            self.nodes[node.next as usize].prev = node.prev;
        }
        if self.heads[slot] == NONE {
            self.used[slot / 64] &= !(1 << (slot % 64));
        }
        self.nodes[key as usize].slot = NONE;
        self.len -= 1;
    }

    /// Takes out a timer whose millisecond has begun.
    pub fn pop_due(&mut self, now: Time) -> Option<u32> {
        if self.len == 0 {
            self.tick = now.tick().max(self.tick);
            return None;
        }
        loop {
            let ahead = self.first_used()?;
            if self.tick + ahead > now.tick() {
                // Nothing is due up to now, so the ring may turn that far.
                self.tick = now.tick().max(self.tick);
                return None;
            }
            self.tick += ahead;
            let key = self.heads[(self.tick % SLOTS as u64) as usize];
            let at = self.nodes[key as usize].at;
            self.cancel(key);
            if at.tick() <= now.tick() {
                return Some(key);
            }
            self.set(key, at);
        }
    }

    /// When the next timer may be due: never later than it is.
    pub fn next(&self) -> Option<Time> {
        if self.len == 0 {
            return None;
        }
        Some(Time::from_micros((self.tick + self.first_used()?) * 1000))
    }

    /// How many lists ahead of the current one the first that is used is.
    fn first_used(&self) -> Option<u64> {
        let start = (self.tick % SLOTS as u64) as usize;
        let (word, bit) = (start / 64, start % 64);
        let here = self.used[word] >> bit;
        if here != 0 {
            return Some(u64::from(here.trailing_zeros()));
        }
        (1..=WORDS).find_map(|step| {
            let bits = self.used[(word + step) % WORDS];
            // The word we began in comes round once more for its low bits.
            let bits = if step == WORDS { bits & !(u64::MAX << bit) } else { bits };
            (bits != 0).then(|| (step * 64 - bit) as u64 + u64::from(bits.trailing_zeros()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Time {
        Time::from_micros(n * 1000)
    }

    #[test]
    fn timers_come_due_in_their_millisecond_and_in_order() {
        let mut wheel = Wheel::default();
        for (key, at) in [(0, 5), (1, 800), (2, 4095), (3, 70)] {
            wheel.set(key, ms(at));
        }
        wheel.cancel(1);
        assert_eq!(wheel.next(), Some(ms(5)));
        assert_eq!(wheel.pop_due(ms(4)), None);
        assert_eq!(wheel.pop_due(Time::from_micros(5001)), Some(0));
        assert_eq!(wheel.pop_due(ms(5000)), Some(3));
        assert_eq!(wheel.pop_due(ms(5000)), Some(2));
        assert_eq!(wheel.pop_due(ms(5000)), None);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn a_timer_beyond_the_ring_waits_for_its_time() {
        let mut wheel = Wheel::default();
        wheel.set(0, ms(10_000));
        let mut now = Time::default();
        let mut turns = 0;
        loop {
            now = wheel.next().unwrap().max(now);
            turns += 1;
            assert!(turns < 10);
            if wheel.pop_due(now).is_some() {
                break;
            }
        }
        assert_eq!(now, ms(10_000));
    }

    #[test]
    fn a_timer_set_in_the_past_is_due_at_once() {
        let mut wheel = Wheel::default();
        assert_eq!(wheel.pop_due(ms(9000)), None);
        wheel.set(7, ms(10));
        assert_eq!(wheel.pop_due(ms(9000)), Some(7));
    }

    #[test]
    fn agrees_with_a_sorted_list() {
        let mut wheel = Wheel::default();
        let mut list = std::collections::BTreeMap::new();
        let mut state = 1u64;
        let mut now = 0;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let key = (state >> 40) as u32 % 50;
            match (state >> 33) % 4 {
                0 => {
                    wheel.cancel(key);
                    list.remove(&key);
                }
                1 => {
                    now += (state >> 20) % 300;
                    let mut due = Vec::new();
                    while let Some(key) = wheel.pop_due(ms(now)) {
                        due.push(key);
                    }
                    due.sort();
                    let expected: Vec<u32> =
                        list.iter().filter(|&(_, &at)| at <= now).map(|(&key, _)| key).collect();
                    list.retain(|_, &mut at| at > now);
                    assert_eq!(due, expected);
                }
                _ => {
                    let at = now + (state >> 10) % 6000;
                    wheel.set(key, ms(at));
                    list.insert(key, at);
                }
            }
            let earliest = list.values().min().copied();
            assert!(wheel.next().is_some() == earliest.is_some());
            if let (Some(next), Some(earliest)) = (wheel.next(), earliest) {
                assert!(next <= ms(earliest.max(now)));
            }
        }
    }
}
