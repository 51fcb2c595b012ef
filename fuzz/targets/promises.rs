//! What holds of everything the engine sends, whatever it was fed. Read with
//! `domain`, which shares no code with what wrote it.

use super::common::{Answered, Asked, Lab, plan};
use domain::base::iana::{Opcode, OptionCode, Rtype};
use domain::base::opt::UnknownOptData;
use domain::base::{Message, ParsedName};
use domain::rdata::AllRecordData;
use gathersrv::config::Plan;
use gathersrv::engine::Transport;
use gathersrv::wire::HEADER_LEN;
use gathersrv::wire::edns::MIN_PAYLOAD;
use gathersrv::wire::name::FlatName;
use gathersrv::wire::query::{self, Packet};
use gathersrv::wire::record;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The deadline of every plan here, and a little.
pub const LONG_ENOUGH: Duration = Duration::from_millis(801);

const FORWARD: [&str; 2] = ["--forward", ". 192.0.2.53"];

/// Plans to choose from, built once: reading flags is not what is fuzzed.
pub fn plans() -> &'static [Arc<Plan>; 5] {
    static PLANS: OnceLock<[Arc<Plan>; 5]> = OnceLock::new();
    PLANS.get_or_init(|| {
        let two = super::common::TWO;
        let servers = [
            "--zone",
            "distributed.local.",
            "--cluster",
            "cluster-a.local. a- 10.8.0.1 10.8.0.2",
            "--cluster",
            "cluster.local. b- 10.9.0.1",
            "--cluster",
            "cluster.local. c- 10.9.0.1 10.10.0.1",
        ];
        let guarded = [
            "--zone",
            "distributed.local.",
            "--cluster",
            "cluster-a.local. a- 10.8.0.1 10.8.0.2 case=random",
            "--cluster",
            "cluster-b.local. b- tls://10.9.0.1#b.example tls://10.9.0.2#b.example",
        ];
        [
            plan(&two),
            plan(&[&two[..], &FORWARD].concat()),
            plan(&[&servers[..], &FORWARD].concat()),
            plan(&[&two[..], &["--on-missing", "fail", "--truncated", "empty"]].concat()),
            plan(&guarded),
        ]
    })
}

/// A laboratory that runs twice the same.
pub fn lab(plan: usize) -> Lab {
    Lab::with_plan(plans()[plan % plans().len()].clone(), [7; 32])
}

/// The most octets a client's query allows for its answer (T1).
pub fn limit(query: &[u8], transport: Transport) -> usize {
    if transport == Transport::Tcp {
        return 65_535;
    }
    let edns = match query::parse(query, &mut FlatName::root()) {
        Packet::Query(query) => query.edns,
        Packet::Refused(refusal) => refusal.edns,
        Packet::NotAQuery => None,
    };
    usize::from(edns.map_or(MIN_PAYLOAD, |edns| edns.payload).min(1232))
}

/// Whether a packet is one that gets an answer (T5).
pub fn is_query(packet: &[u8]) -> bool {
    packet.len() >= HEADER_LEN && packet[2] & 0x80 == 0
}

/// An answer is whole, is to this query, and is no longer than it may be.
pub fn check_answer(query: &[u8], transport: Transport, answer: &[u8]) {
    assert!(answer.len() <= limit(query, transport), "T1: {} octets", answer.len());
    let asked = Message::from_octets(query).unwrap().header();
    let message = Message::from_octets(answer).expect("a header");
    let header = message.header();
    assert!(header.qr());
    assert_eq!(header.id(), asked.id());
    assert_eq!(header.opcode(), asked.opcode());
    assert_eq!((header.rd(), header.cd()), (asked.rd(), asked.cd()), "M9");
    let edns = match query::parse(query, &mut FlatName::root()) {
        Packet::Query(query) => {
            let repeated = answer.get(HEADER_LEN..HEADER_LEN + query.question.len());
            assert_eq!(repeated, Some(query.question), "the question, to the octet");
            query.edns
        }
        Packet::Refused(refusal) => refusal.edns,
        Packet::NotAQuery => panic!("T5: an answer to what is no query"),
    };
    assert_eq!(message.opt().is_some(), edns.is_some(), "T3");
    check_records(&message);
}

/// Every record can be read, and nothing stands behind the last.
fn check_records(message: &Message<&[u8]>) {
    let counts = message.header_counts();
    let mut seen = [0; 3];
    let sections = [
        message.answer().expect("an answer section"),
        message.authority().expect("an authority section"),
        message.additional().expect("an additional section"),
    ];
    let mut end = message.as_slice().len();
    for (n, mut section) in sections.into_iter().enumerate() {
        for record in &mut section {
            let record = record.expect("a record");
            seen[n] += 1;
            if has_names(record.rtype()) {
                let read = record.to_record::<AllRecordData<_, ParsedName<_>>>();
                read.expect("RDATA that can be read");
            }
        }
        if n == 2 {
            end = section.pos();
        }
    }
    assert_eq!(seen, [counts.ancount(), counts.nscount(), counts.arcount()]);
    assert_eq!(end, message.as_slice().len(), "octets behind the last record");
}

/// Types whose RDATA the engine takes apart and so must put together rightly.
pub fn has_names(rtype: Rtype) -> bool {
    gathersrv::wire::rdata::layout(rtype).is_some() && !matches!(rtype, Rtype::HTTPS | Rtype::SVCB)
}

/// A sub-question is a plain query for data (Q3, Q6).
pub fn check_asked(asked: &Asked) {
    let message = Message::from_octets(&asked.packet[..]).expect("a header");
    let header = message.header();
    assert!(!header.qr() && header.opcode() == Opcode::QUERY);
    assert!(!header.aa() && !header.tc() && !header.ra());
    assert!(asked.packet.len() <= 512, "larger than any server must take");
    let question = message.sole_question().expect("one question");
    assert!(!matches!(question.qtype(), Rtype::AXFR | Rtype::IXFR | Rtype::ANY), "Q3");
    let counts = message.header_counts();
    assert_eq!((counts.ancount(), counts.nscount()), (0, 0));
    if let Some(opt) = message.opt() {
        assert_eq!(opt.udp_payload_size(), 1232, "Q6");
        // Q6: no client's option; a cookie of our own (RFC 7873).
        let options = opt.opt().iter::<UnknownOptData<_>>();
        let codes: Vec<OptionCode> = options.map(|option| option.unwrap().code()).collect();
        assert!(codes.is_empty() || codes == [OptionCode::COOKIE], "{codes:?}");
    }
}

/// Records without names in their RDATA come from some reply, or are ours
/// (the HINFO of Q3).
pub fn check_sources(answer: &Answered, replies: &[&[u8]]) {
    let message = Message::from_octets(&answer.packet[..]).unwrap();
    let mut at = message.answer().unwrap().pos();
    for _ in 0..message.header_counts().ancount() {
        let (record, next) = record::read(&answer.packet, at).unwrap();
        at = next;
        if gathersrv::wire::rdata::layout(record.rtype).is_some() {
            continue;
        }
        let octets = &answer.packet[record.rdata];
        let known = octets.is_empty()
            || octets == b"\x07RFC8482\x00"
            || replies.iter().any(|reply| reply.windows(octets.len()).any(|w| w == octets));
        assert!(known, "a record that no cluster gave: {} {octets:?}", record.rtype);
    }
}
