//! DNS messages as `dig` shows them, for people at a terminal.

use domain::base::iana::{OptRcode, Rtype};
use domain::base::message::ShortMessage;
use domain::base::opt::ExtendedError;
use domain::base::wire::ParseError;
use domain::base::zonefile_fmt::{DisplayKind, ZonefileFmt};
use domain::base::{Header, Message, ParsedName, ParsedRecord, ToName};
use domain::dep::octseq::Parser;
use domain::rdata::AllRecordData;
use serde::Serialize;
use std::fmt;

/// A message that cannot be shown, because it cannot be read.
#[derive(Debug)]
pub struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message breaks the DNS wire format")
    }
}

impl std::error::Error for Unreadable {}

impl From<ShortMessage> for Unreadable {
    fn from(_: ShortMessage) -> Self {
        Unreadable
    }
}

impl From<ParseError> for Unreadable {
    fn from(_: ParseError) -> Self {
        Unreadable
    }
}

/// An extended DNS error.
#[derive(Debug, Serialize)]
pub struct ShownError {
    code: u16,
    text: String,
}

/// A message as text. Its `Display` is `dig`'s form.
#[derive(Debug, Serialize)]
pub struct Shown {
    status: String,
    id: u16,
    flags: Vec<&'static str>,
    udp_payload: Option<u16>,
    errors: Vec<ShownError>,
    question: Vec<String>,
    answer: Vec<String>,
    authority: Vec<String>,
    additional: Vec<String>,
    octets: usize,
}

/// The flags of a header that are set, as `dig` calls them.
pub fn flags(header: Header) -> impl Iterator<Item = &'static str> {
    let flags = [
        ("qr", header.qr()),
        ("aa", header.aa()),
        ("tc", header.tc()),
        ("rd", header.rd()),
        ("ra", header.ra()),
        ("ad", header.ad()),
        ("cd", header.cd()),
    ];
    flags.into_iter().filter(|(_, set)| *set).map(|(name, _)| name)
}

impl Shown {
    /// Reads a message.
    pub fn read(packet: &[u8]) -> Result<Self, Unreadable> {
        let message = Message::from_octets(packet)?;
        let header = message.header();
        let opt = message.opt();
        let plain = OptRcode::from_rcode(header.rcode());
        let status = opt.as_ref().map_or(plain, |opt| opt.rcode(header)).to_string();
        let mut errors = Vec::new();
        if let Some(opt) = &opt {
            for error in opt.opt().iter::<ExtendedError<_>>().flatten() {
                let text = match error.text() {
                    Some(Ok(text)) => text.to_string(),
                    _ => String::new(),
                };
                errors.push(ShownError { code: error.code().to_int(), text });
            }
        }
        let mut question = Vec::new();
        for item in message.question() {
            let item = item?;
            let name = item.qname().fmt_with_dot();
            question.push(format!("{name} {} {}", item.qclass(), item.qtype()));
        }
        Ok(Shown {
            status,
            id: header.id(),
            flags: flags(header).collect(),
            udp_payload: opt.map(|opt| opt.udp_payload_size()),
            errors,
            question,
            answer: section(message.answer()?)?,
            authority: section(message.authority()?)?,
            additional: section(message.additional()?)?,
            octets: packet.len(),
        })
    }
}

fn section(section: domain::base::RecordSection<'_, &[u8]>) -> Result<Vec<String>, Unreadable> {
    let mut lines = Vec::new();
    for record in section {
        let record = record?;
        if record.rtype() != Rtype::OPT {
            lines.push(line(&record)?);
        }
    }
    Ok(lines)
}

fn line(record: &ParsedRecord<'_, &[u8]>) -> Result<String, Unreadable> {
    let record = record.to_record::<AllRecordData<_, ParsedName<_>>>()?.ok_or(Unreadable)?;
    Ok(format!(
        "{} {} {} {} {}",
        record.owner().fmt_with_dot(),
        record.ttl().as_secs(),
        record.class(),
        record.rtype(),
        record.data().display_zonefile(DisplayKind::Simple)
    ))
}

/// The record that begins at `at` in a message, as a line.
pub fn record_at(packet: &[u8], at: usize) -> Result<String, Unreadable> {
    let mut parser = Parser::from_ref(&packet);
    parser.advance(at).map_err(|_| Unreadable)?;
    line(&ParsedRecord::parse(&mut parser)?)
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, ";; status: {}, id: {}", self.status, self.id)?;
        writeln!(
            f,
            ";; flags: {}; QUERY: {}, ANSWER: {}, AUTHORITY: {}, ADDITIONAL: {}",
            self.flags.join(" "),
            self.question.len(),
            self.answer.len(),
            self.authority.len(),
            self.additional.len() + usize::from(self.udp_payload.is_some())
        )?;
        if let Some(payload) = self.udp_payload {
            writeln!(f, ";; EDNS: version: 0, udp: {payload}")?;
        }
        for error in &self.errors {
            writeln!(f, ";; EDE: {} ({})", error.code, error.text)?;
        }
        writeln!(f, "\n;; QUESTION SECTION:")?;
        for question in &self.question {
            writeln!(f, ";{question}")?;
        }
        let sections = [
            ("ANSWER", &self.answer),
            ("AUTHORITY", &self.authority),
            ("ADDITIONAL", &self.additional),
        ];
        for (title, lines) in sections {
            if !lines.is_empty() {
                writeln!(f, "\n;; {title} SECTION:")?;
            }
            for line in lines {
                writeln!(f, "{line}")?;
            }
        }
        writeln!(f, "\n;; MSG SIZE  rcvd: {}", self.octets)
    }
}
