//! Chains of CNAMEs that lead from cluster to cluster (K8).

use crate::actors::{DEADLINE, MS, address_query};
use crate::common::text::{Reply, question_of, shown};
use crate::common::{Asked, Lab, TWO};
use domain::base::iana::Rcode;

/// The number in the first label of what is asked: `n7.cluster-b.local.`.
fn step(asked: &Asked) -> usize {
    let question = question_of(&asked.packet);
    question.split_once('.').and_then(|(label, _)| label[1..].parse().ok()).expect("a number")
}

/// Each cluster leads on to the other one, for ever.
fn bounce(asked: &Asked) -> Vec<u8> {
    let question = question_of(&asked.packet);
    let (name, _) = question.split_once(' ').unwrap();
    let other = if name.contains("cluster-a") { "cluster-b" } else { "cluster-a" };
    let next = step(asked) + 1;
    Reply::ok(&[&format!("{name} 30 IN CNAME n{next}.{other}.local.")]).to(&asked.packet)
}

#[test]
fn k8_a_chain_across_clusters_has_eleven_steps() {
    let mut lab = Lab::new(&TWO);
    lab.udp(&address_query("a-n0.distributed.local."));
    let mut steps = Vec::new();
    while let [asked] = &lab.take_asked()[..] {
        steps.push(step(asked));
        lab.pass(MS);
        lab.reply(asked.link, &bounce(asked));
    }
    assert_eq!(steps, (0..11).collect::<Vec<_>>(), "what the eleventh leads to is not asked");
    let answer = lab.take_answers().remove(0);
    let lines = shown(&answer.packet);
    assert_eq!(lines[0], "=> NOERROR aa");
    assert_eq!(lines.len(), 12, "eleven CNAMEs");
    assert!(lines[11].ends_with("CNAME b-n11.distributed.local."), "{}", lines[11]);
    lab.assert_idle();
}

#[test]
fn k8_two_chains_to_one_name_ask_for_it_once() {
    let mut lab = Lab::new(&[&TWO[..], &["--cluster", "cluster-c.local. c- 10.10.0.1"]].concat());
    lab.udp(&address_query("s.distributed.local."));
    let asked = lab.take_asked();
    let cname = |asked: &Asked, cluster: &str| {
        let line = format!("s.cluster-{cluster}.local. 30 IN CNAME web.cluster-c.local.");
        Reply::ok(&[&line]).to(&asked.packet)
    };
    lab.reply(asked[0].link, &cname(&asked[0], "a"));
    lab.reply(asked[1].link, &cname(&asked[1], "b"));
    lab.reply(asked[2].link, &Reply::rcode(Rcode::NXDOMAIN).to(&asked[2].packet));
    let followed = lab.take_asked();
    let [one] = &followed[..] else { panic!("{} questions", followed.len()) };
    assert_eq!(question_of(&one.packet), "web.cluster-c.local. A");
    lab.reply(one.link, &Reply::ok(&["web.cluster-c.local. 30 IN A 10.10.1.2"]).to(&one.packet));
    let answer = lab.take_answers().remove(0);
    let demanded = [
        "=> NOERROR aa",
        "s.distributed.local. 30 IN CNAME c-web.distributed.local.",
        "c-web.distributed.local. 30 IN A 10.10.1.2",
    ];
    assert_eq!(shown(&answer.packet), demanded);
}

#[test]
fn k8_t5_where_the_deadline_has_come_nobody_is_asked_any_more() {
    let mut lab = Lab::new(&TWO);
    lab.udp(&address_query("s.distributed.local."));
    let asked = lab.take_asked();
    let line = "s.cluster-a.local. 30 IN CNAME web.cluster-b.local.";
    lab.reply(asked[0].link, &Reply::ok(&[line]).to(&asked[0].packet));
    lab.pass(DEADLINE);
    assert!(lab.take_asked().iter().all(|again| question_of(&again.packet).starts_with("s.")));
    let lines = shown(&lab.take_answers().remove(0).packet);
    let demanded = ["=> NOERROR aa", "s.distributed.local. 5 IN CNAME b-web.distributed.local."];
    assert_eq!(lines, demanded);
    lab.assert_idle();
}

/// Asks for `s`, has the clusters answer, and shows the answer.
fn ask_s(lab: &mut Lab, reply: impl Fn(&str) -> Reply) -> Vec<String> {
    lab.udp(&address_query("s.distributed.local."));
    loop {
        let asked = lab.take_asked();
        for asked in &asked {
            lab.reply(asked.link, &reply(&question_of(&asked.packet)).to(&asked.packet));
        }
        if asked.is_empty() {
            return shown(&lab.take_answers().remove(0).packet);
        }
    }
}

#[test]
fn k8_m6_where_a_chain_went_on_is_known_while_that_cluster_is_missing() {
    let mut lab = Lab::new(&[&TWO[..], &["--keep", "100"]].concat());
    let healthy = |question: &str| match question {
        "s.cluster-a.local. A" => {
            Reply::ok(&["s.cluster-a.local. 30 IN CNAME web.cluster-b.local."])
        }
        "web.cluster-b.local. A" => Reply::ok(&["web.cluster-b.local. 30 IN A 10.9.1.2"]),
        _ => Reply::rcode(Rcode::NXDOMAIN),
    };
    let lines = ask_s(&mut lab, healthy);
    let end = "b-web.distributed.local. 30 IN A 10.9.1.2";
    let demanded =
        ["=> NOERROR aa", "s.distributed.local. 30 IN CNAME b-web.distributed.local.", end];
    assert_eq!(lines, demanded);
    let ill = |question: &str| match question {
        "s.cluster-a.local. A" => healthy(question),
        _ => Reply::rcode(Rcode::REFUSED),
    };
    let lines = ask_s(&mut lab, ill);
    assert_eq!(lines, demanded.map(|line| line.replace(" 30 ", " 5 ")));
}
