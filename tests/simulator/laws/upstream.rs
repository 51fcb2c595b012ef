//! Law 8: what a worker sends to servers, to which, and when (U2 to U5).
//!
//! Each question that a query puts to a cluster is an [`Inquiry`], from its first
//! packet to its answer or the query's deadline. While nothing but the passing of
//! time and proper answers concerns it, every packet of it is foretold: which
//! server gets it, at which moment, under which ID. After anything else (a refusal,
//! a closed socket, a reload) it is only bounded.

use crate::cluster;
use crate::common::Asked;
use crate::health::Servers;
use crate::names::{Name, asked_name};
use crate::tally::Tally;
use crate::world::octets_of;
use domain::base::iana::Rtype;
use gathersrv::engine::{LinkId, Time, Transport, WINDOWS};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

/// A socket of a worker.
pub type Link = (usize, LinkId);

/// What a worker asks a cluster: the worker, the cluster, name, type and CD.
pub type Question = (usize, u8, Name, Rtype, bool);

/// A question that nobody answers is sent this often at the most.
const MOST_TRIES: u32 = 9;

/// IDs of one question that one query may wait for at once.
const MOST_IDS: usize = 3;

/// An ID is not used again before this time.
const REST: Duration = Duration::from_secs(1);

/// Sockets are replaced after this time.
const SOCKET_LASTS: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(40));

/// Why a worker sends something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Query(u64),
    Timer,
    Reply(Link, u16),
    /// A socket is in trouble, or the configuration changes.
    Other,
}

/// What a worker knows when it sends something.
pub struct Sender<'a> {
    pub worker: usize,
    pub now: Time,
    pub cause: Cause,
    /// The deadline of its queries.
    pub deadline: Duration,
    /// The cluster's servers in the configured order.
    pub servers: &'a [SocketAddr],
    /// The first that is up is asked first.
    pub sequential: bool,
    /// A server goes down or comes up at this moment.
    pub news: bool,
}

struct Inquiry {
    question: Question,
    /// The client's query that is answered with it; nothing for one ahead of time.
    query: Option<u64>,
    deadline: Duration,
    until: Time,
    tries: u32,
    /// When it is sent again.
    retry_at: Time,
    last: SocketAddr,
    /// IDs that are waited for, the oldest first.
    ids: Vec<(Link, u16)>,
    asked: Vec<SocketAddr>,
    /// Every packet of it is foretold.
    clean: bool,
    /// Which of its IDs are waited for is not known.
    vague: bool,
    /// It may have begun before.
    unknown: bool,
    /// A datagram answer was truncated.
    truncated: bool,
    /// The server has said that it does not understand OPT.
    plain: bool,
    heard: bool,
    done: Option<Time>,
}

struct Sent {
    inquiry: u64,
    question: Question,
    server: SocketAddr,
    transport: Transport,
    first: Time,
    times: u32,
    cookie: bool,
}

struct Socket {
    server: SocketAddr,
    transport: Transport,
    opened: Time,
    used: bool,
}

/// All that is on its way.
#[derive(Default)]
pub struct Upstream {
    inquiries: HashMap<u64, Inquiry>,
    of_question: HashMap<Question, Vec<u64>>,
    of_query: HashMap<u64, Vec<u64>>,
    sent: HashMap<(Link, u16), Sent>,
    sockets: HashMap<Link, Socket>,
    /// The datagram socket that a server was last asked on, and when.
    picked: HashMap<(usize, SocketAddr), (u64, LinkId)>,
    number: u64,
    /// Inquiries that are remembered before some are forgotten.
    most: usize,
    /// Until then a packet with this question cannot be attributed to one query,
    /// because several wait for it.
    ambiguous: HashMap<Question, Time>,
    /// When the configuration last changed.
    reloaded: Time,
}

impl Upstream {
    pub fn opened(&mut self, link: Link, server: SocketAddr, transport: Transport, now: Time) {
        let socket = Socket { server, transport, opened: now, used: false };
        assert!(self.sockets.insert(link, socket).is_none(), "{link:?} is open already");
    }

