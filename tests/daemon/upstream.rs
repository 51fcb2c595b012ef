//! A cluster's DNS server, over UDP and TCP at one port of loopback, that does
//! what the test tells it to.

use crate::client::cookie_of;
use crate::common::text::{Reply, question_of};
use domain::base::iana::Rcode;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What it does with queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    Answer,
    Nothing,
    Refuse,
    /// Sends a datagram that is larger than any payload size before the answer.
    Oversize,
    /// Answers with an alias that is too long once it is marked.
    LongAlias,
    /// Truncates over UDP.
    Truncate,
    /// The same, and closes every connection once it has answered.
    TruncateAndClose,
    /// The same, and takes connections without reading from them.
    TruncateAndStall,
}

/// How long a socket is waited for before the server looks whether it is to end.
const TICK: Duration = Duration::from_millis(50);

struct Shared {
    letter: char,
    does: Mutex<Does>,
    asked: Mutex<Vec<(bool, String)>>,
    checks: Mutex<usize>,
    cookies: Mutex<Vec<[u8; 8]>>,
    connections: Mutex<usize>,
    ended: AtomicBool,
}

pub struct Upstream {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
}

impl Upstream {
    /// Cluster `a` has the suffix cluster-a.local. and addresses in 10.8.1.0/24,
    /// cluster `b` the next ones.
    pub fn start(letter: char) -> Self {
        let (udp, tcp) = sockets();
        Self::on(letter, udp, Some(tcp))
    }

    /// One that refuses connections.
    pub fn without_tcp(letter: char) -> Self {
        Self::on(letter, sockets().0, None)
    }

    /// One that answers over TLS alone.
    pub fn over_tls(letter: char, tls: Arc<ServerConfig>) -> Self {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = tcp.local_addr().unwrap();
        let upstream = Self::with(letter, addr);
        let own = upstream.shared.clone();
        std::thread::spawn(move || {
            own.accept(&tcp, move |own, mut stream| {
                let mut connection = ServerConnection::new(tls.clone()).unwrap();
                let is_done = connection.complete_io(&mut stream).is_ok();
                // RFC 7858; the name is in IANA's registry of ALPN.
                if is_done && connection.alpn_protocol() == Some(b"dot") {
                    own.converse(StreamOwned::new(connection, stream));
                }
            });
        });
        upstream
    }

    fn with(letter: char, addr: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            letter,
            does: Mutex::new(Does::Answer),
            asked: Mutex::default(),
            checks: Mutex::default(),
            cookies: Mutex::default(),
            connections: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        Upstream { addr, shared }
    }

    fn on(letter: char, udp: UdpSocket, tcp: Option<TcpListener>) -> Self {
        let upstream = Self::with(letter, udp.local_addr().unwrap());
        let own = upstream.shared.clone();
        std::thread::spawn(move || own.serve_udp(&udp));
        if let Some(tcp) = tcp {
            let own = upstream.shared.clone();
            std::thread::spawn(move || own.accept(&tcp, |own, stream| own.converse(stream)));
        }
        upstream
    }

    pub fn does(&self, what: Does) {
        *self.shared.does.lock().unwrap() = what;
    }

    /// The questions so far, over UDP or over TCP, without health checks.
    pub fn asked(&self, over_tcp: bool) -> Vec<String> {
        let all = self.shared.asked.lock().unwrap();
        all.iter().filter(|(tcp, _)| *tcp == over_tcp).map(|(_, text)| text.clone()).collect()
    }

    /// Health checks so far: they ask for the SOA of the suffix.
    pub fn checks(&self) -> usize {
        *self.shared.checks.lock().unwrap()
    }

    /// The cookies that it was shown, each the client's half.
    pub fn cookies(&self) -> Vec<[u8; 8]> {
        self.shared.cookies.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        *self.shared.connections.lock().unwrap()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.ended.store(true, Relaxed);
    }
}

