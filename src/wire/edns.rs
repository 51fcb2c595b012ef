//! The OPT record, in and out (RFC 6891).

use super::record::RawRecord;
use super::{Malformed, u16_at};
use domain::base::iana::{ExtendedErrorCode, OptionCode};
use std::ops::Range;

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

/// Octets of a client's cookie (RFC 7873, 4).
pub const CLIENT_COOKIE: usize = 8;

/// Octets of the cookies we give: the client's own, and sixteen of ours
/// (RFC 9018, 4).
pub const OWN_COOKIE: usize = CLIENT_COOKIE + 16;

/// Octets of a server's cookie, behind the client's (RFC 7873, 4).
const SERVER_COOKIE: std::ops::RangeInclusive<usize> = 8..=32;

/// Answers that are padded have a multiple of this many octets (RFC 8467, 4.1).
const PADDED_TO: usize = 468;

/// Code and length of an option.
const OPTION_HEAD: usize = 4;

/// What a client's OPT record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// The largest UDP answer it takes, at least 512.
    pub payload: u16,
    /// The version it speaks; above 0 gets BADVERS.
    pub version: u8,
    /// DO: it understands DNSSEC records. Repeated in the answer (RFC 3225).
    pub dnssec_ok: bool,
    /// The cookie its answer carries, if it sent one.
    pub cookie: Option<[u8; OWN_COOKIE]>,
    /// Its answer is padded, so that its size tells nobody what it is
    /// (RFC 7830). Asked for by the client; granted over TLS alone.
    pub padded: bool,
}

/// What the options of an OPT record say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Where the data of the first COOKIE option is (RFC 7873, 5.2: others are
    /// ignored).
    pub cookie: Option<Range<usize>>,
    /// There is a Padding option (RFC 7830, 3).
    pub padding: bool,
}

impl Edns {
    /// Reads an OPT record, checking that its options fill it exactly; tells
    /// also where its cookie is.
    pub fn read(msg: &[u8], record: &RawRecord) -> Result<(Self, Option<Range<usize>>), Malformed> {
        let options = read_options(msg, record)?;
        let edns = Edns {
            payload: record.class.to_int().max(MIN_PAYLOAD),
            version: (record.raw_ttl >> 16) as u8,
            dnssec_ok: record.raw_ttl & 0x8000 != 0,
            cookie: None,
            padded: options.padding,
        };
        Ok((edns, options.cookie))
    }

    /// Octets of the OPT record of its answer, without notes and padding.
    pub fn opt_len(&self) -> usize {
        OPT_LEN + self.cookie.map_or(0, |cookie| OPTION_HEAD + cookie.len())
    }

    /// The most octets that padding may add.
    pub fn most_padding(&self) -> usize {
        if self.padded { OPTION_HEAD + PADDED_TO } else { 0 }
    }

    /// Appends the OPT record of its answer, without notes.
    pub fn push_opt(&self, out: &mut Vec<u8>, payload: u16, extended_rcode: u8) {
        push_opt(out, payload, extended_rcode, self.dnssec_ok);
        if let Some(cookie) = &self.cookie {
            push_cookie(out, cookie, &[]);
        }
    }
}

/// Checks that options fill an OPT record exactly, and tells of those that
/// matter.
pub fn read_options(msg: &[u8], record: &RawRecord) -> Result<Options, Malformed> {
    if msg.get(record.owner) != Some(&0) {
        return Err(Malformed);
    }
    let (mut at, end) = (record.rdata.start, record.rdata.end);
    let mut options = Options::default();
    while at < end {
        let code = OptionCode::from_int(u16_at(msg, at)?);
        let data = at + OPTION_HEAD;
        at = data + u16_at(msg, at + 2)? as usize;
        options.padding |= code == OptionCode::PADDING;
        if code == OptionCode::COOKIE && options.cookie.is_none() {
            let behind = (at - data).checked_sub(CLIENT_COOKIE).ok_or(Malformed)?;
            if behind != 0 && !SERVER_COOKIE.contains(&behind) {
                return Err(Malformed);
            }
            options.cookie = Some(data..at);
        }
    }
    if at == end { Ok(options) } else { Err(Malformed) }
}

/// Appends a Padding option to the OPT record that ends a message, so that the
/// message is as long as others; `rdlength` is where the record's length is.
pub fn push_padding(out: &mut Vec<u8>, start: usize, rdlength: usize) {
    let len = out.len() - start + OPTION_HEAD;
    let padding = len.next_multiple_of(PADDED_TO) - len;
    out.extend(OptionCode::PADDING.to_int().to_be_bytes());
    out.extend((padding as u16).to_be_bytes());
    out.resize(out.len() + padding, 0);
    close_opt(out, rdlength);
}

/// Appends a COOKIE option to the OPT record that ends `out` and has none yet.
pub fn push_cookie(out: &mut Vec<u8>, client: &[u8], server: &[u8]) {
    let rdlength = out.len() - 2;
    let len = (client.len() + server.len()) as u16;
    out.extend(OptionCode::COOKIE.to_int().to_be_bytes());
    out.extend(len.to_be_bytes());
    out.extend(client);
    out.extend(server);
    close_opt(out, rdlength);
}

/// Writes the length of the OPT record that ends `out`.
fn close_opt(out: &mut [u8], rdlength: usize) {
    let len = (out.len() - rdlength - 2) as u16;
    if let Some(field) = out.get_mut(rdlength..rdlength + 2) {
        field.copy_from_slice(&len.to_be_bytes());
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
    close_opt(out, rdlength);
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_padded_to_the_next_multiple_and_by_no_more_than_was_reckoned_with() {
        let edns = Edns { payload: 1232, version: 0, dnssec_ok: false, cookie: None, padded: true };
        assert_eq!(Edns { padded: false, ..edns }.most_padding(), 0);
        for len in 30..3 * PADDED_TO {
            // Behind something else in the buffer.
            let mut out = vec![7; 5];
            out.resize(5 + len - OPT_LEN, 0);
            edns.push_opt(&mut out, 1232, 0);
            let rdlength = out.len() - 2;
            push_padding(&mut out, 5, rdlength);
            let padded = out.len() - 5;
            assert_eq!(padded % PADDED_TO, 0, "{len}");
            assert!(padded - len >= OPTION_HEAD && padded - len < OPTION_HEAD + PADDED_TO, "{len}");
            assert!(padded - len <= edns.most_padding(), "{len}");
            let option = padded - len;
            let fields =
                [(option as u16).to_be_bytes(), [0, 12], (option as u16 - 4).to_be_bytes()];
            assert_eq!(out[rdlength..rdlength + 6], *fields.as_flattened(), "{len}");
        }
    }
}
