//! U1, case randomisation: letters of a question are a secret that the answer
//! has to repeat.

use crate::actors::{MS, address, addresses, question};
use crate::common::text::{Question, Reply, shown};
use crate::common::{Asked, Lab, client};
use domain::base::iana::Rtype;
use gathersrv::engine::Transport;

const RANDOM: [&str; 4] =
    ["--zone", "distributed.local.", "--cluster", "cluster-a.local. a- 10.8.0.1 case=random"];

const NAME: &str = "_demo._tcp.demo-service.default.svc.distributed.local.";

fn ask(lab: &mut Lab, rtype: Rtype) -> Asked {
    lab.query(client(Transport::Udp), &Question::new(NAME, rtype).packet());
    lab.take_asked().remove(0)
}

fn lower(asked: &Asked) -> Asked {
    let mut asked = asked.clone();
    asked.packet[12..].make_ascii_lowercase();
    asked
}

#[test]
fn u1_every_question_has_a_case_of_its_own() {
    let mut lab = Lab::new(&RANDOM);
    let mut seen = std::collections::HashSet::new();
    for n in 0..20 {
        let asked = ask(&mut lab, Rtype::A);
        assert!(seen.insert(question(&asked.packet).to_vec()));
        lab.reply(asked.link, &address(&asked, n));
        assert_eq!(addresses(&mut lab), [n]);
    }
}

#[test]
fn u1_an_answer_in_another_case_does_not_count_and_tcp_decides() {
    let mut lab = Lab::new(&RANDOM);
    let asked = ask(&mut lab, Rtype::A);
    lab.reply(asked.link, &address(&lower(&asked), 66));
    assert!(lab.answers.is_empty());
    assert_eq!(lab.engine.counters().suspect, 1);
    let over_tcp = lab.take_asked().remove(0);
    assert_eq!(over_tcp.transport, Transport::Tcp);
    // The good answer behind it still wins, on whichever way it comes.
    lab.reply(asked.link, &address(&asked, 1));
    assert_eq!(addresses(&mut lab), [1]);
}

#[test]
fn u1_a_server_that_changes_the_case_says_so_over_tcp_and_is_asked_plainly() {
    let mut lab = Lab::new(&RANDOM);
    let asked = ask(&mut lab, Rtype::A);
    lab.reply(asked.link, &address(&lower(&asked), 1));
    let over_tcp = lab.take_asked().remove(0);
    lab.reply(over_tcp.link, &address(&lower(&over_tcp), 1));
    assert_eq!(addresses(&mut lab), [1]);
    let asked = ask(&mut lab, Rtype::A);
    assert_eq!(asked.transport, Transport::Udp);
    let plain = b"\x05_demo\x04_tcp\x0cdemo-service\x07default\x03svc\x09cluster-a\x05local\0";
    assert!(question(&asked.packet).starts_with(plain));
    lab.reply(asked.link, &address(&asked, 2));
    assert_eq!(addresses(&mut lab), [2]);
}

#[test]
fn r3_names_that_point_into_the_question_are_not_spelled_in_its_case() {
    let mut lab = Lab::new(&RANDOM);
    for _ in 0..5 {
        let asked = ask(&mut lab, Rtype::SRV);
        // The target of a real server points into the question as it was sent.
        let target = "_demo._tcp.demo-service.default.svc.cluster-a.local. 30 IN SRV 0 0 80 \
                      pod-0.demo-service.default.svc.cluster-a.local.";
        let mut reply = Reply::ok(&[target]).to(&asked.packet);
        let srv = reply.len() - 12;
        assert!(srv > 0);
        reply[..2].copy_from_slice(&asked.packet[..2]);
        lab.reply(asked.link, &reply);
        let lines = shown(&lab.take_answers().remove(0).packet);
        assert_eq!(
            lines[1],
            format!("{NAME} 30 IN SRV 0 0 80 a-pod-0.demo-service.default.svc.distributed.local.")
        );
    }
    lab.pass(MS);
}

#[test]
fn u1_equal_answers_are_equal_whatever_the_case_of_their_questions() {
    let words = [&RANDOM[..], &["--keep", "100"]].concat();
    let mut lab = Lab::new(&words);
    for _ in 0..3 {
        let asked = ask(&mut lab, Rtype::A);
        lab.reply(asked.link, &address(&asked, 1));
        assert_eq!(addresses(&mut lab), [1]);
    }
    assert!(lab.engine.counters().unchanged > 0, "{:?}", lab.engine.counters());
}
