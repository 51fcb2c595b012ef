//! A cluster answered: whether the reply counts (U1), and what it settles.

use super::Engine;
use super::links::{LinkId, Slot};
use super::memory::LARGE;
use super::outbox::{Outbox, Transport};
use super::sub::{Attempt, Failure, Progress, Source};
use super::suspect::Vetted;
use super::time::Time;
use crate::config::Route;
use crate::wire::reply::{self, Unfit};
use crate::wire::u16_at;
use domain::base::iana::{OptRcode, Rcode};

/// A reply, and the sending of a sub-question that it answers.
#[derive(Clone, Copy)]
struct Arrival<'a> {
    /// The query's gather.
    index: u32,
    /// Its sub-question.
    n: usize,
    /// The sending's place among those of the sub-question.
    place: usize,
    attempt: Attempt,
    packet: &'a [u8],
}

impl Engine {
    /// A packet came on a link. What does not count is counted, ends no wait
    /// and frees no slot (U1).
    pub fn on_reply(&mut self, now: Time, link: LinkId, packet: &[u8], out: &mut Outbox) {
        let id = u16_at(packet, 0).ok();
        let slot = id.and_then(|id| Some((id, self.links.find(link, id)?)));
        let Some((id, slot)) = slot else {
            self.counters.unexpected += 1;
            let forged = id.is_none_or(|id| self.links.was_never_used(link, id));
            if let Some(server) = self.links.server_of(link).filter(|_| forged) {
                self.suspect(now, server, out);
            }
            return;
        };
        self.links.note_heard(now, link);
        let (index, n) = match slot {
            Slot::Sub { gather, sub, .. } => (gather, sub as usize),
            Slot::Probe { server } => {
                return self.on_probe_reply(now, server as usize, packet, out);
            }
        };
        let gather = &self.gathers[index as usize];
        let sub = &gather.subs()[n];
        let Some(place) = sub.attempts.iter().position(|a| a.link == link && a.id == id) else {
            return;
        };
        let attempt = sub.attempts[place];
        let came = Arrival { index, n, place, attempt, packet };
        if attempt.case.is_some() || attempt.cookie {
            self.on_guarded_reply(now, came, out);
        } else if let Some(summary) = self.known_reply(index, n, packet) {
            self.on_known_reply(now, came, summary, out);
        } else {
            let question = &self.gathers[index as usize].subs()[n].question;
            let checked = reply::check(packet, question);
            self.on_checked_reply(now, came, checked, out);
        }
        if self.gathers[index as usize].live {
            self.reconsider(now, index, out);
        }
    }

    /// A reply that has to have kept a case or a cookie.
    fn on_guarded_reply(&mut self, now: Time, came: Arrival<'_>, out: &mut Outbox) {
        let Arrival { index, n, place, attempt, packet } = came;
        let sub = &mut self.gathers[index as usize].subs_mut()[n];
        let checked = reply::check(packet, &sub.question);
        let summary = match checked {
            // A truncated reply is not read, and has nothing to forge: it is
            // asked again over TCP.
            Ok(summary) if !summary.truncated => summary,
            Err(Unfit::HeaderOnly) if self.needs_cookie(now, attempt) => {
                return self.doubt(now, index, n, attempt, out);
            }
            checked => return self.on_checked_reply(now, came, checked, out),
        };
        let question = std::mem::take(&mut sub.question);
        let vetted = self.vet(now, attempt, &question, packet, &summary);
        let plain = self.make_plain(&question, packet, &summary);
        self.gathers[index as usize].subs_mut()[n].question = question;
        let came = Arrival { packet: &plain, ..came };
        match vetted {
            Vetted::Suspect => self.doubt(now, index, n, attempt, out),
            Vetted::BadCookie => self.with_new_cookie(now, index, n, place, out),
            Vetted::Genuine => match self.known_reply(index, n, &plain) {
                Some(summary) => self.on_known_reply(now, came, summary, out),
                None => self.on_checked_reply(now, came, Ok(summary), out),
            },
        }
        self.plain_reply = plain;
    }

    /// A reply that is what this cluster said last.
    fn on_known_reply(
        &mut self,
        now: Time,
        came: Arrival<'_>,
        summary: reply::Summary,
        out: &mut Outbox,
    ) {
        self.gathers[came.index as usize].subs_mut()[came.n].unchanged = true;
        self.meter_reply(came, summary.full_rcode());
        self.heard(now, came.attempt.server, out);
        self.accept(now, came, summary, out);
    }

