//! Room for connections, and for answers that are large. Both are bounded; a
//! connection that says nothing, or does not read, makes room for one that does,
//! so that nobody who merely holds on shuts an orchestrator out.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// Connections at once: a few browsers and scrapers.
const CONNECTIONS: usize = 64;

/// Large answers at once, each of which may be tens of megabytes.
const ANSWERS: usize = 4;

/// Who has had so long to read a large answer makes room for the next.
const SLOW: Duration = Duration::from_secs(10);

/// A connection's number.
pub type Number = u64;

/// A large answer, until the last octet of it is written.
pub struct Held {
    text: String,
    _place: Arc<()>,
}

impl Held {
    /// The answer's text.
    pub fn new(text: String, place: Arc<()>) -> Self {
        Held { text, _place: place }
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

#[derive(Default)]
struct Taken {
    next: Number,
    /// Oldest first.
    connections: VecDeque<(Number, AbortHandle)>,
    /// Oldest first.
    answers: VecDeque<(Number, Instant, Weak<()>)>,
}

impl Taken {
    fn end(&mut self, number: Number) {
        if let Some(n) = self.connections.iter().position(|(known, _)| *known == number)
            && let Some((_, task)) = self.connections.remove(n)
        {
            task.abort();
        }
    }
}

/// Who is there.
#[derive(Clone, Default)]
pub struct Room(Rc<RefCell<Taken>>);

impl Room {
    /// Serves a connection as a task of its own, in place of the oldest if there
    /// are too many.
    pub fn admit<F: Future<Output = ()> + 'static>(&self, serve: impl FnOnce(Number) -> F) {
        let mut taken = self.0.borrow_mut();
        if taken.connections.len() >= CONNECTIONS
            && let Some((_, oldest)) = taken.connections.pop_front()
        {
            oldest.abort();
        }
        let number = taken.next;
        taken.next += 1;
        let (served, room) = (serve(number), self.clone());
        let task = tokio::task::spawn_local(async move {
            served.await;
            room.0.borrow_mut().end(number);
        });
        taken.connections.push_back((number, task.abort_handle()));
    }

    /// A place for a large answer on this connection, for as long as it is held.
    pub fn place(&self, now: Instant, connection: Number) -> Option<Arc<()>> {
        let mut taken = self.0.borrow_mut();
        taken.answers.retain(|(_, _, place)| place.strong_count() > 0);
        if taken.answers.len() >= ANSWERS {
            let slow =
                taken.answers.front().filter(|(_, since, _)| now.duration_since(*since) >= SLOW);
            let &(slow, ..) = slow?;
            taken.answers.pop_front();
            taken.end(slow);
        }
        let place = Arc::new(());
        taken.answers.push_back((connection, now, Arc::downgrade(&place)));
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(test: impl Future<Output = ()>) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.build_local(tokio::runtime::LocalOptions::default()).unwrap().block_on(test);
    }

    /// What a connection's task holds is dropped when the task ends.
    fn hold(room: &Room) -> Weak<()> {
        let token = Arc::new(());
        let weak = Arc::downgrade(&token);
        room.admit(|_| async move {
            std::future::pending::<()>().await;
            drop(token);
        });
        weak
    }

    async fn settle() {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn connections_that_said_nothing_shut_out_the_newest() {
        alone(async {
            let room = Room::default();
            let held: Vec<_> = (0..CONNECTIONS + 3).map(|_| hold(&room)).collect();
            settle().await;
            let open: Vec<bool> = held.iter().map(|one| one.strong_count() > 0).collect();
            assert_eq!(open.iter().position(|open| *open), Some(3), "the oldest are ended");
            assert!(open[3..].iter().all(|open| *open));
            assert_eq!(room.0.borrow().connections.len(), CONNECTIONS);
        });
    }

    #[test]
    fn a_connection_that_ended_kept_its_place() {
        alone(async {
            let room = Room::default();
            room.admit(|_| async {});
            settle().await;
            assert!(room.0.borrow().connections.is_empty());
        });
    }

    #[test]
    fn large_answers_that_nobody_read_piled_up() {
        alone(async {
            let room = Room::default();
            let (slow, now) = (hold(&room), Instant::now());
            let places = (0..ANSWERS as Number).filter_map(|n| room.place(now, n));
            let mut places: Vec<_> = places.collect();
            assert_eq!(places.len(), ANSWERS);
            assert!(room.place(now, 9).is_none());
            places.pop();
            places.extend(room.place(now, 9));
            assert!(room.place(now, 10).is_none());
            assert!(room.place(now + SLOW, 11).is_some(), "the slowest makes room");
            assert_eq!(room.0.borrow().answers.len(), ANSWERS, "and gives up its place");
            settle().await;
            assert_eq!(slow.strong_count(), 0, "and its connection is ended");
        });
    }
}
