//! What clusters say is noted, to stand in for them later ([`super::stand_in`]).

use super::Engine;
use super::gather::Gather;
use super::last_good::{Journal, Lesson};
use super::stand_in::subject;
use super::time::Time;
use crate::config::Route;
use crate::wire::reply::Summary;

/// Notes that what the clusters said to a query was asked for again.
pub(super) fn note_use(journal: &mut Journal, now: Time, gather: &Gather) {
    let Route::Zone(zone) = gather.route else { return };
    if gather.plan.plan.settings.keep == 0 {
        return;
    }
    for sub in gather.subs() {
        if let Some(subject) = subject(gather, zone, sub.cluster, sub.name()) {
            journal.note_use(now, subject);
        }
    }
}

impl Engine {
    /// Notes an answer that has come to a sub-question. Others may need it before
    /// its own query is done.
    pub(super) fn note_answer(&mut self, now: Time, index: u32, n: usize, summary: Summary) {
        let gather = &self.gathers[index as usize];
        let Route::Zone(zone) = gather.route else { return };
        if gather.plan.plan.settings.keep == 0 {
            return;
        }
        let sub = &gather.subs()[n];
        if let Some(source) = sub.answered
            && let Some(subject) = subject(gather, zone, sub.cluster, sub.name())
        {
            let reply = &sub.reply[..];
            self.journal.note(now, Lesson { subject, summary, reply, source });
        }
        if self.journal.is_full() {
            self.hand_in();
        }
    }

    /// Notes the answers of a query that are what was said before, which were not
    /// noted as they came.
    pub(super) fn note_unchanged(&mut self, now: Time, index: u32) {
        for n in 0..self.gathers[index as usize].subs().len() {
            let sub = &self.gathers[index as usize].subs()[n];
            if let Some(summary) = sub.summary().filter(|_| sub.unchanged && !sub.stale) {
                self.note_answer(now, index, n, summary);
            }
        }
    }

    /// Hands in what was noted.
    pub(super) fn hand_in(&mut self) {
        self.journal.hand_in(&self.last_good);
    }
}
