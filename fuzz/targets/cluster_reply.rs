//! Replies of clusters that mean no good, to each of the questions that make
//! them be read: service lists, prefixed names, chains, and what is passed on.
//!
//! Input: which question (one octet), its type (one), the client's size and
//! transport (one); then replies, each with a way (one), flags (two), counts
//! (three), length (two) and octets behind the question. The harness writes ID
//! and question, because nothing is learnt from replies that do not match; a
//! way with its top bit set gives the octets as they are, ID apart.

use super::Input;
use super::common::text::Question;
use super::common::{Asked, client};
use super::promises::{LONG_ENOUGH, check_answer, check_asked, check_sources, lab};
use domain::base::Message;
use domain::base::iana::Rtype;
use gathersrv::engine::{LinkState, Transport};
use gathersrv::wire::reply;

pub const NAMES: [&str; 6] = [
    "_mongodb._tcp.db.distributed.local.",
    "web.distributed.local.",
    "a-web.distributed.local.",
    "distributed.local.",
    "WeB.Distributed.Local.",
    "www.example.org.",
];

pub const TYPES: [Rtype; 16] = [
    Rtype::SRV,
    Rtype::A,
    Rtype::AAAA,
    Rtype::TXT,
    Rtype::CNAME,
    Rtype::MX,
    Rtype::NAPTR,
    Rtype::HTTPS,
    Rtype::SOA,
    Rtype::PTR,
    Rtype::DNAME,
    Rtype::RP,
    Rtype::MINFO,
    Rtype::PX,
    Rtype::RRSIG,
    Rtype::from_int(65_280),
];

/// The question of a sub-question's packet: name, type and class.
pub fn question(packet: &[u8]) -> &[u8] {
    let message = Message::from_octets(packet).unwrap();
    let end = message.answer().unwrap().pos();
    &packet[12..end]
}

fn written(input: &mut Input<'_>, asked: &Asked) -> Vec<u8> {
    let way = input.octet();
    let mut out = asked.packet[..2].to_vec();
    if way & 0x80 != 0 {
        let len = usize::from(input.number());
        out.extend(input.take(len));
        return out;
    }
    let flags = [input.octet(), input.octet()];
    out.extend([flags[0] | 0x80, flags[1], 0, 1]);
    for _ in 0..3 {
        out.extend([0, input.octet()]);
    }
    out.extend(question(&asked.packet));
    let len = usize::from(input.number());
    out.extend(input.take(len));
    out
}

/// See the top of this file.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let name = NAMES[usize::from(input.octet()) % NAMES.len()];
    let mut query = Question::new(name, TYPES[usize::from(input.octet()) % TYPES.len()]);
    let how = input.octet();
    query.edns = [None, Some(512), Some(700), Some(4096)][usize::from(how & 3)];
    query.dnssec_ok = how & 4 != 0;
    let transport = if how & 8 != 0 { Transport::Tcp } else { Transport::Udp };
    let query = query.packet();

    let mut lab = lab(1 + usize::from(how >> 4 & 1));
    lab.query(client(transport), &query);
    let mut replies = Vec::new();
    let mut asked = Vec::new();
    for next in 0..24 {
        asked.extend(lab.take_asked());
        if input.is_empty() || next >= asked.len() {
            break;
        }
        let to = asked[next].clone();
        let reply = written(&mut input, &to);
        // What the check accepts is trusted behind it.
        let _ = reply::check(&reply, question(&to.packet));
        lab.reply(to.link, &reply);
        replies.push(reply);
        if replies.len() == 9 {
            lab.link(to.link, LinkState::Closed);
        }
    }
    asked.extend(lab.take_asked());
    lab.pass(LONG_ENOUGH);
    asked.extend(lab.take_asked());
    asked.iter().for_each(check_asked);
    let answers = lab.take_answers();
    assert_eq!(answers.len(), 1, "T5: one answer");
    check_answer(&query, transport, &answers[0].packet);
    let given: Vec<&[u8]> = replies.iter().map(|reply| &reply[..]).collect();
    check_sources(&answers[0], &given);
    lab.assert_idle();
}