    fn on_checked_reply(
        &mut self,
        now: Time,
        came: Arrival<'_>,
        checked: Result<reply::Summary, Unfit>,
        out: &mut Outbox,
    ) {
        let Arrival { index, n, place, attempt, .. } = came;
        let plain = self.gathers[index as usize].subs()[n].plain;
        match checked {
            Err(Unfit::NotAResponse | Unfit::WrongQuestion) => {
                self.counters.mismatched += 1;
                self.suspect(now, attempt.server, out);
            }
            // It came from whoever knows ID and question, yet cannot be used.
            // The good answer may still be behind it; asking again at once
            // gives it another chance.
            Err(Unfit::Malformed) => {
                self.counters.malformed += 1;
                self.hurry(now, index, n, out);
            }
            // Without OPT already: it says nothing new.
            Err(Unfit::HeaderOnly) if plain => self.counters.mismatched += 1,
            Err(Unfit::HeaderOnly) => self.without_opt(now, index, n, place, out),
            Ok(summary) => {
                self.meter_reply(came, summary.full_rcode());
                self.heard(now, attempt.server, out);
                if summary.truncated && !self.links.transport(attempt.link).is_stream() {
                    self.counters.truncated_replies += 1;
                    self.over_tcp(now, index, n, place, out);
                } else if summary.truncated {
                    self.counters.malformed += 1;
                    self.refused(now, index, n, place, Failure::Unreachable, out);
                } else if summary.is_proper() {
                    self.accept(now, came, summary, out);
                } else {
                    self.improper(now, came, summary, out);
                }
            }
        }
    }

    /// Counts what a server said.
    fn meter_reply(&self, came: Arrival<'_>, rcode: OptRcode) {
        let gather = &self.gathers[came.index as usize];
        if let Some(server) = self.place_of(came.index, came.n, came.place) {
            let cluster = gather.subs()[came.n].cluster;
            gather.plan.meter(gather.route).borrow_mut().asked(cluster, server, Some(rcode));
        }
    }

    /// The answer of this cluster.
    fn accept(&mut self, now: Time, came: Arrival<'_>, summary: reply::Summary, out: &mut Outbox) {
        let Arrival { index, n, attempt, packet, .. } = came;
        let workers = || self.plan.plan.settings.workers.get();
        if packet.len() > LARGE && self.memory.is_too_much(packet.len(), workers()) {
            self.counters.overloaded += 1;
            self.settle(now, index, n, Progress::Failed(Failure::Overloaded), out);
            return;
        }
        let transport = self.links.transport(attempt.link);
        // A stream's first answer took a handshake as well; and what is asked
        // over TCP because it is large says nothing about the others.
        let usual = match transport {
            Transport::Udp => true,
            Transport::Tcp => false,
            Transport::Tls => self.links.was_proven(attempt.link, attempt.sent),
        };
        let server = &mut self.links.servers[attempt.server];
        let took = now.since(attempt.sent);
        if !attempt.resent {
            server.latency.add(took);
        }
        if !attempt.resent && usual {
            server.rtt.sample(took);
        }
        let sub = &mut self.gathers[index as usize].subs_mut()[n];
        sub.answered = Some(Source { at: now, server: server.addr, transport });
        let before = sub.reply.capacity();
        sub.reply.clear();
        sub.reply.extend_from_slice(packet);
        let grown = sub.reply.capacity() - before;
        self.memory.changed(0, grown);
        self.gathers[index as usize].counted += grown;
        let sub = &self.gathers[index as usize].subs()[n];
        if !sub.unchanged {
            self.note_answer(now, index, n, summary);
        }
        self.settle(now, index, n, Progress::Answered(summary), out);
    }

    /// A reply that says that there is none.
    fn improper(
        &mut self,
        now: Time,
        came: Arrival<'_>,
        summary: reply::Summary,
        out: &mut Outbox,
    ) {
        let Arrival { index, n, place, .. } = came;
        let gather = &self.gathers[index as usize];
        let not_understood = matches!(summary.rcode, Rcode::FORMERR | Rcode::NOTIMP)
            || summary.full_rcode() == OptRcode::BADVERS;
        if not_understood && !gather.subs()[n].plain {
            self.without_opt(now, index, n, place, out);
            return;
        }
        // A forward's answer is passed on, whatever it says, unless another
        // server may say something better.
        let last = !self.has_other_server(index, n, place);
        if matches!(gather.route, Route::Forward(_)) && last {
            self.accept(now, came, summary, out);
        } else {
            self.refused(now, index, n, place, Failure::Rcode(summary.rcode), out);
        }
    }
}
