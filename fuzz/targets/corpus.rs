//! The seeds of the corpus, made and not found: one of each kind of thing a
//! target takes apart, small enough to be read. `cargo test --test
//! fuzz_bounded` holds `fuzz/corpus/` against them.

use super::cluster_reply::{NAMES, TYPES};
use super::common::text::{Question, Reply, record};
use domain::base::iana::{Class, Rtype};

/// Name and octets of each seed of a target.
pub fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    match target {
        "client_packet" => client_packets(),
        "cluster_reply" => cluster_replies(),
        "tcp_frames" => streams(),
        "engine_ops" => operations(),
        "liar" => lies(),
        _ => Vec::new(),
    }
}

fn named(name: &str, octets: Vec<u8>) -> (String, Vec<u8>) {
    (name.to_string(), octets)
}

/// Question, type, way; then for each question that a is asked: rcode, number of
/// records, and each as section and TTL, owner, target, type.
fn lies() -> Vec<(String, Vec<u8>)> {
    vec![
        // web.z. A: a CNAME to web.kb., and its address.
        named("chain", vec![0, 0, 0, 0, 2, 0, 0, 5, 3, 0, 5, 0, 0]),
        // _t._tcp.web.z. SRV: addresses of pod.kb. and b-pod.z. beside its own.
        named("beside", vec![1, 2, 0, 0, 4, 0, 0, 2, 2, 2, 2, 0, 0, 2, 6, 0, 0, 2, 13, 0, 0]),
        // web.z. A: DNAMEs of the world beside a chain out of it.
        named(
            "dnames",
            vec![0, 0, 0, 0, 5, 0, 0, 18, 3, 0, 20, 19, 4, 0, 9, 19, 4, 0, 19, 17, 4, 0, 18, 0, 0],
        ),
        // www.example. A of the forward: a name of the zone, with an address.
        named("forward", vec![6, 0, 2, 0, 2, 0, 0, 13, 3, 4, 13, 0, 0]),
        named("prefixed", vec![3, 0, 0]),
        named("elsewhere", vec![0, 6, 1, 0, 3, 0, 15, 0, 6, 0, 16, 0, 6, 2, 14, 0, 7]),
    ]
}

fn client_packets() -> Vec<(String, Vec<u8>)> {
    let srv = Question::new(NAMES[0], Rtype::SRV);
    let plain = srv.packet();
    let edns = Question { edns: Some(1232), rd: true, dnssec_ok: true, ..srv.clone() }.packet();
    let mut list = vec![
        named("srv", plain.clone()),
        named("srv-edns", edns.clone()),
        named("prefixed", Question::new("a-web.distributed.local.", Rtype::A).packet()),
        named("apex-soa", Question::new("distributed.local.", Rtype::SOA).packet()),
        named("any", Question::new("web.distributed.local.", Rtype::ANY).packet()),
        named("axfr", Question::new("distributed.local.", Rtype::AXFR).packet()),
        named("outside", Question::new("www.example.org.", Rtype::HTTPS).packet()),
        named("root", Question::new(".", Rtype::NS).packet()),
        named("chaos", Question { class: Class::CH, ..srv.clone() }.packet()),
        named("version-1", Question { edns: Some(0), version: 1, ..srv.clone() }.packet()),
    ];
    // A cookie in the OPT record.
    let mut cookie = edns.clone();
    let rdlength = cookie.len() - 2;
    cookie.truncate(rdlength);
    cookie.extend(b"\0\x0C\0\x0A\0\x08COOKIES!");
    list.push(named("cookie", cookie));
    let mut twice = edns.clone();
    twice.extend_from_slice(&edns[plain.len()..]);
    twice[11] = 2;
    list.push(named("opt-twice", twice));
    let mut notify = plain.clone();
    notify[2] = 4 << 3;
    list.push(named("notify", notify));
    let mut response = plain.clone();
    response[2] |= 0x80;
    list.push(named("response", response));
    // Names at their limits, and one that points at itself.
    let header = &plain[..12];
    let labels = |label: u8, count| {
        let mut name = Vec::new();
        for _ in 0..count {
            name.push(label);
            name.extend(vec![b'x'; usize::from(label)]);
        }
        name
    };
    let zone = b"\x0bdistributed\x05local\0\0\x01\0\x01";
    list.push(named(
        "long-labels",
        [header, &labels(61, 3)[..], b"\x2dyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", zone]
            .concat(),
    ));
    list.push(named("many-labels", [header, &labels(1, 118)[..], zone].concat()));
    list.push(named("pointer", [header, &b"\xC0\x0C\0\x01\0\x01"[..]].concat()));
    list.push(named("header-only", header.to_vec()));
    list
}

