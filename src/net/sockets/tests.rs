//! Real sockets on loopback, in the order in which a daemon makes them.

use super::*;
use crate::tell::Desk;
use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

/// A port that is free over UDP and TCP, at a loopback address of this process. A
/// link on every address of the host may have one of the ports.
pub fn own(number: u8) -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    let at = |port| SocketAddr::from(([127, 32 + number, high, low], port));
    let is_free =
        |addr: &SocketAddr| UdpSocket::bind(addr).is_ok() && TcpListener::bind(addr).is_ok();
    (5300..5320).map(at).find(is_free).expect("a free port")
}

fn listen(addrs: &[SocketAddr], shared: bool) -> Result<Vec<Listener>, CannotRun> {
    let settings = Settings { listen: addrs.to_vec(), ..Settings::default() };
    let entrance = Entrance { handed: Handed::default(), take_over: shared };
    bind_all(&settings, &entrance, &[], Desk::open().unwrap().reporter())
}

fn alone(addr: SocketAddr) -> Result<Vec<Opened>, CannotRun> {
    let listeners = listen(&[addr], false)?;
    assert_eq!(listeners.len(), 1);
    listeners[0].open(0)
}

#[test]
fn every_address_of_both_families_has_listeners_of_its_own_at_one_port() {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return; // This host has no IPv6.
    }
    // Others may be about to use a port that is free.
    let free = (0..20).find_map(|_| {
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?.local_addr().ok()?;
        let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, free.port()));
        let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, free.port()));
        let listeners = listen(&[v4, v6], false).ok()?;
        let opened = listeners.iter().map(|listener| listener.open(0));
        let opened: Result<Vec<_>, _> = opened.collect();
        Some((v4, v6, opened.ok()?.into_iter().flatten().collect::<Vec<_>>()))
    });
    let (v4, v6, opened) = free.unwrap();
    let bound = |opened: &Opened| {
        let udp = opened.udp.as_ref().unwrap().local_addr().unwrap();
        let tcp = opened.tcp.as_ref().unwrap().local_addr().unwrap();
        assert!(opened.wildcard);
        [udp, tcp]
    };
    assert_eq!(opened.iter().map(bound).collect::<Vec<_>>(), [[v4; 2], [v6; 2]]);
}

#[test]
fn a_port_that_another_process_has_is_not_shared_unawares() {
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = udp.local_addr().unwrap();
    let error = alone(taken).map(drop).unwrap_err();
    assert_eq!(error.what, format!("cannot listen on {taken} (UDP)"));
    assert_eq!(error.why.kind(), io::ErrorKind::AddrInUse);
    assert!(error.remedy.contains("ss -lunpt"), "{}", error.remedy);
    let taken = own(3);
    let _tcp = TcpListener::bind(taken).unwrap();
    let error = alone(taken).map(drop).unwrap_err();
    assert_eq!(error.what, format!("cannot listen on {taken} (TCP)"));
    // Even if the other would share it.
    let first = listen(&[own(1)], false).unwrap().remove(0);
    let _serving = first.open(0).unwrap();
    assert!(alone(first.addr).is_err());
    assert!(listen(&[first.addr], true).is_ok(), "except to take over");
}

#[test]
fn connections_that_linger_do_not_keep_a_port() {
    let addr = own(2);
    let opened = alone(addr).unwrap();
    let tcp = opened[0].tcp.as_ref().unwrap();
    tcp.set_nonblocking(false).unwrap();
    let mut client = TcpStream::connect(addr).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // The side that closes first is in TIME_WAIT.
    drop(tcp.accept().unwrap());
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    drop((client, opened));
    alone(addr).unwrap();
}

#[test]
fn a_port_that_the_system_chooses_is_one_for_udp_and_tcp() {
    let listeners = listen(&["127.0.0.1:0".parse().unwrap()], false).unwrap();
    let addr = listeners[0].addr;
    assert_ne!(addr.port(), 0);
    let opened = listeners[0].open(0).unwrap();
    assert_eq!(opened[0].udp.as_ref().unwrap().local_addr().unwrap(), addr);
    assert_eq!(opened[0].tcp.as_ref().unwrap().local_addr().unwrap(), addr);
    assert!(!opened[0].wildcard);
    // Nothing has come, and nobody waits for it.
    let nothing = opened[0].udp.as_ref().unwrap().recv(&mut [0]).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn u2_links_have_random_ports_of_the_whole_range_and_hear_their_server_alone() {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let links: Vec<_> = (0..64).map(|_| open_link(server.local_addr().unwrap()).unwrap()).collect();
    let ports: Vec<_> = links.iter().map(|link| link.local_addr().unwrap().port()).collect();
    assert!(ports.iter().all(|&port| port >= 1024), "{ports:?}");
    // The system's own choices are above 32,767; half of all are not.
    assert!(ports.iter().any(|&port| port < 32_768), "{ports:?}");
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let link = &links[0];
    let there = SocketAddr::from((Ipv4Addr::LOCALHOST, link.local_addr().unwrap().port()));
    stranger.send_to(b"forged", there).unwrap();
    server.send_to(b"true", there).unwrap();
    link.set_nonblocking(false).unwrap();
    link.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut packet = [0; 16];
    let len = link.recv(&mut packet).unwrap();
    assert_eq!(&packet[..len], b"true");
}
