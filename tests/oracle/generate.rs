//! Scenarios by chance. Names come from small pools, so that clusters agree,
//! disagree and collide more often than they would by pure chance; sizes and
//! rare types get their share all the same.

use crate::labels::{Labels, MAX_LABEL};
use crate::pack::Packing;
use crate::scenario::{Asks, Data, Item, Place, Reply, Scenario, Script, Settings, Suffix};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// The gathered types with a rule of their own, some without, and old ones.
const TYPES: [u16; 28] = [
    33, 33, 33, 1, 1, 28, 5, 39, 12, 2, 15, 6, 35, 65, 64, 18, 17, 36, 16, 16, 65400, 7, 14, 21,
    26, 13, 3, 9,
];

fn label() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::sample::select(vec!["a", "b", "web", "Web", "a-b", "a-web", "_tcp", "x1"])
            .prop_map(|text| text.as_bytes().to_vec()),
        2 => vec(any::<u8>(), 1..6),
        1 => (prop::sample::select(vec![1, 50, 59, 60, 61, 62, MAX_LABEL]), any::<bool>())
            .prop_map(|(len, upper)| vec![if upper { b'Y' } else { b'y' }; len]),
    ]
}

fn front() -> impl Strategy<Value = Labels> {
    prop_oneof![
        10 => vec(label(), 1..4),
        1 => vec(label(), 1..10),
        1 => vec(prop::sample::select(vec![vec![b'q'], vec![b'Q']]), 90..127),
    ]
    .prop_map(|labels| Labels(labels).cut_to_fit())
}

pub fn zone() -> impl Strategy<Value = Labels> {
    let usual = prop::sample::select(vec!["distributed.local", "z", "Zone.example", "local"]);
    let usual = usual
        .prop_map(|name| Labels(name.split('.').map(|label| label.as_bytes().to_vec()).collect()));
    // `hostmaster` must fit in front of it.
    let any = vec(label(), 1..5).prop_map(|labels| {
        let mut name = Labels(labels);
        while name.len() > 244 {
            name.0.remove(0);
        }
        name
    });
    prop_oneof![4 => usual, 1 => any]
}

pub fn suffix() -> impl Strategy<Value = Suffix> {
    let own = prop::sample::select(vec![
        vec!["cluster", "local"],
        vec!["Cluster", "example"],
        vec!["k"],
        vec!["a-rather-long-suffix-of-a-cluster", "in-some-region", "example"],
    ]);
    let own = own.prop_map(|labels| {
        Suffix::Own(Labels(labels.into_iter().map(|label| label.as_bytes().to_vec()).collect()))
    });
    prop_oneof![
        6 => own,
        1 => vec(label(), 1..4).prop_map(|labels| Suffix::Own(Labels(labels))),
        3 => (0..5usize).prop_map(Suffix::Same),
        2 => (0..5usize, front()).prop_map(|(n, front)| Suffix::Under(n, front)),
        1 => (0..5usize).prop_map(Suffix::Above),
        1 => front().prop_map(Suffix::UnderZone),
        1 => Just(Suffix::AboveZone),
    ]
}

pub fn prefix() -> impl Strategy<Value = Vec<u8>> {
    let usual = prop::sample::select(vec!["a-", "b-", "A-b-", "a-b-c-", "c", "x1"]);
    prop_oneof![
        12 => usual.prop_map(|prefix| prefix.as_bytes().to_vec()),
        1 => (1..58usize).prop_map(|len| vec![b'p'; len]),
    ]
}

pub fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        4 => Just(Place::Asked),
        1 => Just(Place::AskedFlipped),
        8 => (0..4usize).prop_map(Place::Host),
        2 => (0..4usize).prop_map(Place::HostFlipped),
        2 => (0..4usize).prop_map(Place::Service),
        3 => (0..5usize, 0..4usize).prop_map(|(c, n)| Place::Theirs(c, n)),
        3 => (0..4usize).prop_map(Place::Outside),
        1 => (0..4usize).prop_map(Place::OutsideFlipped),
        1 => (0..4usize).prop_map(Place::Ours),
        1 => Just(Place::Apex),
        1 => Just(Place::Root),
    ]
}

fn owner() -> impl Strategy<Value = Place> {
    prop_oneof![4 => Just(Place::Asked), 1 => place()]
}

fn ttl() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![30, 30, 30, 0, 1, 4, 6, 300, 0x7FFF_FFFF, 0x8000_0000, u32::MAX])
}

pub fn data() -> impl Strategy<Value = Data> {
    let bulk = prop_oneof![6 => 0..8u16, 2 => 0..400u16, 1 => 0..3000u16];
    let more = prop_oneof![6 => Just(0), 3 => 0..4u8, 1 => 0..30u8];
    // Several of these are more than a message can have.
    let bulk = prop_oneof![99 => (bulk, more), 1 => (1000..2500u16, 20..30u8)];
    (ttl(), 0..4u8, place(), place(), bulk).prop_map(|(ttl, number, one, two, (bulk, more))| Data {
        ttl,
        number,
        names: [one, two],
        bulk,
        more,
    })
}

