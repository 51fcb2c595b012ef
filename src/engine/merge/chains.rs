//! Step two: the way from the question to its data, through CNAMEs.
//!
//! In one cluster's reply the records that count are those reached from the
//! question through CNAMEs; the rest is not about the question. Where a chain
//! ends at a name of another cluster, that cluster has been asked for it
//! ([`crate::engine::follow`]), and the chain goes on in its reply. What is
//! given of the chains is decided in [`super::owners`].

use super::{Merger, Section};
use crate::config::Zone;
use crate::engine::gather::Gather;
use crate::engine::sub::Progress;
use crate::engine::time::Time;
use crate::wire::name::{Budget, FlatName, same};
use crate::wire::names::{Ident, NameId};
use domain::base::iana::{Rcode, Rtype};

/// Longer chains than this are cut, as resolvers do (BIND at 17, Unbound at 11,
/// CoreDNS at 8); it bounds the work.
const MAX_CHAIN: usize = 11;

/// One cluster's way from the question to its data.
#[derive(Clone, Copy)]
pub(super) struct Chain {
    /// The sub-question it begins in.
    pub sub: usize,
    /// The one it ends in.
    pub last: usize,
    /// Its CNAMEs in [`Chains::links`].
    pub links: (usize, usize),
    /// The name it ends at.
    pub end: Ident,
    /// That name has the data asked for, in the reply it ends in.
    pub ended: bool,
    /// It cannot go on: a circle, or as long as any may be.
    pub stuck: bool,
    /// Its cluster has the name asked for (K8).
    pub exists: bool,
}

/// Memory for this step.
pub(super) struct Chains {
    pub chains: Vec<Chain>,
    /// Records that are the CNAMEs of the chains, chain after chain.
    pub links: Vec<u32>,
    /// Of each sub-question, its records in [`Merger::records`].
    spans: Vec<(u32, u32)>,
    pub qtype: Rtype,
    /// The reply that some chain ends in says NOERROR (M5); of the chains that
    /// begin with the CNAME given, if one is.
    pub any_noerror: bool,
    /// What is kept has data of the type asked for.
    pub has_data: bool,
    /// The question's name has no CNAME in the answer, because the clusters
    /// differ (K8).
    pub flattened: bool,
}

impl Default for Chains {
    fn default() -> Self {
        Chains {
            chains: Vec::new(),
            links: Vec::new(),
            spans: Vec::new(),
            qtype: Rtype::A,
            any_noerror: false,
            has_data: false,
            flattened: false,
        }
    }
}

/// The reply that a chain ends in says NOERROR.
pub(super) fn says_noerror(gather: &Gather, chain: Chain) -> bool {
    let last = &gather.subs()[chain.last].progress;
    matches!(last, Progress::Answered(last) if last.rcode == Rcode::NOERROR)
}

impl Merger {
    /// Follows the chain of every cluster that answered.
    pub(super) fn follow_chains(&mut self, gather: &Gather, zone: &Zone) {
        let chains = &mut self.chains;
        chains.chains.clear();
        chains.links.clear();
        chains.spans.clear();
        chains.qtype = gather.qtype();
        chains.any_noerror = false;
        let mut next = 0;
        for n in 0..gather.subs().len() {
            let first = next;
            while self.records.get(next).is_some_and(|record| record.sub == n) {
                next += 1;
            }
            chains.spans.push((first as u32, next as u32));
        }
        for (n, sub) in gather.subs().iter().enumerate() {
            if sub.follows {
                break; // These have no chain of their own, and are the last.
            }
            let Progress::Answered(summary) = &sub.progress else { continue };
            let chain = if summary.has_cname {
                self.follow_chain(n, gather, zone)
            } else {
                let end = self.names.ident(NameId::QUESTION);
                let at = self.chains.links.len();
                let ended = self.answer_record(n, end, self.chains.qtype).is_some();
                Chain { sub: n, last: n, links: (at, at), end, ended, stuck: false, exists: ended }
            };
            let exists = chain.exists || summary.rcode != Rcode::NXDOMAIN;
            self.chains.chains.push(Chain { exists, ..chain });
            self.chains.any_noerror |= says_noerror(gather, chain);
        }
    }

