//! A stranger's packet, over UDP and over TCP, to an engine whose clusters
//! stay silent: it gets one answer, if it is a query, and leaves nothing
//! behind.

use super::common::client;
use super::promises::{LONG_ENOUGH, check_answer, check_asked, is_query, lab};
use gathersrv::engine::Transport;

/// The octets are the packet.
pub fn run(data: &[u8]) {
    for (plan, transport) in [(1, Transport::Udp), (0, Transport::Tcp)] {
        let mut lab = lab(plan);
        lab.query(client(transport), data);
        lab.take_asked().iter().for_each(check_asked);
        if !is_query(data) {
            assert!(lab.take_answers().is_empty(), "T5: an answer to what is no query");
            assert_eq!(lab.engine.counters().not_queries, 1);
            lab.assert_idle();
            continue;
        }
        let at_once = lab.take_answers();
        assert_eq!(at_once.len() + lab.engine.queries_in_flight(), 1, "T5: one answer");
        lab.pass(LONG_ENOUGH);
        lab.take_asked().iter().for_each(check_asked);
        let later = lab.take_answers();
        assert_eq!(at_once.len() + later.len(), 1, "T5: one answer");
        for answer in at_once.iter().chain(&later) {
            check_answer(data, transport, &answer.packet);
        }
        lab.assert_idle();
    }
}
