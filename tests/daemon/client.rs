//! Clients: of DNS over UDP and TCP, and of HTTP. What does not come in time
//! fails the test.

use crate::common::text::{Question, shown};
use crate::process::PATIENCE;
use domain::base::iana::Rtype;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};

/// A query for the addresses of a name in the zone.
pub fn query(id: u16, name: &str) -> Vec<u8> {
    query_for(id, name, Rtype::A)
}

pub fn query_for(id: u16, name: &str, rtype: Rtype) -> Vec<u8> {
    let name = format!("{name}.distributed.local.");
    Question { id, rd: true, edns: Some(1232), ..Question::new(&name, rtype) }.packet()
}

pub fn id_of(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[0], packet[1]])
}

/// A packet that ends with an OPT record without options, with this cookie in it
/// (RFC 7873, 4).
pub fn with_cookie(mut packet: Vec<u8>, cookie: &[u8]) -> Vec<u8> {
    let rdlength = packet.len() - 2;
    packet[rdlength..].copy_from_slice(&(4 + cookie.len() as u16).to_be_bytes());
    packet.extend([0, 10, 0, cookie.len() as u8]);
    packet.extend(cookie);
    packet
}

/// The cookie in a packet.
pub fn cookie_of(packet: &[u8]) -> Option<Vec<u8>> {
    let message = domain::base::Message::from_octets(packet).ok()?;
    let opt = message.opt()?;
    opt.opt().iter::<domain::base::opt::UnknownOptData<_>>().flatten().find_map(|option| {
        (option.code() == domain::base::iana::OptionCode::COOKIE).then(|| option.data().to_vec())
    })
}

/// Asks over UDP, again each second, as clients do.
pub fn ask(server: SocketAddr, query: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    let mut packet = [0; 65_535];
    for _ in 0..8 {
        socket.send_to(query, server).unwrap();
        if let Ok((len, from)) = socket.recv_from(&mut packet) {
            assert_eq!(from, server, "the answer comes from where the query went");
            assert_eq!(id_of(&packet), id_of(query));
            return packet[..len].to_vec();
        }
    }
    panic!("{server} does not answer");
}

/// The answer as text.
pub fn answer(server: SocketAddr, name: &str) -> Vec<String> {
    shown(&ask(server, &query(1, name)))
}

/// The answer of both clusters for a name that has addresses.
pub fn whole(name: &str) -> Vec<String> {
    let record = |net| (1..=2).map(move |n| (net, n));
    let lines = record(8).chain(record(9));
    let lines = lines.map(|(net, n)| format!("{name}.distributed.local. 30 IN A 10.{net}.1.{n}"));
    std::iter::once("=> NOERROR aa rd edns".to_string()).chain(lines).collect()
}

/// A connection to the daemon, over TCP or TLS.
pub struct Stream<S = TcpStream>(pub S);

impl Stream {
    pub fn open(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Stream(stream)
    }

    pub fn finish(&self) {
        self.0.shutdown(std::net::Shutdown::Write).unwrap();
    }
}

impl<S: Read + Write> Stream<S> {
    pub fn send(&mut self, packets: &[Vec<u8>]) {
        self.0.write_all(&frames(packets)).unwrap();
    }

    /// The next answer, or `None` if the daemon has closed the connection.
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        let mut len = [0; 2];
        match self.0.read(&mut len[..1]) {
            Ok(1) => {}
            Ok(_) => return None,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("neither an answer nor an end: {error}"),
        }
        self.0.read_exact(&mut len[1..]).unwrap();
        let mut packet = vec![0; u16::from_be_bytes(len).into()];
        self.0.read_exact(&mut packet).unwrap();
        Some(packet)
    }
}

/// Packets as RFC 7766 has them on a stream.
pub fn frames(packets: &[Vec<u8>]) -> Vec<u8> {
    let framed =
        packets.iter().map(|packet| [&(packet.len() as u16).to_be_bytes(), &packet[..]].concat());
    framed.collect::<Vec<_>>().concat()
}

/// What an HTTP server said.
#[derive(Debug)]
pub struct Response {
    pub code: u16,
    pub head: String,
    pub text: String,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

pub fn get(server: SocketAddr, path: &str) -> Response {
    request(server, &format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n"))
}

/// One request on a connection of its own.
pub fn request(server: SocketAddr, request: &str) -> Response {
    let Stream(mut stream) = Stream::open(server);
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    let (head, text) = all.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {all:?}"));
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    Response { code, head: head.into(), text: text.into() }
}
