//! What was asked, of whom, and how it went, counted by zone, cluster and
//! server. Plain numbers that grow: an engine has one owner, and whoever wants
//! to know is given a copy ([`super::vitals`]). A zone that is never asked has
//! none; counting a query of one that is allocates nothing but its first time.

use super::merge::Completeness;
use super::outbox::Transport;
use super::sub::{Progress, Sub};
use super::time::Time;
use domain::base::iana::{OptRcode, Rcode, Rtype};
use std::time::Duration;

/// What a question's type is counted under: what is asked of services, by
/// number. Strangers choose types, so all others are one.
pub const TYPES: [(Option<Rtype>, &str); 15] = [
    (Some(Rtype::A), "A"),
    (Some(Rtype::AAAA), "AAAA"),
    (Some(Rtype::SRV), "SRV"),
    (Some(Rtype::TXT), "TXT"),
    (Some(Rtype::CNAME), "CNAME"),
    (Some(Rtype::PTR), "PTR"),
    (Some(Rtype::NS), "NS"),
    (Some(Rtype::SOA), "SOA"),
    (Some(Rtype::MX), "MX"),
    (Some(Rtype::HTTPS), "HTTPS"),
    (Some(Rtype::SVCB), "SVCB"),
    (Some(Rtype::NAPTR), "NAPTR"),
    (Some(Rtype::DS), "DS"),
    (Some(Rtype::ANY), "ANY"),
    (None, "other"),
];

/// What an rcode is counted under; the last stands for all others.
pub const RCODES: [(Option<OptRcode>, &str); 9] = [
    (Some(OptRcode::NOERROR), "NOERROR"),
    (Some(OptRcode::FORMERR), "FORMERR"),
    (Some(OptRcode::SERVFAIL), "SERVFAIL"),
    (Some(OptRcode::NXDOMAIN), "NXDOMAIN"),
    (Some(OptRcode::NOTIMP), "NOTIMP"),
    (Some(OptRcode::REFUSED), "REFUSED"),
    (Some(OptRcode::BADVERS), "BADVERS"),
    (Some(OptRcode::BADCOOKIE), "BADCOOKIE"),
    (None, "other"),
];

/// The place among a sub-question's outcomes of "no answer".
pub const NO_ANSWER: usize = RCODES.len();

/// What transports are counted under.
pub const TRANSPORTS: [(Transport, &str); 3] =
    [(Transport::Udp, "udp"), (Transport::Tcp, "tcp"), (Transport::Tls, "tls")];

/// Adds to each count what it has grown by.
fn add(counts: &mut [u64], before: &[u64], now: &[u64]) {
    for ((count, before), now) in counts.iter_mut().zip(before).zip(now) {
        *count += now.saturating_sub(*before);
    }
}

fn type_at(qtype: Rtype) -> usize {
    let other = TYPES.len() - 1;
    TYPES[..other].iter().position(|(known, _)| *known == Some(qtype)).unwrap_or(other)
}

fn rcode_at(rcode: OptRcode) -> usize {
    let other = RCODES.len() - 1;
    RCODES[..other].iter().position(|(known, _)| *known == Some(rcode)).unwrap_or(other)
}

/// Bounds of a [`Latency`]'s buckets: the first, and each next is twice that.
const FIRST_BOUND: Duration = Duration::from_micros(125);

/// Buckets with a bound: the last bound is 4.096 s, beyond any usual deadline.
const BOUNDS: usize = 16;

/// How long things took: a histogram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    /// Counts, not cumulative; the last is of what took longer than the last
    /// bound.
    pub buckets: [u64; BOUNDS + 1],
    /// All times together, in microseconds.
    pub micros: u64,
}

impl Latency {
    /// The upper bounds of the buckets but the last, which has none.
    pub fn bounds() -> impl Iterator<Item = Duration> {
        (0..BOUNDS as u32).map(|n| FIRST_BOUND * (1 << n))
    }

