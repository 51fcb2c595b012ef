//! U2: what a forger would have to guess varies, and what is over is over.

use crate::actors::{DEADLINE, MS, ONE, address, addresses, ask, ask_web};
use crate::common::Lab;
use std::collections::HashSet;
use std::time::Duration;

/// One question answered at once; its link and ID.
fn once(lab: &mut Lab, n: u64) -> (gathersrv::engine::LinkId, u16) {
    ask(lab, n, "web.distributed.local.");
    let asked = lab.take_asked().remove(0);
    lab.reply(asked.link, &address(&asked, 1));
    assert_eq!(lab.take_answers().len(), 1);
    (asked.link, asked.id())
}

#[test]
fn u2_ids_and_links_vary() {
    let mut lab = Lab::new(&ONE);
    let mut links = HashSet::new();
    let mut ids = Vec::new();
    for n in 0..400 {
        lab.pass(MS);
        let (link, id) = once(&mut lab, n);
        links.insert(link);
        ids.push(id);
    }
    assert_eq!(links.len(), 4, "several ports at a time");
    let different: HashSet<u16> = ids.iter().copied().collect();
    assert!(different.len() > 380, "{} different IDs", different.len());
    let near = ids.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 256).count();
    assert!(near < 20, "{near} IDs near the one before");
    for bit in 0..16 {
        let set = ids.iter().filter(|&&id| id >> bit & 1 == 1).count();
        assert!((120..280).contains(&set), "bit {bit} is set in {set} of 400 IDs");
    }
}

#[test]
fn u2_another_seed_gives_other_ids() {
    let mut seen = HashSet::new();
    for seed in 0..8 {
        let mut lab = Lab::with_plan(crate::common::plan(&ONE), [seed; 32]);
        seen.insert((0..4).map(|n| once(&mut lab, n).1).collect::<Vec<_>>());
    }
    assert_eq!(seen.len(), 8);
}

#[test]
fn u2_an_id_rests_after_its_question() {
    let mut lab = Lab::new(&ONE);
    let mut seen = HashSet::new();
    // All within the second an ID rests. Without rest about seventy would
    // come again: 1,500 on each of four links, of 65,536.
    for n in 0..6000 {
        lab.pass(Duration::from_micros(160));
        assert!(seen.insert(once(&mut lab, n)), "an ID came again after {n} questions");
    }
}

#[test]
fn u2_a_late_reply_changes_nothing() {
    let mut lab = Lab::new(&ONE);
    let old = ask_web(&mut lab).remove(0);
    lab.pass(DEADLINE);
    assert_eq!(lab.take_answers().len(), 1, "SERVFAIL at the deadline");
    lab.take_asked();
    let new = ask_web(&mut lab).remove(0);
    for wait in [0, 100, 300] {
        lab.pass(MS * wait);
        lab.reply(old.link, &address(&old, 66));
        assert!(lab.answers.is_empty());
    }
    assert_eq!(lab.engine.counters().unexpected, 3);
    assert_eq!(lab.engine.questions_in_flight(), 1);
    lab.reply(new.link, &address(&new, 1));
    assert_eq!(addresses(&mut lab), [1]);
    lab.assert_idle();
}

#[test]
fn u2_links_retire_and_are_closed_when_their_questions_are_done() {
    let mut lab = Lab::new(&ONE);
    // Two minutes: each link is replaced after 20 to 40 seconds.
    for n in 0..1200 {
        lab.pass(MS * 100);
        once(&mut lab, n);
    }
    let (opened, closed) = (lab.opened.len(), lab.closed.len());
    assert!((12..=28).contains(&opened), "{opened} links in two minutes");
    assert_eq!(opened - closed, 4, "old ones are closed");
    let links: HashSet<_> = lab.opened.iter().map(|open| open.link).collect();
    assert_eq!(links.len(), opened, "a link's name is never used twice");
}

#[test]
fn u2_a_retired_link_still_brings_its_answer_home() {
    let flags = [&ONE[..], &["--deadline", "60s"]].concat();
    let mut lab = Lab::new(&flags);
    let old = ask_web(&mut lab).remove(0);
    for n in 0..400 {
        lab.pass(MS * 110);
        lab.take_asked();
        ask(&mut lab, n, "else.distributed.local.");
        let asked = lab.take_asked().remove(0);
        lab.reply(asked.link, &address(&asked, 2));
    }
    lab.take_answers();
    assert!(lab.opened.len() > 4, "links were replaced");
    assert!(!lab.closed.contains(&old.link), "one question is still in flight on it");
    lab.reply(old.link, &address(&old, 1));
    assert_eq!(addresses(&mut lab), [1]);
    assert!(lab.closed.contains(&old.link));
    lab.assert_idle();
}
