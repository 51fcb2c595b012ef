//! Sockets of loopback on both sides.

use super::*;
use std::os::fd::AsFd;

fn parcels(count: usize, to: Option<SocketAddr>) -> impl Iterator<Item = Parcel> {
    (0..count).map(move |n| Parcel { octets: n..n + 1, to, from: None })
}

#[test]
fn more_than_a_batch_is_sent_and_received_whole() {
    let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let buffer: Vec<u8> = (0..150).collect();
    let sent =
        Outlet::default().send(a.as_fd(), &buffer, parcels(150, Some(b.local_addr().unwrap())));
    assert_eq!(sent, Sent { taken: 150, ..Sent::default() });
    let mut inbox = Inbox::default();
    let mut seen: Vec<u8> = Vec::new();
    while seen.len() < 150 {
        for n in 0..inbox.receive(b.as_fd()).unwrap() {
            let datagram = inbox.get(n).unwrap();
            assert_eq!(datagram.from, Some(a.local_addr().unwrap()));
            seen.extend(datagram.octets);
        }
    }
    assert_eq!(seen, buffer);
    assert!(inbox.receive(b.as_fd()).is_err());
    assert!(inbox.get(0).is_none());
}

#[test]
fn a_parcel_that_cannot_be_sent_does_not_keep_the_others() {
    let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let good = Some(b.local_addr().unwrap());
    // An IPv4 socket cannot send to IPv6.
    let bad = Some("[::1]:9".parse().unwrap());
    let list = [good, bad, good].map(|to| Parcel { octets: 0..1, to, from: None });
    let sent = Outlet::default().send(a.as_fd(), b"x", list.into_iter());
    assert_eq!((sent.taken, sent.lost), (2, 1));
}

#[test]
fn an_icmp_error_is_reported_and_the_datagram_sent_again() {
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(gone).unwrap();
    let mut outlet = Outlet::default();
    let first = outlet.send(socket.as_fd(), b"x", parcels(1, None));
    assert_eq!((first.taken, first.refused), (1, false));
    let second = outlet.send(socket.as_fd(), b"x", parcels(1, None));
    assert_eq!((second.taken, second.refused), (1, true));
}

/// A socket on all addresses, which is told the one that each datagram came to.
fn everywhere() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    report_local(&socket2::SockRef::from(&socket), false).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// Waits for a datagram, and takes it.
fn take(inbox: &mut Inbox, socket: &UdpSocket) {
    socket.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    socket.peek(&mut [0; 1]).unwrap();
    assert_eq!(inbox.receive(socket.as_fd()).unwrap(), 1);
}

#[test]
fn a_datagram_says_which_address_it_was_sent_to() {
    let (here, port) = everywhere();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut inbox = Inbox::default();
    for last in [3, 2] {
        let to = Ipv4Addr::new(127, 0, 0, last);
        client.send_to(b"x", (to, port)).unwrap();
        take(&mut inbox, &here);
        assert_eq!(inbox.get(0).unwrap().local, Some(to.into()));
    }
    // Nobody has asked for it.
    client.send_to(b"x", client.local_addr().unwrap()).unwrap();
    take(&mut inbox, &client);
    assert_eq!(inbox.get(0).unwrap().local, None);
}

#[test]
fn an_answer_comes_from_the_address_that_was_asked() {
    let (here, port) = everywhere();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    let to = Some(client.local_addr().unwrap());
    let mut outlet = Outlet::default();
    // The last in the place of one that named its address.
    for (from, seen) in [(Some([127, 0, 0, 2]), 2), (Some([127, 0, 0, 3]), 3), (None, 1)] {
        let parcel = Parcel { octets: 0..1, to, from: from.map(IpAddr::from) };
        let sent = outlet.send(here.as_fd(), b"x", std::iter::once(parcel));
        assert_eq!(sent, Sent { taken: 1, ..Sent::default() });
        let (_, from) = client.recv_from(&mut [0; 8]).unwrap();
        assert_eq!(from, SocketAddr::from((Ipv4Addr::new(127, 0, 0, seen), port)));
    }
}

#[test]
fn a_datagram_larger_than_any_taken_is_marked_as_cut() {
    let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let mut inbox = Inbox::default();
    for (size, cut) in [(DATAGRAM - 1, false), (DATAGRAM, false), (DATAGRAM + 1, true), (1, false)]
    {
        a.send_to(&vec![7; size], b.local_addr().unwrap()).unwrap();
        take(&mut inbox, &b);
        let datagram = inbox.get(0).unwrap();
        assert_eq!((datagram.octets.len(), datagram.cut), (size.min(DATAGRAM), cut), "{size}");
    }
}

#[test]
fn what_has_no_room_is_left_and_can_be_sent_when_there_is() {
    // Datagrams between local sockets wait in the sender's buffer until they are
    // read: a socket that is full, without a network.
    let (a, b) = std::os::unix::net::UnixDatagram::pair().unwrap();
    b.set_nonblocking(true).unwrap();
    let count = 100_000;
    let mut outlet = Outlet::default();
    let first = outlet.send(a.as_fd(), b"x", (0..count).map(|_| whole()));
    assert!(first.taken > 0 && first.taken < count, "{first:?}");
    assert_eq!((first.lost, first.refused), (0, false));
    let again = outlet.send(a.as_fd(), b"x", std::iter::once(whole()));
    assert_eq!(again, Sent::default());
    let mut read = 0;
    while b.recv(&mut [0; 8]).is_ok() {
        read += 1;
    }
    assert_eq!(read, first.taken);
    let last = outlet.send(a.as_fd(), b"x", std::iter::once(whole()));
    assert_eq!(last, Sent { taken: 1, ..Sent::default() });
}

fn whole() -> Parcel {
    Parcel { octets: 0..1, to: None, from: None }
}
