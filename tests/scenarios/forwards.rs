//! Names outside every zone (Q7): whose answer is passed on, and with which bits.

use crate::common::text::{Question, Reply, shown};
use crate::common::{Asked, Lab, client};
use domain::base::iana::{Rcode, Rtype};
use gathersrv::engine::Transport;
use std::time::Duration;

/// The AD bit and, in a query, DO of an OPT record without options (RFC 6840, 5.7).
const AD: u8 = 0x20;

fn lab(forward: &str) -> Lab {
    Lab::new(&["--zone", "z.", "--cluster", "k. a- 10.8.0.1", "--forward", forward])
}

#[test]
fn q7_a_validated_answer_is_marked_for_clients_that_ask_for_the_mark() {
    let plain = || Question { edns: Some(1232), ..Question::new("www.example.", Rtype::A) };
    let with_do = Question { dnssec_ok: true, ..plain() }.packet();
    let mut with_ad = plain().packet();
    with_ad[3] |= AD;
    for (packet, validated, marked) in [
        (&plain().packet(), true, false),
        (&with_do, true, true),
        (&with_ad, true, true),
        (&with_do, false, false),
    ] {
        let mut lab = lab(". 192.0.2.53");
        lab.query(client(Transport::Udp), packet);
        let asked = lab.take_asked().remove(0);
        let mut reply = Reply::ok(&["www.example. 30 IN A 192.0.2.1"]).to(&asked.packet);
        reply[3] |= if validated { AD } else { 0 };
        lab.reply(asked.link, &reply);
        let answer = lab.take_answers().remove(0).packet;
        assert_eq!(answer[3] & AD != 0, marked, "{:?}", shown(&answer));
        lab.assert_idle();
    }
}

#[test]
fn q7_the_last_servers_refusal_is_passed_on() {
    let mut lab = lab(". 192.0.2.1 192.0.2.2 192.0.2.3");
    let refusal = |asked: &Asked| Reply::rcode(Rcode::REFUSED).to(&asked.packet);
    lab.udp(&Question::new("www.example.", Rtype::A).packet());
    for server in ["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"] {
        assert!(lab.take_answers().is_empty());
        let asked = lab.take_asked().remove(0);
        assert_eq!(asked.server.to_string(), server);
        lab.reply(asked.link, &refusal(&asked));
    }
    let lines = shown(&lab.take_answers().remove(0).packet);
    assert!(lines[0].starts_with("=> REFUSED"), "{lines:?}");
    lab.assert_idle();
}

/// A reply's OPT record: its upper eight bits of the rcode (RFC 6891, 6.1.3).
fn add_opt(reply: &mut Vec<u8>, extended_rcode: u8) {
    reply[11] += 1;
    reply.extend([0, 0, 41, 4, 208, extended_rcode, 0, 0, 0, 0, 0]);
}

#[test]
fn q7_an_extended_rcode_is_passed_on() {
    let query = Question { edns: Some(1232), ..Question::new("www.example.", Rtype::A) }.packet();
    let mut lab = lab(". 192.0.2.53");
    lab.udp(&query);
    let asked = lab.take_asked().remove(0);
    let mut reply = Reply::rcode(Rcode::NOERROR).to(&asked.packet);
    add_opt(&mut reply, 2);
    lab.reply(asked.link, &reply);
    assert_eq!(shown(&lab.take_answers().remove(0).packet), ["=> 32 aa ra edns"]);
    lab.assert_idle();
}

#[test]
fn q7_one_opt_record_stands_in_an_answer_of_which_records_were_left_out() {
    let query = Question { edns: Some(1232), ..Question::new("example.", Rtype::MX) }.packet();
    let mut lab = lab(". 192.0.2.53");
    lab.udp(&query);
    let asked = lab.take_asked().remove(0);
    let mut reply = Reply::ok(&["example. 60 IN MX 10 pod.z.", "pod.z. 60 IN A 6.6.6.6"]);
    reply.sections[2] = vec!["mail.example. 60 IN A 192.0.2.1".into()];
    let mut reply = reply.to(&asked.packet);
    add_opt(&mut reply, 0);
    lab.reply(asked.link, &reply);
    let answer = lab.take_answers().remove(0).packet;
    assert_eq!(answer[10..12], [0, 2], "an address and one OPT record: {:?}", shown(&answer));
    lab.assert_idle();
}

