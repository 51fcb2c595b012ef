//! Answers out of one listener, by datagram, without ever waiting.
//!
//! What a socket has sent stays in its buffer until the network has it. A
//! neighbour that does not exist never takes its answers: the kernel keeps them
//! for seconds, while it looks for the neighbour, and a few hundred queries a
//! second with forged sources fill the buffer with them. So half of the
//! buffer is for clients that have shown where they are, by a cookie or over
//! TCP. What has no room is put off for a moment, and then dropped.

use super::batch::{Outlet, Parcel, is_half_empty};
use super::proven::Proven;
use crate::engine::{Answer, Client};
use std::collections::VecDeque;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// What the kernel counts for a datagram beside its octets, at most.
const OVERHEAD: usize = 1280;

/// What is put off is tried again after so long, ...
pub const PAUSE: Duration = Duration::from_millis(1);

/// ... and dropped after this: who asked will have asked again.
const PATIENCE: Duration = Duration::from_millis(100);

/// Octets that may be put off. More would be late anyway.
const MOST: usize = 256 * 1024;

struct PutOff {
    client: Client,
    octets: Vec<u8>,
    since: Instant,
    proven: bool,
}

/// The way out of a listener.
pub struct Egress {
    socket: Rc<AsyncFd<UdpSocket>>,
    proven: Arc<Proven>,
    /// Octets, as the kernel counts them, sent between two looks at the buffer:
    /// a quarter of it.
    stride: usize,
    /// Sent since the last look.
    since: usize,
    /// The buffer was more than half full then.
    pressed: bool,
    put_off: VecDeque<PutOff>,
    octets: usize,
    /// Answers dropped.
    dropped: u64,
}

fn parcel(client: Client, octets: std::ops::Range<usize>) -> Parcel {
    Parcel { octets, to: Some(client.addr), from: client.local }
}

impl Egress {
    /// For one socket.
    pub fn new(socket: Rc<AsyncFd<UdpSocket>>, proven: Arc<Proven>) -> Self {
        let buffer = socket2::SockRef::from(socket.get_ref()).send_buffer_size().unwrap_or(0);
        Egress {
            socket,
            proven,
            stride: buffer / 4,
            since: 0,
            pressed: false,
            put_off: VecDeque::new(),
            octets: 0,
            dropped: 0,
        }
    }

    /// Something is to be tried again.
    pub fn is_waiting(&self) -> bool {
        !self.put_off.is_empty()
    }

    /// Answers dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Sends answers whose octets are in `buffer`.
    pub fn send(&mut self, outlet: &mut Outlet, buffer: &[u8], mut answers: &[Answer]) {
        while !answers.is_empty() {
            self.look();
            if self.pressed {
                return self.send_under_pressure(outlet, buffer, answers);
            }
            let mut cost = 0;
            let fits = |answer: &&Answer| {
                let fits = self.since + cost <= self.stride;
                cost += answer.octets.len() + OVERHEAD;
                fits
            };
            let count = answers.iter().take_while(fits).count().max(1);
            self.since += cost;
            let (now, later) = answers.split_at(count);
            let parcels = now.iter().map(|answer| parcel(answer.client, answer.octets.clone()));
            let sent = outlet.send(self.socket.get_ref().as_fd(), buffer, parcels);
            let tried = sent.taken + sent.lost;
            self.dropped += sent.lost as u64;
            if tried < count {
                self.pressed = true;
                return self.send_under_pressure(outlet, buffer, &answers[tried..]);
            }
            answers = later;
        }
    }

    /// Looks at the buffer when it is time to.
    fn look(&mut self) {
        if self.pressed || self.since > self.stride {
            self.pressed = !is_half_empty(self.socket.get_ref().as_fd());
            self.since = 0;
        }
    }

    /// Sends what can be sent in spite of a buffer that is half full, and puts off the rest.
    pub(super) fn send_under_pressure(
        &mut self,
        outlet: &mut Outlet,
        buffer: &[u8],
        answers: &[Answer],
    ) {
        let now = Instant::now();
        for answer in answers {
            let client = answer.client;
            let proven = client.proven || self.proven.knows(client.addr.ip(), now);
            if proven {
                let parcels = std::iter::once(parcel(client, answer.octets.clone()));
                let sent = outlet.send(self.socket.get_ref().as_fd(), buffer, parcels);
                self.dropped += sent.lost as u64;
                if sent.taken + sent.lost == 1 {
                    continue;
                }
            }
            let octets = buffer.get(answer.octets.clone()).unwrap_or_default();
            if self.octets + octets.len() > MOST {
                self.dropped += 1;
                continue;
            }
            self.octets += octets.len();
            let put_off = PutOff { client, octets: octets.to_vec(), since: now, proven };
            if proven {
                self.put_off.push_front(put_off);
            } else {
                self.put_off.push_back(put_off);
            }
        }
    }

    /// Tries again what was put off.
    pub fn try_again(&mut self, outlet: &mut Outlet) {
        let now = Instant::now();
        while let Some(first) = self.put_off.pop_front() {
            let expired = now.saturating_duration_since(first.since) >= PATIENCE;
            if !expired && !self.sends_again(outlet, &first) {
                self.put_off.push_front(first);
                return;
            }
            self.dropped += u64::from(expired);
            self.octets -= first.octets.len();
        }
    }

