//! From server blocks to plans: one for each set of addresses that blocks
//! listen on together.
//!
//! A cluster's servers stand on its line, or are those of the `forward` that
//! covers its suffix: in the same block, or, if that forward points to an
//! address where another block of the file listens, in that one.

use super::diagnose::{Diagnostic, close_to};
use super::directives::{self, Forward, Gather, Key, Set, Site};
use super::source::{Place, Sources};
use crate::config::{
    self, Behaviour, ConfigError, Draft, ForwardDraft, Plan, Policy, Server, Settings, ZoneDraft,
};
use crate::wire::name::{FlatName, Suffix};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Blocks that one suffix may be followed through.
const MOST_HOPS: usize = 8;

/// Addresses, a port, and whether it is TLS.
type Listen = (Vec<IpAddr>, u16, bool);

/// What is served at some addresses, and where that stands.
struct Drafted {
    draft: Draft,
    places: Places,
    members: Vec<usize>,
}

/// Where a cluster is asked.
#[derive(Default)]
struct Found {
    servers: Vec<Server>,
    policy: Option<Set<Policy>>,
}

/// `name` is `parent` or under it.
fn under(name: &Suffix, parent: &Suffix) -> bool {
    FlatName::from_flat(name.as_slice()).is_ok_and(|name| name.under(parent).is_some())
}

/// Makes plans of blocks.
pub struct Assembler<'a> {
    /// The blocks.
    pub sites: &'a [Site],
    /// What holds where a block says nothing.
    pub defaults: &'a Settings,
    /// The files, for the names of places.
    pub sources: &'a Sources,
    /// What was wrong so far.
    pub mistakes: &'a mut Vec<Diagnostic>,
}

/// The places of the words that a draft was made of, by how errors call them.
#[derive(Default)]
struct Places(BTreeMap<String, Vec<Place>>);

impl Places {
    /// Where an error of the plan's is: its place is `FILE:LINE:COLUMN`, and
    /// perhaps `..., word N` behind that.
    fn find(&self, error: &ConfigError) -> Option<Place> {
        let (_, words) = self.0.iter().rev().find(|(known, _)| {
            let rest = error.place.strip_prefix(known.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        })?;
        let number = error.place.rsplit_once("word ").and_then(|(_, n)| n.parse::<usize>().ok());
        let word = number.and_then(|n| words.get(n.checked_sub(1)?));
        word.or(words.first()).copied()
    }
}

impl<'a> Assembler<'a> {
    fn wrong(&mut self, place: Place, wrong: impl Into<String>, remedy: impl Into<String>) {
        self.mistakes.push(Diagnostic::new(place, wrong, remedy));
    }

    fn called(&self, place: Place) -> String {
        format!("{}:{}:{}", self.sources.name(place.file), place.line + 1, place.column + 1)
    }

    /// The plans, as far as there are no mistakes.
    pub fn plans(&mut self) -> Vec<Plan> {
        let mut groups: BTreeMap<Listen, Vec<usize>> = BTreeMap::new();
        for (n, site) in self.sites.iter().enumerate() {
            self.useful(site);
            for key in &site.keys {
                let mut bind = site.bind.clone();
                bind.sort();
                bind.dedup();
                let group = groups.entry((bind, key.port, key.tls)).or_default();
                if group.last() != Some(&n) {
                    group.push(n);
                }
            }
        }
        let groups = groups.into_iter();
        let drafts: Vec<_> = groups.map(|(listen, members)| self.draft(listen, members)).collect();
        if !self.mistakes.is_empty() {
            return Vec::new();
        }
        drafts.into_iter().filter_map(|drafted| self.plan(drafted)).collect()
    }

    /// Every zone of a block can be asked there, and there is one.
    fn useful(&mut self, site: &Site) {
        for gather in &site.gathers {
            if site.keys.is_empty() || site.keys.iter().any(|key| under(&gather.name, &key.name)) {
                continue;
            }
            let keys: Vec<String> = site.keys.iter().map(|key| key.name.to_string()).collect();
            let wrong = format!(
                "{} can never be asked here: the block serves {}",
                gather.name,
                keys.join(", ")
            );
            let near = close_to(&gather.zone.text, keys.iter().map(String::as_str));
            let remedy = match near {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("name it among what the block serves: '{} {{'", gather.name),
            };
            self.wrong(gather.zone.place, wrong, remedy);
        }
        if let Some(key) = site.keys.first()
            && site.gathers.is_empty()
            && site.forwards.is_empty()
            && self.mistakes.is_empty()
        {
            let remedy = "give it a 'gathersrv' or a 'forward'";
            self.wrong(key.token.place, "the block answers nothing", remedy);
        }
    }

