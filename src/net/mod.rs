//! The only sockets, and the only clock.
//!
//! [`Running::start`] ([`running`]) binds the listeners and starts one [`worker`] per core: a
//! thread, a single-threaded runtime, its own listening sockets ([`sockets`]),
//! engine and links. Equal questions come to the same worker ([`steer`]), and a
//! packet never leaves its worker: no lock, no atomic and no task per datagram
//! is on its way. [`datagrams`] moves UDP in batches ([`batch`]) on both sides;
//! [`streams`] serves clients over TCP and TLS, whose answers wait in a
//! [`mailbox`], and [`tcp_link`] asks clusters that way, both with the framing of
//! [`frames`] and the certificates of [`keys`]. [`limits`] and [`files`] say how
//! many clients may hold connections, [`tell`] what of all this the log is told;
//! through the [`roster`] workers are asked how they are. A panic raises the
//! [`alarm`], wherever it is.
//!
//! The main thread waits for [`signals`], feels the workers' [`pulse`] and tells
//! the service [`manager`]. Sockets may be [`handed`] over by that, and a process
//! can [`leave`] its ports to another without a loss.

mod alarm;
pub mod batch;
mod buffers;
mod datagrams;
mod egress;
mod files;
pub mod frames;
mod handed;
mod keys;
mod leave;
mod life;
mod limits;
mod mailbox;
mod manager;
mod once;
mod proven;
mod pulse;
pub mod roster;
mod running;
mod signals;
mod sockets;
mod steer;
mod streams;
mod taps;
mod tcp_link;
mod tell;
mod worker;

pub use buffers::hint;
pub use handed::Handed;
pub use keys::{KeyError, Keys};
pub use manager::Manager;
pub use once::ask;
pub use running::Running;
pub use signals::{Signals, Wake};
pub use sockets::{Entrance, Service};
pub use worker::Served;

/// The daemon cannot run: the host's or the operator's to mend.
#[derive(Debug)]
pub struct CannotRun {
    what: String,
    why: std::io::Error,
    remedy: String,
}

impl std::fmt::Display for CannotRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}; {}", self.what, self.why, self.remedy)
    }
}

impl std::error::Error for CannotRun {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.why)
    }
}

impl CannotRun {
    /// The host has no addresses of this kind at all.
    fn is_unsupported(&self) -> bool {
        let number = self.why.raw_os_error();
        matches!(number, Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
    }

    /// The admin server cannot listen there.
    pub(crate) fn admin(addr: std::net::SocketAddr, why: std::io::Error) -> Self {
        let what = format!("cannot listen on {addr} (admin)");
        CannotRun { what, why, remedy: "choose another address with --admin".into() }
    }

    pub(crate) fn start(why: std::io::Error) -> Self {
        CannotRun {
            what: "cannot start".into(),
            why,
            remedy: "see whether the process may have more threads, memory or files".into(),
        }
    }
}

/// Octets from the system's CSPRNG, for an engine (U2).
fn fresh_seed() -> Result<[u8; 32], CannotRun> {
    let mut seed = [0; 32];
    match rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut seed) {
        Ok(()) => Ok(seed),
        Err(error) => Err(CannotRun::start(std::io::Error::other(error))),
    }
}
