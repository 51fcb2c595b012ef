//! Where a forward's answer meets our zones (Q7): a server out there does not
//! speak for our names, and a CNAME that leads to one of them is ours to follow:
//! a stub resolver follows none.
//!
//! What a forward says of our names is left out. If its answer ends in a CNAME
//! into a zone, the query goes on as one for that name, inside the same
//! deadline, and what comes of it is written after the CNAMEs. Such an answer
//! is put together anew; all others are passed on as they came ([`super::relay`]).

use super::Engine;
use super::gather::{Led, Phase};
use super::merge::{Merged, limit};
use super::outbox::{Outbox, Transport};
use super::sub::{Progress, Sub};
use super::synth::Asker;
use super::time::Time;
use super::windows;
use crate::config::{Plan, Route, Zone};
use crate::wire::compress::{Compressor, Style};
use crate::wire::message::{Flags, Message, opt_len};
use crate::wire::name::{Budget, FlatName, same};
use crate::wire::record::RawRecord;
use crate::wire::reply::Summary;
use crate::wire::{HEADER_LEN, Malformed, rdata, record};
use domain::base::HeaderSection;
use domain::base::iana::{ExtendedErrorCode, OptRcode, Rtype};

/// As long as any chain may be, in the forward's answer and in ours together.
const MAX_CHAIN: usize = 11;

const LEFT_OUT: &str = "records left out, they are not the forward's to give";

/// What a forward's answer has to do with our zones.
#[derive(Debug, Default)]
pub(super) struct Meeting {
    /// Records of it are about our names.
    pub ours: u32,
    /// Where the CNAMEs from the question to one of our names begin in it, and
    /// that name.
    into: Option<(Vec<usize>, FlatName)>,
}

fn is_meta(rtype: Rtype) -> bool {
    rtype == Rtype::OPT || matches!(rtype.to_int(), 128..=255)
}

/// The zone that a name is in.
fn zone_of(plan: &Plan, name: &FlatName) -> Option<usize> {
    let mut lower = name.clone();
    lower.make_lowercase();
    match plan.route(&lower) {
        Some(Route::Zone(zone)) => Some(zone),
        _ => None,
    }
}

/// The type that a question asks for.
fn asked_type(question: &[u8]) -> Rtype {
    let fixed = &question[question.len().saturating_sub(4)..];
    fixed.first_chunk().map_or(Rtype::ANY, |&octets| Rtype::from_int(u16::from_be_bytes(octets)))
}

/// A record is about names of a zone: its owner is one, or it is a DNAME above
/// all of them that was not asked for.
fn is_ours(plan: &Plan, owner: &FlatName, rtype: Rtype, asked: Rtype) -> bool {
    let is_above = |zone: &Zone| {
        let name = FlatName::from_flat(zone.name.as_slice());
        name.is_ok_and(|name| {
            name.last(owner.labels()).is_some_and(|end| same(end, owner.as_slice()))
        })
    };
    zone_of(plan, owner).is_some()
        || (rtype == Rtype::DNAME && asked != Rtype::DNAME && plan.zones.iter().any(is_above))
}

/// Calls `each` with every record, its section and its place.
fn walk(
    reply: &[u8],
    summary: &Summary,
    mut each: impl FnMut(usize, usize, RawRecord) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut at = summary.records;
    for (section, &count) in summary.counts.iter().enumerate() {
        for _ in 0..count {
            let (raw, next) = record::read(reply, at)?;
            each(section, at, raw)?;
            at = next;
        }
    }
    Ok(())
}

/// Looks for our names in a forward's answer. Without any, nothing is allocated.
fn meet(plan: &Plan, sub: &Sub, summary: &Summary) -> Result<Meeting, Malformed> {
    let reply = &sub.reply[..];
    let asked = asked_type(&sub.question);
    let mut meeting = Meeting::default();
    let mut budget = Budget::for_message(reply.len());
    let mut name = FlatName::root();
    let mut leads_in = false;
    walk(reply, summary, |_, _, raw| {
        if raw.rtype == Rtype::OPT {
            return Ok(());
        }
        // Most owners are the question's name, which no zone has.
        if reply.get(raw.owner..raw.owner + 2) != Some(&crate::wire::reply::QUESTION_POINTER) {
            name.read(reply, raw.owner, &mut budget)?;
            meeting.ours += u32::from(is_ours(plan, &name, raw.rtype, asked));
        }
        if raw.rtype == Rtype::CNAME {
            name.read(reply, raw.rdata.start, &mut budget)?;
            leads_in |= zone_of(plan, &name).is_some();
        }
        Ok(())
    })?;
    if leads_in {
        // A chain too costly to follow leads nowhere.
        meeting.into = chain(plan, sub, summary).unwrap_or_default();
    }
    Ok(meeting)
}

