//! The last minutes: what was counted when, so that rates, and what the chart
//! shows, can be told.

use super::accounts::{Account, Subject};
use super::ledger::{Ledger, Totals};
use crate::engine::meters::{Latency, NO_ANSWER};
use domain::base::iana::Rcode;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Points of the chart; one spans [`STEP`].
pub const POINTS: usize = 150;

/// Seconds of a point.
pub const STEP: u64 = 2;

/// Rates are over this time.
pub const LATELY: Duration = Duration::from_secs(10);

/// Sums are of this time.
pub const MINUTE: Duration = Duration::from_secs(60);

/// What a zone had come to: the counts that rates are made of.
#[derive(Debug, Clone, Default)]
pub struct Brief {
    /// Answers.
    pub queries: u64,
    /// Gathered answers: whole, stale, partial, failed.
    pub completeness: [u64; 4],
    /// Fresh, stale, missing: of each cluster.
    pub clusters: Vec<[u64; 3]>,
    /// Of each server of each cluster: sub-questions, and those that came to
    /// nothing.
    pub servers: Vec<[u64; 2]>,
}

/// Everything at one time.
#[derive(Debug, Clone, Default)]
pub struct Moment {
    /// When, since the start.
    pub at: Duration,
    /// Answers, and those from memory.
    pub answered: [u64; 2],
    /// What all together came to.
    pub totals: Totals,
    /// Zones and forwards.
    pub briefs: HashMap<Subject, Brief>,
}

/// Sub-questions to a server, and those it gave no answer to or a refusal.
fn asked(outcomes: &[u64]) -> [u64; 2] {
    use crate::engine::meters::RCODES;
    let proper =
        |n: usize| RCODES.get(n).is_some_and(|(_, name)| matches!(*name, "NOERROR" | "NXDOMAIN"));
    let failures = outcomes.iter().enumerate().filter(|(n, _)| *n == NO_ANSWER || !proper(*n));
    [outcomes.iter().sum(), failures.map(|(_, count)| count).sum()]
}

fn brief(account: &Account) -> Brief {
    let meter = &account.meter;
    let (_, queries) = meter.of_rcode(Rcode::NOERROR);
    let servers = meter.clusters.iter().flat_map(|cluster| &cluster.servers);
    Brief {
        queries,
        completeness: meter.completeness,
        clusters: meter.clusters.iter().map(|c| [c.fresh, c.stale, c.missing]).collect(),
        servers: servers.map(|outcomes| asked(outcomes)).collect(),
    }
}

impl Moment {
    /// What the ledger says now; zone by zone only if `whole`.
    fn of(at: Duration, ledger: &Ledger, whole: bool) -> Self {
        let mut moment = Moment {
            at,
            answered: [ledger.counters.answered, ledger.counters.hits],
            totals: ledger.totals,
            briefs: HashMap::new(),
        };
        if whole {
            let accounts = ledger.accounts.iter();
            moment.briefs = accounts.map(|account| (account.subject(), brief(account))).collect();
        }
        moment
    }
}

/// What was counted between two moments.
#[derive(Debug, Clone, Default)]
pub struct Point {
    /// How long it is.
    pub span: Duration,
    /// Answers.
    pub answered: u64,
    /// Stale and partial ones.
    pub incomplete: u64,
    /// SERVFAILs.
    pub failed: u64,
    /// From a query to its answer.
    pub latency: Latency,
}

/// The last minutes.
#[derive(Debug, Default)]
pub struct History {
    points: VecDeque<Point>,
    /// Where the next point begins.
    begun: Option<Moment>,
    /// The last minute and a bit, zone by zone, a few seconds apart.
    moments: VecDeque<Moment>,
}

impl History {
    /// Takes note of how things stand; to be called about once a second.
    pub fn take(&mut self, at: Duration, ledger: &Ledger) {
        let now = Moment::of(at, ledger, false);
        let step = Duration::from_secs(STEP);
        match &self.begun {
            None => self.begun = Some(now),
            // A call that comes a little early still ends its point.
            Some(begun) if at + step / 4 >= begun.at + step => {
                let mut latency = Latency::default();
                latency.add_between(&begun.totals.latency, &now.totals.latency);
                self.points.push_back(Point {
                    span: at.saturating_sub(begun.at),
                    answered: now.answered[0].saturating_sub(begun.answered[0]),
                    incomplete: now.totals.incomplete.saturating_sub(begun.totals.incomplete),
                    failed: now.totals.failed.saturating_sub(begun.totals.failed),
                    latency,
                });
                if self.points.len() > POINTS {
                    self.points.pop_front();
                }
                self.begun = Some(now);
            }
            Some(_) => {}
        }
        let due = self.moments.back().is_none_or(|last| at >= last.at + LATELY / 5);
        if due {
            self.moments.push_back(Moment::of(at, ledger, true));
        }
        // The oldest that is kept is a minute old or more.
        while self.moments.get(1).is_some_and(|second| second.at + MINUTE <= at) {
            self.moments.pop_front();
        }
    }

