//! What a client got.

use domain::base::iana::{Rcode, Rtype};
use domain::base::opt::ExtendedError;
use domain::base::{Message, ToName};
use domain::rdata::A;

/// An answer, as far as the laws speak of it.
#[derive(Debug)]
pub struct Got {
    pub rcode: Rcode,
    pub addresses: Vec<[u8; 4]>,
    pub longest_ttl: u32,
    /// EDE codes and texts, if the client speaks EDNS.
    pub errors: Vec<(u16, String)>,
}

impl Got {
    /// Reads an answer, which belongs to the query `asked`.
    pub fn read(packet: &[u8], asked: &[u8]) -> Self {
        let message = Message::from_octets(packet).expect("a header");
        assert_eq!(packet[..2], asked[..2], "the client's ID");
        let question = super::cluster::question(asked);
        assert_eq!(&packet[12..12 + question.len()], question, "the client's spelling");
        let mut addresses = Vec::new();
        let mut longest_ttl = 0;
        for record in message.answer().expect("an answer section") {
            let record = record.expect("a record");
            assert_eq!(record.rtype(), Rtype::A);
            assert_eq!(record.owner().to_vec().as_slice(), &question[..question.len() - 4]);
            longest_ttl = longest_ttl.max(record.ttl().as_secs());
            let record = record.into_record::<A>().expect("an address").expect("of four octets");
            addresses.push(record.data().addr().octets());
        }
        for section in [message.authority(), message.additional()] {
            let broken = section.expect("a section").filter(|record| record.is_err()).count();
            assert_eq!(broken, 0, "records that cannot be read");
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
        Got { rcode: message.header().rcode(), addresses, longest_ttl, errors }
    }

    pub fn has(&self, code: u16) -> bool {
        self.errors.iter().any(|(known, _)| *known == code)
    }

    /// Nothing is missing from it, as far as it says.
    pub fn says_whole(&self) -> bool {
        self.rcode != Rcode::SERVFAIL && ![3, 22, 23].iter().any(|&code| self.has(code))
    }

    /// What the EDE texts name.
    pub fn names(&self, what: &str) -> bool {
        self.errors.iter().any(|(_, text)| text.contains(what))
    }
}
