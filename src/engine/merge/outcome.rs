//! What a merged answer says of itself: its rcode, AA and RA (M5, M9), how complete it
//! is (M6), and the TTL of its SOA (M7).

use super::{Completeness, Fate, Merger};
use crate::config::{OnMissing, Plan, Zone};
use crate::engine::gather::Gather;
use crate::engine::stand_in::may_be_nodata;
use crate::engine::sub::{Progress, Sub};
use crate::engine::time::Time;
use domain::base::iana::{ExtendedErrorCode, Rcode};

/// How long a negative answer may be kept if no cluster said (M7), in
/// seconds: as long as an answer that lacks a cluster.
const DEFAULT_NEGATIVE_TTL: u32 = 5;

/// What the answer will be, before it is written.
pub(super) struct Outcome {
    pub(super) rcode: Rcode,
    pub(super) aa: bool,
    pub(super) ra: bool,
    /// An SOA record is due in the authority section, with this TTL (M7).
    pub(super) negative_ttl: Option<u32>,
    /// TTLs are cut to this (M6).
    pub(super) cap: u32,
    pub(super) completeness: Completeness,
}

impl Merger {
    /// M5, M6, M7 and M9.
    pub(super) fn outcome(
        &mut self,
        now: Time,
        gather: &Gather,
        zone: &Zone,
        plan: &Plan,
    ) -> Outcome {
        let mut all_aa = true;
        let mut any_ra = !plan.forwards.is_empty();
        let mut failed = 0;
        let mut asked = 0;
        let mut answered = 0;
        let mut stale = 0;
        let mut negative_ttl: Option<u32> = None;
        for (n, sub) in gather.subs().iter().enumerate() {
            asked += usize::from(is_first(gather, n, |_| true));
            match &sub.progress {
                Progress::Answered(summary) => {
                    stale += usize::from(sub.stale);
                    answered += usize::from(!sub.stale);
                    all_aa &= summary.aa;
                    any_ra |= summary.ra;
                    if let Some(ttl) = summary.negative_ttl {
                        let ttl = ttl.saturating_sub(sub.age(now));
                        negative_ttl = Some(negative_ttl.map_or(ttl, |known| known.min(ttl)));
                    }
                }
                Progress::CannotExist => answered += 1,
                Progress::Failed(_) | Progress::Waiting => {
                    failed += usize::from(is_first(gather, n, Sub::is_missing));
                }
            }
        }
        let proper = asked - failed;
        let mut outcome = Outcome {
            rcode: Rcode::NOERROR,
            aa: all_aa,
            ra: any_ra,
            negative_ttl: None,
            cap: u32::MAX,
            completeness: Completeness::Whole,
        };
        let settings = &plan.settings;
        let behaviour = &zone.behaviour;
        let has_records = !self.order.is_empty();
        let enough = proper >= behaviour.min_clusters.min(asked);
        // K3: a cluster that is missing may have records, yet somebody says that
        // the name has none of this type.
        let exists = self.chains.any_noerror || self.chains.flattened;
        let nodata = !has_records && exists && may_be_nodata(gather.qtype());
        let partial = enough && behaviour.on_missing != OnMissing::Fail && (has_records || nodata);
        if !enough || (failed > 0 && !partial) {
            self.fail(gather, zone, &mut outcome, answered, asked);
        } else if failed == 0
            && !self.chains.any_noerror
            && !self.chains.has_data
            && !self.chains.flattened
            && gather.name().len() != zone.name.as_slice().len()
        {
            // Also when the names a chain led to do not exist (RFC 6604, 3).
            outcome.rcode = Rcode::NXDOMAIN;
        }
        if outcome.rcode != Rcode::SERVFAIL && stale + failed > 0 {
            // An answer that lacks a cluster is held for a short time in all.
            let held = u32::try_from(now.since(gather.settled).as_secs()).unwrap_or(u32::MAX);
            outcome.cap = settings.incomplete_ttl.saturating_sub(held);
        }
        if outcome.rcode != Rcode::SERVFAIL && stale > 0 {
            outcome.completeness = Completeness::Stale;
            let old = clusters(gather, zone, |sub| sub.stale);
            // RFC 8914, 4.20.
            let code = match outcome.rcode {
                Rcode::NXDOMAIN => ExtendedErrorCode::STALE_NXDOMAIN_ANSWER,
                _ => ExtendedErrorCode::STALE_ANSWER,
            };
            self.notes.add(code, "stale data, from", old);
        }
        if outcome.rcode != Rcode::SERVFAIL && failed > 0 {
            outcome.completeness = Completeness::Partial;
            let missing = clusters(gather, zone, Sub::is_missing);
            self.notes.add(ExtendedErrorCode::NETWORK_ERROR, "answer is partial, without", missing);
        }
        if outcome.rcode != Rcode::SERVFAIL && (!has_records || outcome.rcode == Rcode::NXDOMAIN) {
            outcome.negative_ttl =
                Some(negative_ttl.unwrap_or(DEFAULT_NEGATIVE_TTL).min(outcome.cap));
            // A negative answer with AA and RA both clear looks lame (M9); the
            // SOA in it is ours, so AA is true of it.
            outcome.aa |= !outcome.ra;
        }
        outcome
    }

    fn fail(
        &mut self,
        gather: &Gather,
        zone: &Zone,
        outcome: &mut Outcome,
        answered: usize,
        asked: usize,
    ) {
        for record in &mut self.records {
            if matches!(record.fate, Fate::Answer | Fate::Additional) {
                record.fate = Fate::Unrelated;
            }
        }
        self.order.clear();
        outcome.rcode = Rcode::SERVFAIL;
        outcome.aa = false;
        outcome.completeness = Completeness::Failed;
        // 22 if nobody could be reached, 23 if somebody answered (RFC 8914).
        let code = if answered == 0 && asked > 0 {
            ExtendedErrorCode::NO_REACHABLE_AUTHORITY
        } else {
            ExtendedErrorCode::NETWORK_ERROR
        };
        self.notes.add(code, "no answer from", clusters(gather, zone, Sub::is_missing));
    }
}

/// Of the sub-questions like this one, the `n`th is its cluster's first. A
/// cluster is asked more than once where a CNAME leads there.
fn is_first(gather: &Gather, n: usize, like: impl Fn(&Sub) -> bool) -> bool {
    let (before, rest) = gather.subs().split_at(n);
    let Some(sub) = rest.first() else { return false };
    !sub.follows || !before.iter().any(|other| other.cluster == sub.cluster && like(other))
}

/// The clusters that have such a sub-question, by name.
fn clusters<'a>(
    gather: &'a Gather,
    zone: &'a Zone,
    like: impl Fn(&Sub) -> bool + Copy + 'a,
) -> impl Iterator<Item = &'a str> {
    let subs = gather.subs().iter().enumerate();
    let such = subs.filter(move |&(n, sub)| like(sub) && is_first(gather, n, like));
    such.map(|(_, sub)| zone.clusters[sub.cluster].label.as_str())
}