/// The CNAMEs from the question into a zone, unless it was asked for CNAMEs.
fn chain(
    plan: &Plan,
    sub: &Sub,
    summary: &Summary,
) -> Result<Option<(Vec<usize>, FlatName)>, Malformed> {
    let reply = &sub.reply[..];
    let fixed = &sub.question[sub.name().len()..];
    if fixed.starts_with(&Rtype::CNAME.to_int().to_be_bytes()) {
        return Ok(None);
    }
    let mut budget = Budget::for_message(reply.len());
    let mut end = FlatName::root();
    end.clone_flat(sub.name())?;
    let mut links = Vec::new();
    let (mut owner, mut target) = (FlatName::root(), FlatName::root());
    while zone_of(plan, &end).is_none() && links.len() < MAX_CHAIN {
        let mut next = None;
        walk(reply, summary, |section, at, raw| {
            if section == 0 && raw.rtype == Rtype::CNAME && next.is_none() {
                owner.read(reply, raw.owner, &mut budget)?;
                if same(owner.as_slice(), end.as_slice()) {
                    target.read(reply, raw.rdata.start, &mut budget)?;
                    next = Some(at);
                }
            }
            Ok(())
        })?;
        let Some(at) = next else { return Ok(None) };
        links.push(at);
        end.clone_from(&target);
    }
    Ok(zone_of(plan, &end).map(|_| (links, end)))
}

/// Appends a record of `packet` to `out`; where it could not be, nothing.
fn push_record(
    packet: &[u8],
    raw: &RawRecord,
    ttl: u32,
    compressor: &mut Compressor,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let mut budget = Budget::for_message(packet.len());
    let mut name = FlatName::root();
    name.read(packet, raw.owner, &mut budget)?;
    compressor.push(out, name.as_slice(), Style::Pointers);
    // Type and class, and room for the length.
    let fixed = raw.rdata.start.saturating_sub(10);
    out.extend_from_slice(packet.get(fixed..fixed + 4).ok_or(Malformed)?);
    out.extend(ttl.to_be_bytes());
    out.extend([0, 0]);
    let start = out.len();
    match rdata::layout(raw.rtype) {
        None => out.extend_from_slice(packet.get(raw.rdata.clone()).ok_or(Malformed)?),
        Some(layout) => {
            let parts = layout.parts(packet, raw.rdata.clone())?;
            out.extend_from_slice(&packet[parts.lead.clone()]);
            let style = if layout.compress { Style::Pointers } else { Style::Full };
            for &at in &parts.names[..parts.count] {
                name.read(packet, at, &mut budget)?;
                compressor.push(out, name.as_slice(), style);
            }
            out.extend_from_slice(&packet[parts.tail]);
        }
    }
    let len = u16::try_from(out.len() - start).map_err(|_| Malformed)?;
    out[start - 2..start].copy_from_slice(&len.to_be_bytes());
    Ok(())
}

/// An answer being put together from records of others.
struct Anew<'a> {
    message: Message,
    compressor: &'a mut Compressor,
    room: usize,
    out: &'a mut Vec<u8>,
    full: bool,
    truncated: bool,
}

impl<'a> Anew<'a> {
    /// Begins after the question, to whose `name` the records may point.
    fn begin(
        message: Message,
        name: &[u8],
        room: usize,
        compressor: &'a mut Compressor,
        out: &'a mut Vec<u8>,
    ) -> Self {
        compressor.start(message.start);
        compressor.register(name, message.start + HEADER_LEN);
        Anew { message, compressor, room, out, full: false, truncated: false }
    }

