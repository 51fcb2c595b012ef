//! A plan taken into use: what this engine calls its servers, what its zones
//! mean for answers that are kept, and where what happens is counted. A zone
//! or forward that a new plan has as the old one had it keeps its counts.

use super::cookies::Baker;
use super::gather::LivePlan;
use super::last_good::Enrolment;
use super::links::Links;
use super::meters::Meter;
use super::probe;
use crate::config::{Forward, Plan, Zone};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Makes the plan's servers known to the engine.
pub(super) fn live(
    plan: Arc<Plan>,
    enrolment: Arc<Enrolment>,
    before: Option<&LivePlan>,
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
    let meanings = plan.zones.iter().map(|zone| meaning(&plan, zone)).collect();
    let meters = meters(&plan, before);
    let longest_deadline = plan.longest_deadline();
    Rc::new(LivePlan { plan, servers, meanings, enrolment, meters, longest_deadline })
}

/// Everything an answer from this zone depends on.
fn meaning(plan: &Plan, zone: &Zone) -> u64 {
    let clusters = zone.clusters.iter();
    let servers: Vec<_> = clusters.flat_map(|c| &c.servers).map(|&n| &plan.servers[n]).collect();
    let mut hasher = std::hash::DefaultHasher::new();
    // What Debug shows is all there is; the order of the servers aside, which
    // are numbered anew in each plan.
    let clusters: Vec<_> =
        zone.clusters.iter().map(|c| (&c.suffix, &c.prefix, c.servers.len())).collect();
    let mut settings = plan.settings.clone();
    settings.listen.clear();
    settings.listen_tls.clear();
    settings.identity = None;
    settings.allow.clear();
    settings.admin.clear();
    settings.lame_duck = Duration::ZERO;
    (settings.query_log, settings.dnstap) = (None, None);
    settings.behaviour = zone.behaviour.clone();
    format!("{:?} {clusters:?} {servers:?} {settings:?}", zone.name).hash(&mut hasher);
    plan.forwards.is_empty().hash(&mut hasher);
    hasher.finish()
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
