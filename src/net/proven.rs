//! Clients that have shown that they are at their address, by a handshake of
//! TCP. Where room for answers is short, they come before those that may be
//! anybody ([`super::egress`]).

use super::limits::counted;
use std::collections::HashSet;
use std::mem;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Addresses remembered in each of two halves.
const MOST: usize = 4096;

/// A half is dropped when it is as old as this, at the latest.
const LASTS: Duration = Duration::from_secs(600);

#[derive(Debug)]
struct Halves {
    newer: HashSet<IpAddr>,
    older: HashSet<IpAddr>,
    since: Instant,
}

/// Addresses, of the clients of all workers. Locked for a connection that opens
/// and for answers that lack room, never for a query.
#[derive(Debug)]
pub struct Proven {
    halves: Mutex<Halves>,
}

impl Default for Proven {
    fn default() -> Self {
        let halves = Halves { newer: HashSet::new(), older: HashSet::new(), since: Instant::now() };
        Proven { halves: Mutex::new(halves) }
    }
}

impl Proven {
    fn halves(&self, now: Instant) -> MutexGuard<'_, Halves> {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if halves.newer.len() >= MOST || now.saturating_duration_since(halves.since) >= LASTS {
            halves.older = mem::take(&mut halves.newer);
            halves.since = now;
        }
        halves
    }

    /// A client has completed a handshake.
    pub fn note(&self, client: IpAddr, now: Instant) {
        self.halves(now).newer.insert(counted(client));
    }

    /// Whether it has lately.
    pub fn knows(&self, client: IpAddr, now: Instant) -> bool {
        let halves = self.halves(now);
        let client = counted(client);
        halves.newer.contains(&client) || halves.older.contains(&client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn a_client_is_known_for_ten_minutes_and_not_for_twenty() {
        let proven = Proven::default();
        let start = Instant::now();
        proven.note(address(1), start);
        for (minutes, knows) in [(0, true), (9, true), (11, true), (22, false)] {
            let now = start + Duration::from_secs(60 * minutes);
            assert_eq!(proven.knows(address(1), now), knows, "{minutes}");
            assert!(!proven.knows(address(2), now));
        }
    }

    #[test]
    fn however_many_come_memory_is_bounded() {
        let proven = Proven::default();
        let now = Instant::now();
        for n in 0..10 * MOST as u32 {
            proven.note(address(n), now);
        }
        let halves = proven.halves(now);
        assert!(halves.newer.len() + halves.older.len() <= 2 * MOST);
        drop(halves);
        assert!(proven.knows(address(10 * MOST as u32 - 1), now));
    }
}
