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
use super::windows;
use crate::config::Route;
use crate::wire::name::same;
use std::rc::Rc;

/// What is the same question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Key {
    /// To us, here and in the store.
    pub share: u64,
    /// To a cluster, by whatever name and with whatever flags we were asked.
    pub question: u64,
}

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
    /// The key of the question whose name, in lower case, is in `self.folded`.
    pub(super) fn key(&self, asker: Asker<'_>, route: Route) -> Key {
        let name = self.folded.as_slice();
        let (name, zone) = match route {
            Route::Zone(zone) => {
                let behind = self.plan.plan.zones[zone].name.as_slice().len();
                (&name[..name.len() - behind], self.plan.zone_keys[zone])
            }
            Route::Forward(_) => (name, 0),
        };
        // A forward's server may have no answer for who does not want recursion.
        let flags_of_window = match route {
            Route::Zone(_) => [asker.header.cd(), false],
            Route::Forward(_) => [asker.header.cd(), asker.header.rd()],
        };
        let question = windows::question(&self.hasher, name, asker.qtype(), flags_of_window);
        let bits =
            flags(asker, route).into_iter().fold(0, |bits, flag| bits << 1 | u64::from(flag));
        Key { share: question ^ zone ^ bits, question }
    }

    /// Joins an equal question that is in flight, if there is one that still
    /// has half of its time: who comes late deserves more than what is left.
    pub(super) fn join(&mut self, now: Time, key: Key, asker: Asker<'_>, route: Route) -> bool {
        let Some(&index) = self.shared.get(&key.share) else { return false };
        let gather = &mut self.gathers[index as usize];
        let equal = gather.live
            && gather.asked_route() == route
            && Rc::ptr_eq(&gather.plan, &self.plan)
            && same_question(gather, asker, route)
            && now < gather.started + gather.patience() / 2;
        if equal {
            gather.add_waiter(asker);
            self.sharing += 1;
            let octets = size_of::<Waiter>() + asker.question.len();
            self.memory.changed(0, octets);
            gather.counted += octets;
            self.counters.shared += 1;
        }
        equal
    }
}

fn same_question(gather: &Gather, asker: Asker<'_>, route: Route) -> bool {
    let question = gather.led.as_ref().map_or(&gather.question, |led| &led.question);
    let first = Asker { question, ..gather.asker() };
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
