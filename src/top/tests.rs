//! What stands on screens of several sizes, for several states of a daemon.

use super::view::{Fitted, Shown, draw};
use super::*;
use crate::admin::status::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

const NOW: f64 = 1_764_040_000.0;

fn admin() -> SocketAddr {
    "127.0.0.1:9153".parse().unwrap()
}

fn cluster(letter: char) -> Cluster {
    Cluster {
        suffix: format!("cluster-{letter}.local."),
        prefix: format!("{letter}-"),
        state: ClusterState::Up,
        since: Some(NOW - 7_200.0),
        answers: ClusterAnswers { fresh: 100, stale: 0, missing: 0 },
        stale_age: None,
        servers: vec![Server {
            addr: format!("10.8.0.{}:53", letter as u32),
            transport: "udp".into(),
            state: ServerState::Up,
            since: Some(NOW - 7_200.0),
            rtt: Some(0.0012),
            queries: 12.3,
            failures: 0.0,
            besieged: false,
            heard: Some(NOW - 1.0),
        }],
    }
}

fn whole(zones: usize) -> Status {
    let zone = |n| Zone {
        name: format!("zone-{n}.local."),
        queries: 12.3,
        state: ZoneState::Whole,
        answers: ZoneAnswers { whole: 100, ..ZoneAnswers::default() },
        clusters: vec![cluster('a'), cluster('b')],
    };
    Status {
        version: "0.1.0".into(),
        now: NOW,
        started: NOW - 10_000.0,
        pid: 7,
        workers: 2,
        ready: true,
        listen: vec![Listener { addr: "127.0.0.1:53".into(), service: "udp+tcp".into() }],
        config: Config { source: "flags".into(), loaded: NOW - 10_000.0, ..Config::default() },
        rates: Rates { queries: 123.4, failed: 0.0, from_cache: 100.2 },
        in_flight: 3,
        memory: 10 << 20,
        latency: Latency { p50: Some(0.0004), p90: Some(0.001), p99: Some(0.01) },
        history: History {
            step: 2.0,
            end: NOW,
            queries: (0..150).map(f64::from).collect(),
            incomplete: vec![0.0; 150],
            failed: vec![0.0; 150],
            p99: vec![None; 150],
        },
        zones: (0..zones).map(zone).collect(),
        forwards: Vec::new(),
        events: vec![crate::admin::status::Event {
            at: NOW - 10.0,
            level: Level::Info,
            text: "it is served".into(),
        }],
    }
}

/// Cluster b is down in every zone.
fn down(zones: usize) -> Status {
    let mut status = whole(zones);
    for zone in &mut status.zones {
        zone.state = ZoneState::Stale;
        zone.answers = ZoneAnswers { whole: 40, stale: 60, ..ZoneAnswers::default() };
        let cluster = &mut zone.clusters[1];
        cluster.state = ClusterState::Down;
        cluster.since = Some(NOW - 130.0);
        cluster.answers = ClusterAnswers { fresh: 40, stale: 60, missing: 0 };
        cluster.stale_age = Some(135.0);
        cluster.servers[0].state = ServerState::Out;
        cluster.servers[0].since = Some(NOW - 130.0);
        cluster.servers[0].rtt = None;
    }
    status.history.incomplete[149] = 5.0;
    status.history.failed[140] = 1.0;
    status
}

fn shown(status: Option<&Status>) -> Shown<'_> {
    Shown { admin: admin(), status, silent: None, paused: false, help: false, scroll: 0 }
}

/// The rows of a screen of that size.
fn screen(shown: &Shown<'_>, width: u16, height: u16) -> (Vec<String>, Fitted) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let mut fitted = None;
    terminal.draw(|frame| fitted = Some(draw(frame, shown))).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let rows = buffer.content().chunks(width.into());
    let rows = rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>());
    (rows.map(|row| row.trim_end().to_string()).collect(), fitted.unwrap())
}

