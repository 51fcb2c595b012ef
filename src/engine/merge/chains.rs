//! Step two: which records answer the question, and by which chain (M4).
//!
//! In one cluster's reply the records that count are those reached from the
//! question through CNAMEs; the rest is not about the question. If the
//! clusters' chains fit together, they go out as they are, once. If they do
//! not (two targets for one owner, or a CNAME beside data), a client could not
//! use them, so the ends of the chains are given under the question's name.

use super::{Fate, Merger, Section};
use crate::config::Zone;
use crate::engine::gather::Gather;
use crate::wire::names::{Ident, NameId};
use domain::base::iana::{ExtendedErrorCode, Rtype};
use smallvec::SmallVec;

/// Longer chains than this are cut, as resolvers do (BIND at 17, Unbound at 11,
/// CoreDNS at 8); it bounds the work.
const MAX_CHAIN: usize = 11;

/// One reply's way from the question to its data.
#[derive(Clone, Copy)]
struct Chain {
    sub: usize,
    /// Its records in [`super::Merger::records`].
    first: usize,
    after: usize,
    /// Its CNAMEs in [`Chains::links`].
    links: (usize, usize),
    /// The name it ends at.
    end: Ident,
    /// That name has the data asked for, in this reply.
    ended: bool,
}

/// Memory for this step.
pub(super) struct Chains {
    chains: Vec<Chain>,
    /// Records that are the CNAMEs of the chains, chain after chain.
    links: Vec<u32>,
    qtype: Rtype,
}

impl Default for Chains {
    fn default() -> Self {
        Chains { chains: Vec::new(), links: Vec::new(), qtype: Rtype::A }
    }
}

impl Merger {
    /// Decides which records of the answer sections are kept and under which
    /// owner; leaves them in `order`, CNAMEs in front.
    pub(super) fn settle_chains(&mut self, gather: &Gather, zone: &Zone) {
        self.order.clear();
        self.chains.chains.clear();
        self.chains.links.clear();
        let qtype = gather.qtype();
        self.chains.qtype = qtype;
        let mut next = 0;
        for n in 0..gather.subs().len() {
            let first = next;
            while self.records.get(next).is_some_and(|record| record.sub == n) {
                next += 1;
            }
            if next > first {
                self.follow(n, first, next, qtype);
            }
        }
        if qtype == Rtype::CNAME {
            self.keep_ends();
            self.keep_one_target(gather, zone);
        } else if self.chains.links.is_empty() {
            self.keep_ends();
            if qtype == Rtype::DNAME {
                // An owner has one of these as well (RFC 6672, 2.4).
                self.keep_one_target(gather, zone);
            }
        } else if self.fit_together(qtype) {
            self.keep_links(0, self.chains.links.len());
            self.keep_dnames(gather);
            self.keep_ends();
        } else {
            self.flatten(gather, zone);
        }
        for record in &mut self.records {
            if record.section == Section::Answer && record.fate == Fate::Open {
                record.fate = Fate::Unrelated;
            }
        }
    }

    fn follow(&mut self, sub: usize, first: usize, after: usize, qtype: Rtype) {
        let from = self.chains.links.len();
        let question = self.names.ident(NameId::QUESTION);
        let mut end = question;
        while self.chains.links.len() - from < MAX_CHAIN && qtype != Rtype::CNAME {
            let Some(link) = self.answer_record(first, after, end, Rtype::CNAME) else { break };
            let target = self.names.ident(self.records[link].names[0]);
            self.chains.links.push(link as u32);
            end = target;
            let looped = target == question
                || self.chains.links[from..]
                    .iter()
                    .any(|&n| self.names.ident(self.records[n as usize].owner) == target);
            if looped {
                break;
            }
        }
        let ended = self.answer_record(first, after, end, qtype).is_some();
        let links = (from, self.chains.links.len());
        self.chains.chains.push(Chain { sub, first, after, links, end, ended });
    }

    fn answer_record(
        &self,
        first: usize,
        after: usize,
        owner: Ident,
        rtype: Rtype,
    ) -> Option<usize> {
        (first..after).find(|&n| {
            let record = &self.records[n];
            record.section == Section::Answer
                && record.fate == Fate::Open
                && record.rtype == rtype
                && self.names.ident(record.owner) == owner
        })
    }

    /// No owner has two targets, and none a CNAME beside the data asked for.
    fn fit_together(&self, qtype: Rtype) -> bool {
        let links = &self.chains.links;
        let of = |n: u32| {
            let record = &self.records[n as usize];
            (self.names.ident(record.owner), self.names.ident(record.names[0]))
        };
        for (n, &link) in links.iter().enumerate() {
            let (owner, target) = of(link);
            if links[..n].iter().any(|&other| {
                let (other_owner, other_target) = of(other);
                owner == other_owner && target != other_target
            }) {
                return false;
            }
            if self.chains.chains.iter().any(|chain| chain.ended && chain.end == owner) {
                return false;
            }
        }
        // Nor may one reply give an owner two CNAMEs, or data beside one,
        // where the chain took no notice.
        !self.records.iter().any(|record| {
            record.section == Section::Answer
                && record.fate == Fate::Open
                && (record.rtype == Rtype::CNAME || record.rtype == qtype)
                && links.iter().any(|&link| {
                    let (owner, target) = of(link);
                    self.names.ident(record.owner) == owner
                        && !(record.rtype == Rtype::CNAME
                            && self.names.ident(record.names[0]) == target)
                })
        })
    }

