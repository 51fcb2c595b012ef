//! A process leaves its ports to another that shares them, and nothing that was
//! sent to it is lost.
//!
//! A datagram that waits in a socket when it is closed is lost, and so is a
//! connection that waits to be accepted. So the sockets are taken out of the
//! kernel's choice first, then read to their end, then closed:
//!
//! - The kernel does not choose a UDP socket that is connected, so each is
//!   connected to a port where nobody is. Answers name their client, and still
//!   go. The program that deals by question ([`steer`](super::steer)) knows
//!   nothing of that; it makes way for the kernel's own choice.
//! - A listening TCP socket cannot be connected. The program may name a member
//!   of the group by its number, and who came later has the number behind ours.
//!   While the members leave, numbers change; so that nothing comes in between,
//!   the last turn is taken with a filter that lets no new connection begin.
//!   A client that meets it tries again a second later, at the other process.
//!
//! Who stays learns from `/proc/self/net` that it is alone ([`bound`]), and deals by
//! question from then on. Sockets that were handed over are nobody's to change:
//! they go on as they are with whoever has them next.

use super::sockets::Opened;
use super::steer;
use crate::tell::Reporter;
use socket2::{SockFilter, SockRef, Type};
use std::fmt::Write;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tracing::Level;

/// What the kernel was about to put into a socket is there after this time, and
/// a handshake that had begun has come to its end: a round trip, and more.
pub const SETTLE: Duration = Duration::from_millis(300);

/// How long connections of clients are served that go on asking. A client that
/// pauses is let go.
pub const MOST: Duration = Duration::from_secs(30);

/// The same where nobody serves meanwhile: queries wait in sockets that were
/// handed over, and clients wait for seconds.
pub const MOST_HANDED: Duration = Duration::from_secs(1);

/// How often it is looked whether there are connections left.
pub const POLL: Duration = Duration::from_millis(20);

/// How long a worker may take for one turn.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Where nobody is: the port of the discard protocol (RFC 863).
const NOBODY: u16 = 9;

/// The state of a listening socket in `/proc/self/net/tcp`.
const LISTENING: &str = "0A";

/// How many sockets are bound to an address, of this process and of others.
/// Nothing if the system does not say. Not from `/proc/net`, which is not there
/// under systemd's `ProcSubset=pid`.
pub fn bound(addr: SocketAddr, kind: Type) -> Option<usize> {
    let (table, streams) = match (kind == Type::STREAM, addr.is_ipv4()) {
        (false, true) => ("/proc/self/net/udp", false),
        (false, false) => ("/proc/self/net/udp6", false),
        (true, true) => ("/proc/self/net/tcp", true),
        (true, false) => ("/proc/self/net/tcp6", true),
    };
    Some(count(&std::fs::read_to_string(table).ok()?, addr, streams))
}

fn count(table: &str, addr: SocketAddr, listening: bool) -> usize {
    let place = spelled(addr);
    let same = table.lines().skip(1).filter(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (local, state) = (words.next(), words.nth(1));
        local == Some(place.as_str()) && (!listening || state == Some(LISTENING))
    });
    same.count()
}

/// An address as those tables spell it: words of the host's own order.
fn spelled(addr: SocketAddr) -> String {
    let octets = match addr.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let mut out = String::new();
    for word in octets.as_chunks::<4>().0 {
        let _ = write!(out, "{:08X}", u32::from_ne_bytes(*word));
    }
    let _ = write!(out, ":{:04X}", addr.port());
    out
}

/// The sockets of one address, of all workers.
pub struct Place<'a> {
    /// The address.
    pub addr: SocketAddr,
    /// The sockets.
    pub sockets: Vec<&'a Opened>,
    /// Who is told what becomes of them.
    pub reporter: &'a Reporter,
}

