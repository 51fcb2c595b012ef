//! DNS messages as `dig` shows them, for people at a terminal.

use domain::base::iana::{OptRcode, Rtype};
use domain::base::message::ShortMessage;
use domain::base::wire::ParseError;
use domain::base::zonefile_fmt::{DisplayKind, ZonefileFmt};
use domain::base::{Message, ParsedName, ToName};
use domain::rdata::AllRecordData;
use std::fmt::{self, Write};

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

impl From<fmt::Error> for Unreadable {
    fn from(_: fmt::Error) -> Self {
        Unreadable
    }
}

/// The message in `dig`'s form.
pub fn dig_form(packet: &[u8]) -> Result<String, Unreadable> {
    let message = Message::from_octets(packet)?;
    let mut out = String::new();
    let header = message.header();
    let counts = message.header_counts();
    let opt = message.opt();
    let rcode = opt.as_ref().map_or(OptRcode::from_rcode(header.rcode()), |opt| opt.rcode(header));
    writeln!(out, ";; status: {rcode}, id: {}", header.id())?;
    let flags = [
        ("qr", header.qr()),
        ("aa", header.aa()),
        ("tc", header.tc()),
        ("rd", header.rd()),
        ("ra", header.ra()),
        ("ad", header.ad()),
        ("cd", header.cd()),
    ];
    let set: Vec<&str> = flags.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    writeln!(
        out,
        ";; flags: {}; QUERY: {}, ANSWER: {}, AUTHORITY: {}, ADDITIONAL: {}",
        set.join(" "),
        counts.qdcount(),
        counts.ancount(),
        counts.nscount(),
        counts.arcount()
    )?;
    if let Some(opt) = opt {
        writeln!(out, ";; EDNS: version 0, udp {}", opt.udp_payload_size())?;
        for error in opt.opt().iter::<domain::base::opt::ExtendedError<_>>().flatten() {
            let text = match error.text() {
                Some(Ok(text)) => text.to_string(),
                _ => String::new(),
            };
            writeln!(out, ";; EDE: {} {text}", error.code())?;
        }
    }
    writeln!(out, "\n;; QUESTION SECTION:")?;
    for question in message.question() {
        let question = question?;
        let name: ParsedName<_> = *question.qname();
        writeln!(out, ";{} {} {}", name.fmt_with_dot(), question.qclass(), question.qtype())?;
    }
    let sections = [
        ("ANSWER", message.answer()?),
        ("AUTHORITY", message.authority()?),
        ("ADDITIONAL", message.additional()?),
    ];
    for (title, section) in sections {
        let mut first = true;
        for record in section {
            let record = record?;
            if record.rtype() == Rtype::OPT {
                continue;
            }
            if first {
                writeln!(out, "\n;; {title} SECTION:")?;
                first = false;
            }
            let Some(record) = record.to_record::<AllRecordData<_, ParsedName<_>>>()? else {
                continue;
            };
            writeln!(
                out,
                "{} {} {} {} {}",
                record.owner().fmt_with_dot(),
                record.ttl().as_secs(),
                record.class(),
                record.rtype(),
                record.data().display_zonefile(DisplayKind::Simple)
            )?;
        }
    }
    Ok(out)
}
