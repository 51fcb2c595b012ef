//! The daemon as a process, on loopback: sockets, streams, signals, the log and
//! the admin server, which the tests of the engine cannot see. Its clusters are
//! servers in the test that do what they are told.
//!
//! Nothing here depends on how fast it goes: every wait is for an event, and is
//! bounded.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

#[path = "daemon/admin.rs"]
mod admin;
#[path = "daemon/client.rs"]
mod client;
#[path = "daemon/command.rs"]
mod command;
#[path = "daemon/events.rs"]
mod events;
#[path = "daemon/handed.rs"]
mod handed;
#[path = "daemon/limits.rs"]
mod limits;
#[path = "daemon/manager.rs"]
mod manager;
#[path = "daemon/process.rs"]
mod process;
#[path = "daemon/reload.rs"]
mod reload;
#[path = "daemon/streams.rs"]
mod streams;
#[path = "daemon/taps.rs"]
mod taps;
#[path = "daemon/tls.rs"]
mod tls;
#[path = "daemon/transports.rs"]
mod transports;
#[path = "daemon/upstream.rs"]
mod upstream;
