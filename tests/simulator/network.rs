//! The network between workers and servers: what arrives, when, and what servers say.

use crate::cluster::{self, Said};
use crate::common::Asked;
use crate::names::{Kind as NameKind, asked_name};
use crate::world::{Event, IN_FLIGHT, Kind, World, cluster_of, host_of};
use gathersrv::engine::{LinkState, Time, Transport};
use rand::RngExt;

impl World {
    /// Carries a question to a server, and what it says back.
    pub fn carry(&mut self, worker: usize, asked: &Asked) {
        let udp = asked.transport == Transport::Udp;
        let link = (worker, asked.link);
        if udp {
            self.remember_asked(worker, asked);
        } else {
            let now = self.now;
            self.streamed.retain(|_, at| now.since(*at) <= IN_FLIGHT);
            self.streamed.entry((link, asked.id())).or_insert(now);
        }
        if self.chance(self.weather.struck) {
            let state = if self.chance(50) { LinkState::Refused } else { LinkState::Closed };
            let time = self.now + self.delay();
            self.at(time, Event::Strike(link, state));
        }
        if self.outages.is_silent(cluster_of(asked), host_of(asked), self.now) {
            // A dead host says nothing; on a live one the port is closed.
            if !udp || self.chance(30) {
                let state = if udp { LinkState::Refused } else { LinkState::Closed };
                let time = self.now + self.delay();
                self.at(time, Event::Strike(link, state));
            }
            return;
        }
        // A stream repeats what is lost.
        if udp && self.chance(self.weather.lost) {
            return;
        }
        let copies = if self.chance(self.weather.copied) { 2 } else { 1 };
        for _ in 0..copies {
            if udp && self.chance(self.weather.lost) {
                continue;
            }
            let delay = self.delay();
            if self.chance(self.weather.rubbish) {
                let early = self.now + self.within(delay);
                self.send(early, worker, asked, Kind::Noise, cluster::rubbish(asked));
            }
            if self.chance(self.weather.forged) {
                let early = self.now + self.within(delay);
                let guess = self.rng.random_range(0..=u16::MAX);
                self.send(early, worker, asked, Kind::Noise, cluster::forged(asked, guess));
            }
            let (kind, packet) = self.says(asked, udp);
            let time = self.now + delay;
            self.send(time, worker, asked, kind, packet);
        }
    }

    /// What a server says to a question now.
    fn says(&mut self, asked: &Asked, udp: bool) -> (Kind, Vec<u8>) {
        let cluster = cluster_of(asked);
        if cluster < self.weather.old && cluster::has_opt(&asked.packet) {
            let with_question = self.chance(50);
            let kind = if with_question { Kind::Excuse } else { Kind::Header };
            return (kind, cluster::not_understood(asked, with_question));
        }
        if udp && self.chance(self.weather.truncated) {
            return (Kind::Excuse, cluster::truncated(asked));
        }
        if self.outages.is_refusing(cluster, self.now) || self.chance(self.weather.servfail) {
            let refused = self.chance(50);
            return (Kind::Excuse, cluster::excuse(asked, refused));
        }
        let epoch = self.now.since(self.begin).as_micros() / self.weather.epoch.as_micros();
        let (name, rtype) = (asked_name(asked), cluster::rtype_of(&asked.packet));
        let truth = self.truths.of(cluster, name, rtype, epoch as u8);
        let truth = self.outages.bend(truth, cluster, name, self.now);
        let ttl = self.weather.ttl;
        let said = Said { cluster, name, rtype, truth, epoch: epoch as u8, ttl };
        let packet = said.reply(asked, self.truths);
        if name.kind == NameKind::Apex {
            return (Kind::Probe(cluster), packet);
        }
        if udp && packet.len() > 1232 {
            return (Kind::Excuse, cluster::truncated(asked));
        }
        (Kind::True(said), packet)
    }

    fn send(&mut self, time: Time, worker: usize, asked: &Asked, kind: Kind, packet: Vec<u8>) {
        let (link, id) = ((worker, asked.link), asked.id());
        self.at(time, Event::Reply { link, id, kind, packet });
    }
}
