//! How a block listens and answers: `bind`, `bufsize`, `cancel`, `cache`,
//! `reload`.

use super::{Reader, Set, Site};
use crate::config::Settings;
use crate::corefile::blocks::Directive;
use std::time::Duration;

impl Reader<'_> {
    pub(super) fn cache(&mut self, directive: &Directive, site: &mut Site) {
        let mut entries = Settings::default().cache;
        let mut args = &directive.args[..];
        if let [ttl, rest @ ..] = args
            && let Ok(seconds) = ttl.text.parse::<u32>()
        {
            let value = Duration::from_secs(seconds.into());
            site.settings.cache_for = Some(value);
            args = rest;
        }
        if let Some(zone) = args.first() {
            let wrong = "the cache is for all zones of a block alike";
            self.wrong(zone.place, wrong, "take the zones out");
        }
        for line in directive.body.iter().flatten() {
            let [option, args @ ..] = &line[..] else { continue };
            match (option.text.as_str(), args) {
                ("success", [capacity]) => {
                    if let Some(value) = self.number(capacity, "a number of entries") {
                        entries = value;
                    }
                }
                ("serve_stale", []) => {
                    site.settings.keep_for = Some(Duration::from_secs(3600));
                }
                ("serve_stale", [time]) => {
                    site.settings.keep_for = self.time(time);
                }
                (other, _) => {
                    let wrong = format!("'cache' has no option '{}' in this form", other);
                    let remedy =
                        "take it out; there are 'success CAPACITY' and 'serve_stale [TIME]'";
                    self.wrong(option.place, wrong, remedy);
                }
            }
        }
        site.settings.cache = Some(entries);
    }

    pub(super) fn bind(&mut self, directive: &Directive, site: &mut Site) {
        if directive.args.is_empty() {
            self.wrong(
                directive.name.place,
                "'bind' needs an address",
                "write one, such as '127.0.0.1'",
            );
        }
        for word in &directive.args {
            match word.text.parse() {
                Ok(address) => site.bind.push(address),
                Err(_) => {
                    let wrong = format!("'{}' is not an IP address", word.text);
                    self.wrong(word.place, wrong, "write an address, not an interface");
                }
            }
        }
        self.nothing_more(directive, &[]);
    }

    pub(super) fn bufsize(&mut self, directive: &Directive, site: &mut Site) {
        self.nothing_more(directive, directive.args.get(1..).unwrap_or_default());
        let value = match directive.args.first() {
            None => Some(crate::wire::edns::DEFAULT_PAYLOAD),
            Some(word) => {
                let read: Option<u16> = self.number(word, "a number from 512 to 4096");
                if read.is_some_and(|size| !(512..=4096).contains(&size)) {
                    let wrong = format!("'{}' is too small or too large", word.text);
                    self.wrong(word.place, wrong, "write a number from 512 to 4096");
                }
                read
            }
        };
        let place = directive.args.first().unwrap_or(&directive.name).place;
        site.settings.max_udp_payload = value.map(|value| Set { value, place });
    }

    pub(super) fn cancel(&mut self, directive: &Directive, site: &mut Site) {
        self.nothing_more(directive, directive.args.get(1..).unwrap_or_default());
        match directive.args.first() {
            Some(word) => site.settings.deadline = self.deadline(word),
            // CoreDNS's own default.
            None => site.settings.deadline = Some(Duration::from_secs(5)),
        }
    }

    /// Changes are noticed as they happen, so how often to look makes no
    /// difference; not to look at all would.
    pub(super) fn reload(&mut self, directive: &Directive) {
        self.nothing_more(directive, directive.args.get(2..).unwrap_or_default());
        for word in directive.args.iter().take(2) {
            if self.time(word).is_some_and(|interval| interval.is_zero()) {
                let wrong = "changes cannot be left unnoticed";
                self.wrong(word.place, wrong, "write a time, or none");
            }
        }
    }
}
