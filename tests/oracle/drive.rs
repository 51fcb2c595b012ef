//! One scenario, played against the engine: asks, answers as the scripts say,
//! and checks on the way that every sub-question is the one the contract says.

use crate::chains;
use crate::common::{Asked, Lab, client, plan};
use crate::held::{self, Given, Memory};
use crate::history;
use crate::labels::Labels;
use crate::merge::{Context, Outcome, Sub, ends_in_nxdomain};
use crate::pack::{self, Packing};
use crate::packet::{CD, Packet, RD};
use crate::replies::{Answering, bare};
use crate::scenario::{Asks, Scenario, Script};
use gathersrv::cli::{Command, Written};
use gathersrv::engine::Transport;
use std::time::Duration;

/// What a run came to.
pub struct Played {
    pub context: Context,
    /// The sub-questions of the last round.
    pub subs: Vec<Sub>,
    pub packet: Vec<u8>,
    /// Some age was too near to a rule's bound for this to be judged.
    pub close: bool,
}

/// A client's packet.
pub fn query(scenario: &Scenario, asks: &Asks) -> Vec<u8> {
    let flags = if asks.rd { RD } else { 0 } | if asks.cd { CD } else { 0 };
    let question = (scenario.name_of(asks), asks.rtype, 1);
    let mut out = pack::message(Packing::None, asks.id, flags, &question, &Default::default()).out;
    if let Some((size, dnssec_ok)) = asks.edns {
        out[11] = 1;
        out.extend([0, 0, 41]);
        out.extend(size.to_be_bytes());
        out.extend([0, 0, if dnssec_ok { 0x80 } else { 0 }, 0, 0, 0]);
    }
    out
}

pub fn context(scenario: &Scenario) -> Context {
    Context {
        zone: scenario.zone(),
        question: scenario.question(),
        rtype: scenario.asks.rtype,
        fail: scenario.settings.fail,
        min_clusters: scenario.min_clusters(),
        forward: scenario.settings.forward,
    }
}

/// Some suffixes are so long that nothing could be asked: those are refused.
pub fn makes_sense(scenario: &Scenario) -> bool {
    let flags = ["gathersrv".to_string()].into_iter().chain(scenario.flags());
    match gathersrv::cli::parse(flags) {
        Ok(Command::Serve(Written::Flags(draft), _)) => gathersrv::config::build(draft).is_ok(),
        _ => false,
    }
}

/// Plays a scenario; `seed` is the engine's, and `backwards` turns round the
/// order in which replies come.
pub fn play(scenario: &Scenario, seed: u8, backwards: bool) -> Result<Played, String> {
    let context = context(scenario);
    let flags = scenario.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut lab = Lab::with_plan(plan(&flags), [seed; 32]);
    let mut memory = history::play(scenario, &mut lab)?;
    let cd = scenario.asks.cd;
    let transport = if scenario.asks.tcp { Transport::Tcp } else { Transport::Udp };
    lab.query(client(transport), &query(scenario, &scenario.asks));
    let apex = context.question.same(&context.zone.name) && matches!(context.rtype, 2 | 6);
    let prefixed = context.zone.prefixed(&context.question);
    let plain = context.zone.plain(&context.question);
    let rounds = if prefixed.is_empty() { vec![plain] } else { vec![prefixed, plain] };
    let mut subs = Vec::new();
    let mut silent: Vec<String> = Vec::new();
    let last = rounds.len() - 1;
    for (n, round) in rounds.into_iter().enumerate().filter(|_| !apex) {
        let plain = n == last;
        subs = if silent.is_empty() {
            let (context, memory) = (&context, &mut memory);
            let mut turns = Turns { scenario, context, plain, backwards, memory, lab: &mut lab };
            turns.round(round)?
        } else {
            // The deadline has passed: nobody has the time to answer.
            round.into_iter().map(too_late).collect()
        };
        let scripts = &scenario.scripts;
        let waits = |sub: &&Sub| {
            let script = &scripts[sub.cluster % scripts.len()][usize::from(plain)];
            matches!((script, &sub.outcome), (Script::Silent, Outcome::Failed))
        };
        let late = !silent.is_empty();
        let unheard = subs.iter().filter(|sub| late || waits(sub));
        silent.extend(unheard.map(|sub| format!("10.8.{}.1:53", sub.cluster)));
        if !late && !silent.is_empty() {
            // Silence ends with the deadline.
            lab.pass(Duration::from_millis(800));
        }
        let now = lab.now;
        held::fill_in(&memory, &context, cd, now, &mut subs);
        let (failed, rest): (Vec<Sub>, Vec<Sub>) =
            subs.iter().cloned().partition(|sub| matches!(sub.outcome, Outcome::Failed));
        let known = failed.is_empty() || held::known_as_asked(&memory, &context, cd, now, &failed);
        if memory.close.get() {
            // What comes next is not to be judged either.
            return Ok(Played { context, subs, packet: Vec::new(), close: true });
        }
        if !known || !ends_in_nxdomain(&context, &rest) {
            let (context, memory) = (&context, &mut memory);
            let mut turns = Turns { scenario, context, plain, backwards, memory, lab: &mut lab };
            turns.follow_all(&mut subs, &mut silent)?;
            break;
        }
    }
    lab.pass(Duration::from_millis(800));
    let answers = lab.take_answers();
    let [answer] = &answers[..] else { return Err(format!("{} answers", answers.len())) };
    if let Some(asked) = lab.asked.iter().find(|a| !silent.contains(&a.server.to_string())) {
        return Err(format!("{} is asked again", asked.server));
    }
    lab.pass(Duration::from_secs(60));
    lab.assert_idle();
    Ok(Played { context, subs, packet: answer.packet.clone(), close: memory.close.get() })
}

