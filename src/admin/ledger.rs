//! What all workers have counted, added up. Workers come and go with the
//! configuration, and begin at nothing; what they had counted stays in here, so
//! that no sum ever becomes smaller while its zone is served.

use super::accounts::{Account, ClusterName, Name, Subject, subjects_of};
use super::asked::{self, ServerAccount};
use crate::config::Plan;
use crate::engine::meters::{Latency, Meter};
use crate::engine::{Counters, Holding};
use crate::net::roster::WorkerVitals;
use domain::base::iana::Rcode;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

/// A worker that has not said anything so many times is gone; until then it goes
/// on where it was.
const STUCK: u64 = 100;

/// What is so at the moment, all workers together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Workers that answered.
    pub workers: usize,
    /// Queries not answered yet.
    pub queries_in_flight: usize,
    /// IDs in flight towards clusters.
    pub questions_in_flight: usize,
    /// Questions kept.
    pub kept_entries: usize,
    /// Octets of what is kept.
    pub kept_octets: usize,
    /// Clients' connections over TCP and over TLS.
    pub connections: [usize; 2],
}

/// Totals that the last minutes are told from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// SERVFAIL answers.
    pub failed: u64,
    /// Stale and partial answers.
    pub incomplete: u64,
    /// From a query to its answer.
    pub latency: Latency,
}

impl Totals {
    /// Adds what a meter has counted between `before` and `now`.
    fn add(&mut self, before: &Meter, now: &Meter) {
        let failed = |meter: &Meter| meter.of_rcode(Rcode::SERVFAIL).0;
        let incomplete = |meter: &Meter| meter.completeness[1] + meter.completeness[2];
        self.failed += failed(now).saturating_sub(failed(before));
        self.incomplete += incomplete(now).saturating_sub(incomplete(before));
        self.latency.add_between(&before.latency, &now.latency);
    }
}

/// What all workers have counted.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// What happened.
    pub counters: Counters,
    /// Kept answers that had to make room for others.
    pub evictions: u64,
    /// What is held for when a cluster is missing, by all workers together.
    pub holding: Holding,
    /// Connections closed at once because there were too many.
    pub turned_away: u64,
    /// Answers over UDP that could not be sent.
    pub unsent: u64,
    /// Questions for no zone or forward.
    pub stray: Meter,
    /// What all zones, forwards and stray questions have come to so far: also of
    /// what is not served any more.
    pub totals: Totals,
    /// The zones and forwards that are served, in their order.
    pub accounts: Vec<Account>,
    /// What zones and forwards of these names had counted before they were
    /// changed: to be added where counts must not become smaller.
    pub past: Vec<Account>,
    /// The servers that are asked, by name.
    pub servers: HashMap<String, ServerAccount>,
    /// What is so at the moment.
    pub gauges: Gauges,
    /// Groups of workers of which none has answered. What they serve is as it was
    /// when they last did.
    pub silent: usize,
    /// The plans that are served, and which account each of their zones and
    /// forwards has.
    plans: Vec<(Arc<Plan>, Vec<usize>)>,
    /// What each worker said last, and when: the how manieth time.
    last: HashMap<usize, (u64, WorkerVitals)>,
    turn: u64,
}

/// What a worker said before, of what it serves now: a zone that is new to it,
/// or has changed, it counts from nothing.
struct Known<'a> {
    meters: &'a [Meter],
    /// The place in the plan before of each in the plan now; `None` for two
    /// plans that are one.
    places: Option<Vec<Option<usize>>>,
}

impl<'a> Known<'a> {
    fn of(before: Option<&'a WorkerVitals>, plan: &Arc<Plan>) -> Self {
        let Some(before) = before else { return Known { meters: &[], places: None } };
        let meters = &before.engine.meters;
        if Arc::ptr_eq(&before.engine.plan, plan) {
            return Known { meters, places: None };
        }
        let subjects = subjects_of(&before.engine.plan);
        let places: HashMap<&Subject, usize> = subjects.iter().zip(0..).collect();
        let now = subjects_of(plan);
        let places = now.iter().map(|subject| places.get(subject).copied()).collect();
        Known { meters, places: Some(places) }
    }

    fn of_place(&self, place: usize) -> Option<&'a Meter> {
        match &self.places {
            None => self.meters.get(place),
            Some(places) => self.meters.get(places.get(place).copied().flatten()?),
        }
    }
}

