//! Whom a request is meant for. A page of a stranger can have its own name lead
//! to loopback, and then the operator's browser reads the daemon's status for it
//! (DNS rebinding); the `Host` it sends is the stranger's name all the same.

use hyper::header::{HOST, HeaderMap};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What to do about a request that is not answered.
pub const REMEDY: &str = "on loopback only an address or localhost is answered: open \
    http://127.0.0.1 with this port, or have your proxy send that as Host\n";

/// It is an address or `localhost`, with a port or without.
fn is_ours(host: &str) -> bool {
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    host.parse::<SocketAddr>().is_ok()
        || host.parse::<IpAddr>().is_ok()
        || bracketed.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok())
        || name.eq_ignore_ascii_case("localhost")
}

/// Whether a request that came to this address may be answered. Away from
/// loopback the name is whatever the network calls the host.
pub fn is_meant(local: Option<IpAddr>, headers: &HeaderMap) -> bool {
    let loopback = local.is_some_and(|local| local.to_canonical().is_loopback());
    // Who sends none is no browser.
    !loopback || headers.get_all(HOST).iter().all(|host| host.to_str().is_ok_and(is_ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(local: &str, host: &[u8]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, hyper::header::HeaderValue::from_bytes(host).unwrap());
        is_meant(local.parse().ok(), &headers)
    }

    #[test]
    fn a_strangers_name_that_led_to_loopback_was_answered() {
        for host in [
            "evil.example",
            "evil.example:9153",
            "localhost.evil.example",
            "",
            "127.0.0.1.evil.example",
            "evil.example@127.0.0.1.nip.io",
            "127.0.0.1:9153:9153",
            "[::1].evil.example",
        ] {
            assert!(!may("127.0.0.1", host.as_bytes()), "{host}");
            assert!(!may("::1", host.as_bytes()), "{host}");
            assert!(!may("::ffff:127.0.0.1", host.as_bytes()), "{host}");
            assert!(may("10.0.0.53", host.as_bytes()), "{host}: not on loopback");
        }
        assert!(!may("127.0.0.1", b"\xff"));
        for host in [
            "127.0.0.1",
            "127.0.0.1:9153",
            "[::1]",
            "[::1]:80",
            "localhost",
            "LocalHost:1",
            "10.0.0.1:80",
        ] {
            assert!(may("127.0.0.1", host.as_bytes()), "{host}");
        }
        assert!(is_meant("127.0.0.1".parse().ok(), &HeaderMap::new()), "none");
    }
}
