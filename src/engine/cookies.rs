//! DNS cookies (RFC 7873), ours in the form of RFC 9018: with them a client
//! shows that it is where its packets say, and a server that a reply is its own.
//!
//! All engines of a process have the same secrets, because a client's next
//! question may come to another one.

use super::time::Time;
use crate::wire::edns::{CLIENT_COOKIE, OWN_COOKIE};
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};

/// A cookie of ours is good for an hour, and one from five minutes ahead, by
/// clocks that differ (RFC 9018, 4.3).
const PAST: u32 = 3600;
const FUTURE: u32 = 300;

/// Version of the cookies of RFC 9018, and three octets of zeroes.
const VERSION: [u8; 4] = [1, 0, 0, 0];

/// What cookies are made with: octets from the system's CSPRNG.
#[derive(Debug, Clone, Copy)]
pub struct Secrets {
    /// Those that we show to servers.
    pub shown: [u8; 16],
    /// Those that we give to clients.
    pub given: [u8; 16],
}

/// Makes and checks cookies.
#[derive(Debug, Clone, Copy)]
pub struct Baker {
    secrets: Secrets,
    /// Seconds since 1970 when the engine's clock was at its start.
    epoch: u64,
}

fn push_ip(hasher: &mut SipHasher24, ip: IpAddr) {
    match ip {
        IpAddr::V4(v4) => hasher.write(&v4.octets()),
        IpAddr::V6(v6) => hasher.write(&v6.octets()),
    }
}

impl Baker {
    /// Cookies are dated, so the time is needed; `epoch` is in seconds since
    /// 1970.
    pub fn new(secrets: Secrets, epoch: u64) -> Self {
        Baker { secrets, epoch }
    }

    /// What we show to a server: for each another, so that no two can tell that
    /// they are asked by the same (RFC 7873, 4.1).
    pub fn shown_to(&self, server: SocketAddr) -> [u8; CLIENT_COOKIE] {
        let mut hasher = SipHasher24::new_with_key(&self.secrets.shown);
        push_ip(&mut hasher, server.ip());
        hasher.write(&server.port().to_be_bytes());
        hasher.finish().to_le_bytes()
    }

    /// Serial numbers, as RFC 1982 has them: they pass 2^32 in 2106.
    fn seconds(&self, now: Time) -> u32 {
        self.epoch.wrapping_add(now.as_micros() / 1_000_000) as u32
    }

    fn hash(&self, client: &[u8], dated: &[u8], ip: IpAddr) -> [u8; 8] {
        let mut hasher = SipHasher24::new_with_key(&self.secrets.given);
        hasher.write(client);
        hasher.write(dated);
        push_ip(&mut hasher, ip);
        hasher.finish().to_le_bytes()
    }

    /// The cookie for a client that sent this one, and whether that shows that
    /// the client has been given one of ours where it says it is.
    pub fn give(&self, now: Time, ip: IpAddr, sent: &[u8]) -> Option<([u8; OWN_COOKIE], bool)> {
        let ip = ip.to_canonical();
        let (client, server) = sent.split_at_checked(CLIENT_COOKIE)?;
        let seconds = self.seconds(now);
        let mut cookie = [0; OWN_COOKIE];
        cookie[..CLIENT_COOKIE].copy_from_slice(client);
        cookie[8..12].copy_from_slice(&VERSION);
        cookie[12..16].copy_from_slice(&seconds.to_be_bytes());
        let hash = self.hash(client, &cookie[8..16], ip);
        cookie[16..].copy_from_slice(&hash);
        let proven = match (server.get(..8), server.get(4..8), server.get(8..)) {
            (Some(dated), Some(&[a, b, c, d]), Some(hash)) if server.len() == 16 => {
                let given = u32::from_be_bytes([a, b, c, d]);
                let dated_well =
                    seconds.wrapping_sub(given) <= PAST || given.wrapping_sub(seconds) <= FUTURE;
                dated_well && dated[..4] == VERSION && equal(hash, &self.hash(client, dated, ip))
            }
            _ => false,
        };
        Some((cookie, proven))
    }
}

/// In a time that does not depend on where they differ.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: [u8; 8] = [0x24, 0x64, 0xc4, 0xab, 0xcf, 0x10, 0xc9, 0x57];

    /// The secret of RFC 9018, appendix A.
    fn baker(epoch: u64) -> Baker {
        let given = 0xe5e973e5a6b2a43f48e7dc849e37bfcf_u128.to_be_bytes();
        Baker::new(Secrets { shown: [0; 16], given }, epoch)
    }

    fn ip() -> IpAddr {
        [198, 51, 100, 100].into()
    }

    #[test]
    fn rfc_9018_appendix_a_1() {
        let (cookie, proven) = baker(1_559_731_985).give(Time::default(), ip(), &CLIENT).unwrap();
        assert!(!proven, "a client's own cookie proves nothing");
        let server = 0x010000005cf79f111f8130c3eee29480_u128.to_be_bytes();
        assert_eq!(cookie[..8], CLIENT);
        assert_eq!(cookie[8..], server);
    }

    #[test]
    fn a_cookie_proves_for_an_hour_where_its_client_is() {
        let epoch = 1_559_731_985;
        let (cookie, _) = baker(epoch).give(Time::default(), ip(), &CLIENT).unwrap();
        let proven = |epoch, ip: IpAddr, sent: &[u8]| {
            baker(epoch).give(Time::default(), ip, sent).unwrap().1
        };
        assert!(proven(epoch, ip(), &cookie));
        assert!(proven(epoch + 3600, ip(), &cookie));
        assert!(!proven(epoch + 3601, ip(), &cookie));
        assert!(proven(epoch - 300, ip(), &cookie));
        assert!(!proven(epoch - 301, ip(), &cookie));
        assert!(!proven(epoch, [198, 51, 100, 101].into(), &cookie));
        for n in 0..cookie.len() {
            let mut other = cookie;
            other[n] ^= 1;
            // The version and what is reserved are part of what is hashed.
            assert!(!proven(epoch, ip(), &other), "octet {n}");
        }
        assert!(!proven(epoch, ip(), &cookie[..16]));
        assert!(!proven(epoch, ip(), &[&cookie[..], &[0]].concat()));
    }

    #[test]
    fn a_cookie_is_dated_by_the_clock() {
        let baker = baker(1_559_731_985);
        let at = |seconds: u64| Time::from_micros(seconds * 1_000_000);
        let (cookie, _) = baker.give(at(50), ip(), &CLIENT).unwrap();
        assert_eq!(cookie[12..16], 1_559_732_035_u32.to_be_bytes());
        assert!(baker.give(at(3650), ip(), &cookie).unwrap().1);
        assert!(!baker.give(at(3651), ip(), &cookie).unwrap().1);
    }

    #[test]
    fn every_server_is_shown_another_cookie_and_always_the_same() {
        let baker = baker(0);
        let shown = |addr: &str| baker.shown_to(addr.parse().unwrap());
        assert_eq!(shown("10.8.0.1:53"), shown("10.8.0.1:53"));
        assert_ne!(shown("10.8.0.1:53"), shown("10.8.0.2:53"));
        assert_ne!(shown("10.8.0.1:53"), shown("10.8.0.1:54"));
    }
}
