//! From the clusters' replies to one answer: the rules M, R and T1.
//!
//! In four steps: [`collect`] reads the replies into one list of
//! records whose names are rewritten; [`chains`] follows CNAMEs and [`owners`]
//! decides which of them are given (M4, K8); [`rrsets`]
//! finds duplicates and common TTLs (M2, M3) and picks the additional
//! records (M8); [`emit`] writes what is left within the client's size (T1), and
//! [`cut`] what is given of an answer that does not fit (K9).
//! The outcome as a whole (M5, M6, M7, M9) is decided here. Nothing is removed
//! from the list on the way: every record ends with a [`Fate`] that says which
//! rule decided it, and `explain` shows them.

mod chains;
mod collect;
mod cut;
mod emit;
mod outcome;
mod owners;
mod rrsets;

use super::gather::Gather;
use super::outbox::Transport;
use super::store::Class;
use super::synth::{self, Asker};
use super::time::Time;
use crate::config::{Plan, Settings, Truncated, Zone};
use crate::wire::MAX_MESSAGE;
use crate::wire::compress::Compressor;
use crate::wire::edns::MIN_PAYLOAD;
use crate::wire::message::{Flags, Message, Notes, opt_len};
use crate::wire::name::FlatName;
use crate::wire::names::{Ident, NameId, Names};
use crate::wire::rdata;
use crate::wire::rewrite::Scratch;
use crate::wire::table::Table;
use ahash::RandomState;
use collect::Home;
use domain::base::iana::{ExtendedErrorCode, OptRcode, Rcode, Rtype};
use outcome::Outcome;

/// What became of a record, and by which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Not decided yet.
    Open,
    /// In the answer section.
    Answer,
    /// In the additional section.
    Additional,
    /// A rewritten name would be too long (R4).
    TooLong,
    /// DNSSEC's: no longer what was signed (R5).
    Dnssec,
    /// Another record is equal after rewriting (M2).
    Duplicate,
    /// A CNAME that is not given, because the clusters differ at the question's
    /// name; what its chain ends in is given instead (K8).
    Flattened,
    /// Part of a chain that had to give way to another, or that leaves every
    /// suffix where others do not (K8).
    Conflict,
    /// Not about the question, or the clusters' authority section (M8).
    Unrelated,
    /// Owned by a name that its cluster does not speak for (R7).
    Foreign,
    /// An SRV target `.` beside real ones (M10).
    NotHere,
    /// No room for it (T1, K9).
    NoRoom,
}

/// Which section of its reply a record came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// The answer section.
    Answer,
    /// The authority section, which is never passed on (M8).
    Authority,
    /// The additional section.
    Additional,
}

/// A record of some cluster's reply.
#[derive(Debug, Clone)]
pub struct Record {
    /// The sub-question whose reply it is from.
    pub sub: usize,
    /// The section it came in.
    pub section: Section,
    /// Whose name its owner is.
    home: Home,
    /// Its owner, rewritten.
    pub owner: NameId,
    /// Its type.
    pub rtype: Rtype,
    /// Its TTL as the cluster gave it, or as its chain allows.
    pub ttl: u32,
    /// Its place in the reply, for who wants to see it as it came.
    pub source: u32,
    /// Its RDATA in the reply.
    pub rdata: std::ops::Range<u32>,
    /// The names in its RDATA, rewritten; the first `name_count` count.
    pub names: [NameId; 2],
    /// How many names its RDATA has.
    pub name_count: u8,
    /// Those names may be written as pointers (R6).
    pub compress: bool,
    /// Octets of its RDATA in front of the names: all, if it has none.
    pub lead: u16,
    /// Octets of its RDATA behind the names.
    pub tail: u16,
    /// The RRset it belongs to.
    pub rrset: u32,
    /// What became of it.
    pub fate: Fate,
}

impl Record {
    /// The names in its RDATA, rewritten; none if it was left out before they
    /// were read.
    pub fn named(&self) -> &[NameId] {
        let count = match self.fate {
            Fate::TooLong | Fate::Dnssec | Fate::Foreign => 0,
            _ if self.section == Section::Authority => 0,
            _ => rdata::layout(self.rtype).map_or(0, rdata::Layout::count),
        };
        &self.names[..count]
    }
}

