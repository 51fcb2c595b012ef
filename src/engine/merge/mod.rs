//! From the clusters' replies to one answer: the rules M, R and T1.
//!
//! In four steps, each a file: [`collect`] reads the replies into one list of
//! records whose names are rewritten; [`chains`] settles CNAMEs (M4); [`rrsets`]
//! finds duplicates and common TTLs (M2, M3) and picks the additional
//! records (M8); [`emit`] writes what is left within the client's size (T1).
//! The outcome as a whole (M5, M6, M7, M9) is decided here. Nothing is removed
//! from the list on the way: every record ends with a [`Fate`] that says which
//! rule decided it, and `explain` shows them.

mod chains;
mod collect;
mod emit;
mod rrsets;

use super::gather::{Failure, Gather, Progress};
use super::outbox::Transport;
use super::synth;
use crate::config::{OnMissing, Plan, Settings, Zone};
use crate::wire::compress::Compressor;
use crate::wire::edns::MIN_PAYLOAD;
use crate::wire::message::{Flags, Message, Notes, opt_len};
use crate::wire::name::FlatName;
use crate::wire::names::{Ident, NameId, Names};
use crate::wire::rewrite::Scratch;
use crate::wire::table::Table;
use crate::wire::{HEADER_LEN, MAX_MESSAGE};
use ahash::RandomState;
use domain::base::iana::{ExtendedErrorCode, OptRcode, Rcode, Rtype};

/// How long a negative answer may be kept if no cluster said (M7), in
/// seconds: as long as an answer that lacks a cluster.
const DEFAULT_NEGATIVE_TTL: u32 = 5;

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
    /// A CNAME that was flattened, or a chain that had to give way (M4).
    Chain,
    /// Not about the question, or the clusters' authority section (M8).
    Unrelated,
    /// An SRV target `.` beside real ones (M10).
    NotHere,
    /// No room for it (T1).
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
    /// The names in its RDATA, rewritten.
    pub names: [NameId; 2],
    /// The RRset it belongs to.
    pub rrset: u32,
    /// What became of it.
    pub fate: Fate,
}

struct Rrset {
    owner: Ident,
    rtype: Rtype,
    ttl: u32,
    in_answer: bool,
    /// Octets its additional records take at most.
    size: usize,
}

/// How complete an answer is: for counting, and for what may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// Every cluster asked has answered.
    Whole,
    /// Some cluster is missing.
    Partial,
    /// SERVFAIL.
    Failed,
}

/// Merges answers, one at a time; its memory is used again for the next.
pub struct Merger {
    names: Names,
    compressor: Compressor,
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
    rrset_index: Table,
    record_index: Table,
    /// For choosing additional RRsets: whether each RRset stays, and what the
    /// next of each cluster is.
    keep: Vec<bool>,
    turns: Vec<usize>,
    /// What the answer says about itself.
    pub(super) notes: Notes,
    /// Records left out because of R4, in this answer.
    pub(super) too_long: u32,
}

