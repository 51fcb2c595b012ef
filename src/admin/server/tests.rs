//! The pages, asked for over loopback, and what happens behind them.

use super::*;
use crate::admin::board::Board;
use crate::net::roster::Roster;
use crate::tap::TapCounts;
use crate::tell::Desk;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn admin(roster: Roster) -> Admin {
    let desk = Desk::open().unwrap();
    let board = Board::new(String::new(), &[]);
    let (reporter, taps) = (desk.reporter().clone(), TapCounts::default());
    Admin::new(Sources { roster, board, reporter, taps })
}

#[test]
fn probes_waited_for_the_lock_that_is_held_while_workers_are_asked() {
    let admin = admin(Roster::default());
    let scope = Scope::new(Cell::new(Shows::All));
    let link = Link { number: 0, local: None, scope };
    let code = async |path, query| {
        let reply = admin.reply(&link, path, query);
        tokio::select! {
            biased;
            reply = reply => Some(reply.code),
            () = tokio::task::yield_now() => None,
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let asked = admin.state.lock().await;
        for path in ["/health", "/ready", "/config"] {
            assert_eq!(code(path, None).await, Some(StatusCode::OK), "{path}");
        }
        assert_eq!(code("/ready", Some("strict")).await, None);
        drop(asked);
        assert_eq!(code("/ready", Some("strict")).await, Some(StatusCode::OK));
    });
}

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a server of a daemon with these workers answers, over loopback.
fn answers(roster: Roster, shows: Shows, requests: &[&str]) -> Vec<String> {
    answers_of(admin(roster), shows, requests)
}

fn answers_of(admin: Admin, shows: Shows, requests: &[&str]) -> Vec<String> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build_local(tokio::runtime::LocalOptions::default());
    runtime.unwrap().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let accepting = admin.accept(listener, Scope::new(Cell::new(shows)));
        let accepting = tokio::task::spawn_local(accepting);
        let mut answers = Vec::new();
        for request in requests {
            let ask = async {
                let mut stream = TcpStream::connect(addr).await.unwrap();
                let request = format!("{request}\r\nConnection: close\r\n\r\n");
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                answer
            };
            answers.push(tokio::time::timeout(PATIENCE, ask).await.expect("an answer"));
        }
        accepting.abort();
        answers
    })
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost")
}

/// Status, type and body of an answer.
fn parts(answer: &str) -> (u16, &str, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, header_of(head, "content-type").unwrap_or_default(), body)
}

