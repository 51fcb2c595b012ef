//! Scenarios with a history, by chance: few names, few types and plain
//! replies, so that the question that is judged has often been asked before,
//! or one beside it, and clusters that are often missing then.

use crate::generate::{prefix, reply, settings, suffix};
use crate::labels::Labels;
use crate::pack::Packing;
use crate::scenario::{Asks, Data, Item, Place, Reply, Scenario, Script, Settings, Step};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// K3's list more often than the rest.
const TYPES: [u16; 16] = [1, 1, 1, 1, 28, 28, 28, 33, 33, 16, 16, 65, 64, 2, 15, 5];

/// Seconds, on both sides of every bound there is.
const PAUSES: [u64; 12] = [1, 3, 10, 40, 100, 200, 280, 320, 1000, 3000, 4000, 50_000];

fn host() -> impl Strategy<Value = Place> {
    prop_oneof![4 => (0..3usize).prop_map(Place::Host), 1 => (0..3usize).prop_map(Place::Service)]
}

fn ttl() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![30, 30, 30, 3, 300])
}

fn plain(ttl: u32, number: u8, target: Place, more: u8) -> Data {
    Data { ttl, number, names: [target.clone(), target], bulk: 0, more }
}

/// What a healthy cluster says.
fn has_it() -> impl Strategy<Value = Vec<Vec<Item>>> {
    let data = (ttl(), 0..4u8, host(), 0..3u8);
    let beside = vec((any::<bool>(), 0..4u8), 0..3);
    (data, beside, any::<bool>()).prop_map(|((ttl, number, target, more), beside, alias)| {
        let own = plain(ttl, number, target.clone(), more);
        let answer = if alias && beside.is_empty() {
            let places = vec![Place::Asked, target.clone()];
            Item::Chain { places, data: Some(own), ttl, backwards: false }
        } else {
            Item::Data(Place::Asked, own)
        };
        let address = |(six, number): (bool, u8)| {
            let data = plain(ttl, number, Place::Root, 0);
            Item::Other(target.clone(), if six { 28 } else { 1 }, data)
        };
        vec![vec![answer], vec![], beside.into_iter().map(address).collect()]
    })
}

fn has_nothing() -> impl Strategy<Value = Vec<Vec<Item>>> {
    option::of((ttl(), 0..40u8)).prop_map(|soa| {
        let soa = soa
            .map(|(ttl, minimum)| Item::Other(Place::Apex, 6, plain(ttl, minimum, Place::Apex, 0)));
        vec![vec![], soa.into_iter().collect(), vec![]]
    })
}

fn simple() -> impl Strategy<Value = Reply> {
    let body = prop_oneof![
        6 => has_it().prop_map(|sections| (false, sections)),
        2 => has_nothing().prop_map(|sections| (false, sections)),
        3 => has_nothing().prop_map(|sections| (true, sections)),
    ];
    let flags = (prop::bool::weighted(0.8), prop::bool::weighted(0.1));
    (body, flags).prop_map(|((nxdomain, mut sections), (aa, cut))| Reply {
        nxdomain,
        aa,
        ra: !aa,
        cut,
        additional: sections.pop().unwrap(),
        authority: sections.pop().unwrap(),
        answer: sections.pop().unwrap(),
        packing: Packing::Rules,
    })
}

fn answering() -> impl Strategy<Value = Script> {
    prop_oneof![
        10 => simple().prop_map(Script::Reply),
        1 => reply().prop_map(Script::Reply),
    ]
}

fn missing() -> impl Strategy<Value = Script> {
    prop_oneof![Just(Script::Silent), prop::sample::select(vec![2u16, 5]).prop_map(Script::Rcode)]
}

fn asks() -> impl Strategy<Value = Asks> {
    let name = (
        prop_oneof![3 => Just(0), 1 => Just(1usize)],
        option::weighted(0.35, 0..3usize),
        option::weighted(0.95, 0..3usize),
        prop::bool::weighted(0.1),
    );
    let flags = (any::<bool>(), prop::bool::weighted(0.2), prop::bool::weighted(0.15));
    (name, prop::sample::select(TYPES.to_vec()), flags).prop_map(
        |((underscores, prefix, host, flipped), rtype, (rd, cd, tcp))| Asks {
            underscores,
            prefix,
            host,
            flipped,
            rtype,
            id: 7,
            rd,
            cd,
            edns: Some((1232, false)),
            tcp,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let script = || prop_oneof![8 => answering(), 1 => missing()];
    let pause = prop::sample::select(PAUSES.to_vec());
    (asks(), vec([script(), script()], 1..=3), pause).prop_map(|(asks, scripts, pause)| Step {
        asks,
        scripts,
        pause,
    })
}

fn keeping() -> impl Strategy<Value = Settings> {
    let rare = || prop::bool::weighted(0.08);
    let keep_for = option::weighted(0.2, prop::sample::select(vec![600u64, 3600, 7200]));
    let keep_on_empty = prop_oneof![6 => Just(0u64), 1 => prop::sample::select(vec![60u64, 600])];
    (settings(), rare(), rare(), any::<bool>(), keep_for, keep_on_empty).prop_map(
        |(settings, fail, partial, cache, keep_for, keep_on_empty)| Settings {
            fail,
            partial,
            empty: false,
            payload: 1232,
            cache,
            keep_for,
            keep_on_empty,
            ..settings
        },
    )
}

/// `a-b` is what `b` with the prefix `a-` is, and `b` is above `x.b`.
fn hosts() -> impl Strategy<Value = Vec<Labels>> {
    let host = prop::sample::select(vec!["b", "a-b", "web.b", "c", "x.web.b"]);
    let spelled =
        |host: &str| Labels(host.split('.').map(|label| label.as_bytes().to_vec()).collect());
    vec(host.prop_map(spelled), 3)
}

/// Any scenario with a history.
pub fn scenario() -> impl Strategy<Value = Scenario> {
    let zone = "distributed.local".split('.').map(|label| label.as_bytes().to_vec());
    let zone = Labels(zone.collect());
    let usual = prop::sample::select(vec!["a-", "b-", "c-"]);
    let prefix = prop_oneof![
        6 => usual.prop_map(|prefix| prefix.as_bytes().to_vec()),
        1 => prefix(),
    ];
    let script = || prop_oneof![3 => answering(), 4 => missing()];
    (
        vec((suffix(), prefix), 1..=3),
        hosts(),
        asks(),
        keeping(),
        vec([script(), script()], 1..=3),
        vec(any::<u8>(), 3),
        vec(step(), 1..=6),
    )
        .prop_map(move |(clusters, hosts, asks, settings, scripts, order, mut history)| {
            if let (true, Some(last)) = (settings.cache, history.last_mut()) {
                // Failures are remembered for half a minute at most (U5).
                last.pause = last.pause.max(40);
            }
            Scenario {
                zone: zone.clone(),
                clusters,
                hosts,
                asks,
                settings,
                scripts,
                order,
                history,
            }
        })
        .prop_filter("a configuration that is refused", super::drive::makes_sense)
}
