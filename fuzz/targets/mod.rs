//! What is fuzzed, and what must hold of it. The same bodies run under
//! cargo-fuzz for hours and under `cargo test` for seconds: a target is a
//! function from octets to nothing that panics when a promise is broken.

#![allow(dead_code, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod client_packet;
pub mod cluster_reply;
pub mod corefile;
pub mod corpus;
pub mod engine_ops;
pub mod liar;
pub mod promises;
pub mod tcp_frames;

#[path = "../../tests/common/mod.rs"]
pub mod common;

/// A target: its name, which is also its directory in the corpus, and itself.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: [Target; 6] = [
    ("client_packet", client_packet::run),
    ("cluster_reply", cluster_reply::run),
    ("tcp_frames", tcp_frames::run),
    ("engine_ops", engine_ops::run),
    ("liar", liar::run),
    ("corefile", corefile::run),
];

/// Octets taken one after the other; zeros when there are no more, so that a
/// short input is a simple one.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn octet(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&octet, rest)) => {
                self.0 = rest;
                octet
            }
            None => 0,
        }
    }

    pub fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.octet(), self.octet()])
    }

    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
