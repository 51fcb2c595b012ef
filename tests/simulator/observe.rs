//! What a world notes of its workers' doings, for the laws 8 to 11.

use crate::answer::Got;
use crate::cluster;
use crate::common::Asked;
use crate::laws::Case;
use crate::laws::upstream::{Cause, Link, Sender};
use crate::names::{Kind as NameKind, asked_name};
use crate::world::{Kind, Leader, World, octets_of};
use domain::base::Header;
use domain::base::iana::Rcode;
use gathersrv::config::Policy;
use gathersrv::engine::{Counters, Notice, Transport};
use std::net::SocketAddr;
use std::time::Duration;

/// The cache of a world whose every answer is kept.
const AMPLE: usize = 5_000;

impl World {
    /// A plan begins.
    pub fn note_plan(&mut self) {
        self.shortest = self.shortest.min(self.rules.deadline);
        self.changes += 1;
        self.cache.clear();
        self.cache.is_ample = self.plan.settings.cache >= AMPLE;
    }

    /// The servers of a cluster, in the order of a worker's plan.
    fn servers_of(&self, worker: usize, cluster: u8) -> Vec<SocketAddr> {
        let plan = &self.plans[worker];
        let cluster = plan.zones[0].clusters.get(usize::from(cluster));
        let servers = cluster.map_or(&[][..], |cluster| &cluster.servers);
        servers.iter().map(|&server| plan.servers[server].addr).collect()
    }

    /// How many failures take a server out, and for how long it has to be silent.
    fn fails(&self, worker: usize, deadline: Duration) -> (u32, Duration) {
        (self.plans[worker].settings.max_fails, deadline / 4)
    }

    /// Law 4: a query is answered from the cache, joins an equal one in flight, or
    /// has every cluster asked that has a server which is up.
    pub fn gathered(
        &mut self,
        n: u64,
        case: &mut Case,
        kept: bool,
        before: &Counters,
        after: &Counters,
    ) {
        let worker = case.worker;
        let sends = self.labs[worker].asked.len();
        let refreshed = after.refreshed > before.refreshed;
        let joined = after.shared > before.shared;
        self.cache.asked(case, kept, sends, refreshed, &mut self.tally);
        let key = (worker, case.name, case.rtype, case.cd);
        if refreshed {
            assert!(kept, "asked ahead of time, and for a client");
            let leader = Leader { query: None, started: self.now, changes: self.changes };
            self.leaders.insert(key, leader);
        }
        self.ledgers[worker].joined += u64::from(joined);
        if kept || case.overloaded {
            assert!(!joined && (refreshed || sends == 0), "asked though answered: {case:?}");
            return;
        }
        let leader = self.leaders.get(&key).filter(|leader| leader.changes == self.changes);
        if let Some(leader) = leader {
            let young = self.now < leader.started + case.rules.deadline / 2;
            match leader.query {
                Some(query) => {
                    let due = young && self.open.contains_key(&query);
                    assert_eq!(joined, due, "equal questions are asked once: {case:?}");
                }
                None => assert!(young || !joined, "joined too late: {case:?}"),
            }
        } else {
            assert!(!joined, "joined nobody: {case:?}");
        }
        if joined {
            assert_eq!(sends, 0, "asked though joined: {case:?}");
            return;
        }
        case.leads = true;
        let leader = Leader { query: Some(n), started: self.now, changes: self.changes };
        self.leaders.insert(key, leader);
        self.all_asked(case);
    }

