//! Step one: reading the replies, and rewriting every name in them (R1, R2). A
//! cluster speaks for its own names; what it says of others' is left out (R7).

use super::{Fate, Merger, Record, Section};
use crate::config::{Plan, Zone};
use crate::engine::gather::Gather;
use crate::engine::sub::{Progress, Sub};
use crate::engine::time::Time;
use crate::wire::name::{Budget, FlatName, same};
use crate::wire::names::NameId;
use crate::wire::rdata::{self, Layout};
use crate::wire::reply::Summary;
use crate::wire::rewrite::TooLong;
use crate::wire::{HEADER_LEN, Malformed, record};
use domain::base::iana::{Class, Rtype};

/// What the name at one offset of a reply became.
#[derive(Clone, Copy, Default)]
pub(super) struct Memo {
    stamp: u32,
    name: Rewritten,
    home: Home,
}

/// Whose name it is (R7).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Home {
    /// Of the cluster that gave it.
    #[default]
    Own,
    /// Of another cluster or of all, of a zone, or of a cluster of another zone.
    Others,
    /// Of nobody we know.
    Outside,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Rewritten {
    /// The name of the sub-question: R1 as an owner, R2 in RDATA.
    #[default]
    Asked,
    To(NameId),
    TooLong,
    /// An owner that its cluster does not speak for is not rewritten: another
    /// record may have to spell it first (R3).
    Foreign,
}

/// Where a name stands: R1 is about owners only.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Owner,
    Rdata,
}

/// One reply being read.
struct Reading<'a> {
    packet: &'a [u8],
    /// The name R1 is about; empty if it is about none.
    asked: &'a [u8],
    plan: &'a Plan,
    zone: &'a Zone,
    cluster: usize,
    budget: Budget,
}

enum Trouble {
    TooLong,
    /// Cannot be: the reply was checked when it came.
    Malformed,
}

impl From<Malformed> for Trouble {
    fn from(_: Malformed) -> Self {
        Trouble::Malformed
    }
}

impl From<TooLong> for Trouble {
    fn from(_: TooLong) -> Self {
        Trouble::TooLong
    }
}

impl Merger {
    /// Reads all replies, in the clusters' order (M1).
    pub(super) fn collect(&mut self, now: Time, gather: &Gather, zone: &Zone) {
        self.records.clear();
        (self.too_long, self.foreign) = (0, 0);
        let plan = &gather.plan.plan;
        for (n, sub) in gather.subs().iter().enumerate() {
            if let Progress::Answered(summary) = sub.progress {
                // A reply that was checked is read to its end; should it ever
                // not be, the records up to there are good.
                let _ = self.read_reply(n, sub, now, &summary, (plan, zone));
            }
        }
    }

    fn read_reply(
        &mut self,
        n: usize,
        sub: &Sub,
        now: Time,
        summary: &Summary,
        (plan, zone): (&Plan, &Zone),
    ) -> Result<(), Malformed> {
        let packet = &sub.reply[..];
        let mut reading = Reading {
            packet,
            asked: if sub.follows { &[] } else { sub.name() },
            plan,
            zone,
            cluster: sub.cluster,
            // Checking has spent one budget of the same size; what is read
            // here is less, thanks to the memo.
            budget: Budget::for_message(packet.len()),
        };
        self.memo_stamp = self.memo_stamp.wrapping_add(1);
        if self.memo_stamp == 0 {
            self.memo.fill(Memo::default());
            self.memo_stamp = 1;
        }
        if self.memo.len() < packet.len() {
            self.memo.resize(packet.len(), Memo::default());
        }
        if !sub.follows {
            // Nearly every owner points to the question.
            let (stamp, name) = (self.memo_stamp, Rewritten::Asked);
            self.memo[HEADER_LEN] = Memo { stamp, name, home: Home::Own };
        }
        let age = sub.age(now);
        let mut at = summary.records;
        for (section, &count) in
            [Section::Answer, Section::Authority, Section::Additional].iter().zip(&summary.counts)
        {
            for _ in 0..count {
                let (raw, next) = record::read(packet, at)?;
                at = next;
                if raw.rtype == Rtype::OPT || raw.class != Class::IN {
                    continue;
                }
                let mut record = Record {
                    sub: n,
                    section: *section,
                    home: Home::Own,
                    owner: NameId::QUESTION,
                    rtype: raw.rtype,
                    ttl: raw.ttl.saturating_sub(age),
                    source: raw.owner as u32,
                    rdata: raw.rdata.start as u32..raw.rdata.end as u32,
                    names: [NameId::QUESTION; 2],
                    name_count: 0,
                    compress: false,
                    lead: raw.rdata.len() as u16,
                    tail: 0,
                    rrset: 0,
                    fate: Fate::Open,
                };
                record.fate = if *section == Section::Authority {
                    Fate::Unrelated
                } else if rdata::is_dnssec(raw.rtype) {
                    Fate::Dnssec
                } else {
                    match self.rewrite(&mut reading, raw.owner, &mut record) {
                        Ok(()) if record.home == Home::Others => {
                            self.foreign += 1;
                            Fate::Foreign
                        }
                        Ok(()) => Fate::Open,
                        Err(Trouble::TooLong) => {
                            self.too_long += 1;
                            Fate::TooLong
                        }
                        Err(Trouble::Malformed) => return Err(Malformed),
                    }
                };
                self.records.push(record);
            }
        }
        Ok(())
    }