impl Place<'_> {
    fn kinds(&self) -> [(Type, usize); 2] {
        let udp = self.sockets.iter().filter(|opened| opened.udp.is_some()).count();
        let tcp = self.sockets.iter().filter(|opened| opened.tcp.is_some()).count();
        [(Type::DGRAM, udp), (Type::STREAM, tcp)]
    }

    /// Somebody else has sockets here too, who can take what comes.
    pub fn is_shared(&self) -> bool {
        self.kinds()
            .iter()
            .all(|&(kind, own)| own == 0 || bound(self.addr, kind).is_some_and(|all| all > own))
    }

    /// Nobody else has.
    pub fn is_ours_alone(&self) -> bool {
        self.kinds()
            .iter()
            .all(|&(kind, own)| own == 0 || bound(self.addr, kind).is_some_and(|all| all <= own))
    }

    /// From now on, what comes here comes to the others.
    pub fn turn_away(&self) {
        let [_, (_, listeners)] = self.kinds();
        for opened in &self.sockets {
            if let Some(udp) = &opened.udp {
                self.tell("datagrams", steer::undo(&SockRef::from(udp)));
            }
        }
        for opened in &self.sockets {
            if let Some(udp) = &opened.udp {
                self.tell("datagrams", udp.connect(nobody(self.addr)));
            }
            if let Some(tcp) = &opened.tcp {
                let next = u32::try_from(listeners).unwrap_or(u32::MAX);
                self.tell("connections", steer::name(&SockRef::from(tcp), next));
            }
        }
    }

    /// No connection begins here any more; those that have are accepted.
    pub fn begin_no_more(&self) {
        for tcp in self.sockets.iter().filter_map(|opened| opened.tcp.as_ref()) {
            self.tell("connections", SockRef::from(tcp).attach_filter(&no_syn()));
        }
    }

    /// Whoever led others here is gone: what comes is dealt by question.
    pub fn deal(&self) {
        let workers = self.sockets.iter().filter(|opened| opened.udp.is_some()).count();
        let steering = steer::Steering::new(workers);
        for opened in &self.sockets {
            if let Some(udp) = &opened.udp
                && let Err(error) = steering.attach(&SockRef::from(udp))
            {
                let text = format!("questions at {} are dealt by sender: {error}", self.addr);
                self.reporter.line(Level::DEBUG, "dealt_by_sender", text);
            }
            if let Some(tcp) = &opened.tcp {
                let _ = steer::undo(&SockRef::from(tcp));
            }
        }
    }

    fn tell(&self, what: &str, done: io::Result<()>) {
        if let Err(error) = done {
            let text = format!("{what} to {} may be lost while it stops: {error}", self.addr);
            self.reporter.line(Level::WARN, "ports_not_left", text);
        }
    }
}

/// An address on the way to which nothing leaves the host.
fn nobody(addr: SocketAddr) -> SocketAddr {
    let mut to = addr;
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => to.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => to.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    to.set_port(NOBODY);
    to
}

