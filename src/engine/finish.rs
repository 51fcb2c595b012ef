//! Every sub-question is settled: the answer, or a second round (Q5).

use super::Engine;
use super::gather::{Gather, Lingers, Phase};
use super::memory::{EXACTLY, PLACES};
use super::merge::{Completeness, Merged};
use super::outbox::Outbox;
use super::sub::Progress;
use super::time::Time;
use crate::config::Route;
use domain::base::iana::{OptRcode, Rcode};
use std::time::Duration;

/// Clients that share a query are answered in bursts of at most this many, ...
const BURST: usize = 1024;

/// ... with this time between two: together they would overrun a socket's buffer.
const TURN: Duration = Duration::from_millis(1);

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
        if self.gathers[index as usize].lingers.is_some() {
            return self.answer_waiters(now, index, None, out);
        }
        self.gathers[index as usize].settled = now;
        if self.repeat(now, index, out) {
            self.stop_sharing(index);
            self.dismiss(self.gathers[index as usize].client.addr.ip());
            self.release(index);
            return;
        }
        self.note_unchanged(now, index);
        self.stand_in(now, index);
        if self.follow(now, index, out) || self.goes_on_in_zone(now, index, out) {
            return;
        }
        if self.gathers[index as usize].phase == Phase::Prefixed && self.goes_on_plainly(now, index)
        {
            self.note_round(index, false);
            self.gathers[index as usize].phase = Phase::Plain;
            self.begin_round(now, index, out);
            return;
        }
        self.stop_sharing(index);
        let gather = &self.gathers[index as usize];
        let (first, background) = (gather.client.addr.ip(), gather.background);
        let start = out.octets.len();
        let merged = if background {
            // Nobody is to have it; it is merged for what it is worth.
            let (_, merged) = self.merge_into(now, index, out);
            out.octets.truncate(start);
            // Clients that joined it are given what it comes to.
            self.gathers[index as usize].background = false;
            merged
        } else {
            self.dismiss(first);
            self.answer(now, index, out)
        };
        self.note_round(index, true);
        self.answer_waiters(now, index, merged.map(|merged| (merged, start)), out);
    }

    /// A service really called `a-thing` must be found: nobody has the name
    /// without its prefix, so it is asked for as it is (Q5, K7).
    pub(super) fn goes_on_plainly(&mut self, now: Time, index: u32) -> bool {
        let gather = &self.gathers[index as usize];
        (nobody_has_it(gather) || self.holds_plain_name(now, index))
            && self.name.clone_flat(self.gathers[index as usize].name()).is_ok()
    }

    /// Nobody joins it any more.
    fn stop_sharing(&mut self, index: u32) {
        let key = self.gathers[index as usize].key.share;
        if self.shared.get(&key) == Some(&index) {
            self.shared.remove(&key);
        }
    }

    /// Answers the clients that shared a query, keeps what it came to, and is
    /// done with it. `first` is what the first client was given, and where in
    /// the outbox it begins.
    ///
    /// What had to wait for the deadline leaves no faster than the queries
    /// came: each client is answered at its own deadline.
    fn answer_waiters(
        &mut self,
        now: Time,
        index: u32,
        first: Option<(Merged, usize)>,
        out: &mut Outbox,
    ) {
        let end = out.octets.len();
        let gather = &self.gathers[index as usize];
        let waited = match gather.lingers {
            None => gather.deadline <= now,
            Some(lingers) => lingers == Lingers::UntilDue,
        };
        let deadline = gather.patience();
        let mut answered = 0;
        let mut merged = first.map(|(merged, _)| merged);
        let mut built = first.map_or(end..end, |(_, start)| start..end);
        loop {
            let gather = &mut self.gathers[index as usize];
            let due = gather.waiters().first().map(|next| (next.came + deadline).floor());
            let linger = match due {
                Some(due) if waited && due > now => Some((Lingers::UntilDue, due)),
                Some(_) if answered == BURST => Some((Lingers::InTurn, (now + TURN).floor())),
                _ => None,
            };
            if let Some((lingers, until)) = linger {
                // In turn also at the deadline, if it is that of many.
                let lingers = if waited { Lingers::UntilDue } else { lingers };
                (gather.lingers, gather.deadline) = (Some(lingers), until);
                self.wheel.set(index, until);
                return;
            }
            if !gather.next_waiter() {
                break;
            }
            let client = gather.client.addr.ip();
            self.sharing -= 1;
            self.dismiss(client);
            merged = self.answer(now, index, out);
            built = end..end;
            answered += 1;
        }
        // What a forward led to is kept under its own name when that is asked.
        if let Some(merged) = merged.filter(|_| self.gathers[index as usize].led.is_none()) {
            self.keep(index, merged, &out.octets[built]);
        }
        self.release(index);
    }

    /// A query is done with; its place and memory are for the next.
    pub(super) fn release(&mut self, index: u32) {
        let gather = &mut self.gathers[index as usize];
        gather.live = false;
        gather.plan = self.plan.clone();
        let counted = gather.counted;
        gather.led = None;
        if std::mem::take(&mut gather.swapped) || counted > EXACTLY {
            gather.counted = gather.octets();
        }
        if !self.memory.done(counted, gather.counted) {
            gather.give_back();
            gather.counted = 0;
        }
        self.wheel.cancel(index);
        self.free.push(index);
        debug_assert!(self.idle_means_empty(), "counters are not 0 although no query is in flight");
    }

    /// Without queries in flight the counters of those in flight are 0.
    fn idle_means_empty(&self) -> bool {
        let counted = (self.shared.len(), self.sharing, self.by_client.len());
        let idle = self.free.len() == self.gathers.len();
        !idle || (counted == (0, 0, 0) && self.memory.in_flight() == 0)
    }

    /// Gives back the places of many queries once none is in flight.
    pub(super) fn give_back_places(&mut self) {
        if self.free.len() == self.gathers.len() && self.gathers.len() > PLACES {
            (self.gathers, self.free) = (Vec::new(), Vec::new());
            self.memory.cleared();
            self.gave_back = true;
        }
    }

    /// Answers the client that a gather is for at the moment.
    fn answer(&mut self, now: Time, index: u32, out: &mut Outbox) -> Option<Merged> {
        let start = out.octets.len();
        let (rcode, merged) = self.merge_into(now, index, out);
        let gather = &self.gathers[index as usize];
        out.answer(gather.client, gather.came, start);
        let failed =
            || if rcode == OptRcode::SERVFAIL { Completeness::Failed } else { Completeness::Whole };
        let completeness = merged.map_or_else(failed, |merged| merged.completeness);
        self.count_answer(now, index, rcode, completeness);
        merged
    }

    fn count_answer(&mut self, now: Time, index: u32, rcode: OptRcode, completeness: Completeness) {
        let gather = &self.gathers[index as usize];
        self.counters.answered += 1;
        let counted = gather.asker().counted(rcode, now);
        gather.plan.meter(gather.asked_route()).borrow_mut().answered(counted);
        let mut meter = gather.plan.meter(gather.route).borrow_mut();
        meter.gathered(now, gather.subs(), completeness);
    }

    /// Answers the client that a gather is for, but not with SERVFAIL; tells
    /// whether it did.
    pub(super) fn try_answer(&mut self, now: Time, index: u32, out: &mut Outbox) -> bool {
        let start = out.octets.len();
        let (rcode, Some(merged)) = self.merge_into(now, index, out) else { return false };
        if rcode == OptRcode::SERVFAIL {
            out.octets.truncate(start);
            self.merger.notes.clear();
            return false;
        }
        self.count_answer(now, index, rcode, merged.completeness);
        let gather = &self.gathers[index as usize];
        out.answer_kept(gather.client, gather.came, start);
        true
    }

    /// Counts what became of an answer that was merged.
    pub(super) fn count_merged(&mut self, merged: Merged) {
        self.counters.truncated += u64::from(merged.truncated);
        self.counters.cut_over_stream += u64::from(merged.cut_over_stream);
        self.counters.too_long += u64::from(self.merger.too_long);
        self.counters.foreign += u64::from(self.merger.foreign);
        self.counters.stale += u64::from(merged.completeness == Completeness::Stale);
    }

    /// Writes a gather's answer; says what it is worth, if it was merged.
    fn merge_into(
        &mut self,
        now: Time,
        index: u32,
        out: &mut Outbox,
    ) -> (OptRcode, Option<Merged>) {
        let gather = &self.gathers[index as usize];
        let Route::Zone(zone) = gather.route else {
            let ours = gather.has_ours;
            let rcode =
                if ours { self.answer_without_ours(index, out) } else { self.relay(index, out) };
            return (rcode, None);
        };
        if gather.led.is_some() {
            return self.answer_led(now, index, out);
        }
        let plan = gather.plan.clone();
        let zone = &plan.plan.zones[zone];
        let given = !gather.background;
        let merged = self.merger.merge(now, gather, zone, &plan.plan, &mut out.octets);
        if given {
            self.count_merged(merged);
        }
        (OptRcode::from_rcode(merged.rcode), Some(merged))
    }
}
