//! Which CNAME is given at the question's name, if any (M4, K8).
//!
//! Caches believe a CNAME for every type, so the decision depends on which
//! clusters have a CNAME there and where it points, never on the type asked for
//! or on what the chains end in. If the clusters differ, no client could use
//! what they say side by side, so the ends of their chains are given under the
//! question's name.

use super::chains::{Chain, says_noerror};
use super::{Fate, Merger, Section};
use crate::config::Zone;
use crate::engine::gather::Gather;
use crate::wire::names::{Ident, NameId};
use domain::base::iana::{ExtendedErrorCode, Rtype};
use smallvec::SmallVec;

/// Sub-questions whose chains are left out.
type LeftOut = SmallVec<[usize; 8]>;

impl Merger {
    /// Decides which records of the answer sections are kept and under which
    /// owner; leaves them in `order`, CNAMEs in front.
    pub(super) fn settle_chains(&mut self, gather: &Gather, zone: &Zone) {
        self.order.clear();
        self.follow_chains(gather, zone);
        self.chains.flattened = false;
        if self.chains.links.is_empty() {
            for n in 0..self.chains.chains.len() {
                self.keep_end(self.chains.chains[n], None);
            }
            self.chains.has_data = !self.order.is_empty();
        } else if let Some(target) = self.common_target(gather, zone) {
            self.keep_chains(target, gather, zone);
        } else {
            self.flatten(gather, zone);
        }
        if self.chains.qtype == Rtype::DNAME {
            self.keep_one_dname(gather, zone);
        }
        for record in &mut self.records {
            if record.section == Section::Answer && record.fate == Fate::Open {
                record.fate = Fate::Unrelated;
            }
        }
    }

    /// The target of the CNAME that is given at the question's name; `None` if
    /// none is. Some cluster has one.
    fn common_target(&self, gather: &Gather, zone: &Zone) -> Option<Ident> {
        let mut firsts: SmallVec<[u32; 8]> = SmallVec::new();
        for chain in self.chains.chains.iter().filter(|chain| chain.exists) {
            let (from, to) = chain.links;
            if from == to {
                return None;
            }
            firsts.push(self.chains.links[from]);
        }
        let target = self.target_of(*firsts.first()?);
        let agreed = firsts.iter().all(|&link| self.target_of(link) == target)
            || firsts.iter().all(|&link| self.leaves(link, gather, zone));
        agreed.then_some(target)
    }

    fn target_of(&self, link: u32) -> Ident {
        self.names.ident(self.records[link as usize].names[0])
    }

    fn owner_of(&self, link: u32) -> Ident {
        self.names.ident(self.records[link as usize].owner)
    }

    /// Keeps the chains that begin with a CNAME to `target`, as chains. Where
    /// they part later, the first that says something about a name counts.
    fn keep_chains(&mut self, target: Ident, gather: &Gather, zone: &Zone) {
        let mut left_out = LeftOut::new();
        let mut kept: SmallVec<[Chain; 8]> = SmallVec::new();
        self.chains.any_noerror = false;
        for n in 0..self.chains.chains.len() {
            let chain = self.chains.chains[n];
            let (from, to) = chain.links;
            if from == to {
                continue;
            }
            let begins_so = self.target_of(self.chains.links[from]) == target;
            self.chains.any_noerror |= begins_so && says_noerror(gather, chain);
            let parts = (from..to).find(|&at| {
                let link = self.chains.links[at];
                at == from && !begins_so
                    || kept.iter().any(|other| {
                        other.ended && other.end == self.owner_of(link)
                            || self.links_of(other).any(|other| {
                                self.owner_of(other) == self.owner_of(link)
                                    && self.target_of(other) != self.target_of(link)
                            })
                    })
            });
            for at in from..parts.unwrap_or(to) {
                let link = self.chains.links[at];
                if std::mem::replace(&mut self.records[link as usize].fate, Fate::Answer)
                    != Fate::Answer
                {
                    self.order.push(link);
                }
            }
            let has_end = parts.is_none()
                && !kept
                    .iter()
                    .any(|other| self.links_of(other).any(|link| self.owner_of(link) == chain.end));
            if parts.is_some() || (chain.ended && !has_end) {
                self.leave_out(chain, parts.unwrap_or(to), &mut left_out);
            }
            let links = (from, parts.unwrap_or(to));
            kept.push(Chain { links, ended: chain.ended && has_end, ..chain });
        }
        let mut has_data = self.chains.qtype == Rtype::CNAME;
        for chain in kept {
            self.keep_end(chain, None);
            has_data |= chain.ended;
        }
        self.chains.has_data = has_data;
        self.note_left_out(&left_out, gather, zone);
    }

