//! A service manager that speaks `sd_notify`: readiness, reloads, the watchdog, and
//! the end.

use crate::client::{answer, whole};
use crate::process::{Daemon, Directory, PATIENCE, own_port, program};
use crate::reload::corefile;
use crate::upstream::Upstream;
use std::os::unix::net::UnixDatagram;

/// What the manager is told next that has this word in it.
fn told(socket: &UnixDatagram, word: &str) -> String {
    let mut packet = [0; 4096];
    // One message a second is the watchdog's.
    for _ in 0..100 {
        let len = socket.recv(&mut packet).expect(word);
        let text = String::from_utf8_lossy(&packet[..len]).into_owned();
        if text.lines().any(|line| line.starts_with(word)) {
            return text;
        }
    }
    panic!("the manager is not told {word}");
}

#[test]
fn the_manager_is_told_of_start_reload_health_and_end() {
    let directory = Directory::new("manager");
    let path = directory.0.join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (a, b) = (Upstream::start('a'), Upstream::start('b'));
    let (at, admin) = (own_port(8), own_port(9));
    let file = directory.write("Corefile", &corefile(at, admin, &[&a]));
    let mut command = program();
    command.arg("--config").arg(&file);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "600000");
    let mut daemon = Daemon::run(command);
    let serving = "STATUS=serving 1 zone from 1 cluster";
    assert!(told(&socket, "READY=1").contains(serving));
    told(&socket, "WATCHDOG=1");
    told(&socket, "WATCHDOG=1");

    daemon.signal("HUP");
    assert!(told(&socket, "RELOADING=1").contains("MONOTONIC_USEC="));
    assert!(told(&socket, "READY=1").contains(serving));
    directory.write("Corefile", &corefile(at, admin, &[&a, &b]));
    assert!(told(&socket, "STATUS=").contains("from 2 clusters"));
    assert_eq!(answer(daemon.addr(), "one"), whole("one"));
    directory.write("Corefile", "nothing {\n");
    assert!(told(&socket, "STATUS=").contains("; last change refused: "));

    daemon.signal("TERM");
    assert!(told(&socket, "STOPPING=1").contains("STATUS=stops when"));
    assert_eq!(daemon.ended().code(), Some(0));
}
