//! The query log: one line for each answer that was picked. Names come from the
//! network: they are written in presentation format (RFC 1035, 5.1), with
//! everything escaped that is not plain, so that no name makes a second line or
//! another field.

use super::{Batch, Entry, GATHER, Outlet};
use crate::engine::Transport;
use crate::log::QUERY;
use crate::show::flags;
use crate::tell::Reporter;
use crate::tell::limited::Limited;
use domain::base::iana::{OptRcode, Rtype};
use domain::base::message::Message;
use domain::base::opt::ExtendedError;
use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

/// What a line says.
#[derive(Debug, PartialEq)]
struct Line {
    client: String,
    transport: &'static str,
    /// Nothing if the query had no question that could be read.
    name: Option<String>,
    rtype: Option<String>,
    rcode: String,
    flags: String,
    size: usize,
    took_ms: f64,
    kept: bool,
    ede: Option<String>,
}

/// Writes what comes until nothing will.
pub(super) fn write(outlet: &Outlet, reporter: &Reporter) {
    let (mut limited, mut told) = (Limited::default(), 0);
    while let Ok(batch) = outlet.wait() {
        log(outlet, &batch);
        while let Ok(batch) = outlet.next() {
            log(outlet, &batch);
        }
        let dropped = outlet.counts.dropped();
        if dropped > told && limited.happened().is_some() {
            let entries = dropped - told;
            told = dropped;
            let text = format!(
                "{entries} lines of the query log were dropped: whoever reads the log does not \
                 keep up"
            );
            reporter.dropped("query_log_dropped", text, entries);
        }
        std::thread::sleep(GATHER);
    }
}

fn log(outlet: &Outlet, batch: &Batch) {
    for (entry, octets) in batch.iter() {
        let Line { client, transport, name, rtype, rcode, flags, size, took_ms, kept, ede } =
            line(entry, octets);
        let (name, rtype, ede) = (name.as_deref(), rtype.as_deref(), ede.as_deref());
        // Display, so that strings stand without quotes; nothing in them needs any.
        let plain = tracing::field::display::<&str>;
        tracing::info!(
            target: QUERY,
            client = plain(&client),
            transport = plain(transport),
            name = name.map(plain),
            r#type = rtype.map(plain),
            rcode = plain(&rcode),
            flags = plain(&flags),
            size,
            took_ms,
            cached = kept,
            ede = ede.map(plain),
            "query"
        );
    }
    outlet.counts.written.fetch_add(batch.len() as u64, Relaxed);
}

fn line(entry: &Entry, octets: &[u8]) -> Line {
    let took = entry.came.map(|came| entry.at.since(came)).unwrap_or_default();
    let transport = match entry.transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
    };
    let mut line = Line {
        client: entry.peer.to_string(),
        transport,
        name: None,
        rtype: None,
        rcode: String::new(),
        flags: String::new(),
        size: octets.len(),
        took_ms: took.as_micros() as f64 / 1000.0,
        kept: entry.kept,
        ede: None,
    };
    let Ok(message) = Message::from_octets(octets) else { return line };
    let header = message.header();
    if let Some(Ok(question)) = message.question().next() {
        line.name = Some(presented(question.qname().iter().map(|label| label.as_slice())));
        line.rtype = Some(called(question.qtype()));
    }
    let opt = message.opt();
    let plain = OptRcode::from_rcode(header.rcode());
    line.rcode = opt.as_ref().map_or(plain, |opt| opt.rcode(header)).to_string();
    let edns = opt.is_some().then_some("edns");
    let dnssec = opt.as_ref().filter(|opt| opt.dnssec_ok()).map(|_| "do");
    // That it is an answer goes without saying.
    let flags = flags(header).filter(|flag| *flag != "qr").chain(edns).chain(dnssec);
    let set: Vec<&str> = flags.collect();
    line.flags = if set.is_empty() { "-".into() } else { set.join(",") };
    if let Some(opt) = &opt {
        let errors = opt.opt().iter::<ExtendedError<_>>().flatten();
        let codes: Vec<String> = errors.map(|error| error.code().to_int().to_string()).collect();
        line.ede = (!codes.is_empty()).then(|| codes.join(","));
    }
    line
}