impl Ledger {
    /// Takes in what the workers say.
    pub fn take(&mut self, now: SystemTime, told: Vec<Vec<WorkerVitals>>) {
        self.silent = told.iter().filter(|group| group.is_empty()).count();
        let told: Vec<WorkerVitals> = told.into_iter().flatten().collect();
        self.open_accounts(&told);
        self.gauges = Gauges::default();
        let mut servers = HashMap::new();
        for worker in told {
            self.add(&worker);
            let before = self.last.get(&worker.worker).map(|(_, before)| before);
            asked::gather(&mut servers, before, &worker);
            self.last.insert(worker.worker, (self.turn, worker));
        }
        self.turn += 1;
        if self.silent == 0 {
            let turn = self.turn;
            self.last.retain(|_, (seen, _)| turn - *seen <= STUCK);
        }
        let before = std::mem::take(&mut self.servers);
        let accounts = servers.into_iter().map(|(name, told)| {
            let account = ServerAccount::of(now, &told, before.get(&name));
            (name, account)
        });
        self.servers = accounts.collect();
        if self.silent > 0 {
            let asked = self.plans.iter().flat_map(|(plan, _)| &plan.servers);
            let asked: HashSet<String> = asked.map(ToString::to_string).collect();
            for (name, known) in before.into_iter().filter(|(name, _)| asked.contains(name)) {
                self.servers.entry(name).or_insert(known);
            }
        }
    }

    /// The plans that are served: those that workers tell of, and those that
    /// silent workers may.
    fn served(&self, told: &[WorkerVitals]) -> Vec<Arc<Plan>> {
        let among = |plans: &[Arc<Plan>], plan| plans.iter().any(|known| Arc::ptr_eq(known, plan));
        let mut plans: Vec<Arc<Plan>> = Vec::new();
        if self.silent > 0 {
            // One that a worker served before, and does not now, is nobody's.
            let last = told.iter().filter_map(|worker| self.last.get(&worker.worker));
            let left: Vec<Arc<Plan>> = last.map(|(_, last)| last.engine.plan.clone()).collect();
            let known = self.plans.iter().map(|(plan, _)| plan);
            plans.extend(known.filter(|plan| !among(&left, plan)).cloned());
        }
        for worker in told {
            if !among(&plans, &worker.engine.plan) {
                plans.push(worker.engine.plan.clone());
            }
        }
        plans
    }

    /// Sees to it that everything the workers serve has its account, and nothing
    /// else has.
    fn open_accounts(&mut self, told: &[WorkerVitals]) {
        let plans = self.served(told);
        let same = |((known, _), plan): (&(Arc<Plan>, _), &Arc<Plan>)| Arc::ptr_eq(known, plan);
        if plans.len() == self.plans.len() && self.plans.iter().zip(&plans).all(same) {
            return;
        }
        let mut before: HashMap<Name, Vec<Account>> = HashMap::new();
        for account in std::mem::take(&mut self.accounts) {
            let key = (account.name.clone(), account.is_forward);
            before.entry(key).or_default().push(account);
        }
        let mut now: HashMap<Name, Vec<usize>> = HashMap::new();
        self.plans.clear();
        for plan in plans {
            let mut places = Vec::new();
            for (name, is_forward, clusters) in subjects_of(&plan) {
                let key = (name.clone(), is_forward);
                // Two groups of workers may serve the same zone.
                let alike = now.entry(key.clone()).or_default();
                let place = alike.iter().find(|&&n| self.accounts[n].clusters == clusters);
                let place = place.copied().unwrap_or_else(|| {
                    let known = before.get_mut(&key).and_then(|known| {
                        let place = known.iter().position(|known| known.clusters == clusters)?;
                        Some(known.swap_remove(place))
                    });
                    self.accounts.push(known.unwrap_or_else(|| {
                        let meter = Meter::new(clusters.iter().map(|c| c.servers.len()));
                        Account { name, is_forward, clusters, meter }
                    }));
                    alike.push(self.accounts.len() - 1);
                    self.accounts.len() - 1
                });
                places.push(place);
            }
            self.plans.push((plan, places));
        }
        for account in std::mem::take(&mut self.past) {
            let key = (account.name.clone(), account.is_forward);
            before.entry(key).or_default().push(account);
        }
        for (key, gone) in before.into_iter().filter(|(_, gone)| !gone.is_empty()) {
            // A zone and a forward of one name share series, too.
            let (name, is_forward) = &key;
            if !now.contains_key(&key) && !now.contains_key(&(name.clone(), !is_forward)) {
                continue;
            }
            let served = now.get(&key).into_iter().flatten();
            let served: Vec<&Account> = served.map(|&n| &self.accounts[n]).collect();
            self.past.push(Account::past(key, &served, &gone));
        }
    }

