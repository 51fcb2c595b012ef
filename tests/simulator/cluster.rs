//! What the clusters say. Each has its own truth about each name for a while,
//! an epoch, and then another; whose it is, about what, since when, stands in
//! the octets of the addresses, so that an answer tells where it came from.

use crate::common::Asked;
use std::hash::{DefaultHasher, Hash, Hasher};

/// First octet of every address a cluster gives. Forgers use another.
pub const HONEST: u8 = 10;
const FORGED: u8 = 66;

/// What a cluster says about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Truth {
    /// So many addresses.
    Records(u8),
    /// The name exists without any.
    NoData,
    NxDomain,
}

/// A cluster's records about one name in one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fact {
    pub cluster: u8,
    pub name: u8,
    pub epoch: u8,
}

impl Fact {
    pub fn truth(self, seed: u64) -> Truth {
        let mut hasher = DefaultHasher::new();
        (seed, self).hash(&mut hasher);
        let drawn = hasher.finish();
        match drawn % 10 {
            0 => Truth::NoData,
            1 => Truth::NxDomain,
            _ => Truth::Records(1 + (drawn >> 8) as u8 % 3),
        }
    }
}

/// The number of the name in a sub-question for `nN.…` or `_x._tcp.nN.…`;
/// `None` for a name no cluster has.
pub fn number(asked: &Asked) -> Option<u8> {
    let question = question(&asked.packet);
    let mut at = 0;
    while question[at + 1] == b'_' {
        at += 1 + usize::from(question[at]);
    }
    let label = &question[at + 1..at + 1 + usize::from(question[at])];
    let digits = std::str::from_utf8(label).unwrap().strip_prefix(['n', 'N'])?;
    digits.parse().ok()
}

/// Name, type and class of a packet with a question of one.
pub fn question(packet: &[u8]) -> &[u8] {
    let mut end = 12;
    while packet[end] != 0 {
        end += 1 + usize::from(packet[end]);
    }
    &packet[12..end + 5]
}

/// A header and the question asked, with room for records behind it.
fn header(asked: &Asked, flags: u8, rcode: u8, answers: u16, authority: u16) -> Vec<u8> {
    let mut out = asked.packet[..2].to_vec();
    out.extend([0x84 | flags, rcode, 0, 1]);
    out.extend(answers.to_be_bytes());
    out.extend(authority.to_be_bytes());
    out.extend([0, 0]);
    out.extend(question(&asked.packet));
    out
}

fn push_address(out: &mut Vec<u8>, ttl: u32, address: [u8; 4]) {
    out.extend(b"\xC0\x0C\0\x01\0\x01");
    out.extend(ttl.to_be_bytes());
    out.extend([0, 4]);
    out.extend(address);
}

/// The true answer.
pub fn reply(asked: &Asked, fact: Option<Fact>, seed: u64, ttl: u32) -> Vec<u8> {
    let truth = fact.map_or(Truth::NxDomain, |fact| fact.truth(seed));
    match (truth, fact) {
        (Truth::Records(count), Some(fact)) => {
            let mut out = header(asked, 0, 0, count.into(), 0);
            for member in 0..count {
                let second = fact.cluster * 16 + member;
                push_address(&mut out, ttl, [HONEST, second, fact.name, fact.epoch]);
            }
            out
        }
        (truth, _) => {
            let rcode = if truth == Truth::NxDomain { 3 } else { 0 };
            let mut out = header(asked, 0, rcode, 0, 1);
            // The SOA of the root, with the TTL as its MINIMUM.
            out.extend(b"\0\0\x06\0\x01");
            out.extend(ttl.to_be_bytes());
            out.extend(b"\0\x16\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0");
            out.extend(ttl.to_be_bytes());
            out
        }
    }
}

/// TC and nothing else.
pub fn truncated(asked: &Asked) -> Vec<u8> {
    header(asked, 0x02, 0, 0, 0)
}

/// SERVFAIL or REFUSED.
pub fn excuse(asked: &Asked, refused: bool) -> Vec<u8> {
    header(asked, 0, if refused { 5 } else { 2 }, 0, 0)
}

/// The right start, and then nothing that can be read.
pub fn rubbish(asked: &Asked) -> Vec<u8> {
    let mut out = header(asked, 0, 0, 1, 0);
    out.extend(b"\xC0\xFF\0\x01");
    out
}

/// What somebody sends who does not see the questions: the ID or the question
/// is wrong.
pub fn forged(asked: &Asked, guess: u16) -> Vec<u8> {
    let mut out = header(asked, 0, 0, 1, 0);
    if guess == asked.id() || guess.is_multiple_of(2) {
        // The right ID, and another type.
        let end = out.len();
        out[end - 3] = 28;
    } else {
        out[..2].copy_from_slice(&guess.to_be_bytes());
    }
    push_address(&mut out, 3600, [FORGED, 6, 6, 6]);
    out
}
