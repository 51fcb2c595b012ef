//! Bytes in, bytes out: everything that knows how a DNS message is laid out.
//!
//! No state that outlives a message, no clock, no I/O. A packet from the
//! network is checked once, by [`query::parse`] or [`reply::check`]; what
//! those accept is trusted by the code behind them. The vocabulary (header,
//! types, rcodes) is `domain`'s; what is ours is what it has not: a name
//! that is read flat and rewritten in one copy ([`name`]), the set of names of
//! an answer ([`names`]) and the compressor ([`compress`]).

pub mod case;
pub mod compress;
pub mod edns;
pub mod message;
pub mod name;
pub mod names;
pub mod query;
pub mod rdata;
pub mod record;
pub mod reply;
pub mod rewrite;
pub mod table;

/// Octets of a DNS header (RFC 1035, 4.1.1).
pub const HEADER_LEN: usize = 12;

/// The largest message any transport carries: TCP's length field has 16 bits
/// (RFC 1035, 4.2.2).
pub const MAX_MESSAGE: usize = 65_535;

/// A message, or a part of one, that breaks the wire format.
///
/// The sender is to blame; the message is counted and not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the message breaks the DNS wire format")
    }
}

impl std::error::Error for Malformed {}

/// Reads a 16-bit number in network order, if the message is long enough.
pub fn u16_at(msg: &[u8], at: usize) -> Result<u16, Malformed> {
    match msg.get(at..at + 2) {
        Some(&[a, b]) => Ok(u16::from_be_bytes([a, b])),
        _ => Err(Malformed),
    }
}

/// Reads a 32-bit number in network order, if the message is long enough.
pub fn u32_at(msg: &[u8], at: usize) -> Result<u32, Malformed> {
    match msg.get(at..at + 4) {
        Some(&[a, b, c, d]) => Ok(u32::from_be_bytes([a, b, c, d])),
        _ => Err(Malformed),
    }
}
