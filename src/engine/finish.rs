//! Every sub-question is settled: the answer, or a second round (Q5).

use super::Engine;
use super::gather::{Gather, Phase, Progress};
use super::outbox::Outbox;
use super::time::Time;
use crate::config::Route;
use domain::base::iana::Rcode;

/// Every cluster asked says that there is no such name.
fn nobody_has_it(gather: &Gather) -> bool {
    gather.subs().iter().all(|sub| match sub.progress {
        Progress::Answered(summary) => summary.rcode == Rcode::NXDOMAIN && !summary.has_answer,
        Progress::CannotExist => true,
        Progress::Waiting | Progress::Failed(_) => false,
    })
}

impl Engine {
    /// Answers a query whose sub-questions are all settled.
    pub(super) fn finish(&mut self, now: Time, index: u32, out: &mut Outbox) {
        let gather = &self.gathers[index as usize];
        if gather.phase == Phase::Prefixed && nobody_has_it(gather) {
            // A service really called `a-thing` must be found (Q5).
            let name = self.name.clone_flat(gather.name());
            self.note_round(index, false);
            self.gathers[index as usize].phase = Phase::Plain;
            if name.is_ok() {
                self.begin_round(now, index, out);
                return;
            }
        }
        let gather = &self.gathers[index as usize];
        let start = out.octets.len();
        let plan = gather.plan.clone();
        match gather.route {
            Route::Zone(zone) => {
                let zone = &plan.plan.zones[zone];
                let merged = self.merger.merge(gather, zone, &plan.plan, &mut out.octets);
                self.counters.truncated += u64::from(merged.truncated);
                self.counters.too_long += u64::from(self.merger.too_long);
            }
            Route::Forward(_) => self.relay(index, out),
        }
        self.note_round(index, true);
        let gather = &mut self.gathers[index as usize];
        out.answer(gather.client, start);
        gather.live = false;
        gather.plan = self.plan.clone();
        self.counters.answered += 1;
        self.wheel.cancel(index);
        self.free.push(index);
    }
}
