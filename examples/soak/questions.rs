//! What is asked, and whether an answer is right. The number of a question
//! says all about it, so that nothing has to be kept of those in flight but
//! their numbers.

use super::stretches::Faults;
use domain::base::Message;
use domain::base::iana::Rcode;
use domain::base::name::ToLabelIter;
use domain::base::opt::ExtendedError;
use domain::rdata::AllRecordData;

/// Names that are asked for again and again; all others are asked for once.
const HOT: u64 = 500;

/// Both clusters, as bits; the third is the forward's server.
const BOTH: u8 = 0b011;
const FORWARD: u8 = 0b100;

/// How long an answer to a name that was never asked for before may show a
/// fault that is over: a server that was taken out is asked again after a
/// second at the most.
const GRACE_COLD: u64 = 2_000_000;

/// An answer that lacks a cluster may be given again for five seconds.
const GRACE_LACKING: u64 = 7_000_000;

/// A failure that lasts is remembered for up to thirty seconds (RFC 9520).
const GRACE_FAILED: u64 = 32_000_000;

/// Numbers in no order.
pub fn mix(n: u64) -> u64 {
    let mut x = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ x >> 31
}

/// What the answer to a question has when nothing fails.
#[derive(Clone, Copy, PartialEq)]
enum Right {
    /// Records of these clusters, as bits.
    Members(u8),
    NoSuchName,
    NoRecords,
}

/// A question.
pub struct Question {
    /// Name, type and class.
    wire: Vec<u8>,
    edns: bool,
    hot: bool,
    right: Right,
}

/// What an answer is.
pub enum Verdict {
    /// What the clusters say.
    Whole,
    /// Somebody is missing or stale, and that is no wonder, and said.
    Noted,
    /// SERVFAIL, and that is no wonder, and explained.
    Failed,
    /// It should not have been given.
    Wrong(&'static str),
}

impl Question {
    pub fn new(n: u64) -> Self {
        let x = mix(n);
        let hot = x & 15 < 10;
        let number = if hot { (x >> 8) % HOT } else { HOT + n };
        let edns = !(x >> 40).is_multiple_of(8);
        let (letter, right) = match (x >> 24) % 20 {
            0..14 => ('s', Right::Members(BOTH)),
            14 | 15 => ('m', Right::NoSuchName),
            16 | 17 => ('e', Right::NoRecords),
            18 => ('s', Right::Members(1 << (x >> 48 & 1))),
            _ => ('s', Right::Members(FORWARD)),
        };
        let single = matches!(right, Right::Members(members) if members != BOTH);
        let rtype = match (x >> 32) % 10 {
            _ if single => 1,
            0..4 => 1,
            4 | 5 => 28,
            6 | 7 => 33,
            _ => 16,
        };
        let service = format!("{letter}{number}");
        let mut name = match right {
            Right::Members(0b001) => vec!["a-pod"],
            Right::Members(0b010) => vec!["b-pod"],
            _ if rtype == 33 => vec!["_p", "_tcp"],
            _ => Vec::new(),
        };
        name.extend([service.as_str(), "shop", "svc"]);
        let forward = right == Right::Members(FORWARD);
        name.extend(if forward { ["example", "org"] } else { ["distributed", "local"] });
        let mut wire = Vec::with_capacity(64);
        for label in name {
            wire.push(label.len() as u8);
            wire.extend(label.bytes());
        }
        wire.extend([0, 0, rtype, 0, 1]);
        Question { wire, edns, hot, right }
    }

    pub fn packet(&self, id: u16) -> Vec<u8> {
        let mut out = id.to_be_bytes().to_vec();
        out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, self.edns.into()]);
        out.extend(&self.wire);
        if self.edns {
            out.extend(b"\0\0\x29\x04\xD0\0\0\0\0\0\0");
        }
        out
    }

    /// Whether a packet is a right answer to this, asked at `asked`.
    pub fn judge(&self, packet: &[u8], asked: u64, faults: &Faults) -> Verdict {
        let Ok(message) = Message::from_octets(packet) else {
            return Verdict::Wrong("no message");
        };
        let header = message.header();
        if !header.qr() || !packet[12..].starts_with(&self.wire) {
            return Verdict::Wrong("another's question");
        }
        if header.tc() {
            return Verdict::Wrong("truncated");
        }
        let Some((members, stale, missing)) = read(&message) else {
            return Verdict::Wrong("malformed");
        };
        let grace = |hot| if self.hot { hot } else { GRACE_COLD };
        let failing = faults.failing(asked, grace(GRACE_LACKING));
        let noted = stale || missing || !self.edns;
        if header.rcode() == Rcode::SERVFAIL {
            let failing = faults.failing(asked, grace(GRACE_FAILED));
            let allowed = match self.right {
                Right::Members(wanted) => failing & wanted == wanted,
                _ => failing != 0,
            };
            return match () {
                () if !allowed => Verdict::Wrong("SERVFAIL without a fault"),
                () if !missing && self.edns => Verdict::Wrong("SERVFAIL without EDE 22 or 23"),
                () => Verdict::Failed,
            };
        }
        match (self.right, header.rcode()) {
            (Right::NoSuchName, Rcode::NXDOMAIN) | (Right::NoRecords, Rcode::NOERROR)
                if members == 0 =>
            {
                Verdict::Whole
            }
            (Right::Members(wanted), Rcode::NOERROR) if members != 0 && members & !wanted == 0 => {
                let lacking = wanted & !members;
                match () {
                    () if lacking == 0 && !stale => Verdict::Whole,
                    () if !noted => Verdict::Wrong("a cluster is missing without EDE"),
                    () if lacking & !failing != 0 => Verdict::Wrong("a healthy cluster is missing"),
                    () if failing == 0 => Verdict::Wrong("stale without a fault"),
                    () => Verdict::Noted,
                }
            }
            (Right::Members(_), Rcode::NXDOMAIN) => Verdict::Wrong("NXDOMAIN for a name there is"),
            (Right::Members(_), Rcode::NOERROR) if members == 0 => {
                Verdict::Wrong("NOERROR without the records there are")
            }
            (_, Rcode::NOERROR | Rcode::NXDOMAIN) => Verdict::Wrong("another's records"),
            _ => Verdict::Wrong("an rcode that has no reason"),
        }
    }
}

/// Whose records are in an answer; EDE 3; EDE 22 or 23.
fn read(message: &Message<&[u8]>) -> Option<(u8, bool, bool)> {
    let mut members = 0;
    for record in message.answer().ok()?.limit_to::<AllRecordData<_, _>>() {
        let record = record.ok()?;
        let number = match record.data() {
            AllRecordData::A(data) => data.addr().octets()[1],
            AllRecordData::Aaaa(data) => data.addr().octets()[3],
            AllRecordData::Txt(data) => data.text::<Vec<u8>>().get(1)?.wrapping_sub(b'0'),
            AllRecordData::Srv(data) => match data.target().iter_labels().next()?.as_slice() {
                b"a-pod" => 0,
                b"b-pod" => 1,
                _ => return None,
            },
            _ => return None,
        };
        members |= 1_u8.checked_shl(number.into())?;
    }
    let (mut stale, mut missing) = (false, false);
    if let Some(opt) = message.opt() {
        for error in opt.opt().iter::<ExtendedError<_>>() {
            match error.ok()?.code().to_int() {
                3 => stale = true,
                22 | 23 => missing = true,
                _ => {}
            }
        }
    }
    Some((members, stale, missing))
}
