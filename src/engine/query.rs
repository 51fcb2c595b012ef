//! A client asked: what is answered at once, and what goes to the clusters.

use super::Engine;
use super::gather::{Gather, Phase};
use super::outbox::{Client, Outbox, Transport};
use super::share::Key;
use super::synth::{Asker, Synthetic};
use super::time::Time;
use crate::config::Route;
use crate::wire::edns::Edns;
use crate::wire::query::{self, Packet, Query};
use domain::base::iana::{Class, ExtendedErrorCode, OptRcode, Rcode, Rtype};
use std::net::IpAddr;

/// What is done with a question.
enum Verdict {
    /// Answered with an rcode and no records.
    Bare(OptRcode),
    /// Minimal answer (Q3).
    Any,
    /// The apex's SOA or NS (Q8).
    Apex(usize),
    /// Asked further.
    Ask(Route),
}

/// What a client has asked for in its OPT record, and gets: padding where others
/// cannot read what is padded (RFC 7830, 6).
fn granted(client: Client, edns: Option<Edns>) -> Option<Edns> {
    edns.map(|edns| Edns { padded: edns.padded && client.transport == Transport::Tls, ..edns })
}

impl Engine {
    /// A client sent a packet. Every query gets exactly one answer, now or
    /// later, at the latest at its deadline (T5); tells whether it was one.
    pub fn on_query(&mut self, now: Time, client: Client, packet: &[u8], out: &mut Outbox) -> bool {
        self.merger.notes.clear();
        self.asked = None;
        match query::parse(packet, &mut self.name) {
            Packet::NotAQuery => {
                self.counters.not_queries += 1;
                return false;
            }
            Packet::Refused(refusal) => {
                self.counters.unreadable += 1;
                let mut edns = granted(client, refusal.edns);
                let proven = self.take_cookie(now, client, refusal.cookie, &mut edns);
                let (header, question) = (refusal.header, refusal.question);
                let asker = Asker { client, came: now, header, question, edns };
                if self.is_stranger(client) {
                    self.answer_stranger(asker, out);
                } else if !self.is_too_much(now, asker, proven, out) {
                    self.answer_bare(asker, OptRcode::from_rcode(refusal.rcode), out);
                }
            }
            Packet::Query(query) => self.on_question(now, client, &query, out),
        }
        true
    }

    fn on_question(&mut self, now: Time, client: Client, query: &Query<'_>, out: &mut Outbox) {
        let mut edns = granted(client, query.edns);
        let proven = self.take_cookie(now, client, query.cookie, &mut edns);
        let client = Client { proven, ..client };
        let (header, question) = (query.header, query.question);
        let asker = Asker { client, came: now, header, question, edns };
        if self.is_stranger(client) {
            return self.answer_stranger(asker, out);
        }
        if self.is_own(query) {
            return self.answer_loop(asker, out);
        }
        if self.is_too_much(now, asker, proven, out) {
            return;
        }
        match self.judge(query) {
            Verdict::Bare(rcode) => self.answer_bare(asker, rcode, out),
            Verdict::Any => self.synthesise(asker, Synthetic::Any, out),
            Verdict::Apex(zone) => {
                let plan = self.plan.clone();
                let zone = &plan.plan.zones[zone];
                let what = match query.qtype {
                    Rtype::SOA => Synthetic::Soa(zone),
                    _ => Synthetic::Ns(zone),
                };
                self.synthesise(asker, what, out);
            }
            Verdict::Ask(route) => self.gather(now, asker, route, out),
        }
    }

