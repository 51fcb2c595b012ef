//! From words to a plan: every check that needs more than one word.

use super::plan::{Behaviour, Cluster, Forward, Plan, Settings, Zone};
use super::server::{Server, ServerOptions};
use super::{ConfigError, exposure, meetings, words};
use crate::wire::name::Suffix;

/// The most servers of one cluster or forward.
pub const MAX_SERVERS: usize = 16;

/// A configuration as written, before it is checked.
#[derive(Debug, Default, Clone)]
pub struct Draft {
    /// What holds for all zones.
    pub settings: Settings,
    /// The zones.
    pub zones: Vec<ZoneDraft>,
    /// The forwards.
    pub forwards: Vec<ForwardDraft>,
}

/// A zone as written.
#[derive(Debug, Default, Clone)]
pub struct ZoneDraft {
    /// Where it is written, for errors.
    pub place: String,
    /// Its name.
    pub name: String,
    /// Its clusters: where each is written, and its words.
    pub clusters: Vec<(String, String)>,
    /// Its behaviour, if it has one of its own.
    pub behaviour: Option<Behaviour>,
}

/// A forward as written.
#[derive(Debug, Default, Clone)]
pub struct ForwardDraft {
    /// Where it is written, for errors.
    pub place: String,
    /// Zone and servers, in one string.
    pub words: String,
    /// Its behaviour, if it has one of its own.
    pub behaviour: Option<Behaviour>,
}

/// Checks a draft and makes it a plan, or says what is wrong first.
pub fn build(draft: Draft) -> Result<Plan, ConfigError> {
    let mut servers = Servers::default();
    let mut zones: Vec<Zone> = Vec::new();
    for written in &draft.zones {
        let zone = zone(written, &draft.settings, &mut servers)?;
        if zones.iter().any(|known| known.name.same(&zone.name)) {
            return Err(ConfigError {
                place: written.place.clone(),
                wrong: format!("the zone {} is there already", zone.name),
                remedy: "give its clusters to the one zone".into(),
            });
        }
        zones.push(zone);
    }
    let mut forwards: Vec<Forward> = Vec::new();
    for written in &draft.forwards {
        let mut forward = forward(written, &zones, &mut servers)?;
        forward.behaviour = behaviour(&written.behaviour, &draft.settings);
        if forwards.iter().any(|known| known.name.same(&forward.name)) {
            return Err(ConfigError {
                place: written.place.clone(),
                wrong: format!("{} is forwarded already", forward.name),
                remedy: "name all its servers in one forward".into(),
            });
        }
        forwards.push(forward);
    }
    if zones.is_empty() && forwards.is_empty() {
        return Err(ConfigError {
            place: "--zone".into(),
            wrong: "there is no zone to serve".into(),
            remedy: "name one, such as --zone distributed.local., and its clusters with --cluster"
                .into(),
        });
    }
    let places: Vec<Vec<String>> = draft
        .zones
        .iter()
        .map(|zone| zone.clusters.iter().map(|(at, line)| format!("{at} '{line}'")).collect())
        .collect();
    let mut warnings = meetings::check(&zones, &places)?;
    warnings.extend(exposure::check(&draft.settings, &forwards));
    Ok(Plan::new(draft.settings, zones, forwards, servers.0, warnings))
}

/// Every server once.
#[derive(Default)]
struct Servers(Vec<Server>);

impl Servers {
    fn number(&mut self, server: Server) -> usize {
        if let Some(known) = self.0.iter().position(|known| *known == server) {
            return known;
        }
        self.0.push(server);
        self.0.len() - 1
    }
}

/// The servers on a line, and what its options say of them. `first` is the
/// number of the first word.
fn servers_of<'a>(
    line: &str,
    words_of_line: impl Iterator<Item = &'a str>,
    at: impl Fn(usize) -> String,
    first: usize,
    servers: &mut Servers,
) -> Result<(Vec<usize>, ServerOptions), ConfigError> {
    let mut options = ServerOptions::default();
    let mut read = Vec::new();
    for (n, word) in (first..).zip(words_of_line) {
        match word.split_once('=') {
            Some((key, value)) => words::server_option(&at(n), key, value, &mut options)?,
            None => read.push((n, word, words::server(&at(n), word)?)),
        }
    }
    let mut numbers = Vec::new();
    let mut secure = false;
    for (n, word, mut server) in read {
        if let Some(tls) = &mut server.tls {
            secure = true;
            tls.ca.clone_from(&options.ca);
        }
        let number = servers.number(server);
        if numbers.contains(&number) {
            return Err(ConfigError {
                place: at(n),
                wrong: format!("the server '{word}' is there already"),
                remedy: "name every server of a cluster once".into(),
            });
        }
        numbers.push(number);
    }
    if options.ca.is_some() && !secure {
        return Err(ConfigError {
            place: format!("{} of '{line}'", at(first)),
            wrong: "'ca=' is for servers over TLS, and there is none".into(),
            remedy: "write them as 'tls://10.8.0.1:853#NAME', or take it out".into(),
        });
    }
    Ok((numbers, options))
}

