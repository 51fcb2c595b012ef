//! A cluster answered: whether the reply counts (U1), and what it settles.

use super::Engine;
use super::gather::{Failure, Progress};
use super::links::{LinkId, Slot};
use super::outbox::{Outbox, Transport};
use super::time::Time;
use crate::config::Route;
use crate::wire::reply::{self, Unfit};
use crate::wire::u16_at;
use domain::base::iana::Rcode;

impl Engine {
    /// A packet came on a link. What does not count is counted, ends no wait
    /// and frees no slot (U1).
    pub fn on_reply(&mut self, now: Time, link: LinkId, packet: &[u8], out: &mut Outbox) {
        let slot = u16_at(packet, 0).ok().and_then(|id| Some((id, self.links.find(link, id)?)));
        let Some((id, slot)) = slot else {
            self.counters.unexpected += 1;
            return;
        };
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
        let server = sub.attempts[attempt].server;
        if let Some(summary) = self.known_reply(index, n, packet) {
            self.heard(now, server, out);
            self.gathers[index as usize].subs_mut()[n].unchanged = true;
            self.accept(now, index, n, attempt, packet, summary, out);
            self.reconsider(now, index, out);
            return;
        }
        let sub = &self.gathers[index as usize].subs()[n];
        match reply::check(packet, &sub.question) {
            Err(Unfit::NotAResponse | Unfit::WrongQuestion) => self.counters.mismatched += 1,
            // It came from whoever knows ID and question, yet cannot be used.
            // The good answer may still be behind it; asking again at once
            // gives it another chance.
            Err(Unfit::Malformed) => {
                self.counters.malformed += 1;
                self.hurry(now, index, n, out);
            }
            // Without OPT already: it says nothing new.
            Err(Unfit::HeaderOnly) if sub.plain => self.counters.mismatched += 1,
            Err(Unfit::HeaderOnly) => self.without_opt(now, index, n, attempt, out),
            Ok(summary) => {
                self.heard(now, server, out);
                if summary.truncated && self.links.transport(link) == Transport::Udp {
                    self.counters.truncated_replies += 1;
                    self.over_tcp(now, index, n, attempt, out);
                } else if summary.truncated {
                    self.counters.malformed += 1;
                    self.refused(now, index, n, attempt, Failure::Unreachable, out);
                } else if summary.is_proper() {
                    self.accept(now, index, n, attempt, packet, summary, out);
                } else {
                    self.improper(now, index, n, attempt, packet, summary, out);
                }
            }
        }
        if self.gathers[index as usize].live {
            self.reconsider(now, index, out);
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
        if !attempt.resent && self.links.transport(attempt.link) == Transport::Udp {
            self.links.servers[attempt.server].rtt.sample(now.since(attempt.sent));
        }
        let sub = &mut self.gathers[index as usize].subs_mut()[n];
        sub.answered = Some((now, self.links.servers[attempt.server].addr));
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
        let not_understood = matches!(summary.rcode, Rcode::FORMERR | Rcode::NOTIMP);
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
