//! A sub-question: what one cluster is asked, and how far its answer is.

use super::last_good::{Said, StandIn};
use super::links::LinkId;
use super::outbox::Transport;
use super::time::Time;
use super::windows::Window;
use crate::wire::HEADER_LEN;
use crate::wire::case::Case;
use crate::wire::name::same;
use crate::wire::reply::Summary;
use domain::base::iana::Rcode;
use smallvec::SmallVec;
use std::net::SocketAddr;

/// Why a cluster is missing from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing came in time.
    Silent,
    /// It said that it could not answer.
    Rcode(Rcode),
    /// It could not be reached.
    Unreachable,
    /// Every ID towards it was taken.
    Exhausted,
    /// All of its servers are known to be down (U5).
    Out,
    /// It was not asked: too many queries are in flight.
    Overloaded,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Silent => f.write_str("no answer in time"),
            Failure::Rcode(rcode) => write!(f, "{rcode}"),
            Failure::Unreachable => f.write_str("unreachable"),
            Failure::Exhausted => f.write_str("too many questions in flight"),
            Failure::Out => f.write_str("known to be down"),
            Failure::Overloaded => f.write_str("not asked: too many queries in flight"),
        }
    }
}

/// How far a sub-question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// On its way.
    Waiting,
    /// A proper answer is in [`Sub::reply`].
    Answered(Summary),
    /// The name would be too long for this cluster: it cannot exist there (Q6).
    CannotExist,
    /// It will not be answered.
    Failed(Failure),
}

/// One sending of a sub-question: a reply to any of them ends the wait.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// The socket it went out on.
    pub link: LinkId,
    /// Its ID there.
    pub id: u16,
    /// The engine's number for the server.
    pub server: usize,
    /// When it went out first.
    pub sent: Time,
    /// It went out more than once: its round trip cannot be measured.
    pub resent: bool,
    /// The network or the server said no; a reply may come all the same.
    pub refused: bool,
    /// The case of its letters, if that is a secret.
    pub case: Option<Case>,
    /// It carried our cookie.
    pub cookie: bool,
}

/// From whom an answer came.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// When it came.
    pub at: Time,
    /// The server.
    pub server: SocketAddr,
    /// How it came.
    pub transport: Transport,
}

/// Memory for replies is used again unless it is larger than this: datagrams
/// are not, and large answers over TCP are rare.
const KEPT_REPLY: usize = 4096;

/// A sub-question: the client's question as one cluster is asked it.
pub struct Sub {
    /// The cluster's place in its zone; 0 for a forward.
    pub cluster: usize,
    /// How far it is.
    pub progress: Progress,
    /// Name, type and class as asked.
    pub question: Vec<u8>,
    /// The reply, once there is a proper one.
    pub reply: Vec<u8>,
    /// Its sendings, those still awaiting an answer.
    pub attempts: SmallVec<[Attempt; 2]>,
    /// The place in the cluster's list of the server asked last.
    pub turn: usize,
    /// How often it has been sent.
    pub tries: u8,
    /// When it was sent first.
    pub asked_at: Time,
    /// When it is sent again, if nothing comes.
    pub retry_at: Time,
    /// The stream is used: a datagram answer was truncated (T2).
    pub tcp: bool,
    /// It has been asked on a stream, whatever for.
    pub streamed: bool,
    /// Sent without OPT: the server did not understand it (RFC 6891, 6.2.2).
    pub plain: bool,
    /// Servers that said no, by their place in the cluster's list.
    pub refused: u16,
    /// A server without a substitute has been asked again after it was
    /// unreachable.
    pub second_chance: bool,
    /// The reply is what the cluster said last.
    pub unchanged: bool,
    /// It is the cluster's last good answer, not one to this query (M6).
    pub stale: bool,
    /// It goes on where the CNAMEs of another reply end (K8): the question's name
    /// is not the client's.
    pub follows: bool,
    /// Where it is counted while it is in flight.
    pub window: Window,
    /// Servers that were given up, because it may not wait for more at once, by
    /// their place in the cluster's list.
    pub given_up: u16,
    /// What went wrong last, for when nothing else comes.
    pub last_failure: Failure,
    /// Where its answer came from.
    pub answered: Option<Source>,
}

