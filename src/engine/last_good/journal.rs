//! What an engine has heard and not handed in yet. Its memory is used again.

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

/// The lock is held for at most so many replies and, but for the last of them,
/// octets at once: some 50 microseconds.
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
        let mut notes = self.notes.iter().peekable();
        while notes.peek().is_some() {
            let mut held = last_good.lock();
            let mut octets = 0;
            for note in notes.by_ref().take(PORTION) {
                let Note { cluster, rtype, cd, .. } = *note;
                let name = &self.octets[note.name.clone()];
                let subject = Subject { cluster, name, rtype, cd };
                match &note.what {
                    What::UsedAgain => held.note_use(subject),
                    What::Said { summary, reply, source } => {
                        let (summary, source) = (*summary, *source);
                        let reply = &self.octets[reply.clone()];
                        held.learn(Lesson { subject, summary, reply, source });
                        octets += reply.len();
                    }
                }
                if octets >= PORTION_OCTETS {
                    break;
                }
            }
        }
        self.notes.clear();
        self.octets.clear();
        self.due = None;
    }
}
