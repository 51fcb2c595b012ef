//! Who may ask, and over what: `acl` and `tls`.

use super::{Reader, Set, Site};
use crate::config::{Identity, words};
use crate::corefile::blocks::Directive;
use crate::corefile::source::Token;
use ipnet::IpNet;

impl Reader<'_> {
    /// `tls CERT KEY`: what the block's TLS clients are shown.
    pub(super) fn tls(&mut self, directive: &Directive, site: &mut Site) {
        let place = directive.name.place;
        let [cert, key, more @ ..] = &directive.args[..] else {
            let remedy = "write 'tls CERT KEY', files in PEM";
            self.wrong(place, "'tls' needs a certificate and its key", remedy);
            return;
        };
        if let Some(ca) = more.first() {
            let remedy = "take the third file out, and say with 'acl' who may ask";
            self.wrong(ca.place, "certificates of clients are not looked at", remedy);
        }
        for line in directive.body.iter().flatten() {
            if let Some(option) = line.first() {
                let wrong = format!("'tls' has no option '{}' that is supported", option.text);
                self.wrong(option.place, wrong, "take it out");
            }
        }
        let value = Identity { cert: (&cert.text).into(), key: (&key.text).into() };
        site.settings.identity = Some(Set { value, place });
    }

    /// `acl { allow net NET...; block }`: networks that may ask, and nobody else.
    pub(super) fn acl(&mut self, directive: &Directive, site: &mut Site) {
        if let Some(zone) = directive.args.first() {
            let wrong = "who may ask is said for all zones of a block alike";
            self.wrong(zone.place, wrong, "take the zones out");
        }
        let like = "write lines 'allow net NET...' and then 'block'";
        let mut allow = Vec::new();
        let mut blocked = false;
        for line in directive.body.iter().flatten() {
            let [action, args @ ..] = &line[..] else { continue };
            match (action.text.as_str(), args) {
                _ if blocked => {
                    self.wrong(action.place, "behind 'block' nothing is looked at", "take it out");
                }
                ("allow", [net, networks @ ..]) if net.text == "net" && !networks.is_empty() => {
                    allow.extend(self.networks(networks));
                }
                ("block", []) => blocked = true,
                ("block", [net, any]) if net.text == "net" && any.text == "*" => blocked = true,
                (other, _) => {
                    let wrong = format!("'acl' has no '{other}' in this form");
                    self.wrong(action.place, wrong, like);
                }
            }
        }
        let place = directive.name.place;
        if allow.is_empty() || !blocked {
            self.wrong(place, "'acl' does not say who may ask and who may not", like);
            return;
        }
        site.settings.allow = Some(Set { value: allow, place });
    }

    fn networks(&mut self, networks: &[Token]) -> Vec<IpNet> {
        let read = networks.iter().filter_map(|word| self.word(word, |w| words::network("", w)));
        read.collect()
    }
}
