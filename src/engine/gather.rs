//! A query in flight: who asked what, and how far each cluster's answer is.

use super::links::LinkId;
use super::outbox::{Client, Transport};
use super::synth::Asker;
use super::time::Time;
use crate::config::{Behaviour, Plan, Route};
use crate::wire::case::Case;
use crate::wire::edns::Edns;
use crate::wire::reply::Summary;
use domain::base::Header;
use domain::base::iana::{Rcode, Rtype};
use smallvec::SmallVec;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// A plan, and what this engine calls its servers.
pub struct LivePlan {
    /// The plan.
    pub plan: Arc<Plan>,
    /// For each of [`Plan::servers`], the engine's number for it.
    pub servers: Vec<usize>,
    /// What each zone is, clusters and settings included, in a number: of two
    /// plans' zones with the same, the answers are the same.
    pub meanings: Vec<u64>,
}

impl LivePlan {
    /// What is behind a route; forwards are only themselves.
    pub fn meaning(&self, route: Route) -> Option<u64> {
        match route {
            Route::Zone(zone) => self.meanings.get(zone).copied(),
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

/// Why a cluster is missing from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing came in time.
    Silent,
    /// It said that it could not answer.
    Rcode(Rcode),
    /// It could not be reached.
    Unreachable,
    /// Every ID towards it was taken.
    Exhausted,
    /// All of its servers are known to be down (U5).
    Out,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Silent => f.write_str("no answer in time"),
            Failure::Rcode(rcode) => write!(f, "{rcode}"),
            Failure::Unreachable => f.write_str("unreachable"),
            Failure::Exhausted => f.write_str("too many questions in flight"),
            Failure::Out => f.write_str("known to be down"),
        }
    }
}

/// How far a sub-question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// On its way.
    Waiting,
    /// A proper answer is in [`Sub::reply`].
    Answered(Summary),
    /// The name would be too long for this cluster: it cannot exist there (Q6).
    CannotExist,
    /// It will not be answered.
    Failed(Failure),
}

/// One sending of a sub-question: a reply to any of them ends the wait.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// The socket it went out on.
    pub link: LinkId,
    /// Its ID there.
    pub id: u16,
    /// The engine's number for the server.
    pub server: usize,
    /// When it went out first.
    pub sent: Time,
    /// It went out more than once: its round trip cannot be measured.
    pub resent: bool,
    /// The network or the server said no; a reply may come all the same.
    pub refused: bool,
    /// The case of its letters, if that is a secret.
    pub case: Option<Case>,
    /// It carried our cookie.
    pub cookie: bool,
}

/// From whom an answer came.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// When it came.
    pub at: Time,
    /// The server.
    pub server: SocketAddr,
    /// How it came.
    pub transport: Transport,
}

/// Memory for replies is used again unless it is larger than this: datagrams
/// are not, and large answers over TCP are rare.
const KEPT_REPLY: usize = 4096;

/// A sub-question: the client's question as one cluster is asked it.
pub struct Sub {
    /// The cluster's place in its zone; 0 for a forward.
    pub cluster: usize,
    /// How far it is.
    pub progress: Progress,
    /// Name, type and class as asked.
    pub question: Vec<u8>,
    /// The reply, once there is a proper one.
    pub reply: Vec<u8>,
    /// Its sendings, those still awaiting an answer.
    pub attempts: SmallVec<[Attempt; 2]>,
    /// The place in the cluster's list of the server asked last.
    pub turn: usize,
    /// How often it has been sent.
    pub tries: u8,
    /// When it was sent first.
    pub asked_at: Time,
    /// When it is sent again, if nothing comes.
    pub retry_at: Time,
    /// The stream is used: a datagram answer was truncated (T2).
    pub tcp: bool,
    /// It has been asked on a stream, whatever for.
    pub streamed: bool,
    /// Sent without OPT: the server did not understand it (RFC 6891, 6.2.2).
    pub plain: bool,
    /// Servers that said no, by their place in the cluster's list.
    pub refused: u16,
    /// A server without a substitute has been asked again after it was
    /// unreachable.
    pub second_chance: bool,
    /// The reply is what the cluster said last.
    pub unchanged: bool,
    /// It is the cluster's last good answer, not one to this query (M6).
    pub stale: bool,
    /// What went wrong last, for when nothing else comes.
    pub last_failure: Failure,
    /// Where its answer came from.
    pub answered: Option<Source>,
}

impl Sub {
    fn new() -> Self {
        Sub {
            cluster: 0,
            progress: Progress::Waiting,
            question: Vec::new(),
            reply: Vec::new(),
            attempts: SmallVec::new(),
            turn: 0,
            tries: 0,
            asked_at: Time::default(),
            retry_at: Time::default(),
            tcp: false,
            streamed: false,
            plain: false,
            unchanged: false,
            stale: false,
            refused: 0,
            second_chance: false,
            last_failure: Failure::Silent,
            answered: None,
        }
    }

