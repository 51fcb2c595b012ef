//! Names as lists of labels, and what the contract says about one name: whose
//! it is (Q1), whom it is asked of (Q4), and how it is rewritten (Q6, R2).
//!
//! Nothing here is clever: a name is a vector of vectors, compared label by
//! label. That is the point; the engine's names are flat and full of offsets.

use std::fmt::{Debug, Formatter};

/// The longest name and label of RFC 1035, 2.3.4.
pub const MAX_NAME: usize = 255;
pub const MAX_LABEL: usize = 63;

/// A name: its labels from the left, the root not among them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Labels(pub Vec<Vec<u8>>);

impl Debug for Labels {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

impl Labels {
    /// Octets on the wire, the root's included.
    pub fn len(&self) -> usize {
        1 + self.0.iter().map(|label| label.len() + 1).sum::<usize>()
    }

    /// As in a zone file, everything unusual as `\DDD`.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for label in &self.0 {
            for &octet in label {
                match octet {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {
                        out.push(octet as char)
                    }
                    _ => out.push_str(&format!("\\{octet:03}")),
                }
            }
            out.push('.');
        }
        if out.is_empty() { ".".into() } else { out }
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// ASCII letters in lower case: what a name is, whatever its case.
    pub fn folded(&self) -> Labels {
        Labels(self.0.iter().map(|label| label.to_ascii_lowercase()).collect())
    }

    pub fn same(&self, other: &Labels) -> bool {
        self.folded() == other.folded()
    }

    /// The labels in front of `suffix`, if the name is at or under it (Q1).
    pub fn in_front_of(&self, suffix: &Labels) -> Option<Labels> {
        let front = self.0.len().checked_sub(suffix.0.len())?;
        let end = Labels(self.0[front..].to_vec());
        end.same(suffix).then(|| Labels(self.0[..front].to_vec()))
    }

    pub fn join(&self, behind: &Labels) -> Labels {
        Labels(self.0.iter().chain(&behind.0).cloned().collect())
    }

    /// Which label carries a prefix: the first that does not begin with `_`.
    pub fn carrier(&self) -> Option<usize> {
        self.0.iter().position(|label| label[0] != b'_')
    }

    pub fn fits(&self) -> bool {
        self.len() <= MAX_NAME && self.0.iter().all(|label| label.len() <= MAX_LABEL)
    }

    /// Letters in the other case.
    pub fn flipped(&self) -> Labels {
        let flip = |octet: &u8| {
            if octet.is_ascii_lowercase() {
                octet.to_ascii_uppercase()
            } else {
                octet.to_ascii_lowercase()
            }
        };
        Labels(self.0.iter().map(|label| label.iter().map(flip).collect()).collect())
    }

    /// Without as many of its first labels as make it too long.
    pub fn cut_to_fit(mut self) -> Labels {
        while self.len() > MAX_NAME {
            self.0.remove(0);
        }
        self
    }
}

/// A cluster, as the configuration has it.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub suffix: Labels,
    pub prefix: Vec<u8>,
}

/// A zone, as the configuration has it.
#[derive(Clone, Debug)]
pub struct Zone {
    pub name: Labels,
    pub clusters: Vec<Cluster>,
}

impl Zone {
    /// Q4 and Q6: the clusters whose prefix the name has, each with the name
    /// it is asked; `None` instead of a name that would be too long for it.
    pub fn prefixed(&self, name: &Labels) -> Vec<(usize, Option<Labels>)> {
        let front = name.in_front_of(&self.name).expect("a name of the zone");
        let mut asked = Vec::new();
        let Some(carrier) = front.carrier() else { return asked };
        for (n, cluster) in self.clusters.iter().enumerate() {
            let label = &front.0[carrier];
            let len = cluster.prefix.len();
            if label.len() > len && label[..len].eq_ignore_ascii_case(&cluster.prefix) {
                let mut front = front.clone();
                front.0[carrier] = label[len..].to_vec();
                let name = front.join(&cluster.suffix);
                asked.push((n, name.fits().then_some(name)));
            }
        }
        asked
    }

    /// Q6: every cluster, with the name it is asked.
    pub fn plain(&self, name: &Labels) -> Vec<(usize, Option<Labels>)> {
        let front = name.in_front_of(&self.name).expect("a name of the zone");
        let asked = self.clusters.iter().map(|cluster| front.join(&cluster.suffix));
        asked.map(|name| name.fits().then_some(name)).enumerate().collect()
    }

    /// R2 for a name from `cluster`.
    pub fn rewrite(&self, cluster: usize, name: &Labels) -> Rewritten {
        let from = self.whose(cluster, name);
        let Some((front, cluster)) = from else { return Rewritten::Kept };
        let mut front = front;
        if let Some(carrier) = front.carrier() {
            let label = [&self.clusters[cluster].prefix[..], &front.0[carrier]].concat();
            front.0[carrier] = label;
        }
        let made = front.join(&self.name);
        if made.fits() { Rewritten::Made(made) } else { Rewritten::TooLong }
    }

    /// The cluster whose suffix a name is under: the answering one's first,
    /// then the closest, then the first.
    pub fn whose(&self, answering: usize, name: &Labels) -> Option<(Labels, usize)> {
        if name.is_root() {
            return None;
        }
        if let Some(front) = name.in_front_of(&self.clusters[answering].suffix) {
            return Some((front, answering));
        }
        let mut found: Option<(Labels, usize)> = None;
        for (n, cluster) in self.clusters.iter().enumerate() {
            if let Some(front) = name.in_front_of(&cluster.suffix)
                && found.as_ref().is_none_or(|(known, _)| front.0.len() < known.0.len())
            {
                found = Some((front, n));
            }
        }
        found
    }
}

/// What R2 makes of a name.
#[derive(Debug, PartialEq, Eq)]
pub enum Rewritten {
    Kept,
    Made(Labels),
    TooLong,
}