fn item() -> impl Strategy<Value = Item> {
    let chain = (vec(place(), 1..4), option::weighted(0.7, data()), ttl(), any::<bool>());
    let chain = chain.prop_map(|(mut places, data, ttl, backwards)| {
        places.insert(0, Place::Asked);
        Item::Chain { places, data, ttl, backwards }
    });
    // Into another cluster, where it goes on.
    let across = (vec(place(), 0..2), (0..5usize, 0..4usize), option::weighted(0.2, data()), ttl());
    let across = across.prop_map(|(mut places, (c, n), data, ttl)| {
        places.insert(0, Place::Asked);
        places.push(Place::Theirs(c, n));
        Item::Chain { places, data, ttl, backwards: false }
    });
    let other = prop_oneof![
        4 => prop::sample::select(TYPES.to_vec()),
        1 => prop::sample::select(vec![46u16, 47, 50, 43, 48]),
    ];
    prop_oneof![
        12 => (owner(), data()).prop_map(|(owner, data)| Item::Data(owner, data)),
        3 => chain,
        1 => across,
        2 => (owner(), other, data()).prop_map(|(owner, rtype, data)| Item::Other(owner, rtype, data)),
        1 => (owner(), data()).prop_map(|(owner, data)| Item::Other(owner, 39, data)),
        1 => (9..14u8, data()).prop_map(|(links, data)| Item::Long(links, data)),
        1 => (owner(), data()).prop_map(|(owner, data)| Item::Foreign(owner, data)),
    ]
}

fn additional() -> impl Strategy<Value = Item> {
    let rtype = prop::sample::select(vec![1u16, 1, 1, 28, 28, 16, 46]);
    (place(), rtype, data()).prop_map(|(owner, rtype, data)| Item::Other(owner, rtype, data))
}

fn authority() -> impl Strategy<Value = Item> {
    let rtype = prop::sample::select(vec![6u16, 6, 2, 1]);
    (place(), rtype, data()).prop_map(|(owner, rtype, data)| Item::Other(owner, rtype, data))
}

pub fn reply() -> impl Strategy<Value = Reply> {
    let packing = prop::sample::select(vec![
        Packing::Rules,
        Packing::None,
        Packing::Owners,
        Packing::Everything,
        Packing::Loose,
    ]);
    let answer = prop_oneof![5 => vec(item(), 1..4), 1 => Just(vec![])];
    let flags = (prop::bool::weighted(0.15), prop::bool::weighted(0.7), any::<bool>());
    let cut = prop::bool::weighted(0.05);
    let sections = (answer, vec(authority(), 0..2), vec(additional(), 0..5));
    let denial = (vec(authority(), 0..2), any::<bool>())
        .prop_map(|(authority, nxdomain)| (nxdomain, vec![], authority, vec![]));
    let full = (sections, flags.0).prop_map(|((answer, authority, additional), nxdomain)| {
        (nxdomain, answer, authority, additional)
    });
    let body = prop_oneof![4 => full, 2 => denial];
    (body, flags.1, flags.2, cut, packing).prop_map(
        |((nxdomain, answer, authority, additional), aa, ra, cut, packing)| Reply {
            nxdomain,
            aa,
            ra: ra && !aa,
            cut,
            answer,
            authority,
            additional,
            packing,
        },
    )
}

fn script() -> impl Strategy<Value = Script> {
    prop_oneof![
        16 => reply().prop_map(Script::Reply),
        1 => Just(Script::Silent),
        1 => prop::sample::select(vec![1u16, 2, 4, 5, 9]).prop_map(Script::Rcode),
    ]
}

pub fn asks() -> impl Strategy<Value = Asks> {
    let size = prop_oneof![
        6 => Just(1232u16),
        2 => 0..=4096u16,
        1 => 512..=700u16,
    ];
    let name = (
        0..3usize,
        option::weighted(0.4, 0..5usize),
        option::weighted(0.95, 0..4usize),
        prop::bool::weighted(0.2),
    );
    let rtype = prop_oneof![
        20 => prop::sample::select(TYPES.to_vec()),
        1 => Just(46u16),
    ];
    let edns = option::weighted(0.7, (size, any::<bool>()));
    let flags = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.25));
    (name, rtype, any::<u16>(), edns, flags).prop_map(
        |((underscores, prefix, host, flipped), rtype, id, edns, (rd, cd, tcp))| Asks {
            underscores,
            prefix,
            host,
            flipped,
            rtype,
            id,
            rd,
            cd,
            edns,
            tcp,
        },
    )
}

pub fn settings() -> impl Strategy<Value = Settings> {
    let payload = prop_oneof![4 => Just(1232u16), 1 => 512..=4096u16];
    let rare = || prop::bool::weighted(0.1);
    let min = prop_oneof![4 => Just(0usize), 1 => 1..4usize];
    (rare(), rare(), min, payload, rare()).prop_map(
        |(fail, empty, min_clusters, payload, forward)| Settings {
            fail,
            partial: false,
            empty,
            min_clusters,
            payload,
            forward,
            cache: false,
            keep_for: None,
            keep_on_empty: 0,
        },
    )
}

/// Any scenario.
pub fn scenario() -> impl Strategy<Value = Scenario> {
    (
        zone(),
        vec((suffix(), prefix()), 1..=5),
        vec(front(), 4),
        asks(),
        settings(),
        vec([script(), script()], 1..=5),
        vec(any::<u8>(), 5),
    )
        .prop_map(|(zone, clusters, hosts, asks, settings, scripts, order)| Scenario {
            zone,
            clusters,
            hosts,
            asks,
            settings,
            scripts,
            order,
            history: Vec::new(),
        })
        .prop_filter("a configuration that is refused", super::drive::makes_sense)
}
