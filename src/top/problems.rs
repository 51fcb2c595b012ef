//! What is missing or stale now, and since when: the lines that stand out. The
//! same trouble in many zones is told once.

use super::words::{clock, since, span};
use crate::admin::status::{Cluster, ClusterState, Server, ServerState, Status, ZoneState};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Clients get no answer, or half of one.
    Bad,
    /// Something gives way, and what is behind it holds.
    Poor,
}

/// One line of trouble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad.
    pub weight: Weight,
    /// What, and since when.
    pub text: String,
}

/// The troubles of a cluster, with the zones that have it.
struct Troubled<'a> {
    cluster: &'a Cluster,
    zones: Vec<&'a str>,
}

/// Everything that is not as it should be, the worst first.
pub fn problems(status: &Status) -> Vec<Problem> {
    let now = status.now;
    let mut all = Vec::new();
    let mut tell = |weight, text| all.push(Problem { weight, text });
    if !status.ready {
        tell(Weight::Bad, "not ready: /ready turns traffic away".into());
    }
    if let Some(error) = &status.config.last_error {
        tell(Weight::Bad, format!("the changed configuration is not served: {error}"));
    }
    for zone in &status.zones {
        if zone.state == ZoneState::Failed {
            let (failed, sum) = (zone.answers.failed, total(zone));
            let text =
                format!("zone {}: {failed} of {sum} answers of the last minute failed", zone.name);
            tell(Weight::Bad, text);
        }
    }
    let mut troubled: Vec<Troubled> = Vec::new();
    let mut places: HashMap<_, usize> = HashMap::new();
    for zone in &status.zones {
        for cluster in &zone.clusters {
            if !ailing(cluster) {
                continue;
            }
            let since = cluster.since.map(f64::to_bits);
            let same = (&cluster.suffix, &cluster.prefix, cluster.state as u8, since);
            match places.entry(same) {
                Entry::Occupied(place) => troubled[*place.get()].zones.push(&zone.name),
                Entry::Vacant(place) => {
                    place.insert(troubled.len());
                    troubled.push(Troubled { cluster, zones: vec![&zone.name] });
                }
            }
        }
    }
    for Troubled { cluster, zones } in &troubled {
        let place = match zones[..] {
            [one] => format!("of {one}"),
            _ => format!("of {} zones", zones.len()),
        };
        let weight = match cluster.state {
            ClusterState::Down => Weight::Bad,
            _ if cluster.answers.missing > 0 => Weight::Bad,
            _ => Weight::Poor,
        };
        let name = format!("cluster {} {}", cluster.prefix, cluster.suffix);
        tell(weight, format!("{name} {place} {}", ails(cluster, zones.len() > 1, now)));
    }
    let clusters = status.zones.iter().flat_map(|zone| &zone.clusters);
    let clusters = clusters.map(|cluster| (&cluster.servers, cluster.state == ClusterState::Down));
    let forwards = status.forwards.iter().map(|forward| (&forward.servers, false));
    let mut known: Vec<&str> = Vec::new();
    for (servers, told) in clusters.chain(forwards) {
        for server in servers {
            let text = if server.besieged {
                "is besieged: somebody guesses at its answers, and it is asked over TCP".into()
            } else if server.state == ServerState::Out && !told {
                format!("is out{}", from(server.since, now))
            } else {
                continue;
            };
            if !known.contains(&server.addr.as_str()) {
                known.push(&server.addr);
                tell(Weight::Poor, format!("server {} {text}", called(server)));
            }
        }
    }
    all.sort_by_key(|problem| problem.weight);
    all
}

fn total(zone: &crate::admin::status::Zone) -> u64 {
    let answers = &zone.answers;
    let some = answers.whole.saturating_add(answers.stale);
    some.saturating_add(answers.partial).saturating_add(answers.failed)
}

fn ailing(cluster: &Cluster) -> bool {
    let poor = matches!(cluster.state, ClusterState::Down | ClusterState::Degraded);
    poor || cluster.answers.stale > 0 || cluster.answers.missing > 0
}

/// What is wrong with a cluster; the figures only where they are of one zone.
fn ails(cluster: &Cluster, several: bool, now: f64) -> String {
    let mut text = match cluster.state {
        ClusterState::Down => format!("is down{}", from(cluster.since, now)),
        ClusterState::Degraded => format!("has servers that are out{}", from(cluster.since, now)),
        ClusterState::Up | ClusterState::Unknown => "is late or fails at times".into(),
    };
    let (stale, missing) = (cluster.answers.stale, cluster.answers.missing);
    if several {
        return text;
    }
    if stale > 0 {
        let age = cluster.stale_age.map(|age| format!(", {} old", span(age))).unwrap_or_default();
        text += &format!("; stale in {stale} answers of the last minute{age}");
    }
    if missing > 0 {
        text += &format!("; missing in {missing} answers of the last minute");
    }
    text
}

fn from(then: Option<f64>, now: f64) -> String {
    then.map(|then| format!(" since {}, {}", clock(then), since(now, then))).unwrap_or_default()
}

fn called(server: &Server) -> String {
    match server.transport.as_str() {
        "tls" => format!("{} (TLS)", server.addr),
        _ => server.addr.clone(),
    }
}
