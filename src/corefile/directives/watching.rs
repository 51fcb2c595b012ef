//! What operators and orchestrators look at: `prometheus`, `health` and `ready`.
//! Each brings the admin server to an address. It has all of its pages where
//! `prometheus` says; the others are for probes.

use super::{Reader, Site};
use crate::config::{AdminAt, LAME_DUCKS, Shows};
use crate::corefile::blocks::Directive;
use crate::corefile::source::Token;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where CoreDNS has its metrics, its health and its readiness.
const METRICS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9153);
const HEALTH: SocketAddr = everywhere(8080);
const READY: SocketAddr = everywhere(8181);

/// Every address of the host, of either kind.
const fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)
}

/// `127.0.0.1:9153`, `localhost:9153` or `:9153`.
fn address(word: &str) -> Option<SocketAddr> {
    match word.rsplit_once(':') {
        Some(("", port)) => port.parse().ok().map(everywhere),
        Some(("localhost", port)) => {
            port.parse().ok().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        }
        _ => word.parse().ok(),
    }
}

impl Reader<'_> {
    fn admin(&mut self, directive: &Directive, default: SocketAddr, shows: Shows, site: &mut Site) {
        if let Some(more) = directive.args.get(1) {
            let wrong = format!("'{}' takes one address", directive.name.text);
            self.wrong(more.place, wrong, "take it out");
        }
        let addr = match directive.args.first() {
            None => default,
            Some(word) => match address(&word.text) {
                Some(addr) => addr,
                None => {
                    let wrong = format!("'{}' is not an address to listen on", word.text);
                    let remedy = "write it as '127.0.0.1:9153', 'localhost:9153' or ':9153'";
                    return self.wrong(word.place, wrong, remedy);
                }
            },
        };
        site.settings.admin.push(AdminAt { addr, shows });
    }

    fn no_option(&mut self, directive: &Directive, option: &Token, remedy: &str) {
        let name = &directive.name.text;
        let wrong = format!("'{name}' has no option '{}' in this form", option.text);
        self.wrong(option.place, wrong, remedy);
    }

    /// `prometheus [ADDR]`
    pub(super) fn prometheus(&mut self, directive: &Directive, site: &mut Site) {
        self.admin(directive, METRICS, Shows::All, site);
        for option in directive.body.iter().flatten().filter_map(|line| line.first()) {
            self.no_option(directive, option, "take it out");
        }
    }

    /// `ready [ADDR]`
    pub(super) fn ready(&mut self, directive: &Directive, site: &mut Site) {
        self.admin(directive, READY, Shows::Probes, site);
        for option in directive.body.iter().flatten().filter_map(|line| line.first()) {
            self.no_option(directive, option, "take it out");
        }
    }

    /// `health [ADDR] { lameduck TIME }`
    pub(super) fn health(&mut self, directive: &Directive, site: &mut Site) {
        self.admin(directive, HEALTH, Shows::Probes, site);
        for line in directive.body.iter().flatten() {
            match &line[..] {
                [option, time] if option.text == "lameduck" => {
                    let read = self.time(time);
                    if read.is_some_and(|read| read > LAME_DUCKS) {
                        let wrong = format!("'{}' is too long", time.text);
                        self.wrong(time.place, wrong, "write a time up to '10m'");
                    }
                    site.settings.lame_duck = read;
                }
                [option, ..] => {
                    self.no_option(directive, option, "there is 'lameduck TIME'");
                }
                [] => {}
            }
        }
    }
}