    /// Counts one.
    pub(super) fn add(&mut self, took: Duration) {
        let micros = took.as_micros() as u64;
        // The number of doublings of the first bound that it fits into.
        let times = micros.saturating_sub(1) / FIRST_BOUND.as_micros() as u64;
        let bucket = (u64::BITS - times.leading_zeros()) as usize;
        self.buckets[bucket.min(BOUNDS)] += 1;
        self.micros = self.micros.saturating_add(micros);
    }

    /// Adds what has been counted between `before` and `now`.
    pub fn add_between(&mut self, before: &Latency, now: &Latency) {
        add(&mut self.buckets, &before.buckets, &now.buckets);
        self.micros += now.micros.saturating_sub(before.micros);
    }

    /// The time that this share of all took at most, no more exactly than the
    /// buckets are wide, and the last bound if it was beyond; nothing if there were
    /// none.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let all: u64 = self.buckets.iter().sum();
        let wanted = all as f64 * share;
        let mut below = 0;
        let mut lower = Duration::ZERO;
        for (&count, upper) in self.buckets.iter().zip(Self::bounds()) {
            if count > 0 && (below + count) as f64 >= wanted {
                // Evenly spread within the bucket, as is the custom.
                let inside = (wanted - below as f64) / count as f64;
                return Some(lower + (upper - lower).mul_f64(inside.clamp(0.0, 1.0)));
            }
            below += count;
            lower = upper;
        }
        (all > 0).then_some(lower)
    }
}

/// Bounds of the ages of stale data, in seconds: up to `--keep-for`'s default.
pub const AGES: [u64; 8] = [5, 15, 60, 300, 900, 3600, 21_600, 86_400];

/// How old the stale data was that was given: a histogram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ages {
    /// Counts by [`AGES`], not cumulative; the last is of older data.
    pub buckets: [u64; AGES.len() + 1],
    /// All ages together, in seconds.
    pub seconds: u64,
    /// The age last given, in seconds.
    pub last: u64,
}

impl Ages {
    fn add(&mut self, age: Duration) {
        let seconds = age.as_secs();
        let bucket = AGES.iter().position(|&bound| seconds <= bound).unwrap_or(AGES.len());
        self.buckets[bucket] += 1;
        self.seconds = self.seconds.saturating_add(seconds);
        self.last = seconds;
    }

    /// Adds what has been counted between `before` and `now`.
    pub fn add_between(&mut self, before: &Ages, now: &Ages) {
        if now.buckets != before.buckets {
            self.last = now.last;
        }
        add(&mut self.buckets, &before.buckets, &now.buckets);
        self.seconds += now.seconds.saturating_sub(before.seconds);
    }
}

/// What a cluster contributed to answers.
#[derive(Debug, Clone, Default)]
pub struct ClusterMeter {
    /// Answers with what it has just said, or said within its TTL.
    pub fresh: u64,
    /// Answers with its last good answer in place of a new one (M6).
    pub stale: u64,
    /// Answers without it.
    pub missing: u64,
    /// How old its stale data was.
    pub ages: Ages,
    /// For each of its servers what sub-questions came to: by [`RCODES`], and
    /// [`NO_ANSWER`].
    pub servers: Vec<[u64; RCODES.len() + 1]>,
}

/// What questions for one zone or forward came to.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    /// Answers by type, transport and rcode: few of the combinations happen.
    queries: Vec<(u16, u64)>,
    /// From a query's coming to its answer.
    pub latency: Latency,
    /// Gathered answers: whole, stale, partial, failed.
    pub completeness: [u64; 4],
    /// The clusters of a zone, as configured; a forward is one.
    pub clusters: Vec<ClusterMeter>,
}

/// An answer, as it is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub qtype: Rtype,
    pub transport: Transport,
    pub rcode: OptRcode,
    pub took: Duration,
}

impl Meter {
    /// One of `clusters`, each with so many servers.
    pub fn new(clusters: impl Iterator<Item = usize>) -> Self {
        let cluster = |servers| ClusterMeter {
            servers: vec![[0; RCODES.len() + 1]; servers],
            ..ClusterMeter::default()
        };
        Meter { clusters: clusters.map(cluster).collect(), ..Meter::default() }
    }

