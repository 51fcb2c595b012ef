//! What is held of a cluster stands in for it while it is missing (M6, rules K).

use super::Engine;
use super::gather::Gather;
use super::last_good::{Held, Subject};
use super::sub::{Progress, Sub};
use super::time::Time;
use crate::config::{OnMissing, Route};
use crate::wire::name::FlatName;
use crate::wire::rewrite::push_outbound;
use domain::base::iana::{Rcode, Rtype};
use std::time::Duration;

/// Types of which NODATA is given although a cluster is missing (K3, K4): who
/// asks for them asks for others as well, and takes SERVFAIL of one for the
/// failure of all. Others are taken at their word: an empty SRV or TXT answer
/// removes what is in use.
pub(super) fn may_be_nodata(qtype: Rtype) -> bool {
    matches!(qtype, Rtype::A | Rtype::AAAA | Rtype::HTTPS | Rtype::SVCB | Rtype::NS)
}

fn is_missing(sub: &Sub) -> bool {
    matches!(sub.progress, Progress::Failed(_))
}

/// Nothing that is said now or held says that the name exists.
fn has_no_name(sub: &Sub) -> bool {
    match sub.progress {
        Progress::Answered(summary) => summary.rcode == Rcode::NXDOMAIN && !summary.has_answer,
        Progress::CannotExist | Progress::Failed(_) | Progress::Waiting => true,
    }
}

/// The sub-question of a gather, as it is held.
pub(super) fn subject<'a>(
    gather: &Gather,
    zone: usize,
    cluster: usize,
    name: &'a [u8],
) -> Option<Subject<'a>> {
    let cluster = gather.plan.enrolment.cluster(zone, cluster)?;
    Some(Subject { cluster, name, rtype: gather.qtype(), cd: gather.header.cd() })
}

/// The name of a sub-question, in lower case.
fn lower_case(sub: &Sub) -> Vec<u8> {
    sub.name().to_ascii_lowercase()
}

impl Engine {
    /// Fills in for clusters that are missing (M6), and for those that suddenly
    /// have nothing, as long as that is not believed.
    pub(super) fn stand_in(&mut self, now: Time, index: u32) {
        let gather = &self.gathers[index as usize];
        let Route::Zone(zone) = gather.route else { return };
        let behaviour = gather.behaviour();
        let stale = behaviour.on_missing == OnMissing::Stale;
        let (keep_for, patience) = (behaviour.keep_for, behaviour.keep_on_empty);
        let distrust = patience > Duration::ZERO;
        let needed = |sub: &Sub| match is_missing(sub) {
            true => stale,
            false => distrust && !sub.has_answer(),
        };
        if gather.plan.plan.settings.keep == 0 || !gather.subs().iter().any(needed) {
            return;
        }
        self.hand_in();
        let mut held = self.last_good.lock();
        let gather = &mut self.gathers[index as usize];
        for n in 0..gather.subs().len() {
            let sub = &gather.subs()[n];
            if !needed(sub) {
                continue;
            }
            let name = lower_case(sub);
            let Some(subject) = subject(gather, zone, sub.cluster, &name) else { continue };
            let found = if is_missing(sub) {
                held.find(subject, now, keep_for)
            } else {
                held.find_records(subject, now, patience)
            };
            if let Some(found) = found {
                gather.subs_mut()[n].stand_in(&found);
                // A flood while the cluster is missing must not displace it.
                held.note_use(subject);
            }
        }
        drop(held);
        self.count_exactly(index);
        // K4: they may be asked for a type that nobody has asked for before.
        let held = self.last_good.lock();
        let gather = &mut self.gathers[index as usize];
        let mut own = gather.subs().iter().filter(|sub| !sub.follows && !sub.stale);
        let is_alias = |sub: &Sub| matches!(&sub.progress, Progress::Answered(s) if s.has_cname);
        let unknown = own.clone().all(has_no_name) || own.any(is_alias);
        if !stale || !may_be_nodata(gather.qtype()) {
            return;
        }
        for n in 0..gather.subs().len() {
            let sub = &gather.subs()[n];
            let name = lower_case(sub);
            if is_missing(sub)
                && (unknown || sub.follows)
                && let Some(subject) = subject(gather, zone, sub.cluster, &name)
                && let Some(found) = held.find_name(subject, now, keep_for)
            {
                gather.subs_mut()[n].stand_in(&found);
            }
        }
    }

    /// Whether anything is held for the name as it was asked, where nothing is
    /// for the name without its prefix (K7): a service really called `a-thing`
    /// is found although cluster a is missing.
    pub(super) fn holds_plain_name(&self, now: Time, index: u32) -> bool {
        let gather = &self.gathers[index as usize];
        let Route::Zone(number) = gather.route else { return false };
        let behaviour = gather.behaviour();
        if behaviour.on_missing != OnMissing::Stale
            || !gather.subs().iter().all(has_no_name)
            || !gather.subs().iter().any(is_missing)
        {
            return false;
        }
        let zone = &gather.plan.plan.zones[number];
        let Ok(name) = FlatName::from_flat(gather.name()) else { return false };
        let kept = name.labels().saturating_sub(zone.name.labels());
        let held = self.last_good.lock();
        // Known under any type, the name without its prefix is not given up.
        let known = gather.subs().iter().filter(|sub| is_missing(sub)).any(|sub| {
            let name = lower_case(sub);
            let subject = subject(gather, number, sub.cluster, &name);
            subject.is_some_and(|subject| held.has_name(subject, now, behaviour.keep_for))
        });
        if known {
            return false;
        }
        let holds = |held: &Held, cluster: usize| -> bool {
            let mut asked = Vec::new();
            let suffix = &zone.clusters[cluster].suffix;
            if push_outbound(&mut asked, &name, kept, None, suffix).is_err() {
                return false;
            }
            asked.make_ascii_lowercase();
            let Some(subject) = subject(gather, number, cluster, &asked) else { return false };
            held.has_name(subject, now, behaviour.keep_for)
        };
        (0..zone.clusters.len()).any(|cluster| holds(&held, cluster))
    }
}
