//! What clients ask, how, and in which words.

use crate::common::client;
use crate::common::text::Question;
use crate::names::Name;
use domain::base::iana::Rtype;
use gathersrv::engine::{Client, Transport};
use rand::RngExt;
use rand::rngs::StdRng;

/// A question as a client puts it.
#[derive(Debug, Clone)]
pub struct Query {
    pub name: Name,
    pub rtype: Rtype,
    pub cd: bool,
    pub edns: Option<u16>,
    pub client: Client,
    pub packet: Vec<u8>,
}

/// How the clients of a world are; chances are in percent.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    pub streams: u32,
    pub small: u32,
}

impl Query {
    pub fn new((name, rtype, cd): (Name, Rtype, bool), manners: Manners, rng: &mut StdRng) -> Self {
        let mut chance = |percent: u32| percent > 0 && rng.random_range(0..100) < percent;
        let transport = match (chance(manners.streams), chance(30)) {
            (false, _) => Transport::Udp,
            (true, false) => Transport::Tcp,
            (true, true) => Transport::Tls,
        };
        let small = chance(manners.small);
        let edns = match (chance(85), small) {
            (false, _) => None,
            (true, true) => Some(512),
            (true, false) => Some(if chance(20) { 4096 } else { 1232 }),
        };
        let upper = chance(20);
        let rd = chance(50);
        let id = rng.random_range(0..=u16::MAX);
        let mut query =
            Query { name, rtype, cd, edns, client: client(transport), packet: Vec::new() };
        query.spell(id, upper, rd);
        query
    }

    fn spell(&mut self, id: u16, upper: bool, rd: bool) {
        let mut text = format!("{}distributed.local.", self.name.text());
        if upper {
            text = text.to_uppercase();
        }
        let mut question = Question::new(&text, self.rtype);
        (question.id, question.rd, question.cd, question.edns) = (id, rd, self.cd, self.edns);
        self.packet = question.packet();
    }

    /// The same over TCP, because the answer was cut.
    pub fn over_tcp(&self) -> Self {
        Query { client: client(Transport::Tcp), ..self.clone() }
    }

    pub fn is_stream(&self) -> bool {
        self.client.transport.is_stream()
    }
}