/// A type by its name, or as RFC 3597 writes those that have none.
fn called(rtype: Rtype) -> String {
    let name = rtype.to_string();
    let plain = name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    if plain { name } else { format!("TYPE{}", rtype.to_int()) }
}

/// A name in presentation format.
fn presented<'l>(labels: impl Iterator<Item = &'l [u8]>) -> String {
    let mut text = String::new();
    for label in labels.filter(|label| !label.is_empty()) {
        for &octet in label {
            match octet {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'*' | b'/' | b'+' => {
                    text.push(octet.into());
                }
                // All others that can be seen, so that no reader has to know which
                // of them mean something to whom.
                b'!'..=b'~' => {
                    text.push('\\');
                    text.push(octet.into());
                }
                _ => {
                    let _ = write!(text, "\\{octet:03}");
                }
            }
        }
        text.push('.');
    }
    if text.is_empty() { ".".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;
    use crate::engine::Time;

    fn entry() -> Entry {
        let peer = "[2001:db8::1]:4711".parse().unwrap();
        let at = Time::from_micros(2_348);
        let entry = Entry::new(Kind::ClientResponse, at, peer, Transport::Tls);
        Entry { came: Some(Time::from_micros(2_000)), kept: true, ..entry }
    }

    #[test]
    fn a_line_says_what_was_asked_and_what_became_of_it() {
        // QR AA RD, NXDOMAIN; x.z. SRV; OPT with DO and two EDE options.
        let mut packet = vec![0, 1, 0x85, 3, 0, 1, 0, 0, 0, 0, 0, 1];
        packet.extend(b"\x01x\x01Z\x00\x00\x21\x00\x01");
        packet.extend(b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x0c");
        packet.extend(b"\x00\x0f\x00\x02\x00\x03\x00\x0f\x00\x02\x00\x17");
        assert_eq!(
            line(&entry(), &packet),
            Line {
                client: "[2001:db8::1]:4711".into(),
                transport: "tls",
                name: Some("x.Z.".into()),
                rtype: Some("SRV".into()),
                rcode: "NXDOMAIN".into(),
                flags: "aa,rd,edns,do".into(),
                size: packet.len(),
                took_ms: 0.348,
                kept: true,
                ede: Some("3,23".into()),
            }
        );
    }

    #[test]
    fn answers_without_a_question_and_octets_that_are_no_message_make_a_line() {
        let formerr = line(&entry(), &[0, 1, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!((formerr.rcode.as_str(), formerr.name), ("FORMERR", None));
        assert_eq!(line(&entry(), &[1, 2, 3]).size, 3);
    }

    #[test]
    fn names_from_the_network_make_no_second_line_and_no_other_field() {
        let name = |label: &[u8]| presented([label, b"z"].into_iter());
        assert_eq!(name(b"_demo"), "_demo.z.");
        assert_eq!(name(b"a.b c=d\"e\\"), r#"a\.b\032c\=d\"e\\.z."#);
        assert_eq!(name(b"\n2026 ERROR\r\x1b[31m"), r"\0102026\032ERROR\013\027\[31m.z.");
        assert_eq!(name("\u{e9}\0\u{7f}".as_bytes()), r"\195\169\000\127.z.");
        assert_eq!(presented(std::iter::empty()), ".");
        let all: Vec<u8> = (0..=255).collect();
        for label in all.chunks(63) {
            let text = name(label);
            assert!(text.bytes().all(|c| c.is_ascii_graphic()), "{text}");
        }
        assert_eq!(called(Rtype::from_int(65_280)), "TYPE65280");
        assert_eq!(called(Rtype::SRV), "SRV");
    }
}
