//! Above `--max-queries` clusters are asked nothing more; what is held of them
//! still answers.

use super::Engine;
use super::gather::Phase;
use super::outbox::Outbox;
use super::share::Key;
use super::sub::{Failure, Progress};
use super::synth::Asker;
use super::time::Time;
use crate::config::Route;

impl Engine {
    /// Answers a query that cannot be taken into flight from what is held; false
    /// if that does not give an answer.
    pub(super) fn answer_from_held(
        &mut self,
        now: Time,
        key: Key,
        asker: Asker<'_>,
        route: Route,
        out: &mut Outbox,
    ) -> bool {
        if !matches!(route, Route::Zone(_)) {
            return false;
        }
        let index = self.prepare(now, key, asker, route);
        self.begin_held_round(now, index);
        if self.gathers[index as usize].phase == Phase::Prefixed && self.goes_on_plainly(now, index)
        {
            self.gathers[index as usize].phase = Phase::Plain;
            self.begin_held_round(now, index);
        }
        let first = |engine: &Self| engine.gathers[index as usize].subs().len();
        let mut from = first(self);
        while self.add_open_ends(now, index) {
            self.fail_unasked(index, from);
            self.stand_in(now, index);
            from = first(self);
        }
        let gather = &mut self.gathers[index as usize];
        gather.settled = now;
        let given = gather.subs().iter().any(|sub| sub.stale) && self.try_answer(now, index, out);
        self.release(index);
        given
    }

    /// A round in which nobody is asked.
    fn begin_held_round(&mut self, now: Time, index: u32) {
        self.make_subs(index);
        self.fail_unasked(index, 0);
        self.stand_in(now, index);
    }

    fn fail_unasked(&mut self, index: u32, from: usize) {
        for sub in &mut self.gathers[index as usize].subs_mut()[from..] {
            if sub.progress == Progress::Waiting {
                sub.progress = Progress::Failed(Failure::Overloaded);
            }
        }
    }
}
