//! What a client sent, taken apart once.
//!
//! Everything a datagram or a TCP frame can be is one of three things: not a
//! query, which gets no answer; a query that is answered from its header alone;
//! or a [`Query`], whose question and OPT the rest of the program can trust.

use super::edns::Edns;
use super::name::{Budget, FlatName};
use super::{HEADER_LEN, Malformed, record, u16_at};
use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::{Header, HeaderSection};
use std::ops::Range;

/// A question and what its answer depends on.
#[derive(Debug)]
pub struct Query<'a> {
    /// ID, opcode and flags as the client sent them.
    pub header: Header,
    /// Name, type and class as they stand in the packet, never compressed: it
    /// is repeated to the octet.
    pub question: &'a [u8],
    /// The type asked for.
    pub qtype: Rtype,
    /// The class asked for.
    pub qclass: Class,
    /// The client's OPT record, if it sent one.
    pub edns: Option<Edns>,
    /// The cookie in it: 8 octets of the client's, or those and 8 to 32 that a
    /// server gave it.
    pub cookie: Option<&'a [u8]>,
}

impl Query<'_> {
    /// The name asked for, in wire format, as the client spelled it.
    pub fn name(&self) -> &[u8] {
        &self.question[..self.question.len() - 4]
    }
}

/// What a packet from a client turned out to be.
#[derive(Debug)]
pub enum Packet<'a> {
    /// Not a query: shorter than a header, or a response. No answer (T5);
    /// answering responses makes loops.
    NotAQuery,
    /// A query that cannot be read or is not of a kind we serve.
    Refused(Refusal<'a>),
    /// A question.
    Query(Query<'a>),
}

/// A query answered by its header alone.
#[derive(Debug)]
pub struct Refusal<'a> {
    /// The client's header.
    pub header: Header,
    /// The question, if that much could be read.
    pub question: &'a [u8],
    /// The OPT record, if that much could be read (OPT in, OPT out: T3).
    pub edns: Option<Edns>,
    /// The cookie in that.
    pub cookie: Option<&'a [u8]>,
    /// What to answer.
    pub rcode: Rcode,
}

/// Takes a client's packet apart. `name` receives the question's name.
pub fn parse<'a>(packet: &'a [u8], name: &mut FlatName) -> Packet<'a> {
    if packet.len() < HEADER_LEN {
        return Packet::NotAQuery;
    }
    let section = HeaderSection::for_message_slice(packet);
    let header = *section.header();
    if header.qr() {
        return Packet::NotAQuery;
    }
    let mut read = Read { question: &[], edns: None, cookie: None };
    let body = read.body(packet, section, name);
    let Read { question, edns, cookie } = read;
    let cookie = cookie.and_then(|place| packet.get(place));
    let rcode = match body {
        // NOTIMP whatever stands behind the header: other opcodes have other
        // rules for it.
        _ if header.opcode() != Opcode::QUERY => Rcode::NOTIMP,
        Ok(Some((qtype, qclass))) => {
            return Packet::Query(Query { header, question, qtype, qclass, edns, cookie });
        }
        // No question, but a cookie: for a client that wants ours (RFC 7873,
        // 5.4).
        Ok(None) if cookie.is_some() => Rcode::NOERROR,
        Ok(None) | Err(Malformed) => Rcode::FORMERR,
    };
    Packet::Refused(Refusal { header, question, edns, cookie, rcode })
}

/// What has been read so far, so that an answer to a broken query can repeat it.
struct Read<'a> {
    question: &'a [u8],
    edns: Option<Edns>,
    cookie: Option<Range<usize>>,
}

impl<'a> Read<'a> {
    fn body(
        &mut self,
        packet: &'a [u8],
        section: &HeaderSection,
        name: &mut FlatName,
    ) -> Result<Option<(Rtype, Class)>, Malformed> {
        let counts = section.counts();
        let mut budget = Budget::for_message(packet.len());
        // One question, or none: RFC 9619.
        match counts.qdcount() {
            0 => return self.records(packet, HEADER_LEN, section, &mut budget).map(|()| None),
            1 => {}
            _ => return Err(Malformed),
        }
        // A pointer in the first name of a message could only go into the
        // header, which `read` takes for malformed. An answer repeats the
        // question to the octet, so that there is none is worth a second look.
        let end = name.read(packet, HEADER_LEN, &mut budget)?;
        if end - HEADER_LEN != name.as_slice().len() {
            return Err(Malformed);
        }
        let qtype = Rtype::from_int(u16_at(packet, end)?);
        let qclass = Class::from_int(u16_at(packet, end + 2)?);
        self.question = packet.get(HEADER_LEN..end + 4).ok_or(Malformed)?;

        self.records(packet, end + 4, section, &mut budget)?;
        Ok(Some((qtype, qclass)))
    }