fn behaviour(own: &Option<Behaviour>, settings: &Settings) -> Behaviour {
    own.as_ref().unwrap_or(&settings.behaviour).clone()
}

fn zone(
    written: &ZoneDraft,
    settings: &Settings,
    servers: &mut Servers,
) -> Result<Zone, ConfigError> {
    let name = words::name(&written.place, &written.name)?;
    let place = || written.place.clone();
    if name.labels() == 0 {
        return Err(ConfigError {
            place: place(),
            wrong: "the root cannot be a distributed zone".into(),
            remedy: "name a domain of your own, such as distributed.local.".into(),
        });
    }
    let beside = |label: &[u8]| {
        let mut octets = vec![label.len() as u8];
        octets.extend(label);
        octets.extend(name.as_slice());
        Suffix::new(&octets).map_err(|_| ConfigError {
            place: place(),
            wrong: format!("the zone {name} leaves no room for names under it"),
            remedy: "choose a shorter name".into(),
        })
    };
    // Nothing in a Kubernetes zone is called either of these, so asking for
    // them finds what it should: nothing of a cluster's.
    let primary = beside(b"ns")?;
    let mailbox = beside(b"hostmaster")?;
    let mut clusters: Vec<Cluster> = Vec::new();
    for (at, line) in &written.clusters {
        let cluster = cluster(at, line, servers)?;
        if cluster.suffix.same(&name) {
            return Err(ConfigError {
                place: at.clone(),
                wrong: format!("the cluster's suffix {} is the zone itself", cluster.suffix),
                remedy: "give the zone of the cluster's own DNS, such as cluster.local.".into(),
            });
        }
        if let Some(known) =
            clusters.iter().find(|known| known.prefix.eq_ignore_ascii_case(&cluster.prefix))
        {
            return Err(ConfigError {
                place: at.clone(),
                wrong: format!(
                    "the prefix '{}' is that of cluster {} already",
                    String::from_utf8_lossy(&cluster.prefix),
                    known.suffix
                ),
                remedy: "give every cluster of a zone a prefix of its own".into(),
            });
        }
        clusters.push(cluster);
    }
    if clusters.is_empty() {
        return Err(ConfigError {
            place: place(),
            wrong: format!("the zone {name} has no clusters"),
            remedy: "add one with --cluster 'cluster-a.local. a- 10.8.0.1'".into(),
        });
    }
    let behaviour = behaviour(&written.behaviour, settings);
    let (least, asked) = (behaviour.min_clusters, clusters.len());
    if least > asked {
        return Err(ConfigError {
            place: "--min-clusters".into(),
            wrong: format!("{least} clusters can never answer where {name} has {asked}"),
            remedy: format!("give a number from 0 to {asked}"),
        });
    }
    Ok(Zone { name, clusters, primary, mailbox, behaviour })
}

fn cluster(place: &str, line: &str, servers: &mut Servers) -> Result<Cluster, ConfigError> {
    let mut line_words = line.split_whitespace();
    let missing = |what: &str| ConfigError {
        place: format!("{place} '{line}'"),
        wrong: format!("the {what} is missing"),
        remedy: "write SUFFIX PREFIX SERVER..., such as 'cluster-a.local. a- 10.8.0.1:53'".into(),
    };
    let at = |n: usize| format!("{place} '{line}', word {n}");
    let suffix = line_words.next().ok_or_else(|| missing("suffix"))?;
    let suffix = words::name(&at(1), suffix)?;
    let prefix = line_words.next().ok_or_else(|| missing("prefix"))?;
    let prefix = words::prefix(&at(2), prefix)?;
    let (numbers, options) = servers_of(line, line_words, at, 3, servers)?;
    if numbers.is_empty() {
        return Err(missing("server"));
    }
    too_many(place, line, numbers.len())?;
    let label = format!("{suffix} {}", String::from_utf8_lossy(&prefix));
    let random_case = options.random_case;
    Ok(Cluster { suffix, prefix, servers: numbers, label, random_case })
}

fn too_many(place: &str, line: &str, servers: usize) -> Result<(), ConfigError> {
    if servers <= MAX_SERVERS {
        return Ok(());
    }
    Err(ConfigError {
        place: format!("{place} '{line}'"),
        wrong: format!("{servers} servers are more than a question can try before its deadline"),
        remedy: format!("name at most {MAX_SERVERS}"),
    })
}