    fn reset(&mut self, cluster: usize) {
        let question = std::mem::take(&mut self.question);
        let mut reply = std::mem::take(&mut self.reply);
        if reply.capacity() > KEPT_REPLY {
            reply = Vec::new();
        }
        *self = Sub { cluster, question, reply, ..Sub::new() };
        self.question.clear();
        self.reply.clear();
    }

    /// What its reply says, if it has a proper one.
    pub fn summary(&self) -> Option<Summary> {
        match self.progress {
            Progress::Answered(summary) => Some(summary),
            _ => None,
        }
    }

    /// Whether its reply has records.
    pub fn has_answer(&self) -> bool {
        matches!(self.progress, Progress::Answered(summary) if summary.has_answer)
    }

    /// Takes over what another was told, because it has no answer of its own.
    /// The other keeps it: more queries may need it before this one is done.
    pub fn fill_in(&mut self, last: &Sub) {
        self.reply.clear();
        self.reply.extend_from_slice(&last.reply);
        self.progress = last.progress;
        self.answered = last.answered;
        self.stale = true;
        self.unchanged = false;
    }
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

/// A query in flight.
pub struct Gather {
    /// In use.
    pub live: bool,
    /// Who asked.
    pub client: Client,
    /// The client's header: ID and flags.
    pub header: Header,
    /// The client's question, to the octet: name, type and class.
    pub question: Vec<u8>,
    /// The client's OPT record.
    pub edns: Option<Edns>,
    /// The plan it was accepted under, and finishes on.
    pub plan: Rc<LivePlan>,
    /// Where it was routed.
    pub route: Route,
    /// How it is being asked.
    pub phase: Phase,
    /// When it came.
    pub started: Time,
    /// When it is answered, at the latest.
    pub deadline: Time,
    /// When its last sub-question was settled.
    pub settled: Time,
    /// No client waits: it is asked again ahead of time, because it is in
    /// demand.
    pub background: bool,
    /// Its outcome is known, and clients that shared it wait for their own
    /// deadlines.
    pub lingering: bool,
    /// Sub-questions still waiting.
    pub waiting: usize,
    /// Its key among those that others may join.
    pub share_key: u64,
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
            header,
            question: Vec::new(),
            edns: None,
            plan,
            route: Route::Zone(0),
            phase: Phase::Plain,
            started: Time::default(),
            deadline: Time::default(),
            settled: Time::default(),
            background: false,
            lingering: false,
            waiting: 0,
            share_key: 0,
            subs: Vec::new(),
            used: 0,
            waiters: Vec::new(),
            used_waiters: 0,
            answered: 0,
        }
    }

    /// Who is answered next.
    pub fn asker(&self) -> Asker<'_> {
        Asker {
            client: self.client,
            header: self.header,
            question: &self.question,
            edns: self.edns,
        }
    }

    /// Makes `asker` the one that is answered next.
    pub fn set_asker(&mut self, asker: Asker<'_>) {
        self.client = asker.client;
        self.header = asker.header;
        self.question.clear();
        self.question.extend_from_slice(asker.question);
        self.edns = asker.edns;
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
            self.subs.push(Sub::new());
        }
        let sub = &mut self.subs[self.used];
        self.used += 1;
        sub.reset(cluster);
        sub
    }

    /// The sub-questions of this round, in the clusters' order.
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
    pub fn add_waiter(&mut self, now: Time, asker: Asker<'_>) {
        if self.used_waiters == self.waiters.len() {
            self.waiters.push(Waiter {
                client: asker.client,
                header: asker.header,
                question: Vec::new(),
                edns: None,
                came: now,
            });
        }
        self.waiters[self.used_waiters].set(now, asker);
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
        self.header = waiter.header;
        std::mem::swap(&mut self.question, &mut waiter.question);
        self.edns = waiter.edns;
        true
    }

    /// How its questions are dealt with.
    pub fn behaviour(&self) -> &Behaviour {
        self.plan.plan.behaviour(self.route)
    }

    /// What is behind its route ([`LivePlan::meaning`]).
    pub fn meaning(&self) -> Option<u64> {
        self.plan.meaning(self.route)
    }

    /// The servers that can answer a sub-question, as the engine numbers them.
    pub fn servers_of(&self, cluster: usize) -> &[usize] {
        match self.route {
            Route::Zone(zone) => &self.plan.plan.zones[zone].clusters[cluster].servers,
            Route::Forward(forward) => &self.plan.plan.forwards[forward].servers,
        }
    }

    /// Octets of memory it holds.
    pub fn octets(&self) -> usize {
        let subs: usize = self
            .subs
            .iter()
            .map(|sub| size_of::<Sub>() + sub.question.capacity() + sub.reply.capacity())
            .sum();
        let waiters = self.waiters.capacity() * size_of::<Waiter>();
        size_of::<Gather>() + self.question.capacity() + subs + waiters
    }

    /// When something has to happen next.
    pub fn next_event(&self) -> Time {
        let waiting = self.subs().iter().filter(|sub| sub.progress == Progress::Waiting);
        waiting.map(|sub| sub.retry_at).fold(self.deadline, Time::min)
    }
}