    fn judge(&mut self, query: &Query<'_>) -> Verdict {
        if query.edns.is_some_and(|edns| edns.version > 0) {
            self.counters.unreadable += 1;
            return Verdict::Bare(OptRcode::BADVERS);
        }
        let refused = OptRcode::from_rcode(Rcode::REFUSED);
        if query.qclass != Class::IN || matches!(query.qtype, Rtype::AXFR | Rtype::IXFR) {
            self.counters.refused += 1;
            return Verdict::Bare(refused);
        }
        self.folded.clone_from(&self.name);
        self.folded.make_lowercase();
        let Some(route) = self.plan.plan.route(&self.folded) else {
            self.counters.refused += 1;
            let text = "no zone or forward here has this name";
            let code = ExtendedErrorCode::NOT_AUTHORITATIVE;
            self.merger.notes.add(code, text, std::iter::empty());
            return Verdict::Bare(refused);
        };
        self.asked = Some(route);
        match (query.qtype, route) {
            (Rtype::ANY, _) => Verdict::Any,
            // Meta types (RFC 6895, 3.1) are no data and never forwarded.
            (qtype, _) if qtype == Rtype::OPT || matches!(qtype.to_int(), 0 | 128..=255) => {
                self.counters.unreadable += 1;
                Verdict::Bare(OptRcode::from_rcode(Rcode::NOTIMP))
            }
            (Rtype::SOA | Rtype::NS, Route::Zone(zone))
                if self.name.labels() == self.plan.plan.zones[zone].name.labels() =>
            {
                Verdict::Apex(zone)
            }
            _ => Verdict::Ask(route),
        }
    }

    /// Answers from what was kept, joins an equal question, or begins.
    fn gather(&mut self, now: Time, asker: Asker<'_>, route: Route, out: &mut Outbox) {
        let key = self.key(asker, route);
        if self.recall(now, key, asker, route, out) {
            return;
        }
        let settings = &self.plan.plan.settings;
        let own = settings.max_queries.div_ceil(settings.workers.get());
        let workers = settings.workers.get();
        let full = self.queries_in_flight() >= own || self.memory.is_full(workers);
        if full && self.answer_from_held(now, key, asker, route, out) {
            return;
        }
        if full || !self.admit(asker.client.addr.ip()) {
            // Who runs it has to act on the one; the other is what was asked for.
            match full {
                true => self.counters.overloaded += 1,
                false => self.counters.client_limited += 1,
            }
            let text = "too many queries in flight";
            self.merger.notes.add(ExtendedErrorCode::OTHER, text, std::iter::empty());
            self.answer_bare(asker, OptRcode::SERVFAIL, out);
            return;
        }
        if !self.join(now, key, asker, route) {
            self.begin(now, key, asker, route, false, out);
        }
    }

    /// Takes a query into flight and asks the clusters.
    pub(super) fn begin(
        &mut self,
        now: Time,
        key: Key,
        asker: Asker<'_>,
        route: Route,
        background: bool,
        out: &mut Outbox,
    ) {
        let index = self.prepare(now, key, asker, route);
        self.gathers[index as usize].background = background;
        self.shared.insert(key.share, index);
        self.begin_round(now, index, out);
    }

    /// A place for a query, with its question in it.
    pub(super) fn prepare(&mut self, now: Time, key: Key, asker: Asker<'_>, route: Route) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.gathers.push(Gather::new(self.plan.clone(), asker.client, asker.header));
            self.gathers.len() as u32 - 1
        });
        let gather = &mut self.gathers[index as usize];
        self.memory.taken(gather.counted);
        gather.live = true;
        gather.background = false;
        gather.lingers = None;
        (gather.led, gather.has_ours) = (None, false);
        gather.key = key;
        gather.set_asker(asker);
        gather.plan = self.plan.clone();
        gather.route = route;
        gather.started = now;
        // Timers go by the millisecond; rounded down, none is ever late.
        gather.deadline = (now + gather.behaviour().deadline).floor();
        let prefixed = match route {
            Route::Zone(zone) => self.has_prefix(&self.plan.plan.zones[zone]),
            Route::Forward(_) => false,
        };
        self.gathers[index as usize].phase = if prefixed { Phase::Prefixed } else { Phase::Plain };
        index
    }

    /// Counts a query of a client in, unless it has too many in flight.
    fn admit(&mut self, client: IpAddr) -> bool {
        let most = self.plan.plan.settings.max_queries_per_client;
        if most == 0 {
            return true;
        }
        let count = self.by_client.entry(client).or_insert(0);
        *count += 1;
        if *count <= most {
            return true;
        }
        *count -= 1;
        false
    }

    /// Counts it out.
    pub(super) fn dismiss(&mut self, client: IpAddr) {
        if let Some(count) = self.by_client.get_mut(&client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_client.remove(&client);
            }
        }
    }
}
