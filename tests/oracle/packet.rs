//! Messages taken apart with `domain`: records whose RDATA is a list of octets
//! and names, so that the rules can be applied to lists.
//!
//! Which types have names where is written down a second time here, from the
//! RFCs, as a row of fields for each type.

use crate::labels::Labels;
use domain::base::{Message, ParsedName};
use domain::dep::octseq::Parser;

/// A part of an RDATA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Octets(Vec<u8>),
    Name(Labels),
}

/// A record of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub owner: Labels,
    pub rtype: u16,
    pub class: u16,
    pub ttl: u32,
    pub rdata: Vec<Part>,
}

impl Record {
    pub fn names(&self) -> impl Iterator<Item = &Labels> {
        self.rdata.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name),
            Part::Octets(_) => None,
        })
    }

    /// M2: equal but for the TTL, names without case.
    pub fn same(&self, other: &Record) -> bool {
        let part = |pair: (&Part, &Part)| match pair {
            (Part::Name(a), Part::Name(b)) => a.same(b),
            (a, b) => a == b,
        };
        self.same_set(other)
            && self.rdata.len() == other.rdata.len()
            && self.rdata.iter().zip(&other.rdata).all(part)
    }

    /// Of one RRset.
    pub fn same_set(&self, other: &Record) -> bool {
        self.owner.same(&other.owner) && self.rtype == other.rtype
    }
}

/// A field of an RDATA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Octets(usize),
    /// A character string (RFC 1035, 3.3).
    Text,
    Name,
    Rest,
}

/// The fields of a type's RDATA, by its RFC; types that have no names, or that
/// are unknown, are one run of octets.
pub fn fields(rtype: u16) -> &'static [Field] {
    use Field::{Name, Octets, Rest, Text};
    match rtype {
        // NS, MD, MF, CNAME, MB, MG, MR, PTR (RFC 1035), DNAME (RFC 6672).
        2 | 3 | 4 | 5 | 7 | 8 | 9 | 12 | 39 => &[Name],
        // SOA and MINFO (RFC 1035), RP (RFC 1183).
        6 => &[Name, Name, Octets(20)],
        14 | 17 => &[Name, Name],
        // MX (RFC 1035), AFSDB and RT (RFC 1183), KX (RFC 2230).
        15 | 18 | 21 | 36 => &[Octets(2), Name],
        // PX (RFC 2163).
        26 => &[Octets(2), Name, Name],
        // SRV (RFC 2782).
        33 => &[Octets(6), Name],
        // NAPTR (RFC 3403).
        35 => &[Octets(4), Text, Text, Text, Name],
        // SVCB and HTTPS (RFC 9460).
        64 | 65 => &[Octets(2), Name, Rest],
        _ => &[Rest],
    }
}

/// Q2: names in the RDATA of these are rewritten.
pub fn is_rewritten(rtype: u16) -> bool {
    matches!(rtype, 33 | 5 | 39 | 12 | 2 | 15 | 6 | 35 | 65 | 64 | 18 | 17 | 36)
}

/// R6: names in the RDATA of these may be compressed, being RFC 1035's.
pub fn is_compressed(rtype: u16) -> bool {
    matches!(rtype, 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 12 | 14 | 15)
}

/// R5.
pub fn is_dnssec(rtype: u16) -> bool {
    matches!(rtype, 43 | 46 | 47 | 48 | 50)
}

/// A message, taken apart.
#[derive(Clone, Debug)]
pub struct Packet {
    pub id: u16,
    /// Flags and rcode as they stand in the header.
    pub flags: u16,
    pub question: Option<(Labels, u16, u16)>,
    pub sections: [Vec<Record>; 3],
    /// The OPT record: its class, TTL and RDATA.
    pub opt: Option<(u16, u32, Vec<u8>)>,
}

pub const AA: u16 = 0x0400;
pub const TC: u16 = 0x0200;
pub const RD: u16 = 0x0100;
pub const RA: u16 = 0x0080;
pub const AD: u16 = 0x0020;
pub const CD: u16 = 0x0010;

