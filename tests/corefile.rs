//! Corefiles: the published examples are served as flags would have it, wrong
//! ones are told line by line, and no text at all is too much for the reader.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

#[path = "../fuzz/targets/corefile.rs"]
mod promise;

use gathersrv::config::{Plan, Policy, Settings};
use gathersrv::corefile::{self, read_text};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corefile").join(name)
}

fn plans(name: &str) -> Vec<Plan> {
    match corefile::read(&here(name), &Settings::default()) {
        Ok(corefile) => corefile.plans,
        Err(mistakes) => panic!("{mistakes}"),
    }
}

/// What a plan serves, without where it listens.
fn served(plan: &Plan) -> Vec<String> {
    let mut plan = plan.clone();
    plan.settings.listen.clear();
    plan.summary()
}

#[test]
fn both_forms_of_the_published_example_are_what_flags_would_make() {
    let by_flags = served(&common::plan(&common::TWO));
    let classic = plans("seed.Corefile");
    assert_eq!(classic.len(), 2, "one for port 53, one for 5300");
    assert_eq!(served(&classic[0]), by_flags);
    let listen: Vec<String> = classic[0].settings.listen.iter().map(|a| a.to_string()).collect();
    assert_eq!(listen, ["0.0.0.0:53", "[::]:53"]);
    let forwards =
        ["forward cluster-a.local. to 10.8.0.1:53", "forward cluster-b.local. to 10.9.0.1:53"];
    assert_eq!(served(&classic[1]), forwards);

    let one = plans("one-block.Corefile");
    assert_eq!(one.len(), 1);
    assert_eq!(served(&one[0]), [&by_flags[..], &forwards.map(String::from)[..]].concat());
}