    /// The chart's points, oldest first.
    pub fn points(&self) -> impl Iterator<Item = &Point> {
        self.points.iter()
    }

    /// When the last point ended, since the start.
    pub fn end(&self) -> Duration {
        self.begun.as_ref().map(|begun| begun.at).unwrap_or_default()
    }

    /// How things stood this long before `at`, or as long ago as is known.
    pub fn before(&self, at: Duration, ago: Duration) -> Option<&Moment> {
        let older = self.moments.iter().rev().find(|moment| moment.at + ago <= at);
        older.or(self.moments.front())
    }

    /// How things stand, in the same form.
    pub fn now(at: Duration, ledger: &Ledger) -> Moment {
        Moment::of(at, ledger, true)
    }
}
#[cfg(test)]
mod tests {
    use super::super::ledger::tests::vitals;
    use super::*;
    use crate::cli::plan;
    use crate::engine::Engine;
    use crate::engine::meters::RCODES;
    use std::time::SystemTime;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// The report of a worker that has counted this number of answers.
    fn counting() -> impl Fn(u64) -> Ledger {
        let engine = Engine::new(plan(&["--zone", "a.", "--cluster", "k. a- 10.8.0.1"]), [1; 32]);
        let told = vitals(0, &engine);
        move |answers| {
            let mut told = told.clone();
            told.engine.counters.answered = answers;
            told.engine.counters.hits = answers / 2;
            told.engine.meters[0].completeness = [answers, 2 * answers, 3 * answers, 0];
            let mut ledger = Ledger::default();
            ledger.take(SystemTime::UNIX_EPOCH, vec![vec![told]]);
            ledger
        }
    }

    #[test]
    fn a_point_is_what_was_counted_in_two_seconds() {
        let (mut history, counted) = (History::default(), counting());
        for (at, answers) in [(0, 10), (1000, 15), (1499, 17), (1501, 20), (2900, 26), (3600, 30)] {
            history.take(ms(at), &counted(answers));
        }
        let points: Vec<_> =
            history.points().map(|point| (point.span, point.answered, point.incomplete)).collect();
        // One that comes a little early ends its point all the same.
        assert_eq!(points, [(ms(1501), 10, 50), (ms(2099), 10, 50)]);
        assert_eq!(history.end(), ms(3600));
    }

    #[test]
    fn five_minutes_of_points_are_kept_and_a_minute_zone_by_zone() {
        let (mut history, counted) = (History::default(), counting());
        for second in 0..400u64 {
            history.take(Duration::from_secs(second), &counted(second));
        }
        assert_eq!(history.points().count(), POINTS);
        let at = |ago| {
            let now = Duration::from_secs(399);
            history.before(now, Duration::from_secs(ago)).unwrap().at.as_secs()
        };
        // Every other second is kept.
        assert_eq!([at(0), at(1), at(2), at(10), at(60)], [398, 398, 396, 388, 338]);
        assert_eq!(at(300), 338, "the oldest that is known");
        assert!(history.moments.len() <= 32, "{}", history.moments.len());
    }

    #[test]
    fn what_is_exactly_a_minute_old_is_the_oldest_that_is_kept() {
        let (mut history, counted) = (History::default(), counting());
        for at in [0, 2, 4, 60, 62, 64] {
            history.take(Duration::from_secs(at), &counted(at));
        }
        assert_eq!(history.moments[0].at.as_secs(), 4);
    }

    #[test]
    fn of_a_young_daemon_the_first_moment_is_the_oldest() {
        let mut history = History::default();
        assert!(history.before(LATELY, LATELY).is_none());
        history.take(ms(500), &counting()(7));
        let first = history.before(ms(700), LATELY).unwrap();
        assert_eq!((first.at, first.answered), (ms(500), [7, 3]));
    }

    #[test]
    fn servers_fail_by_silence_and_by_what_is_no_answer() {
        let mut outcomes = [0; RCODES.len() + 1];
        let rcode = |name| RCODES.iter().position(|(_, known)| *known == name).unwrap();
        for (name, count) in [("NOERROR", 1), ("NXDOMAIN", 2), ("SERVFAIL", 10), ("REFUSED", 20)] {
            outcomes[rcode(name)] = count;
        }
        outcomes[NO_ANSWER] = 40;
        assert_eq!(asked(&outcomes), [73, 70]);
    }
}
