//! Listeners that anybody may reach. Such a daemon answers strangers, and sends
//! large answers to whom they name as the sender; with a forward it is an open
//! resolver. The operator is told, unless a setting says who may ask, or how much
//! is answered.

use super::plan::{Forward, Settings};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Whether only a network of one's own can reach an address of this kind.
fn is_private(addr: IpAddr) -> bool {
    match addr.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || is_shared(v4)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// 100.64.0.0/10, which providers and clusters use inside (RFC 6598).
fn is_shared(v4: Ipv4Addr) -> bool {
    u32::from(v4) >> 22 == u32::from(Ipv4Addr::new(100, 64, 0, 0)) >> 22
}

/// Says which listener is open to anybody.
pub(super) fn check(settings: &Settings, forwards: &[Forward]) -> Option<String> {
    if !settings.allow.is_empty() || settings.answer_rate > 0 || settings.cookies_above > 0 {
        return None;
    }
    let is_open = |addr: &&SocketAddr| !is_private(addr.ip());
    // Over TLS nobody can name somebody else as the sender.
    let streams = if forwards.is_empty() { &[][..] } else { &settings.listen_tls[..] };
    let addr = settings.listen.iter().chain(streams).find(is_open)?;
    let reach = if addr.ip().is_unspecified() {
        "is every address of this host"
    } else {
        "is not an address of a private network"
    };
    let root = forwards.iter().find(|forward| forward.name.labels() == 0);
    let what = match root.or(forwards.first()) {
        Some(forward) if forward.name.labels() == 0 => {
            "with --forward . this is an open resolver".into()
        }
        Some(forward) => {
            format!("anybody may ask, also for {}, which is forwarded", forward.name)
        }
        None => "anybody may ask, and have answers sent to others".into(),
    };
    Some(format!(
        "{addr} {reach}: {what}; say who may ask with --allow (in a Corefile: acl), or bound what \
         strangers get with --rate-limit or --require-cookies-above"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::{Draft, ForwardDraft, Settings, ZoneDraft, build};

    fn told(listen: &str, settings: Settings, forward: bool) -> Vec<String> {
        let zone = ZoneDraft {
            place: String::new(),
            name: "z.".into(),
            clusters: vec![(String::new(), "k. a- 10.0.0.1".into())],
            behaviour: None,
        };
        let settings = Settings { listen: vec![listen.parse().unwrap()], ..settings };
        let forward = forward.then(|| ForwardDraft {
            place: String::new(),
            words: ". 10.0.0.53".into(),
            behaviour: None,
        });
        let forwards = forward.into_iter().collect();
        build(Draft { settings, zones: vec![zone], forwards }).unwrap().warnings
    }

    #[test]
    fn who_serves_the_world_is_told_and_who_serves_a_network_is_not() {
        for listen in ["0.0.0.0:53", "[::]:53", "192.0.2.1:53", "[2001:db8::1]:53"] {
            let told = told(listen, Settings::default(), false);
            assert_eq!(told.len(), 1, "{listen}");
            assert!(told[0].starts_with(listen) && told[0].contains("--allow"), "{told:?}");
            assert!(!told[0].contains("open resolver"), "{told:?}");
        }
        for listen in [
            "127.0.0.1:53",
            "10.1.2.3:53",
            "172.31.0.1:53",
            "192.168.1.1:53",
            "100.127.0.1:53",
            "169.254.20.10:53",
            "[::1]:53",
            "[fd00::1]:53",
            "[fe80::1]:53",
        ] {
            assert!(told(listen, Settings::default(), true).is_empty(), "{listen}");
        }
    }

    #[test]
    fn a_listener_for_tls_counts_where_it_makes_an_open_resolver() {
        let open =
            || Settings { listen_tls: vec!["0.0.0.0:853".parse().unwrap()], ..Settings::default() };
        let with_forward = told("127.0.0.1:53", open(), true);
        assert!(with_forward[0].starts_with("0.0.0.0:853 is every address"), "{with_forward:?}");
        assert!(told("127.0.0.1:53", open(), false).is_empty());
    }

    #[test]
    fn with_a_forward_it_is_called_an_open_resolver() {
        let told = told("0.0.0.0:53", Settings::default(), true);
        assert!(told[0].contains("open resolver"), "{told:?}");
    }

    #[test]
    fn who_has_said_who_may_ask_or_how_much_is_not_told() {
        let nets = vec!["0.0.0.0/0".parse().unwrap()];
        for settings in [
            Settings { allow: nets, ..Settings::default() },
            Settings { answer_rate: 1, ..Settings::default() },
            Settings { cookies_above: 1, ..Settings::default() },
        ] {
            assert!(told("0.0.0.0:53", settings, true).is_empty());
        }
    }
}
