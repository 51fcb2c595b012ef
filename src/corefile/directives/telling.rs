//! Who is told of queries: `log` and `dnstap`.

use super::{Reader, Set, Site};
use crate::config::Endpoint;
use crate::corefile::blocks::Directive;
use std::num::NonZeroU32;

impl Reader<'_> {
    /// `log`: every query. What CoreDNS's has beside that picks names and forms of
    /// lines, which are not for choosing here.
    pub(super) fn log(&mut self, directive: &Directive, site: &mut Site) {
        if let Some(word) = directive.args.first() {
            let wrong = "which queries are logged, and how, is not said here";
            let remedy = "write 'log' alone for every query, or start with --query-log 1/100 for \
                          some of them";
            self.wrong(word.place, wrong, remedy);
        }
        self.nothing_more(directive, &[]);
        let place = directive.name.place;
        site.settings.query_log = Some(Set { value: NonZeroU32::MIN, place });
    }

    /// `dnstap SOCKET [full]`: packets are sent whole in any case.
    pub(super) fn dnstap(&mut self, directive: &Directive, site: &mut Site) {
        let place = directive.name.place;
        let [socket, more @ ..] = &directive.args[..] else {
            let remedy = "write '/run/dnstap.sock' or 'tcp://127.0.0.1:6000' behind it";
            self.wrong(place, "'dnstap' needs a collector", remedy);
            return;
        };
        let more =
            if more.first().is_some_and(|word| word.text == "full") { &more[1..] } else { more };
        self.nothing_more(directive, more);
        if let Some(value) = self.word(socket, |word| Endpoint::read_url("", word)) {
            site.settings.dnstap = Some(Set { value, place });
        }
    }
}
