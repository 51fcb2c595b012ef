//! Any sequence of events in any order: queries, good and bad replies, time,
//! sockets that fail, new configurations. Whatever happens, each query gets
//! one answer by its deadline, with records that belong to its own name, and
//! in the end nothing is in flight.
//!
//! Each operation is an octet and what it needs behind it; see [`Run::step`].
//! The addresses in good replies are `10.CLUSTER.NAME.SERIAL`, so that an
//! answer tells by itself whether it is to the right question.

use super::Input;
use super::cluster_reply::question;
use super::common::text::Question;
use super::common::{Asked, Lab, client};
use super::promises::{LONG_ENOUGH, check_answer, check_asked, is_query, lab, plans};
use domain::base::Message;
use domain::base::iana::Rtype;
use domain::rdata::A;
use gathersrv::engine::{Client, LinkState, Time, Transport};
use std::collections::HashMap;
use std::time::Duration;

/// First labels; the second is found by its prefix.
const NAMES: [&str; 4] = ["web", "a-web", "b-web", "_x._tcp.c-web"];

/// Octets of an OPT record and of its first option's head.
const OPT_HEAD: usize = 11 + 4;

const DEADLINE: Duration = Duration::from_millis(800);

struct Open {
    packet: Vec<u8>,
    client: Client,
    at: Time,
    /// The name's number, if it is one of ours.
    name: Option<u8>,
}

struct Run {
    lab: Lab,
    open: HashMap<u64, Open>,
    asked: Vec<Asked>,
    last: Option<(usize, Vec<u8>)>,
    queries: u64,
    serial: u8,
}

/// See the top of this file.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut run = Run {
        lab: lab(usize::from(input.octet())),
        open: HashMap::new(),
        asked: Vec::new(),
        last: None,
        queries: 0,
        serial: 0,
    };
    for _ in 0..400 {
        if input.is_empty() {
            break;
        }
        run.step(&mut input);
        run.collect();
    }
    run.lab.pass(LONG_ENOUGH);
    run.collect();
    assert!(run.open.is_empty(), "T5: {} queries without an answer", run.open.len());
    run.lab.assert_idle();
}

impl Run {
    fn step(&mut self, input: &mut Input<'_>) {
        match input.octet() % 10 {
            0 | 1 => self.ask(input),
            2 | 3 => self.reply_well(input),
            4 => self.reply_badly(input),
            5 => self.again(input),
            6 => self.lab.pass(Duration::from_micros(u64::from(input.number()) * 5)),
            7 => self.trouble(input),
            8 => self.lab.set_plan(plans()[usize::from(input.octet()) % plans().len()].clone()),
            _ => {
                let len = usize::from(input.octet());
                let packet = input.take(len).to_vec();
                self.query(packet, Transport::Udp, None);
            }
        }
    }

    fn query(&mut self, packet: Vec<u8>, transport: Transport, name: Option<u8>) {
        self.queries += 1;
        let client = Client { socket: self.queries, ..client(transport) };
        if is_query(&packet) {
            let at = self.lab.now;
            let open = Open { packet: packet.clone(), client, at, name };
            self.open.insert(self.queries, open);
        }
        self.lab.query(client, &packet);
    }

    fn ask(&mut self, input: &mut Input<'_>) {
        let how = input.octet();
        let name = how & 3;
        let rtype = if how & 4 == 0 { Rtype::A } else { Rtype::SRV };
        let label = NAMES[usize::from(name)];
        let mut query = Question::new(&format!("{label}.distributed.local."), rtype);
        query.id = u16::from(how) * 257;
        query.edns = (how & 8 != 0).then_some(1232);
        let transport = if how & 16 != 0 { Transport::Tcp } else { Transport::Udp };
        self.query(query.packet(), transport, Some(name));
    }

    /// Which sub-question is meant: counted from the latest.
    fn pick(&self, octet: u8) -> Option<usize> {
        self.asked.len().checked_sub(1 + usize::from(octet) % self.asked.len().max(1))
    }

    fn reply_well(&mut self, input: &mut Input<'_>) {
        let Some(which) = self.pick(input.octet()) else { return };
        let packet = self.good(which, input.octet());
        self.send(which, packet);
    }