    fn add(&mut self, worker: &WorkerVitals) {
        let engine = &worker.engine;
        let before = self.last.get(&worker.worker).map(|(_, before)| before);
        let plan = self.plans.iter().find(|(plan, _)| Arc::ptr_eq(plan, &engine.plan));
        let places = plan.map_or(&[][..], |(_, places)| places);
        let known = Known::of(before, &engine.plan);
        for (n, (&place, meter)) in places.iter().zip(&engine.meters).enumerate() {
            let empty;
            let before = match known.of_place(n) {
                Some(known) => known,
                None => {
                    empty = meter.empty();
                    &empty
                }
            };
            self.accounts[place].meter.add(before, meter);
            self.totals.add(before, meter);
        }
        let (counters, stray, evictions, turned_away, unsent) = match before {
            Some(WorkerVitals { engine, turned_away, unsent, .. }) => (
                engine.counters,
                engine.stray.clone(),
                engine.kept.evictions,
                *turned_away,
                *unsent,
            ),
            None => Default::default(),
        };
        self.counters.add(&counters, &engine.counters);
        self.stray.add(&stray, &engine.stray);
        self.totals.add(&stray, &engine.stray);
        self.evictions += engine.kept.evictions.saturating_sub(evictions);
        // All workers share one store: the latest copy counts.
        self.holding = engine.holding;
        self.turned_away += worker.turned_away.saturating_sub(turned_away);
        self.unsent += worker.unsent.saturating_sub(unsent);
        let gauges = &mut self.gauges;
        gauges.workers += 1;
        gauges.queries_in_flight += engine.queries_in_flight;
        gauges.questions_in_flight += engine.questions_in_flight;
        gauges.kept_entries += engine.kept.entries;
        gauges.kept_octets += engine.kept.octets;
        gauges.connections[0] += worker.connections[0];
        gauges.connections[1] += worker.connections[1];
    }

