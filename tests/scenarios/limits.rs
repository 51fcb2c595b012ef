//! Much at once: every ID of a link taken, and forty clusters.

use crate::actors::{DEADLINE, MS, ONE, address, addresses, ask, truncated};
use crate::common::text::shown;
use crate::common::{Asked, Lab};
use gathersrv::engine::Transport;
use std::collections::HashSet;

const IDS: usize = 1 << 16;

/// Names of which each is asked for once.
fn name(n: usize) -> String {
    format!("n{n}.distributed.local.")
}

/// An address for question `n`, in three octets.
fn numbered(asked: &Asked, n: usize) -> Vec<u8> {
    let mut reply = address(asked, n as u8);
    let at = reply.len() - 3;
    reply[at] = (n >> 16) as u8;
    reply[at + 1] = (n >> 8) as u8;
    reply
}

#[test]
fn u2_no_slot_is_stolen_when_every_id_of_a_link_is_in_flight() {
    let more = 50;
    let mut lab = Lab::new(&ONE);
    let mut streamed: Vec<(usize, Asked)> = Vec::new();
    let mut refused = 0;
    for n in 0..IDS + more {
        ask(&mut lab, n as u64, &name(n));
        let udp = lab.take_asked().remove(0);
        lab.reply(udp.link, &truncated(&udp));
        match lab.take_asked().pop() {
            Some(tcp) => streamed.push((n, tcp)),
            None => {
                let answers = lab.take_answers();
                let first = &shown(&answers[0].packet)[0];
                assert!(first.starts_with("=> SERVFAIL"), "{first}: said at once, not awaited");
                refused += 1;
            }
        }
    }
    assert_eq!((streamed.len(), refused), (IDS, more));
    assert_eq!(lab.engine.counters().exhausted, more as u64);
    assert!(streamed.iter().all(|(_, asked)| asked.transport == Transport::Tcp));
    let ids: HashSet<_> = streamed.iter().map(|(_, asked)| (asked.link, asked.id())).collect();
    assert_eq!(ids.len(), IDS, "one link, every ID once");
    lab.pass(MS * 100);
    for (n, asked) in &streamed {
        lab.reply(asked.link, &numbered(asked, *n));
        let answer = lab.answers.pop().expect("an answer");
        assert_eq!(answer.client.socket, *n as u64, "the answer of another's question");
        let end = [(n >> 16) as u8, (n >> 8) as u8, *n as u8];
        assert!(answer.packet.ends_with(&end), "question {n}");
    }
    lab.assert_idle();
}

#[test]
fn u2_more_datagram_questions_in_flight_than_a_link_has_ids() {
    let all = IDS + 1000;
    let mut lab = Lab::new(&ONE);
    for n in 0..all {
        ask(&mut lab, n as u64, &name(n));
    }
    assert_eq!(lab.engine.queries_in_flight(), all);
    assert_eq!(lab.engine.questions_in_flight(), all);
    let asked = lab.take_asked();
    let ids: HashSet<_> = asked.iter().map(|asked| (asked.link, asked.id())).collect();
    assert_eq!(ids.len(), all, "no ID twice on one link");
    for (n, asked) in asked.iter().enumerate().filter(|(n, _)| n % 2 == 0) {
        lab.reply(asked.link, &numbered(asked, n));
        assert_eq!(lab.answers.pop().map(|answer| answer.client.socket), Some(n as u64));
    }
    lab.pass(DEADLINE);
    assert_eq!(lab.take_answers().len(), all / 2);
    lab.assert_idle();
}

#[test]
fn m1_forty_clusters_answer_in_the_order_of_the_configuration() {
    let clusters: Vec<String> =
        (0..40).map(|n| format!("cluster.local. c{n:02}- 10.8.{n}.1")).collect();
    let mut flags = vec!["--zone", "distributed.local."];
    for cluster in &clusters {
        flags.extend(["--cluster", cluster]);
    }
    let mut lab = Lab::new(&flags);
    let mut query =
        crate::common::text::Question::new("web.distributed.local.", domain::base::iana::Rtype::A);
    query.edns = Some(1232);
    lab.udp(&query.packet());
    let asked = lab.take_asked();
    assert_eq!(asked.len(), 40);
    // The last is the first to answer.
    for (n, asked) in asked.iter().enumerate().rev() {
        assert!(lab.answers.is_empty(), "{n} clusters are still to come");
        lab.reply(asked.link, &address(asked, n as u8));
    }
    assert_eq!(addresses(&mut lab), (0..40).collect::<Vec<_>>());
    // All but one are silent: the answer is partial, and names some of them.
    lab.udp(&query.packet());
    let asked = lab.take_asked();
    lab.reply(asked[17].link, &address(&asked[17], 17));
    lab.pass(DEADLINE);
    let answers = lab.take_answers();
    assert_eq!(answers.len(), 1);
    assert_eq!(crate::actors::addresses_in(&answers[0].packet), [17]);
    let ede = shown(&answers[0].packet).pop().unwrap();
    assert!(ede.starts_with("ede 23 ") && ede.ends_with("..."), "{ede}");
    lab.assert_idle();
}
