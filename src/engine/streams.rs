//! The connections to the clusters' servers: one to each, for what does not fit
//! a datagram (T2), for servers that are asked over TLS, and for those whose
//! datagrams somebody guesses at.
//!
//! A connection can be dead without anybody having said so. It is known by what
//! does not come: a question that is not answered in its time, while nothing
//! else has come either, is the last one there.

use super::links::{LinkId, Links};
use super::outbox::Outbox;
use super::time::Time;

impl Links {
    pub(super) fn pick_stream(&mut self, now: Time, server: usize, out: &mut Outbox) -> u32 {
        if let Some(index) = self.servers[server].stream {
            return index;
        }
        let transport = self.servers[server].stream();
        let index = self.open(now, server, transport, out);
        self.servers[server].stream = Some(index);
        index
    }

    /// A stream that nothing has come on since `asked` may be dead without
    /// anybody having said so: the next question opens another.
    pub fn renew_stream(&mut self, server: usize, asked: Time, out: &mut Outbox) -> bool {
        let Some(index) = self.servers[server].stream else { return true };
        let alive = self.links[index as usize].heard_at.is_some_and(|heard| heard >= asked);
        if !alive {
            self.servers[server].stream = None;
            self.retire(index, out);
        }
        !alive
    }

    /// A question on a stream was not answered in its time, and nothing else has
    /// come there since it was asked: no more questions go there.
    pub fn leave_silent(&mut self, id: LinkId, asked: Time, out: &mut Outbox) {
        let Some(server) = self.server_of(id) else { return };
        if self.servers[server].stream == Some(id.index) {
            self.renew_stream(server, asked, out);
        }
    }

    /// Whether anything ever came on the stream to a server.
    pub fn stream_works(&self, server: usize) -> bool {
        let stream = self.servers[server].stream;
        stream.is_some_and(|index| self.links[index as usize].heard_at.is_some())
    }
}
