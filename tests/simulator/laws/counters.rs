//! Law 10: what a worker counts is what has happened, each thing once and under its
//! name.

use crate::common::Asked;
use crate::tally::Tally;
use crate::world::octets_of;
use domain::base::iana::{OptRcode, Rcode, Rtype};
use gathersrv::engine::meters::{Latency, NO_ANSWER, RCODES, TRANSPORTS, TYPES};
use gathersrv::engine::{Counters, Transport, Vitals};
use std::collections::BTreeMap;
use std::time::Duration;

/// Buckets of a histogram of latencies.
const BUCKETS: usize = 17;

/// What has been seen of one worker.
#[derive(Debug, Default)]
pub struct Ledger {
    pub questions: u64,
    pub health_checks: u64,
    pub retransmitted_at_most: u64,
    pub retransmitted_at_least: u64,
    pub answers: BTreeMap<[&'static str; 3], u64>,
    took: Duration,
    buckets: [u64; BUCKETS],
    /// Answers that were kept, and those of them to a query too many.
    pub kept: u64,
    pub kept_of_overloaded: u64,
    pub truncated_answers: u64,
    /// Answers SERVFAIL because too many were in flight.
    pub refused: u64,
    pub joined: u64,
    /// Replies by what they were.
    pub truncated_replies: u64,
    pub replies: BTreeMap<(u8, u8, usize), u64>,
    pub taken_out: u64,
    pub sieges: u64,
    /// Answers to clients with EDNS, by what they say of themselves: whole, stale,
    /// partial, failed; behind them answers to those without it.
    pub told: [u64; 4],
    pub untold: u64,
    /// The plan was replaced.
    pub reloaded: bool,
}

fn type_name(rtype: Rtype) -> &'static str {
    let known = TYPES.iter().find(|(known, _)| *known == Some(rtype));
    known.map_or("other", |(_, name)| name)
}

fn rcode_place(rcode: Rcode) -> usize {
    let rcode = OptRcode::from_rcode(rcode);
    RCODES.iter().position(|(known, _)| *known == Some(rcode)).expect("a usual one")
}

impl Ledger {
    pub fn note_answer(
        &mut self,
        rtype: Rtype,
        transport: Transport,
        rcode: Rcode,
        took: Duration,
    ) {
        let transport = TRANSPORTS.iter().find(|(known, _)| *known == transport);
        let transport = transport.expect("a transport").1;
        let key = [type_name(rtype), transport, RCODES[rcode_place(rcode)].1];
        *self.answers.entry(key).or_default() += 1;
        self.took += took;
        let below = Latency::bounds().position(|bound| took <= bound);
        self.buckets[below.unwrap_or(BUCKETS - 1)] += 1;
    }

    pub fn note_asked(&mut self, asked: &Asked, is_check: bool) {
        assert!(!asked.packet.is_empty());
        match is_check {
            true => self.health_checks += 1,
            false => self.questions += 1,
        }
    }

    /// A reply to a question counts: of a cluster's server, with this rcode.
    pub fn note_reply(&mut self, cluster: u8, host: u8, rcode: Rcode) {
        *self.replies.entry((cluster, host, rcode_place(rcode))).or_default() += 1;
    }

    fn all(&self) -> u64 {
        self.answers.values().sum()
    }

    /// At the end, when nothing is in flight.
    pub fn compare(&self, counters: &Counters, vitals: &Vitals, tally: &mut Tally) {
        assert_eq!(counters.answered, self.all(), "answers");
        assert_eq!(counters.asked, self.questions, "questions to servers");
        assert_eq!(counters.probes, self.health_checks, "health checks");
        assert_eq!(counters.shared, self.joined, "coalesced queries");
        assert_eq!(counters.truncated, self.truncated_answers, "truncated answers");
        assert_eq!(counters.truncated_replies, self.truncated_replies, "truncated replies");
        assert_eq!(counters.overloaded, self.refused, "refused, too many in flight");
        assert_eq!(counters.taken_out, self.taken_out, "taken out");
        assert_eq!(counters.sieges, self.sieges, "sieges");
        let hits = self.kept - self.kept_of_overloaded..=self.kept;
        assert!(hits.contains(&counters.hits), "{} hits, {hits:?}", counters.hits);
        let retransmitted = self.retransmitted_at_least..=self.retransmitted_at_most;
        assert!(
            retransmitted.contains(&counters.retransmitted),
            "{} retransmitted, {retransmitted:?}",
            counters.retransmitted
        );
        for other in [
            counters.not_queries,
            counters.unreadable,
            counters.client_limited,
            counters.loops,
            counters.rate_limited,
            counters.unproven,
            counters.too_long,
            counters.foreign,
            counters.exhausted,
            counters.cut_over_stream,
            counters.refused,
        ] {
            assert_eq!(other, 0, "{counters:?}");
        }
        if !self.reloaded {
            self.compare_meter(vitals);
            tally.metered += 1;
        }
    }

    fn compare_meter(&self, vitals: &Vitals) {
        let meter = &vitals.meters[0];
        let counted: BTreeMap<[&str; 3], u64> = meter.queries().collect();
        assert_eq!(counted, self.answers, "answers by type, transport and rcode");
        assert_eq!(vitals.stray.queries().count(), 0, "all are about the zone");
        assert_eq!(u128::from(meter.latency.micros), self.took.as_micros(), "latencies");
        assert_eq!(meter.latency.buckets, self.buckets, "latencies");
        let gathered: u64 = meter.completeness.iter().sum();
        assert_eq!(gathered, self.all() - self.refused, "gathered answers");
        for (n, (&counted, told)) in meter.completeness.iter().zip(self.told).enumerate() {
            let untold = if n == 3 { 0 } else { self.untold };
            assert!((told..=told + untold).contains(&counted), "{n}: {counted}, {told}");
        }
        for (cluster, known) in meter.clusters.iter().enumerate() {
            let plan = &vitals.plan;
            let named = &plan.zones[0].clusters[cluster].servers;
            for (&server, outcomes) in named.iter().zip(&known.servers) {
                let host = octets_of(plan.servers[server].addr)[3];
                for (rcode, &count) in outcomes[..NO_ANSWER].iter().enumerate() {
                    let key = (cluster as u8, host, rcode);
                    let seen = self.replies.get(&key).copied().unwrap_or_default();
                    assert_eq!(count, seen, "replies of {key:?}");
                }
            }
        }
    }
}