    fn rewrite(
        &mut self,
        reading: &mut Reading<'_>,
        owner: usize,
        record: &mut Record,
    ) -> Result<(), Trouble> {
        (record.owner, record.home) = self.name_at(reading, owner, Position::Owner)?;
        if record.home == Home::Others {
            return Ok(());
        }
        let Some(layout) = rdata::layout(record.rtype) else { return Ok(()) };
        let rdata = record.rdata.start as usize..record.rdata.end as usize;
        let parts = layout.parts(reading.packet, rdata)?;
        record.name_count = parts.count as u8;
        record.compress = layout.compress;
        record.lead = parts.lead.len() as u16;
        record.tail = parts.tail.len() as u16;
        for n in 0..parts.count {
            record.names[n] = self.rdata_name(reading, parts.names[n], layout)?;
        }
        Ok(())
    }

    fn rdata_name(
        &mut self,
        reading: &mut Reading<'_>,
        at: usize,
        layout: Layout,
    ) -> Result<NameId, Trouble> {
        if layout.rewrite {
            return Ok(self.name_at(reading, at, Position::Rdata)?.0);
        }
        self.flat.read(reading.packet, at, &mut reading.budget)?;
        Ok(self.names.kept(self.flat.as_slice()))
    }

    /// The name at an offset of the reply, rewritten.
    fn name_at(
        &mut self,
        reading: &mut Reading<'_>,
        at: usize,
        position: Position,
    ) -> Result<(NameId, Home), Trouble> {
        // A name that is only a pointer is what it points to.
        let at = match reading.packet.get(at..at + 2) {
            Some(&[high @ 0xC0..=0xFF, low]) => usize::from(high & 0x3F) << 8 | usize::from(low),
            _ => at,
        };
        let memo = *self.memo.get(at).ok_or(Malformed)?;
        if memo.stamp == self.memo_stamp {
            match (memo.name, position) {
                (Rewritten::Asked, Position::Owner) => return Ok((NameId::QUESTION, Home::Own)),
                (Rewritten::To(id), _) if memo.home == Home::Own => return Ok((id, Home::Own)),
                _ => {}
            }
        }
        self.name_not_so_simple(reading, at, position)
    }

    /// The same, if it has not been seen yet or needs a closer look.
    #[inline(never)]
    fn name_not_so_simple(
        &mut self,
        reading: &mut Reading<'_>,
        at: usize,
        position: Position,
    ) -> Result<(NameId, Home), Trouble> {
        let memo = *self.memo.get(at).ok_or(Malformed)?;
        let (known, home) = if memo.stamp == self.memo_stamp {
            (memo.name, memo.home)
        } else {
            self.flat.read(reading.packet, at, &mut reading.budget)?;
            let (name, home) = if same(self.flat.as_slice(), reading.asked) {
                (Rewritten::Asked, Home::Own)
            } else {
                let place = reading.zone.owner_of(&self.flat, reading.cluster);
                match self.home(reading, place) {
                    Home::Others if position == Position::Owner => {
                        (Rewritten::Foreign, Home::Others)
                    }
                    home => {
                        let name = self.rewrite_flat(reading.zone, place);
                        (name.map_or(Rewritten::TooLong, Rewritten::To), home)
                    }
                }
            };
            self.memo[at] = Memo { stamp: self.memo_stamp, name, home };
            (name, home)
        };
        match (known, position) {
            (_, Position::Owner) if home == Home::Others => Ok((NameId::QUESTION, home)),
            (Rewritten::To(id), _) => Ok((id, home)),
            (Rewritten::Asked, Position::Owner) => Ok((NameId::QUESTION, home)),
            (Rewritten::Asked | Rewritten::Foreign, _) => {
                self.flat.read(reading.packet, at, &mut reading.budget)?;
                let place = reading.zone.owner_of(&self.flat, reading.cluster);
                let id = self.rewrite_flat(reading.zone, place)?;
                if known == Rewritten::Foreign {
                    self.memo[at].name = Rewritten::To(id);
                }
                Ok((id, home))
            }
            (Rewritten::TooLong, _) => Err(Trouble::TooLong),
        }
    }

    /// Whose the name in `self.flat` is, of which `place` says the cluster.
    fn home(&self, reading: &Reading<'_>, place: Option<(usize, usize)>) -> Home {
        match place {
            // Without a label for its prefix it is a name of all clusters.
            Some((kept, cluster)) if cluster == reading.cluster => {
                if self.flat.first_plain(kept).is_some() { Home::Own } else { Home::Others }
            }
            Some(_) => Home::Others,
            None => {
                let mut lower: FlatName = self.flat.clone();
                lower.make_lowercase();
                if reading.plan.is_ours(&lower) { Home::Others } else { Home::Outside }
            }
        }
    }

    /// R2 for the name in `self.flat`, of which `place` is what
    /// [`Zone::owner_of`] says.
    fn rewrite_flat(
        &mut self,
        zone: &Zone,
        place: Option<(usize, usize)>,
    ) -> Result<NameId, TooLong> {
        let Some((kept, cluster)) = place else {
            return Ok(self.names.kept(self.flat.as_slice()));
        };
        let prefix = &zone.clusters[cluster].prefix;
        self.scratch.join(&self.flat, kept, prefix, &zone.name)?;
        Ok(self.names.made(self.scratch.as_slice()))
    }
}
