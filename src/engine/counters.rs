//! What happened, counted. Plain numbers: an engine has one owner.

/// Counts since the engine began.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Queries answered, whatever the answer.
    pub answered: u64,
    /// Packets that were no queries, and got no answer (T5).
    pub not_queries: u64,
    /// Queries answered FORMERR, NOTIMP or BADVERS.
    pub unreadable: u64,
    /// Queries refused: class, transfer, or a name we do not serve.
    pub refused: u64,
    /// Queries answered from what was kept.
    pub hits: u64,
    /// Queries whose clusters all said what they had said last, so that nothing
    /// was merged.
    pub unchanged: u64,
    /// Questions asked again ahead of time, because they are in demand.
    pub refreshed: u64,
    /// Queries refused because too many were in flight.
    pub overloaded: u64,
    /// Answers with a cluster's last good answer in place of a new one (M6).
    pub stale: u64,
    /// Queries that joined an equal one in flight (U4).
    pub shared: u64,
    /// Sub-questions sent, retransmissions included.
    pub asked: u64,
    /// Of those, sent again for want of an answer.
    pub retransmitted: u64,
    /// Replies to no question in flight: late, or forged.
    pub unexpected: u64,
    /// Replies on the right socket with the right ID and the wrong rest (U1).
    pub mismatched: u64,
    /// Replies that only a forger sends: an ID that no question had, or the
    /// right one and the wrong rest.
    pub suspect: u64,
    /// Times a server came to be asked over TCP because of them.
    pub sieges: u64,
    /// Questions of our own that came back as a client's.
    pub loops: u64,
    /// Answers that a client was not given because its network had too many.
    pub rate_limited: u64,
    /// Queries whose client had to get a cookie, or come over TCP.
    pub unproven: u64,
    /// Replies that break the wire format.
    pub malformed: u64,
    /// Truncated replies, asked again over TCP (T2).
    pub truncated_replies: u64,
    /// Sub-questions that ended without a proper answer.
    pub failed: u64,
    /// Sub-questions not sent because every ID was taken.
    pub exhausted: u64,
    /// Times a server was taken out (U5).
    pub taken_out: u64,
    /// Probes sent to servers that are out.
    pub probes: u64,
    /// Records left out because a rewritten name is too long (R4).
    pub too_long: u64,
    /// Answers sent truncated (T1).
    pub truncated: u64,
}
