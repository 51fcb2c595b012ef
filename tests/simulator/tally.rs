//! What happened in the worlds, counted: so that a law that never had anything
//! to judge is noticed.

/// Makes the struct, its sum and its list.
macro_rules! tally {
    ($($name:ident: $words:literal,)*) => {
        /// Counts of one world, or of many.
        #[derive(Debug, Default, Clone)]
        pub struct Tally {
            $(pub $name: u64,)*
        }

        impl Tally {
            pub fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$(($words, self.$name)),*]
            }

            pub fn add(&mut self, other: &Tally) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

tally! {
    answers: "answer",
    whole: "whole answer",
    stale: "stale answer",
    partial: "partial answer",
    negative: "negative answer",
    stale_negative: "stale negative answer",
    servfail: "SERVFAIL",
    cut: "truncated answer",
    streamed: "answer over TCP or TLS",
    timely: "query answered in time by all",
    timely_cluster: "cluster that answered in time",
    hits: "answer from memory",
    shared: "shared question",
    taken_out: "server taken out",
    came_back: "server back",
    health_checks: "health check",
    foretold: "retransmission at its time",
    astray: "server of which the model lost track",
    given_up: "ID given up for another",
    windows_full: "question with all its IDs in flight",
    waited_for: "cluster waited for until the deadline",
    must_hit: "answer that has to be given again",
    refreshed: "answer asked for ahead of time",
    metered: "worker whose meters were compared",
    without_opt: "question without OPT",
    mismatched: "mismatch",
    malformed: "malformed reply",
    retransmitted: "retransmission",
    over_tcp: "truncated reply",
    overloaded: "query too many",
    overloaded_stale: "query too many answered from what is held",
    sieges: "siege",
    changed: "reload",
    replaced: "new set of workers",
    clusters_changed: "cluster added or removed",
    flooded: "flood",
    // The laws of what is held, by rule.
    k1_nxdomain: "NXDOMAIN held (K1)",
    k1_nodata: "NODATA held (K1)",
    k1_records: "records held",
    k2_doubted: "negative within five minutes, doubted (K2)",
    k2_believed: "negative after records, believed (K2)",
    k2_distrusted: "negative of a cluster that is there, distrusted (K2)",
    k3_nodata: "NODATA without a cluster (K3)",
    k3_servfail: "SERVFAIL where another says NODATA (K3)",
    k4_nodata: "NODATA of a name that is held (K4)",
    k4_servfail: "SERVFAIL of a name that is held (K4)",
    k5_fail: "SERVFAIL by on-missing fail (K5)",
    k5_min: "SERVFAIL by min-clusters (K5)",
    k5_partial: "something held that partial does not use (K5)",
    k6_beside: "address held beside an answer (K6)",
    k7_second_round: "second round after something held (K7)",
    k7_lent: "answer for CD=0 lent to CD=1 (K7)",
    k7_not_lent: "answer for CD=1 not lent to CD=0 (K7)",
    nothing_held: "missing cluster of which nothing is held",
    elsewhere: "answer held that another worker learned",
    over_reload: "answer held over a reload",
    through_flood: "answer held through a flood",
    bounded: "count of what is held within its bound",
}
