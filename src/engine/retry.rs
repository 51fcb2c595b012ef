//! When a cluster does not answer, or not properly: again, elsewhere, in
//! another way, or not at all (T2, U3). Everything ends at the deadline.

use super::Engine;
use super::links::{LinkId, Slot};
use super::outbox::{Outbox, Transport};
use super::sub::{Failure, Progress};
use super::time::Time;

/// A sub-question that nobody answers is sent this often at the most (servers
/// that refuse it are each asked once). With 10 % loss each way a try
/// fails with 0.19. Clients that share a question (U4) share its fate, ten of
/// them at a busy name; so nine tries, for 99.99 % of two clusters' answers.
const MAX_TRIES: u8 = 9;

/// A server that says nothing at all for this share of the deadline is not asked
/// everything again: were it only a few packets that are lost, something would
/// have come. ...
const SILENCE_SHARE: u32 = 8;

/// ... Of what it is asked again in that state so many a second, in each worker,
/// are enough to notice that it is back. Without this ten thousand questions a
/// second were 200,000 packets, and what was due to clients had to wait.
const REPEATS: u32 = 500;

/// What happened to the socket behind a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// An ICMP error came: a hint that the server is not there. The socket
    /// goes on.
    Refused,
    /// The socket could not be opened, or is closed.
    Closed,
}

impl Engine {
    /// The socket behind a link is in trouble.
    pub fn on_link(&mut self, now: Time, link: LinkId, state: LinkState, out: &mut Outbox) {
        let mut moved = std::mem::take(&mut self.moved);
        moved.clear();
        self.links.in_flight_on(link, &mut moved);
        if state == LinkState::Closed {
            if !moved.is_empty() && self.links.heard_at(link).is_none() {
                self.no_stream(now, link, out);
            }
            self.links.lost(link, out);
        }
        for &(id, slot) in &moved {
            // Moving one may have finished its query, and others of the list
            // with it.
            if self.links.find(link, id) != Some(slot) {
                continue;
            }
            let Slot::Sub { gather, sub, .. } = slot else { continue };
            let (index, n) = (gather, sub as usize);
            let gather = &mut self.gathers[index as usize];
            let sub = &mut gather.subs_mut()[n];
            let found = sub.attempts.iter().position(|a| a.link == link && !a.refused);
            let Some(attempt) = found else { continue };
            self.unreachable(now, index, n, attempt, state, out);
            if self.gathers[index as usize].live {
                self.reconsider(now, index, out);
            }
        }
        self.moved = moved;
    }

    /// A connection that was wanted did not come about, or ended before it was
    /// of use.
    fn no_stream(&mut self, now: Time, link: LinkId, out: &mut Outbox) {
        let Some(server) = self.links.server_of(link) else { return };
        match self.links.transport(link) {
            Transport::Udp => {}
            Transport::Tcp => {
                let guard = &mut self.links.servers[server].guard;
                if guard.is_besieged(now) {
                    guard.has_no_streams(now);
                }
            }
            // Each question would try it again.
            Transport::Tls => self.missed(now, server, self.deadline(), out),
        }
    }

    /// Timers that are due: retransmissions and deadlines.
    pub fn on_timeout(&mut self, now: Time, out: &mut Outbox) {
        if self.journal.due().is_some_and(|due| due <= now) {
            self.hand_in();
        }
        self.send_probes(now, out);
        while let Some(index) = self.wheel.pop_due(now) {
            let expired = self.gathers[index as usize].deadline <= now;
            for n in 0..self.gathers[index as usize].subs().len() {
                let sub = &self.gathers[index as usize].subs()[n];
                if sub.progress != Progress::Waiting {
                    continue;
                }
                if expired {
                    let failure = Progress::Failed(sub.last_failure);
                    self.settle(now, index, n, failure, out);
                } else if sub.retry_at <= now {
                    self.hurry(now, index, n, out);
                }
            }
            self.reconsider(now, index, out);
        }
        self.give_back_places();
    }

    /// Sends again, to the next server if there is one.
    pub(super) fn hurry(&mut self, now: Time, index: u32, n: usize, out: &mut Outbox) {
        let gather = &mut self.gathers[index as usize];
        let deadline = gather.deadline;
        let sub = &mut gather.subs_mut()[n];
        let (turn, tcp) = (sub.turn, sub.tcp);
        let next = self.next_server(index, n);
        // A stream repeats for itself; another server may have what this one is
        // silent about.
        let alone = tcp && next.is_none_or(|next| next == turn);
        let sub = &mut self.gathers[index as usize].subs_mut()[n];
        if sub.tries >= MAX_TRIES || alone {
            sub.retry_at = deadline;
            return;
        }
        if let Some(turn) = next {
            self.turn_to(index, n, turn);
        }
        if self.may_repeat(now, index, n) && self.ask(now, index, n, out) {
            self.counters.retransmitted += 1;
        }
    }

