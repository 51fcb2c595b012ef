//! What last good answers are about, and what is said about it: the words
//! between the engine and what is held.

use super::beside::Addresses;
use super::registry::ClusterId;
use crate::engine::sub::Source;
use crate::wire::reply::Summary;
use domain::base::iana::{Rcode, Rtype};

/// What an entry is about: a sub-question, and to which cluster.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The cluster.
    pub cluster: ClusterId,
    /// The name it was asked for, flat, in lower case.
    pub name: &'a [u8],
    /// The type.
    pub rtype: Rtype,
    /// CD was set: who asks without it must not get this (RFC 4035, 3.2.2).
    pub cd: bool,
}

/// What a cluster has just said.
#[derive(Debug, Clone, Copy)]
pub struct Lesson<'a> {
    /// To which question.
    pub subject: Subject<'a>,
    /// What its reply says.
    pub summary: Summary,
    /// The reply.
    pub reply: &'a [u8],
    /// When it came, and from whom.
    pub source: Source,
}

/// What may stand in for a cluster.
pub struct StandIn<'a> {
    /// What it says.
    pub said: Said<'a>,
    /// What the reply said that it came in.
    pub summary: Summary,
    /// When that came, and from whom; nothing if it follows from several.
    pub source: Option<Source>,
}

impl StandIn<'_> {
    /// The name it is about exists.
    pub fn says_that_it_exists(&self) -> bool {
        !matches!(self.said, Said::Nothing(Rcode::NXDOMAIN))
    }
}

/// The content of a [`StandIn`].
#[derive(Debug, Clone, Copy)]
pub enum Said<'a> {
    /// A reply with records.
    Reply(&'a [u8]),
    /// Addresses that came beside another answer (K6).
    Addresses(&'a Addresses),
    /// NXDOMAIN, or NODATA.
    Nothing(Rcode),
}
