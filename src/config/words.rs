//! Single words of the configuration: names, prefixes, server addresses.
//!
//! Shared by flags and configuration files, so that a word means the same in
//! both and is refused with the same sentence.

use super::ConfigError;
use crate::wire::name::Suffix;
use domain::base::Name;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The port of DNS (RFC 1035, 4.2).
pub const DNS_PORT: u16 = 53;

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

/// Reads a server's address: IPv4 or IPv6, the port 53 if left out.
pub fn server(place: &str, word: &str) -> Result<SocketAddr, ConfigError> {
    let addr = word
        .parse::<SocketAddr>()
        .ok()
        .or_else(|| word.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, DNS_PORT)))
        .or_else(|| {
            let inner = word.strip_prefix('[')?.strip_suffix(']')?;
            Some(SocketAddr::new(inner.parse::<Ipv6Addr>().ok()?.into(), DNS_PORT))
        });
    let wrong = match addr {
        None => format!("'{word}' is not an IP address"),
        Some(addr) if addr.port() == 0 => {
            format!("'{word}' has port 0, where nothing can be asked")
        }
        Some(addr) if addr.ip().is_unspecified() || addr.ip().is_multicast() => {
            format!("'{word}' is not the address of one server")
        }
        Some(addr) => return Ok(addr),
    };
    let remedy = "write a server as '10.8.0.1', '10.8.0.1:53', '2001:db8::1' or '[2001:db8::1]:53'";
    Err(error(place, wrong, remedy))
}

/// Reads an address to listen on: as a server's, but any address of this host,
/// all of them included, and port 0 for one the system picks.
pub fn listen(place: &str, word: &str) -> Result<SocketAddr, ConfigError> {
    let addr = word
        .parse::<SocketAddr>()
        .ok()
        .or_else(|| word.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, DNS_PORT)));
    addr.ok_or_else(|| {
        error(
            place,
            format!("'{word}' is not an address to listen on"),
            "write it as '127.0.0.1:53' or '[::1]:53'",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_have_port_53_unless_they_say_otherwise() {
        let read = |word| server("--cluster", word).map(|addr| addr.to_string());
        assert_eq!(read("10.8.0.1").unwrap(), "10.8.0.1:53");
        assert_eq!(read("10.8.0.1:5353").unwrap(), "10.8.0.1:5353");
        assert_eq!(read("::1").unwrap(), "[::1]:53");
        assert_eq!(read("[::1]").unwrap(), "[::1]:53");
        assert_eq!(read("[::1]:5353").unwrap(), "[::1]:5353");
        for bad in ["10.8.0", "dns.example", "10.8.0.1:0", "0.0.0.0", "10.8.0.1:99999", "[::1"] {
            let told = server("--cluster 'x', word 3", bad).unwrap_err().to_string();
            assert!(told.starts_with("--cluster 'x', word 3: "), "{told}");
            assert!(told.contains(bad), "{told}");
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
