//! What the directives mean: the plugin's own ([`gathersrv`]), [`forward`], and
//! what is about listening and answering ([`serving`]), about who may ask
//! ([`guarding`]), about who looks on ([`watching`]) or is told ([`telling`]). Each
//! either works, or is a mistake that says why: nothing is taken and ignored.

mod forward;
mod gathersrv;
mod guarding;
mod serving;
mod telling;
mod watching;

use crate::config::{
    AdminAt, ConfigError, DEADLINES, Endpoint, Identity, OnMissing, Policy, Server, words,
};
use crate::corefile::blocks::{Block, Directive};
use crate::corefile::diagnose::{Diagnostic, close_to};
use crate::corefile::source::{Place, Token};
use crate::wire::name::Suffix;
use ipnet::IpNet;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

/// Directives that work.
const KNOWN: [&str; 16] = [
    "gathersrv",
    "forward",
    "cache",
    "bind",
    "bufsize",
    "cancel",
    "errors",
    "reload",
    "acl",
    "tls",
    "loop",
    "prometheus",
    "health",
    "ready",
    "log",
    "dnstap",
];

/// Directives of CoreDNS that have no part in this program so far, and what to
/// do without them.
const UNSUPPORTED: [(&str, &str); 6] = [
    ("debug", "start with --log debug"),
    ("loadbalance", "take it out: answers keep the order of the clusters"),
    ("whoami", "take it out; 'gathersrv check' prints what is served"),
    ("kubernetes", "leave the zone to CoreDNS, and forward it there"),
    ("hosts", "leave the zone to CoreDNS, and forward it there"),
    ("file", "leave the zone to a server that has it, and forward it there"),
];

/// A setting, and where it stands.
#[derive(Debug, Clone)]
pub struct Set<T> {
    /// What it is.
    pub value: T,
    /// Where.
    pub place: Place,
}

/// The plugin's block.
#[derive(Debug)]
pub struct Gather {
    /// The distributed zone.
    pub zone: Token,
    /// Its name, read.
    pub name: Suffix,
    /// Its clusters.
    pub clusters: Vec<Cluster>,
    /// What else it says.
    pub options: Options,
}

/// A cluster's line.
#[derive(Debug)]
pub struct Cluster {
    /// All of it: suffix, prefix, servers.
    pub line: Vec<Token>,
    /// The suffix, read.
    pub suffix: Suffix,
    /// The servers on the line.
    pub servers: Vec<Server>,
}

/// `forward FROM TO...`.
#[derive(Debug)]
pub struct Forward {
    /// Where FROM stands.
    pub place: Place,
    /// FROM.
    pub from: Suffix,
    /// TO, each with its place.
    pub to: Vec<Set<Server>>,
    /// Which of them is asked first.
    pub policy: Option<Set<Policy>>,
}

/// What a distributed zone says of its own behaviour.
#[derive(Debug, Default)]
pub struct Options {
    /// `deadline`.
    pub deadline: Option<Duration>,
    /// `on-missing`.
    pub on_missing: Option<OnMissing>,
    /// `min-clusters`.
    pub min_clusters: Option<Set<usize>>,
    /// `keep-on-empty`.
    pub keep_on_empty: Option<Duration>,
}

/// What holds for all of a block, ...
#[derive(Debug, Default)]
pub struct Settings {
    /// `cancel`.
    pub deadline: Option<Duration>,
    /// `cache`: entries.
    pub cache: Option<usize>,
    /// `cache`: the longest time.
    pub cache_for: Option<Duration>,
    /// `prometheus`, `health` and `ready`: where.
    pub admin: Vec<AdminAt>,
    /// `lameduck`.
    pub lame_duck: Option<Duration>,
    /// `serve_stale`.
    pub keep_for: Option<Duration>,
    /// ... and what for all blocks of a listener, which have to agree:
    /// `bufsize`,
    pub max_udp_payload: Option<Set<u16>>,
    /// `max_fails` of forwards,
    pub max_fails: Option<Set<u32>>,
    /// `max_concurrent` of forwards,
    pub max_queries: Option<Set<usize>>,
    /// `acl`,
    pub allow: Option<Set<Vec<IpNet>>>,
    /// `tls`,
    pub identity: Option<Set<Identity>>,
    /// `log`,
    pub query_log: Option<Set<NonZeroU32>>,
    /// `dnstap`.
    pub dnstap: Option<Set<Endpoint>>,
}

/// What a block serves, and how.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub token: Token,
    /// The zone.
    pub name: Suffix,
    /// The port.
    pub port: u16,
    /// Over TLS, and over nothing else.
    pub tls: bool,
}

/// A server block, understood.
#[derive(Debug, Default)]
pub struct Site {
    /// What it serves.
    pub keys: Vec<Key>,
    /// The addresses it listens on; every one if there are none.
    pub bind: Vec<IpAddr>,
    /// Its distributed zones.
    pub gathers: Vec<Gather>,
    /// Its forwards.
    pub forwards: Vec<Forward>,
    /// What else it says.
    pub settings: Settings,
}

/// Understands blocks.
pub struct Reader<'a> {
    /// What was wrong so far.
    pub mistakes: &'a mut Vec<Diagnostic>,
    /// Reads a file that a TO names.
    pub read_file: &'a dyn Fn(&std::path::Path) -> Result<String, String>,
}

