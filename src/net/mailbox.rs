//! Where answers for a stream wait until its client takes them.
//!
//! A client that asks much and reads nothing must not fill the memory: what
//! waits is bounded for each connection and for all of a worker's together.

use super::frames;
use bytes::BytesMut;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tokio::sync::Notify;

/// Queries in flight on one connection; more wait in its socket.
const PIPELINED: usize = 64;

/// Octets of answers that may wait for one client; one of the largest size
/// always fits.
const UNREAD: usize = 256 * 1024;

/// The same for all clients of a worker. A hundred clients that read nothing and
/// ask for the largest answers come to this; who makes it more is let go.
const UNREAD_IN_ALL: usize = 64 << 20;

/// Octets that wait for all clients of a worker.
#[derive(Default, Clone)]
pub struct Unread(Rc<Cell<usize>>);

/// The answers for one connection.
pub struct Mailbox {
    octets: RefCell<BytesMut>,
    all: Unread,
    /// Queries whose answers are to come.
    waiting: Cell<usize>,
    /// The largest answer so far: the next ones may be like it.
    largest: Cell<usize>,
    writing: Cell<bool>,
    overrun: Cell<bool>,
    changed: Notify,
}

impl Mailbox {
    /// An empty one; `all` is shared by those of a worker.
    pub fn new(all: Unread) -> Self {
        Mailbox {
            octets: RefCell::default(),
            all,
            waiting: Cell::default(),
            largest: Cell::default(),
            writing: Cell::default(),
            overrun: Cell::default(),
            changed: Notify::new(),
        }
    }

    /// Puts one answer in.
    pub fn put(&self, answer: &[u8]) {
        let all = self.all.0.get() + answer.len() + frames::LENGTH;
        if all > UNREAD_IN_ALL {
            self.overrun.set(true);
        } else {
            frames::push(&mut self.octets.borrow_mut(), answer);
            self.all.0.set(all);
        }
        self.largest.set(self.largest.get().max(answer.len()));
        self.waiting.set(self.waiting.get().saturating_sub(1));
        self.changed.notify_one();
    }

    /// A query has been handed in: its answer will come.
    pub fn expect(&self) {
        self.waiting.set(self.waiting.get() + 1);
    }

    /// It was no query, and none will.
    pub fn expect_no_more(&self) {
        self.waiting.set(self.waiting.get().saturating_sub(1));
    }

    /// Answers are to come.
    pub fn is_waiting(&self) -> bool {
        self.waiting.get() > 0
    }

    /// Nothing is in it or on its way out, and nothing will come.
    pub fn is_empty(&self) -> bool {
        !self.is_waiting() && !self.writing.get() && self.octets.borrow().is_empty()
    }

    /// There was no room for an answer: the connection is of no use any more.
    pub fn is_overrun(&self) -> bool {
        self.overrun.get()
    }

    /// Takes out what is there, and tells whether it is on its way.
    pub fn split(&self) -> BytesMut {
        let octets = self.octets.borrow_mut().split();
        self.all.0.set(self.all.0.get().saturating_sub(octets.len()));
        self.writing.set(!octets.is_empty());
        octets
    }

    /// Until something has been put in.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Waits for an answer, and takes it out.
    pub async fn take(&self) -> BytesMut {
        loop {
            let answer = self.split();
            if !answer.is_empty() {
                return answer;
            }
            self.changed().await;
        }
    }

    /// There is room for the answer to one query more, if it is no larger than
    /// those before.
    pub fn has_room(&self) -> bool {
        let waiting = self.waiting.get();
        let expected = waiting.saturating_mul(self.largest.get());
        waiting < PIPELINED
            && (waiting == 0 || expected < UNREAD)
            && self.octets.borrow().len() < UNREAD
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.split();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t4_a_client_that_reads_nothing_is_not_asked_for_more() {
        let mailbox = Mailbox::new(Unread::default());
        let mut handed_in = 0;
        while mailbox.has_room() {
            mailbox.expect();
            mailbox.put(&[0; 512]);
            handed_in += 1;
        }
        assert!(mailbox.octets.borrow().len() < UNREAD + 600);
        assert!(handed_in > UNREAD / 600);
        mailbox.split();
        assert!(mailbox.has_room() && !mailbox.is_empty(), "it is being written");
        mailbox.split();
        assert!(mailbox.is_empty());
    }

    #[test]
    fn t4_large_answers_make_the_pipeline_short() {
        let mailbox = Mailbox::new(Unread::default());
        mailbox.expect();
        mailbox.put(&[0; 65_535]);
        mailbox.split();
        let mut in_flight = 0;
        while mailbox.has_room() {
            mailbox.expect();
            in_flight += 1;
        }
        assert_eq!(in_flight, 5, "of 64 KiB each, in 256 KiB and one more");
    }

    #[test]
    fn t4_what_waits_for_all_clients_is_bounded() {
        let all = Unread::default();
        let mut open = Vec::new();
        loop {
            let mailbox = Mailbox::new(all.clone());
            while mailbox.has_room() && !mailbox.is_overrun() {
                mailbox.expect();
                mailbox.put(&[0; 65_535]);
            }
            let overrun = mailbox.is_overrun();
            open.push(mailbox);
            if overrun {
                break;
            }
        }
        assert!(all.0.get() <= UNREAD_IN_ALL);
        drop(open);
        assert_eq!(all.0.get(), 0);
    }
}
