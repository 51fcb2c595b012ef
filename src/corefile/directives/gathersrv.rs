//! `gathersrv ZONE { SUFFIX PREFIX [SERVER...] }`: the plugin's block, with the
//! servers and options that are added here.

use super::{Cluster, Gather, Options, Reader, Set, Site};
use crate::config::{OnMissing, ServerOptions, words};
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
        let mut options = Options::default();
        for line in directive.body.iter().flatten() {
            let [first, args @ ..] = &line[..] else { continue };
            match first.text.as_str() {
                "deadline" => {
                    let word = self.value(first, args, "write a time such as '800ms'");
                    options.deadline = word.and_then(|word| self.deadline(word));
                }
                "on-missing" => options.on_missing = self.on_missing(first, args),
                "min-clusters" => {
                    let Some(word) = self.value(first, args, "write a number") else { continue };
                    let value = self.number(word, "a number of clusters");
                    options.min_clusters = value.map(|value| Set { value, place: word.place });
                }
                "keep-on-empty" => {
                    let word = self.value(first, args, "write a time such as '30s'");
                    options.keep_on_empty = word.and_then(|word| self.time(word));
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
        site.gathers.push(Gather { zone: zone.clone(), name, clusters, options });
    }

    fn on_missing(&mut self, option: &Token, args: &[Token]) -> Option<OnMissing> {
        let like = "write 'stale', 'partial' or 'fail'";
        let word = self.value(option, args, like)?;
        match word.text.as_str() {
            "stale" => Some(OnMissing::Stale),
            "partial" => Some(OnMissing::Partial),
            "fail" => Some(OnMissing::Fail),
            other => {
                self.wrong(word.place, format!("'{other}' is no policy"), like);
                None
            }
        }
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
        for word in servers {
            match word.text.split_once('=') {
                Some((key, value)) => self.word(word, |_| {
                    words::server_option("", key, value, &mut ServerOptions::default())
                })?,
                None => read.push(self.word(word, |word| words::server("", word))?),
            }
        }
        Some(Cluster { line: line.to_vec(), suffix: suffix?, servers: read })
    }
}