    /// Whether the server whose turn it is may be asked again; if not, the
    /// question waits for its next turn.
    fn may_repeat(&mut self, now: Time, index: u32, n: usize) -> bool {
        let gather = &self.gathers[index as usize];
        let deadline = gather.behaviour().deadline;
        let sub = &gather.subs()[n];
        let servers = gather.servers_of(sub.cluster);
        let number = gather.plan.servers[servers[sub.turn % servers.len()]];
        let server = &mut self.links.servers[number];
        if server.health.was_heard(now, deadline / SILENCE_SHARE)
            || server.repeats.take(now, REPEATS)
        {
            return true;
        }
        let sub = &mut self.gathers[index as usize].subs_mut()[n];
        sub.tries = sub.tries.saturating_add(1);
        let wait = self.links.servers[number].rtt.wait(sub.tries, deadline);
        sub.retry_at = (now + wait).floor();
        false
    }

    /// The next server of the cluster's list that has not said no: one that is up,
    /// if there is one (U5).
    fn next_server(&self, index: u32, n: usize) -> Option<usize> {
        let gather = &self.gathers[index as usize];
        let sub = &gather.subs()[n];
        let servers = gather.servers_of(sub.cluster);
        let turns = (1..=servers.len())
            .map(|step| (sub.turn + step) % servers.len())
            .filter(|&turn| sub.refused & (1 << turn) == 0);
        let is_up = |&turn: &usize| {
            let server = gather.plan.servers[servers[turn]];
            !self.links.servers[server].health.is_out()
        };
        turns.clone().find(is_up).or_else(|| turns.clone().next())
    }

    /// Whether a server other than this attempt's is left to ask.
    pub(super) fn has_other_server(&self, index: u32, n: usize, attempt: usize) -> bool {
        let gather = &self.gathers[index as usize];
        let sub = &gather.subs()[n];
        let this = self.place_of(index, n, attempt);
        (0..gather.servers_of(sub.cluster).len())
            .any(|turn| Some(turn) != this && sub.refused & (1 << turn) == 0)
    }

    /// The place in the cluster's list of the server an attempt went to.
    pub(super) fn place_of(&self, index: u32, n: usize, attempt: usize) -> Option<usize> {
        let sub = &self.gathers[index as usize].subs()[n];
        self.place_of_server(index, n, sub.attempts[attempt].server)
    }

    fn place_of_server(&self, index: u32, n: usize, server: usize) -> Option<usize> {
        let gather = &self.gathers[index as usize];
        let servers = gather.servers_of(gather.subs()[n].cluster);
        servers.iter().position(|&number| gather.plan.servers[number] == server)
    }

    /// Counts that a server left a sub-question unanswered.
    fn meter_silence(&self, index: u32, n: usize, server: usize) {
        let gather = &self.gathers[index as usize];
        if let Some(server) = self.place_of_server(index, n, server) {
            let cluster = gather.subs()[n].cluster;
            gather.plan.meter(gather.route).borrow_mut().asked(cluster, server, None);
        }
    }

    fn turn_to(&mut self, index: u32, n: usize, turn: usize) {
        let sub = &mut self.gathers[index as usize].subs_mut()[n];
        if sub.turn != turn {
            sub.turn = turn;
            sub.tcp = false;
            sub.plain = false;
        }
    }

    /// Forgets one attempt: it has been answered, or its socket is gone.
    pub(super) fn drop_attempt(
        &mut self,
        now: Time,
        index: u32,
        n: usize,
        attempt: usize,
        out: &mut Outbox,
    ) {
        let sub = &mut self.gathers[index as usize].subs_mut()[n];
        let gone = sub.attempts.remove(attempt);
        self.links.release(now, gone.link, gone.id, out);
    }

    /// An attempt is not waited for any more, in favour of another.
    pub(super) fn give_up_attempt(
        &mut self,
        now: Time,
        index: u32,
        n: usize,
        attempt: usize,
        out: &mut Outbox,
    ) {
        let deadline = self.gathers[index as usize].behaviour().deadline;
        let server = self.gathers[index as usize].subs()[n].attempts[attempt].server;
        if !self.was_given_up(index, n, server) {
            if let Some(place) = self.place_of(index, n, attempt) {
                self.gathers[index as usize].subs_mut()[n].given_up |= 1 << place;
            }
            self.meter_silence(index, n, server);
            self.missed(now, server, deadline, out);
        }
        self.drop_attempt(now, index, n, attempt, out);
    }

    fn was_given_up(&self, index: u32, n: usize, server: usize) -> bool {
        let given_up = self.gathers[index as usize].subs()[n].given_up;
        let place = self.place_of_server(index, n, server);
        place.is_some_and(|place| given_up & (1 << place) != 0)
    }