    /// Counts an answer.
    pub(super) fn answered(&mut self, answer: Counted) {
        let transport = answer.transport as usize;
        let place = (type_at(answer.qtype) * TRANSPORTS.len() + transport) * RCODES.len()
            + rcode_at(answer.rcode);
        match self.queries.iter_mut().find(|(known, _)| usize::from(*known) == place) {
            Some((_, count)) => *count += 1,
            None => self.queries.push((place as u16, 1)),
        }
        self.latency.add(answer.took);
    }

    /// Counts what the clusters contributed to an answer.
    pub(super) fn gathered(&mut self, now: Time, subs: &[Sub], completeness: Completeness) {
        self.completeness[completeness as usize] += 1;
        for sub in subs {
            let Some(cluster) = self.clusters.get_mut(sub.cluster) else { continue };
            match sub.progress {
                Progress::Answered(_) if sub.stale => {
                    cluster.stale += 1;
                    if let Some(source) = sub.answered {
                        cluster.ages.add(now.since(source.at));
                    }
                }
                Progress::Answered(_) | Progress::CannotExist => cluster.fresh += 1,
                Progress::Failed(_) | Progress::Waiting => cluster.missing += 1,
            }
        }
    }

    /// Counts what became of a sub-question at a cluster's server: an rcode, or
    /// nothing.
    pub(super) fn asked(&mut self, cluster: usize, server: usize, rcode: Option<OptRcode>) {
        let outcomes = self.clusters.get_mut(cluster).and_then(|c| c.servers.get_mut(server));
        if let Some(outcomes) = outcomes {
            outcomes[rcode.map_or(NO_ANSWER, rcode_at)] += 1;
        }
    }

