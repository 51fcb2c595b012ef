//! T2: a truncated answer is asked for again over TCP, inside the deadline.

use crate::actors::{
    DEADLINE, MS, ONE, THREE_SERVERS, WEB, address, address_query, addresses, question, truncated,
    watch,
};
use crate::common::text::shown;
use crate::common::{Asked, Lab};
use gathersrv::engine::{LinkState, Transport};

/// Asks, and gets a truncated answer: the question as it goes out over TCP.
fn over_tcp(lab: &mut Lab) -> (Asked, Asked) {
    over_tcp_for(lab, WEB)
}

fn over_tcp_for(lab: &mut Lab, name: &str) -> (Asked, Asked) {
    lab.udp(&address_query(name));
    let udp = lab.take_asked().remove(0);
    lab.reply(udp.link, &truncated(&udp));
    let mut asked = lab.take_asked();
    assert_eq!(asked.len(), 1);
    let tcp = asked.remove(0);
    assert_eq!((tcp.transport, tcp.server), (Transport::Tcp, udp.server));
    assert_eq!(question(&tcp.packet), question(&udp.packet));
    (udp, tcp)
}

#[test]
fn t2_what_the_datagram_said_is_forgotten() {
    let mut lab = Lab::new(&ONE);
    let (udp, tcp) = over_tcp(&mut lab);
    assert_eq!(lab.engine.questions_in_flight(), 1, "the first ID rests");
    lab.reply(udp.link, &truncated(&udp));
    lab.reply(udp.link, &address(&udp, 66));
    assert!(lab.answers.is_empty());
    assert_eq!(lab.engine.counters().unexpected, 2);
    lab.reply(tcp.link, &address(&tcp, 1));
    assert_eq!(addresses(&mut lab), [1]);
    lab.assert_idle();
}

#[test]
fn t2_a_stream_repeats_for_itself() {
    let mut lab = Lab::new(&ONE);
    let start = lab.now;
    over_tcp(&mut lab);
    assert!(watch(&mut lab, DEADLINE).is_empty(), "nothing is sent again over TCP");
    assert_eq!(lab.take_answers()[0].at, start + DEADLINE);
    lab.assert_idle();
}

#[test]
fn t2_truncated_over_tcp_is_a_failure_of_that_server() {
    let mut lab = Lab::new(&THREE_SERVERS);
    let (_, tcp) = over_tcp(&mut lab);
    lab.reply(tcp.link, &truncated(&tcp));
    let next = lab.take_asked().remove(0);
    assert_ne!(next.server, tcp.server);
    assert_eq!(next.transport, Transport::Udp, "another server starts anew");
    lab.reply(next.link, &address(&next, 1));
    assert_eq!(addresses(&mut lab), [1]);
    lab.assert_idle();
}

#[test]
fn t2_the_next_server_may_answer_truncated_as_well() {
    let mut lab = Lab::new(&THREE_SERVERS);
    let (_, tcp) = over_tcp(&mut lab);
    lab.reply(tcp.link, &truncated(&tcp));
    let next = lab.take_asked().remove(0);
    lab.reply(next.link, &truncated(&next));
    let again = lab.take_asked().remove(0);
    assert_eq!((again.transport, again.server), (Transport::Tcp, next.server));
    lab.reply(again.link, &address(&again, 1));
    assert_eq!(addresses(&mut lab), [1]);
    lab.assert_idle();
}

#[test]
fn t2_of_two_truncated_replies_one_is_asked_again_over_tcp() {
    let mut lab = Lab::new(&THREE_SERVERS);
    lab.udp(&address_query(WEB));
    let first = lab.take_asked().remove(0);
    let second = watch(&mut lab, DEADLINE / 4).remove(0).1;
    assert_ne!(second.server, first.server);
    lab.reply(first.link, &truncated(&first));
    let tcp = lab.take_asked();
    assert_eq!((tcp.len(), tcp[0].transport, tcp[0].server), (1, Transport::Tcp, first.server));
    lab.reply(second.link, &truncated(&second));
    assert!(lab.take_asked().is_empty(), "one stream is enough");
    assert_eq!(lab.engine.counters().truncated_replies, 2);
    lab.reply(tcp[0].link, &address(&tcp[0], 1));
    assert_eq!(addresses(&mut lab), [1]);
    lab.assert_idle();
}

#[test]
fn t2_a_connection_that_ends_is_tried_once_more() {
    let mut lab = Lab::new(&ONE);
    let (_, tcp) = over_tcp(&mut lab);
    lab.link(tcp.link, LinkState::Closed);
    let again = lab.take_asked().remove(0);
    assert_eq!(again.transport, Transport::Tcp);
    assert_ne!(again.link, tcp.link, "a new connection");
    lab.link(again.link, LinkState::Closed);
    let answers = lab.take_answers();
    assert!(shown(&answers[0].packet)[0].starts_with("=> SERVFAIL"), "not a third time");
    lab.assert_idle();
}

#[test]
fn t2_one_connection_carries_many_questions() {
    let mut lab = Lab::new(&ONE);
    let (_, first) = over_tcp(&mut lab);
    let (_, second) = over_tcp_for(&mut lab, "other.distributed.local.");
    assert_eq!(first.link, second.link);
    assert_ne!(first.id(), second.id());
    // Answered out of order (RFC 7766, 6.2.1.1).
    lab.pass(MS);
    lab.reply(second.link, &address(&second, 2));
    assert_eq!(addresses(&mut lab), [2]);
    lab.reply(first.link, &address(&first, 1));
    assert_eq!(addresses(&mut lab), [1]);
    lab.assert_idle();
}

#[test]
fn u3_a_stream_that_died_silently_is_replaced_after_the_deadline() {
    let mut lab = Lab::new(&ONE);
    let (_, dead) = over_tcp(&mut lab);
    lab.pass(DEADLINE);
    assert_eq!(lab.take_answers().len(), 1, "SERVFAIL at the deadline");
    let (_, next) = over_tcp_for(&mut lab, "other.distributed.local.");
    assert_ne!(next.link, dead.link, "nothing has come there since it was asked");
    assert!(lab.closed.contains(&dead.link));
    lab.reply(next.link, &address(&next, 1));
    lab.take_answers();
    // This one is alive: something has come there.
    let (_, slow) = over_tcp_for(&mut lab, "slow.distributed.local.");
    lab.pass(MS);
    let (_, quick) = over_tcp_for(&mut lab, "quick.distributed.local.");
    lab.reply(quick.link, &address(&quick, 2));
    lab.pass(DEADLINE);
    let (_, last) = over_tcp_for(&mut lab, "last.distributed.local.");
    assert_eq!([slow.link, quick.link, last.link], [next.link; 3]);
}
