//! What stands between a forger and the answers of one server, beside ports and
//! IDs (RFC 5452): a count of packets that only a forger sends, cookies
//! (RFC 7873), and whether the server keeps the case of a question.
//!
//! A stranger who cannot see our packets has to guess. Guesses that miss are
//! noticed: the ID was never used on that socket, or it was and the rest is
//! wrong. Too many of them, and the server is asked over TCP for a while, whose
//! sequence numbers are worth another guess of thirty bits. The odds are worked
//! out in docs/security.md.

use super::time::Time;
use crate::wire::edns::CLIENT_COOKIE;
use smallvec::SmallVec;
use std::time::Duration;

/// So many guesses, within [`SPAN`], are an attack. One in a while may be a
/// packet gone astray, for a port's last owner; five in a minute are not. A
/// recursor that is mistaken asks one question over TCP; the odds in
/// docs/security.md grow with this number.
pub const GUESSES: u32 = 5;

/// The time in which guesses add up.
pub const SPAN: Duration = Duration::from_secs(60);

/// For so long a server under attack is asked over TCP.
pub const SIEGE: Duration = Duration::from_secs(60);

/// A server whose cookie was seen within this time has one. Longer than it is
/// ever not asked or not answering while it is of any use to a forger; a server
/// that has given cookies up, and has no TCP to say so, is back after it.
const COOKIE_LASTS: Duration = Duration::from_secs(600);

/// The guard of one server.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// Our cookie for it, the same as long as it is asked.
    pub client_cookie: [u8; CLIENT_COOKIE],
    /// The cookie it gave us.
    pub server_cookie: SmallVec<[u8; 32]>,
    /// When a reply last had its cookie and ours.
    cookie_at: Option<Time>,
    /// It changes the case of questions, as a reply over TCP has shown.
    pub changes_case: bool,
    guesses: u32,
    since: Time,
    siege_until: Option<Time>,
    no_siege_until: Option<Time>,
}

impl Guard {
    /// Nothing has been heard or seen yet.
    pub fn new(client_cookie: [u8; CLIENT_COOKIE]) -> Self {
        Guard { client_cookie, ..Guard::default() }
    }

    /// A packet came that only a forger sends. Tells whether it is one too many.
    pub fn suspect(&mut self, now: Time) -> bool {
        if now.since(self.since) >= SPAN {
            self.since = now;
            self.guesses = 0;
        }
        self.guesses += 1;
        if self.guesses < GUESSES {
            return false;
        }
        self.guesses = 0;
        self.since = now;
        if self.no_siege_until.is_none_or(|until| until <= now) {
            self.siege_until = Some(now + SIEGE);
        }
        true
    }

    /// It is to be asked over TCP for the time being.
    pub fn is_besieged(&self, now: Time) -> bool {
        self.siege_until.is_some_and(|until| now < until)
    }

    /// It cannot be reached over TCP: new ports have to do.
    pub fn has_no_streams(&mut self, now: Time) {
        self.siege_until = None;
        self.no_siege_until = Some(now + SIEGE);
    }

    /// Takes in the cookie of a reply. Tells whether it is as it has to be.
    pub fn take_cookie(&mut self, now: Time, cookie: &[u8]) -> bool {
        match cookie.split_at_checked(CLIENT_COOKIE) {
            Some((client, server)) if client == self.client_cookie => {
                if !server.is_empty() && server != self.server_cookie.as_slice() {
                    self.server_cookie.clear();
                    self.server_cookie.extend_from_slice(server);
                }
                self.cookie_at = (!self.server_cookie.is_empty()).then_some(now);
                true
            }
            _ => false,
        }
    }

    /// It has said, over TCP, that it knows nothing of cookies.
    pub fn forget_cookies(&mut self) {
        self.cookie_at = None;
        self.server_cookie.clear();
    }

    /// It speaks cookies: a datagram without ours is not from it.
    pub fn expects_cookie(&self, now: Time) -> bool {
        self.cookie_at.is_some_and(|at| now.since(at) < COOKIE_LASTS)
    }

    /// It has a cookie for us, old or not.
    pub fn has_cookie(&self) -> bool {
        self.cookie_at.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Time {
        Time::from_micros(n * 1000)
    }

    #[test]
    fn u1_a_stray_packet_now_and_then_is_no_attack() {
        let mut guard = Guard::default();
        assert!((0..200).all(|n| !guard.suspect(ms(n * 20_000))));
        assert!(!guard.is_besieged(ms(4_000_000)));
    }

    #[test]
    fn u1_guesses_in_a_row_are_and_end_after_a_while() {
        let mut guard = Guard::default();
        let mut told: Vec<u64> = (0..100).filter(|&n| guard.suspect(ms(n))).collect();
        assert_eq!(told.len(), 20);
        assert!(guard.is_besieged(ms(100)));
        assert!(!guard.is_besieged(ms(told.pop().unwrap()) + SIEGE));
    }

    #[test]
    fn a_server_without_tcp_is_not_asked_over_it_again_for_a_while() {
        let mut guard = Guard::default();
        assert!((0..GUESSES).any(|n| guard.suspect(ms(n.into()))));
        guard.has_no_streams(ms(30));
        assert!((0..GUESSES).any(|n| guard.suspect(ms(100 + u64::from(n)))), "new ports");
        assert!(!guard.is_besieged(ms(200)));
    }

    #[test]
    fn a_cookie_counts_if_the_front_of_it_is_ours() {
        let mut guard = Guard::new([7; 8]);
        assert!(!guard.take_cookie(ms(1), &[8; 16]));
        assert!(guard.take_cookie(ms(1), &[7; 8]));
        assert!(!guard.expects_cookie(ms(1)), "a server that only repeats ours has none");
        assert!(guard.take_cookie(ms(1), &[7; 24]));
        assert!(guard.expects_cookie(ms(1)));
        assert_eq!(guard.server_cookie.as_slice(), [7; 16]);
        assert!(!guard.expects_cookie(ms(1) + COOKIE_LASTS));
    }
}
