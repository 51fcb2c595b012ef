//! The packets of clusters, and of those who would like to be one.

use crate::common::Asked;
use crate::names::{Kind, Name, prefix};
use crate::truth::{Truth, Truths, payload};
use domain::base::iana::Rtype;

const FORGED: u8 = 66;

/// The SvcParamKey of HTTPS records here: one for private use.
const PRIVATE_KEY: u16 = 65280;

/// Name, type and class of a packet with a question of one.
pub fn question(packet: &[u8]) -> &[u8] {
    let mut end = 12;
    while packet[end] != 0 {
        end += 1 + usize::from(packet[end]);
    }
    &packet[12..end + 5]
}

/// The type a packet asks for.
pub fn rtype_of(packet: &[u8]) -> Rtype {
    let question = question(packet);
    let at = question.len() - 4;
    Rtype::from_int(u16::from_be_bytes([question[at], question[at + 1]]))
}

/// Whether CD is set; it is repeated in replies.
pub fn has_cd(packet: &[u8]) -> bool {
    packet[3] & 0x10 != 0
}

/// A header and the question asked, with room for records behind it.
fn header(asked: &Asked, flags: u8, rcode: u8, counts: [u16; 3]) -> Vec<u8> {
    let mut out = asked.packet[..2].to_vec();
    // RD and CD as asked.
    out.extend([0x84 | flags | asked.packet[2] & 1, asked.packet[3] & 0x10 | rcode, 0, 1]);
    for count in counts {
        out.extend(count.to_be_bytes());
    }
    out.extend(question(&asked.packet));
    out
}

fn push_record(out: &mut Vec<u8>, owner: &[u8], rtype: Rtype, ttl: u32, rdata: &[u8]) {
    out.extend(owner);
    out.extend(rtype.to_int().to_be_bytes());
    out.extend(b"\0\x01");
    out.extend(ttl.to_be_bytes());
    out.extend((rdata.len() as u16).to_be_bytes());
    out.extend(rdata);
}

/// RDATA of sixteen octets that end with those of the other types.
fn six(payload: [u8; 4]) -> Vec<u8> {
    let mut rdata = vec![0xFD; 12];
    rdata.extend(payload);
    rdata
}

fn label(text: &str) -> Vec<u8> {
    let mut label = vec![text.len() as u8];
    label.extend(text.as_bytes());
    label
}

fn rdata(rtype: Rtype, payload: [u8; 4], member: &[u8]) -> Vec<u8> {
    let [_, second, code, epoch] = payload;
    match rtype {
        Rtype::A => payload.to_vec(),
        Rtype::AAAA => six(payload),
        Rtype::SRV => [&[0, second, 0, code, 0, epoch], member].concat(),
        Rtype::TXT => [&[4], &payload[..]].concat(),
        Rtype::HTTPS => {
            let [high, low] = PRIVATE_KEY.to_be_bytes();
            [&[0, 1, 0, high, low, 0, 4], &payload[..]].concat()
        }
        _ => {
            let [a, b, c, d] = payload;
            [label(&format!("r{a}-{b}-{c}-{d}")), label("example"), vec![0]].concat()
        }
    }
}

/// What a cluster says: its number, its truths, and how they stand.
#[derive(Debug, Clone, Copy)]
pub struct Said {
    pub cluster: u8,
    pub name: Name,
    pub rtype: Rtype,
    pub truth: Truth,
    pub epoch: u8,
    pub ttl: u32,
}

impl Said {
    /// The types of the addresses beside SRV records.
    pub fn beside(&self, truths: Truths, member: u8) -> impl Iterator<Item = (Name, Rtype)> {
        let member = Name::plain(Kind::Member(member), self.name.number);
        let types = [Rtype::A, Rtype::AAAA].into_iter();
        let there = self.rtype == Rtype::SRV;
        let (cluster, epoch) = (self.cluster, self.epoch);
        types
            .filter(move |&rtype| {
                there && matches!(truths.of(cluster, member, rtype, epoch), Truth::Records(_))
            })
            .map(move |rtype| (member, rtype))
    }