    fn records(
        &mut self,
        packet: &[u8],
        mut at: usize,
        section: &HeaderSection,
        budget: &mut Budget,
    ) -> Result<(), Malformed> {
        let counts = section.counts();
        let ahead = u32::from(counts.ancount()) + u32::from(counts.nscount());
        for n in 0..ahead + u32::from(counts.arcount()) {
            super::name::check(packet, at, budget)?;
            let (record, next) = record::read(packet, at)?;
            if record.rtype == Rtype::OPT {
                let (edns, cookie) = Edns::read(packet, &record)?;
                self.cookie = cookie;
                // One, and in the additional section (RFC 6891, 6.1.1).
                if self.edns.replace(edns).is_some() || n < ahead {
                    return Err(Malformed);
                }
            }
            at = next;
        }
        if at == packet.len() { Ok(()) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(counts: [u8; 4], rest: &[u8]) -> Vec<u8> {
        let [qd, an, ns, ar] = counts;
        let mut out = vec![0x12, 0x34, 1, 0, 0, qd, 0, an, 0, ns, 0, ar];
        out.extend(rest);
        out
    }

    const QUESTION: &[u8] = b"\x01a\x05local\0\0\x01\0\x01";
    const OPT: &[u8] = b"\0\0\x29\x10\0\0\0\x80\0\0\0";

    fn outcome(packet: &[u8]) -> String {
        match parse(packet, &mut FlatName::root()) {
            Packet::NotAQuery => "none".into(),
            Packet::Refused(refusal) => format!("{} opt={}", refusal.rcode, refusal.edns.is_some()),
            Packet::Query(query) => format!("{} {:?}", query.qtype, query.edns.map(|e| e.payload)),
        }
    }

    #[test]
    fn t5_what_is_no_query_gets_none_and_the_rest_formerr() {
        let whole = packet([1, 0, 0, 1], &[QUESTION, OPT].concat());
        assert_eq!(outcome(&whole), "A Some(4096)");
        for cut in 0..whole.len() {
            let expected = if cut < HEADER_LEN { "none" } else { "FORMERR opt=false" };
            assert_eq!(outcome(&whole[..cut]), expected, "cut at {cut}");
        }
        let mut response = whole.clone();
        response[2] |= 0x80;
        assert_eq!(outcome(&response), "none");
        assert_eq!(outcome(&[&whole[..], &[0]].concat()), "FORMERR opt=true");
    }

    #[test]
    fn t3_opt_twice_or_misplaced_or_malformed_is_formerr() {
        let twice = [QUESTION, OPT, OPT].concat();
        assert_eq!(outcome(&packet([1, 0, 0, 2], &twice)), "FORMERR opt=true");
        let answer = [QUESTION, OPT].concat();
        assert_eq!(outcome(&packet([1, 1, 0, 0], &answer)), "FORMERR opt=true");
        let option = [QUESTION, b"\0\0\x29\x10\0\0\0\0\0\0\x05\0\x0a\0\x08\0"].concat();
        assert_eq!(outcome(&packet([1, 0, 0, 1], &option)), "FORMERR opt=false");
        let owner = [QUESTION, b"\x01a\0\0\x29\x10\0\0\0\0\0\0\0"].concat();
        assert_eq!(outcome(&packet([1, 0, 0, 1], &owner)), "FORMERR opt=false");
    }

    #[test]
    fn one_question_is_one_question() {
        assert_eq!(outcome(&packet([0, 0, 0, 0], &[])), "FORMERR opt=false");
        let two = [QUESTION, QUESTION].concat();
        assert_eq!(outcome(&packet([2, 0, 0, 0], &two)), "FORMERR opt=false");
    }

    #[test]
    fn rfc_7873_5_4_no_question_and_a_cookie_is_a_request_for_ours() {
        let option = b"\0\0\x29\x10\0\0\0\0\0\0\x0C\0\x0A\0\x08cliently";
        assert_eq!(outcome(&packet([0, 0, 0, 1], option)), "NOERROR opt=true");
        assert_eq!(outcome(&packet([0, 0, 0, 1], OPT)), "FORMERR opt=true");
    }

    #[test]
    fn q3_other_opcodes_are_notimp_whatever_they_carry() {
        let mut notify = packet([1, 0, 0, 0], QUESTION);
        notify[2] = 4 << 3;
        assert_eq!(outcome(&notify), "NOTIMP opt=false");
        let mut update = packet([9, 9, 9, 9], &[]);
        update[2] = 5 << 3;
        assert_eq!(outcome(&update), "NOTIMP opt=false");
    }
}
