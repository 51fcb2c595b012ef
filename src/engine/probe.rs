//! Asking servers that are out whether they are back (U5), and idle ones whether
//! they are there, where somebody wants to know.
//!
//! The question is one any server of the cluster can answer: the SOA of its
//! zone. Whatever the reply says, a reply it is.

use super::Engine;
use super::links::{LinkId, Slot};
use super::outbox::{Notice, Outbox, Transport};
use super::time::Time;
use crate::config::Plan;
use crate::wire::edns::{self, DEFAULT_PAYLOAD};
use crate::wire::reply::{self, Unfit};
use crate::wire::{HEADER_LEN, message::Message};
use domain::base::HeaderSection;
use domain::base::iana::{Class, Rtype};
use std::time::Duration;

/// An idle server that has not answered a probe by then is asked again, unless
/// queries have longer to wait for it.
const CHECK_PAUSE: Duration = Duration::from_millis(250);

/// A probe on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probe {
    link: LinkId,
    id: u16,
}

/// The question a server of this zone is probed with.
fn question(suffix: &[u8]) -> Vec<u8> {
    let mut question = suffix.to_vec();
    question.extend(Rtype::SOA.to_int().to_be_bytes());
    question.extend(Class::IN.to_int().to_be_bytes());
    question
}

/// What each of the plan's servers is probed with.
pub(super) fn questions(plan: &Plan) -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new(); plan.servers.len()];
    let clusters = plan.zones.iter().flat_map(|zone| &zone.clusters);
    let named = clusters
        .map(|cluster| (&cluster.suffix, &cluster.servers))
        .chain(plan.forwards.iter().map(|forward| (&forward.name, &forward.servers)));
    for (suffix, servers) in named {
        for &server in servers {
            if all[server].is_empty() {
                all[server] = question(suffix.as_slice());
            }
        }
    }
    all
}

impl Engine {
    /// A server left a question unanswered whose deadline was `deadline`.
    pub(super) fn missed(
        &mut self,
        now: Time,
        server: usize,
        deadline: Duration,
        out: &mut Outbox,
    ) {
        let settings = &self.plan.plan.settings;
        let max_fails = settings.max_fails;
        let known = &mut self.links.servers[server];
        // One that only queries of an earlier plan know is not asked again.
        let named = self.plan.servers.contains(&server);
        if named && known.health.missed(now, max_fails, deadline / 4) {
            let heard_at = known.health.heard_at();
            out.notices.push(Notice::Out {
                server: known.addr,
                missed: known.health.has_missed(),
                silence: heard_at.map(|at| now.since(at)),
            });
            self.counters.taken_out += 1;
            if let Some(at) = known.health.next_probe(now) {
                self.probes.set(server as u32, at);
            }
        }
    }

    /// A server that no plan names any more.
    pub(super) fn forget(&mut self, now: Time, server: usize, out: &mut Outbox) {
        self.probes.cancel(server as u32);
        if let Some(probe) = self.links.servers[server].probe.take() {
            self.links.release(now, probe.link, probe.id, out);
        }
        self.links.leave(server, out);
    }

    /// A server answered a question of ours.
    pub(super) fn heard(&mut self, now: Time, server: usize, out: &mut Outbox) {
        let known = &mut self.links.servers[server];
        if !known.health.heard(now) {
            if let Some(probe) = known.probe.take() {
                self.probes.cancel(server as u32);
                self.links.release(now, probe.link, probe.id, out);
            }
            return;
        }
        out.notices.push(Notice::Back(known.addr));
        self.recovered = now;
        self.probes.cancel(server as u32);
        if let Some(probe) = known.probe.take() {
            self.links.release(now, probe.link, probe.id, out);
        }
    }

    /// Probes that are due. The one before has had its time.
    pub(super) fn send_probes(&mut self, now: Time, out: &mut Outbox) {
        while let Some(number) = self.probes.pop_due(now) {
            let server = number as usize;
            let unanswered = self.links.servers[server].probe.take();
            if let Some(probe) = unanswered {
                self.links.release(now, probe.link, probe.id, out);
            }
            match self.links.servers[server].health.next_probe(now) {
                Some(next) => {
                    self.probes.set(number, next);
                    self.probe(now, server, out);
                }
                // Whether an idle one is there: each silence counts, until it is
                // taken out, or has answered.
                None if unanswered.is_some() => {
                    self.missed(now, server, self.check_pause(), out);
                    let health = self.links.servers[server].health;
                    let most = self.plan.plan.settings.max_fails;
                    if !health.is_out() && health.has_missed() < most {
                        self.check(now, server, out);
                    }
                }
                None => {}
            }
        }
    }

    /// What is good enough for a query is good enough for a check: servers may be
    /// far away.
    fn check_pause(&self) -> Duration {
        self.plan.longest_deadline.max(CHECK_PAUSE)
    }

    /// Asks a server that is not out whether it is there.
    pub(super) fn check(&mut self, now: Time, server: usize, out: &mut Outbox) {
        if self.links.servers[server].probe.is_none() {
            self.probes.set(server as u32, (now + self.check_pause()).floor());
            self.probe(now, server, out);
        }
    }

    fn probe(&mut self, now: Time, server: usize, out: &mut Outbox) {
        let slot = Slot::Probe { server: server as u32 };
        let transport = match self.links.servers[server].stream() {
            Transport::Tls => {
                let health = self.links.servers[server].health;
                if health.is_out() || health.has_missed() > 0 {
                    // A dead connection is what took it out: another one, then.
                    self.links.renew_stream(server, now, out);
                }
                Transport::Tls
            }
            _ => Transport::Udp,
        };
        let claimed = self.links.claim(now, server, transport, slot, out);
        let Some((link, id)) = claimed else { return };
        let known = &mut self.links.servers[server];
        known.probe = Some(Probe { link, id });
        let start = out.octets.len();
        let message = Message::begin(&mut out.octets, &known.probe_question);
        let mut section = HeaderSection::default();
        section.header_mut().set_id(id);
        section.header_mut().set_rd(true);
        section.counts_mut().set_qdcount(1);
        section.counts_mut().set_arcount(1);
        edns::push_opt(&mut out.octets, DEFAULT_PAYLOAD, 0, false);
        let header = message.start..message.start + HEADER_LEN;
        out.octets[header].copy_from_slice(section.as_slice());
        self.counters.probes += 1;
        out.send(link, start);
    }

    /// A reply to a probe.
    pub(super) fn on_probe_reply(
        &mut self,
        now: Time,
        server: usize,
        packet: &[u8],
        out: &mut Outbox,
    ) {
        match reply::check(packet, &self.links.servers[server].probe_question) {
            Ok(_) | Err(Unfit::HeaderOnly) => self.heard(now, server, out),
            Err(Unfit::Malformed) => self.counters.malformed += 1,
            Err(Unfit::NotAResponse | Unfit::WrongQuestion) => {
                self.counters.mismatched += 1;
                self.suspect(now, server, out);
            }
        }
    }
}