    /// Each cluster with a server that is up is asked once, no other is asked.
    fn all_asked(&mut self, case: &Case) {
        let worker = case.worker;
        let only = case.name.prefix.filter(|&only| only < case.rules.clusters);
        let name = if only.is_some() { case.name.stripped() } else { case.name };
        for cluster in 0..case.rules.clusters {
            let mine =
                |asked: &&Asked| octets_of(asked.server)[1] == cluster && asked_name(asked) == name;
            let count = self.labs[worker].asked.iter().filter(mine).count();
            if only.is_some_and(|only| only != cluster) {
                assert_eq!(count, 0, "cluster {cluster} is asked: {case:?}");
                continue;
            }
            let question = (worker, cluster, name, case.rtype, case.cd);
            let servers = self.servers_of(worker, cluster);
            let up = servers.iter().any(|&server| !self.servers.is_down(worker, server));
            assert!(count <= usize::from(up), "cluster {cluster}: {case:?}");
            // One that is on its way already may have to be waited for.
            let waits = self.upstream.is_asked(&question, self.now);
            assert!(waits || count == usize::from(up), "cluster {cluster}: {case:?}");
        }
    }

    /// A worker has told something.
    pub fn told(&mut self, worker: usize, notices: &[Notice]) {
        if notices.is_empty() {
            return;
        }
        let fails = self.fails(worker, self.shortest);
        self.servers.told(worker, notices, fails, self.now, &mut self.tally);
        for notice in notices {
            match notice {
                Notice::Out { .. } => self.ledgers[worker].taken_out += 1,
                Notice::Besieged(_) => {
                    self.ledgers[worker].sieges += 1;
                    self.upstream.blur_all(worker);
                    let open = self.open.values_mut().map(|open| &mut open.0);
                    open.filter(|case| case.worker == worker)
                        .for_each(|case| (case.disturbed, case.excused) = (true, true));
                }
                Notice::Back(_) | Notice::Loop => {}
            }
        }
    }

    /// A worker has sent something.
    pub fn note_sent(&mut self, worker: usize, asked: &Asked, cause: Cause, news: bool) {
        let check = asked_name(asked).kind == NameKind::Apex;
        self.ledgers[worker].note_asked(asked, check);
        if check {
            self.upstream.checks((worker, asked.link), asked.id());
            return self.servers.checked(worker, asked.server, self.now, &mut self.tally);
        }
        self.tally.without_opt += u64::from(!cluster::has_opt(&asked.packet));
        let behaviour = &self.plans[worker].zones[0].behaviour;
        let (deadline, policy) = (behaviour.deadline, behaviour.policy);
        let servers = self.servers_of(worker, octets_of(asked.server)[1]);
        let from = Sender {
            worker,
            now: self.now,
            cause,
            deadline,
            servers: &servers,
            sequential: policy == Policy::Sequential,
            news,
        };
        let again = self.upstream.sends(&from, asked, &self.servers, &mut self.tally);
        let ledger = &mut self.ledgers[worker];
        if cause == Cause::Timer {
            ledger.retransmitted_at_least += u64::from(again);
            ledger.retransmitted_at_most += 1;
        }
    }

