//! Where copies of what is asked and answered go: the query log, and dnstap.

use super::ConfigError;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

/// Where a collector of dnstap listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// On a Unix socket.
    Unix(PathBuf),
    /// On a TCP port.
    Tcp(SocketAddr),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
            Endpoint::Tcp(addr) => write!(f, "tcp:{addr}"),
        }
    }
}

impl Endpoint {
    /// Reads `unix:PATH` or `tcp:ADDR:PORT`.
    pub fn read(place: &str, word: &str) -> Result<Self, ConfigError> {
        let remedy = "write 'unix:/run/dnstap.sock' or 'tcp:127.0.0.1:6000'";
        let read = match word.split_once(':') {
            Some(("unix", path)) => Self::unix(path),
            Some(("tcp", addr)) => Self::tcp(addr),
            _ => Err(format!("'{word}' is no place where a collector listens")),
        };
        read.map_err(|wrong| error(place, wrong, remedy))
    }

    /// Reads it as CoreDNS writes it: a path, `unix://PATH` or `tcp://ADDR:PORT`.
    pub fn read_url(place: &str, word: &str) -> Result<Self, ConfigError> {
        let remedy = "write '/run/dnstap.sock' or 'tcp://127.0.0.1:6000'";
        let read = match word.split_once("://") {
            None => Self::unix(word),
            Some(("unix", path)) => Self::unix(path),
            Some(("tcp", addr)) => Self::tcp(addr),
            Some((scheme, _)) => Err(format!("dnstap over '{scheme}://' is not supported")),
        };
        read.map_err(|wrong| error(place, wrong, remedy))
    }

    fn unix(path: &str) -> Result<Self, String> {
        /// Octets of a path in a socket's address on Linux, without the last.
        const LONGEST: usize = 107;
        match path.len() {
            0 => Err("the path of the collector's socket is missing".into()),
            1..=LONGEST if path.starts_with('/') => Ok(Endpoint::Unix(path.into())),
            1..=LONGEST => Err(format!("'{path}' is no path from the root")),
            n => Err(format!("the path of a socket has {LONGEST} octets at most, this has {n}")),
        }
    }

    fn tcp(addr: &str) -> Result<Self, String> {
        match addr.parse::<SocketAddr>() {
            Ok(addr) if addr.port() > 0 && !addr.ip().is_unspecified() => Ok(Endpoint::Tcp(addr)),
            _ => Err(format!("'{addr}' is no IP address with a port")),
        }
    }
}

/// Reads how many queries are logged: `1` for all, `1/100` for one of a hundred.
pub fn sample(place: &str, word: &str) -> Result<NonZeroU32, ConfigError> {
    let of = match word.split_once('/') {
        None if word == "1" => Some(NonZeroU32::MIN),
        Some(("1", of)) => of.parse().ok(),
        _ => None,
    };
    let remedy = "write '1' for every query, or '1/100' for one of a hundred";
    of.ok_or_else(|| error(place, format!("'{word}' is no share of the queries"), remedy))
}

fn error(place: &str, wrong: String, remedy: &str) -> ConfigError {
    ConfigError { place: place.into(), wrong, remedy: remedy.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_one_of_some_number() {
        let read = |word| sample("--query-log", word).map(NonZeroU32::get);
        assert_eq!((read("1").unwrap(), read("1/1").unwrap(), read("1/100").unwrap()), (1, 1, 100));
        for bad in ["", "0", "2", "1/0", "2/100", "1/", "0.5", "all", "1/x"] {
            let told = read(bad).unwrap_err().to_string();
            assert!(told.contains("--query-log") && told.contains("'1/100'"), "{told}");
        }
    }

    #[test]
    fn collectors_are_at_a_path_or_a_port() {
        let read = |word| Endpoint::read("--dnstap", word).map(|it| it.to_string());
        let url = |word| Endpoint::read_url("dnstap", word).map(|it| it.to_string());
        assert_eq!(read("unix:/run/x.sock").unwrap(), "unix:/run/x.sock");
        assert_eq!(read("tcp:127.0.0.1:6000").unwrap(), "tcp:127.0.0.1:6000");
        assert_eq!(read("tcp:[::1]:6000").unwrap(), "tcp:[::1]:6000");
        assert_eq!(url("/run/x.sock").unwrap(), "unix:/run/x.sock");
        assert_eq!(url("unix:///run/x.sock").unwrap(), "unix:/run/x.sock");
        assert_eq!(url("tcp://127.0.0.1:6000").unwrap(), "tcp:127.0.0.1:6000");
        let long = format!("unix:/{}", "x".repeat(107));
        for bad in [
            &long,
            "",
            "unix:",
            "unix:x.sock",
            "tcp:",
            "tcp:host:6000",
            "tcp:127.0.0.1",
            "tcp:127.0.0.1:0",
            "tcp:0.0.0.0:6000",
            "/run/x.sock",
            "tls:127.0.0.1:6000",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(url("tls://127.0.0.1:6000").unwrap_err().wrong.contains("'tls://'"));
    }
}
