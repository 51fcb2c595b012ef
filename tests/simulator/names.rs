//! The names of a simulated world, as clients ask them and as clusters are
//! asked. All are short, so that their text says everything about them.

use crate::common::Asked;

/// What a name is the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `nK.dD`: a service, in one of two domains.
    Service,
    /// `_x._tcp.nK.dD`: its SRV records.
    Srv,
    /// `_tcp.nK.dD`: between the two, an empty non-terminal.
    Tcp,
    /// `mM.nK.dD`: one of its members, the target of an SRV record.
    Member(u8),
    /// `tK.dD`: nothing; but with a prefix a service of that very name.
    Thing,
    /// `dD`: a domain, above all of these.
    Domain,
    /// `1-2-3-N.pod`: one of very many names that exist.
    Made,
    /// `xN.d0`: one of very many that do not.
    Absent,
    /// The zone itself, as probes ask for it.
    Apex,
}

/// A name below the zone, or below a cluster's suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// The cluster whose prefix is in front of it.
    pub prefix: Option<u8>,
    pub kind: Kind,
    pub number: u16,
}

/// The prefix of a cluster.
pub fn prefix(cluster: u8) -> String {
    format!("{}-", char::from(b'a' + cluster))
}

impl Name {
    pub const fn plain(kind: Kind, number: u16) -> Self {
        Name { prefix: None, kind, number }
    }

    pub const fn of(self, cluster: u8) -> Self {
        Name { prefix: Some(cluster), ..self }
    }

    /// The same without its prefix, as the cluster is asked first (Q4).
    pub const fn stripped(self) -> Self {
        Name { prefix: None, ..self }
    }

    /// The domain it is in.
    pub fn domain(self) -> Option<u16> {
        match self.kind {
            Kind::Made | Kind::Apex => None,
            Kind::Absent => Some(0),
            _ => Some(self.number % 2),
        }
    }

    /// Its text, up to the zone.
    pub fn text(self) -> String {
        let prefix = self.prefix.map_or(String::new(), prefix);
        let (n, d) = (self.number, self.number % 2);
        match self.kind {
            Kind::Service => format!("{prefix}n{n}.d{d}."),
            Kind::Srv => format!("_x._tcp.{prefix}n{n}.d{d}."),
            Kind::Tcp => format!("_tcp.{prefix}n{n}.d{d}."),
            Kind::Member(m) => format!("{prefix}m{m}.n{n}.d{d}."),
            Kind::Thing => format!("{prefix}t{n}.d{d}."),
            Kind::Domain => format!("{prefix}d{d}."),
            Kind::Made => format!("{prefix}1-2-3-{n}.pod."),
            Kind::Absent => format!("{prefix}x{n}.d0."),
            Kind::Apex => String::new(),
        }
    }

    /// The name whose text, up to the zone, this is.
    pub fn parse(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let mut labels: Vec<&str> = text.split('.').filter(|label| !label.is_empty()).collect();
        let underscores = labels.iter().take_while(|label| label.starts_with('_')).count();
        labels.drain(..underscores);
        let Some(first) = labels.first_mut() else { return Name::plain(Kind::Apex, 0) };
        let octets = first.as_bytes();
        let prefixed = octets.len() > 2 && octets[1] == b'-' && octets[0].is_ascii_lowercase();
        let prefix = prefixed.then(|| octets[0] - b'a');
        *first = &first[if prefixed { 2 } else { 0 }..];
        let digits = |label: &str| label[1..].parse::<u16>().expect("a number");
        let (kind, number) = match (first.as_bytes()[0], underscores) {
            (b'n', 0) => (Kind::Service, digits(first)),
            (b'n', 1) => (Kind::Tcp, digits(first)),
            (b'n', _) => (Kind::Srv, digits(first)),
            (b'm', _) => (Kind::Member(digits(first) as u8), digits(labels[1])),
            (b't', _) => (Kind::Thing, digits(first)),
            (b'd', _) => (Kind::Domain, digits(first)),
            (b'x', _) => (Kind::Absent, digits(first)),
            _ => (Kind::Made, first.rsplit('-').next().unwrap().parse().expect("a number")),
        };
        Name { prefix, kind, number }
    }

    /// Whether it is above `other`.
    pub fn is_ancestor_of(self, other: Self) -> bool {
        if self.prefix.is_some() {
            return false;
        }
        let same = self.number == other.number && other.prefix.is_none();
        match self.kind {
            Kind::Service => same && matches!(other.kind, Kind::Srv | Kind::Tcp | Kind::Member(_)),
            Kind::Tcp => same && other.kind == Kind::Srv,
            Kind::Domain => other.kind != Kind::Domain && other.domain() == Some(self.number % 2),
            _ => false,
        }
    }

    /// A number of five bits and a kind of three, for the octets of records.
    pub fn code(self) -> u8 {
        let kind = match self.kind {
            Kind::Service | Kind::Srv => 0,
            Kind::Member(_) => 1,
            Kind::Thing => 2,
            _ => 3,
        };
        kind << 5 | (self.number & 31) as u8
    }
}

/// The name in a question for a name below `cluster.local.`
pub fn asked_name(asked: &Asked) -> Name {
    const SUFFIX: &str = "cluster.local.";
    let text = text_of(&asked.packet[12..]);
    Name::parse(text.strip_suffix(SUFFIX).expect("a name under the suffix"))
}

/// A name in wire format, not compressed, as text in lower case.
pub fn text_of(name: &[u8]) -> String {
    let mut text = String::new();
    let mut at = 0;
    while name[at] != 0 {
        let end = at + 1 + usize::from(name[at]);
        text.push_str(std::str::from_utf8(&name[at + 1..end]).expect("ASCII"));
        text.push('.');
        at = end;
    }
    text.make_ascii_lowercase();
    text
}
