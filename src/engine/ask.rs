//! Putting a question to the clusters: whom (Q4), in which words (Q6), over
//! which socket.

use super::Engine;
use super::gather::Phase;
use super::links::Slot;
use super::outbox::{Outbox, Transport};
use super::sub::{Attempt, Failure, Progress, Sub};
use super::time::Time;
use super::windows::{self, MOST_OF_ONE, Window};
use crate::config::{Policy, Route, Zone};
use crate::wire::HEADER_LEN;
use crate::wire::case::Case;
use crate::wire::edns::{self, DEFAULT_PAYLOAD};
use crate::wire::message::Message;
use crate::wire::name::FlatName;
use crate::wire::rewrite::push_outbound;
use domain::base::HeaderSection;
use smallvec::SmallVec;

/// A question on a stream is asked again, elsewhere or on a new connection,
/// after this share of the deadline: two more fit.
const STREAM_SHARE: u32 = 4;

/// Octets of the prefix to take off, and the label to take them from, if the
/// name carries this cluster's prefix (Q4).
fn strip(name: &FlatName, zone: &Zone, prefix: &[u8]) -> Option<(usize, usize)> {
    let plain = carrier(name, zone)?;
    has_own(name.label(plain), prefix).then_some((plain, prefix.len()))
}

/// The label that a prefix would be in.
fn carrier(name: &FlatName, zone: &Zone) -> Option<usize> {
    name.first_plain(name.labels().checked_sub(zone.name.labels())?)
}

/// A label begins with this prefix, and is longer.
fn has_own(label: &[u8], prefix: &[u8]) -> bool {
    label.len() > prefix.len() && label[..prefix.len()].eq_ignore_ascii_case(prefix)
}

impl Engine {
    /// Whether the question in `self.name` carries some cluster's prefix.
    pub(super) fn has_prefix(&self, zone: &Zone) -> bool {
        let Some(carrier) = carrier(&self.name, zone) else { return false };
        let label = self.name.label(carrier);
        zone.clusters.iter().any(|cluster| has_own(label, &cluster.prefix))
    }

    /// Makes the sub-questions of a round. The question's name is in
    /// `self.name`.
    pub(super) fn make_subs(&mut self, index: u32) {
        let gather = &mut self.gathers[index as usize];
        gather.clear_subs();
        let fixed = gather.question.len().saturating_sub(4);
        let mut tail = [0; 4];
        tail.copy_from_slice(&gather.question[fixed..]);
        let plan = gather.plan.clone();
        match gather.route {
            Route::Forward(_) => {
                let question = std::mem::take(&mut gather.question);
                gather.add_sub(0).question.extend_from_slice(&question);
                gather.question = question;
            }
            Route::Zone(zone) => {
                let zone = &plan.plan.zones[zone];
                let kept = self.name.labels() - zone.name.labels();
                for (n, cluster) in zone.clusters.iter().enumerate() {
                    let cut = match gather.phase {
                        Phase::Plain => None,
                        Phase::Prefixed => match strip(&self.name, zone, &cluster.prefix) {
                            None => continue,
                            cut => cut,
                        },
                    };
                    let sub = gather.add_sub(n);
                    let question = &mut sub.question;
                    match push_outbound(question, &self.name, kept, cut, &cluster.suffix) {
                        Ok(()) => question.extend_from_slice(&tail),
                        Err(_) => sub.progress = Progress::CannotExist,
                    }
                }
            }
        }
        let waiting = gather.subs().iter().filter(|sub| sub.progress == Progress::Waiting);
        gather.waiting = waiting.count();
        self.count_windows(index, 0);
        self.count_memory(index);
    }

    /// Counts what a query in flight takes, if that is more than before.
    pub(super) fn count_memory(&mut self, index: u32) {
        let gather = &mut self.gathers[index as usize];
        let octets = gather.octets_needed();
        if octets > gather.counted {
            self.memory.changed(gather.counted, octets);
            gather.counted = octets;
        }
    }

    /// Counts what a query in flight takes, its replies included.
    pub(super) fn count_exactly(&mut self, index: u32) {
        let gather = &mut self.gathers[index as usize];
        let octets = gather.octets();
        self.memory.changed(gather.counted, octets);
        gather.counted = octets;
    }

    /// Says of the sub-questions from `first` on where they are counted.
    pub(super) fn count_windows(&mut self, index: u32, first: usize) {
        let gather = &mut self.gathers[index as usize];
        let (phase, key, cd) = (gather.phase, gather.key.question, gather.header.cd());
        for n in first..gather.subs().len() {
            let sub = &gather.subs()[n];
            let question = match gather.route {
                Route::Zone(zone) if phase == Phase::Prefixed || sub.follows => {
                    let suffix = &gather.plan.plan.zones[zone].clusters[sub.cluster].suffix;
                    let own = sub.name().len().saturating_sub(suffix.as_slice().len());
                    let mut name = SmallVec::<[u8; 64]>::from_slice(&sub.name()[..own]);
                    name.make_ascii_lowercase();
                    let qtype = gather.asker().qtype();
                    windows::question(&self.hasher, &name, qtype, [cd, false])
                }
                _ => key,
            };
            let first = gather.servers_of(sub.cluster).first();
            let first = first.map_or(0, |&server| gather.plan.servers[server]);
            gather.subs_mut()[n].window = Window::new(question, first);
        }
    }

