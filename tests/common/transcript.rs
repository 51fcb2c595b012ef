//! What an engine does, line by line: what it sends, when, and what it has counted.
//! What is drawn at random is left out: IDs, ports, cookies, the case of names.

use super::text::{question_of, shown};
use super::{Answered, Asked};
use gathersrv::engine::meters::{Meter, NO_ANSWER, RCODES};
use gathersrv::engine::{Engine, Notice, Time};
use std::time::Duration;

/// The lines so far.
#[derive(Debug)]
pub struct Transcript {
    began: Time,
    pub lines: Vec<String>,
}

fn ms(time: Duration) -> String {
    let micros = time.as_micros();
    format!("{}.{:03}", micros / 1000, micros % 1000)
}

impl Transcript {
    pub fn new(began: Time) -> Self {
        Transcript { began, lines: Vec::new() }
    }

    fn add(&mut self, now: Time, line: &str) {
        self.lines.push(format!("{:>9} {line}", ms(now.since(self.began))));
    }

    pub fn asks(&mut self, now: Time, asked: &Asked) {
        let Asked { server, transport, packet, .. } = asked;
        let flags = u16::from_be_bytes([packet[2], packet[3]]);
        let opt = if packet[11] > 0 { " OPT" } else { "" };
        // Names may be in random case.
        let question = question_of(packet).to_lowercase();
        self.add(now, &format!("asks {server} {transport:?} {question} {flags:04x}{opt}"));
    }

    pub fn answers(&mut self, now: Time, answer: &Answered) {
        let Answered { client, packet, came, kept, .. } = answer;
        let kept = if *kept { " kept" } else { "" };
        let (transport, octets, took) = (client.transport, packet.len(), ms(now.since(*came)));
        self.add(now, &format!("answers {transport:?} {octets} octets after {took}{kept}"));
        self.lines.extend(shown(packet).into_iter().map(|line| format!("{:12}{line}", "")));
    }

    pub fn notice(&mut self, now: Time, notice: &Notice) {
        self.add(now, &format!("tells {notice:?}"));
    }

    /// What has been counted, and how the servers are.
    pub fn ends(&mut self, now: Time, engine: &Engine) {
        let vitals = engine.vitals(now);
        let counters = format!("{:?}", vitals.counters);
        let counters = counters.trim_start_matches("Counters { ").trim_end_matches(" }");
        let counters = counters.split(", ").filter(|one| !one.ends_with(": 0"));
        self.add(now, &format!("counted {}", counters.collect::<Vec<_>>().join(", ")));
        for meter in vitals.meters.iter().chain([&vitals.stray]) {
            self.meter(meter);
        }
        for server in &vitals.servers {
            let time = |time: Option<Duration>| time.map_or("-".into(), ms);
            let [since, heard, rtt] = [server.since, server.heard, server.rtt].map(time);
            let times: u64 = server.latency.buckets.iter().sum();
            self.lines.push(format!(
                "{:10}server {:?} for {since}, heard {heard} ago, RTT {rtt} of {times}",
                "", server.state
            ));
        }
        let (kept, held) = (vitals.kept, vitals.holding);
        self.lines.push(format!(
            "{:10}keeps {} answers, holds {:?}, {} queries and {} questions in flight",
            "", kept.entries, held.entries, vitals.queries_in_flight, vitals.questions_in_flight
        ));
    }

    fn meter(&mut self, meter: &Meter) {
        let mut queries: Vec<_> =
            meter.queries().map(|(names, n)| format!("{} {n}", names.join(" "))).collect();
        queries.sort();
        if queries.is_empty() && meter.completeness == [0; 4] {
            return;
        }
        let (queries, completeness) = (queries.join(", "), meter.completeness);
        self.lines.push(format!("{:10}meter {queries}; {completeness:?}", ""));
        for cluster in &meter.clusters {
            let rcode = |n: usize| match n {
                NO_ANSWER => "no answer",
                n => RCODES[n].1,
            };
            let servers = cluster.servers.iter().map(|server| {
                let counts = server.iter().enumerate().filter(|(_, count)| **count > 0);
                let counts = counts.map(|(n, count)| format!("{} {count}", rcode(n)));
                format!("[{}]", counts.collect::<Vec<_>>().join(", "))
            });
            let servers = servers.collect::<Vec<_>>().join(" ");
            let ages: u64 = cluster.ages.buckets.iter().sum();
            self.lines.push(format!(
                "{:12}fresh {} stale {} missing {} aged {ages}; {servers}",
                "", cluster.fresh, cluster.stale, cluster.missing
            ));
        }
    }
}