    /// An answer with up to 31 addresses, or with an rcode, or truncated.
    fn good(&mut self, which: usize, how: u8) -> Vec<u8> {
        let asked = &self.asked[which];
        let question = question(&asked.packet);
        let is_a = question[question.len() - 3] == 1;
        let mut out = asked.packet[..2].to_vec();
        let rcode = if how & 0xE0 == 0xE0 { how & 15 } else { 0 };
        let tc = how & 0xE0 == 0xC0;
        let count = if rcode == 0 && is_a { how & 31 } else { 0 };
        out.extend([if tc { 0x86 } else { 0x84 }, rcode, 0, 1, 0, count, 0, 0, 0, 0]);
        out.extend(question);
        let cluster = match asked.server.ip() {
            std::net::IpAddr::V4(ip) => ip.octets()[1],
            std::net::IpAddr::V6(_) => 0,
        };
        // A prefixed name loses its prefix on the way, and all are `web` then.
        let plain = question.to_ascii_lowercase();
        let name = NAMES.iter().position(|label| starts_with(&plain, label));
        for _ in 0..count {
            self.serial = self.serial.wrapping_add(1);
            out.extend(b"\xC0\x0C\0\x01\0\x01\0\0\0\x1E\0\x04");
            out.extend([10, cluster, name.unwrap_or(9) as u8, self.serial]);
        }
        // A server that speaks cookies: ours, which ends its first question, and
        // its own.
        if how & 0x20 != 0 && asked.packet.len() > 12 + question.len() + OPT_HEAD {
            out[11] = 1;
            out.extend(b"\0\0\x29\x04\xD0\0\0\0\0\0\x14\0\x0A\0\x10");
            let at = 12 + question.len() + OPT_HEAD;
            out.extend(&asked.packet[at..at + 8]);
            out.extend(b"serverly");
        }
        out
    }

    /// A good answer with one octet of header or question changed.
    fn reply_badly(&mut self, input: &mut Input<'_>) {
        let Some(which) = self.pick(input.octet()) else { return };
        let mut packet = self.good(which, input.octet());
        let end = 12 + question(&self.asked[which].packet).len();
        let at = usize::from(input.octet()) % end;
        packet[at] ^= input.octet();
        packet.truncate(packet.len() - usize::from(input.octet()) % packet.len());
        self.send(which, packet);
    }

    /// The last reply once more, on its own link or on another.
    fn again(&mut self, input: &mut Input<'_>) {
        let Some((which, packet)) = self.last.clone() else { return };
        match input.octet() {
            0..=127 => self.send(which, packet),
            other => {
                if let Some(which) = self.pick(other) {
                    self.send(which, packet);
                }
            }
        }
    }

    fn send(&mut self, which: usize, packet: Vec<u8>) {
        self.lab.reply(self.asked[which].link, &packet);
        self.last = Some((which, packet));
    }

    fn trouble(&mut self, input: &mut Input<'_>) {
        let which = input.octet();
        let count = self.lab.opened.len();
        let Some(open) = self.lab.opened.get(usize::from(which >> 1) % count.max(1)) else {
            return;
        };
        let state = if which & 1 == 0 { LinkState::Refused } else { LinkState::Closed };
        self.lab.link(open.link, state);
    }

    /// Looks at everything the engine has sent since the last step.
    fn collect(&mut self) {
        for asked in self.lab.take_asked() {
            check_asked(&asked);
            self.asked.push(asked);
        }
        for answer in self.lab.take_answers() {
            let open = self.open.remove(&answer.client.socket);
            let open = open.expect("T5: a second answer, or one to nobody");
            assert_eq!(answer.client, open.client);
            assert!(answer.at <= open.at + DEADLINE, "T5: late");
            check_answer(&open.packet, open.client.transport, &answer.packet);
            if let Some(name) = open.name {
                check_addresses(&answer.packet, name);
            }
        }
    }
}

fn starts_with(question: &[u8], name: &str) -> bool {
    let mut at = 0;
    name.split('.').all(|label| {
        let octets = question.get(at + 1..at + 1 + usize::from(question[at]));
        at += 1 + label.len();
        octets.is_some_and(|octets| octets.eq_ignore_ascii_case(label.as_bytes()))
    })
}

/// Whatever an answer holds was given for its name, or for the plain form of
/// a prefixed one.
fn check_addresses(packet: &[u8], name: u8) {
    let message = Message::from_octets(packet).unwrap();
    for record in message.answer().unwrap().limit_to::<A>() {
        let [ten, _, of, _] = record.unwrap().data().addr().octets();
        assert_eq!(ten, 10);
        let plain = NAMES[usize::from(name)].contains("-web");
        assert!(of == name || (plain && matches!(of, 0 | 9)), "name {name} got one of {of}");
    }
}