fn forward(
    written: &ForwardDraft,
    zones: &[Zone],
    servers: &mut Servers,
) -> Result<Forward, ConfigError> {
    let line = &written.words;
    let mut words_of_line = line.split_whitespace();
    let at = |n: usize| format!("{} '{line}', word {n}", written.place);
    let name = words::name(&at(1), words_of_line.next().unwrap_or_default())?;
    if let Some(zone) = zones.iter().find(|zone| {
        let flat = crate::wire::name::FlatName::from_flat(name.as_slice());
        flat.is_ok_and(|flat| flat.under(&zone.name).is_some())
    }) {
        return Err(ConfigError {
            place: at(1),
            wrong: format!("{name} is inside the zone {}, so it is never forwarded", zone.name),
            remedy: "forward a name outside every zone, such as '.' for all others".into(),
        });
    }
    let (numbers, options) = servers_of(line, words_of_line, at, 2, servers)?;
    if numbers.is_empty() {
        return Err(ConfigError {
            place: format!("{} '{line}'", written.place),
            wrong: "the server is missing".into(),
            remedy: "write ZONE SERVER..., such as '. 192.0.2.53'".into(),
        });
    }
    too_many(&written.place, line, numbers.len())?;
    let random_case = options.random_case;
    Ok(Forward { name, servers: numbers, behaviour: Behaviour::default(), random_case })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(clusters: &[&str], forwards: &[&str]) -> Result<Plan, String> {
        let zone = ZoneDraft {
            place: "--zone".into(),
            name: "distributed.local.".into(),
            clusters: clusters.iter().map(|line| ("--cluster".into(), line.to_string())).collect(),
            behaviour: None,
        };
        let forwards = forwards
            .iter()
            .map(|line| ForwardDraft {
                place: "--forward".into(),
                words: line.to_string(),
                behaviour: None,
            })
            .collect();
        build(Draft { zones: vec![zone], forwards, ..Draft::default() }).map_err(|e| e.to_string())
    }

    #[test]
    fn two_clusters_may_share_a_suffix_and_not_a_prefix() {
        let both = ["cluster.local. a- 10.8.0.1", "cluster.local b- 10.9.0.1:53 10.8.0.1:53"];
        let made = plan(&both, &[". 10.8.0.1"]).unwrap();
        assert_eq!(made.servers.len(), 2);
        assert_eq!(made.zones[0].clusters[1].servers, [1, 0]);
        let told = plan(&["a.local. a- 10.8.0.1", "b.local. A- 10.9.0.1"], &[]).unwrap_err();
        assert!(told.contains("'A-' is that of cluster a.local. already"), "{told}");
    }

    #[test]
    fn every_mistake_names_its_word_and_a_remedy() {
        for (line, place, wrong) in [
            ("", "--cluster ''", "the suffix is missing"),
            ("a.local.", "--cluster 'a.local.'", "the prefix is missing"),
            ("a.local. a-", "--cluster 'a.local. a-'", "the server is missing"),
            ("a..local. a- 10.8.0.1", "--cluster 'a..local. a- 10.8.0.1', word 1", "'a..local.'"),
            ("a.local. a. 10.8.0.1", "--cluster 'a.local. a. 10.8.0.1', word 2", "'a.'"),
            ("a.local. a- ten", "--cluster 'a.local. a- ten', word 3", "'ten'"),
            ("a.local. a- 10.8.0.1 x", "--cluster 'a.local. a- 10.8.0.1 x', word 4", "'x'"),
            ("Distributed.local. a- 10.8.0.1", "--cluster", "is the zone itself"),
        ] {
            let told = plan(&[line], &[]).unwrap_err();
            assert!(told.starts_with(place), "{told}");
            assert!(told.contains(wrong), "{told}");
        }
        assert!(plan(&[], &[]).unwrap_err().contains("has no clusters"));
    }

    #[test]
    fn a_forward_inside_a_zone_could_never_be_asked() {
        let clusters = ["a.local. a- 10.8.0.1"];
        let told = plan(&clusters, &["x.distributed.local. 10.8.0.1"]).unwrap_err();
        let place = "--forward 'x.distributed.local. 10.8.0.1', word 1: ";
        assert!(told.starts_with(place) && told.contains("never forwarded"), "{told}");
        assert!(plan(&clusters, &["."]).unwrap_err().contains("the server is missing"));
        assert!(plan(&clusters, &[""]).unwrap_err().contains("the name is empty"));
    }
}