    /// A socket was closed; `struck` if not by the engine of its own accord.
    pub fn closed(&mut self, link: Link, now: Time, struck: bool) {
        self.picked.retain(|&(worker, _), picked| (worker, picked.1) != link);
        let Some(socket) = self.sockets.remove(&link) else { return };
        let struck = struck || socket.opened <= self.reloaded;
        if !struck && socket.transport == Transport::Udp {
            let age = now.since(socket.opened);
            assert!(age >= SOCKET_LASTS.0, "a socket closed after {age:?}");
        }
    }

    pub fn is_open(&self, link: Link) -> bool {
        self.sockets.contains_key(&link)
    }

    pub fn sockets_of(&self, worker: usize) -> impl Iterator<Item = (Link, SocketAddr)> {
        let of = self.sockets.iter().filter(move |(link, _)| link.0 == worker);
        of.map(|(&link, socket)| (link, socket.server))
    }

    pub fn server_of(&self, link: Link) -> Option<SocketAddr> {
        self.sockets.get(&link).map(|socket| socket.server)
    }

    fn live(&self, question: &Question, now: Time) -> Vec<u64> {
        let known = self.of_question.get(question).map_or(&[][..], Vec::as_slice);
        known.iter().copied().filter(|number| self.inquiries[number].is_live(now)).collect()
    }

    fn blur(&mut self, numbers: &[u64]) {
        for number in numbers {
            if let Some(inquiry) = self.inquiries.get_mut(number) {
                inquiry.clean = false;
            }
        }
    }

    pub fn reloaded(&mut self, worker: usize, now: Time) {
        self.reloaded = now;
        self.blur_all(worker);
    }

    /// Of this worker nothing is foretold any more that is in flight.
    pub fn blur_all(&mut self, worker: usize) {
        let of_it = self.inquiries.values_mut().filter(|inquiry| inquiry.question.0 == worker);
        of_it.for_each(|inquiry| (inquiry.clean, inquiry.vague) = (false, true));
    }

    /// The same of what is in flight on one socket; the queries concerned.
    pub fn blur_link(&mut self, link: Link) -> Vec<u64> {
        let on_it = self.sent.iter().filter(|((known, _), _)| *known == link);
        let numbers: Vec<u64> = on_it.map(|(_, sent)| sent.inquiry).collect();
        self.blur(&numbers);
        for number in &numbers {
            if let Some(inquiry) = self.inquiries.get_mut(number) {
                inquiry.vague = true;
            }
        }
        numbers.iter().filter_map(|number| self.inquiries.get(number)?.query).collect()
    }

    /// The query that is answered with what comes under this ID.
    pub fn query_of(&self, link: Link, id: u16) -> Option<u64> {
        self.inquiries.get(&self.sent.get(&(link, id))?.inquiry)?.query
    }

    /// Whether the question which had this ID may be another query's than it seems.
    pub fn is_doubtful(&self, link: Link, id: u16, now: Time) -> bool {
        let sent = self.sent.get(&(link, id));
        sent.is_some_and(|sent| self.is_ambiguous(&sent.question, now))
    }

    /// The queries that wait for an answer to the question which had this ID; with
    /// several of them it may not be known whose the ID was.
    pub fn queries_like(&self, link: Link, id: u16, now: Time) -> Vec<u64> {
        let Some(sent) = self.sent.get(&(link, id)) else { return Vec::new() };
        let live = self.live(&sent.question, now);
        live.iter().filter_map(|number| self.inquiries[number].query).collect()
    }

    /// Whether it is a question's ID, and not a health check's.
    pub fn is_question(&self, link: Link, id: u16) -> bool {
        self.sent.contains_key(&(link, id))
    }

    /// A health check has this ID.
    pub fn checks(&mut self, link: Link, id: u16) {
        self.sent.remove(&(link, id));
    }

    /// Whether this question is on its way already.
    pub fn is_asked(&self, question: &Question, now: Time) -> bool {
        self.is_ambiguous(question, now) || !self.live(question, now).is_empty()
    }

    fn is_ambiguous(&self, question: &Question, now: Time) -> bool {
        self.ambiguous.get(question).is_some_and(|&until| now <= until)
    }

