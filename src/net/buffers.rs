//! The system's limits on a listener's socket buffers. Small ones lose bursts of
//! queries before the daemon reads them, and answers before they are sent. The log
//! and `gathersrv check` name the limit to raise.

use crate::config::Settings;
use std::fs;

/// Octets that are enough: a quarter of what a listener asks for.
const ENOUGH: u64 = 1 << 20;

/// Numbers of the system, and what lies in such a buffer.
const LIMITS: [(&str, &str); 2] = [("rmem_max", "queries"), ("wmem_max", "answers")];

/// What would be better, if the plan is served to other hosts.
pub fn hint(settings: &Settings) -> Option<String> {
    let addresses = settings.listen.iter().chain(&settings.listen_tls);
    if addresses.map(|addr| addr.ip()).all(|ip| ip.is_loopback()) {
        return None;
    }
    let small = LIMITS.iter().filter_map(|(name, what)| {
        let text = fs::read_to_string(format!("/proc/sys/net/core/{name}")).ok()?;
        told(name, what, text.trim().parse().ok()?)
    });
    let small: Vec<String> = small.collect();
    (!small.is_empty()).then(|| {
        format!("{}; set it to 4194304 with sysctl, before the daemon starts", small.join(" and "))
    })
}

fn told(name: &str, what: &str, octets: u64) -> Option<String> {
    let text = format!("net.core.{name} is {octets}, which is little for bursts of {what}");
    (octets < ENOUGH).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_number_is_told_and_a_large_one_is_not() {
        let small = told("wmem_max", "answers", 212_992).unwrap();
        assert!(small.starts_with("net.core.wmem_max is 212992"), "{small}");
        assert_eq!(told("wmem_max", "answers", 4 << 20), None);
    }

    #[test]
    fn who_serves_this_host_alone_is_not_told() {
        let listen = vec!["127.0.0.1:53".parse().unwrap(), "[::1]:53".parse().unwrap()];
        assert_eq!(hint(&Settings { listen, ..Settings::default() }), None);
    }
}