impl Packet {
    /// Reads a whole message; anything wrong with it is an error.
    pub fn read(octets: &[u8]) -> Result<Packet, String> {
        let message = Message::from_octets(octets).map_err(|e| e.to_string())?;
        let counts = message.header_counts();
        let mut packet = Packet {
            id: message.header().id(),
            flags: u16::from_be_bytes([octets[2], octets[3]]),
            question: None,
            sections: Default::default(),
            opt: None,
        };
        let mut parser = Parser::from_ref(octets);
        let wrong = |e: &dyn std::fmt::Display| e.to_string();
        parser.advance(12).map_err(|e| wrong(&e))?;
        if counts.qdcount() > 1 {
            return Err("more than one question".into());
        }
        if counts.qdcount() == 1 {
            let name = read_name(&mut parser)?;
            let rtype = parser.parse_u16_be().map_err(|e| wrong(&e))?;
            let class = parser.parse_u16_be().map_err(|e| wrong(&e))?;
            packet.question = Some((name, rtype, class));
        }
        let sections = [counts.ancount(), counts.nscount(), counts.arcount()];
        for (section, count) in sections.into_iter().enumerate() {
            for _ in 0..count {
                let record = read_record(&mut parser)?;
                if record.rtype != 41 {
                    packet.sections[section].push(record);
                    continue;
                }
                if section != 2 || packet.opt.is_some() || !record.owner.is_root() {
                    return Err("an OPT record where none may be".into());
                }
                let Some(Part::Octets(options)) = record.rdata.into_iter().next() else {
                    return Err("an OPT record without RDATA".into());
                };
                packet.opt = Some((record.class, record.ttl, options));
            }
        }
        if parser.remaining() > 0 {
            return Err(format!("{} octets behind the last record", parser.remaining()));
        }
        Ok(packet)
    }

    /// The extended DNS errors (RFC 8914), codes and texts.
    pub fn ede(&self) -> Vec<(u16, String)> {
        let mut errors = Vec::new();
        let mut rest = self.opt.as_ref().map_or(&[][..], |opt| &opt.2);
        while let [a, b, c, d, tail @ ..] = rest {
            let len = usize::from(u16::from_be_bytes([*c, *d]));
            assert_eq!(u16::from_be_bytes([*a, *b]), 15, "an option that is no EDE");
            let text = std::str::from_utf8(&tail[2..len]).expect("an EDE text");
            errors.push((u16::from_be_bytes([tail[0], tail[1]]), text.to_string()));
            rest = &tail[len..];
        }
        assert!(rest.is_empty(), "options that do not fill the OPT record");
        errors
    }

    /// Octets the OPT record takes.
    pub fn opt_len(&self) -> usize {
        self.opt.as_ref().map_or(0, |opt| 11 + opt.2.len())
    }
}

fn read_name(parser: &mut Parser<'_, [u8]>) -> Result<Labels, String> {
    let name = ParsedName::parse(parser).map_err(|e| e.to_string())?;
    let labels = name.iter().filter(|label| !label.is_root());
    Ok(Labels(labels.map(|label| label.as_slice().to_vec()).collect()))
}

fn read_record(parser: &mut Parser<'_, [u8]>) -> Result<Record, String> {
    let wrong = |e: &dyn std::fmt::Display| e.to_string();
    let owner = read_name(parser)?;
    let rtype = parser.parse_u16_be().map_err(|e| wrong(&e))?;
    let class = parser.parse_u16_be().map_err(|e| wrong(&e))?;
    let ttl = parser.parse_u32_be().map_err(|e| wrong(&e))?;
    let len = usize::from(parser.parse_u16_be().map_err(|e| wrong(&e))?);
    let end = parser.pos() + len;
    let mut rdata = Vec::new();
    for field in fields(rtype) {
        let octets = match field {
            Field::Name => {
                rdata.push(Part::Name(read_name(parser)?));
                continue;
            }
            Field::Octets(len) => *len,
            Field::Text => {
                usize::from(*parser.peek(1).map_err(|e| wrong(&e))?.first().unwrap()) + 1
            }
            Field::Rest => end.checked_sub(parser.pos()).ok_or("RDATA that is too short")?,
        };
        let octets = parser.parse_octets(octets).map_err(|e| wrong(&e))?;
        rdata.push(Part::Octets(octets.to_vec()));
    }
    if parser.pos() != end {
        return Err(format!("an RDATA of type {rtype} that is not filled"));
    }
    Ok(Record { owner, rtype, class, ttl, rdata })
}
