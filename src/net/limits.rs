//! How many connections clients may have, in all and per address, and how long
//! they may do nothing (T4).
//!
//! Patience shrinks as room does: with half of the connections taken a client
//! may be idle as long as it likes to be, with all of them for a second, so that
//! those who hold connections without using them make room for those who ask.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A connection on which nothing moves is closed (RFC 7766, 6.2.3, asks for
/// "a few seconds" and a client that wants more sends more), ...
const IDLE: Duration = Duration::from_secs(10);

/// ... and one on which a query does not come to its end, or a handshake, ...
const UNFINISHED: Duration = Duration::from_secs(5);

/// ... after this share of the time where there is no room left.
const LEAST_SHARE: u32 = 10;

/// How long a client may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// To ask again, or to take an answer.
    pub idle: Duration,
    /// From a query's first octet to its last.
    pub unfinished: Duration,
}

/// The most connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// In all.
    pub in_all: usize,
    /// From one address.
    pub per_address: usize,
}

/// Counts the connections of all workers. Locked when a connection opens and
/// closes, never for a query.
#[derive(Debug)]
pub struct ConnectionLimits {
    by_address: Mutex<HashMap<IpAddr, usize>>,
    /// The sum of them, written under the lock and read without.
    in_all: AtomicUsize,
    /// What the process may have of open files, less what it needs for others.
    files: usize,
}

/// The right to have one connection open, until dropped.
#[derive(Debug)]
pub struct Permit {
    limits: Arc<ConnectionLimits>,
    addr: IpAddr,
}

/// A client as it is counted: a host that has one address of IPv6 has 2^64.
pub(super) fn counted(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) >> 64 << 64).into(),
        v4 => v4,
    }
}

impl ConnectionLimits {
    /// Never more than `files` connections, whatever a plan says.
    pub fn new(files: usize) -> Self {
        ConnectionLimits { by_address: Mutex::default(), in_all: AtomicUsize::new(0), files }
    }

    fn by_address(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a connection, unless there are too many.
    pub fn admit(self: &Arc<Self>, addr: IpAddr, most: Most) -> Option<Permit> {
        let addr = counted(addr);
        let mut by_address = self.by_address();
        if self.in_all.load(Relaxed) >= most.in_all.min(self.files) {
            return None;
        }
        let own = by_address.entry(addr).or_insert(0);
        if *own >= most.per_address {
            return None;
        }
        *own += 1;
        self.in_all.fetch_add(1, Relaxed);
        Some(Permit { limits: self.clone(), addr })
    }

    /// How many connections there are.
    pub fn open(&self) -> usize {
        self.in_all.load(Relaxed)
    }

    /// How long clients may take at the moment.
    pub fn patience(&self, most: Most) -> Patience {
        let most = u32::try_from(most.in_all.min(self.files)).unwrap_or(u32::MAX).max(1);
        let open = u32::try_from(self.in_all.load(Relaxed)).unwrap_or(u32::MAX);
        let left = most.saturating_sub(open);
        // All of it up to half, then less and less.
        let share = |whole: Duration| {
            let shrunk = whole.mul_f64(f64::from(left) * 2.0 / f64::from(most));
            shrunk.clamp(whole / LEAST_SHARE, whole)
        };
        Patience { idle: share(IDLE), unfinished: share(UNFINISHED) }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut by_address = self.limits.by_address();
        self.limits.in_all.fetch_sub(1, Relaxed);
        if let Some(own) = by_address.get_mut(&self.addr) {
            *own -= 1;
            if *own == 0 {
                by_address.remove(&self.addr);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Most = Most { in_all: 1024, per_address: 128 };

    #[test]
    fn t4_connections_are_limited_per_address_and_in_all() {
        let limits = Arc::new(ConnectionLimits::new(usize::MAX));
        let addr = |n: usize| IpAddr::from([10, 0, 0, n as u8]);
        let mut first: Vec<_> = (0..128).map(|_| limits.admit(addr(1), MOST).unwrap()).collect();
        assert!(limits.admit(addr(1), MOST).is_none());
        first.pop();
        first.push(limits.admit(addr(1), MOST).unwrap());
        let mut all = Vec::new();
        for n in 2.. {
            match limits.admit(addr(n), MOST) {
                Some(permit) if all.len() < 2 * MOST.in_all => {
                    all.push(permit);
                    all.extend((1..128).map_while(|_| limits.admit(addr(n), MOST)));
                }
                _ => break,
            }
        }
        assert_eq!(first.len() + all.len(), MOST.in_all);
        drop((first, all));
        assert_eq!(limits.in_all.load(Relaxed), 0);
        assert!(limits.by_address().is_empty());
    }

    #[test]
    fn t4_the_addresses_of_one_ipv6_network_are_one_client() {
        let limits = Arc::new(ConnectionLimits::new(usize::MAX));
        let addr = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, n]);
        let most = Most { per_address: 2, ..MOST };
        let open: Vec<_> = (0..9).map_while(|n| limits.admit(addr(n), most)).collect();
        assert_eq!(open.len(), 2);
    }

    #[test]
    fn t4_neighbouring_ipv6_networks_are_two_clients() {
        let limits = Arc::new(ConnectionLimits::new(usize::MAX));
        let most = Most { per_address: 1, ..MOST };
        let own: IpAddr = "2001:db8:0:1::1".parse().unwrap();
        let _open = limits.admit(own, most).unwrap();
        assert!(limits.admit("2001:db8:0:1:ffff::1".parse().unwrap(), most).is_none());
        let others = ["2001:db8:0:2::1", "2001:db8:1:1::1", "::1", "192.0.2.1", "192.0.2.2"];
        let others: Vec<_> =
            others.iter().map_while(|addr| limits.admit(addr.parse().unwrap(), most)).collect();
        assert_eq!(others.len(), 5);
        // An IPv4 address is the same client in either spelling.
        assert!(limits.admit("::ffff:192.0.2.1".parse().unwrap(), most).is_none());
        assert_eq!(limits.open(), 6);
        drop(others);
        assert_eq!(limits.open(), 1);
    }

    #[test]
    fn t4_connections_leave_the_files_that_udp_needs() {
        let limits = Arc::new(ConnectionLimits::new(3));
        let open: Vec<_> =
            (0..9).map_while(|n| limits.admit(IpAddr::from([10, 0, 0, n]), MOST)).collect();
        assert_eq!(open.len(), 3);
    }

    #[test]
    fn t4_patience_ends_as_room_does() {
        let limits = Arc::new(ConnectionLimits::new(usize::MAX));
        let most = Most { in_all: 10, per_address: 10 };
        let addr = IpAddr::from([10, 0, 0, 1]);
        let mut open = Vec::new();
        let mut idle = Vec::new();
        for _ in 0..=10 {
            idle.push(limits.patience(most).idle.as_millis());
            open.extend(limits.admit(addr, most));
        }
        assert_eq!(idle[..6], [10_000; 6]);
        assert_eq!(idle[6..], [8_000, 6_000, 4_000, 2_000, 1_000]);
        assert_eq!(limits.patience(most).unfinished.as_millis(), 500);
    }
}
