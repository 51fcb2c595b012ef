//! `gathersrv explain`: what becomes of a question, rule by rule, for a person
//! or, as JSON, for a program. Asks through the daemon's own engine and
//! sockets; only the listener is missing.

use crate::config::Route;
use crate::engine::explain::{Reaction, RecordReport, Report, SubReport};
use crate::engine::merge::{Fate, Section};
use crate::engine::{Phase, Transport};
use crate::net::{self, CannotRun, Served};
use crate::show::{Shown, Unreadable, record_at};
use crate::wire::name;
use domain::base::iana::Rtype;
use domain::base::{MessageBuilder, Name};
use serde::Serialize;
use std::fmt;

/// Why a question could not be explained.
#[derive(Debug)]
pub enum ExplainError {
    /// The host.
    CannotRun(CannotRun),
    /// No answer came, or none that can be read.
    Answer(String),
}

impl fmt::Display for ExplainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExplainError::CannotRun(error) => error.fmt(f),
            ExplainError::Answer(what) => write!(f, "explain: {what}"),
        }
    }
}

impl std::error::Error for ExplainError {}

impl From<CannotRun> for ExplainError {
    fn from(error: CannotRun) -> Self {
        ExplainError::CannotRun(error)
    }
}

impl From<Unreadable> for ExplainError {
    fn from(error: Unreadable) -> Self {
        ExplainError::Answer(error.to_string())
    }
}

/// Everything there is to tell.
#[derive(Debug, Serialize)]
pub struct Explanation {
    question: String,
    routed: String,
    rounds: Vec<RoundTold>,
    answer: Shown,
}

#[derive(Debug, Serialize)]
struct RoundTold {
    asked: &'static str,
    clusters: Vec<ClusterTold>,
}

#[derive(Debug, Serialize)]
struct ClusterTold {
    cluster: String,
    asked: String,
    follows_cname: bool,
    sent: u8,
    outcome: String,
    rcode: Option<String>,
    server: Option<String>,
    transport: Option<&'static str>,
    milliseconds: Option<f64>,
    records: Vec<RecordTold>,
}

#[derive(Debug, Serialize)]
struct RecordTold {
    section: &'static str,
    received: String,
    owner: String,
    names: Vec<String>,
    ttl: Option<u32>,
    ttl_capped: bool,
    fate: &'static str,
    rule: &'static str,
}

/// Asks, and tells how the answer came about.
pub fn explain(
    served: &Served,
    name: &Name<Vec<u8>>,
    rtype: Rtype,
    transport: Transport,
) -> Result<Explanation, ExplainError> {
    let plan = &served.plan;
    let too_long = |_| ExplainError::Answer("the question is too long".into());
    let mut query = MessageBuilder::new_vec();
    query.header_mut().set_rd(true);
    let mut query = query.question();
    query.push((name, rtype)).map_err(too_long)?;
    let mut query = query.additional();
    let payload = plan.settings.max_udp_payload;
    let sized = query.opt(|opt| {
        opt.set_udp_payload_size(payload);
        Ok(())
    });
    sized.map_err(too_long)?;
    let (answer, report) = net::ask(served.clone(), &query.finish(), transport)?;
    if answer.is_empty() {
        return Err(ExplainError::Answer("the engine gave no answer".into()));
    }
    let question = format!("{} {rtype}", name::Shown(name.as_slice()));
    let routed = match report.as_ref().map(|report| report.route) {
        None => "answered without asking anybody".to_string(),
        Some(Route::Zone(zone)) => format!("zone {}", plan.zones[zone].name),
        Some(Route::Forward(forward)) => format!("forward {}", plan.forwards[forward].name),
    };
    let rounds = report.as_ref().map(rounds).unwrap_or_default();
    Ok(Explanation { question, routed, rounds, answer: Shown::read(&answer)? })
}

fn rounds(report: &Report) -> Vec<RoundTold> {
    let last = report.rounds.len().saturating_sub(1);
    let rounds = report.rounds.iter().enumerate().map(|(n, round)| RoundTold {
        asked: match (report.route, round.phase, n) {
            (Route::Forward(_), ..) => "the forward's servers (Q7)",
            (_, Phase::Prefixed, _) => "the clusters whose prefix the name has (Q4)",
            (_, Phase::Plain, 0) => "every cluster (Q4)",
            (_, Phase::Plain, _) => "every cluster, as a plain name (Q5)",
        },
        clusters: round
            .subs
            .iter()
            .enumerate()
            .map(|(sub, told)| {
                let own = |record: &&RecordReport| n == last && record.sub == sub;
                let records = report.records.iter().filter(own);
                cluster(told, records.map(|record| self::record(told, record)).collect())
            })
            .collect(),
    });
    rounds.collect()
}

