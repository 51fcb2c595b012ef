//! Which cluster is which, across plans: a cluster keeps its last good answers
//! through a change of the configuration as long as its zone, suffix and prefix
//! are equal and at least one of its servers, as written, remains. What such a
//! server said is still what this cluster says; a server added in the middle of
//! an outage does not change that.

use crate::config::{Plan, Server};
use crate::engine::time::Time;
use crate::wire::name::Suffix;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

/// A cluster, in whatever plan it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClusterId(u32);

impl ClusterId {
    /// The number, for hashing.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// Clusters that no plan has are remembered up to this many more than those
/// that some plan has: an operator who takes one out by mistake puts it back.
const SPARE: usize = 1024;

/// A plan's clusters, as long as the plan is in use.
#[derive(Debug)]
pub struct Enrolment {
    clusters: Vec<Vec<ClusterId>>,
    wanted: Wanted,
}

/// How much a plan wants held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Questions (`--keep`).
    pub questions: usize,
    /// Answers: of each cluster one to each question.
    pub answers: usize,
}

impl Enrolment {
    /// A cluster of one of the plan's zones, both by their places.
    pub fn cluster(&self, zone: usize, cluster: usize) -> Option<ClusterId> {
        self.clusters.get(zone)?.get(cluster).copied()
    }
}

/// What is known of a cluster, whatever plan it is in.
struct State {
    suffix: Suffix,
    /// When it last gave a proper answer to anybody.
    answered_at: Option<Time>,
}

/// Zone, suffix and prefix, in lower case.
type Mapping = [Box<[u8]>; 3];

struct Known {
    id: ClusterId,
    /// The servers that the latest plan gave it.
    servers: Vec<Server>,
}

/// Every cluster that some plan has, or had lately.
#[derive(Default)]
pub struct Registry {
    by_mapping: HashMap<Mapping, Vec<Known>>,
    states: HashMap<ClusterId, State>,
    enrolments: Vec<Weak<Enrolment>>,
    next: u32,
}

impl Registry {
    /// The clusters of a plan.
    pub fn enrol(&mut self, plan: &Plan) -> Arc<Enrolment> {
        let mut clusters = Vec::with_capacity(plan.zones.len());
        for zone in &plan.zones {
            let ids = zone.clusters.iter().map(|cluster| {
                let mapping = [zone.name.as_slice(), cluster.suffix.as_slice(), &cluster.prefix];
                let servers = cluster.servers.iter().map(|&server| plan.servers[server].clone());
                let mapping = mapping.map(|part| part.to_ascii_lowercase().into());
                let id = self.identify(mapping, servers.collect());
                let fresh = State { suffix: cluster.suffix.clone(), answered_at: None };
                self.states.entry(id).or_insert(fresh);
                id
            });
            clusters.push(ids.collect());
        }
        let widest = plan.zones.iter().map(|zone| zone.clusters.len()).max().unwrap_or(0);
        let questions = if widest == 0 { 0 } else { plan.settings.keep };
        let wanted = Wanted { questions, answers: questions.saturating_mul(widest) };
        let enrolment = Arc::new(Enrolment { clusters, wanted });
        self.enrolments.retain(|known| known.strong_count() > 0);
        self.enrolments.push(Arc::downgrade(&enrolment));
        self.forget_unused();
        enrolment
    }

    /// Forgets plans that are no longer in use; false if there were none.
    pub(super) fn forget_ended(&mut self) -> bool {
        let before = self.enrolments.len();
        if before > 1 {
            self.enrolments.retain(|known| known.strong_count() > 0);
        }
        self.enrolments.len() < before
    }

    /// The most that any plan in use wants held.
    pub fn wanted(&self) -> Wanted {
        let live = self.enrolments.iter().filter_map(Weak::upgrade);
        live.fold(Wanted::default(), |most, enrolment| Wanted {
            questions: most.questions.max(enrolment.wanted.questions),
            answers: most.answers.max(enrolment.wanted.answers),
        })
    }

    /// A cluster gave a proper answer.
    pub fn note_answered(&mut self, cluster: ClusterId, at: Time) {
        if let Some(state) = self.states.get_mut(&cluster) {
            state.answered_at = state.answered_at.max(Some(at));
        }
    }

    /// When a cluster last gave a proper answer: if it is missing, it went
    /// missing then.
    pub fn answered_at(&self, cluster: ClusterId) -> Option<Time> {
        self.states.get(&cluster)?.answered_at
    }

    /// The suffix of a cluster.
    pub fn suffix(&self, cluster: ClusterId) -> Option<&Suffix> {
        self.states.get(&cluster).map(|state| &state.suffix)
    }