    /// A worker sends a question to a server.
    pub fn sends(
        &mut self,
        from: &Sender<'_>,
        asked: &Asked,
        servers: &Servers,
        t: &mut Tally,
    ) -> bool {
        let (worker, now) = (from.worker, from.now);
        let key = ((worker, asked.link), asked.id());
        let cd = cluster::has_cd(&asked.packet);
        let rtype = cluster::rtype_of(&asked.packet);
        let question = (worker, octets_of(asked.server)[1], asked_name(asked), rtype, cd);
        let again = self.sent.get(&key).filter(|sent| {
            let inquiry = self.inquiries.get(&sent.inquiry);
            let lately = |inquiry: &Inquiry| {
                let rested = inquiry.done.is_some_and(|done| now.since(done) >= REST)
                    && !self.is_ambiguous(&question, now);
                !rested && now.since(sent.first) <= inquiry.deadline * 3 / 2 + REST
            };
            // What has just come may be given an ID by chance that an equal one had.
            let just_came = matches!(from.cause, Cause::Query(_));
            !just_came && sent.question == question && inquiry.is_some_and(lately)
        });
        let (number, fresh) = match again.map(|sent| sent.inquiry) {
            Some(number) => (number, false),
            None => (self.begin(from, question, asked), true),
        };
        let inquiry = self.inquiries.get_mut(&number).expect("it is there");
        inquiry.clean &= inquiry.is_live(now);
        inquiry.clean &= inquiry.is_due(from, asked, servers, t);
        inquiry.tries += 1;
        assert!(inquiry.tries <= MOST_TRIES || !inquiry.clean, "too many tries");
        let round_trips = servers.round_trips(worker, asked.server);
        let wait = round_trips.wait(inquiry.tries, inquiry.deadline);
        inquiry.retry_at = (now + wait).floor();
        inquiry.plain &= inquiry.last == asked.server;
        inquiry.last = asked.server;
        // Streams have times of their own.
        inquiry.clean &= asked.transport == Transport::Udp;
        if !inquiry.asked.contains(&asked.server) {
            inquiry.asked.push(asked.server);
        }
        assert!(
            asked.transport == Transport::Udp
                || inquiry.truncated
                || servers.is_besieged(worker, asked.server, now),
            "over TCP without need"
        );
        let socket = self.sockets.get_mut(&key.0).expect("an open socket");
        if fresh {
            let first = !std::mem::replace(&mut socket.used, true);
            let cookie = first && !inquiry.plain;
            let sent = Sent {
                inquiry: number,
                question,
                server: asked.server,
                transport: asked.transport,
                first: now,
                times: 0,
                cookie,
            };
            if let Some(before) = self.sent.insert(key, sent)
                && (before.question != question || matches!(from.cause, Cause::Query(_)))
            {
                assert!(now.since(before.first) >= REST, "an ID without rest");
            }
            inquiry.ids.push(key);
            if asked.transport == Transport::Udp {
                let age = now.since(socket.opened);
                assert!(age < SOCKET_LASTS.1, "a socket of {age:?} is used");
                self.pick(from, asked);
                self.windows(&question, now, t);
            }
        }
        let sent = self.sent.get_mut(&key).expect("it is there");
        sent.times += 1;
        sent.cookie &= !self.inquiries[&number].plain;
        let inquiry = &self.inquiries[&number];
        well_formed(asked, sent.cookie && !inquiry.plain, inquiry);
        !fresh
    }

    /// All questions to a server in one millisecond go to one socket.
    fn pick(&mut self, from: &Sender<'_>, asked: &Asked) {
        let (worker, now) = (from.worker, from.now);
        let tick = now.as_micros() / 1000;
        let before = self.picked.insert((worker, asked.server), (tick, asked.link));
        if let Some(before) = before.filter(|before| before.0 == tick && !from.news) {
            let age = now.since(self.sockets[&(worker, before.1)].opened);
            assert!(before.1 == asked.link || age >= SOCKET_LASTS.0, "two sockets at once");
        }
        let open = self.sockets_of(worker).filter(|socket| socket.1 == asked.server);
        let datagram = open.filter(|(link, _)| self.sockets[link].transport == Transport::Udp);
        let usable = datagram
            .map(|(link, _)| self.sockets[&link].opened)
            .filter(|&at| at > self.reloaded && now.since(at) < SOCKET_LASTS.0)
            .count();
        let most = gathersrv::engine::LINKS_PER_SERVER;
        assert!(usable <= most || from.news, "{usable} sockets to a server");
    }