fn too_late((cluster, name): (usize, Option<Labels>)) -> Sub {
    let outcome = if name.is_some() { Outcome::Failed } else { Outcome::CannotExist };
    Sub { cluster, name: name.unwrap_or_default(), outcome, follows: false, stale: false }
}

struct Turns<'a> {
    scenario: &'a Scenario,
    context: &'a Context,
    plain: bool,
    backwards: bool,
    memory: &'a mut Memory,
    lab: &'a mut Lab,
}

impl Turns<'_> {
    fn round(&mut self, round: Vec<(usize, Option<Labels>)>) -> Result<Vec<Sub>, String> {
        let mut subs: Vec<Sub> = Vec::new();
        let mut waiting: Vec<(usize, Asked)> = Vec::new();
        // With nobody to ask the next round has begun already.
        let anybody = round.iter().any(|(_, name)| name.is_some());
        let asked = if anybody { self.lab.take_asked() } else { Vec::new() };
        let mut asked = asked.into_iter();
        for (cluster, name) in round {
            if let Some(name) = &name {
                let asked = asked.next().ok_or(format!("cluster {cluster} is not asked"))?;
                self.check(&asked, cluster, name)?;
                waiting.push((subs.len(), asked));
            }
            subs.push(too_late((cluster, name)));
        }
        if let Some(more) = asked.next() {
            return Err(format!("{} is asked, too", more.server));
        }
        self.answer_all(waiting, &mut subs)?;
        Ok(subs)
    }

    /// K8: follows chains into other clusters, for as long as there is time.
    fn follow_all(&mut self, subs: &mut Vec<Sub>, silent: &mut Vec<String>) -> Result<(), String> {
        loop {
            let ends = chains::open_ends(self.context, subs);
            if ends.is_empty() {
                return Ok(());
            }
            let expired = !silent.is_empty();
            let asked = if expired { Vec::new() } else { self.lab.take_asked() };
            let first = subs.len();
            let waiting = self.follow(ends, asked, expired, subs)?;
            if self.answer_all(waiting, subs)? {
                silent.extend(subs[first..].iter().map(|sub| format!("10.8.{}.1:53", sub.cluster)));
                self.lab.pass(Duration::from_millis(800));
            }
            for sub in &mut subs[first..] {
                let alone = std::slice::from_mut(sub);
                let cd = self.scenario.asks.cd;
                held::fill_in(self.memory, self.context, cd, self.lab.now, alone);
            }
        }
    }

    /// K8: other clusters are asked where chains end at their names.
    fn follow(
        &self,
        ends: Vec<(usize, Labels)>,
        asked: Vec<Asked>,
        expired: bool,
        subs: &mut Vec<Sub>,
    ) -> Result<Vec<(usize, Asked)>, String> {
        let mut waiting = Vec::new();
        let mut asked = asked.into_iter();
        for (cluster, name) in ends {
            let known = subs.iter().find(|sub| {
                !sub.follows
                    && sub.cluster == cluster
                    && sub.name.same(&name)
                    && !matches!(sub.outcome, Outcome::CannotExist)
            });
            let outcome = known.map_or(Outcome::Failed, |known| known.outcome.clone());
            let stale = known.is_some_and(|known| known.stale);
            if known.is_none() && !expired {
                let asked = asked.next().ok_or(format!("cluster {cluster}: not asked {name:?}"))?;
                self.check(&asked, cluster, &name)?;
                waiting.push((subs.len(), asked));
            }
            subs.push(Sub { cluster, name, outcome, follows: true, stale });
        }
        match asked.next() {
            Some(more) => Err(format!("{} is asked, too", more.server)),
            None => Ok(waiting),
        }
    }

    /// Has all clusters answer, in the scenario's order; true if one does not, so
    /// that the deadline comes.
    fn answer_all(
        &mut self,
        mut waiting: Vec<(usize, Asked)>,
        subs: &mut [Sub],
    ) -> Result<bool, String> {
        let order = &self.scenario.order;
        waiting.sort_by_key(|(n, _)| order[subs[*n].cluster % order.len()]);
        if self.backwards {
            waiting.reverse();
        }
        let mut silent = false;
        for (n, asked) in waiting {
            let scripts = &self.scenario.scripts;
            let script = &scripts[subs[n].cluster % scripts.len()][usize::from(self.plain)];
            silent |= matches!(script, Script::Silent);
            subs[n].outcome = self.answer(&asked, script, &subs[n])?;
        }
        Ok(silent)
    }

    fn answer(&mut self, asked: &Asked, script: &Script, sub: &Sub) -> Result<Outcome, String> {
        let query = Packet::read(&asked.packet)?;
        let reply = match script {
            Script::Silent => return Ok(Outcome::Failed),
            Script::Rcode(rcode) => {
                self.lab.reply(asked.link, &bare(&query, *rcode, false));
                if matches!(rcode, 1 | 4) {
                    // RFC 6891, 7: once more, without OPT.
                    let again = self.lab.take_asked().pop().ok_or("it is not asked plainly")?;
                    let query = Packet::read(&again.packet)?;
                    if query.opt.is_some() {
                        return Err("an OPT for who does not understand it".into());
                    }
                    self.lab.reply(again.link, &bare(&query, *rcode, false));
                }
                return Ok(Outcome::Failed);
            }
            Script::Reply(reply) => reply,
        };
        let answering = Answering {
            scenario: self.scenario,
            cluster: sub.cluster,
            asked: &sub.name,
            rtype: self.context.rtype,
        };
        let (mut link, mut query) = (asked.link, query);
        if reply.cut {
            self.lab.reply(link, &bare(&query, 0, true));
            let again = self.lab.take_asked().pop().ok_or("it is not asked over TCP")?;
            self.check(&again, sub.cluster, &sub.name)?;
            if again.transport != Transport::Tcp {
                return Err("it is asked over UDP after a truncated answer".into());
            }
            (link, query) = (again.link, Packet::read(&again.packet)?);
        }
        let packet = answering.packet(reply, &query);
        self.lab.reply(link, &packet);
        let packet = Packet::read(&packet)?;
        self.memory.given.push(Given {
            at: self.lab.now,
            cluster: sub.cluster,
            name: sub.name.clone(),
            rtype: self.context.rtype,
            cd: self.scenario.asks.cd,
            packet: packet.clone(),
        });
        Ok(Outcome::Answered(packet))
    }

    /// Q6, and nothing else in the packet.
    fn check(&self, asked: &Asked, cluster: usize, name: &Labels) -> Result<(), String> {
        let packet = Packet::read(&asked.packet)?;
        let place = format!("10.8.{cluster}.1:53");
        let question = Some((name.clone(), self.context.rtype, 1));
        let flags = RD | if self.scenario.asks.cd { CD } else { 0 };
        if asked.server.to_string() != place {
            return Err(format!("{} is asked instead of {place}", asked.server));
        }
        if packet.question != question {
            return Err(format!("asked {:?} instead of {question:?}", packet.question));
        }
        // Nothing of the client's: no option, or a cookie of our own.
        let plain = matches!(&packet.opt, Some((1232, 0, options))
            if options.is_empty() || (options.len() == 12 && options[..4] == [0, 10, 0, 8]));
        if packet.flags != flags || !plain {
            return Err(format!("flags {:#06x}, OPT {:?}", packet.flags, packet.opt));
        }
        if packet.sections.iter().any(|section| !section.is_empty()) {
            return Err("records in a question".into());
        }
        Ok(())
    }
}