    /// How the servers of a cluster are, those that are known.
    pub fn servers_of<'a>(
        &'a self,
        cluster: &'a ClusterName,
    ) -> impl Iterator<Item = &'a ServerAccount> {
        cluster.servers.iter().filter_map(|name| self.servers.get(name))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::plan;
    use crate::engine::{Client, Engine, Outbox, Time, Transport};

    const A: [&str; 4] = ["--zone", "a.", "--cluster", "k. a- 10.8.0.1"];
    const B: [&str; 4] = ["--zone", "b.", "--cluster", "k. b- 10.9.0.1"];

    /// Asks for the SOA of a zone of one letter, which needs no cluster.
    pub fn ask(engine: &mut Engine, zone: u8, times: usize) {
        let addr = "192.0.2.1:5353".parse().unwrap();
        let client =
            Client { addr, local: None, transport: Transport::Udp, socket: 0, proven: false };
        let packet = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, zone, 0, 0, 6, 0, 1];
        for _ in 0..times {
            engine.on_query(Time::default(), client, &packet, &mut Outbox::default());
        }
    }

    pub fn vitals(worker: usize, engine: &Engine) -> WorkerVitals {
        let engine = engine.vitals(Time::default());
        WorkerVitals { worker, engine, connections: [1, 0], turned_away: 0, unsent: 0 }
    }

    fn queries(ledger: &Ledger, zone: &str) -> Option<u64> {
        let account = ledger.accounts.iter().find(|account| account.name == zone)?;
        Some(account.meter.queries().map(|(_, count)| count).sum())
    }

    #[test]
    fn workers_are_added_up_and_nothing_is_counted_twice() {
        let plan = plan(&A);
        let mut one = Engine::new(plan.clone(), [1; 32]);
        let mut two = Engine::new(plan, [2; 32]);
        let mut ledger = Ledger::default();
        ask(&mut one, b'a', 3);
        ask(&mut two, b'a', 4);
        for _ in 0..2 {
            ledger.take(SystemTime::now(), vec![vec![vitals(0, &one), vitals(1, &two)]]);
            assert_eq!((queries(&ledger, "a."), ledger.counters.answered), (Some(7), 7));
        }
        ask(&mut two, b'a', 1);
        // The first is stuck, and then is not.
        ledger.take(SystemTime::now(), vec![vec![vitals(1, &two)]]);
        ledger.take(SystemTime::now(), vec![vec![vitals(0, &one), vitals(1, &two)]]);
        assert_eq!((queries(&ledger, "a."), ledger.counters.answered), (Some(8), 8));
        assert_eq!((ledger.gauges.workers, ledger.gauges.connections), (2, [2, 0]));
    }

    #[test]
    fn what_workers_that_are_gone_have_counted_stays() {
        let plan = plan(&A);
        let mut old = Engine::new(plan.clone(), [1; 32]);
        let mut new = Engine::new(plan, [2; 32]);
        let mut ledger = Ledger::default();
        ask(&mut old, b'a', 5);
        ledger.take(SystemTime::now(), vec![vec![vitals(0, &old)]]);
        ask(&mut new, b'a', 1);
        ledger.take(SystemTime::now(), vec![vec![vitals(1, &new)]]);
        assert_eq!((queries(&ledger, "a."), ledger.counters.answered), (Some(6), 6));
    }

    #[test]
    fn a_worker_that_was_not_heard_for_long_is_forgotten() {
        let plan = plan(&A);
        let (mut old, new) = (Engine::new(plan.clone(), [1; 32]), Engine::new(plan, [2; 32]));
        ask(&mut old, b'a', 5);
        let mut ledger = Ledger::default();
        ledger.take(SystemTime::now(), vec![vec![vitals(0, &old), vitals(1, &new)]]);
        for turn in 1..=STUCK {
            assert_eq!(ledger.last.len(), 2, "{turn}");
            ledger.take(SystemTime::now(), vec![vec![vitals(1, &new)]]);
        }
        assert_eq!((ledger.last.len(), queries(&ledger, "a.")), (1, Some(5)));
    }

    #[test]
    fn a_zone_that_stays_keeps_its_counts_and_one_that_goes_does_not() {
        let mut engine = Engine::new(plan(&[A, B].concat()), [1; 32]);
        let mut ledger = Ledger::default();
        ask(&mut engine, b'a', 2);
        ask(&mut engine, b'b', 3);
        ledger.take(SystemTime::now(), vec![vec![vitals(0, &engine)]]);
        engine.set_plan(Time::default(), plan(&B), &mut Outbox::default());
        ask(&mut engine, b'b', 1);
        ledger.take(SystemTime::now(), vec![vec![vitals(0, &engine)]]);
        assert_eq!((queries(&ledger, "a."), queries(&ledger, "b.")), (None, Some(4)));
        assert_eq!(ledger.counters.answered, 6);
    }

    #[test]
    fn a_changed_zone_took_counts_from_the_series_that_it_shares() {
        let other = ["--zone", "a.", "--cluster", "k. a- 10.8.0.2"];
        let (mut one, mut two) =
            (Engine::new(plan(&A), [1; 32]), Engine::new(plan(&other), [2; 32]));
        let mut ledger = Ledger::default();
        let counted = |ledger: &Ledger| -> u64 {
            let accounts = ledger.accounts.iter().chain(&ledger.past);
            accounts.map(|account| account.meter.of_rcode(Rcode::NOERROR).1).sum()
        };
        let measured = |ledger: &Ledger| ledger.totals.latency.buckets.iter().sum::<u64>();
        ask(&mut one, b'a', 5);
        ask(&mut two, b'a', 2);
        ledger.take(SystemTime::now(), vec![vec![vitals(0, &one)], vec![vitals(1, &two)]]);
        assert_eq!((counted(&ledger), measured(&ledger)), (7, 7));
        for turn in 0..3u64 {
            let changed = format!("k. a- 10.8.1.{turn}");
            let changed = plan(&["--zone", "a.", "--cluster", &changed]);
            one.set_plan(Time::default(), changed, &mut Outbox::default());
            ask(&mut one, b'a', 1);
            ledger.take(SystemTime::now(), vec![vec![vitals(0, &one)], vec![vitals(1, &two)]]);
            assert_eq!((counted(&ledger), measured(&ledger)), (8 + turn, 8 + turn));
            assert_eq!((ledger.accounts.len(), ledger.past.len()), (2, 1));
        }
        // The other block alone, and then a name that nobody serves any more.
        ledger.take(SystemTime::now(), vec![vec![vitals(1, &two)]]);
        assert_eq!((counted(&ledger), ledger.accounts.len()), (10, 1));
        two.set_plan(Time::default(), plan(&B), &mut Outbox::default());
        ledger.take(SystemTime::now(), vec![vec![vitals(1, &two)]]);
        assert_eq!((counted(&ledger), measured(&ledger), ledger.past.len()), (0, 10, 0));
    }

    #[test]
    fn a_forward_that_went_took_counts_from_the_zone_of_its_name() {
        let forward = plan(&["--forward", "a. 10.8.0.9"]);
        let (mut one, two) = (Engine::new(plan(&A), [1; 32]), Engine::new(forward, [2; 32]));
        let mut ledger = Ledger::default();
        ask(&mut one, b'a', 1);
        let mut of_forward = vitals(1, &two);
        of_forward.engine.meters[0].latency.buckets[0] = 5;
        ledger.take(SystemTime::now(), vec![vec![vitals(0, &one)], vec![of_forward]]);
        ledger.take(SystemTime::now(), vec![vec![vitals(0, &one)]]);
        let meters = ledger.accounts.iter().chain(&ledger.past).map(|account| &account.meter);
        let measured: u64 = meters.flat_map(|meter| meter.latency.buckets).sum();
        assert_eq!((ledger.accounts.len(), measured), (1, 6));
    }

    #[test]
    fn one_zone_of_two_groups_of_workers_is_one_account() {
        let (one, two) = (Engine::new(plan(&A), [1; 32]), Engine::new(plan(&A), [2; 32]));
        let mut ledger = Ledger::default();
        ledger.take(SystemTime::now(), vec![vec![vitals(0, &one)], vec![vitals(1, &two)]]);
        assert_eq!(ledger.accounts.len(), 1);
    }

    #[test]
    fn workers_that_were_silent_for_a_while_took_their_zone_and_its_sums_along() {
        let (mut one, mut two) = (Engine::new(plan(&A), [1; 32]), Engine::new(plan(&B), [2; 32]));
        let mut ledger = Ledger::default();
        ask(&mut one, b'a', 2);
        ask(&mut two, b'b', 3);
        ledger.take(SystemTime::now(), vec![vec![vitals(0, &one)], vec![vitals(1, &two)]]);
        for turn in 0..STUCK + 2 {
            ledger.take(SystemTime::now(), vec![vec![vitals(0, &one)], Vec::new()]);
            assert_eq!(queries(&ledger, "b."), Some(3), "turn {turn}");
        }
        assert_eq!((ledger.silent, ledger.accounts.len(), ledger.servers.len()), (1, 2, 2));
        ledger.take(SystemTime::now(), vec![Vec::new(), Vec::new()]);
        assert_eq!((ledger.silent, queries(&ledger, "a.")), (2, Some(2)));
        ask(&mut two, b'b', 1);
        ledger.take(SystemTime::now(), vec![vec![vitals(0, &one)], vec![vitals(1, &two)]]);
        assert_eq!((queries(&ledger, "a."), queries(&ledger, "b.")), (Some(2), Some(4)));
        assert_eq!((ledger.silent, ledger.counters.answered), (0, 6));
        // Both speak, and one of the zones is gone.
        ledger.take(SystemTime::now(), vec![vec![vitals(0, &one)]]);
        assert_eq!((queries(&ledger, "b."), ledger.servers.len()), (None, 1));
    }

    #[test]
    fn a_zone_that_was_changed_away_stayed_because_others_were_silent() {
        let (mut one, two) = (Engine::new(plan(&A), [1; 32]), Engine::new(plan(&B), [2; 32]));
        let mut ledger = Ledger::default();
        ledger.take(SystemTime::now(), vec![vec![vitals(0, &one)], vec![vitals(1, &two)]]);
        one.set_plan(Time::default(), plan(&["--forward", ". 10.8.0.9"]), &mut Outbox::default());
        ledger.take(SystemTime::now(), vec![vec![vitals(0, &one)], Vec::new()]);
        let names: Vec<&str> = ledger.accounts.iter().map(|own| own.name.as_str()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names.contains(&"b.") && names.contains(&"."), "{names:?}");
    }

    #[test]
    fn what_workers_had_measured_of_a_server_went_with_them() {
        let engine = Engine::new(plan(&A), [1; 32]);
        let measured = |worker, count| {
            let mut vitals = vitals(worker, &engine);
            vitals.engine.servers[0].latency.buckets[3] = count;
            vitals.engine.servers[0].latency.micros = count * 1000;
            vitals
        };
        let sum = |ledger: &Ledger| ledger.servers["10.8.0.1:53"].latency;
        let mut ledger = Ledger::default();
        ledger.take(SystemTime::now(), vec![vec![measured(0, 5)], vec![measured(1, 7)]]);
        ledger.take(SystemTime::now(), vec![vec![measured(0, 6)], vec![measured(1, 7)]]);
        assert_eq!((sum(&ledger).buckets[3], sum(&ledger).micros), (13, 13_000));
        ledger.take(SystemTime::now(), vec![vec![measured(0, 8)]]);
        assert_eq!((sum(&ledger).buckets[3], sum(&ledger).micros), (15, 15_000));
    }
}