    /// U4: the IDs of one question in flight are bounded.
    fn windows(&mut self, question: &Question, now: Time, tally: &mut Tally) {
        let live = self.live(question, now);
        // With another inquiry beside it, one may have to wait for its turn.
        if live.len() > 1 {
            self.blur(&live);
            for number in &live {
                self.inquiries.get_mut(number).expect("it is there").unknown = true;
            }
        }
        let mut open = 0;
        for number in live {
            let inquiry = self.inquiries.get_mut(&number).expect("it is there");
            let sent = &self.sent;
            let sockets = &self.sockets;
            inquiry.ids.retain(|id| {
                sent.get(id).is_some_and(|sent| sent.transport == Transport::Udp)
                    && sockets.contains_key(&id.0)
            });
            let surplus = inquiry.ids.len().saturating_sub(MOST_IDS);
            inquiry.ids.drain(..surplus);
            tally.given_up += surplus as u64;
            open += if inquiry.vague { 0 } else { inquiry.ids.len() };
        }
        assert!(open <= usize::from(WINDOWS), "{open} IDs of {question:?}");
        tally.windows_full += u64::from(open == usize::from(WINDOWS));
    }

    fn begin(&mut self, from: &Sender<'_>, question: Question, asked: &Asked) -> u64 {
        let live = self.live(&question, from.now);
        let of_another = |link, id| {
            let sent = self.sent.get(&(link, id));
            sent.is_none_or(|sent: &Sent| sent.question != question)
        };
        let query = match from.cause {
            Cause::Query(n) => Some(n),
            // The round, or the chain, of another question goes on with this one.
            Cause::Reply(link, id) if of_another(link, id) => None,
            _ if live.len() == 1 => return live[0],
            _ => None,
        };
        self.blur(&live);
        let ambiguous = self.is_ambiguous(&question, from.now);
        if !live.is_empty() {
            let ends = live.iter().map(|number| &self.inquiries[number]);
            let ends = ends.map(|inquiry| inquiry.until + inquiry.deadline / 2);
            let end = ends.max().unwrap_or_default().max(from.now + from.deadline * 3 / 2);
            let known = self.ambiguous.entry(question).or_insert(end);
            *known = end.max(*known);
        }
        self.number += 1;
        let inquiry = Inquiry {
            question,
            query,
            deadline: from.deadline,
            until: (from.now + from.deadline).floor(),
            tries: 0,
            retry_at: from.now,
            last: asked.server,
            ids: Vec::new(),
            asked: Vec::new(),
            clean: query.is_some() && live.is_empty() && !ambiguous,
            vague: query.is_none() || ambiguous,
            unknown: query.is_none() || ambiguous,
            // What began before may have been truncated.
            truncated: query.is_none() || ambiguous,
            plain: false,
            heard: false,
            done: None,
        };
        self.inquiries.insert(self.number, inquiry);
        self.of_question.entry(question).or_default().push(self.number);
        if let Some(query) = query {
            self.of_query.entry(query).or_default().push(self.number);
        }
        self.forget_now_and_then(from.now);
        self.number
    }

    /// The inquiry that waits for this ID.
    fn inquiry(&mut self, link: Link, id: u16) -> Option<(&Sent, &mut Inquiry)> {
        let sent = self.sent.get(&(link, id))?;
        self.inquiries.get_mut(&sent.inquiry).map(|inquiry| (sent, inquiry))
    }

    /// A proper answer, which counts: how long it took, if that can be told.
    pub fn answered(
        &mut self,
        link: Link,
        id: u16,
        now: Time,
        tally: &mut Tally,
    ) -> Option<(Duration, bool)> {
        let (sent, inquiry) = self.inquiry(link, id)?;
        inquiry.done = Some(now);
        inquiry.ids.clear();
        tally.astray += u64::from(inquiry.is_overdue(now));
        let udp = sent.transport == Transport::Udp;
        (sent.times == 1).then(|| (now.since(sent.first), udp))
    }