    fn draft(&mut self, (bind, port, tls): Listen, members: Vec<usize>) -> Drafted {
        let sites = self.sites;
        let everywhere = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let bind = if bind.is_empty() { &everywhere[..] } else { &bind[..] };
        let mut draft = Draft { settings: self.settings(&members), ..Draft::default() };
        let listen = bind.iter().map(|&ip| SocketAddr::new(ip, port)).collect();
        if tls {
            draft.settings.listen_tls = listen;
        } else {
            draft.settings.listen = listen;
            draft.settings.identity = None;
        }
        let mut places = Places::default();
        for &n in &members {
            let keys = sites[n].keys.iter().filter(|key| (key.port, key.tls) == (port, tls));
            let keys: Vec<&Key> = keys.collect();
            self.zones(n, &keys, &mut draft, &mut places);
            self.forwards(n, &keys, &mut draft, &mut places);
        }
        Drafted { draft, places, members }
    }

    /// What no block by itself could tell: words that do not go together.
    fn plan(&mut self, Drafted { draft, places, members }: Drafted) -> Option<Plan> {
        let sites = self.sites;
        match config::build(draft) {
            Ok(plan) => Some(plan),
            Err(error) => {
                let gathers = members.iter().flat_map(|&n| &sites[n].gathers);
                let mut sets = gathers.filter_map(|g| g.options.min_clusters.as_ref());
                let set = sets.find(|set| error.wrong.starts_with(&format!("{} ", set.value)));
                let first = members.first().and_then(|&n| sites[n].keys.first());
                let place = places
                    .find(&error)
                    .or(set.filter(|_| error.place == "--min-clusters").map(|set| set.place))
                    .or(first.map(|key| key.token.place))?;
                self.wrong(place, error.wrong, error.remedy);
                None
            }
        }
    }

    fn zones(&mut self, n: usize, keys: &[&Key], draft: &mut Draft, places: &mut Places) {
        for gather in &self.sites[n].gathers {
            if !keys.iter().any(|key| under(&gather.name, &key.name)) {
                continue;
            }
            let place = self.called(gather.zone.place);
            places.0.insert(place.clone(), vec![gather.zone.place]);
            let mut clusters = Vec::new();
            let mut policy: Option<Set<Policy>> = None;
            for cluster in &gather.clusters {
                let Some(first) = cluster.line.first() else { continue };
                let mut line: Vec<String> =
                    cluster.line.iter().map(|token| token.text.clone()).collect();
                if cluster.servers.is_empty() {
                    let found = self.servers(&cluster.suffix, n, first.place);
                    if found.servers.is_empty() {
                        continue;
                    }
                    line.extend(found.servers.iter().map(Server::to_string));
                    let ca = found.servers.iter().find_map(|to| to.tls.as_ref()?.ca.as_ref());
                    line.extend(ca.map(|ca| format!("ca={}", ca.display())));
                    if let (Some(one), Some(other)) = (&policy, &found.policy)
                        && one.value != other.value
                    {
                        let wrong = format!("{} has clusters with another policy", gather.name);
                        self.wrong(other.place, wrong, "give them all the same");
                    }
                    policy = policy.or(found.policy);
                }
                let place = self.called(first.place);
                let words = cluster.line.iter().map(|token| token.place).collect();
                places.0.insert(place.clone(), words);
                clusters.push((place, line.join(" ")));
            }
            let policy = policy.map(|policy| policy.value);
            let behaviour = Some(self.zone_behaviour(&self.sites[n], gather, policy));
            let name = gather.zone.text.clone();
            draft.zones.push(ZoneDraft { place, name, clusters, behaviour });
        }
    }

