//! Which record types have names in their RDATA, where, and what may be done
//! with them.
//!
//! One table answers three questions: how to check RDATA, which names to
//! rewrite (Q2), and where a name may be written as a pointer (R6: the types
//! of RFC 1035 only, RFC 3597, 4).

use super::name::{self, Budget};
use super::{Malformed, u16_at};
use domain::base::iana::Rtype;
use std::ops::Range;

/// What stands in front of the first name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    /// A fixed number of octets.
    Octets(u8),
    /// NAPTR: two 16-bit numbers and three character strings (RFC 3403, 4.1).
    Naptr,
}

/// What stands behind the last name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    Octets(u8),
    Any,
}

/// The shape of an RDATA that has names in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    lead: Lead,
    names: u8,
    tail: Tail,
    /// The names may be compressed (a type of RFC 1035).
    pub compress: bool,
    /// The names are rewritten (Q2). Types that only old specifications have
    /// names in are expanded, because pointers do not survive copying, and
    /// otherwise carried as they are.
    pub rewrite: bool,
}

const fn names(lead: u8, names: u8, tail: Tail, compress: bool, rewrite: bool) -> Option<Layout> {
    Some(Layout { lead: Lead::Octets(lead), names, tail, compress, rewrite })
}

/// The layout of a type's RDATA; `None` if it is carried as octets (R2, and
/// RFC 3597 for types unknown to us).
pub fn layout(rtype: Rtype) -> Option<Layout> {
    const NOTHING: Tail = Tail::Octets(0);
    match rtype {
        Rtype::CNAME | Rtype::NS | Rtype::PTR => names(0, 1, NOTHING, true, true),
        Rtype::MX => names(2, 1, NOTHING, true, true),
        Rtype::SOA => names(0, 2, Tail::Octets(20), true, true),
        Rtype::SRV => names(6, 1, NOTHING, false, true),
        Rtype::DNAME => names(0, 1, NOTHING, false, true),
        Rtype::AFSDB | Rtype::KX => names(2, 1, NOTHING, false, true),
        Rtype::RP => names(0, 2, NOTHING, false, true),
        Rtype::HTTPS | Rtype::SVCB => names(2, 1, Tail::Any, false, true),
        Rtype::NAPTR => Some(Layout {
            lead: Lead::Naptr,
            names: 1,
            tail: NOTHING,
            compress: false,
            rewrite: true,
        }),
        Rtype::MB | Rtype::MD | Rtype::MF | Rtype::MG | Rtype::MR => {
            names(0, 1, NOTHING, true, false)
        }
        Rtype::MINFO => names(0, 2, NOTHING, true, false),
        Rtype::RT => names(2, 1, NOTHING, false, false),
        Rtype::PX => names(2, 2, NOTHING, false, false),
        _ => None,
    }
}

/// Whether a type is DNSSEC's, and left out of merged answers (R5).
pub fn is_dnssec(rtype: Rtype) -> bool {
    matches!(
        rtype,
        Rtype::RRSIG
            | Rtype::NSEC
            | Rtype::NSEC3
            | Rtype::NSEC3PARAM
            | Rtype::DS
            | Rtype::DNSKEY
            | Rtype::CDS
            | Rtype::CDNSKEY
    )
}

/// Where the parts of an RDATA with names are: octets, up to two names, octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// Octets in front of the names.
    pub lead: Range<usize>,
    /// Where each name begins; only the first [`Self::count`] mean anything.
    pub names: [usize; 2],
    /// How many names there are.
    pub count: usize,
    /// Octets behind the names.
    pub tail: Range<usize>,
}

impl Layout {
    /// How many names it has.
    pub fn count(self) -> usize {
        self.names as usize
    }

    /// Takes apart an RDATA, checking that its parts fill it exactly. The
    /// names themselves are not looked into behind a pointer.
    pub fn parts(self, msg: &[u8], rdata: Range<usize>) -> Result<Parts, Malformed> {
        self.walk(msg, rdata, |at| name::skip(msg, at))
    }

    /// Takes apart an RDATA; `step` says where a name ends.
    fn walk(
        self,
        msg: &[u8],
        rdata: Range<usize>,
        mut step: impl FnMut(usize) -> Result<usize, Malformed>,
    ) -> Result<Parts, Malformed> {
        let first = match self.lead {
            Lead::Octets(octets) => rdata.start + octets as usize,
            Lead::Naptr => {
                let mut at = rdata.start + 4;
                for _ in 0..3 {
                    at += 1 + *msg.get(at).ok_or(Malformed)? as usize;
                }
                at
            }
        };
        let mut parts = Parts {
            lead: rdata.start..first,
            names: [first; 2],
            count: self.names as usize,
            tail: 0..0,
        };
        let mut at = first;
        for place in parts.names.iter_mut().take(self.names as usize) {
            // Also keeps a name from beginning behind the RDATA.
            if at >= rdata.end {
                return Err(Malformed);
            }
            *place = at;
            at = step(at)?;
        }
        let fits = match self.tail {
            Tail::Octets(octets) => at + octets as usize == rdata.end,
            Tail::Any => at <= rdata.end,
        };
        if !fits {
            return Err(Malformed);
        }
        parts.tail = at..rdata.end;
        Ok(parts)
    }
}

