//! What a scenario is, in terms that stay meaningful while proptest makes it
//! smaller: names are said by what they are to the question and the clusters,
//! not spelled out. [`Scenario::zone`] and the like spell them.

use crate::labels::{Cluster, Labels, MAX_LABEL, Zone};
use crate::pack::Packing;

/// Everything one run depends on.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub zone: Labels,
    pub clusters: Vec<(Suffix, Vec<u8>)>,
    /// Fronts of names: every name of the scenario is made of one of these.
    pub hosts: Vec<Labels>,
    pub asks: Asks,
    pub settings: Settings,
    /// What each cluster does in each round; used again from the start if
    /// there are more clusters.
    pub scripts: Vec<[Script; 2]>,
    /// Who answers first: the cluster with the smallest number.
    pub order: Vec<u8>,
    /// What was asked before, and what became of it.
    pub history: Vec<Step>,
}

/// An earlier query.
#[derive(Clone, Debug)]
pub struct Step {
    pub asks: Asks,
    pub scripts: Vec<[Script; 2]>,
    /// Seconds until the next one.
    pub pause: u64,
}

/// A cluster's suffix, by what it is to the others.
#[derive(Clone, Debug)]
pub enum Suffix {
    Own(Labels),
    /// That of an earlier cluster, in another case.
    Same(usize),
    /// Under an earlier cluster's.
    Under(usize, Labels),
    /// What an earlier cluster's is under.
    Above(usize),
    UnderZone(Labels),
    AboveZone,
}

/// The client's query.
#[derive(Clone, Debug)]
pub struct Asks {
    pub underscores: usize,
    pub prefix: Option<usize>,
    pub host: Option<usize>,
    pub flipped: bool,
    pub rtype: u16,
    pub id: u16,
    pub rd: bool,
    pub cd: bool,
    /// Payload size and DO.
    pub edns: Option<(u16, bool)>,
    pub tcp: bool,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub fail: bool,
    pub partial: bool,
    pub empty: bool,
    pub min_clusters: usize,
    pub payload: u16,
    pub forward: bool,
    /// Answers are given again, for two seconds at most.
    pub cache: bool,
    /// Seconds for which what is held may be used: a day if not said.
    pub keep_for: Option<u64>,
    /// Seconds for which a cluster that has nothing suddenly is not believed.
    pub keep_on_empty: u64,
}

/// What a cluster does when it is asked.
#[derive(Clone, Debug)]
pub enum Script {
    Silent,
    /// An rcode that is no answer.
    Rcode(u16),
    Reply(Reply),
}

#[derive(Clone, Debug)]
pub struct Reply {
    pub nxdomain: bool,
    pub aa: bool,
    pub ra: bool,
    /// It is truncated over UDP first.
    pub cut: bool,
    pub answer: Vec<Item>,
    pub authority: Vec<Item>,
    pub additional: Vec<Item>,
    pub packing: Packing,
}

/// One record of a reply, or several that belong together.
#[derive(Clone, Debug)]
pub enum Item {
    /// Data of the type asked for, at a name.
    Data(Place, Data),
    /// A record of any type at a name.
    Other(Place, u16, Data),
    /// CNAMEs from each place to the next, and data of the type asked for at
    /// the last if so said; `backwards` puts them in the wrong order.
    Chain { places: Vec<Place>, data: Option<Data>, ttl: u32, backwards: bool },
    /// A chain of so many names.
    Long(u8, Data),
    /// A class that is not IN.
    Foreign(Place, Data),
}

/// What a record carries; a type takes of it what it has room for.
#[derive(Clone, Debug)]
pub struct Data {
    pub ttl: u32,
    pub number: u8,
    pub names: [Place; 2],
    /// Octets of text or parameters.
    pub bulk: u16,
    /// Records like it, with other numbers.
    pub more: u8,
}

/// A name, by what it is to the question and the cluster.
#[derive(Clone, Debug)]
pub enum Place {
    Asked,
    AskedFlipped,
    /// A host of this cluster.
    Host(usize),
    HostFlipped(usize),
    /// `_tcp` in front of a host of this cluster.
    Service(usize),
    /// A host of another cluster.
    Theirs(usize, usize),
    Outside(usize),
    OutsideFlipped(usize),
    /// A name of the distributed zone itself.
    Ours(usize),
    Apex,
    Root,
}