#[test]
fn all_is_up() {
    let status = whole(1);
    let (rows, _) = screen(&shown(Some(&status)), 110, 24);
    let expected = [
        "gathersrv 0.1.0 at 127.0.0.1:9153  up 2h 46m  pid 7  ready",
        "123 queries/s  0.0 failed/s  100 from cache/s  3 in flight",
        "p50 0.40 ms  p90 1.00 ms  p99 10 ms  memory 10.0 MiB  2 workers",
        "from flags, read 2h 46m ago, 0 reloads, 0 turned down",
        "on 127.0.0.1:53 udp+tcp",
        "last 3m 40s, highest 149 queries/s  ~ stale or partial  ! failed",
    ];
    assert_eq!(rows[..6], expected);
    assert!(rows[6].starts_with('▃') && rows[6].ends_with('█'), "{}", rows[6]);
    assert_eq!(rows[7], "", "nothing was missing");
    let expected = [
        "zone zone-0.local.  whole  12.3/s  last minute 100 whole, 0 stale, 0 partial, 0 failed",
        "  a- cluster-a.local.  up for 2h 0m      100 fresh, 0 stale, 0 missing",
        "    10.8.0.97:53 udp  up for 2h 0m      rtt 1.20 ms  12.3/s  0.0 failures/s  heard 1s ago",
        "  b- cluster-b.local.  up for 2h 0m      100 fresh, 0 stale, 0 missing",
    ];
    assert_eq!(rows[8..12], expected);
    assert_eq!(rows[21], "events, newest first");
    assert_eq!(rows[22], "    10s ago  info   it is served");
    assert_eq!(rows[23], "q quit  arrows scroll  p pause  ? help");
    assert!(!rows.iter().any(|row| row.starts_with("! ")), "there is no trouble: {rows:#?}");
}

#[test]
fn a_cluster_that_is_down_stands_out_with_the_time() {
    let status = down(1);
    let (rows, _) = screen(&shown(Some(&status)), 140, 24);
    let told = "! cluster b- cluster-b.local. of zone-0.local. is down since 03:04:30 UTC, 2m 10s; \
                stale in 60 answers of the last minute, 2m 15s old";
    assert_eq!(rows[5], told);
    assert!(rows[8].ends_with("!        ~"), "{}", rows[8]);
    assert!(rows[9].starts_with("zone zone-0.local.  stale  "), "{}", rows[9]);
    assert!(rows[12].starts_with("  b- cluster-b.local.  down for 2m 10s"), "{}", rows[12]);
    assert!(rows[13].contains("udp  out for 2m 10s"), "{}", rows[13]);
    // The colour says it, too, and is not alone.
    let mut terminal = Terminal::new(TestBackend::new(140, 24)).unwrap();
    terminal
        .draw(|frame| {
            draw(frame, &shown(Some(&status)));
        })
        .unwrap();
    let cell = terminal.backend().buffer().cell((0, 5)).unwrap().clone();
    assert_eq!(cell.fg, ratatui::style::Color::Red);
}

#[test]
fn nothing_is_known_yet() {
    let (rows, _) = screen(&shown(None), 80, 24);
    assert_eq!(rows[0], "asking 127.0.0.1:9153 ...");
    let empty = Status::default();
    for (width, height) in [(80, 24), (40, 10), (1, 1), (3, 2), (200, 3)] {
        let _ = screen(&shown(Some(&empty)), width, height);
        let _ = screen(&Shown { help: true, ..shown(None) }, width, height);
    }
    let silent = Some(("Connection refused", Duration::from_secs(12)));
    let (rows, _) = screen(&Shown { silent, ..shown(None) }, 100, 24);
    let told = "NO ANSWER from 127.0.0.1:9153 for 12s: Connection refused; trying again";
    assert_eq!(rows[0], told);
    assert!(rows.iter().any(|row| row.contains("--admin 127.0.0.1:9153")), "{rows:#?}");
}

#[test]
fn a_daemon_that_went_away_is_told_above_what_it_said() {
    let status = whole(1);
    let silent = Some(("no answer within 5s", Duration::from_secs(7)));
    let (rows, _) = screen(&Shown { silent, paused: true, ..shown(Some(&status)) }, 100, 24);
    assert!(rows[0].starts_with("NO ANSWER from 127.0.0.1:9153 for 7s"), "{}", rows[0]);
    assert!(rows[1].starts_with("gathersrv 0.1.0"), "{}", rows[1]);
    assert!(rows[23].starts_with("PAUSED"), "{}", rows[23]);
}

