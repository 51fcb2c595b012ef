//! What of the held answers may stand in for a cluster that is missing: the rules
//! K1, K2, K4 and K6.

use super::held::{ANY_TYPE, Data, Entry, Held, Kind, ancestor_key};
use super::subject::{Said, StandIn, Subject};
use crate::engine::time::Time;
use crate::wire::reply::Summary;
use domain::base::iana::{Rcode, Rtype};
use smallvec::SmallVec;
use std::time::Duration;

/// NXDOMAIN stands in for so long after its cluster went missing (K1): it denies
/// a whole subtree (RFC 8020), and services come and go.
const NXDOMAIN_FOR: Duration = Duration::from_secs(3600);

/// A negative that came so shortly before its cluster went missing is doubted
/// (K2): a dying cluster mostly loses its endpoints seconds before its DNS.
const DOUBTED_FOR: Duration = Duration::from_secs(300);

/// Types by which a name is known to have records.
const KNOWN_TYPES: [Rtype; 9] = [
    Rtype::A,
    Rtype::AAAA,
    Rtype::CNAME,
    Rtype::HTTPS,
    Rtype::MX,
    Rtype::NS,
    Rtype::SRV,
    Rtype::SVCB,
    Rtype::TXT,
];

impl Held {
    /// What stands in for a cluster that is missing: what it gave in the last
    /// `keep_for`, by the rules K1, K2 and K6.
    pub fn find(&self, subject: Subject<'_>, now: Time, keep_for: Duration) -> Option<StandIn<'_>> {
        if let Some(records) = self.records_that_stand_in(subject, now, keep_for) {
            return Some(records.stand_in());
        }
        let mut newer = self.newer_negatives(subject, now, keep_for);
        if self.has_records_of_other_type(subject, now, keep_for) {
            // NXDOMAIN would deny those as well (RFC 8020).
            newer.retain(|negative| negative.rtype != ANY_TYPE);
        }
        let below = self.gave_records_below(subject, true);
        newer.retain(|negative| negative.rtype != ANY_TYPE || Some(negative.source.at) >= below);
        let latest = newer.into_iter().max_by_key(|negative| negative.source.at)?;
        let denied = latest.rtype == ANY_TYPE;
        let missing_since = self.missing_since(subject, now);
        let expired = denied && now.since(missing_since) >= NXDOMAIN_FOR;
        (!expired).then(|| latest.stand_in())
    }

    /// When the cluster went missing.
    fn missing_since(&self, subject: Subject<'_>, now: Time) -> Time {
        self.registry.answered_at(subject.cluster).unwrap_or(now)
    }

    /// Negatives that came after the records that are held, if any are. CD=0 and
    /// CD=1 each have their own, and the five minutes of K2 begin with the first.
    fn newer_negatives(
        &self,
        subject: Subject<'_>,
        now: Time,
        keep_for: Duration,
    ) -> SmallVec<[&Entry; 4]> {
        let within = |entry: &&Entry| now.since(entry.source.at) < keep_for;
        let records = self.records(subject, &within);
        let of_name = Subject { rtype: ANY_TYPE, ..subject };
        let negatives = [subject, of_name].into_iter().flat_map(|about| {
            self.usable(Kind::Negative, about).into_iter().flatten().filter(within)
        });
        let newer = negatives.filter(|negative| {
            records.is_none_or(|records| negative.source.at > records.source.at)
        });
        newer.collect()
    }

    /// K2: records, unless a negative after them is to be believed.
    fn records_that_stand_in(
        &self,
        subject: Subject<'_>,
        now: Time,
        keep_for: Duration,
    ) -> Option<&Entry> {
        let within = |entry: &&Entry| now.since(entry.source.at) < keep_for;
        let records = self.records(subject, &within)?;
        let newer = self.newer_negatives(subject, now, keep_for);
        let first = newer.iter().filter_map(|negative| match negative.data {
            Data::Nothing { first, .. } => Some(first.max(records.source.at)),
            _ => None,
        });
        let missing_since = self.missing_since(subject, now);
        let doubted = first.min().is_none_or(|first| missing_since.since(first) < DOUBTED_FOR);
        doubted.then_some(records)
    }

    /// Records of another type stand in for this name.
    fn has_records_of_other_type(
        &self,
        subject: Subject<'_>,
        now: Time,
        keep_for: Duration,
    ) -> bool {
        let of_name = Subject { rtype: ANY_TYPE, ..subject };
        let within = |entry: &&Entry| now.since(entry.source.at) < keep_for;
        if self.latest(Kind::Negative, of_name, &within).is_none() {
            return false;
        }
        let others = KNOWN_TYPES.into_iter().filter(|&rtype| rtype != subject.rtype);
        let mut others = others.map(|rtype| Subject { rtype, ..subject });
        others.any(|other| self.records_that_stand_in(other, now, keep_for).is_some())
    }

    /// Whether a cluster that is missing has the name, as far as is held: it gave
    /// records, or NODATA, of the type asked for or of one that is known.
    pub fn has_name(&self, subject: Subject<'_>, now: Time, keep_for: Duration) -> bool {
        let types = KNOWN_TYPES.into_iter().chain([subject.rtype]);
        let mut found = types.map(|rtype| self.find(Subject { rtype, ..subject }, now, keep_for));
        found.any(|found| found.is_some_and(|found| found.says_that_it_exists()))
    }

    /// The records that a cluster gave in the last `patience`, whatever it has
    /// said since.
    pub fn find_records(
        &self,
        subject: Subject<'_>,
        now: Time,
        patience: Duration,
    ) -> Option<StandIn<'_>> {
        let within = |entry: &&Entry| now.since(entry.source.at) < patience;
        self.latest(Kind::Answer, subject, &within).map(Entry::stand_in)
    }