    /// Makes the sub-questions of a round and sends them. The question's name
    /// is in `self.name`.
    pub(super) fn begin_round(&mut self, now: Time, index: u32, out: &mut Outbox) {
        self.make_subs(index);
        let gather = &self.gathers[index as usize];
        let subs = gather.subs().len();
        // A second round may begin with no time left: nobody could answer.
        let expired = gather.deadline <= now;
        for sub in 0..subs {
            if self.gathers[index as usize].subs()[sub].progress != Progress::Waiting {
                continue;
            }
            if expired {
                self.settle(now, index, sub, Progress::Failed(Failure::Silent), out);
            } else {
                self.begin_sub(now, index, sub, out);
            }
        }
        self.reconsider(now, index, out);
    }

    /// Sends a sub-question for the first time.
    pub(super) fn begin_sub(&mut self, now: Time, index: u32, n: usize, out: &mut Outbox) {
        match self.first_server(index, n) {
            Some(turn) => {
                self.gathers[index as usize].subs_mut()[n].turn = turn;
                self.ask(now, index, n, out);
            }
            // Known to be down: that costs the query nothing (U5).
            None => self.settle(now, index, n, Progress::Failed(Failure::Out), out),
        }
    }

    /// The place in the cluster's list of the server to begin with: by the
    /// zone's policy, past those that are out. `None` if all are.
    fn first_server(&mut self, index: u32, n: usize) -> Option<usize> {
        let gather = &self.gathers[index as usize];
        let servers = gather.servers_of(gather.subs()[n].cluster);
        let first = match gather.behaviour().policy {
            Policy::Sequential => 0,
            Policy::RoundRobin => {
                self.round = self.round.wrapping_add(1);
                self.round as usize % servers.len()
            }
            Policy::Random => self.links.random_below(servers.len()),
        };
        (0..servers.len()).map(|step| (first + step) % servers.len()).find(|&turn| {
            let server = gather.plan.servers[servers[turn]];
            !self.links.servers[server].health.is_out()
        })
    }

    /// Finishes a query that waits for nothing any more; sets the timer of one
    /// that does.
    pub(super) fn reconsider(&mut self, now: Time, index: u32, out: &mut Outbox) {
        let gather = &self.gathers[index as usize];
        if gather.waiting == 0 {
            self.finish(now, index, out);
        } else {
            self.wheel.set(index, gather.next_event());
        }
    }

    /// How a sub-question is sent to a server now.
    fn transport_to(&self, now: Time, server: usize, sub: &Sub) -> Transport {
        let known = &self.links.servers[server];
        // A server that is asked over TCP because of forgers may have none: who
        // has waited for it once is asked over a new port.
        let besieged =
            known.guard.is_besieged(now) && (!sub.streamed || self.links.stream_works(server));
        if known.tls.is_some() || sub.tcp || besieged { known.stream() } else { Transport::Udp }
    }

