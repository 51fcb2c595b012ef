//! Law 12: the header, the order and the size of an answer (M1, M7, M9, T1, T3, K9).

use super::Judge;
use crate::cluster;
use crate::names::{Kind, Name};
use crate::truth::Truth;
use domain::base::Message;
use domain::base::iana::{Opcode, Rcode, Rtype};

/// What we say that we take.
const OUR_PAYLOAD: u16 = 1232;

/// Octets of a datagram that every client takes.
const LEAST: u16 = 512;

/// Octets of a record beside owner and RDATA.
const FIXED: usize = 10;

impl Judge<'_> {
    /// The header and the OPT record.
    pub fn header(&self) {
        let (case, packet) = (self.case, self.given.packet);
        let message = Message::from_octets(packet).expect("a header");
        let (header, asked) = (message.header(), case.packet[2] & 1);
        assert!(header.qr() && header.opcode() == Opcode::QUERY, "{self:?}");
        assert_eq!(header.rd(), asked == 1, "RD as asked: {self:?}");
        assert_eq!(header.cd(), case.cd, "CD as asked: {self:?}");
        assert!(!header.ra() && !header.ad() && !header.z(), "{self:?}");
        // Every cluster here has authority.
        assert_eq!(header.aa(), header.rcode() != Rcode::SERVFAIL, "AA: {self:?}");
        let counts = message.header_counts();
        let positive = counts.ancount() > 0;
        let negative = !positive && !header.tc() && header.rcode() != Rcode::SERVFAIL;
        assert_eq!(counts.nscount(), u16::from(negative), "an SOA: {self:?}");
        assert!(!positive || header.rcode() == Rcode::NOERROR, "{self:?}");
        assert_eq!(message.opt().is_some(), case.edns, "OPT as asked: {self:?}");
        if let Some(opt) = message.opt() {
            assert_eq!(opt.udp_payload_size(), OUR_PAYLOAD, "{self:?}");
            assert!(opt.version() == 0 && !opt.dnssec_ok(), "{self:?}");
        }
        if !case.stream {
            assert!(packet.len() <= self.limit(), "{} octets: {self:?}", packet.len());
        }
    }

    /// The most octets this client takes.
    fn limit(&self) -> usize {
        let case = self.case;
        let end = 12 + cluster::question(&case.packet).len();
        // The class of its OPT record.
        let payload = case.packet.get(end + 3..end + 5);
        let payload = payload.map_or(LEAST, |size| u16::from_be_bytes([size[0], size[1]]));
        usize::from(payload.clamp(LEAST, OUR_PAYLOAD))
    }

    /// Clusters as configured, and of each the records as it sent them.
    pub fn order(&self) {
        let places: Vec<u8> = self.got.records.iter().map(|record| record.payload[1]).collect();
        assert!(places.is_sorted_by(|a, b| a < b), "{places:?} in this order: {self:?}");
        let beside = &self.got.beside;
        let last = |rtype| beside.iter().filter(move |record| record.rtype == rtype);
        for rtype in [Rtype::A, Rtype::AAAA] {
            let places = last(rtype).map(|record| record.payload[1]);
            assert!(places.is_sorted_by(|a, b| a < b), "addresses in this order: {self:?}");
        }
    }

    /// Records that an answer with `seen` clusters would have, and has not.
    pub fn left_out(&self, seen: &std::collections::BTreeMap<u8, u8>) {
        let got = &self.got;
        let room = self.limit().saturating_sub(self.given.packet.len());
        let name = self.recorded_name();
        if got.truncated {
            // Each cluster in turn, until what comes next does not fit (K9).
            let mut given = Vec::new();
            for (&cluster, &epoch) in seen {
                let of = |record: &&crate::answer::Record| record.payload[1] / 16 == cluster;
                let count = got.records.iter().filter(of).count();
                let truth = self.case.rules.truths.of(cluster, name, self.case.rtype, epoch);
                let Truth::Records(all) = truth else { continue };
                given.push((count, usize::from(all)));
            }
            let most = given.iter().map(|(count, _)| *count).max().unwrap_or(0);
            // A label of more digits takes an octet more.
            let fair = |&(count, all): &(usize, usize)| count == all || count + 2 >= most;
            assert!(given.iter().all(fair), "unfair: {given:?}: {self:?}");
            assert!(room < self.record_len(), "{room} octets are left: {self:?}");
        }
        if self.case.stream || got.truncated {
            return;
        }
        let mut missing = 0;
        for srv in &got.records {
            let Some(target) = srv.name else { continue };
            let (cluster, member, epoch) =
                (srv.payload[1] / 16, srv.payload[1] % 16, srv.payload[3]);
            let there = Name::plain(Kind::Member(member), name.number);
            for (rtype, rdata) in [(Rtype::A, 4), (Rtype::AAAA, 16)] {
                let truth = self.case.rules.truths.of(cluster, there, rtype, epoch);
                let given = |r: &&crate::answer::Record| r.name == Some(target) && r.rtype == rtype;
                if truth == Truth::Records(1) && !got.beside.iter().any(|record| given(&record)) {
                    // Its owner is in the message.
                    missing += 2 + FIXED + rdata;
                }
            }
        }
        assert!(missing == 0 || missing > room, "{missing} octets would have fit: {self:?}");
    }

    /// Octets that one more record of the answer takes at most.
    fn record_len(&self) -> usize {
        let question = cluster::question(&self.case.packet).len() - 4;
        let rdata = match self.case.rtype {
            Rtype::A => 4,
            Rtype::AAAA => 16,
            Rtype::TXT => 5,
            Rtype::HTTPS => 11,
            // The target is below the service, with a member's label and a prefix.
            Rtype::SRV => 6 + question + 6,
            _ => 32,
        };
        2 + FIXED + rdata
    }
}
