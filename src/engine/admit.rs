//! Who gets an answer, before anything is done for it: the same for what is kept
//! and what is not, and on every transport.
//!
//! A datagram's sender may be forged, and an answer is larger than its question.
//! So a client can show by a cookie that it is where it says (RFC 7873); of those
//! that do not, only so many are answered in full, if the operator wants that.
//! The others are told to show it, or to come over TCP, in an answer no larger
//! than what they sent.

use super::Engine;
use super::outbox::{Client, Notice, Outbox};
use super::rate::{Rate, Rates};
use super::synth::Asker;
use super::time::Time;
use crate::wire::edns::{CLIENT_COOKIE, Edns};
use crate::wire::query::Query;
use domain::base::iana::{ExtendedErrorCode, OptRcode, Rcode};
use std::collections::HashSet;

/// Of the queries that are too many, every so many-th is told so, and a client
/// that is really there tries again over TCP; the others are dropped.
const SLIP: u32 = 2;

/// What clients have had, and what shows who they are.
pub(super) struct Door {
    /// Of queries that nobody has shown a cookie for.
    unproven: Rate,
    /// Of answers, by client network; there if it is limited.
    networks: Option<Rates>,
    slip: u32,
    /// What we show to servers: nobody else has these.
    pub own: HashSet<[u8; CLIENT_COOKIE]>,
}

impl Door {
    pub(super) fn new() -> Self {
        Door { unproven: Rate::default(), networks: None, slip: 0, own: HashSet::new() }
    }
}

impl Engine {
    /// Whether somebody may ask at all.
    pub(super) fn is_stranger(&mut self, client: Client) -> bool {
        let stranger = !self.plan.plan.allows(client.addr.ip());
        self.counters.refused += u64::from(stranger);
        stranger
    }

    /// Looks at a client's cookie, and gives it ours. Tells whether it has shown
    /// where it is.
    pub(super) fn take_cookie(
        &mut self,
        now: Time,
        client: Client,
        sent: Option<&[u8]>,
        edns: &mut Option<Edns>,
    ) -> bool {
        let (Some(sent), Some(edns)) = (sent, edns) else { return false };
        match self.baker.give(now, client.addr.ip(), sent) {
            Some((cookie, proven)) => {
                edns.cookie = Some(cookie);
                proven
            }
            None => false,
        }
    }

    /// Our own question, come back to us as a client's: whoever is asked here
    /// asks us. Without this it would go round until its deadline.
    pub(super) fn is_own(&self, query: &Query<'_>) -> bool {
        let shown = query.cookie.and_then(|sent| sent.first_chunk());
        shown.is_some_and(|shown| self.door.own.contains(shown))
    }

    /// Answers our own question.
    pub(super) fn answer_loop(&mut self, asker: Asker<'_>, out: &mut Outbox) {
        self.counters.loops += 1;
        out.notices.push(Notice::Loop);
        let text = "this server asked itself: a forwarding loop";
        self.merger.notes.add(ExtendedErrorCode::OTHER, text, std::iter::empty());
        self.answer_bare(asker, OptRcode::SERVFAIL, out);
    }

    /// Answers somebody who may not ask.
    pub(super) fn answer_stranger(&mut self, asker: Asker<'_>, out: &mut Outbox) {
        self.merger.notes.add(ExtendedErrorCode::PROHIBITED, "", std::iter::empty());
        self.answer_bare(asker, OptRcode::from_rcode(Rcode::REFUSED), out);
    }

    /// Whether this client has had enough for now; if so it is dealt with.
    pub(super) fn is_too_much(
        &mut self,
        now: Time,
        asker: Asker<'_>,
        proven: bool,
        out: &mut Outbox,
    ) -> bool {
        if proven || asker.client.transport.is_stream() {
            return false;
        }
        let settings = &self.plan.plan.settings;
        let workers = settings.workers.get() as u32;
        let (above, rate) = (settings.cookies_above, settings.answer_rate);
        if above > 0 && !self.door.unproven.take(now, above.div_ceil(workers)) {
            self.counters.unproven += 1;
            self.answer_unproven(asker, out);
            return true;
        }
        if rate == 0 {
            return false;
        }
        let hasher = &self.hasher;
        let networks = self.door.networks.get_or_insert_with(|| Rates::new(hasher.clone()));
        if networks.take(now, asker.client.addr.ip(), rate.div_ceil(workers)) {
            return false;
        }
        self.counters.rate_limited += 1;
        self.door.slip = (self.door.slip + 1) % SLIP;
        if self.door.slip == 0 {
            self.answer_unproven(asker, out);
        }
        true
    }

    /// Once more, with our cookie if it knows of cookies (RFC 7873, 5.2.3), else
    /// over TCP.
    fn answer_unproven(&mut self, asker: Asker<'_>, out: &mut Outbox) {
        match asker.edns.and_then(|edns| edns.cookie) {
            Some(_) => self.answer_bare(asker, OptRcode::BADCOOKIE, out),
            None => self.answer_over_tcp(asker, out),
        }
    }
}
