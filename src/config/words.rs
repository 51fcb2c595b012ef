//! Single words of the configuration: names, prefixes, server addresses.
//!
//! Shared by flags and configuration files, so that a word means the same in
//! both and is refused with the same sentence.

use super::ConfigError;
use super::server::{Server, ServerOptions, Tls};
use crate::wire::name::Suffix;
use domain::base::Name;
use ipnet::IpNet;
use rustls_pki_types::ServerName;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The port of DNS (RFC 1035, 4.2).
pub const DNS_PORT: u16 = 53;

/// Where CoreDNS serves its metrics, and so where scrapers look.
const ADMIN_PORT: u16 = 9153;

/// The port of DNS over TLS (RFC 7858, 3.1).
pub const TLS_PORT: u16 = 853;

/// What a server over TLS begins with.
const TLS_SCHEME: &str = "tls://";

/// The longest prefix: one octet of the label must remain for the name.
pub const MAX_PREFIX: usize = 62;

fn error(place: &str, wrong: String, remedy: &str) -> ConfigError {
    ConfigError { place: place.into(), wrong, remedy: remedy.into() }
}

/// Reads a domain name; a final dot may be left out.
pub fn name(place: &str, word: &str) -> Result<Suffix, ConfigError> {
    let remedy = "write a domain name such as 'distributed.local.'";
    if word.is_empty() {
        return Err(error(place, "the name is empty".into(), remedy));
    }
    let parsed = Name::<Vec<u8>>::from_str(word)
        .map_err(|e| error(place, format!("'{word}' is not a domain name ({e})"), remedy))?;
    Suffix::new(parsed.as_slice())
        .map_err(|_| error(place, format!("'{word}' is not a domain name"), remedy))
}

/// Reads a cluster's prefix.
pub fn prefix(place: &str, word: &str) -> Result<Box<[u8]>, ConfigError> {
    let remedy = "write the start of a label, such as 'a-'";
    let octets = word.as_bytes();
    let wrong = if octets.is_empty() {
        "the prefix is empty".to_string()
    } else if octets.len() > MAX_PREFIX {
        format!("the prefix has {} octets, and a label has room for {MAX_PREFIX}", octets.len())
    } else if octets[0] == b'_' {
        format!("the prefix '{word}' begins with '_', and labels that do are never prefixed")
    } else if let Some(&bad) =
        octets.iter().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_')))
    {
        let bad = bad.escape_ascii();
        format!("the prefix '{word}' has '{bad}' in it, and hostnames are letters, digits and '-'")
    } else if octets[0] == b'-' {
        format!("the prefix '{word}' begins with '-', and a hostname may not")
    } else {
        return Ok(octets.into());
    };
    Err(error(place, wrong, remedy))
}

/// Reads an address; the port may be left out.
fn address(word: &str, port: u16) -> Option<SocketAddr> {
    let bare = || word.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port));
    let bracketed = || {
        let inner = word.strip_prefix('[')?.strip_suffix(']')?;
        Some(SocketAddr::new(inner.parse::<Ipv6Addr>().ok()?.into(), port))
    };
    word.parse::<SocketAddr>().ok().or_else(bare).or_else(bracketed)
}

/// Reads a server: an address, or `tls://ADDRESS#NAME`. The port is 53, or 853,
/// if left out; without a name its certificate has to be for the address.
pub fn server(place: &str, word: &str) -> Result<Server, ConfigError> {
    let (secure, rest) = match word.strip_prefix(TLS_SCHEME) {
        Some(rest) => (true, rest),
        None => (false, word),
    };
    let (text, name) = match rest.split_once('#') {
        Some((text, name)) if secure => (text, Some(name)),
        _ => (rest, None),
    };
    let remedy = if secure {
        "write it as 'tls://10.8.0.1:853#NAME', with the name in the server's certificate"
    } else {
        "write a server as '10.8.0.1', '10.8.0.1:53', '2001:db8::1' or '[2001:db8::1]:53'"
    };
    let wrong = match address(text, if secure { TLS_PORT } else { DNS_PORT }) {
        None => format!("'{text}' is not an IP address"),
        Some(addr) if addr.port() == 0 => {
            format!("'{word}' has port 0, where nothing can be asked")
        }
        Some(addr) if addr.ip().is_unspecified() || addr.ip().is_multicast() => {
            format!("'{word}' is not the address of one server")
        }
        Some(addr) if !secure => return Ok(addr.into()),
        Some(addr) => {
            let name = match name {
                None => Ok(ServerName::from(addr.ip())),
                Some(name) => ServerName::try_from(name.to_string()),
            };
            match name {
                Ok(name) => return Ok(Server { addr, tls: Some(Tls { name, ca: None }) }),
                Err(_) => format!("'{}' is no name of a host", name_of(rest)),
            }
        }
    };
    Err(error(place, wrong, remedy))
}

/// What stands behind the `#`.
fn name_of(rest: &str) -> &str {
    rest.split_once('#').map_or(rest, |(_, name)| name)
}

