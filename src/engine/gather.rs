//! A query in flight: who asked what, and how far each cluster's answer is.

use super::last_good::Enrolment;
use super::live::Meaning;
use super::meters::Meter;
use super::outbox::Client;
use super::share::Key;
use super::sub::{Progress, Sub};
use super::synth::Asker;
use super::time::Time;
use crate::config::{Behaviour, Plan, Route};
use crate::wire::edns::Edns;
use crate::wire::name::same;
use domain::base::Header;
use domain::base::iana::Rtype;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A plan, and what this engine calls its servers.
pub struct LivePlan {
    /// The plan.
    pub plan: Arc<Plan>,
    /// For each of [`Plan::servers`], the engine's number for it.
    pub servers: Vec<usize>,
    /// What each zone's answers depend on.
    pub meanings: Vec<Meaning>,
    /// The zone that has a meaning, by its number.
    pub by_meaning: HashMap<u64, usize>,
    /// A hash of each zone's name, which no route but it has.
    pub zone_keys: Vec<u64>,
    /// The number of the next new meaning, so that none is used twice.
    pub next_meaning: u64,
    /// The zones' clusters, as last good answers know them.
    pub enrolment: Arc<Enrolment>,
    /// What is counted of each zone, and behind them of each forward.
    pub meters: Vec<Rc<RefCell<Meter>>>,
    /// The longest time any query may take.
    pub longest_deadline: Duration,
}

impl LivePlan {
    /// Where what becomes of a route's questions is counted.
    pub fn meter(&self, route: Route) -> &RefCell<Meter> {
        match route {
            Route::Zone(zone) => &self.meters[zone],
            Route::Forward(forward) => &self.meters[self.plan.zones.len() + forward],
        }
    }

    /// The number of what a zone's answers depend on; forwards' are not kept.
    pub fn meaning(&self, route: Route) -> Option<u64> {
        match route {
            Route::Zone(zone) => self.meanings.get(zone).map(Meaning::number),
            Route::Forward(_) => None,
        }
    }
}

/// How a question is put to the clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// To the clusters whose prefix it has (Q4).
    Prefixed,
    /// To every cluster of the zone, or to the forward.
    Plain,
}

/// A forward's answer that leads into a zone, whose part is the question of the
/// query from then on (Q7).
pub struct Led {
    /// What the client asked.
    pub question: Vec<u8>,
    /// The forward's answer.
    pub reply: Vec<u8>,
    /// Where the CNAMEs are in it that lead to the query's question, in order.
    pub links: Vec<usize>,
    /// The forward.
    pub route: Route,
    /// When its answer came.
    pub came: Time,
}

/// Why clients that shared a query are not answered at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lingers {
    /// It had to wait for its deadline: each is answered at its own.
    UntilDue,
    /// They are too many for one burst.
    InTurn,
}

/// A client that shares another's fan-out (U4).
pub struct Waiter {
    /// Who asked.
    pub client: Client,
    /// Its header.
    pub header: Header,
    /// Its question, to the octet.
    pub question: Vec<u8>,
    /// Its OPT record.
    pub edns: Option<Edns>,
    /// When it asked.
    pub came: Time,
}

/// Octets that a sub-question's name may have more than the client's.
const SLACK: usize = 32;

/// A query in flight.
pub struct Gather {
    /// In use.
    pub live: bool,
    /// Who asked.
    pub client: Client,
    /// When its query came.
    pub came: Time,
    /// The client's header: ID and flags.
    pub header: Header,
    /// The client's question, to the octet: name, type and class.
    pub question: Vec<u8>,
    /// The client's OPT record.
    pub edns: Option<Edns>,
    /// In flight: the plan it was accepted under; otherwise the current one.
    pub plan: Rc<LivePlan>,
    /// Where it was routed.
    pub route: Route,
    /// The forward's answer that led to this question.
    pub led: Option<Box<Led>>,
    /// The forward's answer has records about names of our zones.
    pub has_ours: bool,
    /// How it is being asked.
    pub phase: Phase,
    /// When it began.
    pub started: Time,
    /// When it is answered, at the latest.
    pub deadline: Time,
    /// When its last sub-question was settled.
    pub settled: Time,
    /// No client waits: it is asked again ahead of time, because it is in
    /// demand.
    pub background: bool,
    /// Its outcome is known, and clients that shared it are still to be answered.
    pub lingers: Option<Lingers>,
    /// Sub-questions still waiting.
    pub waiting: usize,
    /// Octets of memory that it is counted with.
    pub counted: usize,
    /// Its memory is that of another query since it was counted.
    pub swapped: bool,
    /// Its key among those that others may join.
    pub key: Key,
    subs: Vec<Sub>,
    used: usize,
    /// Of these `answered..used_waiters` wait.
    waiters: Vec<Waiter>,
    used_waiters: usize,
    answered: usize,
}