    /// Answers by the names of type, transport and rcode.
    pub fn queries(&self) -> impl Iterator<Item = ([&'static str; 3], u64)> {
        self.queries.iter().map(|&(place, count)| {
            let (rest, rcode) =
                (usize::from(place) / RCODES.len(), usize::from(place) % RCODES.len());
            let (qtype, transport) = (rest / TRANSPORTS.len(), rest % TRANSPORTS.len());
            ([TYPES[qtype].1, TRANSPORTS[transport].1, RCODES[rcode].1], count)
        })
    }

    /// Answers of this rcode, and all of them.
    pub fn of_rcode(&self, rcode: Rcode) -> (u64, u64) {
        let wanted = rcode_at(OptRcode::from_rcode(rcode));
        let of = |(place, _): &&(u16, u64)| usize::from(*place) % RCODES.len() == wanted;
        let sum = |counts: &mut dyn Iterator<Item = &(u16, u64)>| counts.map(|(_, n)| n).sum();
        (sum(&mut self.queries.iter().filter(of)), sum(&mut self.queries.iter()))
    }

    /// Adds what has been counted between `before` and `now`, both of one
    /// worker and the same zone as this.
    pub fn add(&mut self, before: &Meter, now: &Meter) {
        for &(place, count) in &now.queries {
            let known = before.queries.iter().find(|(known, _)| *known == place);
            let more = count.saturating_sub(known.map_or(0, |(_, count)| *count));
            match self.queries.iter_mut().find(|(known, _)| *known == place) {
                Some((_, own)) => *own += more,
                None => self.queries.push((place, more)),
            }
        }
        self.latency.add_between(&before.latency, &now.latency);
        add(&mut self.completeness, &before.completeness, &now.completeness);
        for ((own, before), now) in
            self.clusters.iter_mut().zip(&before.clusters).zip(&now.clusters)
        {
            own.fresh += now.fresh.saturating_sub(before.fresh);
            own.stale += now.stale.saturating_sub(before.stale);
            own.missing += now.missing.saturating_sub(before.missing);
            own.ages.add_between(&before.ages, &now.ages);
            for ((own, before), now) in
                own.servers.iter_mut().zip(&before.servers).zip(&now.servers)
            {
                add(own, before, now);
            }
        }
    }

    /// One with as many clusters and servers, and nothing counted.
    pub fn empty(&self) -> Meter {
        Meter::new(self.clusters.iter().map(|cluster| cluster.servers.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_below_the_bound_it_does_not_pass() {
        let bounds: Vec<Duration> = Latency::bounds().collect();
        assert_eq!(bounds.last(), Some(&Duration::from_micros(4_096_000)));
        for (n, &bound) in bounds.iter().enumerate() {
            let mut latency = Latency::default();
            latency.add(bound);
            latency.add(bound + Duration::from_micros(1));
            assert_eq!((latency.buckets[n], latency.buckets[n + 1]), (1, 1), "{bound:?}");
        }
        let mut latency = Latency::default();
        latency.add(Duration::ZERO);
        latency.add(Duration::from_secs(86_400));
        assert_eq!((latency.buckets[0], latency.buckets[BOUNDS]), (1, 1));
    }

    #[test]
    fn a_quantile_is_inside_its_bucket() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile(0.5), None);
        (0..99).for_each(|_| latency.add(Duration::from_millis(1)));
        latency.add(Duration::from_millis(60));
        let within = |share, low, high| {
            let found = latency.quantile(share).unwrap();
            assert!(
                found > Duration::from_millis(low) && found <= Duration::from_millis(high),
                "{found:?}"
            );
        };
        within(0.5, 0, 1);
        within(0.99, 0, 1);
        within(0.995, 32, 64);
        // Half of those in a bucket are in its lower half.
        let mut latency = Latency::default();
        let bounds: Vec<Duration> = Latency::bounds().collect();
        (0..100).for_each(|_| latency.add(bounds[3]));
        assert_eq!(latency.quantile(0.5), Some((bounds[2] + bounds[3]) / 2));
        assert_eq!(latency.quantile(1.0), Some(bounds[3]));
        (0..300).for_each(|_| latency.add(bounds[4]));
        assert_eq!(latency.quantile(0.5), Some(bounds[3] + (bounds[4] - bounds[3]) / 3));
        latency.add(Duration::from_secs(60));
        assert_eq!(latency.quantile(1.0), Latency::bounds().last());
    }

    #[test]
    fn every_combination_of_type_transport_and_rcode_has_its_own_count() {
        let mut meter = Meter::default();
        for (qtype, _) in TYPES {
            for (transport, _) in TRANSPORTS {
                for (rcode, _) in RCODES {
                    let qtype = qtype.unwrap_or(Rtype::from_int(65_280));
                    let rcode = rcode.unwrap_or(OptRcode::from_parts(Rcode::NOERROR, 250));
                    let took = Duration::ZERO;
                    meter.answered(Counted { qtype, transport, rcode, took });
                }
            }
        }
        let names: std::collections::HashSet<[&str; 3]> =
            meter.queries().map(|(names, _)| names).collect();
        assert_eq!(names.len(), TYPES.len() * TRANSPORTS.len() * RCODES.len());
        assert!(meter.queries().all(|(_, count)| count == 1));
    }

    #[test]
    fn types_and_rcodes_that_strangers_choose_are_one() {
        let mut meter = Meter::default();
        for n in 1000..2000 {
            let qtype = Rtype::from_int(n);
            let rcode = OptRcode::from_parts(Rcode::NOERROR, (n % 100) as u8 + 100);
            let (transport, took) = (Transport::Udp, Duration::ZERO);
            meter.answered(Counted { qtype, transport, rcode, took });
        }
        let counted: Vec<_> = meter.queries().collect();
        assert_eq!(counted, [(["other", "udp", "other"], 1000)]);
    }

    #[test]
    fn what_workers_have_counted_is_added_up() {
        let mut one = Meter::new([2].into_iter());
        one.asked(0, 1, Some(OptRcode::REFUSED));
        one.asked(0, 1, None);
        let (qtype, transport, rcode) = (Rtype::A, Transport::Tls, OptRcode::SERVFAIL);
        one.answered(Counted { qtype, transport, rcode, took: Duration::from_millis(3) });
        let mut both = one.empty();
        both.add(&one.empty(), &one);
        both.add(&one.empty(), &one);
        both.add(&one, &one);
        assert_eq!(both.of_rcode(Rcode::SERVFAIL), (2, 2));
        assert_eq!(both.clusters[0].servers[1][NO_ANSWER], 2);
        assert_eq!(both.latency.micros, 6000);
    }
}
