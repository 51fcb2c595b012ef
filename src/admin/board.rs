//! Where the daemon's main thread pins up what the admin server shows of it:
//! what is configured, and how changes of that went. What happened is pinned up
//! beside it, as it is told ([`crate::tell`]).

use super::status::{Event, Level};
use crate::config::{AdminAt, Plan};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Events that are kept.
const EVENTS: usize = 100;

/// Seconds since 1970.
pub fn unix(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// What is pinned up.
#[derive(Debug, Clone)]
pub struct Pinned {
    /// Where the configuration comes from.
    pub source: String,
    /// When the daemon started.
    pub started: SystemTime,
    /// When the one that is served was read.
    pub loaded: SystemTime,
    /// How often another one was taken up.
    pub reloads: u64,
    /// How often one was turned down.
    pub failures: u64,
    /// Why the last one was turned down, if it was.
    pub last_error: Option<String>,
    /// What is served, as `gathersrv check` prints it.
    pub plan: String,
    /// What happened, newest first.
    pub events: VecDeque<Event>,
}

/// The board. Locked when something changes or somebody looks, never for a
/// query.
#[derive(Clone)]
pub struct Board(Arc<Mutex<Pinned>>);

/// The plans in the words of `gathersrv check`.
pub fn in_words(plans: &[Plan]) -> String {
    let mut words = String::new();
    for plan in plans {
        for line in plan.summary().iter().chain(&plan.policies()) {
            words += line;
            words.push('\n');
        }
        for warning in &plan.warnings {
            words += &format!("warning: {warning}\n");
        }
    }
    for at in AdminAt::of(plans) {
        words += &format!("{at}\n");
    }
    words
}

impl Board {
    /// A board of what is served at the start.
    pub fn new(source: String, plans: &[Plan]) -> Self {
        let now = SystemTime::now();
        Board(Arc::new(Mutex::new(Pinned {
            source,
            started: now,
            loaded: now,
            reloads: 0,
            failures: 0,
            last_error: None,
            plan: in_words(plans),
            events: VecDeque::new(),
        })))
    }

    fn pinned(&self) -> MutexGuard<'_, Pinned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that is on it.
    pub fn read(&self) -> Pinned {
        self.pinned().clone()
    }

    /// Another configuration is served from now on.
    pub fn reloaded(&self, plans: &[Plan]) {
        let mut pinned = self.pinned();
        pinned.plan = in_words(plans);
        pinned.loaded = SystemTime::now();
        pinned.reloads += 1;
        pinned.last_error = None;
    }

    /// A configuration was turned down; what was served stays.
    pub fn not_reloaded(&self, why: &str) {
        let mut pinned = self.pinned();
        pinned.failures += 1;
        pinned.last_error = Some(why.to_string());
    }

    /// After a mistake, the configuration is again what is served.
    pub fn put_right(&self) {
        self.pinned().last_error = None;
    }

    /// Something happened.
    pub fn happened(&self, level: Level, text: String) {
        let mut pinned = self.pinned();
        pinned.events.push_front(Event { at: unix(SystemTime::now()), level, text });
        pinned.events.truncate(EVENTS);
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_last_stands_first_and_a_hundred_are_kept() {
        let board = Board::new(String::new(), &[]);
        for n in 0..EVENTS + 5 {
            board.happened(Level::Warn, n.to_string());
        }
        let events = board.read().events;
        assert_eq!((events.len(), &*events[0].text, &*events[EVENTS - 1].text), (100, "104", "5"));
        assert_eq!(events[0].level, Level::Warn);
        assert!(events[0].at > 1.0e9);
    }

    #[test]
    fn changes_of_the_configuration_are_counted_and_the_last_mistake_stands_until_put_right() {
        let flags = ["--zone", "a.", "--cluster", "k. a- 10.8.0.1", "--admin", "127.0.0.1:9153"];
        let plan = crate::cli::plan(&flags);
        let board = Board::new("flags".into(), &[]);
        let known = |board: &Board| {
            let pinned = board.read();
            (pinned.reloads, pinned.failures, pinned.last_error)
        };
        assert_eq!(known(&board), (0, 0, None));
        board.not_reloaded("a mistake");
        assert_eq!(known(&board), (0, 1, Some("a mistake".into())));
        assert_eq!(board.read().plan, "", "what is served has not changed");
        board.put_right();
        assert_eq!(known(&board), (0, 1, None));
        board.not_reloaded("another");
        board.reloaded(std::slice::from_ref(&*plan));
        assert_eq!(known(&board), (1, 2, None));
        let pinned = board.read();
        assert!(pinned.loaded >= pinned.started);
        for line in ["zone a. from 1 cluster on ", "  cluster k. prefix a- at 10.8.0.1:53"] {
            assert!(pinned.plan.contains(line), "{}", pinned.plan);
        }
        assert!(pinned.plan.ends_with("admin on 127.0.0.1:9153\n"), "{}", pinned.plan);
    }
}