    fn identify(&mut self, mapping: Mapping, servers: Vec<Server>) -> ClusterId {
        let known = self.by_mapping.entry(mapping).or_default();
        // The one that a plan had last comes first: its answers are the newest.
        let same = known
            .iter()
            .rposition(|known| known.servers.iter().any(|server| servers.contains(server)));
        match same {
            Some(place) => {
                let id = known.remove(place).id;
                known.push(Known { id, servers });
                id
            }
            None => {
                let id = ClusterId(self.next);
                self.next = self.next.wrapping_add(1);
                known.push(Known { id, servers });
                id
            }
        }
    }

    /// Bounds what is remembered of clusters that no plan has any more.
    fn forget_unused(&mut self) {
        let live: Vec<_> = self.enrolments.iter().filter_map(Weak::upgrade).collect();
        let used = || live.iter().flat_map(|enrolment| enrolment.clusters.iter().flatten());
        let known: usize = self.by_mapping.values().map(Vec::len).sum();
        if known <= used().count() + SPARE {
            return;
        }
        let used: HashSet<ClusterId> = used().copied().collect();
        for known in self.by_mapping.values_mut() {
            known.retain(|known| used.contains(&known.id));
        }
        self.by_mapping.retain(|_, known| !known.is_empty());
        self.states.retain(|id, _| used.contains(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Draft, Settings, ZoneDraft};

    fn plan(clusters: &[&str], keep: usize) -> Arc<Plan> {
        let clusters = clusters.iter().map(|words| (String::new(), words.to_string()));
        let zone = ZoneDraft {
            place: String::new(),
            name: "z.".into(),
            clusters: clusters.collect(),
            behaviour: None,
        };
        let settings = Settings { keep, ..Settings::default() };
        let draft = Draft { settings, zones: vec![zone], forwards: Vec::new() };
        Arc::new(config::build(draft).unwrap())
    }

    fn ids(registry: &mut Registry, clusters: &[&str]) -> Vec<ClusterId> {
        registry.enrol(&plan(clusters, 1)).clusters[0].clone()
    }

    #[test]
    fn a_cluster_is_the_same_as_long_as_one_server_remains() {
        let mut registry = Registry::default();
        let before = ids(&mut registry, &["k. a- 10.0.0.1 10.0.0.2", "k. b- 10.1.0.1"]);
        assert_ne!(before[0], before[1]);
        let after =
            ids(&mut registry, &["K. a- 10.0.0.9 10.0.0.2", "k. c- 10.2.0.1", "k. b- 10.1.0.1"]);
        assert_eq!((after[0], after[2]), (before[0], before[1]));
        let again = ids(&mut registry, &["k. a- 10.0.0.9", "k. b- 10.1.0.1"]);
        assert_eq!(again, before);
        let other = ids(&mut registry, &["k. a- 10.0.0.1", "k. b- tls://10.1.0.1#b.example"]);
        assert_ne!(other[0], before[0], "no server of the latest plan remains");
        assert_ne!(other[1], before[1], "the same address over TLS is another server");
    }

    #[test]
    fn other_suffixes_and_prefixes_are_other_clusters() {
        let mut registry = Registry::default();
        let before = ids(&mut registry, &["k. a- 10.0.0.1"]);
        for other in ["l. a- 10.0.0.1", "k. b- 10.0.0.1"] {
            assert_ne!(ids(&mut registry, &[other]), before);
        }
        assert_eq!(ids(&mut registry, &["k. a- 10.0.0.1"]), before, "it came back");
    }

    #[test]
    fn servers_that_are_replaced_one_after_the_other_leave_the_latest_cluster() {
        let mut registry = Registry::default();
        ids(&mut registry, &["k. a- 10.0.0.1"]);
        let second = ids(&mut registry, &["k. a- 10.0.0.2"]);
        assert_eq!(ids(&mut registry, &["k. a- 10.0.0.1 10.0.0.2"]), second);
    }

    #[test]
    fn what_no_plan_has_is_forgotten_in_the_end_and_the_largest_plan_counts() {
        let mut registry = Registry::default();
        let kept = registry.enrol(&plan(&["k. a- 10.0.0.1"], 7));
        for n in 0..3 * SPARE {
            let cluster = format!("s{n}. a- 10.0.0.1");
            ids(&mut registry, &[&cluster]);
        }
        let known: usize = registry.by_mapping.values().map(Vec::len).sum();
        assert!(known <= SPARE + 2, "{known}");
        assert_eq!(ids(&mut registry, &["k. a- 10.0.0.1"]), kept.clusters[0]);
        assert_eq!(registry.wanted(), Wanted { questions: 7, answers: 7 });
    }
}
