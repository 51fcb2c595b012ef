//! `gathersrv ZONE { SUFFIX PREFIX [SERVER...] }`: the plugin's block, with the
//! servers and options that are added here.

use super::{Cluster, Gather, Reader, Set, Site};
use crate::config::{OnMissing, words};
use crate::corefile::blocks::Directive;
use crate::corefile::diagnose::close_to;
use crate::corefile::source::Token;

impl Reader<'_> {
    pub(super) fn gathersrv(&mut self, directive: &Directive, site: &mut Site) {
        let like =
            "write 'gathersrv ZONE {' and a line 'SUFFIX PREFIX [SERVER...]' for each cluster";
        let Some(zone) = self.value(&directive.name, &directive.args, like) else { return };
        let before = self.mistakes.len();
        let name = self.word(zone, |word| words::name("", word));
        let mut clusters = Vec::new();
        for line in directive.body.iter().flatten() {
            let [first, args @ ..] = &line[..] else { continue };
            match first.text.as_str() {
                "deadline" => {
                    if let Some(word) = self.value(first, args, "write a time such as '800ms'") {
                        self.deadline(word, site);
                    }
                }
                "on-missing" => self.on_missing(first, args, site),
                "min-clusters" => {
                    if let Some(word) = self.value(first, args, "write a number") {
                        let value = self.number(word, "a number of clusters");
                        site.settings.min_clusters =
                            value.map(|value| Set { value, place: word.place });
                    }
                }
                "keep-on-empty" => {
                    if let Some(word) = self.value(first, args, "write a time such as '30s'") {
                        let value = self.time(word);
                        site.settings.keep_on_empty =
                            value.map(|value| Set { value, place: word.place });
                    }
                }
                "shuffle" => {
                    let remedy = "take it out: answers keep the order of the clusters";
                    self.wrong(first.place, "'shuffle' is not supported yet", remedy);
                }
                _ => clusters.extend(self.cluster(line)),
            }
        }
        let Some(name) = name else { return };
        if clusters.is_empty() && self.mistakes.len() == before {
            self.wrong(zone.place, format!("the zone {name} has no clusters"), like);
        }
        site.gathers.push(Gather { zone: zone.clone(), name, clusters });
    }

    fn on_missing(&mut self, option: &Token, args: &[Token], site: &mut Site) {
        let like = "write 'stale', 'partial' or 'fail'";
        let Some(word) = self.value(option, args, like) else { return };
        let value = match word.text.as_str() {
            "stale" => OnMissing::Stale,
            "partial" => OnMissing::Partial,
            "fail" => OnMissing::Fail,
            other => {
                self.wrong(word.place, format!("'{other}' is no policy"), like);
                return;
            }
        };
        site.settings.on_missing = Some(Set { value, place: word.place });
    }

    fn cluster(&mut self, line: &[Token]) -> Option<Cluster> {
        const OPTIONS: [&str; 4] = ["deadline", "on-missing", "min-clusters", "keep-on-empty"];
        let [first, rest @ ..] = line else { return None };
        if let Some(near) = close_to(&first.text, OPTIONS) {
            let wrong = format!("there is no option '{}'", first.text);
            self.wrong(first.place, wrong, format!("did you mean '{near}'?"));
            return None;
        }
        let suffix = self.word(first, |word| words::name("", word));
        let [prefix, servers @ ..] = rest else {
            let remedy = "write the start of a label behind it, such as 'a-'";
            self.wrong(first.place, "the cluster has no prefix", remedy);
            return None;
        };
        self.word(prefix, |word| words::prefix("", word))?;
        let mut read = Vec::new();
        for server in servers {
            read.push(self.word(server, |word| words::server("", word))?);
        }
        Some(Cluster { line: line.to_vec(), suffix: suffix?, servers: read })
    }
}