    /// Sends a sub-question to the server whose turn it is. Tells whether that was
    /// of use: not if the server has it on a stream, or too many are in flight.
    pub(super) fn ask(&mut self, now: Time, index: u32, n: usize, out: &mut Outbox) -> bool {
        let gather = &mut self.gathers[index as usize];
        let deadline = gather.behaviour().deadline;
        let servers = gather.servers_of(gather.subs()[n].cluster);
        let server = gather.plan.servers[servers[gather.subs()[n].turn % servers.len()]];
        let (expires, servers_of_cluster) = (gather.deadline, servers.len());
        let random_case = gather.random_case(gather.subs()[n].cluster);
        let sub = &mut gather.subs_mut()[n];
        if sub.tries == 0 {
            sub.asked_at = now;
        }
        sub.tries = sub.tries.saturating_add(1);
        let sub = &self.gathers[index as usize].subs()[n];
        let transport = self.transport_to(now, server, sub);
        let wait = self.links.servers[server].rtt.wait(sub.tries, deadline);
        let retry_at = match transport {
            Transport::Udp => (now + wait).floor(),
            // TCP repeats for itself, but not where the connection is dead, or
            // another server is alive.
            _ if sub.tcp && servers_of_cluster == 1 => expires,
            _ => (now + wait.max(deadline / STREAM_SHARE)).floor(),
        };
        // To the same server the same packet, so that either copy's answer
        // will do; an answer to a new ID would say nothing about the old.
        let links = &self.links;
        let again = sub.attempts.iter().position(|attempt| {
            attempt.server == server
                && !attempt.refused
                && links.is_open(attempt.link)
                && links.transport(attempt.link) == transport
        });
        let renewed = match again {
            Some(place) if transport.is_stream() => {
                let asked = sub.attempts[place].sent;
                self.links.renew_stream(server, asked, out)
            }
            _ => false,
        };
        let sub = &mut self.gathers[index as usize].subs_mut()[n];
        sub.retry_at = retry_at;
        sub.streamed |= transport.is_stream();
        let attempt = match again {
            // The server is slow, and has the question.
            Some(_) if transport.is_stream() && !renewed => return false,
            Some(place) if !renewed => {
                let attempt = &mut sub.attempts[place];
                attempt.resent = true;
                attempt.cookie &= !sub.plain;
                *attempt
            }
            _ if transport == Transport::Udp && !self.has_window(now, index, n, out) => {
                // It has not been asked, and will be when others are done.
                let sub = &mut self.gathers[index as usize].subs_mut()[n];
                sub.tries -= 1;
                return false;
            }
            _ => {
                let window = self.gathers[index as usize].subs()[n].window;
                let slot = Slot::Sub { gather: index, sub: n as u16, window };
                let Some((link, id)) = self.links.claim(now, server, transport, slot, out) else {
                    self.counters.exhausted += 1;
                    self.settle(now, index, n, Progress::Failed(Failure::Exhausted), out);
                    return false;
                };
                let guard = &self.links.servers[server].guard;
                let (changes_case, has_cookie) = (guard.changes_case, guard.has_cookie());
                let first = self.links.take_first_use(link);
                let random_case = random_case && !changes_case && transport != Transport::Tls;
                let case = random_case.then(|| Case::new(self.links.random_bits()));
                let sub = &mut self.gathers[index as usize].subs_mut()[n];
                // Where a connection vouches for the server no cookie has to.
                let cookie = !sub.plain && transport != Transport::Tls && (first || has_cookie);
                let (sent, resent, refused) = (now, false, false);
                let attempt = Attempt { link, id, server, sent, resent, refused, case, cookie };
                sub.attempts.push(attempt);
                attempt
            }
        };
        self.counters.asked += 1;
        let start = out.octets.len();
        self.push_question(index, n, attempt, out);
        out.send(attempt.link, start);
        true
    }

    /// Whether one more datagram of this sub-question may be in flight; the first
    /// of its own makes room.
    fn has_window(&mut self, now: Time, index: u32, n: usize, out: &mut Outbox) -> bool {
        let sub = &self.gathers[index as usize].subs()[n];
        let window = sub.window;
        let links = &self.links;
        let is_datagram = |attempt: &Attempt| !links.transport(attempt.link).is_stream();
        let own = sub.attempts.iter().filter(|attempt| is_datagram(attempt)).count();
        let oldest = sub.attempts.iter().position(is_datagram);
        if let Some(oldest) = oldest.filter(|_| own >= MOST_OF_ONE) {
            self.give_up_attempt(now, index, n, oldest, out);
        }
        !self.links.windows.is_full(window)
    }

    /// Q6: RD, the client's CD, no other flag, no option; our own OPT. A forward
    /// gets the client's RD.
    fn push_question(&self, index: u32, n: usize, attempt: Attempt, out: &mut Outbox) {
        let gather = &self.gathers[index as usize];
        let sub = &gather.subs()[n];
        let relayed = matches!(gather.route, Route::Forward(_));
        let message = Message::begin(&mut out.octets, &sub.question);
        if let Some(case) = attempt.case {
            let name = message.start + HEADER_LEN;
            let len = sub.question.len().saturating_sub(4);
            case.apply(&mut out.octets[name..name + len]);
        }
        let mut section = HeaderSection::default();
        let header = section.header_mut();
        header.set_id(attempt.id);
        header.set_rd(!relayed || gather.header.rd());
        header.set_cd(gather.header.cd());
        header.set_ad(relayed && gather.header.ad());
        section.counts_mut().set_qdcount(1);
        if !sub.plain {
            // A forward is for the whole of DNS, DNSSEC included; a cluster is
            // not, because what it says will not be what was signed (R5).
            let dnssec_ok = relayed && gather.edns.is_some_and(|edns| edns.dnssec_ok);
            edns::push_opt(&mut out.octets, DEFAULT_PAYLOAD, 0, dnssec_ok);
            if attempt.cookie {
                let guard = &self.links.servers[attempt.server].guard;
                edns::push_cookie(&mut out.octets, &guard.client_cookie, &guard.server_cookie);
            }
            section.counts_mut().set_arcount(1);
        }
        out.octets[message.start..message.start + HEADER_LEN].copy_from_slice(section.as_slice());
    }
}
