//! Making sockets: listeners that workers share a port through, and links on
//! random ports.

use super::CannotRun;
use super::batch::report_local;
use super::steer::Steering;
use crate::config::Settings;
use rand::RngExt;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

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

/// A listening address that has been found free.
pub struct Listener {
    /// Where; with the port filled in.
    pub addr: SocketAddr,
    /// What is served there.
    pub service: Service,
    steering: Steering,
}

/// A worker's own sockets on one listening address.
pub struct Opened {
    /// For datagrams, unless it is a place of TLS.
    pub udp: Option<UdpSocket>,
    /// For streams.
    pub tcp: TcpListener,
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
        Ok(Opened { udp, tcp: tcp.try_clone()?, service, wildcard })
    }
}

/// Finds every address free, or says which is not and what to do. Those `held`
/// are this process's own already.
pub fn bind_all(
    settings: &Settings,
    held: &[(SocketAddr, Service)],
) -> Result<Vec<Listener>, CannotRun> {
    let workers = settings.workers.get();
    let listen = places(settings);
    let mut found = Vec::new();
    for &(addr, service) in &listen {
        if held.contains(&(addr, service)) {
            found.push(Listener { addr, service, steering: Steering::new(workers) });
            continue;
        }
        match Listener::probe(addr, service, workers) {
            // Every address of a host without IPv6 is every IPv4 address.
            Err(error) if error.is_unsupported() && has_v4_twin(&listen, (addr, service)) => {
                tracing::info!("this host has no IPv6: nothing listens on {addr}");
            }
            probed => found.push(probed?),
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
    fn probe(addr: SocketAddr, service: Service, workers: usize) -> Result<Self, CannotRun> {
        let named = |socket: &Socket| {
            socket.local_addr().ok().and_then(|bound| bound.as_socket()).unwrap_or(addr)
        };
        let steering = || Steering::new(workers);
        let mut tries = 0;
        loop {
            if service == Service::Tls {
                let tcp = bind(addr, Type::STREAM, false)
                    .and_then(|tcp| tcp.listen(1).map(|()| tcp))
                    .map_err(|why| cannot_bind(addr, "TLS", why))?;
                return Ok(Listener { addr: named(&tcp), service, steering: steering() });
            }
            let udp =
                bind(addr, Type::DGRAM, false).map_err(|why| cannot_bind(addr, "UDP", why))?;
            let bound = named(&udp);
            let tcp = bind(bound, Type::STREAM, false).and_then(|tcp| tcp.listen(1));
            match tcp {
                Ok(()) => return Ok(Listener { addr: bound, service, steering: steering() }),
                // A port the system picked for UDP may be another's for TCP.
                Err(_) if addr.port() == 0 && tries < PORT_TRIES => tries += 1,
                Err(why) => return Err(cannot_bind(bound, "TCP", why)),
            }
        }
    }

    /// Opens a worker's sockets here.
    pub fn open(&self) -> Result<Opened, CannotRun> {
        let Listener { addr, service, .. } = *self;
        let wildcard = addr.ip().is_unspecified();
        let tcp = bind(addr, Type::STREAM, true)
            .and_then(|tcp| tcp.set_nonblocking(true).map(|()| tcp))
            .and_then(|tcp| tcp.listen(BACKLOG).map(|()| tcp))
            .map_err(|why| cannot_bind(addr, "TCP", why))?;
        if service == Service::Tls {
            return Ok(Opened { udp: None, tcp: tcp.into(), service, wildcard });
        }
        let udp = bind(addr, Type::DGRAM, true).map_err(|why| cannot_bind(addr, "UDP", why))?;
        prepare(&udp, LISTENER_BUFFER)
            .and_then(|()| if wildcard { report_local(&udp, addr.is_ipv6()) } else { Ok(()) })
            .map_err(|why| cannot_bind(addr, "UDP", why))?;
        if let Err(error) = self.steering.attach(&udp) {
            tracing::debug!("questions at {addr} are dealt by sender: {error}");
        }
        Ok(Opened { udp: Some(udp.into()), tcp: tcp.into(), service, wildcard })
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
            format!("stop what listens there (ss -lunpt 'sport = :{}'), or choose another address with --listen", addr.port())
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
