//! The report for `explain`: each record's TTL and fate.

use crate::common::text::{Question, Reply};
use crate::common::{Lab, TWO};
use domain::base::iana::{Rcode, Rtype};
use gathersrv::engine::explain::RecordReport;
use gathersrv::engine::merge::Fate;
use std::time::Duration;

/// Asks for s, which a answers so and b so or not at all. The records of the
/// report.
fn records(a: &[&str], b: Option<&[&str]>) -> Vec<RecordReport> {
    let mut lab = Lab::new(&TWO);
    lab.engine.explain_next();
    lab.udp(&Question::new("s.distributed.local.", Rtype::A).packet());
    for asked in lab.take_asked() {
        let is_a = asked.server.to_string().starts_with("10.8");
        if let Some(lines) = if is_a { Some(a) } else { b } {
            lab.reply(asked.link, &Reply::ok(lines).to(&asked.packet));
        }
    }
    lab.pass(Duration::from_secs(1));
    assert_eq!(lab.take_answers().len(), 1);
    lab.engine.report().unwrap().records.clone()
}

fn told(records: &[RecordReport]) -> Vec<(Fate, Option<u32>, bool)> {
    records.iter().map(|record| (record.fate, record.ttl, record.capped)).collect()
}

#[test]
fn m3_a_record_is_explained_with_the_ttl_that_it_goes_out_with() {
    let (a, b) = ("s.cluster-a.local. 30 IN A 10.8.1.2", "s.cluster-b.local. 20 IN A 10.9.1.2");
    let records = records(&[a], Some(&[b, "other.cluster-b.local. 20 IN A 10.9.1.3"]));
    let wanted = [
        (Fate::Answer, Some(20), false),
        (Fate::Answer, Some(20), false),
        (Fate::Unrelated, None, false),
    ];
    assert_eq!(told(&records), wanted);
}

#[test]
fn m6_a_ttl_that_was_cut_is_explained_as_such() {
    for (ttl, sent, capped) in [(30, 5, true), (6, 5, true), (5, 5, false), (4, 4, false)] {
        let a = format!("s.cluster-a.local. {ttl} IN A 10.8.1.2");
        let wanted = [(Fate::Answer, Some(sent), capped)];
        assert_eq!(told(&records(&[&a], None)), wanted, "{ttl}");
    }
}

#[test]
fn q5_both_rounds_of_a_name_that_may_have_a_prefix_are_explained() {
    let mut lab = Lab::new(&TWO);
    lab.engine.explain_next();
    lab.udp(&Question::new("a-thing.distributed.local.", Rtype::A).packet());
    let mut asked = lab.take_asked();
    while !asked.is_empty() {
        for asked in asked {
            lab.reply(asked.link, &Reply::rcode(Rcode::NXDOMAIN).to(&asked.packet));
        }
        asked = lab.take_asked();
    }
    let report = lab.engine.report().unwrap();
    let clusters = |n: usize| -> Vec<&str> {
        report.rounds[n].subs.iter().map(|sub| sub.cluster.as_str()).collect()
    };
    assert_eq!(report.rounds.len(), 2);
    assert_eq!(clusters(0), ["cluster-a.local. a-"]);
    assert_eq!(clusters(1), ["cluster-a.local. a-", "cluster-b.local. b-"]);
}

#[test]
fn the_names_in_a_record_are_explained_as_they_go_out() {
    let mut lab = Lab::new(&TWO);
    lab.engine.explain_next();
    lab.udp(&Question::new("s.distributed.local.", Rtype::MX).packet());
    for asked in lab.take_asked() {
        let lines = ["s.cluster-a.local. 30 IN MX 10 mail.cluster-a.local."];
        let is_a = asked.server.to_string().starts_with("10.8");
        lab.reply(asked.link, &Reply::ok(if is_a { &lines } else { &[] }).to(&asked.packet));
    }
    let report = lab.engine.report().unwrap();
    let [record] = &report.records[..] else { panic!("{:?}", report.records) };
    assert_eq!(record.owner, b"\x01s\x0Bdistributed\x05local\0");
    assert_eq!(record.names, [b"\x06a-mail\x0Bdistributed\x05local\0"]);
}

#[test]
fn of_a_record_that_was_left_out_at_once_no_names_are_explained() {
    let mut lab = Lab::new(&TWO);
    lab.engine.explain_next();
    lab.udp(&Question::new("s.distributed.local.", Rtype::MX).packet());
    for asked in lab.take_asked() {
        let lines = ["cluster-a.local. 30 IN MX 10 mail.cluster-a.local."];
        let is_a = asked.server.to_string().starts_with("10.8");
        lab.reply(asked.link, &Reply::ok(if is_a { &lines } else { &[] }).to(&asked.packet));
    }
    let report = lab.engine.report().unwrap();
    let [record] = &report.records[..] else { panic!("{:?}", report.records) };
    assert_eq!((record.fate, record.names.len()), (Fate::Foreign, 0));
}

#[test]
fn u3_a_cluster_took_the_time_from_its_first_packet() {
    let mut lab = Lab::new(&TWO);
    lab.engine.explain_next();
    lab.udp(&Question::new("s.distributed.local.", Rtype::A).packet());
    let first = lab.take_asked();
    lab.pass(Duration::from_millis(150));
    assert_eq!(lab.take_asked().len(), 2, "both are asked again");
    for asked in first {
        lab.reply(asked.link, &Reply::rcode(Rcode::NXDOMAIN).to(&asked.packet));
    }
    let report = lab.engine.report().unwrap();
    for sub in &report.rounds[0].subs {
        let reaction = format!("{:?}", sub.reaction);
        assert!(reaction.contains("150ms"), "{reaction}");
    }
}

#[test]
fn k8_all_of_a_chain_that_was_left_out_is_explained_as_such() {
    let a = ["s.cluster-a.local. 30 IN CNAME x.example.", "x.example. 30 IN A 10.8.1.1"];
    let b = ["s.cluster-b.local. 30 IN CNAME y.example.", "y.example. 30 IN A 10.9.1.1"];
    let fates: Vec<Fate> = records(&a, Some(&b)).iter().map(|record| record.fate).collect();
    assert_eq!(fates, [Fate::Answer, Fate::Answer, Fate::Conflict, Fate::Conflict]);
}