    /// Some chain ended in the data asked for, not in another name.
    pub(super) fn has_data(&self) -> bool {
        self.chains.chains.iter().any(|chain| chain.ended)
    }

    fn keep_links(&mut self, from: usize, to: usize) {
        for n in from..to {
            let link = self.chains.links[n];
            self.records[link as usize].fate = Fate::Answer;
            self.order.push(link);
        }
    }

    /// A DNAME goes with the CNAME made from it (RFC 6672, 3.1).
    fn keep_dnames(&mut self, gather: &Gather) {
        if gather.qtype() == Rtype::DNAME {
            return;
        }
        for n in 0..self.records.len() {
            let record = &mut self.records[n];
            if record.section == Section::Answer
                && record.fate == Fate::Open
                && record.rtype == Rtype::DNAME
            {
                record.fate = Fate::Answer;
                self.order.push(n as u32);
            }
        }
    }

    /// Keeps what the chains end in, under its own name.
    fn keep_ends(&mut self) {
        for n in 0..self.chains.chains.len() {
            let chain = self.chains.chains[n];
            if chain.ended {
                self.keep_end(chain, None);
            }
        }
    }

    /// Keeps what one chain ends in; under the question's name if `ttl` says
    /// how long the chain to it holds.
    fn keep_end(&mut self, chain: Chain, ttl: Option<u32>) {
        let qtype = self.chains.qtype;
        for n in chain.first..chain.after {
            let record = &mut self.records[n];
            if record.section == Section::Answer
                && record.fate == Fate::Open
                && record.rtype == qtype
                && self.names.ident(record.owner) == chain.end
            {
                if let Some(ttl) = ttl {
                    record.owner = NameId::QUESTION;
                    record.ttl = record.ttl.min(ttl);
                }
                record.fate = Fate::Answer;
                self.order.push(n as u32);
            }
        }
    }

    fn flatten(&mut self, gather: &Gather, zone: &Zone) {
        let any_ended = self.chains.chains.iter().any(|chain| chain.ended);
        let mut kept = any_ended;
        let mut left_out: SmallVec<[usize; 8]> = SmallVec::new();
        for n in 0..self.chains.chains.len() {
            let chain = self.chains.chains[n];
            let (from, to) = chain.links;
            if chain.ended {
                let links = &self.chains.links[from..to];
                let ttl = links.iter().map(|&link| self.records[link as usize].ttl).min();
                for link in from..to {
                    self.records[self.chains.links[link] as usize].fate = Fate::Chain;
                }
                self.keep_end(chain, Some(ttl.unwrap_or(u32::MAX)));
            } else if !kept && from < to {
                // Nobody has data: the first cluster's chain leads on.
                kept = true;
                self.keep_links(from, to);
            } else if from < to {
                for link in from..to {
                    self.records[self.chains.links[link] as usize].fate = Fate::Chain;
                }
                left_out.push(chain.sub);
            }
        }
        self.note_left_out(&left_out, gather, zone);
    }

    /// Asked for the CNAME itself: the first cluster's, and those equal to it.
    fn keep_one_target(&mut self, gather: &Gather, zone: &Zone) {
        let target =
            |merger: &Self, n: u32| merger.names.ident(merger.records[n as usize].names[0]);
        let Some(&first) = self.order.first() else { return };
        let kept = target(self, first);
        let mut left_out: SmallVec<[usize; 8]> = SmallVec::new();
        let mut order = std::mem::take(&mut self.order);
        order.retain(|&n| {
            let equal = target(self, n) == kept;
            if !equal {
                let record = &mut self.records[n as usize];
                record.fate = Fate::Chain;
                if left_out.last() != Some(&record.sub) {
                    left_out.push(record.sub);
                }
            }
            equal
        });
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

    /// M10: "not here" from one cluster is no news when another has it.
    pub(super) fn drop_absent_services(&mut self) {
        let absent = |merger: &Self, n: u32| {
            let record = &merger.records[n as usize];
            record.rtype == Rtype::SRV && merger.names.octets(record.names[0]) == [0]
        };
        let present = |merger: &Self, n: u32| {
            merger.records[n as usize].rtype == Rtype::SRV && !absent(merger, n)
        };
        if !self.order.iter().any(|&n| absent(self, n)) {
            return;
        }
        if !self.order.iter().any(|&n| present(self, n)) {
            return;
        }
        let mut order = std::mem::take(&mut self.order);
        order.retain(|&n| {
            let gone = absent(self, n);
            if gone {
                self.records[n as usize].fate = Fate::NotHere;
            }
            !gone
        });
        self.order = order;
    }
}