    /// Adds a record, if there is room for it and all before it had room.
    fn push(&mut self, section: usize, packet: &[u8], raw: &RawRecord, ttl: u32) {
        let before = self.out.len();
        let whole = !self.full && push_record(packet, raw, ttl, self.compressor, self.out).is_ok();
        if whole && self.message.len(self.out) <= self.room {
            self.message.counts[section] += 1;
            return;
        }
        self.out.truncate(before);
        self.full = true;
        self.truncated |= section < 2;
    }
}

impl Engine {
    /// Goes on with a query whose forward's answer leads into a zone. False if it
    /// does not.
    pub(super) fn goes_on_in_zone(&mut self, now: Time, index: u32, out: &mut Outbox) -> bool {
        let gather = &mut self.gathers[index as usize];
        let Route::Forward(_) = gather.route else { return false };
        if gather.plan.plan.zones.is_empty() {
            return false;
        }
        let plan = gather.plan.clone();
        let Some(sub) = gather.subs().first() else { return false };
        let Progress::Answered(summary) = sub.progress else { return false };
        let Ok(meeting) = meet(&plan.plan, sub, &summary) else {
            // It cannot be told what is in it.
            gather.has_ours = true;
            return false;
        };
        self.counters.foreign += u64::from(meeting.ours);
        gather.has_ours = meeting.ours > 0;
        let Some((links, target)) = meeting.into else { return false };
        let Some(zone) = zone_of(&plan.plan, &target) else { return false };
        let apex = same(target.as_slice(), plan.plan.zones[zone].name.as_slice());
        if apex && matches!(gather.qtype(), Rtype::SOA | Rtype::NS) {
            // Those are no cluster's (Q8).
            return false;
        }
        let reply = std::mem::take(&mut gather.subs_mut()[0].reply);
        let fixed = gather.question[gather.name().len()..].to_vec();
        let question = [target.as_slice(), &fixed].concat();
        let question = std::mem::replace(&mut gather.question, question);
        gather.led = Some(Box::new(Led { question, reply, links, route: gather.route, came: now }));
        gather.route = Route::Zone(zone);
        self.name.clone_from(&target);
        let gather = &self.gathers[index as usize];
        let zone_name = &plan.plan.zones[zone].name;
        let mut relative =
            target.as_slice()[..target.as_slice().len() - zone_name.as_slice().len()].to_vec();
        relative.make_ascii_lowercase();
        let (qtype, cd) = (gather.asker().qtype(), gather.header.cd());
        let key = windows::question(&self.hasher, &relative, qtype, [cd, false]);
        let prefixed = self.has_prefix(&plan.plan.zones[zone]);
        let gather = &mut self.gathers[index as usize];
        gather.key.question = key;
        gather.phase = if prefixed { Phase::Prefixed } else { Phase::Plain };
        self.begin_round(now, index, out);
        true
    }

