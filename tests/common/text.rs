//! Messages as text and back, so that tests can be read.
//!
//! Records are written as in a zone file and encoded by `domain`; messages are
//! shown one record a line, by sections.

use domain::base::iana::{Class, OptRcode, Rcode, Rtype};
use domain::base::message_builder::TreeCompressor;
use domain::base::name::FlattenInto;
use domain::base::opt::ExtendedError;
use domain::base::zonefile_fmt::{DisplayKind, ZonefileFmt};
use domain::base::{Message, MessageBuilder, Name, ParsedName, Record, ToName};
use domain::rdata::{AllRecordData, ZoneRecordData};
use domain::zonefile::inplace::{Entry, Zonefile};
use std::str::FromStr;

pub type ZoneRecord = Record<Name<bytes::Bytes>, ZoneRecordData<bytes::Bytes, Name<bytes::Bytes>>>;

/// A record as in a zone file: `name. 30 IN A 10.8.0.1`.
pub fn record(line: &str) -> ZoneRecord {
    let mut zonefile = Zonefile::from(format!("{line}\n").as_bytes());
    zonefile.set_origin(Name::root());
    match zonefile.next_entry() {
        Ok(Some(Entry::Record(record))) => record.flatten_into(),
        other => panic!("'{line}' is no record: {other:?}"),
    }
}

/// A query.
#[derive(Debug, Clone)]
pub struct Question {
    pub name: String,
    pub rtype: Rtype,
    pub class: Class,
    pub id: u16,
    pub rd: bool,
    pub cd: bool,
    pub edns: Option<u16>,
    pub dnssec_ok: bool,
    pub version: u8,
}

impl Question {
    pub fn new(name: &str, rtype: Rtype) -> Self {
        Question {
            name: name.into(),
            rtype,
            class: Class::IN,
            id: 0x4242,
            rd: false,
            cd: false,
            edns: None,
            dnssec_ok: false,
            version: 0,
        }
    }

    pub fn packet(&self) -> Vec<u8> {
        let mut builder = MessageBuilder::new_vec();
        builder.header_mut().set_id(self.id);
        builder.header_mut().set_rd(self.rd);
        builder.header_mut().set_cd(self.cd);
        let mut builder = builder.question();
        let name = Name::<Vec<u8>>::from_str(&self.name).unwrap();
        builder.push((name, self.rtype, self.class)).unwrap();
        let mut builder = builder.additional();
        if let Some(payload) = self.edns {
            builder
                .opt(|opt| {
                    opt.set_udp_payload_size(payload);
                    opt.set_dnssec_ok(self.dnssec_ok);
                    opt.set_version(self.version);
                    Ok(())
                })
                .unwrap();
        }
        builder.finish()
    }
}

/// A reply being written: flags and three sections of records.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub rcode: Option<Rcode>,
    pub aa: bool,
    pub ra: bool,
    pub tc: bool,
    pub sections: [Vec<String>; 3],
}

impl Reply {
    pub fn ok(answer: &[&str]) -> Self {
        Reply {
            aa: true,
            sections: [answer.iter().map(|line| line.to_string()).collect(), vec![], vec![]],
            ..Reply::default()
        }
    }

    pub fn rcode(rcode: Rcode) -> Self {
        Reply { rcode: Some(rcode), aa: true, ..Reply::default() }
    }

    /// The packet, as the answer to `query`.
    pub fn to(&self, query: &[u8]) -> Vec<u8> {
        let query = Message::from_octets(query).unwrap();
        let builder = MessageBuilder::from_target(TreeCompressor::new(Vec::new())).unwrap();
        let rcode = self.rcode.unwrap_or(Rcode::NOERROR);
        let mut answer = builder.start_answer(&query, rcode).unwrap();
        answer.header_mut().set_aa(self.aa);
        answer.header_mut().set_ra(self.ra);
        answer.header_mut().set_tc(self.tc);
        for line in &self.sections[0] {
            answer.push(record(line)).unwrap();
        }
        let mut authority = answer.authority();
        for line in &self.sections[1] {
            authority.push(record(line)).unwrap();
        }
        let mut additional = authority.additional();
        for line in &self.sections[2] {
            additional.push(record(line)).unwrap();
        }
        additional.finish().into_target()
    }
}

/// The question of a packet: `name. TYPE`.
pub fn question_of(packet: &[u8]) -> String {
    let message = Message::from_octets(packet).unwrap();
    let question = message.sole_question().unwrap();
    format!("{} {}", question.qname().fmt_with_dot(), question.qtype())
}

/// A message, one line for the header, then one for each record and EDE.
/// Everything that matters to a client but its ID and our payload size.
pub fn shown(packet: &[u8]) -> Vec<String> {
    let message = Message::from_octets(packet).expect("a header");
    let header = message.header();
    let opt = message.opt();
    let rcode = opt.as_ref().map_or(OptRcode::from_rcode(header.rcode()), |opt| opt.rcode(header));
    let mut first = format!("=> {rcode}");
    for (name, set) in [
        ("aa", header.aa()),
        ("tc", header.tc()),
        ("rd", header.rd()),
        ("ra", header.ra()),
        ("ad", header.ad()),
        ("cd", header.cd()),
    ] {
        if set {
            first.push(' ');
            first.push_str(name);
        }
    }
    if let Some(opt) = &opt {
        first.push_str(if opt.dnssec_ok() { " edns do" } else { " edns" });
    }
    let mut lines = vec![first];
    let sections = [
        (None, message.answer().expect("an answer section")),
        (Some("authority"), message.authority().expect("an authority section")),
        (Some("additional"), message.additional().expect("an additional section")),
    ];
    for (title, section) in sections {
        let mut title = title;
        for record in section {
            let record = record.expect("a record");
            if record.rtype() == Rtype::OPT {
                continue;
            }
            if let Some(title) = title.take() {
                lines.push(title.into());
            }
            let record = record
                .to_record::<AllRecordData<_, ParsedName<_>>>()
                .expect("RDATA that can be read")
                .expect("any type");
            lines.push(format!(
                "{} {} {} {} {}",
                record.owner().fmt_with_dot(),
                record.ttl().as_secs(),
                record.class(),
                record.rtype(),
                record.data().display_zonefile(DisplayKind::Simple)
            ));
        }
    }
    if let Some(opt) = opt {
        for error in opt.opt().iter::<ExtendedError<_>>() {
            let error = error.expect("an EDE option");
            let text = match error.text() {
                Some(Ok(text)) => text.to_string(),
                _ => String::new(),
            };
            lines.push(format!("ede {} {text}", error.code().to_int()).trim_end().to_string());
        }
    }
    lines
}