impl Gather {
    /// An empty one, to be filled when it is taken into use.
    pub fn new(plan: Rc<LivePlan>, client: Client, header: Header) -> Self {
        Gather {
            live: false,
            client,
            came: Time::default(),
            header,
            question: Vec::new(),
            edns: None,
            plan,
            route: Route::Zone(0),
            led: None,
            has_ours: false,
            phase: Phase::Plain,
            started: Time::default(),
            deadline: Time::default(),
            settled: Time::default(),
            background: false,
            lingers: None,
            waiting: 0,
            counted: 0,
            swapped: false,
            key: Key::default(),
            subs: Vec::new(),
            used: 0,
            waiters: Vec::new(),
            used_waiters: 0,
            answered: 0,
        }
    }

    /// An empty one in place of another.
    pub fn like(other: &Gather) -> Self {
        Gather::new(other.plan.clone(), other.client, other.header)
    }

    /// Who is answered next.
    pub fn asker(&self) -> Asker<'_> {
        Asker {
            client: self.client,
            came: self.came,
            header: self.header,
            question: &self.question,
            edns: self.edns,
        }
    }

    /// Makes `asker` the one that is answered next.
    pub fn set_asker(&mut self, asker: Asker<'_>) {
        self.client = asker.client;
        self.came = asker.came;
        self.header = asker.header;
        self.question.clear();
        self.question.extend_from_slice(asker.question);
        self.edns = asker.edns;
    }

    /// Gives back what can be had again.
    pub fn give_back(&mut self) {
        self.question = Vec::new();
        (self.subs, self.used) = (Vec::new(), 0);
        (self.waiters, self.used_waiters, self.answered) = (Vec::new(), 0, 0);
    }

    /// The type asked for.
    pub fn qtype(&self) -> Rtype {
        let at = self.question.len().saturating_sub(4);
        match self.question.get(at..at + 2) {
            Some(&[a, b]) => Rtype::from_int(u16::from_be_bytes([a, b])),
            _ => Rtype::ANY,
        }
    }

    /// The name asked for, flat.
    pub fn name(&self) -> &[u8] {
        &self.question[..self.question.len().saturating_sub(4)]
    }

    /// Begins a round of sub-questions.
    pub fn clear_subs(&mut self) {
        self.used = 0;
        self.waiting = 0;
    }

    /// The letters of a sub-question's name change their case at random.
    pub fn random_case(&self, cluster: usize) -> bool {
        match self.route {
            Route::Zone(zone) => self.plan.plan.zones[zone].clusters[cluster].random_case,
            Route::Forward(forward) => self.plan.plan.forwards[forward].random_case,
        }
    }

    /// Adds a sub-question for a cluster, reusing what an earlier query left.
    pub fn add_sub(&mut self, cluster: usize) -> &mut Sub {
        if self.used == self.subs.len() {
            // There are as many as clusters, and they are large.
            self.subs.reserve_exact(1);
            self.subs.push(Sub::new());
        }
        let sub = &mut self.subs[self.used];
        self.used += 1;
        sub.reset(cluster);
        sub
    }

    /// Adds a sub-question that goes on with a chain at a name of a cluster (K8).
    /// If that cluster has been asked just that, its answer is used again.
    pub fn add_following(&mut self, cluster: usize, name: &[u8]) {
        let mut fixed = [0; 4];
        fixed.copy_from_slice(&self.question[self.question.len() - 4..]);
        let sub = self.add_sub(cluster);
        sub.follows = true;
        sub.question.extend_from_slice(name);
        sub.question.extend_from_slice(&fixed);
        let Some((sub, others)) = self.subs_mut().split_last_mut() else { return };
        let equal =
            |other: &&Sub| !other.follows && other.cluster == cluster && same(other.name(), name);
        if let Some(other) = others.iter().find(equal) {
            sub.copy_answer(other);
        }
    }

    /// The sub-questions of this round, in the clusters' order; behind them
    /// those that follow chains.
    pub fn subs(&self) -> &[Sub] {
        &self.subs[..self.used]
    }

    /// The same, to change.
    pub fn subs_mut(&mut self) -> &mut [Sub] {
        &mut self.subs[..self.used]
    }

    /// Clients that wait for the same answer, beside the one that is answered.
    pub fn waiters(&self) -> &[Waiter] {
        &self.waiters[self.answered..self.used_waiters]
    }

    /// Adds a client, reusing what an earlier query left.
    pub fn add_waiter(&mut self, asker: Asker<'_>) {
        if self.used_waiters == self.waiters.len() {
            self.waiters.push(Waiter {
                client: asker.client,
                header: asker.header,
                question: Vec::new(),
                edns: None,
                came: asker.came,
            });
        }
        self.waiters[self.used_waiters].set(asker);
        self.used_waiters += 1;
    }

    /// Makes the client that has waited longest the one that is answered;
    /// false if there is none left.
    pub fn next_waiter(&mut self) -> bool {
        if self.waiters().is_empty() {
            self.used_waiters = 0;
            self.answered = 0;
            return false;
        }
        let waiter = &mut self.waiters[self.answered];
        self.answered += 1;
        self.client = waiter.client;
        self.came = waiter.came;
        self.header = waiter.header;
        let question = self.led.as_mut().map_or(&mut self.question, |led| &mut led.question);
        std::mem::swap(question, &mut waiter.question);
        self.edns = waiter.edns;
        true
    }

    /// The route of the question that clients asked.
    pub fn asked_route(&self) -> Route {
        self.led.as_ref().map_or(self.route, |led| led.route)
    }

    /// How long a client waits for its answer.
    pub fn patience(&self) -> Duration {
        self.plan.plan.behaviour(self.asked_route()).deadline
    }

    /// How its questions are dealt with.
    pub fn behaviour(&self) -> &Behaviour {
        self.plan.plan.behaviour(self.route)
    }

    /// What is behind its route ([`LivePlan::meaning`]).
    pub fn meaning(&self) -> Option<u64> {
        self.plan.meaning(self.route)
    }

    /// Moves to `plan` if one of its zones has the same meaning; returns whether one has.
    pub fn move_to(&mut self, plan: &Rc<LivePlan>) -> bool {
        if Rc::ptr_eq(&self.plan, plan) {
            return true;
        }
        let zone = self.meaning().and_then(|meaning| plan.by_meaning.get(&meaning));
        if let Some(&zone) = zone {
            (self.plan, self.route) = (plan.clone(), Route::Zone(zone));
        }
        zone.is_some()
    }

    /// The servers that can answer a sub-question, as the engine numbers them.
    pub fn servers_of(&self, cluster: usize) -> &[usize] {
        match self.route {
            Route::Zone(zone) => &self.plan.plan.zones[zone].clusters[cluster].servers,
            Route::Forward(forward) => &self.plan.plan.forwards[forward].servers,
        }
    }

    /// Octets of memory it needs at least, without replies.
    pub fn octets_needed(&self) -> usize {
        let sub = size_of::<Sub>() + self.question.len() + SLACK;
        size_of::<Gather>() + self.question.len() + self.used * sub
    }

    /// Octets of memory it holds.
    pub fn octets(&self) -> usize {
        let subs: usize =
            self.subs.iter().map(|sub| sub.question.capacity() + sub.reply.capacity()).sum();
        let subs = subs + self.subs.capacity() * size_of::<Sub>();
        // A client's question is as long as ours.
        let waiter = size_of::<Waiter>() + self.question.len();
        let waiters = self.waiters.capacity() * waiter;
        let led = self.led.as_ref().map_or(0, |led| led.reply.capacity());
        size_of::<Gather>() + self.question.capacity() + subs + waiters + led
    }

    /// When something has to happen next.
    pub fn next_event(&self) -> Time {
        let waiting = self.subs().iter().filter(|sub| sub.progress == Progress::Waiting);
        waiting.map(|sub| sub.retry_at).fold(self.deadline, Time::min)
    }
}
