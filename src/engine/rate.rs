//! Rates, counted by the engine's clock: of all, or of each client network.
//!
//! A rate is the time at which it would be used up if each query took its share
//! of a second (the generic cell rate algorithm): one number, and no timer.

use super::time::Time;
use ahash::RandomState;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Networks that are told apart. Two that fall together share a rate; a stranger
/// cannot choose which, because the hash is keyed.
const NETWORKS: usize = 1 << 16;

/// Bits of an address that make a client network: what one customer has, and
/// what a flood with forged senders aims at (as in BIND's and Knot's limits).
const V4_BITS: u32 = 24;
const V6_BITS: u32 = 56;

/// Who has not asked for this long may ask so much at once.
const BURST: Duration = Duration::from_secs(1);

/// One rate: when it is used up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rate(Time);

impl Rate {
    /// Counts one of `per_second`; false if it is too many.
    pub fn take(&mut self, now: Time, per_second: u32) -> bool {
        let share = Duration::from_secs(1) / per_second.max(1);
        let used_up = self.0.max(now) + share;
        let within = used_up <= now + BURST;
        if within {
            self.0 = used_up;
        }
        within
    }
}

/// A rate for each client network.
pub struct Rates {
    networks: Box<[Rate]>,
    hasher: RandomState,
}

fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let mask = u32::MAX << (u32::BITS - V4_BITS);
            Ipv4Addr::from(u32::from(v4) & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX << (u128::BITS - V6_BITS);
            Ipv6Addr::from(u128::from(v6) & mask).into()
        }
    }
}

impl Rates {
    /// Nobody has asked yet.
    pub fn new(hasher: RandomState) -> Self {
        Rates { networks: vec![Rate::default(); NETWORKS].into(), hasher }
    }

    /// Counts one for the network of a client; false if it is too many.
    pub fn take(&mut self, now: Time, client: IpAddr, per_second: u32) -> bool {
        let place = self.hasher.hash_one(network(client)) as usize % NETWORKS;
        self.networks[place].take(now, per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_over_any_time() {
        let mut rate = Rate::default();
        let mut taken = 0;
        for ms in 0..10_000 {
            taken += u32::from(rate.take(Time::from_micros(ms * 1000), 50));
        }
        // A second's worth at once, and ten seconds.
        assert!((500..=550).contains(&taken), "{taken}");
    }

    #[test]
    fn networks_are_told_apart_and_their_hosts_are_not() {
        let mut rates = Rates::new(RandomState::with_seeds(1, 2, 3, 4));
        let now = Time::from_micros(1);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(rates.take(now, ip("192.0.2.1"), 1));
        assert!(!rates.take(now, ip("192.0.2.200"), 1));
        assert!(!rates.take(now, ip("::ffff:192.0.2.9"), 1));
        assert!(rates.take(now, ip("192.0.3.1"), 1));
        assert!(rates.take(now, ip("2001:db8:0:1::1"), 1));
        assert!(!rates.take(now, ip("2001:db8:0:2::1"), 1));
        assert!(rates.take(now, ip("2001:db8:0:100::1"), 1));
    }
}