    /// A reply has come: what it is good for.
    pub fn heard(
        &mut self,
        link: Link,
        id: u16,
        kind: &Kind,
        packet: &[u8],
        ignored: bool,
        before: &Counters,
    ) {
        let worker = link.0;
        let lab = &mut self.labs[worker];
        let after = lab.engine.counters();
        let (sends, notices) = (std::mem::take(&mut lab.asked), std::mem::take(&mut lab.notices));
        let besieged = notices.iter().any(|notice| matches!(notice, Notice::Besieged(_)));
        let server = self.upstream.server_of(link).expect("an open socket");
        let question = self.upstream.is_question(link, id);
        let truncated = after.truncated_replies - before.truncated_replies;
        self.ledgers[worker].truncated_replies +=
            u64::from(!ignored && question && packet.len() > 2 && packet[2] & 2 != 0);
        assert!(truncated == 0 || !ignored, "a truncated reply is read");
        if besieged {
            self.upstream.blur_all(worker);
        }
        if after.malformed > before.malformed {
            self.ledgers[worker].retransmitted_at_most += sends.len() as u64;
            self.upstream.unreadable(link, id, &sends);
        }
        let query = self.upstream.query_of(link, id);
        let excuses = !ignored && matches!(kind, Kind::Excuse | Kind::Header);
        if excuses && let Some((case, _)) = query.and_then(|query| self.open.get_mut(&query)) {
            case.excused = true;
        }
        let excuses = excuses || !ignored && matches!(kind, Kind::True(_));
        if excuses && question && query.is_none() {
            for query in self.upstream.queries_like(link, id, self.now) {
                if let Some((case, _)) = self.open.get_mut(&query) {
                    case.excused = true;
                }
            }
        }
        if !(ignored || question && matches!(kind, Kind::Header)) {
            self.servers.heard(worker, server, self.now, &notices);
        }
        let octets = octets_of(server);
        if !ignored
            && matches!(kind, Kind::True(_))
            && let Some((case, _)) = query.and_then(|query| self.open.get_mut(&query))
        {
            case.replied.insert(octets[1]);
            case.excused |= self.upstream.is_doubtful(link, id, self.now);
        }
        let rcode = Rcode::masked_from_int(packet[3]);
        match kind {
            _ if ignored || !question => {}
            Kind::True(_) => {
                self.ledgers[worker].note_reply(octets[1], octets[3], rcode);
                if let Some((took, usual)) =
                    self.upstream.answered(link, id, self.now, &mut self.tally)
                {
                    self.servers.measured(worker, server, took, usual);
                }
            }
            Kind::Excuse => {
                self.ledgers[worker].note_reply(octets[1], octets[3], rcode);
                if packet[2] & 2 != 0 {
                    self.upstream.truncated(link, id, &sends);
                } else if rcode == Rcode::FORMERR {
                    self.upstream.not_understood(link, id, &sends);
                } else {
                    let next = self.next_server(worker, octets[1], server);
                    self.upstream.refused(link, id, next, &sends);
                }
            }
            Kind::Header => self.upstream.not_understood(link, id, &sends),
            Kind::Noise => panic!("noise was taken for a reply"),
            Kind::Probe(_) => {}
        }
        let lab = &mut self.labs[worker];
        (lab.asked, lab.notices) = (sends, notices);
    }

    /// The server that is asked after `server` has said no.
    fn next_server(&self, worker: usize, cluster: u8, server: SocketAddr) -> Option<SocketAddr> {
        let servers = self.servers_of(worker, cluster);
        let at = servers.iter().position(|&known| known == server)?;
        let others = (1..servers.len()).map(|step| servers[(at + step) % servers.len()]);
        let up = others.clone().find(|&next| !self.servers.is_down(worker, next));
        up.or_else(|| others.clone().next())
    }

    /// A client has its answer.
    pub fn answered(
        &mut self,
        n: u64,
        case: &Case,
        transport: Transport,
        packet: &[u8],
        kept: bool,
    ) {
        let got = Got::read(packet, &case.packet);
        let (worker, now) = (case.worker, self.now);
        let ledger = &mut self.ledgers[worker];
        let rcode = Header::for_message_slice(packet).rcode();
        ledger.note_answer(case.rtype, transport, rcode, now.since(case.at));
        ledger.kept += u64::from(kept);
        ledger.kept_of_overloaded += u64::from(kept && case.overloaded);
        let refused = case.overloaded && !kept;
        ledger.refused += u64::from(refused);
        ledger.truncated_answers += u64::from(got.truncated);
        let told = match () {
            () if rcode == Rcode::SERVFAIL => 3,
            () if got.has(23) => 2,
            () => usize::from(got.has(3) || got.has(19)),
        };
        if !refused && (case.edns || told == 3) {
            ledger.told[told] += 1;
        } else if !refused {
            ledger.untold += 1;
        }
        let fails = self.fails(worker, case.rules.deadline);
        for server in self.upstream.over(n, kept, now, &mut self.tally) {
            self.servers.silent(worker, server, fails, now);
        }
        if kept {
            self.cache.given_again(case, &got, now);
        } else if case.leads {
            // What was asked under another plan is not given again.
            let lasts = self.past.reloaded.is_none_or(|at| at < case.at);
            self.cache.given(case, &got, now, lasts);
        }
    }
}