/// Reads a word with a `=` behind a cluster's servers.
pub fn server_option(
    place: &str,
    key: &str,
    value: &str,
    options: &mut ServerOptions,
) -> Result<(), ConfigError> {
    match (key, value) {
        ("ca", "") => Err(error(place, "'ca=' names no file".into(), "write ca=FILE")),
        ("ca", file) => {
            options.ca = Some(file.into());
            Ok(())
        }
        ("case", "random") => {
            options.random_case = true;
            Ok(())
        }
        ("case", "keep") => {
            options.random_case = false;
            Ok(())
        }
        ("case", _) => {
            Err(error(place, format!("'{value}' is no case"), "write case=random or case=keep"))
        }
        _ => {
            let wrong = format!("there is no option '{key}='");
            Err(error(place, wrong, "there are ca=FILE and case=random"))
        }
    }
}

/// Reads an address to listen on: as a server's, but any address of this host,
/// all of them included, and port 0 for one the system picks.
pub fn listen(place: &str, word: &str) -> Result<SocketAddr, ConfigError> {
    listen_at(place, word, DNS_PORT)
}

/// The same for TLS.
pub fn listen_tls(place: &str, word: &str) -> Result<SocketAddr, ConfigError> {
    listen_at(place, word, TLS_PORT)
}

/// The same for the admin server: port 9153, where CoreDNS has its metrics.
pub fn admin(place: &str, word: &str) -> Result<SocketAddr, ConfigError> {
    listen_at(place, word, ADMIN_PORT)
}

fn listen_at(place: &str, word: &str, port: u16) -> Result<SocketAddr, ConfigError> {
    address(word, port).ok_or_else(|| {
        error(
            place,
            format!("'{word}' is not an address to listen on"),
            &format!("write it as '127.0.0.1:{port}' or '[::1]:{port}'"),
        )
    })
}

/// Reads a network: an address, or an address and the bits that count.
pub fn network(place: &str, word: &str) -> Result<IpNet, ConfigError> {
    let single = || word.parse::<IpAddr>().ok().map(IpNet::from);
    word.parse::<IpNet>().ok().or_else(single).map(|net| net.trunc()).ok_or_else(|| {
        error(
            place,
            format!("'{word}' is not a network"),
            "write one such as '10.0.0.0/8', '2001:db8::/32' or '192.0.2.1'",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_have_port_53_unless_they_say_otherwise() {
        let read = |word: &str| server("--cluster", word).map(|addr| addr.to_string());
        assert_eq!(read("10.8.0.1").unwrap(), "10.8.0.1:53");
        assert_eq!(read("10.8.0.1:5353").unwrap(), "10.8.0.1:5353");
        assert_eq!(read("::1").unwrap(), "[::1]:53");
        assert_eq!(read("[::1]").unwrap(), "[::1]:53");
        assert_eq!(read("[::1]:5353").unwrap(), "[::1]:5353");
        for port in [1, u16::MAX] {
            let addr = format!("10.8.0.1:{port}");
            assert_eq!(read(&addr).unwrap(), addr);
            assert_eq!(listen("--listen", &addr).unwrap().to_string(), addr);
            assert_eq!(listen_tls("--listen-tls", &addr).unwrap().to_string(), addr);
            assert_eq!(admin("--admin", &addr).unwrap().to_string(), addr);
        }
        assert_eq!(listen("--listen", "10.8.0.1:0").unwrap().port(), 0, "any that is free");
        assert_eq!(read("tls://10.8.0.1#dns.example").unwrap(), "tls://10.8.0.1:853#dns.example");
        assert_eq!(read("tls://[::1]:8853").unwrap(), "tls://[::1]:8853#::1");
        let told = read("tls://10.8.0.1#a..b").unwrap_err().to_string();
        assert!(told.contains("'a..b' is no name of a host"), "{told}");
        for bad in ["10.8.0", "dns.example", "10.8.0.1:0", "0.0.0.0", "10.8.0.1:99999", "[::1"] {
            let told = server("--cluster 'x', word 3", bad).unwrap_err().to_string();
            assert!(told.starts_with("--cluster 'x', word 3: "), "{told}");
            assert!(told.contains(bad), "{told}");
        }
    }

    #[test]
    fn networks_are_an_address_or_part_of_one() {
        let read = |word| network("--allow", word).map(|net| net.to_string());
        assert_eq!(read("10.1.2.3/8").unwrap(), "10.0.0.0/8");
        assert_eq!(read("192.0.2.1").unwrap(), "192.0.2.1/32");
        assert_eq!(read("2001:db8::/32").unwrap(), "2001:db8::/32");
        for bad in ["10.0.0.0/33", "ten", ""] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn options_of_a_cluster_are_told_apart_from_its_servers() {
        let mut options = ServerOptions::default();
        server_option("c", "ca", "/etc/ca.pem", &mut options).unwrap();
        server_option("c", "case", "random", &mut options).unwrap();
        assert_eq!(options, ServerOptions { ca: Some("/etc/ca.pem".into()), random_case: true });
        for (key, value) in [("ca", ""), ("case", "upper"), ("cert", "x")] {
            assert!(server_option("c", key, value, &mut options).is_err(), "{key}={value}");
        }
    }

    #[test]
    fn prefixes_are_the_start_of_a_hostname() {
        assert!(prefix("p", "a-").is_ok());
        for bad in ["", "_a", "-", "a.b", "a b", "\u{e9}", &"x".repeat(63)] {
            assert!(prefix("p", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_need_no_final_dot() {
        assert_eq!(name("n", "Distributed.local").unwrap().to_string(), "Distributed.local.");
        assert_eq!(name("n", ".").unwrap().to_string(), ".");
        for bad in ["", "a..b", &"x".repeat(64)] {
            assert!(name("n", bad).is_err(), "{bad}");
        }
    }
}
