//! Addresses that came beside an answer (K6): those of the targets of its SRV,
//! MX and CNAME records. Who is given a target asks for its address next.

use crate::wire::name::{Budget, FlatName, Suffix};
use crate::wire::reply::{QUESTION_POINTER, Summary};
use crate::wire::{Malformed, rdata, record};
use domain::base::iana::{Class, Rtype};
use std::collections::{HashMap, HashSet};

/// Records of one name and type, all addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Each record in wire format, its owner a pointer to the question.
    pub records: Vec<u8>,
    /// How many.
    pub count: u16,
}

/// The addresses of one name.
#[derive(Debug)]
pub struct Found {
    /// The name, flat, in lower case.
    pub name: Box<[u8]>,
    /// A or AAAA.
    pub rtype: Rtype,
    /// Themselves.
    pub addresses: Addresses,
}

/// Calls `each` with all records of class IN, and their section.
fn walk(
    reply: &[u8],
    summary: &Summary,
    mut each: impl FnMut(usize, record::RawRecord) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut at = summary.records;
    for (section, &count) in summary.counts.iter().enumerate() {
        for _ in 0..count {
            let (raw, next) = record::read(reply, at)?;
            at = next;
            if raw.class == Class::IN && raw.rtype != Rtype::OPT {
                each(section, raw)?;
            }
        }
    }
    Ok(())
}

/// The smallest TTL in the answer section of a reply, in seconds.
pub fn smallest_ttl(reply: &[u8], summary: &Summary) -> u32 {
    let mut smallest = None;
    // A reply that was checked is read to its end.
    let _ = walk(reply, summary, |section, raw| {
        if section == 0 {
            smallest = Some(smallest.map_or(raw.ttl, |known: u32| known.min(raw.ttl)));
        }
        Ok(())
    });
    smallest.unwrap_or(0)
}

/// The addresses of targets in a reply that was checked, as far as the targets
/// are under the cluster's own suffix.
pub fn addresses(reply: &[u8], summary: &Summary, suffix: &Suffix) -> Vec<Found> {
    let mut found = Vec::new();
    let Ok(targets) = targets(reply, summary, suffix) else { return found };
    if targets.is_empty() {
        return found;
    }
    let mut places: HashMap<(Box<[u8]>, Rtype), usize> = HashMap::new();
    let mut name = FlatName::root();
    let mut budget = Budget::for_message(reply.len());
    let _ = walk(reply, summary, |section, raw| {
        if section == 1 || !matches!(raw.rtype, Rtype::A | Rtype::AAAA) {
            return Ok(());
        }
        name.read(reply, raw.owner, &mut budget)?;
        name.make_lowercase();
        if !targets.contains(name.as_slice()) {
            return Ok(());
        }
        let place = *places.entry((name.as_slice().into(), raw.rtype)).or_insert_with(|| {
            found.push(Found {
                name: name.as_slice().into(),
                rtype: raw.rtype,
                addresses: Addresses::default(),
            });
            found.len() - 1
        });
        if let Some(known) = found.get_mut(place) {
            known.addresses.count = known.addresses.count.saturating_add(1);
            let fixed = raw.rdata.start.saturating_sub(10);
            let [high, low] = QUESTION_POINTER;
            known.addresses.records.extend([high, low]);
            known.addresses.records.extend_from_slice(&reply[fixed..raw.rdata.end]);
        }
        Ok(())
    });
    found
}

fn targets(
    reply: &[u8],
    summary: &Summary,
    suffix: &Suffix,
) -> Result<HashSet<Box<[u8]>>, Malformed> {
    let mut targets = HashSet::new();
    let mut name = FlatName::root();
    let mut budget = Budget::for_message(reply.len());
    walk(reply, summary, |section, raw| {
        if section == 0 && matches!(raw.rtype, Rtype::SRV | Rtype::MX | Rtype::CNAME) {
            let Some(layout) = rdata::layout(raw.rtype) else { return Ok(()) };
            let parts = layout.parts(reply, raw.rdata)?;
            name.read(reply, parts.names[0], &mut budget)?;
            if name.under(suffix).is_some() {
                name.make_lowercase();
                targets.insert(name.as_slice().into());
            }
        }
        Ok(())
    })?;
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::reply;

    /// A reply to `_t.k. SRV`: two targets, of which one is in the cluster, and
    /// addresses beside them.
    const REPLY: &[u8] = b"\0\0\x84\0\0\x01\0\x02\0\0\0\x04\
        \x02_t\x01k\0\0\x21\0\x01\
        \xC0\x0C\0\x21\0\x01\0\0\0\x1E\0\x0B\0\0\0\0\0\x01\x01a\x01k\0\
        \xC0\x0C\0\x21\0\x01\0\0\0\x3C\0\x0B\0\0\0\0\0\x01\x01a\x01x\0\
        \x01A\x01K\0\0\x01\0\x01\0\0\0\x1E\0\x04\x0A\0\0\x01\
        \x01a\x01k\0\0\x01\0\x01\0\0\0\x1E\0\x04\x0A\0\0\x02\
        \x01a\x01k\0\0\x1C\0\x01\0\0\0\x1E\0\x10\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x01\
        \x01a\x01x\0\0\x01\0\x01\0\0\0\x1E\0\x04\x0A\0\0\x03";

    #[test]
    fn k6_addresses_of_targets_in_the_cluster_are_found_by_name_and_type() {
        let question = &REPLY[12..22];
        let summary = reply::check(REPLY, question).unwrap();
        let suffix = Suffix::new(b"\x01k\0").unwrap();
        let found = addresses(REPLY, &summary, &suffix);
        let told: Vec<_> =
            found.iter().map(|found| (&*found.name, found.rtype, found.addresses.count)).collect();
        assert_eq!(told, [(&b"\x01a\x01k\0"[..], Rtype::A, 2), (b"\x01a\x01k\0", Rtype::AAAA, 1)]);
        let both = b"\xC0\x0C\0\x01\0\x01\0\0\0\x1E\0\x04\x0A\0\0\x01\
            \xC0\x0C\0\x01\0\x01\0\0\0\x1E\0\x04\x0A\0\0\x02";
        assert_eq!(found[0].addresses.records, both);
        assert_eq!(smallest_ttl(REPLY, &summary), 30);
    }
}
