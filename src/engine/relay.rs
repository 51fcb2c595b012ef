//! Answers for names outside every zone (Q7): passed on as they came, but for
//! what is between us and each side: ID, OPT, size.
//!
//! The octets in front of the OPT record keep their places, so pointers among
//! them stay right and nothing is rewritten.

use super::Engine;
use super::merge::limit;
use super::outbox::Outbox;
use super::sub::Progress;
use crate::wire::message::{Flags, Message, opt_len};
use crate::wire::reply::Summary;
use crate::wire::{HEADER_LEN, Malformed, record};
use domain::base::Header;
use domain::base::iana::{ExtendedErrorCode, OptRcode, Rcode, Rtype};

/// How much of a reply is passed on.
struct Cut {
    /// Octets kept, from the start of the reply.
    end: usize,
    counts: [u16; 3],
    /// Records of the answer or authority section had to go.
    truncated: bool,
    /// The upper bits of the rcode, from the OPT record.
    extended_rcode: u8,
}

/// Keeps whole records up to `room` octets, and none from the OPT record on, or
/// another meta type (RFC 6895, 3.1): what stands behind it is additional, and
/// optional, and a TSIG is about a message that was another (RFC 8945, 5.1).
fn cut(reply: &[u8], summary: &Summary, room: usize) -> Result<Cut, Malformed> {
    let mut cut = Cut { end: summary.records, counts: [0; 3], truncated: false, extended_rcode: 0 };
    let mut at = summary.records;
    let mut open = true;
    for section in 0..3 {
        for _ in 0..summary.counts[section] {
            let (record, next) = record::read(reply, at)?;
            at = next;
            if record.rtype == Rtype::OPT {
                cut.extended_rcode = (record.raw_ttl >> 24) as u8;
                open = false;
            } else if matches!(record.rtype.to_int(), 128..=255) {
                open = false;
            } else if open && next <= room {
                cut.counts[section] += 1;
                cut.end = next;
            } else {
                open = false;
                cut.truncated |= section < 2;
            }
        }
    }
    Ok(cut)
}

impl Engine {
    /// Appends the answer to a forwarded query; its rcode.
    pub(super) fn relay(&mut self, index: u32, out: &mut Outbox) -> OptRcode {
        let gather = &self.gathers[index as usize];
        let settings = &gather.plan.plan.settings;
        let notes = &mut self.merger.notes;
        notes.clear();
        let payload = settings.max_udp_payload;
        let sub = &gather.subs()[0];
        let room = limit(gather.asker(), settings) - opt_len(gather.edns, notes);
        let kept = match sub.progress {
            Progress::Answered(summary) => cut(&sub.reply, &summary, room).ok(),
            _ => None,
        };
        let mut message = Message::begin(&mut out.octets, &gather.question);
        let Some(kept) = kept else {
            let code = ExtendedErrorCode::NO_REACHABLE_AUTHORITY;
            notes.add(code, "no server of the forward answered", std::iter::empty());
            let rcode = OptRcode::from_rcode(Rcode::SERVFAIL);
            let flags = Flags { rcode, aa: false, tc: false, ra: true, ad: false };
            message.end(&mut out.octets, &gather.header, flags, gather.edns, payload, notes);
            return rcode;
        };
        let records = HEADER_LEN + gather.question.len();
        out.octets.extend_from_slice(&sub.reply[records..kept.end]);
        message.counts = kept.counts;
        let theirs = Header::for_message_slice(&sub.reply);
        // AD for who can make use of it (RFC 6840, 5.7).
        let wants_ad = gather.header.ad() || gather.edns.is_some_and(|edns| edns.dnssec_ok);
        let flags = Flags {
            rcode: OptRcode::from_parts(theirs.rcode(), kept.extended_rcode),
            aa: theirs.aa(),
            tc: kept.truncated,
            ra: true,
            ad: theirs.ad() && wants_ad,
        };
        let rcode = flags.rcode;
        message.end(&mut out.octets, &gather.header, flags, gather.edns, payload, notes);
        rcode
    }
}
