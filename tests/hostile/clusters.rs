//! What comes instead of a cluster's good reply: every row of `clusters.txt`.

use crate::actors::{address, address_query, question};
use crate::common::text::shown;
use crate::common::{Asked, Lab, client};
use crate::octets::{Words, inputs};
use crate::table::{Row, each, rows, short};
use gathersrv::engine::Transport;

/// One cluster with two servers.
const CLUSTER: [&str; 4] =
    ["--zone", "distributed.local.", "--cluster", "cluster-a.local. a- 10.8.0.1 10.8.0.2"];

/// What the good reply has in it.
const GOOD: u8 = 1;

/// What the rows' words stand for when this has been asked.
fn words_of(asked: &Asked) -> Words {
    let id = asked.packet[..2].to_vec();
    Words::from([
        ("WRONGID", vec![id[0], id[1] ^ 1]),
        ("ID", id),
        ("ASKED", question(&asked.packet).to_vec()),
        ("GOOD", address(asked, GOOD)),
    ])
}

/// A laboratory in which the first server has just been asked.
pub fn begin(flags: &[&str]) -> (Lab, Asked) {
    let mut lab = Lab::new(flags);
    lab.query(client(Transport::Tcp), &address_query(crate::actors::WEB));
    let asked = lab.take_asked().remove(0);
    (lab, asked)
}

/// The client's answer as the table has it: rcode and answer records.
fn answer_of(packet: &[u8]) -> String {
    let lines = shown(packet);
    let rcode = lines[0].split(' ').nth(1).unwrap().to_string();
    let records = lines[1..].iter().take_while(|line| line.contains(" IN ")).cloned();
    [rcode].into_iter().chain(records).collect::<Vec<_>>().join("; ")
}

/// What the hostile reply led to, and who has to give the good one.
fn reaction(lab: &mut Lab, first: &Asked) -> Result<(&'static str, Asked), String> {
    let more = lab.take_asked();
    let [next] = &more[..] else {
        return match more.len() {
            0 => Ok(("ignored", first.clone())),
            n => Err(format!("asked {n} times more")),
        };
    };
    // The ID of what is done with is free: a reply to it is nobody's.
    let waiting = lab.engine.questions_in_flight();
    let with_opt = |asked: &Asked| asked.packet[11] == 1;
    Ok(match (next.transport, waiting) {
        (Transport::Tcp, 1) => ("tcp", next.clone()),
        (Transport::Udp, 1) if next.server != first.server => ("next", next.clone()),
        (Transport::Udp, 2) if next.server != first.server => ("again", first.clone()),
        (Transport::Udp, _) if next.server == first.server && !with_opt(next) => {
            ("plain", next.clone())
        }
        _ => return Err(format!("{waiting} in flight, and asked {next:?}")),
    })
}

fn meet(row: &Row, lab: &mut Lab, first: &Asked, bad: &[u8]) -> Result<(), String> {
    let before = lab.engine.counters();
    lab.reply(first.link, bad);
    if let Some(answer) = lab.take_answers().pop() {
        let got = format!("used {}", answer_of(&answer.packet));
        if got != row.reaction {
            return Err(got);
        }
        if !lab.take_asked().is_empty() {
            return Err("somebody is asked more".into());
        }
        // What comes behind it is nobody's.
        lab.reply(first.link, &address(first, GOOD));
        if !lab.take_answers().is_empty() || lab.engine.counters().unexpected != 1 {
            return Err("the good reply behind it counts as well".into());
        }
        return Ok(());
    }
    let (got, teller) = reaction(lab, first)?;
    if !row.reaction.split(" or ").any(|wanted| wanted == got) {
        return Err(got.into());
    }
    let after = lab.engine.counters();
    let ignored = |c: gathersrv::engine::Counters| c.unexpected + c.mismatched;
    if got == "ignored" && ignored(after) != ignored(before) + 1 {
        return Err("it is not counted".into());
    }
    lab.reply(teller.link, &address(&teller, GOOD));
    match lab.take_answers().pop().map(|answer| answer_of(&answer.packet)) {
        Some(answer) if answer == "NOERROR; web.distributed.local. 30 IN A 10.0.0.1" => Ok(()),
        other => Err(format!("the good reply behind it: {other:?}")),
    }
}

fn run(row: &Row) -> Result<(), String> {
    let (_, asked) = begin(&CLUSTER);
    // The same seed, the same ID: the inputs fit every laboratory.
    for bad in inputs(&row.octets, &words_of(&asked))? {
        let (mut lab, first) = begin(&CLUSTER);
        let told = |what: String| format!("{what}; expected {} ({})", row.reaction, short(&bad));
        meet(row, &mut lab, &first, &bad).map_err(told)?;
        lab.assert_idle();
        // The next question is as good as any.
        lab.query(client(Transport::Udp), &address_query(crate::actors::WEB));
        let asked = lab.take_asked().remove(0);
        lab.reply(asked.link, &address(&asked, GOOD));
        if crate::actors::addresses(&mut lab) != [GOOD] {
            return Err("the question after it is not answered".into());
        }
        lab.assert_idle();
    }
    Ok(())
}

#[test]
fn u1_every_row_of_the_clusters_has_its_reaction() {
    each(&rows("clusters.txt"), run);
}