impl Reader<'_> {
    fn wrong(&mut self, place: Place, wrong: impl Into<String>, remedy: impl Into<String>) {
        self.mistakes.push(Diagnostic::new(place, wrong, remedy));
    }

    /// What the words of the configuration at large make of this one.
    fn word<T>(
        &mut self,
        token: &Token,
        read: impl Fn(&str) -> Result<T, ConfigError>,
    ) -> Option<T> {
        match read(&token.text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(token.place, error.wrong, error.remedy);
                None
            }
        }
    }

    /// One block.
    pub fn site(&mut self, block: &Block) -> Site {
        let mut site = Site::default();
        for key in &block.keys {
            site.keys.extend(self.key(key));
        }
        for directive in &block.directives {
            self.directive(directive, &mut site);
        }
        self.agreed(&site);
        site
    }

    /// TLS and certificates go together.
    fn agreed(&mut self, site: &Site) {
        let secure = site.keys.iter().find(|key| key.tls);
        match (secure, &site.settings.identity) {
            (Some(key), None) => {
                let remedy = "write 'tls CERT KEY' in the block";
                self.wrong(key.token.place, "TLS needs a certificate", remedy);
            }
            (None, Some(identity)) => {
                let remedy = "write 'tls://' in front of what the block serves, or take it out";
                self.wrong(identity.place, "nothing of this block is served over TLS", remedy);
            }
            _ => {}
        }
    }

    /// `distributed.local.`, `other.local.:1053`, `dns://.:53`, `tls://.:853`.
    fn key(&mut self, key: &Token) -> Option<Key> {
        let (text, tls) = match key.text.split_once("://") {
            None => (key.text.as_str(), false),
            Some(("dns", rest)) => (rest, false),
            Some(("tls", rest)) => (rest, true),
            Some((scheme, _)) => {
                let wrong = format!("'{scheme}://' is not supported");
                self.wrong(key.place, wrong, "there are dns://, which may be left out, and tls://");
                return None;
            }
        };
        let (name, port) = match text.rsplit_once(':') {
            None => (text, if tls { words::TLS_PORT } else { words::DNS_PORT }),
            Some((name, port)) => match port.parse() {
                Ok(number) if number > 0 => (name, number),
                _ => {
                    let wrong = format!("'{port}' is not a port");
                    self.wrong(key.place, wrong, "write a number from 1 to 65535");
                    return None;
                }
            },
        };
        let name = if name.is_empty() { "." } else { name };
        if name.contains('/') {
            let remedy = "write the zone in in-addr.arpa. or ip6.arpa. itself";
            self.wrong(key.place, "networks are not supported as zones", remedy);
            return None;
        }
        let token = Token { text: name.into(), ..key.clone() };
        let name = self.word(&token, |word| words::name("", word))?;
        Some(Key { token: key.clone(), name, port, tls })
    }

    fn directive(&mut self, directive: &Directive, site: &mut Site) {
        let name = &directive.name;
        match name.text.as_str() {
            "gathersrv" => self.gathersrv(directive, site),
            "forward" => self.forward(directive, site),
            "cache" => self.cache(directive, site),
            "bind" => self.bind(directive, site),
            "bufsize" => self.bufsize(directive, site),
            "cancel" => self.cancel(directive, site),
            "reload" => self.reload(directive),
            "acl" => self.acl(directive, site),
            "tls" => self.tls(directive, site),
            "prometheus" => self.prometheus(directive, site),
            "health" => self.health(directive, site),
            "ready" => self.ready(directive, site),
            "log" => self.log(directive, site),
            "dnstap" => self.dnstap(directive, site),
            // Errors are logged, and loops found, in any case.
            "errors" | "loop" => self.nothing_more(directive, &directive.args),
            other => {
                if let Some((_, remedy)) = UNSUPPORTED.iter().find(|(known, _)| *known == other) {
                    self.wrong(name.place, format!("'{other}' is not supported"), *remedy);
                    return;
                }
                let remedy = match close_to(other, KNOWN) {
                    Some(near) => format!("did you mean '{near}'?"),
                    None => format!("there are {}", KNOWN.join(", ")),
                };
                self.wrong(name.place, format!("there is no directive '{other}'"), remedy);
            }
        }
    }

    /// Words or lines that a directive does not take.
    fn nothing_more(&mut self, directive: &Directive, args: &[Token]) {
        let lines = directive.body.iter().flatten().flatten();
        if let Some(word) = args.iter().chain(lines).next() {
            let wrong = format!("'{}' takes no '{}' here", directive.name.text, word.text);
            self.wrong(word.place, wrong, "take it out");
        }
    }

    /// The one word of an option.
    fn value<'t>(&mut self, option: &Token, args: &'t [Token], like: &str) -> Option<&'t Token> {
        match args {
            [one] => Some(one),
            [] => {
                self.wrong(option.place, format!("'{}' needs a value", option.text), like);
                None
            }
            [_, more, ..] => {
                self.wrong(more.place, format!("'{}' takes one value", option.text), like);
                None
            }
        }
    }

    fn number<T: std::str::FromStr>(&mut self, word: &Token, what: &str) -> Option<T> {
        let number = word.text.parse().ok();
        if number.is_none() {
            self.wrong(
                word.place,
                format!("'{}' is not {what}", word.text),
                format!("write {what}"),
            );
        }
        number
    }

    fn time(&mut self, word: &Token) -> Option<Duration> {
        let time = humantime::parse_duration(&word.text).ok();
        if time.is_none() {
            let wrong = format!("'{}' is not a time", word.text);
            self.wrong(word.place, wrong, "write one such as '800ms', '5s' or '1h30m'");
        }
        time
    }

    fn deadline(&mut self, word: &Token) -> Option<Duration> {
        let time = self.time(word)?;
        if !DEADLINES.contains(&time) {
            let wrong = format!("'{}' is no deadline that makes sense", word.text);
            self.wrong(word.place, wrong, "write a time from 10ms to 60s");
        }
        Some(time)
    }
}