impl Sub {
    pub(super) fn new() -> Self {
        Sub {
            cluster: 0,
            progress: Progress::Waiting,
            question: Vec::new(),
            reply: Vec::new(),
            attempts: SmallVec::new(),
            turn: 0,
            tries: 0,
            asked_at: Time::default(),
            retry_at: Time::default(),
            tcp: false,
            streamed: false,
            plain: false,
            unchanged: false,
            stale: false,
            follows: false,
            refused: 0,
            second_chance: false,
            window: Window::default(),
            given_up: 0,
            last_failure: Failure::Silent,
            answered: None,
        }
    }

    pub(super) fn reset(&mut self, cluster: usize) {
        let question = std::mem::take(&mut self.question);
        let mut reply = std::mem::take(&mut self.reply);
        if reply.capacity() > KEPT_REPLY {
            reply = Vec::new();
        }
        *self = Sub { cluster, question, reply, ..Sub::new() };
        self.question.clear();
        self.reply.clear();
    }

    /// What its reply says, if it has a proper one.
    pub fn summary(&self) -> Option<Summary> {
        match self.progress {
            Progress::Answered(summary) => Some(summary),
            _ => None,
        }
    }

    /// The name it asks for.
    pub fn name(&self) -> &[u8] {
        &self.question[..self.question.len().saturating_sub(4)]
    }

    /// It goes on with a chain that ends at this name of this cluster.
    pub fn continues(&self, cluster: usize, name: &[u8]) -> bool {
        self.follows && self.cluster == cluster && same(self.name(), name)
    }

    /// How old its reply is, in seconds that count against TTLs: what is stale is
    /// past its TTL anyway, and capped.
    pub fn age(&self, now: Time) -> u32 {
        let received = self.answered.filter(|_| !self.stale).map_or(now, |source| source.at);
        u32::try_from(now.since(received).as_secs()).unwrap_or(u32::MAX)
    }

    /// It has no proper answer.
    pub fn is_missing(&self) -> bool {
        matches!(self.progress, Progress::Failed(_) | Progress::Waiting)
    }

    /// Whether its reply has records.
    pub fn has_answer(&self) -> bool {
        matches!(&self.progress, Progress::Answered(summary) if summary.has_answer)
    }

    /// Something that is held stands in for an answer of its own (M6).
    pub fn stand_in(&mut self, found: &StandIn<'_>) {
        let mut summary = found.summary;
        self.reply.clear();
        if let Said::Reply(reply) = found.said {
            self.reply.extend_from_slice(reply);
        } else {
            self.reply.resize(HEADER_LEN, 0);
            self.reply.extend_from_slice(&self.question);
            summary = Summary {
                records: self.reply.len(),
                counts: [0; 3],
                has_answer: false,
                has_cname: false,
                ..summary
            };
        }
        match found.said {
            Said::Reply(_) => {}
            Said::Nothing(rcode) => summary.rcode = rcode,
            Said::Addresses(addresses) => {
                self.reply.extend_from_slice(&addresses.records);
                summary.counts[0] = addresses.count;
                (summary.rcode, summary.has_answer) = (Rcode::NOERROR, true);
                summary.negative_ttl = None;
            }
        }
        self.progress = Progress::Answered(summary);
        self.answered = found.source;
        self.stale = true;
        self.unchanged = false;
    }

    /// Takes over what another was told: they are the same question.
    pub fn copy_answer(&mut self, other: &Sub) {
        self.reply.clear();
        self.reply.extend_from_slice(&other.reply);
        self.progress = other.progress;
        self.answered = other.answered;
        self.asked_at = other.asked_at;
        self.stale = other.stale;
        self.unchanged = other.unchanged;
    }
}
