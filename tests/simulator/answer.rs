//! What a client got.

use crate::cluster::{self, ede_label};
use crate::names::{Name, text_of};
use domain::base::iana::{Rcode, Rtype};
use domain::base::opt::ExtendedError;
use domain::base::rdata::UnknownRecordData;
use domain::base::{Message, ParsedName, ToName};

/// What stands behind every name here.
const ZONE: &str = "distributed.local.";

/// A record of the answer or of the additional section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    pub rtype: Rtype,
    /// Whose it is, about what, since when.
    pub payload: [u8; 4],
    /// The target of SRV, or the owner beside it.
    pub name: Option<Name>,
}

/// An answer, as far as the laws speak of it.
#[derive(Debug)]
pub struct Got {
    pub rcode: Rcode,
    pub truncated: bool,
    pub records: Vec<Record>,
    pub beside: Vec<Record>,
    pub longest_ttl: u32,
    pub shortest_ttl: u32,
    /// EDE codes and texts, if the client speaks EDNS.
    pub errors: Vec<(u16, String)>,
}

/// The four octets in an RDATA, and the target of SRV.
fn payload(packet: &[u8], rtype: Rtype, rdata: &[u8]) -> ([u8; 4], Option<Name>) {
    let four = |octets: &[u8]| <[u8; 4]>::try_from(octets).expect("four octets");
    match rtype {
        Rtype::A => (four(rdata), None),
        Rtype::AAAA => (four(&rdata[12..]), None),
        Rtype::TXT => (four(&rdata[1..]), None),
        Rtype::HTTPS => (four(&rdata[7..]), None),
        Rtype::SRV => {
            let target = Name::parse(text_of(&rdata[6..]).strip_suffix(ZONE).expect("our zone"));
            ([crate::truth::HONEST, rdata[1], rdata[3], rdata[5]], Some(target))
        }
        Rtype::NS => {
            let start = rdata.as_ptr() as usize - packet.as_ptr() as usize;
            let mut parser = domain::dep::octseq::Parser::from_ref(packet);
            parser.seek(start).expect("within the packet");
            let name = ParsedName::parse(&mut parser).expect("a name");
            let name = text_of(name.to_vec().as_slice());
            let digits = name.trim_start_matches('r').trim_end_matches(".example.");
            let octets = digits.split('-').map(|octet| octet.parse().expect("an octet"));
            (four(&octets.collect::<Vec<u8>>()), None)
        }
        other => panic!("nobody asked for {other}"),
    }
}

impl Got {
    /// Reads an answer, which belongs to the query `asked`.
    pub fn read(packet: &[u8], asked: &[u8]) -> Self {
        let message = Message::from_octets(packet).expect("a header");
        assert_eq!(packet[..2], asked[..2], "the client's ID");
        let question = cluster::question(asked);
        assert_eq!(&packet[12..12 + question.len()], question, "the client's spelling");
        let qtype = cluster::rtype_of(asked);
        let (mut records, mut beside) = (Vec::new(), Vec::new());
        let (mut longest_ttl, mut shortest_ttl) = (0, u32::MAX);
        for record in message.answer().expect("an answer section") {
            let record = record.expect("a record");
            assert_eq!(record.rtype(), qtype);
            assert_eq!(record.owner().to_vec().as_slice(), &question[..question.len() - 4]);
            longest_ttl = longest_ttl.max(record.ttl().as_secs());
            shortest_ttl = shortest_ttl.min(record.ttl().as_secs());
            let data = record.to_record::<UnknownRecordData<_>>().expect("data").expect("data");
            let (payload, name) = payload(packet, qtype, data.data().data());
            records.push(Record { rtype: qtype, payload, name });
        }
        for record in message.authority().expect("an authority section") {
            let record = record.expect("a record");
            assert_eq!(record.rtype(), Rtype::SOA);
            longest_ttl = longest_ttl.max(record.ttl().as_secs());
            shortest_ttl = shortest_ttl.min(record.ttl().as_secs());
            let data = record.to_record::<UnknownRecordData<_>>().expect("data").expect("data");
            let minimum = data.data().data().last_chunk().expect("MINIMUM");
            let minimum = u32::from_be_bytes(*minimum);
            // What is given again has a TTL that has counted down.
            assert!(minimum >= record.ttl().as_secs(), "MINIMUM is less than the TTL");
            assert_eq!(text_of(record.owner().to_vec().as_slice()), ZONE, "our SOA");
        }
        for record in message.additional().expect("an additional section") {
            let record = record.expect("a record");
            if record.rtype() == Rtype::OPT {
                continue;
            }
            longest_ttl = longest_ttl.max(record.ttl().as_secs());
            shortest_ttl = shortest_ttl.min(record.ttl().as_secs());
            let owner = text_of(record.owner().to_vec().as_slice());
            let owner = Name::parse(owner.strip_suffix(ZONE).expect("our zone"));
            let data = record.to_record::<UnknownRecordData<_>>().expect("data").expect("data");
            let (payload, _) = payload(packet, record.rtype(), data.data().data());
            beside.push(Record { rtype: record.rtype(), payload, name: Some(owner) });
        }
        let opt = message.opt();
        let errors = opt.iter().flat_map(|opt| {
            opt.opt().iter::<ExtendedError<_>>().map(|error| {
                let error = error.expect("an EDE option");
                let text = error.text().map(|text| text.expect("UTF-8").to_string());
                (error.code().to_int(), text.unwrap_or_default())
            })
        });
        let errors = errors.collect();
        let (rcode, truncated) = (message.header().rcode(), message.header().tc());
        Got { rcode, truncated, records, beside, longest_ttl, shortest_ttl, errors }
    }

    pub fn has(&self, code: u16) -> bool {
        self.errors.iter().any(|(known, _)| *known == code)
    }

    /// Nothing is missing from it, as far as it says.
    pub fn says_whole(&self) -> bool {
        self.rcode != Rcode::SERVFAIL && ![3, 19, 22, 23].iter().any(|&code| self.has(code))
    }

    /// Whether a text of one of these codes names the cluster.
    pub fn names(&self, codes: &[u16], cluster: u8) -> bool {
        let label = ede_label(cluster);
        self.errors.iter().any(|(code, text)| codes.contains(code) && text.contains(&label))
    }
}
