//! What was asked before the question that is judged: played against the same
//! engine, and written down as it was answered by the clusters. What the
//! engine made of it for its clients does not matter here.

use crate::common::{Asked, Lab, client};
use crate::drive::query;
use crate::held::{Given, Memory};
use crate::labels::{Labels, Zone};
use crate::packet::{CD, Packet};
use crate::replies::{Answering, bare};
use crate::scenario::{Scenario, Script, Step};
use gathersrv::engine::Transport;
use std::cell::Cell;
use std::time::Duration;

/// `keep-for` unless it is said.
const DAY: u64 = 24 * 60 * 60;

/// Plays what was asked before; gives what may be remembered of it.
pub fn play(scenario: &Scenario, lab: &mut Lab) -> Result<Memory, String> {
    let settings = &scenario.settings;
    let mut memory = Memory {
        given: Vec::new(),
        keep_for: Duration::from_secs(settings.keep_for.unwrap_or(DAY)),
        keep_on_empty: Duration::from_secs(settings.keep_on_empty),
        stale: !settings.fail && !settings.partial,
        close: Cell::new(false),
    };
    let zone = scenario.zone();
    for step in &scenario.history {
        let transport = if step.asks.tcp { Transport::Tcp } else { Transport::Udp };
        lab.query(client(transport), &query(scenario, &step.asks));
        // Two rounds, each over UDP and then TCP, are four turns.
        for _ in 0..4 {
            for asked in lab.take_asked() {
                // Which of two answers is the later one must be plain.
                lab.pass(Duration::from_millis(1));
                memory.given.extend(answer(scenario, &zone, step, &asked, lab)?);
            }
        }
        lab.pass(Duration::from_millis(800));
        let answers = lab.take_answers().len();
        if answers != 1 {
            return Err(format!("{answers} answers to an earlier question"));
        }
        lab.pass(Duration::from_secs(step.pause));
        lab.take_asked();
    }
    Ok(memory)
}

/// Answers one sub-question as the step's script says.
fn answer(
    scenario: &Scenario,
    zone: &Zone,
    step: &Step,
    asked: &Asked,
    lab: &mut Lab,
) -> Result<Option<Given>, String> {
    let packet = Packet::read(&asked.packet)?;
    let (name, rtype, _) = packet.question.clone().ok_or("no question")?;
    let place = |n: &usize| asked.server.to_string() == format!("10.8.{n}.1:53");
    let cluster = (0..zone.clusters.len()).find(place).ok_or("whose server is that?")?;
    let plain = &zone.plain(&scenario.name_of(&step.asks))[cluster].1;
    let second = plain.as_ref().is_some_and(|plain: &Labels| plain.same(&name));
    match &step.scripts[cluster % step.scripts.len()][usize::from(second)] {
        Script::Silent => Ok(None),
        Script::Rcode(rcode) => {
            lab.reply(asked.link, &bare(&packet, *rcode, false));
            Ok(None)
        }
        Script::Reply(reply) if reply.cut && asked.transport == Transport::Udp => {
            lab.reply(asked.link, &bare(&packet, 0, true));
            Ok(None)
        }
        Script::Reply(reply) => {
            let octets =
                Answering { scenario, cluster, asked: &name, rtype }.packet(reply, &packet);
            lab.reply(asked.link, &octets);
            let cd = packet.flags & CD != 0;
            let packet = Packet::read(&octets)?;
            Ok(Some(Given { at: lab.now, cluster, name, rtype, cd, packet }))
        }
    }
}