    /// As if nothing were too late.
    #[cfg(test)]
    pub fn wait_for_ever(&mut self) {
        let later = Instant::now() + Duration::from_secs(3600);
        self.put_off.iter_mut().for_each(|put_off| put_off.since = later);
    }

    /// Whether there was room for something that was put off.
    fn sends_again(&mut self, outlet: &mut Outlet, answer: &PutOff) -> bool {
        self.pressed = true;
        self.look();
        if self.pressed && !answer.proven {
            return false;
        }
        let parcels = std::iter::once(parcel(answer.client, 0..answer.octets.len()));
        let sent = outlet.send(self.socket.get_ref().as_fd(), &answer.octets, parcels);
        self.dropped += sent.lost as u64;
        sent.taken + sent.lost == 1
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Time, Transport};
    use crate::net::batch::watch;
    use std::net::SocketAddr;

    /// A listener's way out, and a client that takes what comes out of it.
    fn way_out() -> (Egress, UdpSocket, tokio::runtime::Runtime) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let inside = runtime.enter();
        let listener = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let egress = Egress::new(Rc::new(watch(listener).unwrap()), Arc::default());
        drop(inside);
        (egress, client, runtime)
    }

    fn answers(to: SocketAddr, proven: &[bool]) -> Vec<Answer> {
        let answer = |(n, &proven): (usize, &bool)| Answer {
            client: Client { addr: to, local: None, transport: Transport::Udp, socket: 0, proven },
            came: Time::default(),
            kept: false,
            octets: n..n + 1,
        };
        proven.iter().enumerate().map(answer).collect()
    }

    /// The next datagrams.
    fn received<const N: usize>(client: &UdpSocket) -> [u8; N] {
        std::array::from_fn(|_| {
            let mut octet = [0; 1];
            client.recv(&mut octet).unwrap();
            octet[0]
        })
    }

    #[test]
    fn under_pressure_clients_that_are_known_come_first_and_others_a_moment_later() {
        let (mut egress, client, _runtime) = way_out();
        let mut outlet = Outlet::default();
        let answers = answers(client.local_addr().unwrap(), &[false, true, false, true]);
        egress.send_under_pressure(&mut outlet, &[0, 1, 2, 3], &answers);
        assert_eq!(received(&client), [1, 3]);
        assert!(egress.is_waiting());
        egress.wait_for_ever();
        egress.try_again(&mut outlet);
        assert_eq!(received(&client), [0, 2], "in the order in which they were asked");
        assert!(!egress.is_waiting());
        assert_eq!((egress.octets, egress.dropped()), (0, 0));
        // A client is known also by an earlier connection.
        egress.proven.note(client.local_addr().unwrap().ip(), Instant::now());
        egress.send_under_pressure(&mut outlet, &[0, 1, 2, 3], &answers[2..3]);
        assert_eq!(received(&client), [2]);
    }

    #[test]
    fn what_was_put_off_is_dropped_when_it_is_too_late_and_counted() {
        let (mut egress, client, _runtime) = way_out();
        let mut outlet = Outlet::default();
        let answers = answers(client.local_addr().unwrap(), &[false, false]);
        egress.send_under_pressure(&mut outlet, &[0, 1], &answers);
        egress.wait_for_ever();
        egress.put_off[0].since = Instant::now() - PATIENCE;
        egress.try_again(&mut outlet);
        assert_eq!(received(&client), [1]);
        assert_eq!((egress.octets, egress.dropped()), (0, 1));
    }

    #[test]
    fn what_may_be_put_off_is_bounded() {
        let (mut egress, client, _runtime) = way_out();
        let mut outlet = Outlet::default();
        let buffer = vec![7; MOST / 2];
        let mut answers = answers(client.local_addr().unwrap(), &[false; 3]);
        answers.iter_mut().for_each(|answer| answer.octets = 0..buffer.len());
        egress.send_under_pressure(&mut outlet, &buffer, &answers);
        assert_eq!((egress.put_off.len(), egress.octets, egress.dropped()), (2, MOST, 1));
    }

    #[test]
    fn without_pressure_all_answers_leave_at_once_and_hopeless_ones_are_counted() {
        let (mut egress, client, _runtime) = way_out();
        let mut outlet = Outlet::default();
        let mut answers = answers(client.local_addr().unwrap(), &[false; 100]);
        // An IPv4 socket cannot send to IPv6.
        answers[50].client.addr = "[::1]:9".parse().unwrap();
        let buffer: Vec<u8> = (0..100).collect();
        egress.send(&mut outlet, &buffer, &answers);
        // A host that is slow to deliver them makes for pressure.
        while egress.is_waiting() {
            egress.wait_for_ever();
            egress.try_again(&mut outlet);
        }
        let wanted: Vec<u8> = (0..100).filter(|&n| n != 50).collect();
        assert_eq!(received::<99>(&client)[..], wanted);
        assert_eq!(egress.dropped(), 1);
    }
}