/// The counts and records of a reply, as `cluster_reply` wants them: made for
/// a question of this name, so that pointers in them are right.
fn body(asked: &str, lines: [&[&str]; 3]) -> Vec<u8> {
    let query = Question::new(asked, Rtype::A).packet();
    let sections = lines.map(|lines| lines.iter().map(|line| line.to_string()).collect());
    let whole = Reply { aa: true, sections, ..Reply::default() }.to(&query);
    let mut out = vec![0, whole[2], whole[3], whole[7], whole[9], whole[11]];
    let records = &whole[query.len()..];
    out.extend((records.len() as u16).to_be_bytes());
    out.extend(records);
    out
}

fn reply_seed(name: usize, rtype: Rtype, how: u8, bodies: &[Vec<u8>]) -> Vec<u8> {
    let rtype = TYPES.iter().position(|&known| known == rtype).unwrap_or(0);
    let mut out = vec![name as u8, rtype as u8, how];
    out.extend(bodies.concat());
    out
}

const SERVICE: [&str; 2] =
    ["_mongodb._tcp.db.cluster-a.local.", "_mongodb._tcp.db.cluster-b.local."];

fn cluster_replies() -> Vec<(String, Vec<u8>)> {
    let srv = |n: usize| {
        let suffix = ["cluster-a.local.", "cluster-b.local."][n];
        let lines = |k: usize| format!("{} 30 IN SRV 0 50 27017 m-{k}.db.{suffix}", SERVICE[n]);
        let address = |k: usize| format!("m-{k}.db.{suffix} 30 IN A 10.{n}.0.{k}");
        let (a, b) = ((lines(0), lines(1)), (address(0), address(1)));
        body(SERVICE[n], [&[&a.0, &a.1], &[], &[&b.0, &b.1]])
    };
    // Answers that do not fit: at each size, the cut falls elsewhere (T1).
    let many = |n: usize, count: usize| {
        let suffix = ["cluster-a.local.", "cluster-b.local."][n];
        let target = |k: usize| format!("{}.db.{suffix}", "m".repeat(k + 1));
        let lines = |make: &dyn Fn(usize) -> String| (0..count).map(make).collect::<Vec<_>>();
        let services = lines(&|k| format!("{} 30 IN SRV 0 50 27017 {}", SERVICE[n], target(k)));
        let hosts = lines(&|k| format!("{} 30 IN A 10.{n}.0.{k}", target(k)));
        let services: Vec<&str> = services.iter().map(String::as_str).collect();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        body(SERVICE[n], [&services, &[], &hosts])
    };
    let own = "web.cluster-a.local.";
    let mut list = vec![
        named("srv", reply_seed(0, Rtype::SRV, 3, &[srv(0), srv(1)])),
        named("srv-512", reply_seed(0, Rtype::SRV, 0, &[srv(0), srv(1)])),
        named("srv-three", reply_seed(0, Rtype::SRV, 0x1B, &[srv(0), srv(1), srv(1)])),
    ];
    for (size, octets) in ["512", "edns-512", "edns-700", "edns-1232"].iter().enumerate() {
        for count in [4, 8, 12] {
            let seed = reply_seed(0, Rtype::SRV, size as u8, &[many(0, count), many(1, count)]);
            list.push(named(&format!("srv-{count}-{octets}"), seed));
        }
    }
    let negative = "cluster-a.local. 30 IN SOA ns.cluster-a.local. h.cluster-a.local. 1 2 3 4 5";
    let nodata = body(own, [&[], &[negative], &[]]);
    let mut nxdomain = nodata.clone();
    nxdomain[2] = 3;
    list.push(named("nodata", reply_seed(1, Rtype::A, 1, &[nodata.clone(), nxdomain.clone()])));
    list.push(named(
        "second-round",
        reply_seed(2, Rtype::A, 1, &[nxdomain.clone(), nodata.clone(), nxdomain]),
    ));
    let mut truncated = nodata;
    truncated[1] |= 2;
    list.push(named("truncated", reply_seed(1, Rtype::A, 1, &[truncated.clone(), truncated])));
    for (name, line) in [
        ("a", "web.cluster-a.local. 30 IN A 10.0.0.1"),
        ("aaaa", "web.cluster-a.local. 30 IN AAAA 2001:db8::1"),
        ("txt", "web.cluster-a.local. 30 IN TXT \"one\" \"two\""),
        ("mx", "web.cluster-a.local. 30 IN MX 10 mail.cluster-a.local."),
        (
            "naptr",
            "web.cluster-a.local. 30 IN NAPTR 1 2 \"S\" \"SIP+D2U\" \"\" sip.cluster-a.local.",
        ),
        ("https", "web.cluster-a.local. 30 IN HTTPS 1 w.cluster-a.local. alpn=h2"),
        ("soa", negative),
        ("ptr", "web.cluster-a.local. 30 IN PTR p.cluster-a.local."),
        ("dname", "cluster-a.local. 30 IN DNAME else.cluster-a.local."),
        ("rp", "web.cluster-a.local. 30 IN TYPE17 \\# 6 016100016200"),
        ("minfo", "web.cluster-a.local. 30 IN MINFO a.cluster-a.local. b.example."),
        ("px", "web.cluster-a.local. 30 IN TYPE26 \\# 8 0001016100016200"),
        ("unknown", "web.cluster-a.local. 30 IN TYPE65280 \\# 3 010203"),
    ] {
        let rtype = record(line).rtype();
        let bodies = [body(own, [&[line], &[], &[]]), body(own, [&[line], &[], &[]])];
        list.push(named(name, reply_seed(1, rtype, 3, &bodies)));
    }
    let chain = [
        "web.cluster-a.local. 30 IN CNAME x.cluster-a.local.",
        "x.cluster-a.local. 20 IN CNAME y.cluster-a.local.",
        "y.cluster-a.local. 10 IN A 10.0.0.7",
    ];
    let circle = [
        "web.cluster-a.local. 30 IN CNAME x.cluster-a.local.",
        "x.cluster-a.local. 30 IN CNAME web.cluster-a.local.",
    ];
    let bodies = [body(own, [&chain, &[], &[]]), body(own, [&circle, &[], &[]])];
    list.push(named("chains", reply_seed(1, Rtype::A, 3, &bodies)));
    let outside = body(
        "www.example.org.",
        [&["www.example.org. 30 IN A 192.0.2.1"], &[], &["ns.example.org. 30 IN A 192.0.2.2"]],
    );
    list.push(named("relayed", reply_seed(5, Rtype::A, 0, &[outside])));
    // As it came, ID apart: FORMERR with a header alone, then rubbish.
    let raw = |octets: &[u8]| [&[0x80, 0, octets.len() as u8][..], octets].concat();
    list.push(named(
        "header-only",
        reply_seed(1, Rtype::A, 0, &[raw(&[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0]), raw(b"rubbish")]),
    ));
    list
}