    /// The server did not understand the OPT record: without it, then.
    pub(super) fn without_opt(
        &mut self,
        now: Time,
        index: u32,
        n: usize,
        attempt: usize,
        out: &mut Outbox,
    ) {
        let place = self.place_of(index, n, attempt);
        let sub = &mut self.gathers[index as usize].subs_mut()[n];
        if sub.plain || sub.tries >= MAX_TRIES {
            return;
        }
        if let Some(turn) = place {
            sub.turn = turn;
        }
        sub.plain = true;
        self.ask(now, index, n, out);
    }

    /// A datagram answer was truncated: over TCP, from the same server (T2).
    pub(super) fn over_tcp(
        &mut self,
        now: Time,
        index: u32,
        n: usize,
        attempt: usize,
        out: &mut Outbox,
    ) {
        let place = self.place_of(index, n, attempt);
        self.drop_attempt(now, index, n, attempt, out);
        let sub = &mut self.gathers[index as usize].subs_mut()[n];
        if sub.tcp {
            return;
        }
        if let Some(turn) = place {
            sub.turn = turn;
        }
        sub.tcp = true;
        self.ask(now, index, n, out);
    }

    /// A server answered that it will not answer.
    pub(super) fn refused(
        &mut self,
        now: Time,
        index: u32,
        n: usize,
        attempt: usize,
        failure: Failure,
        out: &mut Outbox,
    ) {
        let place = self.place_of(index, n, attempt);
        self.drop_attempt(now, index, n, attempt, out);
        self.give_up_server(now, index, n, place, failure, out);
    }

    /// A server could not be reached. That is a hint: where no other is left
    /// to ask it is asked once more, and a late answer still counts.
    fn unreachable(
        &mut self,
        now: Time,
        index: u32,
        n: usize,
        attempt: usize,
        state: LinkState,
        out: &mut Outbox,
    ) {
        let place = self.place_of(index, n, attempt);
        let alone = !self.has_other_server(index, n, attempt);
        if state == LinkState::Closed {
            let server = self.gathers[index as usize].subs()[n].attempts[attempt].server;
            self.meter_silence(index, n, server);
            self.drop_attempt(now, index, n, attempt, out);
        } else {
            self.gathers[index as usize].subs_mut()[n].attempts[attempt].refused = true;
        }
        let sub = &mut self.gathers[index as usize].subs_mut()[n];
        sub.last_failure = Failure::Unreachable;
        if alone && !sub.second_chance {
            sub.second_chance = true;
            self.ask(now, index, n, out);
        } else {
            self.give_up_server(now, index, n, place, Failure::Unreachable, out);
        }
    }

    fn give_up_server(
        &mut self,
        now: Time,
        index: u32,
        n: usize,
        place: Option<usize>,
        failure: Failure,
        out: &mut Outbox,
    ) {
        let sub = &mut self.gathers[index as usize].subs_mut()[n];
        sub.last_failure = failure;
        if let Some(place) = place {
            sub.refused |= 1 << place;
        }
        let elsewhere = place != Some(sub.turn) && sub.refused & (1 << sub.turn) == 0;
        if elsewhere {
            return; // The server whose turn it is has been asked already.
        }
        match self.next_server(index, n) {
            Some(turn) => {
                self.turn_to(index, n, turn);
                self.ask(now, index, n, out);
            }
            None => self.settle(now, index, n, Progress::Failed(failure), out),
        }
    }

    /// A sub-question is done; its IDs go to rest.
    pub(super) fn settle(
        &mut self,
        now: Time,
        index: u32,
        n: usize,
        progress: Progress,
        out: &mut Outbox,
    ) {
        let gather = &mut self.gathers[index as usize];
        let sub = &mut gather.subs_mut()[n];
        if sub.progress != Progress::Waiting {
            return;
        }
        sub.progress = progress;
        let attempts = std::mem::take(&mut sub.attempts);
        let answered = sub.answered.map(|source| source.server);
        let deadline = gather.behaviour().deadline;
        gather.waiting -= 1;
        for (place, attempt) in attempts.iter().enumerate() {
            if answered.is_none() {
                self.links.leave_silent(attempt.link, attempt.sent, out);
            }
            self.links.release(now, attempt.link, attempt.id, out);
            let server = &self.links.servers[attempt.server];
            if answered == Some(server.addr) {
                continue;
            }
            // It has had its time if the query has none left, or if another
            // server's answer came long after its own was due.
            let due = attempt.sent + server.rtt.wait(1, deadline);
            let counted = attempts[..place].iter().any(|other| other.server == attempt.server)
                || self.was_given_up(index, n, attempt.server);
            if !counted && (answered.is_none() || due <= now) {
                self.meter_silence(index, n, attempt.server);
                self.missed(now, attempt.server, deadline, out);
            }
        }
        if let Progress::Failed(_) = progress {
            self.counters.failed += 1;
        }
    }
}