    fn links_of(&self, chain: &Chain) -> impl Iterator<Item = u32> {
        self.chains.links[chain.links.0..chain.links.1].iter().copied()
    }

    /// Marks what a chain has from its link `from` on as left out.
    fn leave_out(&mut self, chain: Chain, from: usize, left_out: &mut LeftOut) {
        for at in from..chain.links.1 {
            let record = &mut self.records[self.chains.links[at] as usize];
            if record.fate == Fate::Open {
                record.fate = Fate::Conflict;
            }
        }
        if chain.ended {
            self.for_end(chain, |_, record| {
                if record.fate == Fate::Open {
                    record.fate = Fate::Conflict;
                }
            });
        }
        left_out.push(chain.sub);
    }

    /// Keeps what one chain ends in; under the question's name if `ttl` says
    /// how long the chain to it holds.
    fn keep_end(&mut self, chain: Chain, ttl: Option<u32>) {
        if !chain.ended {
            return;
        }
        let mut order = std::mem::take(&mut self.order);
        self.for_end(chain, |n, record| {
            // One chain may be left out and another lead to the same records.
            if !matches!(record.fate, Fate::Open | Fate::Conflict) {
                return;
            }
            if let Some(ttl) = ttl {
                record.owner = NameId::QUESTION;
                record.ttl = record.ttl.min(ttl);
            }
            record.fate = Fate::Answer;
            order.push(n as u32);
        });
        self.order = order;
    }

    /// Does something to each record a chain ends in.
    fn for_end(&mut self, chain: Chain, mut act: impl FnMut(usize, &mut super::Record)) {
        let qtype = self.chains.qtype;
        for n in self.span(chain.last) {
            let record = &mut self.records[n];
            if record.section == Section::Answer
                && record.rtype == qtype
                && self.names.ident(record.owner) == chain.end
            {
                act(n, record);
            }
        }
    }

    /// Gives what the chains end in under the question's name, but for chains
    /// that leave every suffix.
    fn flatten(&mut self, gather: &Gather, zone: &Zone) {
        self.chains.flattened = true;
        let mut left_out = LeftOut::new();
        for n in 0..self.chains.chains.len() {
            let chain = self.chains.chains[n];
            let (from, to) = chain.links;
            let leaves = from < to
                && (self.chains.qtype == Rtype::CNAME
                    || self.leaves(self.chains.links[to - 1], gather, zone));
            if leaves {
                self.leave_out(chain, from, &mut left_out);
                continue;
            }
            let mut ttl = u32::MAX;
            for at in from..to {
                let link = &mut self.records[self.chains.links[at] as usize];
                link.fate = Fate::Flattened;
                ttl = ttl.min(link.ttl);
            }
            self.keep_end(chain, Some(ttl));
            if chain.ended && chain.last != chain.sub {
                // Another chain may have kept the records of that reply before.
                for n in self.span(chain.last) {
                    let record = &mut self.records[n];
                    if record.fate == Fate::Answer && record.rtype == self.chains.qtype {
                        record.ttl = record.ttl.min(ttl);
                    }
                }
            }
        }
        self.chains.has_data = !self.order.is_empty();
        self.note_left_out(&left_out, gather, zone);
    }

    /// An owner has one DNAME (RFC 6672, 2.4): the first.
    fn keep_one_dname(&mut self, gather: &Gather, zone: &Zone) {
        let mut left_out = LeftOut::new();
        let mut order = std::mem::take(&mut self.order);
        let mut kept = 0;
        for at in 0..order.len() {
            let n = order[at];
            let is_dname = |n: u32| self.records[n as usize].rtype == Rtype::DNAME;
            let differs = is_dname(n)
                && order[..kept].iter().any(|&other| {
                    is_dname(other)
                        && self.owner_of(other) == self.owner_of(n)
                        && self.target_of(other) != self.target_of(n)
                });
            if differs {
                let record = &mut self.records[n as usize];
                record.fate = Fate::Conflict;
                if left_out.last() != Some(&record.sub) {
                    left_out.push(record.sub);
                }
            } else {
                order[kept] = n;
                kept += 1;
            }
        }
        order.truncate(kept);
        self.order = order;
        self.note_left_out(&left_out, gather, zone);
    }

    fn note_left_out(&mut self, left_out: &[usize], gather: &Gather, zone: &Zone) {
        if left_out.is_empty() {
            return;
        }
        let subs = gather.subs();
        let names = left_out.iter().map(|&sub| zone.clusters[subs[sub].cluster].label.as_str());
        self.notes.add(ExtendedErrorCode::OTHER, "conflicting CNAME left out, from", names);
    }
}