/// Checks an RDATA: its length where the type fixes it, its names to the end.
pub fn check(
    msg: &[u8],
    rtype: Rtype,
    rdata: Range<usize>,
    budget: &mut Budget,
) -> Result<(), Malformed> {
    match rtype {
        Rtype::A => return if rdata.len() == 4 { Ok(()) } else { Err(Malformed) },
        Rtype::AAAA => return if rdata.len() == 16 { Ok(()) } else { Err(Malformed) },
        // One text or more (RFC 1035, 3.3.14; RFC 7208, 3.1).
        Rtype::TXT | Rtype::SPF => return texts(msg, rdata, 1..=usize::MAX),
        Rtype::HINFO => return texts(msg, rdata, 2..=2),
        _ => {}
    }
    let Some(layout) = layout(rtype) else { return Ok(()) };
    let parts = layout.walk(msg, rdata, |at| name::check(msg, at, budget))?;
    if matches!(rtype, Rtype::SVCB | Rtype::HTTPS) {
        parameters(msg, parts.tail)?;
    }
    Ok(())
}

/// Checks that character strings fill an RDATA exactly, and how many they are.
/// Clients throw the whole message away where they do not.
fn texts(
    msg: &[u8],
    rdata: Range<usize>,
    count: std::ops::RangeInclusive<usize>,
) -> Result<(), Malformed> {
    let (mut at, mut texts) = (rdata.start, 0);
    while at < rdata.end {
        at += 1 + usize::from(*msg.get(at).ok_or(Malformed)?);
        texts += 1;
    }
    if at == rdata.end && count.contains(&texts) { Ok(()) } else { Err(Malformed) }
}

/// Checks that parameters fill the rest of an SVCB or HTTPS record, in the order
/// of their keys (RFC 9460, 2.2).
fn parameters(msg: &[u8], place: Range<usize>) -> Result<(), Malformed> {
    let mut at = place.start;
    let mut last = None;
    while at < place.end {
        let key = u16_at(msg, at)?;
        if last.is_some_and(|last| key <= last) {
            return Err(Malformed);
        }
        last = Some(key);
        at += 4 + usize::from(u16_at(msg, at + 2)?);
    }
    if at == place.end { Ok(()) } else { Err(Malformed) }
}

/// The negative TTL an SOA record gives: the smaller of its own TTL and its
/// MINIMUM field (RFC 2308, 5).
pub fn negative_ttl(msg: &[u8], ttl: u32, rdata: Range<usize>) -> Result<u32, Malformed> {
    let parts = layout(Rtype::SOA).ok_or(Malformed)?.parts(msg, rdata)?;
    Ok(ttl.min(super::record::ttl(super::u32_at(msg, parts.tail.start + 16)?)))
}

/// The priority of an SRV, MX or SVCB record: its first 16 bits.
pub fn first_number(msg: &[u8], rdata: &Range<usize>) -> Result<u16, Malformed> {
    u16_at(msg, rdata.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(rtype: Rtype, rdata: &[u8]) -> Result<(), Malformed> {
        check(rdata, rtype, 0..rdata.len(), &mut Budget::for_message(rdata.len()))
    }

    #[test]
    fn rdata_must_be_filled_exactly() {
        assert!(checked(Rtype::SRV, &[0, 0, 0, 0, 0, 80, 1, b'a', 0]).is_ok());
        assert!(checked(Rtype::SRV, &[0, 0, 0, 0, 0, 80, 1, b'a', 0, 0]).is_err());
        assert!(checked(Rtype::SRV, &[0, 0, 0, 0, 0, 80]).is_err());
        assert!(checked(Rtype::A, &[10, 0, 0]).is_err());
        assert!(checked(Rtype::AAAA, &[0; 16]).is_ok());
        assert!(checked(Rtype::HTTPS, &[0, 1, 0, 0, 1, 0, 2, b'h', b'2']).is_ok());
    }

    #[test]
    fn texts_and_parameters_are_read_to_their_end() {
        assert!(checked(Rtype::TXT, b"\x01a\x00").is_ok());
        assert!(checked(Rtype::TXT, b"").is_err());
        assert!(checked(Rtype::HINFO, b"\x01a\x01b").is_ok());
        assert!(checked(Rtype::HINFO, b"\x01a").is_err());
        assert!(checked(Rtype::HINFO, b"\x01a\x01b\x01c").is_err());
        assert!(checked(Rtype::TXT, b"\x02a").is_err());
        assert!(checked(Rtype::HINFO, b"\x01a\x01b").is_ok());
        assert!(checked(Rtype::HINFO, b"\x01a").is_err());
        assert!(checked(Rtype::HTTPS, &[0, 1, 0, 0, 1, 0, 2]).is_err());
        assert!(checked(Rtype::SVCB, &[0, 1, 0, 0, 3, 0, 0, 0, 1, 0, 0]).is_err(), "keys in order");
    }

    #[test]
    fn naptr_has_its_name_behind_three_strings() {
        let rdata = b"\0\x01\0\x02\x01S\x00\x03abc\x01x\0";
        let parts = layout(Rtype::NAPTR).unwrap().parts(rdata, 0..rdata.len()).unwrap();
        assert_eq!(parts.lead, 0..11);
        assert_eq!(parts.names[0], 11);
        assert!(checked(Rtype::NAPTR, b"\0\x01\0\x02\xFFS").is_err());
    }

    #[test]
    fn a_name_does_not_begin_behind_its_rdata() {
        let msg = [0, 0, 0, 0];
        assert!(check(&msg, Rtype::RP, 0..1, &mut Budget::for_message(4)).is_err());
    }
}