/// No RRset.
const NONE: u32 = u32::MAX;

struct Rrset {
    owner: Ident,
    rtype: Rtype,
    ttl: u32,
    in_answer: bool,
    /// Its first record.
    first: u32,
    /// It has more, and all are in [`Merger::record_index`].
    indexed: bool,
    /// Another RRset of the same owner; `NONE` if there is none.
    other: u32,
    /// Octets its additional records take at most.
    size: usize,
}

/// How complete an answer is: for counting, and for what may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// Every cluster asked has answered.
    Whole,
    /// A cluster that is missing is filled in with its last good answer.
    Stale,
    /// Some cluster is missing.
    Partial,
    /// SERVFAIL.
    Failed,
}

/// Merges answers, one at a time; its memory is used again for the next.
pub struct Merger {
    names: Names,
    pub(super) compressor: Compressor,
    hasher: RandomState,
    flat: FlatName,
    scratch: Scratch,
    /// What an earlier name at an offset of the current reply became.
    memo: Vec<collect::Memo>,
    memo_stamp: u32,
    records: Vec<Record>,
    /// Records of the answer section, in the order they are written.
    order: Vec<u32>,
    chains: chains::Chains,
    rrsets: Vec<Rrset>,
    /// For each name by its identity, an RRset it owns, or `NONE`.
    rrset_of_name: Vec<u32>,
    record_index: Table,
    /// TTLs of this answer are cut to this (M6).
    cap: u32,
    /// For choosing additional RRsets: whether each RRset stays, and what the
    /// next of each cluster is.
    keep: Vec<bool>,
    turns: Vec<usize>,
    /// For cutting an answer: of each reply, the records not looked at yet, as
    /// places in `order`.
    runs: Vec<std::ops::Range<usize>>,
    /// What the answer says about itself.
    pub(super) notes: Notes,
    /// Records left out because of R4, in this answer.
    pub(super) too_long: u32,
    /// And because of R7.
    pub(super) foreign: u32,
}

impl Merger {
    /// A merger whose hashes nobody outside can predict.
    pub fn new(hasher: RandomState) -> Self {
        Merger {
            names: Names::new(hasher.clone()),
            compressor: Compressor::new(hasher.clone()),
            hasher,
            flat: FlatName::root(),
            scratch: Scratch::default(),
            memo: Vec::new(),
            memo_stamp: 0,
            records: Vec::new(),
            order: Vec::new(),
            chains: chains::Chains::default(),
            rrsets: Vec::new(),
            rrset_of_name: Vec::new(),
            record_index: Table::default(),
            cap: u32::MAX,
            keep: Vec::new(),
            turns: Vec::new(),
            runs: Vec::new(),
            notes: Notes::default(),
            too_long: 0,
            foreign: 0,
        }
    }

    /// Appends the merged answer to `out`. Every sub-question is settled.
    pub fn merge(
        &mut self,
        now: Time,
        gather: &Gather,
        zone: &Zone,
        plan: &Plan,
        out: &mut Vec<u8>,
    ) -> Merged {
        self.notes.clear();
        self.names.start(gather.name());
        self.collect(now, gather, zone);
        self.settle_chains(gather, zone);
        self.drop_absent_services();
        self.group(gather);
        let outcome = self.outcome(now, gather, zone, plan);
        if self.too_long > 0 {
            let text = "records left out, a rewritten name is too long";
            self.notes.add(ExtendedErrorCode::OTHER, text, std::iter::empty());
        }
        self.cap = outcome.cap;
        let message = Message::begin(out, &gather.question);
        self.compressor.start(message.start);
        let cut = self.write(gather, zone, plan, &outcome, message, out);
        let stream = gather.client.transport.is_stream();
        let shortest = self.rrsets.iter().map(|rrset| rrset.ttl).chain(outcome.negative_ttl);
        Merged {
            rcode: outcome.rcode,
            completeness: outcome.completeness,
            truncated: cut && !stream,
            cut_over_stream: cut && stream,
            ttl: shortest.fold(outcome.cap, u32::min),
            has_all: !cut && !self.records.iter().any(|r| r.fate == Fate::NoRoom),
            has_notes: self.notes.iter().next().is_some(),
            has_records: !self.order.is_empty(),
        }
    }

