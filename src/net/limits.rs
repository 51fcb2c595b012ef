//! How many TCP connections clients may have, in all and per address (T4).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections in all. A connection costs some ten kilobytes.
const IN_ALL: usize = 1024;

/// Connections from one address: a resolver pool behind one address needs a
/// few, and eight addresses have to gang up to shut others out.
const PER_ADDRESS: usize = 128;

/// Counts the connections of all workers. Locked when a connection opens and
/// closes, never for a query.
#[derive(Debug, Default)]
pub struct ConnectionLimits {
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// The right to have one connection open, until dropped.
#[derive(Debug)]
pub struct Permit {
    limits: Arc<ConnectionLimits>,
    addr: IpAddr,
}

impl ConnectionLimits {
    /// Admits a connection, unless there are too many.
    pub fn admit(self: &Arc<Self>, addr: IpAddr) -> Option<Permit> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().sum::<usize>() >= IN_ALL {
            return None;
        }
        let own = open.entry(addr).or_insert(0);
        if *own >= PER_ADDRESS {
            return None;
        }
        *own += 1;
        Some(Permit { limits: self.clone(), addr })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.limits.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.addr) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.addr);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t4_connections_are_limited_per_address_and_in_all() {
        let limits = Arc::new(ConnectionLimits::default());
        let addr = |n: usize| IpAddr::from([10, 0, 0, n as u8]);
        let mut first: Vec<_> = (0..PER_ADDRESS).map(|_| limits.admit(addr(1)).unwrap()).collect();
        assert!(limits.admit(addr(1)).is_none());
        first.pop();
        first.push(limits.admit(addr(1)).unwrap());
        let mut all = Vec::new();
        for n in 2.. {
            match limits.admit(addr(n)) {
                Some(permit) if all.len() < 2 * IN_ALL => {
                    all.push(permit);
                    all.extend((1..PER_ADDRESS).map_while(|_| limits.admit(addr(n))));
                }
                _ => break,
            }
        }
        assert_eq!(first.len() + all.len(), IN_ALL);
        drop((first, all));
        assert!(limits.open.lock().unwrap().is_empty());
    }
}
