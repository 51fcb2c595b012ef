//! A cluster's reply from its script: records of every type there is a rule
//! for, and the packet a server would send.

use crate::labels::Labels;
use crate::pack::{self, Packing};
use crate::packet::{AA, Field, Packet, Part, RA, Record, TC, fields};
use crate::scenario::{Data, Item, Place, Reply, Scenario};

/// Who answers whom.
pub struct Answering<'a> {
    pub scenario: &'a Scenario,
    pub cluster: usize,
    /// The sub-question.
    pub asked: &'a Labels,
    pub rtype: u16,
}

impl Answering<'_> {
    fn name(&self, place: &Place) -> Labels {
        self.scenario.place(place, self.cluster, self.asked)
    }

    fn rdata(&self, rtype: u16, data: &Data, number: u8) -> Vec<Part> {
        let n = number;
        let mut names = data.names.iter();
        let bulk = vec![n; usize::from(data.bulk)];
        let one = |octets: Vec<u8>| vec![Part::Octets(octets)];
        match rtype {
            1 => return one(vec![10, 8, 0, n]),
            13 => return one(vec![1, b'c', 1, n]),
            28 => return one([&[0x20, 1, 0x0d, 0xb8][..], &[n; 12]].concat()),
            16 => {
                let texts = bulk.chunks(255).map(|text| [&[text.len() as u8][..], text].concat());
                let texts: Vec<u8> = texts.flatten().collect();
                return one(if texts.is_empty() { vec![1, n] } else { texts });
            }
            _ => {}
        }
        let part = |field: &Field| match field {
            Field::Octets(20) => {
                let minimum = u32::from(n) * 3;
                Part::Octets([&[n; 16][..], &minimum.to_be_bytes()].concat())
            }
            // The last of them tells records apart that are else equal.
            Field::Octets(len) => {
                let mut octets = vec![0; *len];
                octets[len - 1] = n;
                Part::Octets(octets)
            }
            Field::Text => Part::Octets(vec![1, b'a' + n % 3]),
            Field::Name => Part::Name(self.name(names.next().expect("two names at most"))),
            // One parameter, or none (RFC 9460, 2.2).
            Field::Rest if matches!(rtype, 64 | 65) && !bulk.is_empty() => {
                Part::Octets([&[0, 1][..], &data.bulk.to_be_bytes(), &bulk].concat())
            }
            Field::Rest => Part::Octets(bulk.clone()),
        };
        let parts: Vec<Part> = fields(rtype).iter().map(part).collect();
        // An unknown type's octets must tell records apart, too.
        match &parts[..] {
            [Part::Octets(octets)] => one([&octets[..], &[n]].concat()),
            _ => parts,
        }
    }

    fn push(&self, owner: &Place, rtype: u16, data: &Data, class: u16, out: &mut Vec<Record>) {
        for n in 0..=data.more {
            let number = data.number.wrapping_add(n);
            let rdata = self.rdata(rtype, data, number);
            out.push(Record { owner: self.name(owner), rtype, class, ttl: data.ttl, rdata });
        }
    }

    fn item(&self, item: &Item, out: &mut Vec<Record>) {
        let cname = |owner, target, ttl| {
            let rdata = vec![Part::Name(target)];
            Record { owner, rtype: 5, class: 1, ttl, rdata }
        };
        match item {
            Item::Data(owner, data) => self.push(owner, self.rtype, data, 1, out),
            Item::Other(owner, rtype, data) => self.push(owner, *rtype, data, 1, out),
            Item::Foreign(owner, data) => self.push(owner, self.rtype, data, 3, out),
            Item::Chain { places, data, ttl, backwards } => {
                let mut records = Vec::new();
                for pair in places.windows(2) {
                    records.push(cname(self.name(&pair[0]), self.name(&pair[1]), *ttl));
                }
                if let (Some(data), Some(last)) = (data, places.last()) {
                    self.push(last, self.rtype, data, 1, &mut records);
                }
                if *backwards {
                    records.reverse();
                }
                out.extend(records);
            }
            Item::Long(links, data) => {
                let end = |n: u8| Labels(vec![vec![b'n', b'0' + n], b"example".to_vec()]);
                let mut owner = self.asked.clone();
                for n in 0..*links {
                    out.push(cname(owner, end(n), data.ttl));
                    owner = end(n);
                }
                let rdata = self.rdata(self.rtype, data, 1);
                out.push(Record { owner, rtype: self.rtype, class: 1, ttl: data.ttl, rdata });
            }
        }
    }

    /// The reply to a packet, and the same as it may come over UDP first.
    pub fn packet(&self, reply: &Reply, query: &Packet) -> Vec<u8> {
        let mut sections: [Vec<Record>; 3] = Default::default();
        let items = [&reply.answer, &reply.authority, &reply.additional];
        for (section, items) in sections.iter_mut().zip(items) {
            for item in items {
                self.item(item, section);
            }
        }
        let mut flags = 0x8000;
        for (flag, set) in [(AA, reply.aa), (RA, reply.ra), (3, reply.nxdomain)] {
            flags |= if set { flag } else { 0 };
        }
        let question = query.question.clone().expect("a question");
        let packed = pack::message(reply.packing, query.id, flags, &question, &sections);
        // No honest server makes names that are mostly pointers into long
        // names; the engine stops reading at 16 times.
        if packed.expanded > 8 * packed.out.len() + 2048 {
            return pack::message(Packing::None, query.id, flags, &question, &sections).out;
        }
        packed.out
    }
}

/// A reply with nothing in it: an rcode, or a truncated one.
pub fn bare(query: &Packet, rcode: u16, truncated: bool) -> Vec<u8> {
    let flags = 0x8000 | rcode | if truncated { TC } else { 0 };
    let question = query.question.clone().expect("a question");
    pack::message(Packing::None, query.id, flags, &question, &Default::default()).out
}
