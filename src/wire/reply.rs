//! What a cluster sent, checked once before anything depends on it (U1).
//!
//! A reply that passes is whole: every name and every RDATA in it can be read
//! to its end. One that does not pass never ends the wait for a good one.

use super::name::{self, Budget, FlatName, same};
use super::{HEADER_LEN, Malformed, edns, rdata, record, u16_at};
use domain::base::HeaderSection;
use domain::base::iana::{Class, Opcode, OptRcode, Rcode, Rtype};

/// A pointer to the name behind the header: the question's.
pub const QUESTION_POINTER: [u8; 2] = [0xC0, HEADER_LEN as u8];

/// Why a reply does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Shorter than a header, or not a response to a QUERY.
    NotAResponse,
    /// Not one question, or not ours: a late answer to a reused ID, or a
    /// forgery.
    WrongQuestion,
    /// The right question, and then something that breaks the wire format.
    Malformed,
    /// A server that cannot read our query, and repeats no question to say so
    /// (RFC 6891, 7, allows FORMERR to any OPT).
    HeaderOnly,
}

impl From<Malformed> for Unfit {
    fn from(_: Malformed) -> Self {
        Unfit::Malformed
    }
}

/// What a good reply says, apart from its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The rcode of the header.
    pub rcode: Rcode,
    /// The upper bits of the rcode, from the OPT record (RFC 6891, 6.1.3).
    pub extended_rcode: u8,
    /// Where the cookie in the OPT record begins, and its octets.
    pub cookie: Option<(u16, u16)>,
    /// Truncated: the records are not to be used (T2).
    pub truncated: bool,
    /// Authoritative answer.
    pub aa: bool,
    /// Recursion available.
    pub ra: bool,
    /// Records in the answer, authority and additional sections.
    pub counts: [u16; 3],
    /// Where the first record begins.
    pub records: usize,
    /// The answer section has the data asked for, or a CNAME, at the name asked
    /// for: whatever the rcode, that name exists.
    pub has_answer: bool,
    /// The answer section has a CNAME, at whatever name.
    pub has_cname: bool,
    /// How long a negative answer may be kept, in seconds, by the SOA record
    /// of the authority section (RFC 2308, 5).
    pub negative_ttl: Option<u32>,
}

/// Checks a reply against the question that was sent: name, type and class in
/// wire format. ID and socket are the caller's to check, before this.
pub fn check(packet: &[u8], question: &[u8]) -> Result<Summary, Unfit> {
    if packet.len() < HEADER_LEN {
        return Err(Unfit::NotAResponse);
    }
    let section = HeaderSection::for_message_slice(packet);
    let header = section.header();
    if !header.qr() || header.opcode() != Opcode::QUERY {
        return Err(Unfit::NotAResponse);
    }
    let counts = section.counts();
    let rcode = header.rcode();
    if counts.qdcount() == 0 && matches!(rcode, Rcode::FORMERR | Rcode::NOTIMP) {
        return Err(Unfit::HeaderOnly);
    }
    let records = HEADER_LEN + question.len();
    let echoed = packet.get(HEADER_LEN..records).ok_or(Unfit::WrongQuestion)?;
    if counts.qdcount() != 1 || !same_question(echoed, question) {
        return Err(Unfit::WrongQuestion);
    }
    let mut summary = Summary {
        rcode,
        extended_rcode: 0,
        cookie: None,
        truncated: header.tc(),
        aa: header.aa(),
        ra: header.ra(),
        counts: [counts.ancount(), counts.nscount(), counts.arcount()],
        records,
        has_answer: false,
        has_cname: false,
        negative_ttl: None,
    };
    if !summary.truncated {
        summary.check_records(packet, question)?;
    }
    Ok(summary)
}

fn same_question(echoed: &[u8], question: &[u8]) -> bool {
    // Both have the name flat and the length is equal, so the last four octets
    // are type and class, and length octets line up with length octets.
    let (name, fixed) = echoed.split_at(echoed.len() - 4);
    let (our_name, our_fixed) = question.split_at(question.len() - 4);
    fixed == our_fixed && name.eq_ignore_ascii_case(our_name)
}

/// Whether the name at `at`, which has been checked, is `name`. It nearly
/// always points to the question.
fn is_name(packet: &[u8], at: usize, name: &[u8]) -> Result<bool, Malformed> {
    if u16_at(packet, at)? == 0xC000 | HEADER_LEN as u16 {
        return Ok(true);
    }
    let mut flat = FlatName::root();
    flat.read(packet, at, &mut Budget::for_message(packet.len()))?;
    Ok(same(flat.as_slice(), name))
}

