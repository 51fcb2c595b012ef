//! Events as log lines and for subscribers, and the limit for each kind.

use super::*;

#[test]
fn what_several_workers_say_often_is_told_once() {
    let mut clerk = Clerk::default();
    let first = clerk.often(Kind::Loop, "a loop", 0).unwrap();
    assert_eq!((first.text.as_str(), first.more), ("a loop", Some(0)));
    for _ in 0..7 {
        assert_eq!(clerk.often(Kind::Loop, "a loop", 9), None);
    }
    assert!(clerk.often(Kind::Siege, "guesses", 0).is_some(), "another kind is another thing");
    clerk.often[Kind::Loop as usize].age();
    let next = clerk.often(Kind::Loop, "a loop", 3).unwrap();
    assert_eq!(next.more, Some(73));
    assert_eq!(next.text, "a loop (73 more since this was last told)");
}

#[test]
fn what_a_server_had_come_to_was_not_told_while_others_had_news() {
    let plan = crate::cli::plan(&["--zone", "a.", "--cluster", "k. a- 10.8.0.1 10.8.0.2"]);
    let server = |n| SocketAddr::from(([10, 8, 0, n], 53));
    let mut clerk = Clerk::default();
    let begun = Instant::now();
    clerk.turn(begun, Some(News::Serving(vec![(vec![0], plan)])));
    for _ in 0..9 {
        clerk.turn(begun, Some(News::Out(0, server(1), 2, None)));
        clerk.turn(begun, Some(News::Back(0, server(1))));
    }
    clerk.turn(begun, Some(News::Out(0, server(1), 2, None)));
    let mut told = Vec::new();
    for n in 1..40 {
        let news = match n % 2 {
            0 => News::Back(0, server(2)),
            _ => News::Out(0, server(2), 2, None),
        };
        told.extend(clerk.turn(begun + TICK / 2 * n, Some(news)));
    }
    let first = told.iter().find(|line| line.server.as_deref() == Some("10.8.0.1:53"));
    assert!(first.is_some_and(|line| line.text.contains("has been out for")), "{told:?}");
}

#[test]
fn every_kind_of_news_becomes_what_is_told() {
    let mut clerk = Clerk::default();
    let now = Instant::now();
    let plan = crate::cli::plan(&["--zone", "a.", "--cluster", "k. a- 10.8.0.1"]);
    let server = SocketAddr::from(([10, 8, 0, 1], 53));
    let mut told = Vec::new();
    for news in [
        News::Serving(vec![(vec![0], plan)]),
        News::Out(0, server, 2, None),
        News::Back(0, server),
        News::Often(Kind::NoSocket, "no socket".into(), 3),
        News::Dropped("dnstap_dropped", "gone".into(), 7),
        News::Line(Level::DEBUG, "detail", "a detail".into()),
        News::End,
    ] {
        let lines = clerk.turn(now, Some(news));
        told.extend(lines.into_iter().map(|l| (l.event, l.level, l.more, l.entries)));
    }
    let wanted = [
        ("server_out", Level::WARN, Some(0), None),
        ("cluster_missing", Level::WARN, Some(0), None),
        ("server_back", Level::INFO, Some(0), None),
        ("cluster_back", Level::INFO, Some(0), None),
        ("no_socket", Level::WARN, Some(3), None),
        ("dnstap_dropped", Level::WARN, None, Some(7)),
        ("detail", Level::DEBUG, None, None),
    ];
    assert_eq!(told, wanted);
}

#[test]
fn each_kind_has_a_word_and_a_limit_of_its_own() {
    let kinds = [
        (Kind::Siege, "siege"),
        (Kind::Loop, "loop"),
        (Kind::TooLong, "too_long"),
        (Kind::CutOverStream, "cut_over_stream"),
        (Kind::NoSocket, "no_socket"),
        (Kind::NotAccepted, "not_accepted"),
        (Kind::NoStream, "no_connection"),
    ];
    assert_eq!(kinds.len(), KINDS);
    let mut clerk = Clerk::default();
    for (kind, event) in kinds {
        let line = clerk.often(kind, "text", 0).unwrap();
        assert_eq!((line.event, line.level), (event, Level::WARN));
        assert_eq!(clerk.often(kind, "text", 0), None, "{event}");
    }
}