fn streams() -> Vec<(String, Vec<u8>)> {
    let frame = |octets: &[u8]| [&(octets.len() as u16).to_be_bytes()[..], octets].concat();
    let query = frame(&Question::new(NAMES[1], Rtype::A).packet());
    let all = |sizes: [u8; 8], frames: &[Vec<u8>]| [&sizes[..], &frames.concat()[..]].concat();
    vec![
        named("octet-by-octet", all([0; 8], &[query.clone(), query.clone()])),
        named("at-once", all([255; 8], &[query.clone(), frame(b""), query.clone()])),
        named("half", all([1, 2, 3, 5, 8, 13, 21, 34], &[query.clone(), query[..9].to_vec()])),
        named("long", all([200; 8], &[frame(&[7; 700]), vec![0xFF, 0xFF, 1]])),
    ]
}

fn operations() -> Vec<(String, Vec<u8>)> {
    let many: Vec<u8> = (0..40).flat_map(|n| [0, n, 6, 0, n]).collect();
    let answers: Vec<u8> = (0..60).flat_map(|n| [2, n, n]).collect();
    vec![
        named("one", vec![0, 0, 8, 2, 0, 2, 2, 1, 3]),
        named("silence", vec![0, 0, 0, 6, 255, 255]),
        named("second-round", vec![0, 0, 1, 2, 0, 0xE3, 2, 0, 2, 2, 1, 3]),
        named("truncated", vec![0, 0, 0, 2, 0, 0xC1, 2, 0, 31, 2, 2, 0xC0, 2, 0, 31]),
        named(
            "bad-then-good",
            vec![0, 0, 0, 4, 0, 2, 0, 1, 0, 4, 1, 2, 14, 1, 0, 2, 0, 1, 2, 1, 1, 5, 0, 5, 200],
        ),
        named("servers", vec![2, 0, 0, 7, 0, 2, 0, 0xE2, 6, 200, 0, 7, 1, 7, 3, 2, 0, 3, 2, 1, 3]),
        named("new-plan", vec![0, 0, 0, 8, 2, 0, 1, 2, 0, 3, 2, 1, 3, 8, 3, 0, 2, 6, 255, 0]),
        named("crowd", [vec![2], many, answers].concat()),
    ]
}