/// Octets before the target of an SRV record.
const SRV_NUMBERS: usize = 6;

/// Targets of SRV records, which have been checked. The owners of the addresses
/// beside them are pointers to them, mostly in the same order, and need not be
/// followed again.
struct Targets {
    /// Where each begins, and what it cost to check it.
    places: [(u16, u16); 64],
    count: usize,
    next: usize,
}

impl Targets {
    fn new() -> Self {
        Targets { places: [(0, 0); 64], count: 0, next: 0 }
    }

    fn add(&mut self, place: usize, cost: usize) {
        if let (Some(free), Ok(place), Ok(cost)) =
            (self.places.get_mut(self.count), u16::try_from(place), u16::try_from(cost))
        {
            *free = (place, cost);
            self.count += 1;
        }
    }

    /// What it cost to check what a pointer leads to, if that is the next target
    /// or once more the one before.
    fn cost(&mut self, high: u8, low: u8) -> Option<usize> {
        let place = u16::from(high & 0x3F) << 8 | u16::from(low);
        for n in [self.next, self.next.wrapping_sub(1)] {
            match self.places.get(n) {
                Some(&(known, cost)) if n < self.count && known == place => {
                    self.next = n + 1;
                    return Some(cost.into());
                }
                _ => {}
            }
        }
        None
    }
}

impl Summary {
    fn check_records(&mut self, packet: &[u8], question: &[u8]) -> Result<(), Malformed> {
        let (asked, fixed) = question.split_at(question.len() - 4);
        let qtype = Rtype::from_int(u16_at(fixed, 0)?);
        let mut budget = Budget::for_message(packet.len());
        let mut at = self.records;
        let mut opts = 0;
        let mut targets = Targets::new();
        for (section, &count) in self.counts.iter().enumerate() {
            for _ in 0..count {
                // Most owners are pointers to the question, which is ours.
                let fixed = match packet.get(at..at + 2) {
                    Some(owner) if owner == QUESTION_POINTER => at + 2,
                    Some(&[high @ 0xC0..=0xFF, low])
                        if let Some(cost) = targets.cost(high, low) =>
                    {
                        budget.spend(cost + 2)?;
                        at + 2
                    }
                    _ => name::check(packet, at, &mut budget)?,
                };
                let (record, next) = record::read_behind(packet, at, fixed)?;
                at = next;
                if record.rtype == Rtype::OPT {
                    opts += 1;
                    if opts > 1 || section != 2 {
                        return Err(Malformed);
                    }
                    self.extended_rcode = (record.raw_ttl >> 24) as u8;
                    let cookie = edns::read_options(packet, &record)?.cookie;
                    self.cookie = cookie.map(|place| (place.start as u16, place.len() as u16));
                    continue;
                }
                let before = budget.left();
                rdata::check(packet, record.rtype, record.rdata.clone(), &mut budget)?;
                if record.rtype == Rtype::SRV {
                    targets.add(record.rdata.start + SRV_NUMBERS, before - budget.left());
                }
                if record.class != Class::IN {
                    continue;
                }
                let kind = record.rtype == qtype || record.rtype == Rtype::CNAME;
                if section == 0 && kind {
                    self.has_cname |= record.rtype == Rtype::CNAME;
                    if !self.has_answer && !rdata::is_dnssec(record.rtype) {
                        self.has_answer = is_name(packet, record.owner, asked)?;
                    }
                }
                if section == 1 && record.rtype == Rtype::SOA {
                    let ttl = rdata::negative_ttl(packet, record.ttl, record.rdata)?;
                    self.negative_ttl = Some(self.negative_ttl.map_or(ttl, |known| known.min(ttl)));
                }
            }
        }
        if at == packet.len() { Ok(()) } else { Err(Malformed) }
    }

    /// What a reply without records says, that nobody sent.
    pub fn empty(rcode: Rcode) -> Self {
        Summary {
            rcode,
            extended_rcode: 0,
            cookie: None,
            truncated: false,
            aa: false,
            ra: false,
            counts: [0; 3],
            records: 0,
            has_answer: false,
            has_cname: false,
            negative_ttl: None,
        }
    }

