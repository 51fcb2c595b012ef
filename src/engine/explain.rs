//! What became of one question, for who wants to see it: kept only while an
//! engine is told to ([`Engine::explain_next`]).

use super::Engine;
use super::gather::{Gather, Phase};
use super::merge::{Fate, Section};
use super::outbox::Transport;
use super::sub::{Failure, Progress};
use crate::config::Route;
use crate::wire::names::NameId;
use domain::base::iana::{Rcode, Rtype};
use std::net::SocketAddr;
use std::time::Duration;

/// How one cluster dealt with a sub-question.
#[derive(Debug, Clone)]
pub enum Reaction {
    /// It answered properly.
    Answered {
        /// What it said.
        rcode: Rcode,
        /// Records in its answer, authority and additional sections.
        counts: [u16; 3],
        /// Which of its servers answered.
        server: SocketAddr,
        /// How the answer came.
        transport: Transport,
        /// How long after it was asked first.
        took: Duration,
    },
    /// The name would be too long there (Q6), so it was not asked.
    CannotExist,
    /// It did not answer properly.
    Failed(Failure),
}

/// A sub-question.
#[derive(Debug, Clone)]
pub struct SubReport {
    /// The cluster, or the forward.
    pub cluster: String,
    /// The name it was asked, flat.
    pub name: Vec<u8>,
    /// It was asked because a CNAME leads there (K8).
    pub follows: bool,
    /// How often the question was sent.
    pub tries: u8,
    /// What came of it.
    pub reaction: Reaction,
    /// Its reply, for looking into.
    pub reply: Vec<u8>,
}

/// Sub-questions that were asked together: one round, or two (Q5).
#[derive(Debug, Clone)]
pub struct Round {
    /// By prefix, or plain.
    pub phase: Phase,
    /// In the clusters' order, and then those that follow chains.
    pub subs: Vec<SubReport>,
}

/// What became of one record of a reply.
#[derive(Debug, Clone)]
pub struct RecordReport {
    /// The sub-question of the last round it answers.
    pub sub: usize,
    /// The section it came in.
    pub section: Section,
    /// Where it begins in its reply.
    pub source: usize,
    /// Its type.
    pub rtype: Rtype,
    /// Its owner, rewritten, flat.
    pub owner: Vec<u8>,
    /// The names in its RDATA, rewritten, flat.
    pub names: Vec<Vec<u8>>,
    /// The TTL it goes out with, in seconds, if it does (M3, M6).
    pub ttl: Option<u32>,
    /// That TTL was cut, because a cluster is missing (M6).
    pub capped: bool,
    /// What became of it.
    pub fate: Fate,
}

/// Everything about one question.
#[derive(Debug, Clone)]
pub struct Report {
    /// Where it was routed.
    pub route: Route,
    /// What was asked.
    pub rounds: Vec<Round>,
    /// Every record of the last round's replies. Empty for a forward.
    pub records: Vec<RecordReport>,
}

impl Engine {
    /// Keeps a report of every question from now on; each takes the place of
    /// the one before.
    pub fn explain_next(&mut self) {
        self.explain = Some(None);
    }

    /// The report of the last question; `None` if it was answered without
    /// asking anybody.
    pub fn report(&self) -> Option<&Report> {
        self.explain.as_ref()?.as_ref()
    }

    /// Notes a round that has ended. The last one comes with its records.
    pub(super) fn note_round(&mut self, index: u32, last: bool) {
        let gather = &self.gathers[index as usize];
        let Some(kept) = &mut self.explain else { return };
        let report =
            kept.get_or_insert(Report { route: gather.route, rounds: vec![], records: vec![] });
        report.rounds.push(round(gather));
        if last && matches!(gather.route, Route::Zone(_)) {
            let name = |id: NameId| self.merger.name(id).to_vec();
            let records = self.merger.records().iter().map(|record| RecordReport {
                sub: record.sub,
                section: record.section,
                source: record.source as usize,
                rtype: record.rtype,
                owner: name(record.owner),
                names: record.named().iter().map(|&id| name(id)).collect(),
                ttl: self.merger.sent_ttl(record),
                capped: self.merger.is_capped(record),
                fate: record.fate,
            });
            report.records = records.collect();
        }
    }
}

fn round(gather: &Gather) -> Round {
    let subs = gather.subs().iter().map(|sub| SubReport {
        cluster: match gather.route {
            Route::Zone(zone) => gather.plan.plan.zones[zone].clusters[sub.cluster].label.clone(),
            Route::Forward(n) => format!("forward {}", gather.plan.plan.forwards[n].name),
        },
        name: sub.name().to_vec(),
        follows: sub.follows,
        tries: sub.tries,
        reaction: match (sub.progress, sub.answered) {
            (Progress::Answered(summary), Some(source)) => Reaction::Answered {
                rcode: summary.rcode,
                counts: summary.counts,
                server: source.server,
                transport: source.transport,
                took: source.at.since(sub.asked_at),
            },
            (Progress::CannotExist, _) => Reaction::CannotExist,
            (Progress::Failed(failure), _) => Reaction::Failed(failure),
            _ => Reaction::Failed(Failure::Silent),
        },
        reply: sub.reply.clone(),
    });
    Round { phase: gather.phase, subs: subs.collect() }
}
