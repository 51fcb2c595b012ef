//! Sockets that were open before this process was (socket activation): systemd,
//! or whoever else speaks its protocol, binds them, keeps them, and hands them
//! over with `LISTEN_FDS`. What comes while nobody serves waits in them.
//!
//! Each belongs to the listening address it is bound to. One socket can serve
//! all workers, who then read it in turns; of several with the same address
//! (`ReusePort=`) every worker reads its share, so that none is left unread.

use super::CannotRun;
use super::sockets::Service;
use socket2::SockRef;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

/// A socket as it was handed over.
enum One {
    Udp(UdpSocket),
    Tcp(TcpListener),
}

/// All that were.
#[derive(Default)]
pub struct Handed(Vec<(SocketAddr, One)>);

/// Those of one listening address.
#[derive(Default)]
pub struct Share {
    /// For datagrams.
    pub udp: Vec<UdpSocket>,
    /// For streams.
    pub tcp: Vec<TcpListener>,
}

impl Handed {
    /// Takes what the environment says was handed over. Once: the words are
    /// taken out of the environment.
    pub fn take() -> Result<Self, CannotRun> {
        let mut from = listenfd::ListenFd::from_env();
        let mut all = Vec::new();
        for n in 0..from.len() {
            let one = match from.take_udp_socket(n) {
                Ok(socket) => socket.map(One::Udp),
                Err(_) => from.take_tcp_listener(n).map_err(unusable)?.map(One::Tcp),
            };
            let Some(one) = one else { continue };
            let addr = one.addr().map_err(unusable)?;
            one.fit(addr).map_err(unusable)?;
            all.push((addr, one));
        }
        Ok(Handed(all))
    }

    /// Where they are bound, each address once.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let mut found = Vec::new();
        for &(addr, _) in &self.0 {
            if !found.contains(&addr) {
                found.push(addr);
            }
        }
        found
    }

    /// Those of a listening address, once more.
    pub fn share(&self, addr: SocketAddr, service: Service) -> io::Result<Share> {
        let mut share = Share::default();
        for (_, one) in self.0.iter().filter(|(bound, _)| *bound == addr) {
            match one {
                One::Udp(udp) if service == Service::Plain => share.udp.push(udp.try_clone()?),
                One::Udp(_) => {}
                One::Tcp(tcp) => share.tcp.push(tcp.try_clone()?),
            }
        }
        Ok(share)
    }

    /// Every socket has to be read by somebody: one that is not would swallow
    /// questions.
    pub fn are_used(&self, places: &[(SocketAddr, Service)]) -> Result<(), CannotRun> {
        for (addr, one) in &self.0 {
            let serves = |&(place, service): &(SocketAddr, Service)| {
                place == *addr && (service == Service::Plain || matches!(one, One::Tcp(_)))
            };
            if !places.iter().any(serves) {
                return Err(CannotRun {
                    what: format!("the socket {addr} ({}) was handed over", one.kind()),
                    why: io::Error::other("nothing is served there"),
                    remedy: "listen there too, or take its line out of the socket unit".into(),
                });
            }
        }
        Ok(())
    }
}

impl One {
    fn kind(&self) -> &'static str {
        match self {
            One::Udp(_) => "UDP",
            One::Tcp(_) => "TCP",
        }
    }

    fn addr(&self) -> io::Result<SocketAddr> {
        match self {
            One::Udp(udp) => udp.local_addr(),
            One::Tcp(tcp) => tcp.local_addr(),
        }
    }

    /// [::] and 0.0.0.0 are two listeners, and a stream socket has to listen.
    fn fit(&self, addr: SocketAddr) -> io::Result<()> {
        let socket = match self {
            One::Udp(udp) => SockRef::from(udp),
            One::Tcp(tcp) => SockRef::from(tcp),
        };
        if addr.is_ipv6() && addr.ip().is_unspecified() && !socket.only_v6()? {
            let remedy = "takes IPv4 as well: BindIPv6Only=ipv6-only, and a line for 0.0.0.0";
            return Err(io::Error::other(format!("{addr} ({}) {remedy}", self.kind())));
        }
        if matches!(self, One::Tcp(_)) && !socket.is_listener()? {
            return Err(io::Error::other(format!("{addr} (TCP) does not listen: Accept=no")));
        }
        Ok(())
    }
}

