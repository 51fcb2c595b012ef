//! U1: what is not the answer to the question is counted and ignored. It ends
//! no wait, frees no slot, and the good answer behind it wins.

use crate::actors::{ONE, address, address_query, addresses, ask_web};
use crate::common::{Asked, Lab, TWO};
use gathersrv::engine::Counters;

/// What a stranger sends, made of the good answer, and where it is counted.
type Stranger = (&'static str, fn(&mut Vec<u8>), fn(Counters) -> u64);

fn unexpected(counters: Counters) -> u64 {
    counters.unexpected
}

fn mismatched(counters: Counters) -> u64 {
    counters.mismatched
}

fn malformed(counters: Counters) -> u64 {
    counters.malformed
}

fn set_qtype(packet: &mut [u8], to: [u8; 2]) {
    let at = 12 + crate::actors::question(packet).len() - 4;
    packet[at..at + 2].copy_from_slice(&to);
}

const STRANGERS: [Stranger; 19] = [
    ("nothing", |p| p.clear(), unexpected),
    ("half an ID", |p| p.truncate(1), unexpected),
    ("another ID", |p| p[1] ^= 1, unexpected),
    ("an ID alone", |p| p.truncate(2), mismatched),
    ("a truncated header", |p| p.truncate(11), mismatched),
    ("a header alone", |p| p.truncate(12), mismatched),
    ("half a question", |p| p.truncate(20), mismatched),
    ("a query", |p| p[2] &= 0x7F, mismatched),
    ("another opcode", |p| p[2] |= 4 << 3, mismatched),
    ("another name", |p| p[13] = b'x', mismatched),
    ("a longer name", |p| p[12] = 7, mismatched),
    ("another type", |p| set_qtype(p, [0, 28]), mismatched),
    ("another class", |p| p[12 + 24] = 3, mismatched),
    ("no question", |p| p[5] = 0, mismatched),
    ("two questions", |p| p[5] = 2, mismatched),
    ("rubbish", |p| p[2..].fill(0xFF), mismatched),
    ("half a record", |p| p.truncate(p.len() - 3), malformed),
    ("octets behind it", |p| p.push(0), malformed),
    (
        "a name that points at itself",
        |p| {
            let at = p.len() - 15;
            p[at] = at as u8;
        },
        malformed,
    ),
];

fn in_front_of_the_good_answer(what: &str, bad: &[u8], asked: &[Asked], lab: &mut Lab) {
    for _ in 0..3 {
        lab.reply(asked[0].link, bad);
        assert!(lab.answers.is_empty(), "{what}: ended the wait");
    }
    assert!(lab.engine.questions_in_flight() >= 1, "{what}: freed the slot");
    lab.reply(asked[0].link, &address(&asked[0], 1));
    assert_eq!(addresses(lab), [1], "{what}");
    lab.assert_idle();
}

#[test]
fn u1_what_is_no_answer_is_counted_and_ignored() {
    for (what, spoil, count) in STRANGERS {
        let mut lab = Lab::new(&ONE);
        let asked = ask_web(&mut lab);
        let mut bad = address(&asked[0], 66);
        spoil(&mut bad);
        in_front_of_the_good_answer(what, &bad, &asked, &mut lab);
        assert_eq!(count(lab.engine.counters()), 3, "{what}: counted");
        let counters = lab.engine.counters();
        let all = counters.unexpected + counters.mismatched + counters.malformed;
        assert_eq!(all, 3, "{what}: counted once");
    }
}

#[test]
fn u1_the_case_of_the_name_may_differ() {
    let mut lab = Lab::new(&ONE);
    let asked = ask_web(&mut lab);
    let mut reply = address(&asked[0], 1);
    reply[13..16].make_ascii_uppercase();
    lab.reply(asked[0].link, &reply);
    assert_eq!(addresses(&mut lab), [1]);
}

#[test]
fn u1_a_reply_on_another_link_is_nobodys() {
    let mut lab = Lab::new(&TWO);
    let asked = ask_web(&mut lab);
    lab.reply(asked[1].link, &address(&asked[0], 66));
    lab.reply(asked[0].link, &address(&asked[1], 67));
    let counters = lab.engine.counters();
    assert_eq!(counters.unexpected + counters.mismatched, 2);
    assert_eq!(lab.engine.questions_in_flight(), 2);
    lab.reply(asked[0].link, &address(&asked[0], 1));
    lab.reply(asked[1].link, &address(&asked[1], 2));
    assert_eq!(addresses(&mut lab), [1, 2]);
}

#[test]
fn u1_the_good_answer_twice_is_one_answer() {
    let mut lab = Lab::new(&TWO);
    let asked = ask_web(&mut lab);
    lab.reply(asked[0].link, &address(&asked[0], 1));
    lab.reply(asked[0].link, &address(&asked[0], 1));
    assert!(lab.answers.is_empty(), "the other cluster has not answered");
    assert_eq!(lab.engine.counters().unexpected, 1);
    lab.reply(asked[1].link, &address(&asked[1], 2));
    lab.reply(asked[1].link, &address(&asked[1], 2));
    assert_eq!(addresses(&mut lab), [1, 2]);
    assert_eq!(lab.engine.counters().unexpected, 2);
    lab.assert_idle();
}

#[test]
fn u1_a_header_that_says_formerr_ends_nothing() {
    let mut lab = Lab::new(&ONE);
    let asked = ask_web(&mut lab);
    let id = asked[0].packet[..2].to_vec();
    let bad = [&id[..], &[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
    lab.reply(asked[0].link, &bad);
    let plain = lab.take_asked();
    assert_eq!(plain.len(), 1, "asked again without OPT");
    assert_eq!(plain[0].packet, address_query_to_a(&plain[0]));
    in_front_of_the_good_answer("FORMERR", &bad, &asked, &mut lab);
    assert!(lab.take_asked().is_empty(), "asked without OPT once");
    assert_eq!(lab.engine.counters().mismatched, 3, "what says nothing new is counted");
}

fn address_query_to_a(asked: &Asked) -> Vec<u8> {
    let mut packet = address_query("web.cluster-a.local.");
    packet[..2].copy_from_slice(&asked.packet[..2]);
    packet[2] |= 1; // RD (Q6)
    packet
}

#[test]
fn u1_malformed_answers_do_not_make_us_ask_for_ever() {
    let mut lab = Lab::new(&ONE);
    let asked = ask_web(&mut lab);
    let mut bad = address(&asked[0], 66);
    bad.push(0);
    for _ in 0..1000 {
        lab.reply(asked[0].link, &bad);
    }
    assert_eq!(lab.take_asked().len(), 8, "nine tries in all");
    lab.reply(asked[0].link, &address(&asked[0], 1));
    assert_eq!(addresses(&mut lab), [1]);
}

#[test]
fn u1_a_name_in_the_header_is_malformed_and_not_passed_on() {
    let mut lab = Lab::new(&["--forward", ". 192.0.2.53"]);
    let asked = ask_web(&mut lab);
    let mut bad = address(&asked[0], 66);
    // The owner points to an octet of the header that is zero: the root, until
    // the answer's flags stand there.
    let owner = bad.len() - 16;
    bad[owner + 1] = 3;
    in_front_of_the_good_answer("a pointer into the header", &bad, &asked, &mut lab);
    assert_eq!(lab.engine.counters().malformed, 3);
}