/// Drops segments that begin a connection: the octet of flags has SYN.
fn no_syn() -> [SockFilter; 4] {
    /// In the header (RFC 9293, 3.1).
    const FLAGS: u32 = 13;
    const SYN: u32 = 2;
    let op = |code: u32, jt, jf, k| SockFilter::new(code as u16, jt, jf, k);
    [
        op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, FLAGS),
        op(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 0, 1, SYN),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::sockets::{Service, tests::own};
    use super::*;
    use crate::tell::Desk;

    #[test]
    fn sockets_are_counted_as_the_system_spells_them() {
        let here = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(bound(here, Type::DGRAM), Some(0));
        for host in ["127.0.0.1", "0.0.0.0", "::1", "::"] {
            let Ok(udp) = std::net::UdpSocket::bind((host, 0)) else { continue };
            assert_eq!(bound(udp.local_addr().unwrap(), Type::DGRAM), Some(1), "{host}");
            let tcp = std::net::TcpListener::bind((host, 0)).unwrap();
            let at = tcp.local_addr().unwrap();
            // A connection is no listener.
            let _client = std::net::TcpStream::connect(at).unwrap();
            let _served = tcp.accept().unwrap();
            assert_eq!(bound(at, Type::STREAM), Some(1), "{host}");
        }
    }

    /// Sockets for datagrams and connections at a port that others may share.
    fn opened(at: SocketAddr) -> Opened {
        let bind = |kind| {
            let domain = socket2::Domain::for_address(at);
            let socket = socket2::Socket::new(domain, kind, None).unwrap();
            socket.set_reuse_port(true).unwrap();
            socket.bind(&at.into()).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        let (udp, tcp) = (bind(Type::DGRAM), bind(Type::STREAM));
        tcp.listen(64).unwrap();
        let (udp, tcp) = (Some(udp.into()), Some(tcp.into()));
        Opened { udp, tcp, service: Service::Plain, wildcard: false }
    }

    fn place<'a>(addr: SocketAddr, sockets: &[&'a Opened], desk: &'a Desk) -> Place<'a> {
        Place { addr, sockets: sockets.to_vec(), reporter: desk.reporter() }
    }

    /// Datagrams and connections that a socket has got.
    type Got = [usize; 2];

    /// Sends datagrams and connections, each from a port of its own; how many of
    /// them came to each, once all have come.
    fn send(at: SocketAddr, count: usize, to: [&Opened; 2]) -> [Got; 2] {
        for _ in 0..count {
            let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            udp.send_to(b"x", at).unwrap();
            std::net::TcpStream::connect(at).unwrap();
        }
        let mut got = [[0; 2]; 2];
        let end = std::time::Instant::now() + Duration::from_secs(30);
        while [0, 1].iter().any(|&kind| got[0][kind] + got[1][kind] < count) {
            assert!(std::time::Instant::now() < end, "{got:?}");
            std::thread::sleep(Duration::from_millis(1));
            for (opened, [datagrams, connections]) in to.into_iter().zip(&mut got) {
                let (udp, tcp) = (opened.udp.as_ref().unwrap(), opened.tcp.as_ref().unwrap());
                *datagrams += std::iter::from_fn(|| udp.recv(&mut [0; 9]).ok()).count();
                *connections += std::iter::from_fn(|| tcp.accept().ok()).count();
            }
        }
        got
    }

    #[test]
    fn who_shares_a_port_is_known_and_gets_what_comes_once_it_is_left() {
        let desk = Desk::open().unwrap();
        let at = own(11);
        let ours = opened(at);
        let here = place(at, &[&ours], &desk);
        assert!(here.is_ours_alone() && !here.is_shared());
        let theirs = opened(at);
        assert!(!here.is_ours_alone() && here.is_shared());
        assert!(place(at, &[&ours, &theirs], &desk).is_ours_alone());
        let shared = send(at, 40, [&ours, &theirs]);
        assert!(shared.as_flattened().iter().all(|&got| got > 0), "{shared:?}");
        here.turn_away();
        assert_eq!(send(at, 40, [&ours, &theirs]), [[0, 0], [40, 40]]);
    }

    #[test]
    fn a_place_of_tls_has_no_datagrams_to_share() {
        let desk = Desk::open().unwrap();
        let at = own(13);
        let over_tls = || Opened { udp: None, service: Service::Tls, ..opened(at) };
        let ours = over_tls();
        assert!(!place(at, &[&ours], &desk).is_shared());
        let _theirs = over_tls();
        assert!(place(at, &[&ours], &desk).is_shared());
    }

    #[test]
    fn a_listener_where_nothing_begins_any_more_serves_what_has_begun() {
        let desk = Desk::open().unwrap();
        let at = own(12);
        let ours = opened(at);
        let mut early = std::net::TcpStream::connect(at).unwrap();
        place(at, &[&ours], &desk).begin_no_more();
        let late = std::net::TcpStream::connect_timeout(&at, Duration::from_millis(300));
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let (mut served, _) = ours.tcp.as_ref().unwrap().accept().unwrap();
        served.set_nonblocking(false).unwrap();
        served.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        io::Write::write_all(&mut early, b"question").unwrap();
        let mut octets = [0; 8];
        io::Read::read_exact(&mut served, &mut octets).unwrap();
        assert_eq!(&octets, b"question");
    }
}
