//! IDs and sockets: how they are drawn, rest, and are replaced (U2).

use super::*;
use crate::engine::ids;
use rand::SeedableRng;
use std::net::SocketAddr;

const SLOT: Slot = Slot::Probe { server: 0 };

fn links() -> (Links, usize) {
    let mut links = Links::new(StdRng::seed_from_u64(1), RandomState::with_seeds(1, 2, 3, 4));
    let server = links.server(&"10.8.0.1:53".parse::<SocketAddr>().unwrap().into());
    (links, server)
}

#[test]
fn u2_an_id_is_taken_once_until_it_has_rested() {
    let (mut links, server) = links();
    let mut out = Outbox::default();
    let mut seen = std::collections::HashSet::new();
    let now = Time::from_micros(1);
    let all = LINKS_PER_SERVER * ids::ALL;
    let mut last = None;
    // More than a link's uses: its successors open, the old ones drain.
    while let Some((link, id)) = links.claim(now, server, Transport::Udp, SLOT, &mut out) {
        assert!(seen.insert((link, id)));
        last = Some((link, id));
        if seen.len() > all {
            break;
        }
    }
    assert!(seen.len() > all, "rotation makes room");
    let (link, id) = last.unwrap();
    links.release(now, link, id, &mut out);
    assert_eq!(links.find(link, id), None);
    links.release(now, link, id, &mut out);
    assert_eq!(links.in_flight(), seen.len() - 1);
}

#[test]
fn u2_when_every_id_is_taken_none_is_stolen() {
    let (mut links, server) = links();
    let mut out = Outbox::default();
    let now = Time::from_micros(1);
    links.claim(now, server, Transport::Tcp, SLOT, &mut out).unwrap();
    for _ in 1..ids::ALL {
        assert!(links.claim(now, server, Transport::Tcp, SLOT, &mut out).is_some());
    }
    assert_eq!(links.claim(now, server, Transport::Tcp, SLOT, &mut out), None);
}

#[test]
fn u2_links_are_replaced_after_half_of_their_ids_or_more() {
    let (mut links, server) = links();
    let mut out = Outbox::default();
    let now = Time::from_micros(1);
    // In one millisecond one link is used, as long as it lasts.
    let (first, _) = links.claim(now, server, Transport::Udp, SLOT, &mut out).unwrap();
    let mut uses = 1;
    while let Some((link, _)) = links.claim(now, server, Transport::Udp, SLOT, &mut out)
        && link == first
    {
        uses += 1;
    }
    assert!(USES.contains(&uses), "{uses}");
}

#[test]
fn u2_links_are_replaced_by_age_and_closed_when_drained() {
    let (mut links, server) = links();
    let mut out = Outbox::default();
    let (old, id) = links.claim(Time::default(), server, Transport::Udp, SLOT, &mut out).unwrap();
    let later = Time::from_micros(LIFETIME.end);
    let mut fresh = 0;
    for step in 0..100 {
        let now = later + Duration::from_millis(step);
        let (link, id) = links.claim(now, server, Transport::Udp, SLOT, &mut out).unwrap();
        assert_ne!(link, old);
        links.release(now, link, id, &mut out);
        fresh = out.opens.len();
    }
    assert_eq!(fresh, 1 + LINKS_PER_SERVER);
    assert!(out.closes.is_empty(), "a question is still in flight on the old link");
    assert_eq!(links.find(old, id), Some(SLOT));
    links.release(later, old, id, &mut out);
    assert_eq!(out.closes, [old]);
    assert_eq!(links.find(old, id), None);
}

#[test]
fn a_batch_leaves_through_one_socket_and_batches_through_several() {
    let (mut links, server) = links();
    let mut out = Outbox::default();
    let mut used = std::collections::HashSet::new();
    for batch in 0..50u64 {
        let now = Time::from_micros(batch * 1000);
        let (link, _) = links.claim(now, server, Transport::Udp, SLOT, &mut out).unwrap();
        for _ in 0..10 {
            let (other, _) = links.claim(now, server, Transport::Udp, SLOT, &mut out).unwrap();
            assert_eq!(other, link);
        }
        used.insert(link);
    }
    assert_eq!(used.len(), LINKS_PER_SERVER);
}