fn sockets() -> (UdpSocket, TcpListener) {
    for _ in 0..20 {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
    panic!("no port is free over both UDP and TCP");
}

impl Shared {
    fn is_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    fn does(&self) -> Does {
        *self.does.lock().unwrap()
    }

    /// The answer to a query: a name that begins with `large` has 200 TXT
    /// records, one with `none` does not exist, every other one two addresses.
    fn answer(&self, query: &[u8], tcp: bool) -> Option<Vec<u8>> {
        if let Some(cookie) = cookie_of(query) {
            self.cookies.lock().unwrap().push(cookie[..8].try_into().unwrap());
        }
        let question = question_of(query);
        let (name, rtype) = question.split_once(' ').unwrap();
        match rtype {
            "SOA" => *self.checks.lock().unwrap() += 1,
            _ => self.asked.lock().unwrap().push((tcp, question.clone())),
        }
        let net = 8 + (self.letter as u8 - b'a');
        let lines = match (name, rtype) {
            _ if name.starts_with("large") => (0..200)
                .map(|n| format!("{name} 30 IN TXT \"{}-{n}-of-many\"", self.letter))
                .collect(),
            (_, "A") => (1..=2).map(|n| format!("{name} 30 IN A 10.{net}.1.{n}")).collect(),
            _ => Vec::new(),
        };
        let reply = Reply { aa: true, sections: [lines, vec![], vec![]], ..Reply::default() };
        let short = Reply { aa: true, tc: true, ..Reply::default() };
        Some(match self.does() {
            Does::Nothing => return None,
            Does::Refuse => Reply::rcode(Rcode::REFUSED).to(query),
            Does::LongAlias => {
                let alias =
                    format!("{name} 30 IN CNAME {}.cluster-{}.local.", "x".repeat(62), self.letter);
                Reply::ok(&[&alias]).to(query)
            }
            Does::Answer if !tcp && name.starts_with("large") => short.to(query),
            Does::Truncate | Does::TruncateAndClose | Does::TruncateAndStall if !tcp => {
                short.to(query)
            }
            _ if name.starts_with("none") => Reply::rcode(Rcode::NXDOMAIN).to(query),
            _ => reply.to(query),
        })
    }

    fn serve_udp(&self, udp: &UdpSocket) {
        udp.set_read_timeout(Some(TICK)).unwrap();
        let mut packet = [0; 4096];
        while !self.is_ended() {
            if let Ok((len, from)) = udp.recv_from(&mut packet)
                && let Some(answer) = self.answer(&packet[..len], false)
            {
                if self.does() == Does::Oversize {
                    let _ = udp.send_to(&[&answer[..], &[0; 5000]].concat(), from);
                }
                let _ = udp.send_to(&answer, from);
            }
        }
    }

    /// Accepts connections until the end; each has a thread of its own.
    fn accept(
        self: Arc<Self>,
        tcp: &TcpListener,
        serve: impl Fn(&Self, TcpStream) + Send + Sync + Clone + 'static,
    ) {
        tcp.set_nonblocking(true).unwrap();
        let mut held = Vec::new();
        while !self.is_ended() {
            let Ok((stream, _)) = tcp.accept() else {
                std::thread::sleep(Duration::from_millis(2));
                continue;
            };
            *self.connections.lock().unwrap() += 1;
            if self.does() == Does::TruncateAndStall {
                held.push(stream);
                continue;
            }
            stream.set_nonblocking(false).unwrap();
            let (own, serve) = (self.clone(), serve.clone());
            std::thread::spawn(move || serve(&own, stream));
        }
    }

    fn converse(&self, mut stream: impl Read + Write) {
        let mut len = [0; 2];
        while stream.read_exact(&mut len).is_ok() {
            let mut query = vec![0; u16::from_be_bytes(len).into()];
            if stream.read_exact(&mut query).is_err() {
                return;
            }
            let Some(answer) = self.answer(&query, true) else { continue };
            let mut frame = (answer.len() as u16).to_be_bytes().to_vec();
            frame.extend(answer);
            if stream.write_all(&frame).is_err() || self.does() == Does::TruncateAndClose {
                return;
            }
        }
    }
}
