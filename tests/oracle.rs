//! The engine against an oracle: a slow and obvious second implementation of
//! the contract, for scenarios made by chance.
//!
//! The table of cases shows each rule where somebody thought of it; this finds
//! the places where nobody did. The oracle is in `tests/oracle/`: names are
//! lists of labels ([`labels`]), replies are taken apart with `domain`
//! ([`packet`]), merged as lists ([`merge`], [`chains`]), and encoded by
//! searching everything written so far ([`pack`], [`sizes`]). [`generate`]
//! makes [`scenario`]s, [`drive`] plays them.
//!
//! Some scenarios have a [`history`], made by [`generate_history`]: what was
//! asked before of the same engine. [`held`] says what is held of it.
//!
//! The seed is fixed, so that a run is the same everywhere; another one, or
//! more cases, with `PROPTEST_RNG_SEED=7 PROPTEST_CASES=100000`. A failure
//! prints the smallest scenario found that still fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

#[path = "oracle/chains.rs"]
mod chains;
#[path = "oracle/drive.rs"]
mod drive;
#[path = "oracle/generate.rs"]
mod generate;
#[path = "oracle/generate_history.rs"]
mod generate_history;
#[path = "oracle/held.rs"]
mod held;
#[path = "oracle/history.rs"]
mod history;
#[path = "oracle/labels.rs"]
mod labels;
#[path = "oracle/merge.rs"]
mod merge;
#[path = "oracle/pack.rs"]
mod pack;
#[path = "oracle/packet.rs"]
mod packet;
#[path = "oracle/replies.rs"]
mod replies;
#[path = "oracle/scenario.rs"]
mod scenario;
#[path = "oracle/sizes.rs"]
mod sizes;

use labels::Labels;
use merge::{Answer, Row};
use packet::{AA, AD, CD, Packet, Part, RA, RD, Record, TC};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use scenario::Scenario;
use sizes::Frame;

/// Proptest's own settings, but for what makes runs repeatable and bounded.
fn runner(cases: u32) -> TestRunner {
    let set = |name| std::env::var_os(name).is_some();
    let default = ProptestConfig::default();
    TestRunner::new(ProptestConfig {
        cases: if set("PROPTEST_CASES") { default.cases } else { cases },
        rng_seed: if set("PROPTEST_RNG_SEED") { default.rng_seed } else { RngSeed::Fixed(1) },
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..default
    })
}

/// The answer the contract demands, before sizes.
fn demanded(played: &drive::Played) -> Answer {
    let context = &played.context;
    let own = |record: Record| Answer {
        aa: true,
        ra: context.forward,
        answer: vec![Row::own(Record { owner: context.question.clone(), ..record })],
        ..Answer::default()
    };
    // Q8: the apex is ours.
    if context.question.same(&context.zone.name) {
        let ns = Labels(vec![b"ns".to_vec()]).join(&context.zone.name);
        match context.rtype {
            2 => {
                return own(Record {
                    owner: Labels::default(),
                    rtype: 2,
                    class: 1,
                    ttl: 300,
                    rdata: vec![Part::Name(ns)],
                });
            }
            6 => return own(merge::soa(&context.zone, 300)),
            _ => {}
        }
    }
    merge::answer(context, &played.subs)
}

fn shown(sections: &[Vec<Record>; 3]) -> String {
    let mut out = String::new();
    for (title, section) in ["answer", "authority", "additional"].iter().zip(sections) {
        for record in section {
            let Record { owner, rtype, ttl, rdata, .. } = record;
            out.push_str(&format!("  {title}: {owner:?} {ttl} TYPE{rtype} {rdata:?}\n"));
        }
    }
    out
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, got: T, demanded: T) -> Result<(), String> {
    if got == demanded {
        return Ok(());
    }
    Err(format!("{what}: {got:?} instead of {demanded:?}"))
}

/// R7: a name with a cluster's mark, but for the question's, is spoken of by that
/// cluster alone. Held against what the oracle demands, and so against what the
/// engine gives.
fn speaks_for_its_own(played: &drive::Played, answer: &merge::Answer) -> Result<(), String> {
    let (context, subs) = (&played.context, &played.subs);
    for row in answer.answer.iter().chain(&answer.additional) {
        let owner = &row.record.owner;
        let Some(front) = owner.in_front_of(&context.zone.name) else { continue };
        if owner.same(&context.question) {
            continue;
        }
        let Some(sub) = subs.get(row.sub) else { continue };
        let Some(carrier) = front.carrier() else {
            return Err(format!("cluster {} speaks for all of {owner:?}", sub.cluster));
        };
        let prefix = &context.zone.clusters[sub.cluster].prefix;
        let marked = front.0[carrier].get(..prefix.len());
        if !marked.is_some_and(|start| start.eq_ignore_ascii_case(prefix)) {
            return Err(format!("cluster {} speaks for {owner:?}", sub.cluster));
        }
    }
    Ok(())
}