#[test]
fn q6_a_cluster_is_not_asked_for_the_mark_of_a_validated_answer() {
    let mut packet = Question::new("www.z.", Rtype::A).packet();
    packet[3] |= AD;
    let mut lab = lab(". 192.0.2.53");
    lab.udp(&packet);
    assert_eq!(lab.take_asked()[0].packet[2..4], [1, 0], "RD and nothing else");
}

#[test]
fn q7_a_cname_that_waited_for_a_zone_counts_its_ttl_down() {
    let flags = ["--zone", "z.", "--cluster", "k. a- 10.8.0.1", "--deadline", "5s"];
    let mut lab = Lab::new(&[&flags[..], &["--forward", ". 192.0.2.53"]].concat());
    lab.udp(&Question::new("www.example.", Rtype::A).packet());
    let forward = lab.take_asked().remove(0);
    lab.pass(Duration::from_millis(500));
    lab.reply(forward.link, &Reply::ok(&["www.example. 60 IN CNAME s.z."]).to(&forward.packet));
    let cluster = lab.take_asked().remove(0);
    lab.pass(Duration::from_millis(2500));
    lab.reply(cluster.link, &Reply::ok(&["s.k. 30 IN A 10.8.1.1"]).to(&cluster.packet));
    let lines = shown(&lab.take_answers().remove(0).packet);
    assert_eq!(lines[1..], ["www.example. 58 IN CNAME s.z.", "s.z. 30 IN A 10.8.1.1"]);
}

#[test]
fn q7_t1_our_opt_record_needs_room_beside_a_forwards_answer() {
    // A header, the question, and one record whose data have this many octets.
    let around = 12 + 17 + 12;
    for (data, cut) in [(512 - around - 11, false), (512 - around - 10, true)] {
        let mut lab = lab(". 192.0.2.53");
        let query = Question { edns: Some(512), ..Question::new("www.example.", Rtype::NULL) };
        lab.udp(&query.packet());
        let asked = lab.take_asked().remove(0);
        let line = format!("www.example. 30 IN TYPE10 \\# {data} {}", "00".repeat(data));
        lab.reply(asked.link, &Reply::ok(&[&line]).to(&asked.packet));
        let answer = lab.take_answers().remove(0).packet;
        assert_eq!((answer[2] & 2 != 0, answer[7]), (cut, u8::from(!cut)), "{data} octets");
        assert_eq!(answer.len(), if cut { 12 + 17 + 11 } else { 512 });
    }
}

#[test]
fn q7_k9_what_is_too_much_for_a_message_is_cut_behind_a_forwards_cname_as_well() {
    let flags = ["--zone", "z.", "--cluster", "k. a- 10.8.0.1", "--cluster", "l. b- 10.9.0.1"];
    let mut lab = Lab::new(&[&flags[..], &["--forward", ". 192.0.2.53"]].concat());
    lab.query(client(Transport::Tcp), &Question::new("www.example.", Rtype::TXT).packet());
    let forward = lab.take_asked().remove(0);
    lab.reply(forward.link, &Reply::ok(&["www.example. 60 IN CNAME s.z."]).to(&forward.packet));
    for asked in lab.take_asked() {
        let suffix = if asked.server.to_string().starts_with("10.8") { "k" } else { "l" };
        let record = |n| format!("s.{suffix}. 30 IN TXT {suffix}{n}{}", "x".repeat(245));
        let lines: Vec<String> = (100..300).map(record).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        lab.reply(asked.link, &Reply::ok(&lines).to(&asked.packet));
    }
    let answer = lab.take_answers().remove(0).packet;
    assert!(answer.len() > 60_000 && answer[2] & 2 == 0, "{} octets, and no TC", answer.len());
    let counters = lab.engine.counters();
    assert_eq!((counters.cut_over_stream, counters.truncated), (1, 0));
}