    /// The cluster dealt with the question: it has records or it says why not.
    /// Everything else is a failure of that server (U3).
    pub fn is_proper(&self) -> bool {
        self.extended_rcode == 0 && matches!(self.rcode, Rcode::NOERROR | Rcode::NXDOMAIN)
    }

    /// All of the rcode.
    pub fn full_rcode(&self) -> OptRcode {
        OptRcode::from_parts(self.rcode, self.extended_rcode)
    }

    /// The cookie in a packet that this was read from.
    pub fn cookie_in<'a>(&self, packet: &'a [u8]) -> Option<&'a [u8]> {
        let (start, len) = self.cookie?;
        packet.get(start.into()..usize::from(start) + usize::from(len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] = b"\x01a\x05local\0\0\x01\0\x01";

    fn reply(flags: [u8; 2], counts: [u8; 4], body: &[u8]) -> Vec<u8> {
        let [qd, an, ns, ar] = counts;
        let mut out = vec![0, 7, flags[0], flags[1], 0, qd, 0, an, 0, ns, 0, ar];
        out.extend(body);
        out
    }

    #[test]
    fn u1_only_a_response_to_our_question_counts() {
        let good = reply([0x80, 0], [1, 0, 0, 0], QUESTION);
        assert!(check(&good, QUESTION).is_ok());
        let query = reply([0, 0], [1, 0, 0, 0], QUESTION);
        assert_eq!(check(&query, QUESTION), Err(Unfit::NotAResponse));
        let notify = reply([0xA0, 0], [1, 0, 0, 0], QUESTION);
        assert_eq!(check(&notify, QUESTION), Err(Unfit::NotAResponse));
        let name = reply([0x80, 0], [1, 0, 0, 0], b"\x01b\x05local\0\0\x01\0\x01");
        assert_eq!(check(&name, QUESTION), Err(Unfit::WrongQuestion));
        let qtype = reply([0x80, 0], [1, 0, 0, 0], b"\x01a\x05local\0\0\x1c\0\x01");
        assert_eq!(check(&qtype, QUESTION), Err(Unfit::WrongQuestion));
        let class = reply([0x80, 0], [1, 0, 0, 0], b"\x01a\x05local\0\0\x01\0\x03");
        assert_eq!(check(&class, QUESTION), Err(Unfit::WrongQuestion));
        let case = reply([0x80, 0], [1, 0, 0, 0], b"\x01A\x05lOcal\0\0\x01\0\x01");
        assert!(check(&case, QUESTION).is_ok());
        assert_eq!(check(&good[..11], QUESTION), Err(Unfit::NotAResponse));
        assert_eq!(check(&good[..20], QUESTION), Err(Unfit::WrongQuestion));
    }

    #[test]
    fn counts_that_lie_are_malformed() {
        let record = b"\xC0\x0C\0\x01\0\x01\0\0\0\x1E\0\x04\x0A\0\0\x01";
        let body = [QUESTION, record].concat();
        assert!(check(&reply([0x80, 0], [1, 1, 0, 0], &body), QUESTION).is_ok());
        for counts in [[1, 0, 0, 0], [1, 2, 0, 0], [1, 1, 0, 1]] {
            let lying = reply([0x80, 0], counts, &body);
            assert_eq!(check(&lying, QUESTION), Err(Unfit::Malformed));
        }
    }

    #[test]
    fn a_truncated_reply_is_not_read_further() {
        let cut = [QUESTION, b"\xC0\x0C\0\x01"].concat();
        let summary = check(&reply([0x82, 0], [1, 1, 0, 0], &cut), QUESTION).unwrap();
        assert!(summary.truncated && !summary.has_answer);
    }

    #[test]
    fn badvers_of_a_cluster_was_taken_for_an_answer_without_records() {
        let badvers = [QUESTION, b"\0\0\x29\x04\xD0\x01\0\0\0\0\0"].concat();
        let summary = check(&reply([0x80, 0], [1, 0, 0, 1], &badvers), QUESTION).unwrap();
        assert_eq!(summary.full_rcode(), OptRcode::BADVERS);
        assert!(!summary.is_proper());
    }

    #[test]
    fn a_header_alone_says_that_the_query_was_not_understood() {
        let formerr = reply([0x80, 1], [0, 0, 0, 0], &[]);
        assert_eq!(check(&formerr, QUESTION), Err(Unfit::HeaderOnly));
        let servfail = reply([0x80, 2], [0, 0, 0, 0], &[]);
        assert_eq!(check(&servfail, QUESTION), Err(Unfit::WrongQuestion));
    }
}
