//! Law 11: what is given again. A whole answer is given again until its shortest
//! TTL is over and not longer; TTLs count down; clusters are asked nothing
//! meanwhile, but for an answer in demand shortly before its end.

use crate::answer::Got;
use crate::laws::Case;
use crate::names::Name;
use crate::tally::Tally;
use domain::base::iana::Rtype;
use gathersrv::engine::Time;
use std::collections::HashMap;
use std::time::Duration;

/// An answer given again this often is in demand, ...
const IN_DEMAND: u32 = 2;

/// ... and asked for again when this share of its time is left.
const SHARE: u32 = 10;

type Key = (usize, Name, Rtype, bool);

struct Entry {
    /// When its query came, and when it was answered.
    asked: Time,
    since: Time,
    lifetime: Duration,
    hits: u32,
}

/// The answers that every worker has to give again.
#[derive(Default)]
pub struct Cache {
    entries: HashMap<Key, Entry>,
    /// Until when answers asked for ahead of time may come.
    refreshing: HashMap<Key, Time>,
    /// Everything that is answered is kept.
    pub is_ample: bool,
}

fn key(case: &Case) -> Key {
    (case.worker, case.name, case.rtype, case.cd)
}

impl Cache {
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// A query came, and these many questions went out at once. Whether it is
    /// answered from the cache.
    pub fn asked(&mut self, case: &Case, kept: bool, sends: usize, refreshed: bool, t: &mut Tally) {
        if refreshed {
            // Its answer takes the place of others that are on their way.
            self.refreshing.insert(key(case), case.at + case.rules.deadline);
        }
        let Some(entry) = self.entries.get_mut(&key(case)) else { return };
        let end = entry.since + entry.lifetime;
        if case.at >= end {
            // Above `--max-queries` what is held is given.
            assert!(
                !kept || case.overloaded,
                "given again after {:?}: {case:?}",
                case.at.since(entry.since)
            );
            self.entries.remove(&key(case));
            return;
        }
        assert!(kept, "not given again after {:?}: {case:?}", case.at.since(entry.since));
        t.must_hit += 1;
        entry.hits += 1;
        let left = end.since(case.at);
        let due = entry.hits >= IN_DEMAND && left * SHARE <= entry.lifetime;
        assert_eq!(refreshed, due, "asked ahead of time with {left:?} left: {case:?}");
        assert!(due || sends == 0, "asked although it is given again: {case:?}");
        if due {
            t.refreshed += 1;
            self.entries.remove(&key(case));
        }
    }

    /// An answer that was kept: its TTLs have counted down.
    pub fn given_again(&self, case: &Case, got: &Got, now: Time) {
        let Some(entry) = self.entries.get(&key(case)) else { return };
        if !got.errors.is_empty() || got.truncated {
            return;
        }
        let whole = entry.lifetime.as_secs();
        // Two whole numbers of seconds may be one less than their sum.
        let most = (whole + 1).saturating_sub(now.since(entry.since).as_secs());
        let least = whole.saturating_sub(now.since(entry.asked).as_secs());
        let ttl = u64::from(got.shortest_ttl);
        assert!((least..=most).contains(&ttl), "{ttl} of {least} to {most}: {case:?} {got:?}");
    }

    /// An answer that clusters were asked for.
    pub fn given(&mut self, case: &Case, got: &Got, now: Time, lasts: bool) {
        let key = key(case);
        self.entries.remove(&key);
        let refreshing = self.refreshing.get(&key).is_some_and(|&until| now <= until);
        if refreshing || !self.is_ample || !case.edns || !lasts {
            return;
        }
        if got.says_whole() && got.errors.is_empty() && !got.truncated && got.shortest_ttl > 0 {
            let lifetime = Duration::from_secs(got.shortest_ttl.into());
            let entry = Entry { asked: case.at, since: now, lifetime, hits: 0 };
            self.entries.insert(key, entry);
        }
    }
}