    /// Something else came from a server in answer to a question.
    pub fn excused(&mut self, link: Link, id: u16) {
        if let Some((_, inquiry)) = self.inquiry(link, id) {
            (inquiry.clean, inquiry.heard, inquiry.vague) = (false, true, true);
            inquiry.unknown |= inquiry.plain;
            inquiry.ids.retain(|known| *known != (link, id));
        }
    }

    /// The server did not understand OPT: the same question again at once, without.
    pub fn not_understood(&mut self, link: Link, id: u16, sends: &[Asked]) {
        let Some((sent, inquiry)) = self.inquiry(link, id) else { return };
        let server = sent.server;
        if inquiry.plain || inquiry.tries >= MOST_TRIES {
            return self.excused(link, id);
        }
        let first = inquiry.clean;
        inquiry.unknown |= inquiry.asked.len() > 1;
        (inquiry.clean, inquiry.plain, inquiry.vague) = (false, true, true);
        inquiry.last = server;
        if first {
            let same = |asked: &Asked| asked.link == link.1 && asked.id() == id;
            assert!(sends.len() == 1 && same(&sends[0]), "once more without OPT: {sends:?}");
        }
    }

    /// A truncated reply: the same question at once over TCP, to the same server.
    pub fn truncated(&mut self, link: Link, id: u16, sends: &[Asked]) {
        let Some((sent, inquiry)) = self.inquiry(link, id) else { return };
        let server = sent.server;
        if inquiry.clean && !inquiry.truncated {
            assert_eq!(sends.len(), 1, "once over TCP");
            assert_eq!((sends[0].server, sends[0].transport), (sent.server, Transport::Tcp));
        }
        let question = inquiry.question;
        inquiry.last = server;
        // Of several alike it may be another's.
        for number in self.of_question.get(&question).map_or(&[][..], Vec::as_slice) {
            if let Some(inquiry) = self.inquiries.get_mut(number) {
                inquiry.truncated = true;
            }
        }
        self.excused(link, id);
    }

    /// SERVFAIL or REFUSED: the next server at once, if there is one.
    pub fn refused(&mut self, link: Link, id: u16, next: Option<SocketAddr>, sends: &[Asked]) {
        let Some((sent, inquiry)) = self.inquiry(link, id) else { return };
        if inquiry.clean && inquiry.asked.len() == 1 && sent.server == inquiry.last {
            // It may also have ended a query's first round.
            let again = sends.iter().filter(|asked| asked_name(asked) == inquiry.question.2);
            let to: Vec<SocketAddr> = again.map(|asked| asked.server).collect();
            match next {
                Some(next) => assert_eq!(to, [next], "the next server at once"),
                None => assert!(!to.contains(&sent.server), "it has said no"),
            }
        }
        self.excused(link, id);
    }

    /// A reply that cannot be read: the question is asked again at once.
    pub fn unreadable(&mut self, link: Link, id: u16, sends: &[Asked]) {
        let Some((_, inquiry)) = self.inquiry(link, id) else { return };
        if inquiry.clean && inquiry.tries < MOST_TRIES {
            assert_eq!(sends.len(), 1, "again after what cannot be read");
        }
        // What it is asked now is foretold by nothing; what follows is.
        inquiry.retry_at = Time::default();
    }

    /// A query was answered. The servers that were silent about it until its
    /// deadline.
    pub fn over(
        &mut self,
        query: u64,
        kept: bool,
        now: Time,
        tally: &mut Tally,
    ) -> Vec<SocketAddr> {
        let mut silent = Vec::new();
        for number in self.of_query.remove(&query).unwrap_or_default() {
            let Some(inquiry) = self.inquiries.get_mut(&number) else { continue };
            if kept {
                // It is asked ahead of time, and nobody waits.
                (inquiry.query, inquiry.clean) = (None, false);
                continue;
            }
            if inquiry.done.is_some() {
                continue;
            }
            tally.astray += u64::from(inquiry.is_overdue(now));
            inquiry.done = Some(now);
            if inquiry.clean && !inquiry.heard && now == inquiry.until {
                silent.extend(&inquiry.asked);
            }
        }
        silent
    }