#[test]
fn a_hundred_zones_are_scrolled_through_and_their_trouble_told_once() {
    let status = down(100);
    let mut seen = Vec::new();
    let mut at = Shown { scroll: 0, ..shown(Some(&status)) };
    for _ in 0..100 {
        let (rows, fitted) = screen(&at, 120, 30);
        let troubles: Vec<_> = rows.iter().filter(|row| row.starts_with("! ")).collect();
        assert_eq!(
            troubles,
            ["! cluster b- cluster-b.local. of 100 zones is down since 03:04:30 UTC, 2m 10s"]
        );
        seen.extend(rows.into_iter().filter(|row| row.starts_with("zone ")));
        assert!(fitted.page >= 8, "{fitted:?}");
        if fitted.scroll < at.scroll {
            break;
        }
        at.scroll += fitted.page;
    }
    seen.dedup();
    for n in 0..100 {
        assert!(seen.iter().any(|row| row.starts_with(&format!("zone zone-{n}.local."))), "{n}");
    }
    let (_, fitted) = screen(&Shown { scroll: usize::MAX, ..at }, 120, 30);
    assert_eq!(fitted.scroll, 500 - fitted.page);
}

#[test]
fn a_tiny_terminal_has_the_most_important_first() {
    let status = down(1);
    let (rows, fitted) = screen(&shown(Some(&status)), 40, 10);
    assert!(rows[0].starts_with("gathersrv 0.1.0 at 127.0.0.1:9153"), "{}", rows[0]);
    assert!(rows[1].starts_with("123 queries/s"), "{}", rows[1]);
    assert!(rows[2].starts_with("! cluster b- cluster-b.local."), "{}", rows[2]);
    assert!(rows[3].starts_with("zone zone-0.local.  stale"), "{}", rows[3]);
    assert_eq!(fitted.page, 6);
    assert!(rows[9].starts_with("q quit"), "{}", rows[9]);
    let (rows, _) = screen(&Shown { scroll: usize::MAX, ..shown(Some(&status)) }, 40, 10);
    assert!(rows[8].contains("it is served"), "events are in the list: {rows:#?}");
    let (rows, _) = screen(&Shown { help: true, ..shown(Some(&status)) }, 40, 10);
    assert!(rows.iter().any(|row| row.contains("pause, go on")), "{rows:#?}");
}

#[test]
fn plain_text_has_all_of_it() {
    let status = down(3);
    let text = lines::plain(&status, &problems::problems(&status), admin());
    for word in
        ["123 queries/s", "! cluster b-", "down for 2m 10s", "zone zone-2.local.", "it is served"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(!text.contains('\u{1b}') && !text.contains(" \n"), "{text}");
}

#[test]
fn trouble_of_every_kind_is_told_the_worst_first() {
    let mut status = whole(1);
    status.ready = false;
    status.config.last_error = Some("Corefile:2:3: what is this".into());
    status.zones[0].state = ZoneState::Failed;
    status.zones[0].answers.failed = 25;
    status.zones[0].clusters[0].answers.missing = 4;
    status.zones[0].clusters[1].state = ClusterState::Degraded;
    status.zones[0].clusters[1].servers[0].besieged = true;
    status.forwards.push(Forward {
        name: ".".into(),
        queries: 1.0,
        servers: vec![Server {
            addr: "192.0.2.1:53".into(),
            state: ServerState::Out,
            since: Some(NOW - 5.0),
            ..Server::default()
        }],
    });
    let told: Vec<String> = problems::problems(&status).into_iter().map(|p| p.text).collect();
    let parts = [
        "not ready",
        "not served: Corefile:2:3: what is this",
        "zone zone-0.local.: 25 of 125 answers of the last minute failed",
        "cluster a- cluster-a.local. of zone-0.local. is late or fails at times; missing in 4 answers",
        "cluster b- cluster-b.local. of zone-0.local. has servers that are out",
        "server 10.8.0.98:53 is besieged",
        "server 192.0.2.1:53 is out since 03:06:35 UTC, 5s",
    ];
    assert_eq!(told.len(), parts.len(), "{told:#?}");
    for (told, part) in told.iter().zip(parts) {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn keys_do_what_the_help_says() {
    let mut at = Screen { page: 10, ..Screen::default() };
    let mut press = |code| at.pressed(KeyEvent::new(code, KeyModifiers::NONE));
    assert_eq!(press(KeyCode::Char('q')), Then::End);
    assert_eq!(press(KeyCode::PageDown), Then::Draw);
    press(KeyCode::Down);
    press(KeyCode::Up);
    press(KeyCode::Char('p'));
    press(KeyCode::Char('?'));
    assert_eq!(press(KeyCode::Char('q')), Then::Draw, "any key takes the help away");
    assert_eq!((at.scroll, at.paused, at.help), (10, true, false));
    let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(at.pressed(control), Then::End);
}