fn unusable(why: io::Error) -> CannotRun {
    CannotRun {
        what: "cannot use a socket that was handed over".into(),
        why,
        remedy: "see the socket unit: UDP and TCP sockets with IP addresses are used".into(),
    }
}

/// Those of `all` that worker `n` of `workers` reads: its share of many, or one
/// that others read as well.
pub fn dealt<T>(all: &[T], n: usize, workers: usize) -> Vec<&T> {
    if all.len() <= workers {
        return all.get(n % all.len().max(1)).into_iter().collect();
    }
    all.iter().skip(n).step_by(workers.max(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_socket_has_a_worker_and_every_worker_a_socket() {
        for sockets in 1..9 {
            for workers in 1..9 {
                let all: Vec<usize> = (0..sockets).collect();
                let dealt: Vec<_> = (0..workers).map(|n| dealt(&all, n, workers)).collect();
                assert!(dealt.iter().all(|own| !own.is_empty()), "{sockets} {workers}");
                let read: HashSet<_> = dealt.into_iter().flatten().collect();
                assert_eq!(read.len(), sockets, "{sockets} {workers}");
            }
        }
        assert!(dealt::<usize>(&[], 0, 2).is_empty());
    }

    fn udp() -> (SocketAddr, UdpSocket) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        (socket.local_addr().unwrap(), socket)
    }

    #[test]
    fn a_socket_serves_the_address_that_it_is_bound_to() {
        let stream = TcpListener::bind("127.0.0.1:0").unwrap();
        let b = stream.local_addr().unwrap();
        // The port of the one may be in use for the other.
        let both = (0..20).find_map(|_| {
            let (a, datagrams) = udp();
            Some((a, datagrams, TcpListener::bind(a).ok()?))
        });
        let (a, datagrams, streams) = both.unwrap();
        let all = vec![(a, One::Udp(datagrams)), (a, One::Tcp(streams)), (b, One::Tcp(stream))];
        let handed = Handed(all);
        assert_eq!(handed.addresses(), [a, b]);
        let count = |addr, service| {
            let share = handed.share(addr, service).unwrap();
            (share.udp.len(), share.tcp.len())
        };
        assert_eq!(count(a, Service::Plain), (1, 1));
        assert_eq!(count(a, Service::Tls), (0, 1), "TLS is not served over UDP");
        assert_eq!(count(b, Service::Plain), (0, 1));
        let (elsewhere, _) = udp();
        assert_eq!(count(elsewhere, Service::Plain), (0, 0));
        let (plain, tls) = (Service::Plain, Service::Tls);
        let unused = |places: &[_]| handed.are_used(places).map_err(|error| error.what);
        assert_eq!(unused(&[(a, plain), (b, plain)]), Ok(()));
        assert_eq!(unused(&[(b, tls), (a, plain)]), Ok(()));
        assert_eq!(unused(&[(a, plain)]), Err(format!("the socket {b} (TCP) was handed over")));
        let of_a = format!("the socket {a} (UDP) was handed over");
        assert_eq!(unused(&[(a, tls), (b, plain)]), Err(of_a));
    }

    #[test]
    fn a_socket_that_could_not_be_served_from_is_refused_with_a_remedy() {
        let told = |one: One| {
            let addr = one.addr().unwrap();
            one.fit(addr).map_err(|error| error.to_string().replace(&addr.to_string(), "ADDR"))
        };
        let (_, datagrams) = udp();
        assert_eq!(told(One::Udp(datagrams)), Ok(()));
        assert_eq!(told(One::Tcp(TcpListener::bind("127.0.0.1:0").unwrap())), Ok(()));
        let domain = socket2::Domain::IPV4;
        let idle = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
        idle.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let idle = One::Tcp(idle.into());
        assert_eq!(told(idle), Err("ADDR (TCP) does not listen: Accept=no".into()));
        let any_v6 = |only_v6| {
            let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None);
            let socket = socket?;
            socket.set_only_v6(only_v6)?;
            socket.bind(&SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0)).into())?;
            io::Result::Ok(One::Udp(socket.into()))
        };
        // A host may have no IPv6.
        if let (Ok(both), Ok(own)) = (any_v6(false), any_v6(true)) {
            assert!(told(both).unwrap_err().contains("BindIPv6Only=ipv6-only"));
            assert_eq!(told(own), Ok(()));
        }
    }
}
