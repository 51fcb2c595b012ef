//! What happened, counted. Plain numbers: an engine has one owner.

/// Makes the struct, and what has to be done to each of its fields.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts since the engine began.
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Adds what has been counted between `before` and `now`, both of one
            /// engine.
            pub fn add(&mut self, before: &Counters, now: &Counters) {
                $(self.$name += now.$name.saturating_sub(before.$name);)*
            }
        }
    };
}

counters! {
    /// Queries answered, whatever the answer.
    answered,
    /// Packets that were no queries, and got no answer (T5).
    not_queries,
    /// Queries answered FORMERR, NOTIMP or BADVERS.
    unreadable,
    /// Queries refused: class, transfer, or a name we do not serve.
    refused,
    /// Queries answered from what was kept.
    hits,
    /// Queries whose clusters all said what they had said last, so that nothing
    /// was merged.
    unchanged,
    /// Questions asked again ahead of time, because they are in demand.
    refreshed,
    /// Queries refused because too many were in flight in all.
    overloaded,
    /// Queries refused because their client had too many in flight.
    client_limited,
    /// Answers with a cluster's last good answer in place of a new one (M6).
    stale,
    /// Queries that joined an equal one in flight (U4).
    shared,
    /// Sub-questions sent, retransmissions included.
    asked,
    /// Of those, sent again for want of an answer.
    retransmitted,
    /// Replies to no question in flight: late, or forged.
    unexpected,
    /// Replies on the right socket with the right ID and the wrong rest (U1).
    mismatched,
    /// Replies that only a forger sends: an ID that no question had, or the
    /// right one and the wrong rest.
    suspect,
    /// Times a server came to be asked over TCP because of them.
    sieges,
    /// Questions of our own that came back as a client's.
    loops,
    /// Answers that a client was not given because its network had too many.
    rate_limited,
    /// Queries whose client had to get a cookie, or come over TCP.
    unproven,
    /// Replies that break the wire format.
    malformed,
    /// Truncated replies, asked again over TCP (T2).
    truncated_replies,
    /// Sub-questions that ended without a proper answer.
    failed,
    /// Sub-questions not sent because every ID was taken.
    exhausted,
    /// Times a server was taken out (U5).
    taken_out,
    /// Probes sent to servers that are out.
    probes,
    /// Records left out because a rewritten name is too long (R4).
    too_long,
    /// Records left out because they are about names that their cluster does not
    /// speak for (R7).
    foreign,
    /// Answers sent truncated (T1).
    truncated,
    /// Answers over streams with records left out, because all would be more
    /// than a message can have (K9).
    cut_over_stream,
}
