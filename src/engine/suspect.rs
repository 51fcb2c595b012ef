//! Replies that may be forged (U1, RFC 5452): what a datagram needs beside ID
//! and question to count, and what is done when somebody guesses.
//!
//! A reply that lacks the case or the cookie its server is known to keep is not
//! used. It may still be the server's own, which has changed its ways; so the
//! question is asked over TCP beside, and what the server says there is
//! believed about its ways as well.

use super::Engine;
use super::links::{LinkId, Slot};
use super::outbox::{Notice, Outbox};
use super::sub::{Attempt, Progress};
use super::time::Time;
use crate::wire::HEADER_LEN;
use crate::wire::reply::Summary;
use domain::base::iana::OptRcode;

/// What a reply turned out to be.
pub(super) enum Vetted {
    /// It counts.
    Genuine,
    /// It is not used.
    Suspect,
    /// The server wants its own cookie, which we now have.
    BadCookie,
}

impl Engine {
    /// A packet that only a forger, or a lost soul, sends. Enough of them, and
    /// the server is asked over TCP, and over new ports afterwards.
    pub(super) fn suspect(&mut self, now: Time, server: usize, out: &mut Outbox) {
        self.counters.suspect += 1;
        let known = &mut self.links.servers[server];
        if known.tls.is_none() && known.guard.suspect(now) {
            out.notices.push(Notice::Besieged(known.addr));
            self.counters.sieges += 1;
            self.abandon_ports(now, server, out);
        }
    }

    /// Closes the datagram sockets of a server at once. What was in flight on
    /// them is asked again.
    fn abandon_ports(&mut self, now: Time, server: usize, out: &mut Outbox) {
        let mut moved = std::mem::take(&mut self.moved);
        let links: Vec<LinkId> = self.links.datagram_links(server).collect();
        for link in links {
            moved.clear();
            self.links.in_flight_on(link, &mut moved);
            for &(id, slot) in &moved {
                self.links.release(now, link, id, out);
                match slot {
                    Slot::Probe { server } => self.links.servers[server as usize].probe = None,
                    Slot::Sub { gather, sub, .. } => {
                        let (gather, sub) = (gather as usize, sub as usize);
                        let attempts = &mut self.gathers[gather].subs_mut()[sub].attempts;
                        attempts.retain(|attempt| attempt.link != link || attempt.id != id);
                    }
                }
            }
            self.links.lost(link, out);
            for &(_, slot) in &moved {
                let Slot::Sub { gather, sub, .. } = slot else { continue };
                let known = &self.gathers[gather as usize];
                let waits = known.live
                    && known.subs().get(sub as usize).is_some_and(|sub| {
                        sub.progress == Progress::Waiting && sub.attempts.is_empty()
                    });
                if waits {
                    self.ask(now, gather, sub as usize, out);
                    self.reconsider(now, gather, out);
                }
            }
        }
        self.moved = moved;
    }

    /// Looks at what a reply needs beside ID and question, and learns of it.
    pub(super) fn vet(
        &mut self,
        now: Time,
        attempt: Attempt,
        question: &[u8],
        packet: &[u8],
        summary: &Summary,
    ) -> Vetted {
        let stream = self.links.transport(attempt.link).is_stream();
        let guard = &mut self.links.servers[attempt.server].guard;
        if let Some(case) = attempt.case {
            let name = &question[..question.len().saturating_sub(4)];
            let echoed = packet.get(HEADER_LEN..HEADER_LEN + name.len()).unwrap_or_default();
            let kept = case.is_kept(name, echoed);
            if !kept && !stream {
                return Vetted::Suspect;
            }
            // Nobody but the server itself says so over TCP.
            guard.changes_case |= !kept;
        }
        if !attempt.cookie {
            return Vetted::Genuine;
        }
        match summary.cookie_in(packet) {
            Some(cookie) if guard.take_cookie(now, cookie) => {
                if summary.full_rcode() == OptRcode::BADCOOKIE {
                    return Vetted::BadCookie;
                }
            }
            Some(_) if !stream => return Vetted::Suspect,
            None if !stream && guard.expects_cookie(now) => return Vetted::Suspect,
            _ => guard.forget_cookies(),
        }
        Vetted::Genuine
    }

    /// A datagram from this server without our cookie is not from it.
    pub(super) fn needs_cookie(&self, now: Time, attempt: Attempt) -> bool {
        let stream = self.links.transport(attempt.link).is_stream();
        !stream && self.links.servers[attempt.server].guard.expects_cookie(now)
    }

    /// A reply is not used: the question is asked over TCP beside, once.
    pub(super) fn doubt(
        &mut self,
        now: Time,
        index: u32,
        n: usize,
        attempt: Attempt,
        out: &mut Outbox,
    ) {
        self.counters.mismatched += 1;
        self.suspect(now, attempt.server, out);
        let gather = &mut self.gathers[index as usize];
        let Some(sub) = gather.subs_mut().get_mut(n).filter(|sub| !sub.tcp) else { return };
        if sub.progress == Progress::Waiting {
            sub.tcp = true;
            self.ask(now, index, n, out);
        }
    }

    /// The server did not take its own cookie, and gave us another: once more
    /// with that, and over TCP if it does not take it either (RFC 7873, 5.3).
    pub(super) fn with_new_cookie(
        &mut self,
        now: Time,
        index: u32,
        n: usize,
        place: usize,
        out: &mut Outbox,
    ) {
        let attempt = self.gathers[index as usize].subs()[n].attempts[place];
        if attempt.resent {
            return self.over_tcp(now, index, n, place, out);
        }
        self.drop_attempt(now, index, n, place, out);
        self.ask(now, index, n, out);
        let sub = &mut self.gathers[index as usize].subs_mut()[n];
        if let Some(attempt) = sub.attempts.last_mut() {
            attempt.resent = true;
        }
    }

    /// Puts a reply into the words of the question as it would have been asked
    /// plainly, so that equal replies are equal octets, and names that point
    /// into the question are not spelled in its case.
    pub(super) fn make_plain(
        &mut self,
        question: &[u8],
        packet: &[u8],
        summary: &Summary,
    ) -> Vec<u8> {
        let mut plain = std::mem::take(&mut self.plain_reply);
        plain.clear();
        plain.extend_from_slice(packet);
        if let Some(place) = plain.get_mut(HEADER_LEN..HEADER_LEN + question.len()) {
            place.copy_from_slice(question);
        }
        if let Some((start, len)) = summary.cookie {
            let start = usize::from(start);
            if let Some(cookie) = plain.get_mut(start..start + usize::from(len)) {
                cookie.fill(0);
            }
        }
        plain
    }
}
