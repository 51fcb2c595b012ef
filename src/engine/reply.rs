//! A cluster answered: whether the reply counts (U1), and what it settles.

use super::Engine;
use super::links::{LinkId, Slot};
use super::outbox::{Outbox, Transport};
use super::sub::{Failure, Progress, Source};
use super::suspect::Vetted;
use super::time::Time;
use crate::config::Route;
use crate::wire::reply::{self, Unfit};
use crate::wire::u16_at;
use domain::base::iana::{OptRcode, Rcode};

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
            Slot::Sub { gather, sub } => (gather, sub as usize),
            Slot::Probe { server } => {
                return self.on_probe_reply(now, server as usize, packet, out);
            }
        };
        let gather = &self.gathers[index as usize];
        let sub = &gather.subs()[n];
        let Some(attempt) = sub.attempts.iter().position(|a| a.link == link && a.id == id) else {
            return;
        };
        let place = attempt;
        let attempt = sub.attempts[place];
        if attempt.case.is_some() || attempt.cookie {
            self.on_guarded_reply(now, index, n, place, packet, out);
        } else if let Some(summary) = self.known_reply(index, n, packet) {
            self.unchanged(now, index, n, place, packet, summary, out);
        } else {
            let question = &self.gathers[index as usize].subs()[n].question;
            let checked = reply::check(packet, question);
            self.on_checked_reply(now, index, n, place, packet, checked, out);
        }
        if self.gathers[index as usize].live {
            self.reconsider(now, index, out);
        }
    }

    /// A reply that has to have kept a case or a cookie.
    fn on_guarded_reply(
        &mut self,
        now: Time,
        index: u32,
        n: usize,
        place: usize,
        packet: &[u8],
        out: &mut Outbox,
    ) {
        let sub = &mut self.gathers[index as usize].subs_mut()[n];
        let attempt = sub.attempts[place];
        let checked = reply::check(packet, &sub.question);
        let summary = match checked {
            // A truncated reply is not read, and has nothing to forge: it is
            // asked again over TCP.
            Ok(summary) if !summary.truncated => summary,
            Err(Unfit::HeaderOnly) if self.needs_cookie(now, attempt) => {
                return self.doubt(now, index, n, attempt, out);
            }
            checked => {
                return self.on_checked_reply(now, index, n, place, packet, checked, out);
            }
        };
        let question = std::mem::take(&mut sub.question);
        let vetted = self.vet(now, attempt, &question, packet, &summary);
        let plain = self.make_plain(&question, packet, &summary);
        self.gathers[index as usize].subs_mut()[n].question = question;
        match vetted {
            Vetted::Suspect => self.doubt(now, index, n, attempt, out),
            Vetted::BadCookie => self.with_new_cookie(now, index, n, place, out),
            Vetted::Genuine => match self.known_reply(index, n, &plain) {
                Some(summary) => self.unchanged(now, index, n, place, &plain, summary, out),
                None => self.on_checked_reply(now, index, n, place, &plain, Ok(summary), out),
            },
        }
        self.plain_reply = plain;
    }

    #[allow(clippy::too_many_arguments)]
    fn unchanged(
        &mut self,
        now: Time,
        index: u32,
        n: usize,
        place: usize,
        packet: &[u8],
        summary: reply::Summary,
        out: &mut Outbox,
    ) {
        let sub = &mut self.gathers[index as usize].subs_mut()[n];
        sub.unchanged = true;
        let server = sub.attempts[place].server;
        self.heard(now, server, out);
        self.accept(now, index, n, place, packet, summary, out);
    }

    #[allow(clippy::too_many_arguments)]
    fn on_checked_reply(
        &mut self,
        now: Time,
        index: u32,
        n: usize,
        place: usize,
        packet: &[u8],
        checked: Result<reply::Summary, Unfit>,
        out: &mut Outbox,
    ) {
        let sub = &self.gathers[index as usize].subs()[n];
        let attempt = sub.attempts[place];
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
            Err(Unfit::HeaderOnly) if sub.plain => self.counters.mismatched += 1,
            Err(Unfit::HeaderOnly) => self.without_opt(now, index, n, place, out),
            Ok(summary) => {
                self.heard(now, attempt.server, out);
                if summary.truncated && !self.links.transport(attempt.link).is_stream() {
                    self.counters.truncated_replies += 1;
                    self.over_tcp(now, index, n, place, out);
                } else if summary.truncated {
                    self.counters.malformed += 1;
                    self.refused(now, index, n, place, Failure::Unreachable, out);
                } else if summary.is_proper() {
                    self.accept(now, index, n, place, packet, summary, out);
                } else {
                    self.improper(now, index, n, place, packet, summary, out);
                }
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn accept(
        &mut self,
        now: Time,
        index: u32,
        n: usize,
        attempt: usize,
        packet: &[u8],
        summary: reply::Summary,
        out: &mut Outbox,
    ) {
        let sub = &mut self.gathers[index as usize].subs_mut()[n];
        let attempt = sub.attempts[attempt];
        let transport = self.links.transport(attempt.link);
        // A stream's first answer took a handshake as well; and what is asked
        // over TCP because it is large says nothing about the others.
        let usual = match transport {
            Transport::Udp => true,
            Transport::Tcp => false,
            Transport::Tls => self.links.was_proven(attempt.link, attempt.sent),
        };
        if !attempt.resent && usual {
            self.links.servers[attempt.server].rtt.sample(now.since(attempt.sent));
        }
        let server = self.links.servers[attempt.server].addr;
        let sub = &mut self.gathers[index as usize].subs_mut()[n];
        sub.answered = Some(Source { at: now, server, transport });
        sub.reply.clear();
        sub.reply.extend_from_slice(packet);
        self.settle(now, index, n, Progress::Answered(summary), out);
    }

    #[allow(clippy::too_many_arguments)]
    fn improper(
        &mut self,
        now: Time,
        index: u32,
        n: usize,
        attempt: usize,
        packet: &[u8],
        summary: reply::Summary,
        out: &mut Outbox,
    ) {
        let gather = &self.gathers[index as usize];
        let not_understood = matches!(summary.rcode, Rcode::FORMERR | Rcode::NOTIMP)
            || summary.full_rcode() == OptRcode::BADVERS;
        if not_understood && !gather.subs()[n].plain {
            self.without_opt(now, index, n, attempt, out);
            return;
        }
        // A forward's answer is passed on, whatever it says, unless another
        // server may say something better.
        let last = !self.has_other_server(index, n, attempt);
        if matches!(gather.route, Route::Forward(_)) && last {
            self.accept(now, index, n, attempt, packet, summary, out);
        } else {
            self.refused(now, index, n, attempt, Failure::Rcode(summary.rcode), out);
        }
    }
}