impl Scenario {
    /// The zone and its clusters, spelled out.
    pub fn zone(&self) -> Zone {
        let mut clusters: Vec<Cluster> = Vec::new();
        for (suffix, prefix) in &self.clusters {
            let earlier = |n: &usize| match clusters.len() {
                0 => Labels(vec![b"cluster".to_vec(), b"local".to_vec()]),
                len => clusters[n % len].suffix.clone(),
            };
            let above = |name: &Labels| Labels(name.0.iter().skip(1).cloned().collect());
            let mut suffix = match suffix {
                Suffix::Own(name) => name.clone(),
                Suffix::Same(n) => earlier(n).flipped(),
                Suffix::Under(n, front) => front.join(&earlier(n)).cut_to_fit(),
                Suffix::Above(n) => above(&earlier(n)),
                Suffix::UnderZone(front) => front.join(&self.zone).cut_to_fit(),
                Suffix::AboveZone => above(&self.zone),
            };
            if suffix.same(&self.zone) {
                suffix = Labels(vec![b"k".to_vec()]);
            }
            let taken = |prefix: &[u8]| {
                clusters.iter().any(|known| known.prefix.eq_ignore_ascii_case(prefix))
            };
            let mut prefix = prefix.clone();
            while taken(&prefix) {
                prefix.push(b'x');
            }
            clusters.push(Cluster { suffix, prefix });
        }
        Zone { name: self.zone.clone(), clusters }
    }

    /// The flags that configure this.
    pub fn flags(&self) -> Vec<String> {
        let zone = self.zone();
        let mut flags = vec![format!("--zone={}", zone.name.text())];
        for (n, cluster) in zone.clusters.iter().enumerate() {
            let prefix = String::from_utf8_lossy(&cluster.prefix);
            flags.push(format!("--cluster={} {prefix} 10.8.{n}.1", cluster.suffix.text()));
        }
        let settings = &self.settings;
        let mut set = |flag: &str, value: String| flags.extend([flag.to_string(), value]);
        set("--max-udp-payload", settings.payload.to_string());
        set("--min-clusters", self.min_clusters().to_string());
        if settings.fail {
            set("--on-missing", "fail".into());
        }
        if settings.partial && !settings.fail {
            set("--on-missing", "partial".into());
        }
        if settings.cache {
            set("--cache", "1000".into());
            set("--cache-for", "2s".into());
        }
        if let Some(seconds) = settings.keep_for {
            set("--keep-for", format!("{seconds}s"));
        }
        if settings.keep_on_empty > 0 {
            set("--keep-on-empty", format!("{}s", settings.keep_on_empty));
        }
        if !self.history.is_empty() {
            set("--keep", "10000".into());
        }
        if settings.empty {
            set("--truncated", "empty".into());
        }
        if settings.forward {
            set("--forward", ". 192.0.2.53".into());
        }
        flags
    }

    pub fn min_clusters(&self) -> usize {
        self.settings.min_clusters.min(self.clusters.len())
    }

    pub fn host(&self, n: usize) -> Labels {
        self.hosts[n % self.hosts.len()].clone()
    }

    /// The name the client asks for.
    pub fn question(&self) -> Labels {
        self.name_of(&self.asks)
    }

    /// The name a client asks for.
    pub fn name_of(&self, asks: &Asks) -> Labels {
        let mut front = asks.host.map(|n| self.host(n)).unwrap_or_default();
        if let Some(cluster) = asks.prefix
            && let Some(carrier) = front.carrier()
        {
            let clusters = self.zone().clusters;
            let prefix = &clusters[cluster % clusters.len()].prefix;
            let mut label = [prefix, &front.0[carrier][..]].concat();
            label.truncate(MAX_LABEL);
            front.0[carrier] = label;
        }
        for label in ["_tcp", "_x"].iter().take(asks.underscores) {
            front.0.insert(0, label.as_bytes().to_vec());
        }
        let name = front.join(&self.zone);
        let name = if asks.flipped { name.flipped() } else { name };
        name.cut_to_fit()
    }

    /// A name, spelled for one cluster that was asked for `asked`.
    pub fn place(&self, place: &Place, cluster: usize, asked: &Labels) -> Labels {
        let zone = self.zone();
        let own = &zone.clusters[cluster].suffix;
        let outside = Labels(vec![b"Example".to_vec()]);
        let name = match place {
            Place::Asked => asked.clone(),
            Place::AskedFlipped => asked.flipped(),
            Place::Host(n) => self.host(*n).join(own),
            Place::HostFlipped(n) => self.host(*n).join(own).flipped(),
            Place::Service(n) => Labels(vec![b"_tcp".to_vec()]).join(&self.host(*n)).join(own),
            Place::Theirs(c, n) => {
                self.host(*n).join(&zone.clusters[c % zone.clusters.len()].suffix)
            }
            Place::Outside(n) => self.host(*n).join(&outside),
            Place::OutsideFlipped(n) => self.host(*n).join(&outside).flipped(),
            Place::Ours(n) => self.host(*n).join(&self.zone),
            Place::Apex => own.clone(),
            Place::Root => Labels::default(),
        };
        name.cut_to_fit()
    }
}
