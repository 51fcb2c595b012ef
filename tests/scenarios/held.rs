//! How much is held of the clusters' answers, and for whom room is made.

use crate::actors::{MS, ONE, address, ask};
use crate::common::text::{Question, Reply, shown};
use crate::common::{Lab, client, plan};
use domain::base::iana::{Rcode, Rtype};
use gathersrv::engine::{LastGood, Transport};
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Octets that a question's records may take, on average (`--keep`).
const OCTETS: usize = 4 * 1232;

fn daemon(last_good: &Arc<LastGood>, keep: &str) -> Lab {
    let flags = [&ONE[..], &["--keep", keep]].concat();
    Lab::in_daemon(plan(&flags), [7; 32], last_good.clone())
}

/// Asks for a number of names, each of which has an address.
fn ask_for(lab: &mut Lab, names: usize) {
    for n in 0..names {
        ask(lab, n as u64, &format!("n{n}.distributed.local."));
        for asked in lab.take_asked() {
            lab.reply(asked.link, &address(&asked, 1));
        }
        lab.pass(MS);
    }
    // What was heard is handed in a little later.
    lab.pass(SECOND);
    lab.take_answers();
}

#[test]
fn what_is_held_takes_no_more_octets_than_it_has_room_for() {
    let last_good = LastGood::new([1; 32]);
    let mut lab = daemon(&last_good, "10");
    for n in 0..40 {
        let name = format!("n{n}.distributed.local.");
        let record = |m| format!("n{n}.cluster-a.local. 30 IN TXT {m}{}", "x".repeat(250));
        let long: Vec<String> = (0..12).map(record).collect();
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        lab.query(client(Transport::Tcp), &Question::new(&name, Rtype::TXT).packet());
        let asked = lab.take_asked().remove(0);
        lab.reply(asked.link, &Reply::ok(&long).to(&asked.packet));
        lab.pass(SECOND);
        let held = last_good.holding();
        assert!(held.octets[0] <= 10 * OCTETS, "{held:?}");
        // Each of these replies has three kilobytes.
        assert!(held.octets[0] >= (n + 1).min(10) * 3000, "{held:?}");
    }
    assert_eq!(last_good.holding().entries[0], 10);
}

#[test]
fn the_room_that_a_plan_wanted_goes_with_it() {
    let last_good = LastGood::new([1; 32]);
    let mut lab = daemon(&last_good, "1000");
    ask_for(&mut lab, 500);
    assert_eq!(last_good.holding().entries[0], 500);
    lab.set_plan(plan(&[&ONE[..], &["--keep", "100"]].concat()));
    ask_for(&mut lab, 1);
    assert_eq!(last_good.holding().entries[0], 100);
    // As long as one worker has a plan that wants more, there is more.
    let mut other = daemon(&last_good, "400");
    ask_for(&mut other, 500);
    assert_eq!(last_good.holding().entries[0], 400);
    drop(other);
    ask_for(&mut lab, 1);
    assert_eq!(last_good.holding().entries[0], 100);
}

#[test]
fn what_is_given_from_the_cache_is_in_use_and_stays_held() {
    let flags = [&ONE[..], &["--cache", "10000", "--keep", "20"]].concat();
    let mut lab = Lab::new(&flags);
    let kept = Question::new("kept.distributed.local.", Rtype::A).packet();
    lab.udp(&kept);
    let asked = lab.take_asked().remove(0);
    let reply = Reply::ok(&["kept.cluster-a.local. 300 IN A 10.0.0.9"]);
    lab.reply(asked.link, &reply.to(&asked.packet));
    for n in 0..200 {
        lab.pass(SECOND);
        lab.udp(&kept);
        assert!(lab.asked.is_empty(), "it is given again");
        ask(&mut lab, n, &format!("n{n}.distributed.local."));
        let asked = lab.take_asked().remove(0);
        lab.reply(asked.link, &address(&asked, 1));
    }
    lab.pass(200 * SECOND);
    lab.take_answers();
    lab.udp(&kept);
    let asked = lab.take_asked().remove(0);
    lab.reply(asked.link, &Reply::rcode(Rcode::REFUSED).to(&asked.packet));
    let lines = shown(&lab.take_answers().remove(0).packet);
    assert_eq!(lines[1], "kept.distributed.local. 5 IN A 10.0.0.9");
}
