//! `forward FROM TO... { OPTIONS }`.

use super::{Forward, Reader, Set, Site};
use crate::config::{Policy, Server, words};
use crate::corefile::blocks::Directive;
use crate::corefile::diagnose::close_to;
use crate::corefile::source::Token;
use rustls_pki_types::ServerName;
use std::path::PathBuf;

/// What the lines of a `forward` say of its servers.
#[derive(Default)]
struct Options {
    policy: Option<Set<Policy>>,
    name: Option<Set<ServerName<'static>>>,
    ca: Option<Set<PathBuf>>,
}

impl Reader<'_> {
    pub(super) fn forward(&mut self, directive: &Directive, site: &mut Site) {
        let mut options = Options::default();
        for line in directive.body.iter().flatten() {
            self.forward_option(line, &mut options, site);
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
        self.secure(&options, &mut servers);
        if let (Some(name), false) = (name, servers.is_empty()) {
            let policy = options.policy;
            site.forwards.push(Forward { place: from.place, from: name, to: servers, policy });
        }
    }

    /// Whom servers over TLS have to prove to be.
    fn secure(&mut self, options: &Options, servers: &mut [Set<Server>]) {
        let mut secure = false;
        for tls in servers.iter_mut().filter_map(|server| server.value.tls.as_mut()) {
            secure = true;
            if let Some(name) = &options.name {
                tls.name = name.value.clone();
            }
            tls.ca = options.ca.as_ref().map(|ca| ca.value.clone());
        }
        let name = options.name.as_ref().map(|set| set.place);
        if let (Some(place), false) = (name.or(options.ca.as_ref().map(|set| set.place)), secure) {
            let wrong = "no server of this 'forward' is asked over TLS";
            self.wrong(place, wrong, "write them as 'tls://10.8.0.1', or take this out");
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
            None | Some(("tls", _)) => word.text.clone(),
            Some(("dns", rest)) => rest.to_string(),
            Some((scheme, _)) => {
                let wrong = format!("'{scheme}://' is not supported");
                self.wrong(place, wrong, "name a server that answers over UDP and TCP, or TLS");
                return Vec::new();
            }
        };
        let token = Token { text, ..word.clone() };
        let read = self.word(&token, |word| words::server("", word));
        read.into_iter().map(|value| Set { value, place }).collect()
    }

    fn forward_option(&mut self, line: &[Token], options: &mut Options, site: &mut Site) {
        let [option, args @ ..] = line else { return };
        match option.text.as_str() {
            "tls_servername" => {
                let Some(word) = self.value(option, args, "write a name") else { return };
                match ServerName::try_from(word.text.clone()) {
                    Ok(value) => options.name = Some(Set { value, place: word.place }),
                    Err(_) => {
                        let wrong = format!("'{}' is no name of a host", word.text);
                        self.wrong(word.place, wrong, "write the name in the certificate");
                    }
                }
            }
            "tls" => match args {
                [] => {}
                [ca] if ca.text.contains(char::is_whitespace) => {
                    self.wrong(ca.place, "the file's name has a blank in it", "give it another");
                }
                [ca] => options.ca = Some(Set { value: (&ca.text).into(), place: ca.place }),
                [first, ..] => {
                    let remedy = "write 'tls', or 'tls CA' with the authorities' file";
                    self.wrong(first.place, "servers are shown no certificate of ours", remedy);
                }
            },
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
                options.policy = Some(Set { value, place: word.place });
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
                let known = [
                    "policy",
                    "max_fails",
                    "max_concurrent",
                    "prefer_udp",
                    "tls",
                    "tls_servername",
                ];
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
