//! From what an operator wrote to one validated, immutable [`Plan`].
//!
//! Flags are read into words, words into a plan, and every mistake on the way
//! is a [`ConfigError`] that names the place, what is wrong there, and what
//! would be right. Behind the plan nothing is checked again.

mod admin_at;
mod build;
mod exposure;
mod index;
mod meetings;
mod plan;
mod server;
mod taps;
mod told;
pub mod words;

pub use admin_at::{AdminAt, Shows};
pub use build::{Draft, ForwardDraft, ZoneDraft, build};
pub use plan::{
    Behaviour, Cluster, DEADLINES, Forward, Identity, LAME_DUCKS, OnMissing, Plan, Policy, Route,
    Settings, Truncated, Zone,
};
pub use server::{Server, ServerOptions, Tls};
pub use taps::{Endpoint, sample};

/// A mistake in flags or configuration: the operator's to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The flag, and the word in it.
    pub place: String,
    /// What is wrong there.
    pub wrong: String,
    /// What would be right.
    pub remedy: String,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.wrong, self.remedy)
    }
}

impl std::error::Error for ConfigError {}
