//! The OPT record, in and out (RFC 6891).

use super::record::RawRecord;
use super::{Malformed, u16_at};
use domain::base::iana::{ExtendedErrorCode, OptionCode};

/// The payload size we announce to clusters and, unless told otherwise, to
/// clients: what crosses an Ethernet in one piece (DNS Flag Day 2020).
pub const DEFAULT_PAYLOAD: u16 = 1232;

/// The size of a UDP message for who does not say otherwise (RFC 1035, 4.2.1),
/// and the least that may be announced (RFC 6891, 6.2.3).
pub const MIN_PAYLOAD: u16 = 512;

/// An OPT record without options: root, type, class, TTL, RDLENGTH.
pub const OPT_LEN: usize = 11;

/// The longest EDE text we send. An answer of 512 octets with the longest
/// question has 230 left beside header, question and OPT.
pub const MAX_EDE_TEXT: usize = 160;

/// What a client's OPT record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// The largest UDP answer it takes, at least 512.
    pub payload: u16,
    /// The version it speaks; above 0 gets BADVERS.
    pub version: u8,
    /// DO: it understands DNSSEC records. Repeated in the answer (RFC 3225).
    pub dnssec_ok: bool,
}

impl Edns {
    /// Reads an OPT record, checking that its options fill it exactly.
    pub fn read(msg: &[u8], record: &RawRecord) -> Result<Self, Malformed> {
        if msg.get(record.owner) != Some(&0) {
            return Err(Malformed);
        }
        let mut at = record.rdata.start;
        while at < record.rdata.end {
            at += 4 + u16_at(msg, at + 2)? as usize;
        }
        if at != record.rdata.end {
            return Err(Malformed);
        }
        Ok(Edns {
            payload: record.class.to_int().max(MIN_PAYLOAD),
            version: (record.raw_ttl >> 16) as u8,
            dnssec_ok: record.raw_ttl & 0x8000 != 0,
        })
    }
}

/// Appends an OPT record without options.
pub fn push_opt(out: &mut Vec<u8>, payload: u16, extended_rcode: u8, dnssec_ok: bool) {
    out.extend([0, 0, 41]);
    out.extend(payload.to_be_bytes());
    out.extend([extended_rcode, 0, if dnssec_ok { 0x80 } else { 0 }, 0, 0, 0]);
}

/// Octets an EDE option with this text takes (RFC 8914, 2).
pub fn ede_len(text: &str) -> usize {
    4 + 2 + text.len()
}

/// Appends an EDE option to the OPT record whose RDLENGTH field is at
/// `rdlength`; the record must be the last thing in `out`.
pub fn push_ede(out: &mut Vec<u8>, rdlength: usize, code: ExtendedErrorCode, text: &str) {
    out.extend(OptionCode::EXTENDED_ERROR.to_int().to_be_bytes());
    out.extend(((2 + text.len()) as u16).to_be_bytes());
    out.extend(code.to_int().to_be_bytes());
    out.extend(text.as_bytes());
    let len = (out.len() - rdlength - 2) as u16;
    if let Some(field) = out.get_mut(rdlength..rdlength + 2) {
        field.copy_from_slice(&len.to_be_bytes());
    }
}