#[test]
fn what_is_added_here_is_in_the_plan() {
    let all = plans("own.Corefile");
    let [secure, plan] = &all[..] else { panic!("{} plans", all.len()) };
    let over_tls = [
        ["--listen-tls", "127.0.0.1:853"],
        ["--tls-cert", "/etc/own.pem"],
        ["--tls-key", "/etc/own.key"],
        ["--zone", "distributed.local."],
        ["--cluster", "cluster.local. a- 10.8.0.1"],
    ];
    let over_tls = common::plan(over_tls.as_flattened());
    assert_eq!(secure.summary(), over_tls.summary());
    assert_eq!(secure.settings.identity, over_tls.settings.identity);
    let shared = [
        ["--cache", "500"],
        ["--keep", "10000"],
        ["--max-fails", "3"],
        ["--max-queries", "1000"],
        ["--max-udp-payload", "1400"],
        ["--query-log", "1"],
        ["--dnstap", "tcp:127.0.0.1:6000"],
        ["--listen", "127.0.0.1:1053"],
        ["--listen", "[::1]:1053"],
        ["--zone", "distributed.local."],
        ["--allow", "10.0.0.0/8"],
        ["--allow", "127.0.0.0/8"],
        ["--allow", "::1"],
        ["--cluster", "cluster.local. a- 10.8.0.1 10.8.0.2:5353 case=random"],
        ["--cluster", "cluster.local. b- [2001:db8::1]:53"],
        ["--zone", "Other.local."],
        ["--cluster", "cluster.local. c- tls://10.10.0.1#dns.c.example ca=/etc/c.pem"],
        [
            "--cluster",
            "secure.local. d- tls://10.11.0.1#dns.secure.example \
             tls://10.11.0.2:8853#dns.secure.example ca=/etc/secure.pem",
        ],
        ["--forward", ". 192.0.2.53 192.0.2.54"],
    ];
    let by_flags = |more: &[&'static str]| common::plan(&[shared.as_flattened(), more].concat());
    assert_eq!(plan.summary(), by_flags(&[]).summary());
    assert_eq!(plan.servers, by_flags(&[]).servers);
    let admin: Vec<String> = plan.settings.admin.iter().map(|at| at.to_string()).collect();
    let wanted = [
        "admin on 127.0.0.1:9154",
        "health and readiness on [::]:8080",
        "health and readiness on [::1]:8181",
    ];
    assert_eq!(admin, wanted);
    assert_eq!(plan.settings.lame_duck, Duration::from_secs(5));
    assert_eq!(plan.settings.allow, by_flags(&[]).settings.allow);
    let taps = |plan: &Plan| (plan.settings.query_log, plan.settings.dnstap.clone());
    assert_eq!(taps(plan), taps(&by_flags(&[])));
    assert_eq!(taps(secure), (None, None), "another block");
    assert!(plan.zones[0].clusters[0].random_case && !plan.zones[0].clusters[1].random_case);
    let block = ["--cache-for", "60s", "--keep-for", "2h"];
    let zone = [
        "--deadline",
        "700ms",
        "--on-missing",
        "partial",
        "--min-clusters",
        "1",
        "--keep-on-empty",
        "30s",
    ];
    let first = by_flags(&[&block[..], &zone].concat());
    assert_eq!(plan.zones[0].behaviour, first.zones[0].behaviour);
    assert_eq!(plan.zones[1].behaviour, by_flags(&block).zones[1].behaviour);
    let forward = by_flags(&["--deadline", "2s", "--policy", "round-robin"]);
    let mut own = plan.forwards[0].behaviour.clone();
    assert_eq!(own.cache_for, Duration::ZERO, "it says nothing of a cache");
    own.cache_for = forward.forwards[0].behaviour.cache_for;
    assert_eq!(own, forward.forwards[0].behaviour);
    for (ours, theirs) in [
        (plan.settings.cache, first.settings.cache),
        (plan.settings.max_queries, first.settings.max_queries),
        (plan.settings.max_fails as usize, first.settings.max_fails as usize),
        (plan.settings.max_udp_payload.into(), first.settings.max_udp_payload.into()),
    ] {
        assert_eq!(ours, theirs);
    }
}

/// The parts of a case: its title, the file, and what is said of it.
fn cases(text: &str) -> Vec<(String, String, String)> {
    let cases = text.split("====\n").filter(|case| !case.trim().is_empty()).map(|case| {
        let (title, rest) = case.split_once('\n').expect("a title");
        let (file, told) = rest.split_once("----\n").expect("what is said");
        (title.to_string(), file.to_string(), told.to_string())
    });
    cases.collect()
}

/// `GATHERSRV_WRITE=1` writes down what is said now, to be read before it is
/// kept.
#[test]
fn every_mistake_is_told_with_its_line() {
    let text = std::fs::read_to_string(here("wrong.txt")).unwrap();
    let cases = cases(&text);
    assert!(cases.len() >= 40);
    let mut written = String::new();
    for (title, file, told) in &cases {
        let mistakes = match read_text("Corefile", file, &Settings::default()) {
            Ok(_) => panic!("{title}: no mistake is found"),
            Err(mistakes) => format!("{mistakes}\n"),
        };
        written += &format!("{title}\n{file}----\n{mistakes}====\n");
        if std::env::var_os("GATHERSRV_WRITE").is_none() {
            assert_eq!(&mistakes, told, "{title}");
        }
    }
    if std::env::var_os("GATHERSRV_WRITE").is_some() {
        std::fs::write(here("wrong.txt"), written).unwrap();
    }
}

/// All that a plan means, and what there is to say of it.
fn told(plan: &Plan) -> String {
    let settings = &plan.settings;
    let mut lines = [plan.summary(), plan.policies()].concat();
    let listen = [&settings.listen[..], &settings.listen_tls].concat();
    let listen: Vec<String> = listen.iter().map(|addr| addr.to_string()).collect();
    lines.insert(0, format!("listen: {}", listen.join(" ")));
    lines.extend(settings.admin.iter().map(|at| at.to_string()));
    let mut add = |what: &str, value: String| lines.push(format!("{what}: {value}"));
    add("room", format!("{} answers, {} questions", settings.cache, settings.keep));
    let per_client = (settings.max_queries_per_client, settings.max_tcp_per_client);
    add("of one client", format!("{} queries, {} connections", per_client.0, per_client.1));
    add("connections", settings.max_tcp.to_string());
    add("incomplete answers last", format!("{} s", settings.incomplete_ttl));
    add("longest deadline", format!("{:?}", plan.longest_deadline()));
    if settings.lame_duck > Duration::ZERO {
        add("lame duck", format!("{:?}", settings.lame_duck));
    }
    if let Some(identity) = &settings.identity {
        let (cert, key) = (identity.cert.display(), identity.key.display());
        add("certificate and key", format!("{cert} {key}"));
    }
    for server in plan.servers.iter().filter(|server| server.tls.is_some()) {
        add("over TLS", format!("{:?}", server.tls.as_ref().unwrap()));
    }
    if let Some(sample) = settings.query_log {
        add("logged is one query of", sample.to_string());
    }
    if let Some(endpoint) = &settings.dnstap {
        add("copies go to", format!("{endpoint:?}"));
    }
    for zone in &plan.zones {
        for cluster in zone.clusters.iter().filter(|cluster| cluster.random_case) {
            add("random case", cluster.label.clone());
        }
    }
    // That strangers reach it is true of most of these.
    let warnings = plan.warnings.iter().filter(|warning| !warning.contains("anybody may ask"));
    lines.extend(warnings.map(|warning| format!("warning: {warning}")));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// `GATHERSRV_WRITE=1` writes down what is served now, to be read before it is
/// kept.
#[test]
fn every_directive_means_what_it_says() {
    let text = std::fs::read_to_string(here("right.txt")).unwrap();
    let mut written = String::new();
    for (title, file, expected) in &cases(&text) {
        let plans = match read_text("Corefile", file, &Settings::default()) {
            Ok(corefile) => corefile.plans,
            Err(mistakes) => panic!("{title}: {mistakes}"),
        };
        let got = plans.iter().map(told).collect::<Vec<_>>().join("\n");
        written += &format!("{title}\n{file}----\n{got}====\n");
        if std::env::var_os("GATHERSRV_WRITE").is_none() {
            assert_eq!(&got, expected, "{title}");
        }
    }
    if std::env::var_os("GATHERSRV_WRITE").is_some() {
        std::fs::write(here("right.txt"), written).unwrap();
    }
}

#[test]
fn imports_that_multiply_took_for_ever() {
    let mut text = String::from("(a0) {\n}\n");
    for n in 1..15 {
        text += &format!("(a{n}) {{\n{}}}\n", format!("import a{}\n", n - 1).repeat(8));
    }
    text += "z. {\nimport a14\n}\n";
    let told = read_text("Corefile", &text, &Settings::default()).map(|_| ()).unwrap_err();
    assert!(told.to_string().contains("there are too many imports"), "{told}");
}

#[test]
fn snippets_go_sixteen_deep_and_a_suffix_through_eight_blocks() {
    let nested = |deep: usize| {
        let mut text = String::from("(a1) {\n  forward . 10.8.0.1\n}\n");
        for n in 2..=deep {
            text += &format!("(a{n}) {{\n  import a{}\n}}\n", n - 1);
        }
        text + &format!("z. {{\n  import a{deep}\n}}\n")
    };
    let followed = |blocks: u16| {
        let mut text = String::from("z.:5300 {\n  gathersrv z. {\n    k. a-\n  }\n");
        for n in 1..blocks {
            let port = 5300 + n;
            text += &format!("  forward k. 127.0.0.1:{port}\n}}\nk.:{port} {{\n");
        }
        text + "  forward k. 10.8.0.1\n}\n"
    };
    let read = |text: &str| {
        let read = read_text("Corefile", text, &Settings::default());
        read.map(drop).map_err(|mistakes| mistakes.to_string())
    };
    assert_eq!(read(&nested(16)), Ok(()));
    let told = read(&nested(17)).unwrap_err();
    assert!(told.contains("imports go too deep"), "{told}");
    assert_eq!(read(&followed(8)), Ok(()));
    let told = read(&followed(9)).unwrap_err();
    assert!(told.contains("go round in a circle"), "{told}");
}

#[test]
fn a_configuration_has_fewer_than_ten_thousand_imports() {
    let read = |imports: usize| {
        let many = "  import a\n".repeat(imports);
        let text = format!("(a) {{\n  errors\n}}\nz. {{\n{many}  forward . 10.8.0.1\n}}\n");
        read_text("Corefile", &text, &Settings::default()).is_ok()
    };
    assert_eq!([9_999, 10_000].map(read), [true, false]);
}

#[test]
fn a_file_that_imports_itself_is_told_once() {
    let directory = std::env::temp_dir().join(format!("gathersrv-itself-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("Corefile");
    std::fs::write(&file, "z. {\n  import other.conf\n  forward . 10.8.0.1\n}\n").unwrap();
    std::fs::write(directory.join("other.conf"), "cache\nimport other.conf\n").unwrap();
    let told = corefile::read(&file, &Settings::default()).map(drop).unwrap_err().to_string();
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(told.contains("other.conf:2:8: the file "), "{told}");
    assert!(told.contains("other.conf' imports itself"), "{told}");
    assert!(told.ends_with("\n1 mistake; nothing is served"), "{told}");
}

#[test]
fn an_imported_file_is_marked_by_its_own_name() {
    let directory = std::env::temp_dir().join(format!("gathersrv-corefile-{}", std::process::id()));
    std::fs::create_dir_all(directory.join("zones")).unwrap();
    std::fs::write(directory.join("Corefile"), "import zones/*.conf\n").unwrap();
    std::fs::write(directory.join("zones/a.conf"), "a. {\n  forward . 10.8.0.1\n}\n").unwrap();
    std::fs::write(directory.join("zones/b.conf"), "b. {\n  forwart . 10.8.0.1\n}\n").unwrap();
    let told = corefile::read(&directory.join("Corefile"), &Settings::default());
    let told = told.map(|_| ()).unwrap_err().to_string();
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(told.contains("zones/b.conf:2:3: there is no directive 'forwart'"), "{told}");
    assert!(told.contains("did you mean 'forward'?"), "{told}");
}

#[test]
fn a_file_may_be_imported_by_several_blocks() {
    let directory = std::env::temp_dir().join(format!("gathersrv-twice-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("up.conf"), "forward . 10.8.0.1\n").unwrap();
    let text = "y. {\n  import up.conf\n}\nz. {\n  import up.conf\n}\n";
    std::fs::write(directory.join("Corefile"), text).unwrap();
    let read = corefile::read(&directory.join("Corefile"), &Settings::default());
    std::fs::remove_dir_all(&directory).unwrap();
    let plans = read.map_err(|mistakes| mistakes.to_string()).unwrap().plans;
    let told: Vec<String> = plans.iter().flat_map(served).collect();
    assert_eq!(told, ["forward y. to 10.8.0.1:53", "forward z. to 10.8.0.1:53"]);
}

#[test]
fn a_forwards_servers_may_stand_in_a_file_that_names_some() {
    let directory = std::env::temp_dir().join(format!("gathersrv-resolv-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (file, resolv) = (directory.join("Corefile"), directory.join("resolv.conf"));
    std::fs::write(&file, format!("z. {{\n  forward . {}\n}}\n", resolv.display())).unwrap();
    let read = |text: &str| {
        std::fs::write(&resolv, text).unwrap();
        corefile::read(&file, &Settings::default())
    };
    let some = read(
        "# a comment\nsearch example.\n  nameserver 192.0.2.1\nnameserver\nnameserver x\n\
         nameserver 2001:db8::1 # the second\n",
    );
    let some = some.unwrap().plans.remove(0);
    let none = ["", "search example.\n", "nameserver\n", "nameserver dns.example\n"];
    let none: Vec<String> =
        none.iter().map(|text| read(text).map(|_| ()).unwrap_err().to_string()).collect();
    std::fs::remove_dir_all(&directory).unwrap();
    let servers: Vec<String> = some.servers.iter().map(|server| server.to_string()).collect();
    assert_eq!(servers, ["192.0.2.1:53", "[2001:db8::1]:53"]);
    for told in none {
        assert!(told.contains(":2:13: the file '") && told.contains("names no server"), "{told}");
    }
}

#[test]
fn a_snippet_may_stand_behind_a_block_with_blocks_in_it_and_have_some_itself() {
    let text = "(first) {\n  forward . 192.0.2.1 {\n    policy random\n  }\n  cache 30\n}\n\
                y. {\n  import first\n}\n\
                (second) {\n  forward . 192.0.2.2 {\n    policy sequential\n  }\n}\n\
                z.:5300 {\n  import second\n}\n";
    let plans = read_text("Corefile", text, &Settings::default()).unwrap().plans;
    let told: Vec<Vec<String>> = plans.iter().map(served).collect();
    assert_eq!(told, [["forward y. to 192.0.2.1:53"], ["forward z. to 192.0.2.2:53"]]);
    let first = &plans[0].forwards[0].behaviour;
    assert_eq!((first.policy, first.cache_for), (Policy::Random, Duration::from_secs(30)));
    assert_eq!(plans[1].forwards[0].behaviour.policy, Policy::Sequential);
    // Inside of a block it is a directive that nobody knows.
    let inside =
        "z. {\n  forward . 192.0.2.1 {\n    policy random\n  }\n  (late) {\n    cache 30\n  }\n}\n";
    let told = read_text("Corefile", inside, &Settings::default()).map(|_| ()).unwrap_err();
    assert!(told.to_string().contains("Corefile:5:3: there is no directive '(late)'"), "{told}");
}

#[test]
fn mistakes_did_not_say_where_they_can_be_mended() {
    let directory = std::env::temp_dir().join(format!("gathersrv-mended-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("Corefile");
    let wrong = |text: &str| {
        std::fs::write(&file, text).unwrap();
        corefile::read(&file, &Settings::default()).map(|_| ()).unwrap_err()
    };
    let imported = wrong("import a/b/c.conf\n");
    let block = wrong("z. {\n");
    let elsewhere = format!("z. {{\n  forward . {}/d/resolv.conf\n}}\n", directory.display());
    let elsewhere = wrong(&elsewhere);
    std::fs::remove_dir_all(&directory).unwrap();
    let gone = corefile::read(&file, &Settings::default()).map(|_| ()).unwrap_err();
    assert_eq!(
        imported.directories,
        [directory.clone(), directory.join("a/b/")].into(),
        "{imported}"
    );
    assert_eq!(elsewhere.directories, [directory.clone(), directory.join("d")].into());
    for mistakes in [block, gone] {
        assert_eq!(mistakes.directories, [directory.clone()].into(), "{mistakes}");
    }
    assert!(imported.found.ends_with("\n1 mistake"), "{}", imported.found);
    assert!(imported.to_string().ends_with("\n1 mistake; nothing is served"), "{imported}");
}

fn piece() -> impl Strategy<Value = String> {
    let words = [
        "{",
        "}",
        "\n",
        "\n",
        " ",
        "\"",
        "\\",
        "#",
        ",",
        "(a)",
        "import",
        "a",
        "z.",
        "k. a-",
        "gathersrv z. {\n",
        "forward . 127.0.0.1:5300\n",
        "k.:5300 {\n",
        "cache 30",
        "bind ::1",
        "{$X}",
        "{%X%}",
        "deadline 1s",
        "10.8.0.1",
        "on-missing",
        "cancel",
        "bufsize",
        "tls://",
        "\u{e9}",
        "\t",
        "\r\n",
        "min-clusters 9",
        "serve_stale",
        ":",
        "/etc/resolv.conf",
        "import *",
    ];
    prop_oneof![
        4 => proptest::sample::select(words.to_vec()).prop_map(String::from),
        1 => "\\PC{0,6}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_to_its_end(pieces in proptest::collection::vec(piece(), 0..40)) {
        promise::run(pieces.join("").as_bytes());
        promise::run(pieces.join(" ").as_bytes());
    }

    #[test]
    fn so_is_an_example_that_was_tampered_with(
        example in proptest::sample::select(vec!["seed.Corefile", "own.Corefile", "one-block.Corefile"]),
        at in 0.0..1.0f64,
        len in 0usize..12,
        piece in piece(),
    ) {
        let text = std::fs::read_to_string(here(example)).unwrap();
        let chars: Vec<char> = text.chars().collect();
        let at = (chars.len() as f64 * at) as usize;
        let until = (at + len).min(chars.len());
        let text: String = chars[..at].iter().chain(&piece.chars().collect::<Vec<_>>())
            .chain(&chars[until..]).collect();
        promise::run(text.as_bytes());
    }
}