#[test]
fn what_was_too_much_to_tell_is_told_later_although_nothing_happens_any_more() {
    let (desk, news) = channel();
    let plan = crate::cli::plan(&["--zone", "a.", "--cluster", "k. a- 10.8.0.1"]);
    let server = SocketAddr::from(([10, 8, 0, 1], 53));
    let mut clerk = Clerk::default();
    let begun = Instant::now();
    clerk.turn(begun, Some(News::Serving(vec![(vec![0], plan)])));
    for _ in 0..4 {
        clerk.turn(begun, Some(News::Out(0, server, 2, None)));
        clerk.turn(begun, Some(News::Back(0, server)));
    }
    clerk.turn(begun, Some(News::Out(0, server, 2, None)));
    assert!(clerk.states.has_untold());
    // As if it had happened long ago.
    clerk.states.age(limited::TELL_EVERY);
    clerk.looked = None;
    let (reader, mut events) = unbounded_channel();
    clerk.readers.push(reader);
    let listening = std::thread::spawn(move || clerk.listen(&news));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let told = runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(60), events.recv()).await });
    let told = told.expect("news without a cause").unwrap();
    assert!(told.text.contains("has been out for"), "{}", told.text);
    desk.send(News::End).unwrap();
    listening.join().unwrap();
}

#[test]
fn what_is_told_is_logged_with_its_facts() {
    let log = Arc::new(std::sync::Mutex::new(Vec::new()));
    let to = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(Level::DEBUG)
        .with_writer(move || Written(to.clone()))
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG] {
            let line = Line::new(level, "test", "a text".into());
            Clerk::default().tell(&Line { server: Some("a server".into()), ..line });
        }
    });
    let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    for (line, level) in log.lines().zip(["ERROR", "WARN", "INFO", "DEBUG"]) {
        for part in [level, r#""event":"test""#, "a text", "a server"] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    assert_eq!(log.lines().count(), 4);
}

/// A log in memory.
struct Written(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_has_gone_is_forgotten_and_the_others_hear_on() {
    let mut clerk = Clerk::default();
    let (gone, events) = unbounded_channel();
    let (here, mut heard) = unbounded_channel();
    clerk.readers.extend([gone, here]);
    drop(events);
    for level in [Level::INFO, Level::WARN, Level::ERROR, Level::DEBUG] {
        clerk.tell(&Line::new(level, "test", level.to_string()));
    }
    assert_eq!(clerk.readers.len(), 1);
    drop(clerk);
    let heard: Vec<Level> =
        std::iter::from_fn(|| heard.blocking_recv()).map(|event| event.level).collect();
    assert_eq!(heard, [Level::INFO, Level::WARN, Level::ERROR]);
}

#[test]
fn spans_are_said_in_two_words() {
    for (seconds, text) in [
        (0.26, "0.3 s"),
        (12.34, "12.3 s"),
        (61.0, "1 min 1 s"),
        (3700.0, "1 h 1 min"),
        (90_000.0, "1 d 1 h"),
    ] {
        assert_eq!(said(Duration::from_secs_f64(seconds)), text);
    }
}

#[test]
fn whoever_subscribes_hears_what_is_told_from_then_on() {
    let desk = Desk::open().unwrap();
    desk.reporter().line(Level::INFO, "test", "before".into());
    let mut events = desk.reporter().subscribe();
    desk.reporter().line(Level::DEBUG, "test", "a detail is for the log alone".into());
    desk.reporter().line(Level::WARN, "test", "after".into());
    drop(desk);
    let event = events.blocking_recv().unwrap();
    assert_eq!((event.level, event.text.as_str()), (Level::WARN, "after"));
    assert!(event.at > 1.0e9);
    assert_eq!(events.blocking_recv(), None);
}
