//! The same replies make the same answer (M1), so they are merged once.
//!
//! Clusters say the same most of the time. A reply that is octet for octet, but
//! for its ID, what this cluster last said to this question has been checked
//! then; and if that is true of every cluster's, the answer is the one that was
//! built then. The clusters are asked all the same: nothing here is a cache,
//! and no TTL is counted down.

use super::Engine;
use super::merge::{Completeness, limit};
use super::note::note_use;
use super::outbox::Outbox;
use super::time::Time;
use crate::wire::reply::Summary;
use domain::base::Header;
use domain::base::iana::OptRcode;
use std::time::Duration;

/// Replies that stay the same are noted again as last good answers after so
/// long: the age of what is held may be off by this much.
const NOTED_EVERY: Duration = Duration::from_secs(1);

/// Octets of a message that say which query it belongs to.
const ID: usize = 2;

impl Engine {
    /// What was found in this reply when it came last, if it has not changed.
    pub(super) fn known_reply(&mut self, index: u32, n: usize, packet: &[u8]) -> Option<Summary> {
        let gather = &self.gathers[index as usize];
        let sub = &gather.subs()[n];
        let cd = gather.header.cd();
        let entry = self.store.find(gather.key.share, &gather.question, cd)?;
        let last = entry.gather.subs().get(n)?;
        let same = last.cluster == sub.cluster
            && !last.stale
            && last.reply.get(ID..) == packet.get(ID..)
            && last.question == sub.question
            && entry.gather.meaning() == gather.meaning();
        if same { last.summary() } else { None }
    }

    /// Answers a query with what was built when all its replies were the same;
    /// false if they are not, or this client needs it otherwise.
    pub(super) fn repeat(&mut self, now: Time, index: u32, out: &mut Outbox) -> bool {
        let gather = &self.gathers[index as usize];
        if self.explain.is_some()
            || gather.background
            || !gather.waiters().is_empty()
            || !gather.subs().iter().all(|sub| sub.unchanged)
        {
            return false;
        }
        let cd = gather.header.cd();
        let Some(entry) = self.store.find(gather.key.share, &gather.question, cd) else {
            return false;
        };
        if entry.gather.subs().len() != gather.subs().len() {
            return false;
        }
        let renote = now.since(entry.noted) >= NOTED_EVERY;
        let settings = &gather.plan.plan.settings;
        let limits = (limit(gather.asker(), settings), settings.max_udp_payload);
        let start = out.octets.len();
        if !entry.push_unchanged(now, gather, limits, &mut out.octets) {
            return false;
        }
        let rcode = Header::for_message_slice(&out.octets[start..]).rcode();
        let mut meter = gather.plan.meter(gather.route).borrow_mut();
        meter.answered(gather.asker().counted(OptRcode::from_rcode(rcode), now));
        meter.gathered(now, gather.subs(), Completeness::Whole);
        drop(meter);
        out.answer(gather.client, gather.came, start);
        if renote {
            (entry.noted, entry.use_noted) = (now, false);
            self.note_unchanged(now, index);
        } else if !std::mem::replace(&mut entry.use_noted, true) {
            note_use(&mut self.journal, now, &entry.gather);
        }
        self.counters.answered += 1;
        self.counters.unchanged += 1;
        true
    }
}