fn cluster(told: &SubReport, records: Vec<RecordTold>) -> ClusterTold {
    let mut out = ClusterTold {
        cluster: told.cluster.clone(),
        asked: name::Shown(&told.name).to_string(),
        follows_cname: told.follows,
        sent: told.tries,
        outcome: String::new(),
        rcode: None,
        server: None,
        transport: None,
        milliseconds: None,
        records,
    };
    match &told.reaction {
        Reaction::Answered { rcode, counts, server, transport, took } => {
            let [answer, authority, additional] = counts;
            out.outcome = format!(
                "{rcode}, {answer} answer, {authority} authority, {additional} additional records"
            );
            out.rcode = Some(rcode.to_string());
            out.server = Some(server.to_string());
            out.transport = Some(match transport {
                Transport::Udp => "UDP",
                Transport::Tcp => "TCP",
                Transport::Tls => "TLS",
            });
            out.milliseconds = Some(took.as_secs_f64() * 1000.0);
        }
        Reaction::CannotExist => {
            out.asked = "nothing".into();
            out.outcome = "the name would be too long there, so it does not exist (Q6)".into();
        }
        Reaction::Failed(failure) => out.outcome = format!("missing: {failure}"),
    }
    out
}

fn record(told: &SubReport, record: &RecordReport) -> RecordTold {
    let shown = |octets: &Vec<u8>| name::Shown(octets).to_string();
    let (fate, rule) = fate(record);
    RecordTold {
        section: match record.section {
            Section::Answer => "answer",
            Section::Authority => "authority",
            Section::Additional => "additional",
        },
        received: record_at(&told.reply, record.source)
            .unwrap_or_else(|_| format!("a {} record", record.rtype)),
        owner: shown(&record.owner),
        names: record.names.iter().map(shown).collect(),
        ttl: record.ttl,
        ttl_capped: record.ttl.is_some() && record.capped,
        fate,
        rule,
    }
}

fn fate(record: &RecordReport) -> (&'static str, &'static str) {
    match record.fate {
        Fate::Answer => ("in the answer section", "R1, R2"),
        Fate::Additional => ("in the additional section", "M8"),
        Fate::TooLong => ("left out: a rewritten name would be too long", "R4"),
        Fate::Dnssec => ("left out: no longer what was signed", "R5"),
        Fate::Duplicate => ("left out: equal to one there already", "M2"),
        Fate::Flattened => {
            ("left out: the clusters differ here, and what its chain ends in is given", "K8")
        }
        Fate::Conflict => ("left out: another cluster's chain or data stand in its place", "K8"),
        Fate::Unrelated | Fate::Open => ("left out: not part of this answer", "M8"),
        Fate::Foreign => ("left out: about a name that this cluster does not speak for", "R7"),
        Fate::NotHere => ("left out: another cluster has a real target", "M10"),
        Fate::NoRoom => ("left out: no room in the client's size", "T1, K9"),
    }
}

impl Explanation {
    /// For programs.
    pub fn json(&self) -> Result<String, ExplainError> {
        let text = serde_json::to_string_pretty(self);
        text.map_err(|error| ExplainError::Answer(error.to_string()))
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\nrouted: {}", self.question, self.routed)?;
        for round in &self.rounds {
            writeln!(f, "asked: {}", round.asked)?;
            for cluster in &round.clusters {
                write!(f, "\n  {}  <-  {}", cluster.cluster, cluster.asked)?;
                writeln!(
                    f,
                    "{}",
                    if cluster.follows_cname { " (a CNAME leads there, K8)" } else { "" }
                )?;
                if let (Some(server), Some(transport), Some(took)) =
                    (&cluster.server, cluster.transport, cluster.milliseconds)
                {
                    write!(f, "    {server} over {transport} in {took:.2} ms")?;
                    if cluster.sent > 1 {
                        write!(f, ", sent {} times", cluster.sent)?;
                    }
                    write!(f, ": ")?;
                } else {
                    write!(f, "    ")?;
                }
                writeln!(f, "{}", cluster.outcome)?;
                for record in &cluster.records {
                    writeln!(f, "    {:10}  {}", record.section, record.received)?;
                    write!(f, "    {:10}  -> {} ({})", "", record.fate, record.rule)?;
                    if let Some(ttl) = record.ttl {
                        write!(f, ": {} {ttl}", record.owner)?;
                        if record.ttl_capped {
                            write!(f, " (TTL cut, M6)")?;
                        }
                        for name in &record.names {
                            write!(f, ", {name}")?;
                        }
                    }
                    writeln!(f)?;
                }
            }
        }
        write!(f, "\n{}", self.answer)
    }
}
