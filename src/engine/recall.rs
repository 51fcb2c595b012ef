//! Answering from what was kept, and keeping what was answered.

use super::Engine;
use super::merge::{Completeness, Merged, limit};
use super::note::note_use;
use super::outbox::Outbox;
use super::share::Key;
use super::store::Worth;
use super::synth::Asker;
use super::time::Time;
use crate::config::Route;
use domain::base::Header;
use domain::base::iana::OptRcode;
use std::rc::Rc;
use std::time::Duration;

/// An answer asked for this often since it was kept is in demand, ...
const IN_DEMAND: u32 = 2;

/// ... and asked for again when a tenth of its time is left, so that nobody
/// has to wait for it.
const REFRESH_SHARE: u32 = 10;

impl Engine {
    /// Answers from what was kept; false if there is nothing fresh.
    pub(super) fn recall(
        &mut self,
        now: Time,
        key: Key,
        asker: Asker<'_>,
        route: Route,
        out: &mut Outbox,
    ) -> bool {
        let plan = self.plan.clone();
        let settings = &plan.plan.settings;
        let Route::Zone(zone) = route else { return false };
        if settings.cache == 0 || plan.plan.behaviour(route).cache_for.is_zero() {
            return false;
        }
        let cd = asker.header.cd();
        let Some(entry) = self.store.find(key.share, asker.question, cd) else { return false };
        let outdated = now >= entry.expires || (!entry.whole && entry.since <= self.recovered);
        debug_assert!(Rc::ptr_eq(&entry.gather.plan, &plan), "an entry of a former plan");
        if outdated || entry.gather.route != route {
            return false;
        }
        entry.hits += 1;
        if !std::mem::replace(&mut entry.use_noted, true) {
            note_use(&mut self.journal, now, &entry.gather);
        }
        let left = (entry.expires).since(now);
        let refresh = entry.whole
            && entry.hits >= IN_DEMAND
            && left * REFRESH_SHARE <= entry.lifetime
            && !self.shared.contains_key(&key.share);
        let start = out.octets.len();
        let limits = (limit(asker, settings), settings.max_udp_payload);
        let (header, question) = (&asker.header, asker.question);
        let built = entry.push_built(now, header, question, asker.edns, limits, &mut out.octets);
        let merged = (!built).then(|| {
            entry.gather.set_asker(asker);
            let zone = &plan.plan.zones[zone];
            self.merger.merge(now, &entry.gather, zone, &plan.plan, &mut out.octets)
        });
        // No extended rcode is ever kept.
        let rcode = Header::for_message_slice(&out.octets[start..]).rcode();
        let mut meter = plan.meter(route).borrow_mut();
        meter.answered(asker.counted(OptRcode::from_rcode(rcode), now));
        let completeness = merged.map_or(Completeness::Whole, |merged| merged.completeness);
        meter.gathered(now, entry.gather.subs(), completeness);
        drop(meter);
        if let Some(merged) = merged {
            self.counters.truncated += u64::from(merged.truncated);
            self.counters.cut_over_stream += u64::from(merged.cut_over_stream);
            self.keep_built(now, key.share, merged, asker, &out.octets[start..]);
        }
        out.answer_kept(asker.client, asker.came, start);
        self.counters.answered += 1;
        self.counters.hits += 1;
        if refresh {
            self.counters.refreshed += 1;
            self.begin(now, key, asker, route, true, out);
        }
        true
    }

    /// A whole answer can be given again as it stands.
    fn keep_built(
        &mut self,
        now: Time,
        key: u64,
        merged: Merged,
        asker: Asker<'_>,
        message: &[u8],
    ) {
        let whole = merged.completeness == Completeness::Whole;
        let padded = asker.edns.is_some_and(|edns| edns.padded);
        if whole && merged.has_all && !merged.has_notes && !padded {
            let opt = asker.edns.map_or(0, |edns| edns.opt_len());
            self.store.keep_built(now, key, message, opt);
        }
    }

    /// Keeps a query that has been answered, and what it was answered with; if
    /// it has been asked before, also the answer as it was `built`.
    pub(super) fn keep(&mut self, index: u32, merged: Merged, built: &[u8]) {
        let gather = &mut self.gathers[index as usize];
        let now = gather.settled;
        // The zone may have changed since; the answer is then not the current plan's.
        if !matches!(gather.route, Route::Zone(_)) || !gather.move_to(&self.plan) {
            return;
        }
        let longest = gather.behaviour().cache_for;
        let worth = Worth {
            ttl: Duration::from_secs(merged.ttl.into()).min(longest),
            whole: merged.completeness == Completeness::Whole,
            class: merged.class(),
        };
        let (key, cd) = (gather.key.share, gather.header.cd());
        // While its clients waited for their deadlines, others may have heard
        // something newer.
        let known = self.store.find(key, &gather.question, cd);
        if known.is_some_and(|entry| entry.since > gather.settled) {
            return;
        }
        let opt = gather.edns.map_or(0, |edns| edns.opt_len());
        // Without the padding, whose length is not known here, or not at all.
        let built = if gather.edns.is_some_and(|edns| edns.padded) { &[] } else { built };
        let again = self.store.put(now, key, gather, worth);
        if again && worth.whole && merged.has_all && !merged.has_notes && !built.is_empty() {
            self.store.keep_built(now, key, built, opt);
        }
    }
}
