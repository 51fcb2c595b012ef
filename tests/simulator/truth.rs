//! What is true in a cluster about a name and a type. Each cluster has a truth
//! of its own for a while, an epoch, and then another. Whose it is, about what,
//! since when, stands in four octets of every record, so that an answer tells
//! where it came from.

use crate::names::{Kind, Name};
use domain::base::iana::Rtype;
use std::hash::{Hash, Hasher};

/// First octet of every address a cluster gives. Forgers use another.
pub const HONEST: u8 = 10;

/// The types that are asked for.
pub const TYPES: [Rtype; 6] =
    [Rtype::A, Rtype::AAAA, Rtype::HTTPS, Rtype::SRV, Rtype::TXT, Rtype::NS];

/// What a cluster says about a name and a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Truth {
    /// So many records.
    Records(u8),
    /// The name exists without any.
    NoData,
    NxDomain,
}

/// What the truths of one world are drawn from.
#[derive(Debug, Clone, Copy)]
pub struct Truths {
    pub seed: u64,
    /// Percent of the services with so many members that datagrams are full.
    pub large: u8,
}

/// A fast hash that is the same everywhere.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        let mut mixed = self.0;
        mixed ^= mixed >> 32;
        mixed = mixed.wrapping_mul(0xD6E8_FEB8_6659_FD93);
        mixed ^ mixed >> 32
    }

    fn write(&mut self, octets: &[u8]) {
        for &octet in octets {
            self.0 = (self.0 ^ u64::from(octet)).wrapping_mul(0x0100_0000_01B3);
            self.0 ^= self.0 >> 29;
        }
    }
}

fn drawn(of: impl Hash) -> u64 {
    let mut mix = Mix(0xCBF2_9CE4_8422_2325);
    of.hash(&mut mix);
    mix.finish()
}

impl Truths {
    fn has_domain(self, cluster: u8, name: Name) -> bool {
        name.domain().is_none_or(|d| !drawn((self.seed, cluster, d, 'd')).is_multiple_of(5))
    }

    /// Members of a service; `None` if it is not there, none at all if nothing
    /// is behind it.
    fn members(self, cluster: u8, name: Name, epoch: u8) -> Option<u8> {
        if !self.has_domain(cluster, name) {
            return None;
        }
        let thing = name.kind == Kind::Thing;
        // A prefix that belongs to the name is part of one service's name.
        if thing && name.prefix != Some((name.number % 2) as u8) {
            return None;
        }
        if !thing && name.prefix.is_some() {
            return None;
        }
        let (n, kind) = (name.number, u8::from(thing));
        if thing && drawn((self.seed, cluster, n, 't')).is_multiple_of(2) {
            return None;
        }
        let large = drawn((self.seed, cluster, n, kind, 'l')) % 100 < u64::from(self.large);
        let drawn = drawn((self.seed, cluster, n, kind, epoch, 'm'));
        match drawn % 10 {
            0 => None,
            1 => Some(0),
            _ if large => Some(9 + (drawn >> 8) as u8 % 6),
            _ => Some(1 + (drawn >> 8) as u8 % 3),
        }
    }

    /// Whether a service has another type beside its addresses.
    fn has(self, name: Name, rtype: Rtype, one_in: u64) -> bool {
        drawn((self.seed, name.number, name.code() >> 5 == 2, rtype.to_int()))
            .is_multiple_of(one_in)
    }

    pub fn of(self, cluster: u8, name: Name, rtype: Rtype, epoch: u8) -> Truth {
        let records = |count: u8, there: bool| {
            if there && count > 0 { Truth::Records(count) } else { Truth::NoData }
        };
        let service = Name { kind: Kind::Service, ..name };
        match name.kind {
            Kind::Service | Kind::Thing => {
                let Some(count) = self.members(cluster, name, epoch) else {
                    return Truth::NxDomain;
                };
                match rtype {
                    Rtype::A => records(count, true),
                    Rtype::AAAA => records(count, self.has(service, rtype, 3)),
                    Rtype::HTTPS => records(1, self.has(service, rtype, 3)),
                    Rtype::TXT => records(1, self.has(service, rtype, 2)),
                    Rtype::NS => records(1, self.has(service, rtype, 6)),
                    _ => Truth::NoData,
                }
            }
            Kind::Srv => match self.members(cluster, service, epoch) {
                None | Some(0) => Truth::NxDomain,
                Some(count) => records(count, rtype == Rtype::SRV),
            },
            Kind::Tcp => match self.members(cluster, service, epoch) {
                None | Some(0) => Truth::NxDomain,
                Some(_) => Truth::NoData,
            },
            Kind::Member(m) => match self.members(cluster, service, epoch) {
                Some(count) if count > m => {
                    let both = rtype == Rtype::AAAA && self.has(service, rtype, 3);
                    records(1, rtype == Rtype::A || both)
                }
                _ => Truth::NxDomain,
            },
            Kind::Domain if name.prefix.is_none() && self.has_domain(cluster, name) => {
                Truth::NoData
            }
            Kind::Made if name.prefix.is_none() => records(1, rtype == Rtype::A),
            Kind::Apex => Truth::NoData,
            Kind::Domain | Kind::Made | Kind::Absent => Truth::NxDomain,
        }
    }
}

/// The octets of a record: whose it is, about what, since when.
pub fn payload(cluster: u8, name: Name, member: u8, epoch: u8) -> [u8; 4] {
    [HONEST, cluster * 16 + member, name.code(), epoch]
}
