//! Making sockets: listeners that workers share a port through, and links on
//! random ports.

use super::CannotRun;
use super::batch::report_local;
use super::handed::{Handed, Share, dealt};
use super::steer::Steering;
use crate::config::Settings;
use crate::tell::Reporter;
use rand::RngExt;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use tracing::Level;

/// Octets asked for in either direction of a listener's UDP buffers: some ten
/// milliseconds of traffic at full speed. The system may give less.
const LISTENER_BUFFER: usize = 4 << 20;

/// The same for one link, of which there are many.
const LINK_BUFFER: usize = 1 << 20;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Ports tried for a link before the system is left to choose.
const PORT_TRIES: usize = 8;

/// What is served at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// UDP and TCP.
    Plain,
    /// TLS.
    Tls,
}

/// Where a plan is served.
pub fn places(settings: &Settings) -> Vec<(SocketAddr, Service)> {
    let plain = settings.listen.iter().map(|&addr| (addr, Service::Plain));
    plain.chain(settings.listen_tls.iter().map(|&addr| (addr, Service::Tls))).collect()
}

/// How a process comes to its listening sockets.
#[derive(Default)]
pub struct Entrance {
    /// Those that it was given.
    pub handed: Handed,
    /// It shares the others with a process that serves now.
    pub take_over: bool,
}

/// A listening address that has been found free.
pub struct Listener {
    /// Where; with the port filled in.
    pub addr: SocketAddr,
    /// What is served there.
    pub service: Service,
    workers: usize,
    /// How questions are dealt out; by who serves already, if there is one.
    steering: Option<Steering>,
    /// Sockets there that were open before.
    share: Share,
    reporter: Reporter,
}

/// A worker's own sockets on one listening address.
pub struct Opened {
    /// For datagrams, unless it is a place of TLS.
    pub udp: Option<UdpSocket>,
    /// For streams.
    pub tcp: Option<TcpListener>,
    /// What is served there.
    pub service: Service,
    /// It listens on every address of the host, so answers must name theirs.
    pub wildcard: bool,
}

impl Opened {
    /// The same sockets once more: whatever waits in them can be read through
    /// either.
    pub fn try_clone(&self) -> io::Result<Self> {
        let &Opened { ref udp, ref tcp, service, wildcard } = self;
        let udp = udp.as_ref().map(UdpSocket::try_clone).transpose()?;
        let tcp = tcp.as_ref().map(TcpListener::try_clone).transpose()?;
        Ok(Opened { udp, tcp, service, wildcard })
    }
}

/// Finds every address free, or says which is not and what to do. Those `held`
/// are this process's own already.
pub fn bind_all(
    settings: &Settings,
    entrance: &Entrance,
    held: &[(SocketAddr, Service)],
    reporter: &Reporter,
) -> Result<Vec<Listener>, CannotRun> {
    let workers = settings.workers.get();
    let listen = places(settings);
    let mut found = Vec::new();
    for &(addr, service) in &listen {
        let share = entrance.handed.share(addr, service).map_err(CannotRun::start)?;
        let dealers = if share.udp.is_empty() { workers } else { share.udp.len() };
        // Where somebody else serves now, that one deals.
        let ours = !entrance.take_over || !share.udp.is_empty();
        let steering = (ours && dealers > 1).then(|| Steering::new(dealers));
        let listener =
            Listener { addr, service, workers, steering, share, reporter: reporter.clone() };
        if held.contains(&(addr, service)) {
            found.push(listener);
            continue;
        }
        match listener.probe(entrance.take_over) {
            // Every address of a host without IPv6 is every IPv4 address.
            Err(error) if error.is_unsupported() && has_v4_twin(&listen, (addr, service)) => {
                let text = format!("this host has no IPv6: nothing listens on {addr}");
                reporter.line(Level::INFO, "no_ipv6", text);
            }
            probed => found.push(Listener { addr: probed?, ..listener }),
        }
    }
    Ok(found)
}

/// `[::]` is asked for beside `0.0.0.0`.
fn has_v4_twin(listen: &[(SocketAddr, Service)], (addr, service): (SocketAddr, Service)) -> bool {
    let twin = SocketAddr::from((Ipv4Addr::UNSPECIFIED, addr.port()));
    addr.ip() == Ipv6Addr::UNSPECIFIED && listen.contains(&(twin, service))
}

impl Listener {
    /// Tries the address for this process alone: workers share it later, and
    /// without this a second daemon would silently take half of the queries.
    /// With `shared`, that is what is wanted. Gives the address with its port.
    fn probe(&self, shared: bool) -> Result<SocketAddr, CannotRun> {
        let Listener { addr, service, .. } = *self;
        let named = |socket: &Socket| {
            socket.local_addr().ok().and_then(|bound| bound.as_socket()).unwrap_or(addr)
        };
        let stream = |addr| {
            bind(addr, Type::STREAM, shared).and_then(|tcp| {
                // Where others listen too, clients would come to this one.
                if shared { Ok(tcp) } else { tcp.listen(1).map(|()| tcp) }
            })
        };
        let mut tries = 0;
        loop {
            let mut bound = addr;
            let mut udp = None;
            if service == Service::Plain && self.share.udp.is_empty() {
                let socket =
                    bind(addr, Type::DGRAM, shared).map_err(|why| cannot_bind(addr, "UDP", why))?;
                bound = named(&socket);
                udp = Some(socket);
            }
            if !self.share.tcp.is_empty() {
                return Ok(bound);
            }
            match stream(bound) {
                Ok(tcp) => return Ok(named(&tcp)),
                // A port the system picked for UDP may be another's for TCP.
                Err(_) if udp.is_some() && addr.port() == 0 && tries < PORT_TRIES => tries += 1,
                Err(why) => return Err(cannot_bind(bound, service.over_streams(), why)),
            }
        }
    }