    fn follow_chain(&mut self, sub: usize, gather: &Gather, zone: &Zone) -> Chain {
        let from = self.chains.links.len();
        let qtype = self.chains.qtype;
        let question = self.names.ident(NameId::QUESTION);
        let (mut end, mut last, mut stuck) = (question, sub, false);
        let ended = loop {
            while !stuck && let Some(link) = self.answer_record(last, end, Rtype::CNAME) {
                self.chains.links.push(link as u32);
                end = self.names.ident(self.records[link].names[0]);
                let links = &self.chains.links[from..];
                let circle = end == question
                    || links
                        .iter()
                        .any(|&n| self.names.ident(self.records[n as usize].owner) == end);
                // Asked for the CNAME, nobody follows it.
                stuck = circle || links.len() == MAX_CHAIN || qtype == Rtype::CNAME;
                if circle || qtype == Rtype::CNAME {
                    let links = (from, self.chains.links.len());
                    return Chain { sub, last, links, end, ended: false, stuck, exists: true };
                }
            }
            if self.answer_record(last, end, qtype).is_some() {
                break true;
            }
            match self.next_reply(from, gather, zone) {
                Some(next) if next != last && !stuck => last = next,
                _ => break false,
            }
        };
        let links = (from, self.chains.links.len());
        Chain { sub, last, links, end, ended, stuck, exists: ended || links.0 < links.1 }
    }

    /// A record of a reply's answer section that nothing is decided about.
    fn answer_record(&self, sub: usize, owner: Ident, rtype: Rtype) -> Option<usize> {
        self.span(sub).find(|&n| {
            let record = &self.records[n];
            record.section == Section::Answer
                && record.fate == super::Fate::Open
                && record.rtype == rtype
                && self.names.ident(record.owner) == owner
        })
    }

    /// A reply's records in [`Merger::records`].
    pub(super) fn span(&self, sub: usize) -> std::ops::Range<usize> {
        let (first, after) = self.chains.spans[sub];
        first as usize..after as usize
    }

    /// The sub-question that goes on where the chain from link `from` on ends.
    fn next_reply(&self, from: usize, gather: &Gather, zone: &Zone) -> Option<usize> {
        if !gather.subs().last()?.follows || from == self.chains.links.len() {
            return None;
        }
        let link = *self.chains.links.last()?;
        let (cluster, name) = self.leads_to(link, gather, zone)?;
        gather.subs().iter().position(|sub| sub.continues(cluster, name.as_slice()))
    }

    /// The other cluster a CNAME leads to, and the name there as it came.
    fn leads_to(&self, link: u32, gather: &Gather, zone: &Zone) -> Option<(usize, FlatName)> {
        let name = self.target(link, gather)?;
        let own = gather.subs()[self.records[link as usize].sub].cluster;
        let (_, cluster) = zone.owner_of(&name, own)?;
        (cluster != own).then_some((cluster, name))
    }

    /// The target of a CNAME as it came.
    fn target(&self, link: u32, gather: &Gather) -> Option<FlatName> {
        let record = &self.records[link as usize];
        let packet = &gather.subs()[record.sub].reply[..];
        let mut name = FlatName::root();
        let mut budget = Budget::for_message(packet.len());
        name.read(packet, record.rdata.start as usize, &mut budget).ok()?;
        Some(name)
    }

    /// A CNAME leads to no name of any cluster.
    pub(super) fn leaves(&self, link: u32, gather: &Gather, zone: &Zone) -> bool {
        let own = gather.subs()[self.records[link as usize].sub].cluster;
        self.target(link, gather).is_none_or(|name| zone.owner_of(&name, own).is_none())
    }

    /// The names of other clusters that chains end at, without data and without
    /// a sub-question that goes on there: cluster and name, each once.
    pub(in crate::engine) fn open_ends(
        &mut self,
        now: Time,
        gather: &Gather,
        zone: &Zone,
    ) -> Vec<(usize, FlatName)> {
        self.notes.clear();
        self.names.start(gather.name());
        self.collect(now, gather, zone);
        self.follow_chains(gather, zone);
        let mut ends: Vec<(usize, FlatName)> = Vec::new();
        for chain in &self.chains.chains {
            let (from, to) = chain.links;
            if chain.ended || chain.stuck || from == to {
                continue;
            }
            let Some(end) = self.leads_to(self.chains.links[to - 1], gather, zone) else {
                continue;
            };
            let (cluster, name) = (end.0, end.1.as_slice());
            let known = gather.subs().iter().any(|sub| sub.continues(cluster, name))
                || ends.iter().any(|(c, n)| *c == cluster && same(n.as_slice(), name));
            if !known {
                ends.push(end);
            }
        }
        ends
    }
}
