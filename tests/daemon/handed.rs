//! Sockets that were open before the daemon was: somebody else binds them, keeps
//! them, and hands them over with `LISTEN_FDS`. They are numbers 3 and 4 of the
//! process, where a shell puts them.

use crate::client::{Stream, answer, query, whole};
use crate::common::text::shown;
use crate::process::{Daemon, Directory, PATIENCE, own_port, zone};
use crate::reload::corefile;
use crate::upstream::Upstream;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

/// What the daemon would write to standard output goes to standard error.
const SHELL: &str = r#"exec 3<&0 4<&1 </dev/null 1>&2
export LISTEN_PID=$$ LISTEN_FDS=2
exec "$0" "$@""#;

fn start(udp: &UdpSocket, tcp: &TcpListener, clusters: &[&Upstream], flags: &[&str]) -> Daemon {
    let mut command = Command::new("sh");
    command.args(["-c", SHELL, env!("CARGO_BIN_EXE_gathersrv")]).args(zone(clusters)).args(flags);
    command.stdin(OwnedFd::from(udp.try_clone().unwrap()));
    command.stdout(OwnedFd::from(tcp.try_clone().unwrap())).stderr(Stdio::piped());
    Daemon::run(command)
}

#[test]
fn what_comes_while_nobody_serves_waits_in_the_sockets() {
    let (a, b) = (Upstream::start('a'), Upstream::start('b'));
    let at = own_port(11);
    let (udp, tcp) = (UdpSocket::bind(at).unwrap(), TcpListener::bind(at).unwrap());
    let mut first = start(&udp, &tcp, &[&a, &b], &["--workers", "2"]);
    assert_eq!(first.addr(), at);
    for n in 0..8 {
        let name = format!("name-{n}");
        assert_eq!(answer(at, &name), whole(&name));
    }
    let mut stream = Stream::open(at);
    stream.send(&[query(1, "one")]);
    assert_eq!(shown(&stream.receive().unwrap()), whole("one"));
    drop(stream);
    first.signal("TERM");
    assert_eq!(first.ended().code(), Some(0));
    for event in ["ports_left", "ports_not_left", "ports_ours"] {
        assert_eq!(first.events(event), [] as [serde_json::Value; 0], "they are not its own");
    }

    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(&query(2, "two"), at).unwrap();
    let mut stream = Stream::open(at);
    stream.send(&[query(3, "three")]);
    let _second = start(&udp, &tcp, &[&a, &b], &["--workers", "2"]);
    let mut packet = [0; 4096];
    let len = client.recv(&mut packet).expect("an answer");
    assert_eq!(shown(&packet[..len]), whole("two"));
    assert_eq!(shown(&stream.receive().unwrap()), whole("three"));
}

#[test]
fn a_socket_that_nobody_would_read_is_a_mistake() {
    let a = Upstream::start('a');
    let at = own_port(12);
    let (udp, tcp) = (UdpSocket::bind(at).unwrap(), TcpListener::bind(at).unwrap());
    let mut command = Command::new("sh");
    command.args(["-c", SHELL, env!("CARGO_BIN_EXE_gathersrv")]).args(zone(&[&a]));
    command.args(["--listen", "127.0.0.1:0"]);
    command.stdin(OwnedFd::from(udp)).stdout(OwnedFd::from(tcp)).stderr(Stdio::piped());
    let done = command.output().unwrap();
    let told = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("the socket {at} (UDP) was handed over")), "{told}");
}

#[test]
fn a_change_that_would_leave_a_handed_socket_unread_is_refused() {
    let a = Upstream::start('a');
    let (at, admin) = (own_port(16), own_port(17));
    let (udp, tcp) = (UdpSocket::bind(at).unwrap(), TcpListener::bind(at).unwrap());
    let directory = Directory::new("handed");
    let path = directory.write("Corefile", &corefile(at, admin, &[&a]));
    let mut command = Command::new("sh");
    command.args(["-c", SHELL, env!("CARGO_BIN_EXE_gathersrv"), "--config"]).arg(&path);
    command.stdin(OwnedFd::from(udp.try_clone().unwrap()));
    command.stdout(OwnedFd::from(tcp.try_clone().unwrap())).stderr(Stdio::piped());
    let daemon = Daemon::run(command);
    directory.write("Corefile", &corefile(own_port(18), admin, &[&a]));
    let refused = daemon.event("reload_refused");
    let told = format!("the socket {at} (UDP) was handed over");
    assert!(refused["message"].as_str().unwrap().contains(&told), "{refused}");
    assert_eq!(answer(at, "one"), whole("one")[..3], "it serves as before");
}