    /// The forward's CNAMEs, and after them the zone's answer for the name that
    /// they lead to.
    pub(super) fn answer_led(
        &mut self,
        now: Time,
        index: u32,
        out: &mut Outbox,
    ) -> (OptRcode, Option<Merged>) {
        let gather = &mut self.gathers[index as usize];
        let plan = gather.plan.clone();
        let (Some(led), Route::Zone(zone)) = (gather.led.take(), gather.route) else {
            return (OptRcode::SERVFAIL, None);
        };
        let zone = &plan.plan.zones[zone];
        // Without a limit: the forward's CNAMEs come before it.
        let transport = std::mem::replace(&mut gather.client.transport, Transport::Tcp);
        let mut ours = Vec::new();
        let merged = self.merger.merge(now, gather, zone, &plan.plan, &mut ours);
        self.gathers[index as usize].client.transport = transport;
        // What fits is seen below, and counted there.
        self.count_merged(Merged { truncated: false, cut_over_stream: false, ..merged });
        let gather = &self.gathers[index as usize];
        if gather.has_ours {
            self.merger.notes.add(ExtendedErrorCode::OTHER, LEFT_OUT, std::iter::empty());
        }
        let rcode = OptRcode::from_rcode(merged.rcode);
        let settings = &plan.plan.settings;
        let room = limit(Asker { question: &led.question, ..gather.asker() }, settings)
            .saturating_sub(opt_len(gather.edns, &self.merger.notes));
        let theirs = HeaderSection::for_message_slice(&led.reply);
        let own = HeaderSection::for_message_slice(&ours);
        let summary = Summary {
            records: HEADER_LEN + gather.question.len(),
            counts: [own.counts().ancount(), own.counts().nscount(), own.counts().arcount()],
            ..Summary::empty(merged.rcode)
        };
        let mut own_links = 0;
        let _ = walk(&ours, &summary, |section, _, raw| {
            own_links += usize::from(section == 0 && raw.rtype == Rtype::CNAME);
            Ok(())
        });
        let too_long = led.links.len() + own_links > MAX_CHAIN;
        let message = Message::begin(&mut out.octets, &led.question);
        let (merger, octets) = (&mut self.merger, &mut out.octets);
        let name = &led.question[..led.question.len() - 4];
        let mut anew = Anew::begin(message, name, room, &mut merger.compressor, octets);
        if rcode != OptRcode::SERVFAIL {
            let waited = u32::try_from(now.since(led.came).as_secs()).unwrap_or(u32::MAX);
            for &at in &led.links {
                if let Ok((raw, _)) = record::read(&led.reply, at) {
                    anew.push(0, &led.reply, &raw, raw.ttl.saturating_sub(waited));
                }
            }
            if !too_long {
                let _ = walk(&ours, &summary, |section, _, raw| {
                    if raw.rtype != Rtype::OPT {
                        anew.push(section, &ours, &raw, raw.ttl);
                    }
                    Ok(())
                });
            }
        }
        let stream = transport.is_stream();
        let aa = theirs.header().aa() && own.header().aa();
        let cut = anew.truncated;
        let tc = cut && !stream;
        let flags = Flags { rcode, aa, tc, ra: true, ad: false };
        let message = anew.message;
        let payload = settings.max_udp_payload;
        let notes = &merger.notes;
        message.end(octets, &gather.header, flags, gather.edns, payload, notes);
        self.counters.truncated += u64::from(tc);
        self.counters.cut_over_stream += u64::from(cut && stream);
        self.gathers[index as usize].led = Some(led);
        (rcode, Some(merged))
    }

    /// A forward's answer without what it says of our names.
    pub(super) fn answer_without_ours(&mut self, index: u32, out: &mut Outbox) -> OptRcode {
        let gather = &self.gathers[index as usize];
        let plan = gather.plan.clone();
        let settings = &plan.plan.settings;
        let sub = &gather.subs()[0];
        let (merger, octets) = (&mut self.merger, &mut out.octets);
        merger.notes.clear();
        merger.notes.add(ExtendedErrorCode::OTHER, LEFT_OUT, std::iter::empty());
        let room =
            limit(gather.asker(), settings).saturating_sub(opt_len(gather.edns, &merger.notes));
        let message = Message::begin(octets, &gather.question);
        let (mut extended, asked) = (0, asked_type(&gather.question));
        let name = gather.name();
        let mut anew = Anew::begin(message, name, room, &mut merger.compressor, octets);
        if let Progress::Answered(summary) = sub.progress {
            extended = summary.extended_rcode;
            let mut budget = Budget::for_message(sub.reply.len());
            let mut name = FlatName::root();
            let _ = walk(&sub.reply, &summary, |section, _, raw| {
                name.read(&sub.reply, raw.owner, &mut budget)?;
                if !is_meta(raw.rtype) && !is_ours(&plan.plan, &name, raw.rtype, asked) {
                    anew.push(section, &sub.reply, &raw, raw.ttl);
                }
                Ok(())
            });
        }
        let theirs = HeaderSection::for_message_slice(&sub.reply);
        let rcode = OptRcode::from_parts(theirs.header().rcode(), extended);
        let tc = anew.truncated && !gather.client.transport.is_stream();
        let flags = Flags { rcode, aa: theirs.header().aa(), tc, ra: true, ad: false };
        let message = anew.message;
        let payload = settings.max_udp_payload;
        message.end(octets, &gather.header, flags, gather.edns, payload, &merger.notes);
        rcode
    }
}
