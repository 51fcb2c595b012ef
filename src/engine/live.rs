//! A plan taken into use: what this engine calls its servers, what its zones
//! mean for answers that are kept, and where what happens is counted. A zone
//! or forward that a new plan has as the old one had it keeps its counts.

use super::cookies::Baker;
use super::gather::LivePlan;
use super::last_good::Enrolment;
use super::links::Links;
use super::meters::Meter;
use super::probe;
use crate::config::{Forward, OnMissing, Plan, Server, Zone};
use crate::wire::name::Suffix;
use ahash::RandomState;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Makes the plan's servers known to the engine.
pub(super) fn live(
    plan: Arc<Plan>,
    enrolment: Arc<Enrolment>,
    before: Option<&LivePlan>,
    hasher: &RandomState,
    links: &mut Links,
    baker: &Baker,
    own: &mut HashSet<[u8; 8]>,
) -> Rc<LivePlan> {
    let servers: Vec<usize> = plan.servers.iter().map(|server| links.server(server)).collect();
    for (&server, question) in servers.iter().zip(probe::questions(&plan)) {
        let known = &mut links.servers[server];
        known.probe_question = question;
        known.guard.client_cookie = baker.shown_to(known.addr);
        own.insert(known.guard.client_cookie);
    }
    let (meanings, next_meaning) = meanings(&plan, before);
    let meters = meters(&plan, before);
    let longest_deadline = plan.longest_deadline();
    let zone_keys = plan.zones.iter().map(|zone| {
        let name = zone.name.as_slice().to_ascii_lowercase();
        hasher.hash_one(&name)
    });
    let zone_keys = zone_keys.collect();
    let by_meaning = meanings.iter().enumerate().map(|(zone, meaning)| (meaning.number, zone));
    let by_meaning = by_meaning.collect();
    Rc::new(LivePlan {
        plan,
        servers,
        meanings,
        by_meaning,
        next_meaning,
        zone_keys,
        enrolment,
        meters,
        longest_deadline,
    })
}

/// Everything that an answer of a zone, given again, depends on. A reload that
/// changes none of it costs no entry of the cache.
#[derive(PartialEq, Eq)]
pub struct Meaning {
    name: Suffix,
    /// Suffix, prefix and servers of each.
    clusters: Vec<(Suffix, Box<[u8]>, Vec<Server>)>,
    on_missing: OnMissing,
    min_clusters: usize,
    cache_for: Duration,
    incomplete_ttl: u32,
    /// We forward, so RA is set.
    forwards: bool,
    /// Its number, which no other meaning has.
    number: u64,
}

impl Meaning {
    /// Its number: the same for two plans' zones means the same answers.
    pub fn number(&self) -> u64 {
        self.number
    }
}

/// The meanings of the plan's zones, and the next number.
fn meanings(plan: &Plan, before: Option<&LivePlan>) -> (Vec<Meaning>, u64) {
    let known: HashMap<&[u8], &Meaning> = before
        .map(|before| before.meanings.iter().map(|m| (m.name.as_slice(), m)).collect())
        .unwrap_or_default();
    let mut next = before.map_or(0, |before| before.next_meaning);
    let meaning = |zone: &Zone| {
        let clusters = zone.clusters.iter().map(|cluster| {
            let servers = cluster.servers.iter().map(|&server| plan.servers[server].clone());
            (cluster.suffix.clone(), cluster.prefix.clone(), servers.collect())
        });
        let mut meaning = Meaning {
            name: zone.name.clone(),
            clusters: clusters.collect(),
            on_missing: zone.behaviour.on_missing,
            min_clusters: zone.behaviour.min_clusters,
            cache_for: zone.behaviour.cache_for,
            incomplete_ttl: plan.settings.incomplete_ttl,
            forwards: !plan.forwards.is_empty(),
            number: 0,
        };
        let old = known.get(zone.name.as_slice());
        meaning.number = old.map_or(next, |old| old.number);
        if old.is_none_or(|old| **old != meaning) {
            meaning.number = next;
            next += 1;
        }
        meaning
    };
    (plan.zones.iter().map(meaning).collect(), next)
}

/// What a zone's counts are about: its name, its clusters, their servers.
fn subject(plan: &Plan, zone: &Zone) -> String {
    let mut subject = format!("zone {}", zone.name);
    for cluster in &zone.clusters {
        subject += &format!("; {} at", cluster.label);
        for &server in &cluster.servers {
            subject += &format!(" {}", plan.servers[server]);
        }
    }
    subject
}

/// The same of a forward.
fn subject_of_forward(plan: &Plan, forward: &Forward) -> String {
    let servers: Vec<String> =
        forward.servers.iter().map(|&server| plan.servers[server].to_string()).collect();
    format!("forward {} at {}", forward.name, servers.join(" "))
}

fn subjects(plan: &Plan) -> impl Iterator<Item = String> {
    let zones = plan.zones.iter().map(|zone| subject(plan, zone));
    zones.chain(plan.forwards.iter().map(|forward| subject_of_forward(plan, forward)))
}

fn meters(plan: &Plan, before: Option<&LivePlan>) -> Vec<Rc<RefCell<Meter>>> {
    let known: HashMap<String, &Rc<RefCell<Meter>>> = before
        .map(|before| subjects(&before.plan).zip(&before.meters).collect())
        .unwrap_or_default();
    let fresh = plan
        .zones
        .iter()
        .map(|zone| Meter::new(zone.clusters.iter().map(|cluster| cluster.servers.len())))
        .chain(plan.forwards.iter().map(|f| Meter::new(std::iter::once(f.servers.len()))));
    let meters = subjects(plan).zip(fresh).map(|(subject, fresh)| match known.get(&subject) {
        Some(&meter) => meter.clone(),
        None => Rc::new(RefCell::new(fresh)),
    });
    meters.collect()
}