    /// Writes the message; tells whether it had to be cut.
    fn write(
        &mut self,
        gather: &Gather,
        zone: &Zone,
        plan: &Plan,
        outcome: &Outcome,
        mut message: Message,
        out: &mut Vec<u8>,
    ) -> bool {
        let settings = &plan.settings;
        let limit = limit(gather.asker(), settings);
        let room = limit - opt_len(gather.edns, &self.notes);
        self.register_question(gather, message.start);
        let mut cut = !self.write_answer(gather, room, &mut message, out);
        if !cut && let Some(ttl) = outcome.negative_ttl {
            synth::push_soa(&mut self.compressor, zone, ttl, out);
            message.counts[1] += 1;
            cut = message.len(out) > room;
        } else if !cut {
            self.write_additional(gather, room, &mut message, out);
        }
        let stream = gather.client.transport.is_stream();
        if cut {
            self.discard_answer(gather, &mut message, out);
            if stream {
                let text = "answer is larger than 65535 octets, records left out";
                self.notes.add(ExtendedErrorCode::OTHER, text, std::iter::empty());
            }
            if stream || settings.truncated != Truncated::Empty {
                let room = limit - opt_len(gather.edns, &self.notes);
                self.write_selection(gather, room, &mut message, out);
            }
        }
        let flags = Flags {
            rcode: OptRcode::from_rcode(outcome.rcode),
            aa: outcome.aa,
            // There is nothing larger to ask over (see K9 in the contract).
            tc: cut && !stream,
            ra: outcome.ra,
            ad: false,
        };
        let payload = settings.max_udp_payload;
        message.end(out, &gather.header, flags, gather.edns, payload, &self.notes);
        cut
    }

    /// The compressor, for answers that need no merging.
    pub(super) fn compressor(&mut self) -> &mut Compressor {
        &mut self.compressor
    }

    /// The records of the last answer, for who wants to explain it.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The TTL a record of the last answer went out with.
    pub fn sent_ttl(&self, record: &Record) -> Option<u32> {
        let sent = matches!(record.fate, Fate::Answer | Fate::Additional);
        sent.then(|| self.rrsets.get(record.rrset as usize).map(|rrset| rrset.ttl.min(self.cap)))?
    }

    /// Whether that TTL was cut because a cluster is missing (M6).
    pub fn is_capped(&self, record: &Record) -> bool {
        self.rrsets.get(record.rrset as usize).is_some_and(|rrset| rrset.ttl > self.cap)
    }

    /// A name of the last answer.
    pub fn name(&self, id: NameId) -> &[u8] {
        self.names.octets(id)
    }
}

/// What an answer turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    /// Its rcode.
    pub rcode: Rcode,
    /// How complete it is.
    pub completeness: Completeness,
    /// It had to be cut, and says so with TC (T1).
    pub truncated: bool,
    /// It had to be cut over a stream, which EDE 0 says (K9).
    pub cut_over_stream: bool,
    /// The smallest TTL in it, in seconds.
    pub ttl: u32,
    /// No record was left out for want of room.
    pub has_all: bool,
    /// It says something about itself.
    pub has_notes: bool,
    /// It has records that answer the question.
    pub has_records: bool,
}

impl Merged {
    /// What it may displace where it is kept.
    pub(super) fn class(self) -> Class {
        match (self.rcode, self.has_records) {
            (Rcode::SERVFAIL, _) => Class::Failure,
            (_, true) => Class::Records,
            (_, false) => Class::Negative,
        }
    }
}

/// The most octets this client takes (T1).
pub(super) fn limit(asker: Asker<'_>, settings: &Settings) -> usize {
    match asker.client.transport {
        Transport::Tcp | Transport::Tls => MAX_MESSAGE,
        Transport::Udp => {
            let theirs = asker.edns.map_or(MIN_PAYLOAD, |edns| edns.payload);
            usize::from(theirs.min(settings.max_udp_payload))
        }
    }
}