    /// Opens the sockets of worker `n` here: one, or as many as it is to read of
    /// those that were handed over.
    pub fn open(&self, n: usize) -> Result<Vec<Opened>, CannotRun> {
        let Listener { addr, service, workers, .. } = *self;
        let wildcard = addr.ip().is_unspecified();
        let mut tcp = Vec::new();
        for handed in dealt(&self.share.tcp, n, workers) {
            let again = handed.try_clone().and_then(|tcp| tcp.set_nonblocking(true).map(|()| tcp));
            tcp.push(again.map_err(CannotRun::start)?);
        }
        if self.share.tcp.is_empty() {
            tcp.push(self.open_tcp()?);
        }
        let mut udp = Vec::new();
        for handed in dealt(&self.share.udp, n, workers) {
            udp.push(handed.try_clone().map_err(CannotRun::start)?);
        }
        if service == Service::Plain && self.share.udp.is_empty() {
            let socket = bind(addr, Type::DGRAM, true);
            udp.push(socket.map_err(|why| cannot_bind(addr, "UDP", why))?.into());
        }
        for udp in &udp {
            self.make_ready(&SockRef::from(udp)).map_err(|why| cannot_bind(addr, "UDP", why))?;
        }
        let (mut udp, mut tcp) = (udp.into_iter(), tcp.into_iter());
        let pairs = std::iter::from_fn(|| match (udp.next(), tcp.next()) {
            (None, None) => None,
            (udp, tcp) => Some(Opened { udp, tcp, service, wildcard }),
        });
        Ok(pairs.collect())
    }

    fn open_tcp(&self) -> Result<TcpListener, CannotRun> {
        let tcp = bind(self.addr, Type::STREAM, true)
            .and_then(|tcp| tcp.set_nonblocking(true).map(|()| tcp))
            .and_then(|tcp| tcp.listen(BACKLOG).map(|()| tcp));
        tcp.map(Into::into).map_err(|why| cannot_bind(self.addr, self.service.over_streams(), why))
    }

    fn make_ready(&self, udp: &Socket) -> io::Result<()> {
        let addr = self.addr;
        prepare(udp, LISTENER_BUFFER)?;
        if addr.ip().is_unspecified() {
            report_local(udp, addr.is_ipv6())?;
        }
        if let Some(Err(error)) = self.steering.as_ref().map(|steering| steering.attach(udp)) {
            let text = format!("questions at {addr} are dealt by sender: {error}");
            self.reporter.line(Level::DEBUG, "dealt_by_sender", text);
        }
        Ok(())
    }

    /// Whether the sockets here were handed over, and somebody else's as well.
    pub fn is_handed(&self) -> bool {
        !self.share.udp.is_empty() || !self.share.tcp.is_empty()
    }
}

impl Service {
    fn over_streams(self) -> &'static str {
        match self {
            Service::Plain => "TCP",
            Service::Tls => "TLS",
        }
    }
}

fn bind(addr: SocketAddr, kind: Type, shared: bool) -> io::Result<Socket> {
    let protocol = if kind == Type::DGRAM { Protocol::UDP } else { Protocol::TCP };
    let socket = Socket::new(Domain::for_address(addr), kind, Some(protocol))?;
    if addr.is_ipv6() {
        // [::]:53 and 0.0.0.0:53 are two listeners.
        socket.set_only_v6(true)?;
    }
    if kind == Type::STREAM {
        // Connections of an earlier run that linger are no reason to wait.
        socket.set_reuse_address(true)?;
    }
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&addr.into())?;
    Ok(socket)
}

fn prepare(socket: &Socket, buffer: usize) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    // As much as the system allows; less is no error.
    let _ = socket.set_recv_buffer_size(buffer);
    let _ = socket.set_send_buffer_size(buffer);
    Ok(())
}

fn cannot_bind(addr: SocketAddr, how: &str, why: io::Error) -> CannotRun {
    let remedy = match why.kind() {
        io::ErrorKind::AddrInUse => {
            format!("stop what listens there (ss -lunpt 'sport = :{}'), or choose another address with --listen; one of the same user can be replaced with --take-over", addr.port())
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need root or CAP_NET_BIND_SERVICE; or choose a higher port with --listen".into()
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this host has that address; choose another with --listen".into()
        }
        _ => "choose another address with --listen".into(),
    };
    CannotRun { what: format!("cannot listen on {addr} ({how})"), why, remedy }
}

/// Opens a datagram socket to a server, on a random port (U2).
pub fn open_link(server: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(server), Type::DGRAM, Some(Protocol::UDP))?;
    prepare(&socket, LINK_BUFFER)?;
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // The system's own choice comes from half the range that RFC 5452, 4.5
    // asks for, so we choose; it only steps in if ours are taken.
    let chosen = (0..PORT_TRIES).any(|_| {
        let port = rand::rng().random_range(1024..=u16::MAX);
        socket.bind(&SocketAddr::new(any, port).into()).is_ok()
    });
    if !chosen {
        socket.bind(&SocketAddr::new(any, 0).into())?;
    }
    socket.connect(&SockAddr::from(server))?;
    Ok(socket.into())
}

#[cfg(test)]
pub(super) mod tests;
