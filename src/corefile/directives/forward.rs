//! `forward FROM TO... { OPTIONS }`.

use super::{Forward, Reader, Set, Site};
use crate::config::{Policy, Server, words};
use crate::corefile::blocks::Directive;
use crate::corefile::diagnose::close_to;
use crate::corefile::source::Token;
use std::path::PathBuf;

impl Reader<'_> {
    pub(super) fn forward(&mut self, directive: &Directive, site: &mut Site) {
        let mut policy = None;
        for line in directive.body.iter().flatten() {
            self.forward_option(line, &mut policy, site);
        }
        let [from, to @ ..] = &directive.args[..] else {
            let remedy = "write 'forward FROM TO...', such as 'forward . 10.8.0.1'";
            self.wrong(directive.name.place, "FROM is missing", remedy);
            return;
        };
        let name = self.word(from, |word| words::name("", word));
        let mut servers = Vec::new();
        for word in to {
            servers.extend(self.to(word));
        }
        if to.is_empty() {
            let remedy = "write the servers behind it, such as '10.8.0.1'";
            self.wrong(from.place, "TO is missing", remedy);
        }
        if let (Some(name), false) = (name, servers.is_empty()) {
            site.forwards.push(Forward { place: from.place, from: name, to: servers, policy });
        }
    }

    /// An address, or a file like `/etc/resolv.conf`.
    fn to(&mut self, word: &Token) -> Vec<Set<Server>> {
        let place = word.place;
        if word.text.starts_with('/') {
            let text = match (self.read_file)(&PathBuf::from(&word.text)) {
                Ok(text) => text,
                Err(told) => {
                    let remedy = "name a file with 'nameserver' lines, or the servers";
                    self.wrong(place, format!("the file '{}' {told}", word.text), remedy);
                    return Vec::new();
                }
            };
            let lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
            let servers: Vec<_> = lines
                .filter_map(|rest| words::server("", rest.split_whitespace().next()?).ok())
                .map(|value| Set { value, place })
                .collect();
            if servers.is_empty() {
                let wrong = format!("the file '{}' names no server", word.text);
                self.wrong(place, wrong, "name the servers");
            }
            return servers;
        }
        let text = match word.text.split_once("://") {
            None => word.text.clone(),
            Some(("dns", rest)) => rest.to_string(),
            Some((scheme, _)) => {
                let wrong = format!("'{scheme}://' is not supported yet");
                self.wrong(place, wrong, "name a server that answers over UDP and TCP");
                return Vec::new();
            }
        };
        let token = Token { text, ..word.clone() };
        let read = self.word(&token, |word| words::server("", word));
        read.into_iter().map(|value| Set { value, place }).collect()
    }

    fn forward_option(
        &mut self,
        line: &[Token],
        policy: &mut Option<Set<Policy>>,
        site: &mut Site,
    ) {
        let [option, args @ ..] = line else { return };
        match option.text.as_str() {
            // UDP is what is tried first in any case.
            "prefer_udp" => {
                if let Some(more) = args.first() {
                    self.wrong(more.place, "'prefer_udp' takes no value", "take it out");
                }
            }
            "policy" => {
                let like = "write 'random', 'round_robin' or 'sequential'";
                let Some(word) = self.value(option, args, like) else { return };
                let value = match word.text.as_str() {
                    "random" => Policy::Random,
                    "round_robin" => Policy::RoundRobin,
                    "sequential" => Policy::Sequential,
                    other => {
                        self.wrong(word.place, format!("'{other}' is no policy"), like);
                        return;
                    }
                };
                *policy = Some(Set { value, place: word.place });
            }
            "max_fails" => {
                let Some(word) = self.value(option, args, "write a number") else { return };
                let value = self.number(word, "a number of failures");
                site.settings.max_fails = value.map(|value| Set { value, place: word.place });
            }
            "max_concurrent" => {
                let Some(word) = self.value(option, args, "write a number") else { return };
                let value = self.number(word, "a number of queries");
                site.settings.max_queries = value.map(|value| Set { value, place: word.place });
            }
            other => {
                let known = ["policy", "max_fails", "max_concurrent", "prefer_udp"];
                let remedy = match close_to(other, known) {
                    Some(near) => format!("did you mean '{near}'?"),
                    None => format!("take it out; there are {}", known.join(", ")),
                };
                let wrong = format!("'forward' has no option '{other}' that is supported");
                self.wrong(option.place, wrong, remedy);
            }
        }
    }
}
