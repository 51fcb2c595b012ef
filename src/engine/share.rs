//! Equal questions in flight share one fan-out (U4).
//!
//! A thousand clients that ask the same at once cost every cluster one
//! sub-question. Each gets its own answer: its ID, its spelling of the name,
//! its size limit. Questions are equal if the clusters would be asked the same:
//! name without case, type and CD, and for a forward also RD, DO and AD.

use super::Engine;
use super::gather::{Gather, Waiter};
use super::synth::Asker;
use super::time::Time;
use crate::config::Route;
use crate::wire::name::same;
use std::hash::{BuildHasher, Hasher};
use std::rc::Rc;

/// The most clients of one fan-out; the next begins another. Their answers
/// leave together, and this many fit a socket's buffer.
const MOST: usize = 1024;

/// What the clusters would be asked beside the question itself.
fn flags(asker: Asker<'_>, route: Route) -> [bool; 4] {
    let relayed = matches!(route, Route::Forward(_));
    [
        asker.header.cd(),
        relayed && asker.header.rd(),
        relayed && asker.header.ad(),
        relayed && asker.edns.is_some_and(|edns| edns.dnssec_ok),
    ]
}

impl Engine {
    /// The key, here and in the store, of the question whose name, in lower case, is in `self.folded`.
    pub(super) fn share_key(&self, asker: Asker<'_>, route: Route) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(self.folded.as_slice());
        hasher.write(&asker.question[asker.question.len().saturating_sub(4)..]);
        for flag in flags(asker, route) {
            hasher.write_u8(u8::from(flag));
        }
        hasher.finish()
    }

    /// Joins an equal question that is in flight, if there is one that still
    /// has half of its time: who comes late deserves more than what is left.
    pub(super) fn join(&mut self, now: Time, key: u64, asker: Asker<'_>, route: Route) -> bool {
        let Some(&index) = self.shared.get(&key) else { return false };
        let gather = &mut self.gathers[index as usize];
        let equal = gather.live
            && gather.route == route
            && Rc::ptr_eq(&gather.plan, &self.plan)
            && same_question(gather, asker, route)
            && now < gather.started + gather.behaviour().deadline / 2
            && gather.waiters().len() < MOST;
        if equal {
            gather.add_waiter(asker);
            self.counters.shared += 1;
        }
        equal
    }
}

fn same_question(gather: &Gather, asker: Asker<'_>, route: Route) -> bool {
    let first = gather.asker();
    // Type and class have no case to fold away: they are two octets each, and
    // letters among them are compared exactly.
    let fixed = |question: &[u8]| question.len().saturating_sub(4);
    let (a, b) = (first.question, asker.question);
    a.len() == b.len()
        && a[fixed(a)..] == b[fixed(b)..]
        && same(&a[..fixed(a)], &b[..fixed(b)])
        && flags(first, route) == flags(asker, route)
}

impl Waiter {
    /// Takes note of a client.
    pub(super) fn set(&mut self, asker: Asker<'_>) {
        self.came = asker.came;
        self.client = asker.client;
        self.header = asker.header;
        self.question.clear();
        self.question.extend_from_slice(asker.question);
        self.edns = asker.edns;
    }
}