/// What the answer will be, before it is written.
struct Outcome {
    rcode: Rcode,
    aa: bool,
    ra: bool,
    /// An SOA record is due in the authority section, with this TTL (M7).
    negative_ttl: Option<u32>,
    /// TTLs are cut to this (M6).
    cap: u32,
    completeness: Completeness,
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
            rrset_index: Table::default(),
            record_index: Table::default(),
            keep: Vec::new(),
            turns: Vec::new(),
            notes: Notes::default(),
            too_long: 0,
        }
    }

    /// Appends the merged answer to `out`. Every sub-question is settled.
    pub fn merge(
        &mut self,
        gather: &Gather,
        zone: &Zone,
        plan: &Plan,
        out: &mut Vec<u8>,
    ) -> Merged {
        self.notes.clear();
        self.names.start(gather.name());
        self.collect(gather, zone);
        self.settle_chains(gather, zone);
        self.drop_absent_services();
        self.group(gather);
        let outcome = self.outcome(gather, zone, plan);
        if self.too_long > 0 {
            let text = "records left out, a rewritten name is too long";
            self.notes.add(ExtendedErrorCode::OTHER, text, std::iter::empty());
        }
        let message = Message::begin(out, &gather.question);
        self.compressor.start(message.start);
        let limit = limit(gather, &plan.settings);
        let truncated = self.write(gather, zone, plan, &outcome, limit, message, out);
        Merged { rcode: outcome.rcode, completeness: outcome.completeness, truncated }
    }

    /// M5, M6, M7 and M9.
    fn outcome(&mut self, gather: &Gather, zone: &Zone, plan: &Plan) -> Outcome {
        let mut proper = 0;
        let mut all_aa = true;
        let mut any_ra = !plan.forwards.is_empty();
        let mut any_noerror = false;
        let mut failed = 0;
        let mut negative_ttl: Option<u32> = None;
        for sub in gather.subs() {
            match sub.progress {
                Progress::Answered(summary) => {
                    proper += 1;
                    all_aa &= summary.aa;
                    any_ra |= summary.ra;
                    any_noerror |= summary.rcode == Rcode::NOERROR;
                    if let Some(ttl) = summary.negative_ttl {
                        negative_ttl = Some(negative_ttl.map_or(ttl, |known| known.min(ttl)));
                    }
                }
                Progress::CannotExist => proper += 1,
                Progress::Failed(_) | Progress::Waiting => failed += 1,
            }
        }
        let mut outcome = Outcome {
            rcode: Rcode::NOERROR,
            aa: all_aa,
            ra: any_ra,
            negative_ttl: None,
            cap: u32::MAX,
            completeness: Completeness::Whole,
        };
        let settings = &plan.settings;
        let asked = gather.subs().len();
        let has_records = !self.order.is_empty();
        let enough = proper >= settings.min_clusters.min(asked);
        if has_records && failed > 0 && enough && settings.on_missing != OnMissing::Fail {
            outcome.cap = settings.incomplete_ttl;
            outcome.completeness = Completeness::Partial;
            let missing = missing(gather, zone);
            self.notes.add(ExtendedErrorCode::NETWORK_ERROR, "answer is partial, without", missing);
        } else if failed > 0 || (has_records && !enough) {
            self.fail(gather, zone, &mut outcome, proper, asked);
        } else if !any_noerror
            && !self.has_data()
            && gather.name().len() != zone.name.as_slice().len()
        {
            // Also when the names a chain led to do not exist (RFC 6604, 3).
            outcome.rcode = Rcode::NXDOMAIN;
        }
        if outcome.rcode != Rcode::SERVFAIL && (!has_records || outcome.rcode == Rcode::NXDOMAIN) {
            outcome.negative_ttl = Some(negative_ttl.unwrap_or(DEFAULT_NEGATIVE_TTL));
            // A negative answer with AA and RA both clear looks lame (M9); the
            // SOA in it is ours, so AA is true of it.
            outcome.aa |= !outcome.ra;
        }
        outcome
    }

    fn fail(
        &mut self,
        gather: &Gather,
        zone: &Zone,
        outcome: &mut Outcome,
        proper: usize,
        asked: usize,
    ) {
        for record in &mut self.records {
            if matches!(record.fate, Fate::Answer | Fate::Additional) {
                record.fate = Fate::Unrelated;
            }
        }
        self.order.clear();
        outcome.rcode = Rcode::SERVFAIL;
        outcome.aa = false;
        outcome.completeness = Completeness::Failed;
        // 22 if nobody could be reached, 23 if somebody answered (RFC 8914).
        let code = if proper == 0 && asked > 0 {
            ExtendedErrorCode::NO_REACHABLE_AUTHORITY
        } else {
            ExtendedErrorCode::NETWORK_ERROR
        };
        self.notes.add(code, "no answer from", missing(gather, zone));
    }

    /// Writes the message; tells whether it had to be cut.
    #[allow(clippy::too_many_arguments)]
    fn write(
        &mut self,
        gather: &Gather,
        zone: &Zone,
        plan: &Plan,
        outcome: &Outcome,
        limit: usize,
        mut message: Message,
        out: &mut Vec<u8>,
    ) -> bool {
        let settings = &plan.settings;
        let room = limit - opt_len(gather.edns, &self.notes);
        self.register_question(gather, message.start);
        let mut truncated = self.write_answer(gather, outcome.cap, room, &mut message, out);
        if truncated {
            if settings.truncated == crate::config::Truncated::Empty {
                out.truncate(message.start + HEADER_LEN + gather.question.len());
                message.counts = [0; 3];
            }
        } else if let Some(ttl) = outcome.negative_ttl {
            let place = out.len();
            synth::push_soa(&mut self.compressor, zone, ttl, out);
            if out.len() - message.start <= room {
                message.counts[1] += 1;
            } else {
                out.truncate(place);
                truncated = true;
            }
        } else {
            self.write_additional(gather, outcome.cap, room, &mut message, out);
        }
        let flags = Flags {
            rcode: OptRcode::from_rcode(outcome.rcode),
            aa: outcome.aa,
            tc: truncated,
            ra: outcome.ra,
            ad: false,
        };
        let payload = settings.max_udp_payload;
        message.end(out, &gather.header, flags, gather.edns, payload, &self.notes);
        truncated
    }

    /// The compressor, for answers that need no merging.
    pub(super) fn compressor(&mut self) -> &mut Compressor {
        &mut self.compressor
    }

    /// The records of the last answer, for who wants to explain it.
    pub fn records(&self) -> &[Record] {
        &self.records
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
    /// It had to be cut.
    pub truncated: bool,
}

/// The most octets this client takes (T1).
pub fn limit(gather: &Gather, settings: &Settings) -> usize {
    match gather.client.transport {
        Transport::Tcp => MAX_MESSAGE,
        Transport::Udp => {
            let theirs = gather.edns.map_or(MIN_PAYLOAD, |edns| edns.payload);
            usize::from(theirs.min(settings.max_udp_payload))
        }
    }
}

/// The clusters that did not answer properly, by name.
fn missing<'a>(gather: &'a Gather, zone: &'a Zone) -> impl Iterator<Item = &'a str> {
    gather.subs().iter().filter_map(|sub| match sub.progress {
        Progress::Failed(Failure::Silent | Failure::Unreachable)
        | Progress::Failed(Failure::Rcode(_) | Failure::Exhausted)
        | Progress::Waiting => Some(zone.clusters[sub.cluster].label.as_str()),
        Progress::Answered(_) | Progress::CannotExist => None,
    })
}
