//! Stepping through the records of a message.

use super::{Malformed, name};
use domain::base::iana::{Class, Rtype};
use std::ops::Range;

/// Where the parts of one record are in its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRecord {
    /// Where the owner name begins.
    pub owner: usize,
    /// The type.
    pub rtype: Rtype,
    /// The class; for OPT the sender's payload size.
    pub class: Class,
    /// Time to live in seconds, at most 2^31 - 1; for OPT, see [`Self::raw_ttl`].
    pub ttl: u32,
    /// The TTL field as it stands.
    pub raw_ttl: u32,
    /// Where the RDATA is.
    pub rdata: Range<usize>,
}

/// A TTL with its top bit set counts as zero (RFC 2181, 8).
pub fn ttl(field: u32) -> u32 {
    if field > i32::MAX as u32 { 0 } else { field }
}

/// Reads the record at `at`; returns it and where the next one begins.
pub fn read(msg: &[u8], at: usize) -> Result<(RawRecord, usize), Malformed> {
    read_behind(msg, at, name::skip(msg, at)?)
}

/// The same for a record whose owner is known to end at `fixed`.
pub fn read_behind(msg: &[u8], at: usize, fixed: usize) -> Result<(RawRecord, usize), Malformed> {
    let Some(&[t0, t1, c0, c1, l0, l1, l2, l3, r0, r1]) = msg.get(fixed..fixed + 10) else {
        return Err(Malformed);
    };
    let raw_ttl = u32::from_be_bytes([l0, l1, l2, l3]);
    let rdata = fixed + 10;
    let end = rdata + usize::from(u16::from_be_bytes([r0, r1]));
    if end > msg.len() {
        return Err(Malformed);
    }
    let record = RawRecord {
        owner: at,
        rtype: Rtype::from_int(u16::from_be_bytes([t0, t1])),
        class: Class::from_int(u16::from_be_bytes([c0, c1])),
        ttl: ttl(raw_ttl),
        raw_ttl,
        rdata: rdata..end,
    };
    Ok((record, end))
}
