//! Stories in virtual time: what the table of cases cannot show because it
//! takes more than one question, or because it is about what does not happen.
//! Packets in, packets out, no sleeping. Each test bears the rule it shows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

#[path = "scenarios/actors.rs"]
mod actors;
#[path = "scenarios/chains.rs"]
mod chains;
#[path = "scenarios/changes.rs"]
mod changes;
#[path = "scenarios/counted.rs"]
mod counted;
#[path = "scenarios/explaining.rs"]
mod explaining;
#[path = "scenarios/forwards.rs"]
mod forwards;
#[path = "scenarios/held.rs"]
mod held;
#[path = "scenarios/ids.rs"]
mod ids;
#[path = "scenarios/limits.rs"]
mod limits;
#[path = "scenarios/retries.rs"]
mod retries;
#[path = "scenarios/sizes.rs"]
mod sizes;
#[path = "scenarios/strangers.rs"]
mod strangers;
#[path = "scenarios/streams.rs"]
mod streams;