    /// The packet, as the answer to `asked`.
    pub fn reply(&self, asked: &Asked, truths: Truths) -> Vec<u8> {
        let Truth::Records(count) = self.truth else { return self.negative(asked) };
        let question = question(&asked.packet);
        // `_x._tcp.` are nine octets and `_tcp.` five.
        let service = &question[..question.len() - 4];
        let service = if self.name.kind == Kind::Srv { &service[8..] } else { service };
        let mut out = header(asked, 0, 0, [count.into(), 0, 0]);
        for member in 0..count {
            let target = [&label(&format!("m{member}")), service].concat();
            let number = if let Kind::Member(m) = self.name.kind { m } else { member };
            let payload = payload(self.cluster, self.name, number, self.epoch);
            let rdata = rdata(self.rtype, payload, &target);
            push_record(&mut out, b"\xC0\x0C", self.rtype, self.ttl, &rdata);
        }
        let mut beside = 0u16;
        for member in 0..count {
            for (name, rtype) in self.beside(truths, member) {
                let owner = [&label(&format!("m{member}")), service].concat();
                let Kind::Member(member) = name.kind else { unreachable!() };
                let payload = payload(self.cluster, name, member, self.epoch);
                push_record(&mut out, &owner, rtype, self.ttl, &rdata(rtype, payload, &[]));
                beside += 1;
            }
        }
        out[10..12].copy_from_slice(&beside.to_be_bytes());
        out
    }

    fn negative(&self, asked: &Asked) -> Vec<u8> {
        let rcode = if self.truth == Truth::NxDomain { 3 } else { 0 };
        let mut out = header(asked, 0, rcode, [0, 1, 0]);
        // The SOA of the root, with the TTL as its MINIMUM.
        let mut rdata = b"\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        rdata.extend(self.ttl.to_be_bytes());
        push_record(&mut out, b"\0", Rtype::SOA, self.ttl, &rdata);
        out
    }
}

/// TC and nothing else.
pub fn truncated(asked: &Asked) -> Vec<u8> {
    header(asked, 0x02, 0, [0; 3])
}

/// SERVFAIL or REFUSED.
pub fn excuse(asked: &Asked, refused: bool) -> Vec<u8> {
    header(asked, 0, if refused { 5 } else { 2 }, [0; 3])
}

/// FORMERR, of a server that knows nothing of OPT: with the question or without.
pub fn not_understood(asked: &Asked, with_question: bool) -> Vec<u8> {
    let mut out = header(asked, 0, 1, [0; 3]);
    if !with_question {
        out.truncate(12);
        out[5] = 0;
    }
    out
}

/// Whether a packet has an OPT record.
pub fn has_opt(packet: &[u8]) -> bool {
    packet[11] > 0
}

/// The right start, and then nothing that can be read.
pub fn rubbish(asked: &Asked) -> Vec<u8> {
    let mut out = header(asked, 0, 0, [1, 0, 0]);
    out.extend(b"\xC0\xFF\0\x01");
    out
}

/// What somebody sends who does not see the questions: the ID or the question
/// is wrong.
pub fn forged(asked: &Asked, guess: u16) -> Vec<u8> {
    let mut out = header(asked, 0, 0, [1, 0, 0]);
    if guess == asked.id() || guess.is_multiple_of(2) {
        // The right ID, and another type.
        let end = out.len();
        out[end - 3] ^= 28;
    } else {
        out[..2].copy_from_slice(&guess.to_be_bytes());
    }
    push_record(&mut out, b"\xC0\x0C", Rtype::A, 3600, &[FORGED, 6, 6, 6]);
    out
}

/// How EDE texts call a cluster.
pub fn ede_label(cluster: u8) -> String {
    format!("cluster.local. {}", prefix(cluster))
}
