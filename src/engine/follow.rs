//! A CNAME into another cluster's suffix is followed there (K8).
//!
//! A cluster's DNS knows its own names. Where it gives a CNAME to a name of
//! another cluster and no data, only that cluster knows what is there, and the
//! client could not ask it: it sees one zone. So that cluster is asked, inside
//! the deadline of the query, by sub-questions added to those of the round.
//!
//! Each round of them follows every chain one reply further. Chains are bounded
//! in length, and a name of a cluster is asked for once, so this ends.

use super::Engine;
use super::outbox::Outbox;
use super::sub::{Failure, Progress, Sub};
use super::time::Time;
use crate::config::{Route, Zone};
use crate::wire::name::{Budget, FlatName};
use crate::wire::{Malformed, record};
use domain::base::iana::Rtype;

/// Whether some CNAME in a reply leads to a name of another cluster.
fn leads_on(sub: &Sub, zone: &Zone) -> Result<bool, Malformed> {
    let Progress::Answered(summary) = &sub.progress else { return Ok(false) };
    if !summary.has_cname {
        return Ok(false);
    }
    let packet = &sub.reply[..];
    let mut budget = Budget::for_message(packet.len());
    let mut target = FlatName::root();
    let mut at = summary.records;
    for _ in 0..summary.counts[0] {
        let (record, next) = record::read(packet, at)?;
        at = next;
        if record.rtype == Rtype::CNAME {
            target.read(packet, record.rdata.start, &mut budget)?;
            let owner = zone.owner_of(&target, sub.cluster);
            if owner.is_some_and(|(_, cluster)| cluster != sub.cluster) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

impl Engine {
    /// Asks on where chains end at other clusters' names. True if the query
    /// waits for that.
    pub(super) fn follow(&mut self, now: Time, index: u32, out: &mut Outbox) -> bool {
        let mut first = self.gathers[index as usize].subs().len();
        while self.add_open_ends(now, index) {
            self.ask_following(now, index, first, out);
            let gather = &self.gathers[index as usize];
            if gather.waiting > 0 {
                self.wheel.set(index, gather.next_event());
                return true;
            }
            // What could not be asked may be held.
            first = gather.subs().len();
            self.stand_in(now, index);
        }
        false
    }

    /// Adds sub-questions for the names of other clusters that chains end at;
    /// false if there is none.
    pub(super) fn add_open_ends(&mut self, now: Time, index: u32) -> bool {
        let gather = &mut self.gathers[index as usize];
        let Route::Zone(zone) = gather.route else { return false };
        let leads = |sub: &Sub| {
            let zone = &gather.plan.plan.zones[zone];
            leads_on(sub, zone).unwrap_or(false)
        };
        if !gather.subs().iter().any(leads) {
            return false;
        }
        let plan = gather.plan.clone();
        let ends = self.merger.open_ends(now, gather, &plan.plan.zones[zone]);
        let first = gather.subs().len();
        for (cluster, name) in &ends {
            gather.add_following(*cluster, name.as_slice());
        }
        self.count_windows(index, first);
        self.count_exactly(index);
        !ends.is_empty()
    }

    /// Sends the sub-questions from `first` on that have no answer yet.
    fn ask_following(&mut self, now: Time, index: u32, first: usize, out: &mut Outbox) {
        let gather = &mut self.gathers[index as usize];
        let subs = gather.subs();
        let waiting = subs[first..].iter().filter(|sub| sub.progress == Progress::Waiting);
        gather.waiting = waiting.count();
        let expired = gather.deadline <= now;
        for n in first..gather.subs().len() {
            if self.gathers[index as usize].subs()[n].progress != Progress::Waiting {
                continue;
            }
            if expired {
                self.settle(now, index, n, Progress::Failed(Failure::Silent), out);
            } else {
                self.begin_sub(now, index, n, out);
            }
        }
    }
}
