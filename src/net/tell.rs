//! What a worker tells of things the network can cause: each kind once in a
//! while, with a count of what was not told, so that the desk that tells it
//! ([`crate::tell`]) is not kept busy by it.

use crate::engine::{Counters, Notice};
use crate::tell::limited::Limited;
use crate::tell::{Kind, Reporter};
use std::io;

/// What has been told, and when.
#[derive(Default)]
pub struct Teller {
    /// Nobody listens where one question is asked only.
    to: Option<Reporter>,
    too_long_told: u64,
    too_long: Limited,
    cut_told: u64,
    cut: Limited,
    sieges: Limited,
    loops: Limited,
    sockets: Limited,
    accepts: Limited,
    streams: Limited,
}

impl Teller {
    /// One that somebody listens to.
    pub fn to(reporter: Reporter) -> Self {
        Teller { to: Some(reporter), ..Teller::default() }
    }

    /// News of the engine's. A server goes out and comes back at most a few
    /// times a second; the others are limited here.
    pub fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Out { server, missed, silence } => {
                if let Some(to) = &self.to {
                    to.out(server, missed, silence);
                }
            }
            Notice::Back(server) => {
                if let Some(to) = &self.to {
                    to.back(server);
                }
            }
            Notice::Besieged(server) => {
                if let Some(more) = self.sieges.happened() {
                    let text = format!(
                        "somebody guesses at the answers of {server}: it is asked over TCP, or \
                         over new ports, for a while"
                    );
                    self.often(Kind::Siege, text, more);
                }
            }
            Notice::Loop => {
                if let Some(more) = self.loops.happened() {
                    let text = "a question of our own came back to us: a server that is asked here \
                                forwards to us what it is asked";
                    self.often(Kind::Loop, text.into(), more);
                }
            }
        }
    }

    /// R4 and K9: records that had to be left out.
    pub fn counted(&mut self, counters: &Counters) {
        let more = counters.too_long - self.too_long_told;
        if more > 0 && self.too_long.happened().is_some() {
            self.too_long_told = counters.too_long;
            let text = "a record was left out because a rewritten name would be too long (R4); \
                        `gathersrv explain` shows which";
            self.often(Kind::TooLong, text.into(), more - 1);
        }
        let more = counters.cut_over_stream - self.cut_told;
        if more > 0 && self.cut.happened().is_some() {
            self.cut_told = counters.cut_over_stream;
            let text = "an answer over TCP or TLS was larger than 65535 octets, and records of \
                        every cluster were left out (K9)";
            self.often(Kind::CutOverStream, text.into(), more - 1);
        }
    }

    /// A socket to a server could not be opened.
    pub fn no_socket(&mut self, server: &dyn std::fmt::Display, error: &io::Error) {
        if let Some(more) = self.sockets.happened() {
            self.often(Kind::NoSocket, format!("cannot open a socket to {server}: {error}"), more);
        }
    }

    /// A client's connection could not be accepted.
    pub fn not_accepted(&mut self, error: &io::Error) {
        if let Some(more) = self.accepts.happened() {
            self.often(Kind::NotAccepted, format!("cannot accept a connection: {error}"), more);
        }
    }

    /// A connection to a server came to nothing.
    pub fn no_stream(&mut self, server: &dyn std::fmt::Display, error: &io::Error) {
        if let Some(more) = self.streams.happened() {
            self.often(Kind::NoStream, format!("connection to {server}: {error}"), more);
        }
    }

    fn often(&self, kind: Kind, text: String, more: u64) {
        match &self.to {
            Some(to) => to.often(kind, text, more),
            None => tracing::warn!("{text}"),
        }
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::tell::Desk;
    use std::net::SocketAddr;

    /// The log lines for a worker's notices.
    fn told(notice: impl FnOnce(&mut Teller)) -> Vec<String> {
        let desk = Desk::open().unwrap();
        let plan = crate::cli::plan(&["--zone", "a.", "--cluster", "k. a- 10.8.0.1"]);
        desk.reporter().serving(vec![(vec![0], plan)]);
        let mut events = desk.reporter().subscribe();
        notice(&mut Teller::to(desk.reporter().of(0)));
        drop(desk);
        std::iter::from_fn(|| events.blocking_recv()).map(|event| event.text).collect()
    }

    #[test]
    fn what_the_engine_notices_is_told() {
        let server = SocketAddr::from(([10, 8, 0, 1], 53));
        let told = told(|teller| {
            teller.notice(Notice::Out { server, missed: 3, silence: None });
            teller.notice(Notice::Back(server));
            teller.notice(Notice::Besieged(server));
            teller.notice(Notice::Loop);
        });
        assert_eq!(told.len(), 6, "{told:?}");
        for (line, begins) in told.iter().zip([
            "server 10.8.0.1:53 is out: it left 3 questions",
            "cluster k. a- of a. is missing",
            "server 10.8.0.1:53 is back",
            "cluster k. a- of a. is back",
            "somebody guesses at the answers of 10.8.0.1:53",
            "a question of our own came back to us",
        ]) {
            assert!(line.starts_with(begins), "{line}");
        }
    }

    #[test]
    fn what_sockets_come_to_is_told_once_in_a_while() {
        let server = SocketAddr::from(([10, 8, 0, 1], 53));
        let error = io::Error::other("broken");
        let told = told(|teller| {
            for _ in 0..3 {
                teller.no_socket(&server, &error);
                teller.not_accepted(&error);
                teller.no_stream(&server, &error);
            }
        });
        let wanted = [
            "cannot open a socket to 10.8.0.1:53: broken",
            "cannot accept a connection: broken",
            "connection to 10.8.0.1:53: broken",
        ];
        assert_eq!(told, wanted);
    }

    #[test]
    fn records_that_were_left_out_are_told_with_how_many() {
        let mut counters = Counters { too_long: 1, cut_over_stream: 1, ..Counters::default() };
        let once = told(|teller| {
            teller.counted(&Counters::default());
            teller.counted(&counters);
            teller.counted(&counters);
        });
        assert_eq!(once.len(), 2, "{once:?}");
        assert!(once[0].starts_with("a record was left out because") && once[0].contains("(R4)"));
        assert!(once[1].starts_with("an answer over TCP or TLS was larger"));
        assert!(!once.iter().any(|line| line.contains("more since")), "{once:?}");
        (counters.too_long, counters.cut_over_stream) = (4, 3);
        let several = told(|teller| teller.counted(&counters));
        assert!(several[0].ends_with("(3 more since this was last told)"), "{several:?}");
        assert!(several[1].ends_with("(2 more since this was last told)"), "{several:?}");
    }

    #[test]
    fn what_was_told_is_not_told_again() {
        let counters = Counters { too_long: 5, cut_over_stream: 5, ..Counters::default() };
        let mut teller = Teller::default();
        teller.counted(&counters);
        (teller.too_long, teller.cut) = Default::default();
        teller.counted(&counters);
        assert_eq!((teller.too_long.happened(), teller.cut.happened()), (Some(0), Some(0)));
    }
}