fn header_of<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn every_page_has_its_type_and_is_kept_by_nobody() {
    let pages = [
        ("/", "text/html; charset=utf-8", "<!DOCTYPE html>"),
        ("/metrics", "text/plain; version=0.0.4", "# HELP gathersrv_"),
        ("/health", TEXT, "ok\n"),
        ("/ready", TEXT, "ready\n"),
        ("/ready?strict", TEXT, "ready, and every cluster"),
        ("/ready?x&strict", TEXT, "ready, and every cluster"),
        ("/ready?strictly", TEXT, "ready\n"),
        ("/config", TEXT, ""),
        ("/status.json", "application/json", "{\"version\":"),
    ];
    let requests: Vec<String> = pages.iter().map(|(path, ..)| get(path)).collect();
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    let answers = answers(Roster::default(), Shows::All, &requests);
    for ((path, kind, begins), answer) in pages.iter().zip(&answers) {
        let (code, own_kind, body) = parts(answer);
        assert_eq!(code, 200, "{path}");
        assert!(own_kind.starts_with(kind), "{path}: {own_kind}");
        assert!(body.to_lowercase().starts_with(&begins.to_lowercase()), "{path}: {body}");
        assert_eq!(header_of(answer, "cache-control"), Some("no-store"), "{path}");
        assert_eq!(header_of(answer, "x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(header_of(answer, "referrer-policy"), Some("no-referrer"), "{path}");
        let policy = header_of(answer, "content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'"), "{path}");
        assert_eq!(header_of(answer, "retry-after"), None, "{path}");
    }
}

#[test]
fn what_is_not_answered_says_why() {
    let post = get("/health").replace("GET", "POST") + "\r\nContent-Length: 0";
    let head = get("/status.json").replace("GET", "HEAD");
    let stranger = get("/status.json").replace("localhost", "evil.example");
    let requests = [&get("/nowhere"), &post, &stranger, &head];
    let answers = answers(Roster::default(), Shows::All, &requests.map(String::as_str));
    let codes: Vec<u16> = answers.iter().map(|answer| parts(answer).0).collect();
    assert_eq!(codes, [404, 405, 421, 200]);
    assert!(parts(&answers[0]).2.contains("there are /, /metrics"));
    assert_eq!(header_of(&answers[1], "allow"), Some("GET, HEAD"));
    assert_eq!(header_of(&answers[0], "allow"), None);
    assert_eq!(parts(&answers[2]).2, host::REMEDY);
    assert_eq!(parts(&answers[3]).2, "", "HEAD has no body");
}

#[test]
fn an_address_for_probes_shows_nothing_else() {
    let paths = ["/health", "/ready", "/ready?strict", "/", "/metrics", "/config", "/status.json"];
    let requests = paths.map(get);
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    let answers = answers(Roster::default(), Shows::Probes, &requests);
    let codes: Vec<u16> = answers.iter().map(|answer| parts(answer).0).collect();
    assert_eq!(codes, [200, 200, 200, 404, 404, 404, 404]);
    assert_eq!(parts(&answers[3]).2, PROBES);
}

#[test]
fn a_daemon_that_stops_is_alive_and_not_ready() {
    let roster = Roster::default();
    roster.close();
    let requests = [get("/health"), get("/ready"), get("/ready?strict")];
    let answers = answers(roster, Shows::Probes, &requests.each_ref().map(|one| one.as_str()));
    let codes: Vec<u16> = answers.iter().map(|answer| parts(answer).0).collect();
    assert_eq!(codes, [200, 503, 503]);
    assert!(parts(&answers[1]).2.starts_with("stopping"));
}

#[test]
fn who_finds_too_many_large_answers_unread_is_told_when_to_come_again() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build_local(tokio::runtime::LocalOptions::default());
    runtime.unwrap().block_on(async {
        let admin = admin(Roster::default());
        let held: Vec<_> = (0..9).map_while(|n| admin.room.place(Instant::now(), n)).collect();
        assert_eq!(held.len(), 4);
        let scope = Scope::new(Cell::new(Shows::All));
        let link = Link { number: 9, local: None, scope };
        for path in ["/metrics", "/status.json"] {
            let reply = admin.reply(&link, path, None).await;
            assert_eq!((reply.code, reply.again), (StatusCode::SERVICE_UNAVAILABLE, true));
            assert_eq!(reply.text, FULL);
        }
        assert_eq!(admin.reply(&link, "/config", None).await.code, StatusCode::OK);
        drop(held);
        for path in ["/metrics", "/status.json"] {
            let reply = admin.reply(&link, path, None).await;
            assert_eq!((reply.code, reply.place.is_some()), (StatusCode::OK, true), "{path}");
        }
    });
}

#[test]
fn the_time_to_come_again_stands_in_the_head() {
    let admin = admin(Roster::default());
    let _held: Vec<_> = (0..9).map_while(|n| admin.room.place(Instant::now(), n)).collect();
    let answers = answers_of(admin.clone(), Shows::All, &[&get("/metrics"), &get("/health")]);
    assert_eq!(parts(&answers[0]), (503, TEXT, FULL));
    assert_eq!(header_of(&answers[0], "retry-after"), Some("5"));
    assert_eq!((parts(&answers[1]).0, header_of(&answers[1], "retry-after")), (200, None));
}

#[test]
fn what_the_workers_said_a_moment_ago_is_good_enough() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let admin = admin(Roster::default());
        let mut state = admin.state.lock().await;
        state.refresh().await;
        let first = state.sampled.unwrap();
        // As it was said long ago.
        state.sampled = Some(first - FRESH * 2);
        state.refresh().await;
        assert!(state.sampled.unwrap() >= first);
        // As it was said by somebody whose clock is ahead, so just now.
        let now = state.sampled.unwrap() + PATIENCE;
        state.sampled = Some(now);
        state.refresh().await;
        assert_eq!(state.sampled, Some(now));
    });
}