    /// Forgets what is long over.
    pub fn forget(&mut self, now: Time) {
        let lately = |time: Time| now.since(time) < Duration::from_secs(3);
        self.inquiries.retain(|_, inquiry| lately(inquiry.until) || inquiry.until > now);
        let inquiries = &self.inquiries;
        self.sent.retain(|_, sent| inquiries.contains_key(&sent.inquiry));
        self.of_question.retain(|_, numbers| {
            numbers.retain(|number| inquiries.contains_key(number));
            !numbers.is_empty()
        });
        self.picked.retain(|_, picked| now.as_micros() / 1000 == picked.0);
        self.ambiguous.retain(|_, until| now <= *until);
    }

    fn forget_now_and_then(&mut self, now: Time) {
        if self.inquiries.len() > self.most {
            self.forget(now);
            self.most = (2 * self.inquiries.len()).max(1_000);
        }
    }
}

impl Inquiry {
    fn is_live(&self, now: Time) -> bool {
        self.done.is_none() && now <= self.until
    }

    /// A packet of it goes out: whether it is at the time that was foretold. A server
    /// may have been passed over where it is not, because it had too many repeats.
    fn is_due(
        &self,
        from: &Sender<'_>,
        asked: &Asked,
        servers: &Servers,
        tally: &mut Tally,
    ) -> bool {
        let up = |server: &SocketAddr| !servers.is_down(from.worker, *server);
        if self.tries == 0 && matches!(from.cause, Cause::Query(_)) {
            assert!(up(&asked.server), "{} is down", asked.server);
            let first = from.servers.iter().find(|server| up(server));
            assert!(!from.sequential || first == Some(&asked.server), "not the first server");
            return true;
        }
        if !self.clean || from.news {
            return true;
        }
        if from.cause == Cause::Timer && self.retry_at > Time::default() {
            if from.now != self.retry_at {
                tally.astray += 1;
                return false;
            }
            tally.foretold += 1;
        }
        let next = next_server(from, self.last, up);
        assert_eq!(asked.server, next, "another server than the next");
        true
    }

    /// It should have been sent again before now.
    fn is_overdue(&self, now: Time) -> bool {
        let due = self.clean && self.tries < MOST_TRIES && self.retry_at > Time::default();
        due && now > self.retry_at && self.retry_at < self.until
    }
}

/// Whom a question goes to after `last`: the next that is up, or if none is the next
/// there is.
fn next_server(
    from: &Sender<'_>,
    last: SocketAddr,
    up: impl Fn(&SocketAddr) -> bool,
) -> SocketAddr {
    let at = from.servers.iter().position(|&server| server == last).expect("a server");
    let servers = from.servers;
    let mut after = (1..=servers.len()).map(|step| servers[(at + step) % servers.len()]);
    let next = after.clone().next().expect("a server");
    after.find(up).unwrap_or(next)
}

/// Q6: RD and CD, no other flag, one question, and our OPT record.
/// The first on its socket has our cookie, others may.
fn well_formed(asked: &Asked, cookie: bool, inquiry: &Inquiry) {
    let packet = &asked.packet;
    assert_eq!(packet[2], 1, "RD and nothing else");
    assert_eq!(packet[3] & !0x10, 0, "CD or nothing");
    let end = 12 + cluster::question(packet).len();
    let cookie = (cookie && !inquiry.unknown) || packet.len() > end + 11;
    let plain = match inquiry.unknown {
        true => !cluster::has_opt(packet),
        false => inquiry.plain,
    };
    let opt: &[u8] = match (plain, cookie) {
        (true, _) => &[],
        (false, false) => b"\0\0\x29\x04\xD0\0\0\0\0\0\0",
        (false, true) => b"\0\0\x29\x04\xD0\0\0\0\0\0\x0C\0\x0A\0\x08",
    };
    assert_eq!(packet[4..12], [0, 1, 0, 0, 0, 0, 0, u8::from(!plain)]);
    assert!(packet[end..].starts_with(opt), "{:?} in place of {opt:?}", &packet[end..]);
    assert_eq!(packet.len(), end + opt.len() + if cookie && !plain { 8 } else { 0 });
}