    /// A block forwards what is both under its keys and under FROM, and not in
    /// one of its zones.
    fn forwards(&mut self, n: usize, keys: &[&Key], draft: &mut Draft, places: &mut Places) {
        let site = &self.sites[n];
        for forward in &site.forwards {
            let mut asked = false;
            for Key { name, .. } in &site.keys {
                asked |= under(name, &forward.from) || under(&forward.from, name);
            }
            let suffixes = site.gathers.iter().flat_map(|gather| &gather.clusters);
            let wanted = suffixes.into_iter().any(|c| under(&c.suffix, &forward.from));
            if !asked && !wanted {
                let remedy = "forward what the block serves, or the suffix of a cluster";
                let wrong = format!("{} can never be asked here", forward.from);
                self.wrong(forward.place, wrong, remedy);
            }
            for Key { name: key, .. } in keys {
                let name = if under(key, &forward.from) { key } else { &forward.from };
                let in_zone = site.gathers.iter().any(|gather| under(name, &gather.name));
                if !under(name, key) || in_zone {
                    continue;
                }
                let name = name.to_string();
                // A block for a zone and one for names below it: the first FROM
                // of a block that covers a name is the closest.
                let servers: Vec<String> =
                    forward.to.iter().map(|to| to.value.to_string()).collect();
                let place = self.called(forward.place);
                let mut words = vec![forward.place];
                words.extend(forward.to.iter().map(|to| to.place));
                places.0.insert(place.clone(), words);
                let ca = forward.to.iter().find_map(|to| to.value.tls.as_ref()?.ca.as_ref());
                let ca = ca.map_or(String::new(), |ca| format!(" ca={}", ca.display()));
                let words = format!("{name} {}{ca}", servers.join(" "));
                let mut behaviour = self.behaviour(site);
                if let Some(policy) = &forward.policy {
                    behaviour.policy = policy.value;
                }
                draft.forwards.push(ForwardDraft { place, words, behaviour: Some(behaviour) });
            }
        }
    }

    /// The servers of a cluster whose line names none.
    fn servers(&mut self, suffix: &Suffix, site: usize, line: Place) -> Found {
        let mut found = Found::default();
        match covering(&self.sites[site], suffix) {
            Some(forward) => self.follow(suffix, forward, &mut vec![site], &mut found),
            None => {
                let wrong = format!("nothing says where the servers of {suffix} are");
                let remedy = format!(
                    "write them behind the prefix, or 'forward {suffix} SERVER...' in this block"
                );
                self.wrong(line, wrong, remedy);
            }
        }
        found
    }

    fn follow(
        &mut self,
        suffix: &Suffix,
        forward: &Forward,
        seen: &mut Vec<usize>,
        found: &mut Found,
    ) {
        for to in &forward.to {
            let here = self.listening(to.value.addr);
            if here.is_empty() {
                if !found.servers.contains(&to.value) {
                    found.servers.push(to.value.clone());
                    found.policy = found.policy.take().or(forward.policy.clone());
                }
                continue;
            }
            let Some(next) = self.closest(&here, to.value.addr.port(), suffix) else {
                let wrong = format!("no block at {} serves {suffix}", to.value);
                let port = to.value.addr.port();
                self.wrong(to.place, wrong, format!("write one: '{suffix}:{port} {{'"));
                continue;
            };
            if seen.contains(&next) || seen.len() >= MOST_HOPS {
                let wrong = format!("questions for {suffix} go round in a circle here");
                self.wrong(to.place, wrong, "forward them to the cluster's own servers");
                continue;
            }
            seen.push(next);
            match covering(&self.sites[next], suffix) {
                Some(forward) => self.follow(suffix, forward, seen, found),
                None => {
                    let wrong = format!("the block at {} does not forward {suffix}", to.value);
                    self.wrong(to.place, wrong, "give that block a 'forward'");
                }
            }
            seen.pop();
        }
    }

    /// The blocks that listen at an address.
    fn listening(&self, addr: SocketAddr) -> Vec<usize> {
        let here = |site: &Site| {
            let listens = match &site.bind[..] {
                [] => addr.ip().is_loopback(),
                some => some.contains(&addr.ip()),
            };
            listens && site.keys.iter().any(|key| !key.tls && key.port == addr.port())
        };
        (0..self.sites.len()).filter(|&n| here(&self.sites[n])).collect()
    }

