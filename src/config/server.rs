//! A server of a cluster or a forward: where it is, and how it is spoken to.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A server. Two that differ in anything here are two.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    /// Where it is.
    pub addr: SocketAddr,
    /// Set if it is asked over TLS (RFC 7858), and then over nothing else.
    pub tls: Option<Tls>,
}

/// Whom a server has to prove to be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tls {
    /// The name, or the address, in its certificate.
    pub name: rustls_pki_types::ServerName<'static>,
    /// The file of the authorities that are believed; the system's if none.
    pub ca: Option<PathBuf>,
}

impl From<SocketAddr> for Server {
    fn from(addr: SocketAddr) -> Self {
        Server { addr, tls: None }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tls {
            None => self.addr.fmt(f),
            Some(tls) => write!(f, "tls://{}#{}", self.addr, tls.name.to_str()),
        }
    }
}

/// What the words with a `=` on the line of a cluster or a forward say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerOptions {
    /// `ca=FILE`: whose certificates its servers' are checked against.
    pub ca: Option<PathBuf>,
    /// `case=random`: letters of its questions change their case at random, and
    /// answers have to keep it.
    pub random_case: bool,
}