/// Holds one answer against the oracle's.
fn judge(scenario: &Scenario, played: &drive::Played) -> Result<(), String> {
    let got = Packet::read(&played.packet).map_err(|e| format!("unreadable: {e}"))?;
    let answer = demanded(played);
    speaks_for_its_own(played, &answer)?;
    let asks = &scenario.asks;
    let ours = usize::from(scenario.settings.payload);
    let theirs = asks.edns.map_or(512, |(size, _)| usize::from(size).max(512));
    // Octets of the EDE that says that the answer was cut.
    let note =
        got.ede().iter().find(|(_, text)| text == sizes::CUT).map_or(0, |_| 6 + sizes::CUT.len());
    let frame = Frame {
        question: (played.context.question.clone(), asks.rtype, 1),
        opt: got.opt_len() - note,
        note,
        limit: if asks.tcp { 65_535 } else { ours.min(theirs) },
        // Without TC, nothing would be a denial.
        empty: scenario.settings.empty && !asks.tcp,
    };
    let demanded = frame.fit(&answer);
    let flags = [
        (0x8000, true),
        (AA, answer.aa),
        // RFC 1035, 4.1.1 would have it over TCP as well, where it makes
        // resolvers give up.
        (TC, demanded.cut && !asks.tcp),
        (RD, asks.rd),
        (RA, answer.ra),
        (AD, false),
        (CD, asks.cd),
    ];
    let flags =
        flags.iter().filter(|(_, set)| *set).fold(answer.rcode, |all, (flag, _)| all | flag);
    if played.packet.len() > frame.limit {
        return Err(format!("{} octets for {}", played.packet.len(), frame.limit));
    }
    equal("id", got.id, asks.id)?;
    equal("question", got.question.clone(), Some(frame.question))?;
    let (got_shown, demanded_shown) = (shown(&got.sections), shown(&demanded.sections));
    if got.sections != demanded.sections {
        return Err(format!("got\n{got_shown}instead of\n{demanded_shown}"));
    }
    equal("flags", format!("{:#06x}", got.flags), format!("{flags:#06x}"))?;
    let opt = got.opt.as_ref().map(|(size, ttl, _)| (usize::from(*size), *ttl));
    let do_bit = |dnssec_ok| if dnssec_ok { 0x8000 } else { 0 };
    equal("OPT", opt, asks.edns.map(|(_, dnssec_ok)| (ours, do_bit(dnssec_ok))))?;
    let mut ede = answer.ede;
    ede.extend((demanded.cut && asks.tcp).then_some(0));
    ede.retain(|_| asks.edns.is_some());
    let codes: Vec<u16> = got.ede().into_iter().map(|(code, _)| code).collect();
    equal("EDE", codes, ede)?;
    // R6: never longer than the best encoding.
    equal("octets", played.packet.len(), demanded.len)
}

#[test]
fn the_answer_is_the_oracles() {
    let ran = runner(1000).run(&generate::scenario(), |scenario| {
        let played = drive::play(&scenario, 1, false).map_err(TestCaseError::fail)?;
        judge(&scenario, &played).map_err(TestCaseError::fail)
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
}

#[test]
fn what_was_asked_before_is_answered_as_the_oracle_remembers_it() {
    let ran = runner(1000).run(&generate_history::scenario(), |scenario| {
        let played = drive::play(&scenario, 1, false).map_err(TestCaseError::fail)?;
        if played.close {
            return Ok(());
        }
        judge(&scenario, &played).map_err(TestCaseError::fail)
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
}

#[test]
fn m1_the_same_replies_make_the_same_bytes_whatever_the_seed_and_the_order() {
    let ran = runner(300).run(&generate::scenario(), |scenario| {
        let one = drive::play(&scenario, 1, false).map_err(TestCaseError::fail)?;
        let two = drive::play(&scenario, 2, true).map_err(TestCaseError::fail)?;
        prop_assert_eq!(one.packet, two.packet);
        Ok(())
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
}