    /// Of some blocks at a port, the one that serves a name most closely.
    fn closest(&self, sites: &[usize], port: u16, name: &Suffix) -> Option<usize> {
        let labels = |n: usize| {
            let keys = self.sites[n].keys.iter();
            let keys = keys.filter(|key| key.port == port && under(name, &key.name));
            keys.map(|key| key.name.labels()).max()
        };
        let near = sites.iter().filter_map(|&n| Some((labels(n)?, n)));
        near.max_by_key(|&(labels, _)| labels).map(|(_, n)| n)
    }

    /// The settings of blocks that are served together, which have to agree.
    fn settings(&mut self, members: &[usize]) -> Settings {
        let sites = self.sites;
        let own: Vec<&directives::Settings> = members.iter().map(|&n| &sites[n].settings).collect();
        let mut all = self.defaults.clone();
        // One memory for all of them.
        all.cache = own.iter().filter_map(|settings| settings.cache).max().unwrap_or(0);
        if let Some(value) = self.agree(&own, |s| s.max_udp_payload.as_ref()) {
            all.max_udp_payload = value;
        }
        if let Some(value) = self.agree(&own, |s| s.max_fails.as_ref()) {
            all.max_fails = value;
        }
        if let Some(value) = self.agree(&own, |s| s.max_queries.as_ref()) {
            all.max_queries = value;
        }
        if let Some(value) = self.agree(&own, |s| s.allow.as_ref()) {
            all.allow = value;
        }
        all.admin.extend(own.iter().flat_map(|settings| &settings.admin));
        if let Some(lame_duck) = own.iter().filter_map(|settings| settings.lame_duck).max() {
            all.lame_duck = lame_duck;
        }
        all.identity = self.agree(&own, |s| s.identity.as_ref());
        all
    }

    /// What a block says of the behaviour of all that is in it.
    fn behaviour(&self, site: &Site) -> Behaviour {
        let (said, default) = (&site.settings, &self.defaults.behaviour);
        Behaviour {
            deadline: said.deadline.unwrap_or(default.deadline),
            keep_for: said.keep_for.unwrap_or(default.keep_for),
            // Without the directive nothing is cached, as with CoreDNS.
            cache_for: match said.cache {
                None => Duration::ZERO,
                Some(_) => said.cache_for.unwrap_or(default.cache_for).min(default.cache_for),
            },
            ..default.clone()
        }
    }

    /// The behaviour of a distributed zone; the policy is that of the forward
    /// its clusters' servers come from.
    fn zone_behaviour(&self, site: &Site, gather: &Gather, policy: Option<Policy>) -> Behaviour {
        let base = self.behaviour(site);
        let said = &gather.options;
        Behaviour {
            deadline: said.deadline.unwrap_or(base.deadline),
            on_missing: said.on_missing.unwrap_or(base.on_missing),
            min_clusters: said.min_clusters.as_ref().map_or(base.min_clusters, |set| set.value),
            keep_on_empty: said.keep_on_empty.unwrap_or(base.keep_on_empty),
            policy: policy.unwrap_or(base.policy),
            ..base
        }
    }

    /// One value for all, if any block sets it.
    fn agree<T: Clone + PartialEq>(
        &mut self,
        own: &[&directives::Settings],
        which: impl Fn(&directives::Settings) -> Option<&Set<T>>,
    ) -> Option<T> {
        let mut set = own.iter().filter_map(|settings| which(settings));
        let first = set.next()?;
        for other in set.filter(|other| other.value != first.value) {
            let wrong = format!(
                "this is said otherwise at {}, in a block that listens at the same addresses",
                self.called(first.place)
            );
            self.wrong(other.place, wrong, "say the same in both, or give one another port");
        }
        Some(first.value.clone())
    }
}

/// The forward of a block that covers a suffix most closely.
fn covering<'s>(site: &'s Site, suffix: &Suffix) -> Option<&'s Forward> {
    let forwards = site.forwards.iter().filter(|forward| under(suffix, &forward.from));
    forwards.max_by_key(|forward| forward.from.labels())
}
