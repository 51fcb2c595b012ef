//! Answers that need no cluster: errors, the apex of a zone (Q8), ANY (Q3).

use super::Engine;
use super::meters::Counted;
use super::outbox::{Client, Outbox};
use super::time::Time;
use crate::config::Zone;
use crate::wire::HEADER_LEN;
use crate::wire::compress::{Compressor, Style, push_pointer};
use crate::wire::edns::Edns;
use crate::wire::message::{Flags, Message};
use domain::base::Header;
use domain::base::iana::{Class, OptRcode, Rtype};

/// TTL of the synthesised SOA, NS and HINFO records, in seconds: they change
/// only with the configuration, and five minutes is soon enough for that.
const APEX_TTL: u32 = 300;

/// SERIAL of the synthesised SOA. Nothing transfers the zone (Q3), so nobody
/// compares it, and the same inputs give the same bytes (M1).
const SERIAL: u32 = 1;

/// REFRESH, RETRY and EXPIRE, for secondaries there are none of.
const REFRESH: [u32; 3] = [7200, 1800, 86_400];

/// Whom an answer without records is for.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Where it goes.
    pub client: Client,
    /// When its query came.
    pub came: Time,
    /// The client's header.
    pub header: Header,
    /// The question to repeat, or nothing if it could not be read.
    pub question: &'a [u8],
    /// The client's OPT record.
    pub edns: Option<Edns>,
}

impl Asker<'_> {
    /// The type asked for, as it came.
    pub(super) fn qtype(&self) -> [u8; 2] {
        let at = self.question.len().saturating_sub(4);
        self.question.get(at..).and_then(|fixed| fixed.first_chunk()).copied().unwrap_or_default()
    }

    /// An answer to it at the time `now`, as it is counted.
    pub(super) fn counted(&self, rcode: OptRcode, now: Time) -> Counted {
        let qtype = Rtype::from_int(u16::from_be_bytes(self.qtype()));
        Counted { qtype, transport: self.client.transport, rcode, took: now.since(self.came) }
    }
}

fn push_fixed(out: &mut Vec<u8>, rtype: Rtype, ttl: u32) -> usize {
    out.extend_from_slice(&rtype.to_int().to_be_bytes());
    out.extend_from_slice(&Class::IN.to_int().to_be_bytes());
    out.extend_from_slice(&ttl.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.len()
}

fn close_rdata(out: &mut [u8], start: usize) {
    let len = ((out.len() - start) as u16).to_be_bytes();
    out[start - 2..start].copy_from_slice(&len);
}

/// Appends the SOA record of a negative answer (M7).
pub fn push_soa(names: &mut Compressor, zone: &Zone, ttl: u32, out: &mut Vec<u8>) {
    names.push(out, zone.name.as_slice(), Style::Pointers);
    push_soa_behind_owner(names, zone, ttl, out);
}

/// TTL and MINIMUM are `ttl`.
fn push_soa_behind_owner(names: &mut Compressor, zone: &Zone, ttl: u32, out: &mut Vec<u8>) {
    let start = push_fixed(out, Rtype::SOA, ttl);
    names.push(out, zone.primary.as_slice(), Style::Pointers);
    names.push(out, zone.mailbox.as_slice(), Style::Pointers);
    out.extend_from_slice(&SERIAL.to_be_bytes());
    for number in REFRESH {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(&ttl.to_be_bytes());
    close_rdata(out, start);
}

fn push_ns(names: &mut Compressor, zone: &Zone, out: &mut Vec<u8>) {
    push_pointer(out, HEADER_LEN as u16);
    let start = push_fixed(out, Rtype::NS, APEX_TTL);
    names.push(out, zone.primary.as_slice(), Style::Pointers);
    close_rdata(out, start);
}

/// The minimal answer to ANY (RFC 8482, 4.2).
fn push_hinfo(out: &mut Vec<u8>) {
    push_pointer(out, HEADER_LEN as u16);
    let start = push_fixed(out, Rtype::HINFO, APEX_TTL);
    out.extend_from_slice(b"\x07RFC8482\x00");
    close_rdata(out, start);
}

/// What [`Engine::synthesise`] puts into the answer section.
#[derive(Debug, Clone, Copy)]
pub(super) enum Synthetic<'a> {
    Soa(&'a Zone),
    Ns(&'a Zone),
    Any,
}

/// What a bare answer says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    None,
    Authoritative,
    Truncated,
}

impl Engine {
    /// Answers without records; what `merger.notes` holds goes along.
    pub(super) fn answer_bare(&mut self, asker: Asker<'_>, rcode: OptRcode, out: &mut Outbox) {
        let start = out.octets.len();
        let message = Message::begin(&mut out.octets, asker.question);
        self.close_answer(message, asker, rcode, Mark::None, out);
        out.answer(asker.client, asker.came, start);
    }

    /// Answers that the rest comes over TCP: nothing but the question.
    pub(super) fn answer_over_tcp(&mut self, asker: Asker<'_>, out: &mut Outbox) {
        let start = out.octets.len();
        let message = Message::begin(&mut out.octets, asker.question);
        self.close_answer(message, asker, OptRcode::NOERROR, Mark::Truncated, out);
        out.answer(asker.client, asker.came, start);
    }

    /// Answers with one record of our own making.
    pub(super) fn synthesise(&mut self, asker: Asker<'_>, what: Synthetic<'_>, out: &mut Outbox) {
        let start = out.octets.len();
        let mut message = Message::begin(&mut out.octets, asker.question);
        let names = self.merger.compressor();
        names.start(start);
        let name = &asker.question[..asker.question.len().saturating_sub(4)];
        names.register(name, start + HEADER_LEN);
        match what {
            // The question is the apex, so the owner is the question, as the
            // client spelled it (R1).
            Synthetic::Soa(zone) => {
                push_pointer(&mut out.octets, HEADER_LEN as u16);
                push_soa_behind_owner(names, zone, APEX_TTL, &mut out.octets);
            }
            Synthetic::Ns(zone) => push_ns(names, zone, &mut out.octets),
            Synthetic::Any => push_hinfo(&mut out.octets),
        }
        message.counts[0] = 1;
        self.close_answer(message, asker, OptRcode::NOERROR, Mark::Authoritative, out);
        out.answer(asker.client, asker.came, start);
    }

    fn close_answer(
        &mut self,
        message: Message,
        asker: Asker<'_>,
        rcode: OptRcode,
        mark: Mark,
        out: &mut Outbox,
    ) {
        let (aa, tc) = (mark == Mark::Authoritative, mark == Mark::Truncated);
        let plan = &self.plan.plan;
        let flags = Flags { rcode, aa, tc, ra: !plan.forwards.is_empty(), ad: false };
        let payload = plan.settings.max_udp_payload;
        let notes = &self.merger.notes;
        message.end(&mut out.octets, &asker.header, flags, asker.edns, payload, notes);
        self.counters.answered += 1;
        let counted = asker.counted(rcode, asker.came);
        match self.asked {
            Some(route) => self.plan.meter(route).borrow_mut().answered(counted),
            None => self.stray.answered(counted),
        }
    }
}