    /// What a cluster that is missing says to a type that nothing is held for,
    /// if addresses are held for the name, or records below it (K4): NODATA; or,
    /// if the name is an alias, what it is an alias of (K8).
    pub fn find_name(
        &self,
        subject: Subject<'_>,
        now: Time,
        keep_for: Duration,
    ) -> Option<StandIn<'_>> {
        let said = Said::Nothing(Rcode::NOERROR);
        // It is we who say that, so AA.
        let summary = Summary { aa: true, ..Summary::empty(Rcode::NOERROR) };
        for rtype in [Rtype::A, Rtype::AAAA] {
            let about = Subject { rtype, ..subject };
            let Some(entry) = self.records_that_stand_in(about, now, keep_for) else { continue };
            let found = entry.stand_in();
            return match found.said {
                Said::Reply(_) if entry.summary.has_cname => Some(found),
                _ => Some(StandIn { said, summary, ..found }),
            };
        }
        let address = matches!(subject.rtype, Rtype::A | Rtype::AAAA);
        let below = self.gave_records_below(subject, !address)?;
        (now.since(below) < keep_for).then_some(StandIn { said, summary, source: None })
    }

    /// When the latest records that are held below a name were given. Those below
    /// labels that begin with `_` may be left out.
    fn gave_records_below(&self, subject: Subject<'_>, services: bool) -> Option<Time> {
        let with_cd = [false, true].into_iter().filter(|cd| subject.cd || !cd);
        let kinds = with_cd.flat_map(|cd| [(cd, false), (cd, true)]);
        let latest =
            kinds.filter(|(_, is_service)| services || !is_service).map(|(cd, is_service)| {
                let key = ancestor_key(&self.hasher, Subject { cd, ..subject }, is_service);
                self.ancestors.get(&key).map(|known| known.latest)
            });
        latest.max().flatten()
    }

    /// The records to give, if any are held: an answer ranks above what came
    /// beside another (RFC 2181, 5.4.1), unless its TTL had run out by then.
    fn records(&self, subject: Subject<'_>, within: &impl Fn(&&Entry) -> bool) -> Option<&Entry> {
        let answer = self.latest(Kind::Answer, subject, within);
        let beside = self.latest(Kind::Beside, subject, within);
        match (answer, beside) {
            (Some(answer), Some(beside)) if beside.source.at > answer.expires => Some(beside),
            (answer, beside) => answer.or(beside),
        }
    }

    /// The latest that a question with this CD may be given (K7).
    fn latest(
        &self,
        kind: Kind,
        subject: Subject<'_>,
        within: &impl Fn(&&Entry) -> bool,
    ) -> Option<&Entry> {
        let usable = self.usable(kind, subject).into_iter().flatten();
        usable.filter(within).max_by_key(|entry| entry.source.at)
    }

    /// What a question with this CD may be given (K7): what is held for CD=0, and
    /// for CD=1 if it is set.
    fn usable(&self, kind: Kind, subject: Subject<'_>) -> [Option<&Entry>; 2] {
        let with = |cd| self.entry(kind, Subject { cd, ..subject });
        [with(false), if subject.cd { with(true) } else { None }]
    }
}
