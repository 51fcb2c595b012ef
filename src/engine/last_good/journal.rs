//! What an engine has heard and not handed in yet. Its memory is used again.
//!
//! What is handed in is read between two turns with the store: a reply of 64 KiB
//! may have thousands of addresses beside its records, and every worker that
//! answers for a missing cluster would wait for them.

use super::beside;
use super::{LastGood, Lesson, Subject};
use crate::engine::last_good::registry::ClusterId;
use crate::engine::sub::Source;
use crate::engine::time::Time;
use crate::wire::reply::Summary;
use domain::base::iana::Rtype;
use std::ops::Range;
use std::time::Duration;

/// What was heard is handed in so much later at the latest: what one worker
/// heard every other finds within a second.
const PAUSE: Duration = Duration::from_millis(200);

/// With this much noted, it is handed in at once. A thousand replies of usual
/// size are half a megabyte.
const MOST: usize = 1024;
const MOST_OCTETS: usize = 1 << 20;

/// The lock is held for at most this many replies, or sets of addresses, and, but
/// for the last of them, octets at once: some 50 microseconds.
const PORTION: usize = 64;
const PORTION_OCTETS: usize = 64 * 1024;

struct Note {
    cluster: ClusterId,
    name: Range<usize>,
    rtype: Rtype,
    cd: bool,
    what: What,
}

enum What {
    Said { summary: Summary, reply: Range<usize>, source: Source },
    UsedAgain,
}

/// Replies noted, in the order they came.
#[derive(Default)]
pub struct Journal {
    octets: Vec<u8>,
    notes: Vec<Note>,
    /// Notes with records that are not held so far.
    unread: Vec<usize>,
    due: Option<Time>,
}

impl Journal {
    /// When it is to be handed in, if there is anything in it.
    pub fn due(&self) -> Option<Time> {
        self.due
    }

    /// There is no room for more.
    pub fn is_full(&self) -> bool {
        self.notes.len() >= MOST || self.octets.len() >= MOST_OCTETS
    }

    /// Notes a proper reply. The name of the subject need not be in lower case.
    pub fn note(&mut self, now: Time, lesson: Lesson<'_>) {
        let Lesson { subject, summary, reply, source } = lesson;
        let start = self.octets.len();
        if summary.has_answer {
            self.octets.extend_from_slice(reply);
        }
        let reply = start..self.octets.len();
        self.push(now, subject, What::Said { summary, reply, source });
    }

    /// Notes that what a cluster said was asked for again, and given from a
    /// cache.
    pub fn note_use(&mut self, now: Time, subject: Subject<'_>) {
        // It is not worth more than a full journal.
        if !self.is_full() {
            self.push(now, subject, What::UsedAgain);
        }
    }

    fn push(&mut self, now: Time, subject: Subject<'_>, what: What) {
        let Subject { cluster, name, rtype, cd } = subject;
        let start = self.octets.len();
        self.octets.extend_from_slice(name);
        let name = start..self.octets.len();
        // Length octets are below 64, and no letters.
        self.octets[name.clone()].make_ascii_lowercase();
        self.notes.push(Note { cluster, name, rtype, cd, what });
        self.due.get_or_insert_with(|| (now + PAUSE).floor());
    }

    /// Hands everything in.
    pub fn hand_in(&mut self, last_good: &LastGood) {
        let mut from = 0;
        while from < self.notes.len() {
            from = self.hand_in_portion(last_good, from);
            for &n in &self.unread {
                if let Some(lesson) = self.lesson(n) {
                    read(last_good, lesson);
                }
            }
            self.unread.clear();
        }
        self.notes.clear();
        self.octets.clear();
        self.due = None;
    }

    /// Hands in notes from one on, but for records that are not held so far;
    /// gives the first note that is left.
    fn hand_in_portion(&mut self, last_good: &LastGood, from: usize) -> usize {
        let mut held = last_good.lock();
        held.tidy();
        let (mut next, mut octets) = (from, 0);
        while next < self.notes.len().min(from + PORTION) && octets < PORTION_OCTETS {
            match self.lesson(next) {
                Some(lesson) => {
                    octets += lesson.reply.len();
                    if held.learn(lesson) {
                        self.unread.push(next);
                    }
                }
                None => held.note_use(self.subject(&self.notes[next])),
            }
            next += 1;
        }
        next
    }

    fn subject(&self, note: &Note) -> Subject<'_> {
        let Note { cluster, rtype, cd, .. } = *note;
        Subject { cluster, name: &self.octets[note.name.clone()], rtype, cd }
    }

    fn lesson(&self, n: usize) -> Option<Lesson<'_>> {
        let note = &self.notes[n];
        let What::Said { summary, reply, source } = &note.what else { return None };
        let reply = &self.octets[reply.clone()];
        Some(Lesson { subject: self.subject(note), summary: *summary, reply, source: *source })
    }
}

/// Reads the records of a reply, and hands them in.
fn read(last_good: &LastGood, lesson: Lesson<'_>) {
    let Lesson { subject, summary, reply, .. } = lesson;
    let suffix = last_good.lock().registry.suffix(subject.cluster).cloned();
    let found = suffix.map_or_else(Vec::new, |s| beside::addresses(reply, &summary, &s));
    let ttl = beside::smallest_ttl(reply, &summary);
    let mut beside = Vec::with_capacity(found.len());
    let mut found = found.into_iter();
    let mut held = last_good.lock();
    while found.len() > PORTION {
        held.take_addresses(lesson, found.by_ref().take(PORTION), &mut beside);
        // Others may be waiting.
        drop(held);
        held = last_good.lock();
    }
    held.take_addresses(lesson, found, &mut beside);
    held.take_records(lesson, ttl, beside);
}
