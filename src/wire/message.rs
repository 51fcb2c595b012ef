//! The frame of every answer: header and question in front, OPT behind, and
//! what is left for records between them.

use super::HEADER_LEN;
use super::edns::{self, Edns, MAX_EDE_TEXT};
use domain::base::iana::{ExtendedErrorCode, OptRcode};
use domain::base::{Header, HeaderSection};

/// The flags of an answer that are not the client's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags {
    /// The rcode, with the part that goes into the OPT record.
    pub rcode: OptRcode,
    /// Authoritative answer.
    pub aa: bool,
    /// Truncated.
    pub tc: bool,
    /// Recursion available.
    pub ra: bool,
    /// Authentic data: only ever true of what is passed on unchanged (M9).
    pub ad: bool,
}

/// Room kept for a comma and three dots.
const ELLIPSIS: usize = 5;

/// What an answer says about itself: extended DNS errors (RFC 8914).
///
/// Texts are cut to [`MAX_EDE_TEXT`] octets in all, so that an answer of 512
/// octets has room for them beside the longest question.
#[derive(Debug, Default)]
pub struct Notes {
    text: String,
    list: Vec<(ExtendedErrorCode, std::ops::Range<usize>)>,
}

impl Notes {
    /// Begins a new answer.
    pub fn clear(&mut self) {
        self.text.clear();
        self.list.clear();
    }

    /// Adds a note; `items` are joined with commas behind `text`. Where earlier
    /// notes have left no room for it, the code goes without a text.
    pub fn add<'a>(
        &mut self,
        code: ExtendedErrorCode,
        text: &str,
        items: impl Iterator<Item = &'a str>,
    ) {
        let start = self.text.len();
        let room = |all: &String, more: &str| all.len() + more.len() + 2 + ELLIPSIS <= MAX_EDE_TEXT;
        if !room(&self.text, text) {
            self.list.push((code, start..start));
            return;
        }
        self.text.push_str(text);
        for (n, item) in items.enumerate() {
            let comma = if n == 0 { " " } else { ", " };
            if !room(&self.text, item) {
                self.text.push_str(comma);
                self.text.push_str("...");
                break;
            }
            self.text.push_str(comma);
            self.text.push_str(item);
        }
        self.list.push((code, start..self.text.len()));
    }

    /// The notes, in order.
    pub fn iter(&self) -> impl Iterator<Item = (ExtendedErrorCode, &str)> {
        self.list.iter().map(|(code, range)| (*code, &self.text[range.clone()]))
    }

    fn len(&self) -> usize {
        self.iter().map(|(_, text)| edns::ede_len(text)).sum()
    }
}

/// Octets the OPT record of an answer takes: none without OPT in the query.
pub fn opt_len(edns: Option<Edns>, notes: &Notes) -> usize {
    edns.map_or(0, |edns| edns.opt_len() + notes.len() + edns.most_padding())
}

/// An answer being written at the end of a buffer.
#[derive(Debug)]
pub struct Message {
    /// Where it begins in the buffer.
    pub start: usize,
    /// Records in the answer, authority and additional sections so far.
    pub counts: [u16; 3],
    questions: u16,
}

impl Message {
    /// Leaves room for the header and repeats the question, if there is one.
    pub fn begin(out: &mut Vec<u8>, question: &[u8]) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_LEN]);
        out.extend_from_slice(question);
        Message { start, counts: [0; 3], questions: u16::from(!question.is_empty()) }
    }

    /// Octets written so far.
    pub fn len(&self, out: &[u8]) -> usize {
        out.len() - self.start
    }

    /// Writes OPT and header. `payload` is the size we announce.
    pub fn end(
        mut self,
        out: &mut Vec<u8>,
        client: &Header,
        flags: Flags,
        edns: Option<Edns>,
        payload: u16,
        notes: &Notes,
    ) {
        if let Some(edns) = edns {
            let rdlength = out.len() + edns::OPT_LEN - 2;
            edns.push_opt(out, payload, flags.rcode.ext());
            for (code, text) in notes.iter() {
                edns::push_ede(out, rdlength, code, text);
            }
            if edns.padded {
                edns::push_padding(out, self.start, rdlength);
            }
            self.counts[2] += 1;
        }
        let mut section = HeaderSection::default();
        let header = section.header_mut();
        header.set_id(client.id());
        header.set_qr(true);
        header.set_opcode(client.opcode());
        header.set_aa(flags.aa);
        header.set_tc(flags.tc);
        header.set_rd(client.rd());
        header.set_ra(flags.ra);
        header.set_ad(flags.ad);
        header.set_cd(client.cd());
        header.set_rcode(flags.rcode.rcode());
        let counts = section.counts_mut();
        counts.set_qdcount(self.questions);
        counts.set_ancount(self.counts[0]);
        counts.set_nscount(self.counts[1]);
        counts.set_arcount(self.counts[2]);
        if let Some(space) = out.get_mut(self.start..self.start + HEADER_LEN) {
            space.copy_from_slice(section.as_slice());
        }
    }
}

/// Appends an answer that was sent before, `age` seconds ago: with this
/// client's ID, flags and OPT record, and its TTLs counted down. `ttls` are the
/// offsets of the TTL fields.
pub fn push_answer_again(
    out: &mut Vec<u8>,
    message: &[u8],
    ttls: &[u16],
    age: u32,
    client: &Header,
    edns: Option<Edns>,
    payload: u16,
) {
    let start = out.len();
    out.extend_from_slice(message);
    let copy = &mut out[start..];
    let header = Header::for_message_slice_mut(copy);
    header.set_id(client.id());
    header.set_rd(client.rd());
    header.set_cd(client.cd());
    if age > 0 {
        for &place in ttls {
            let place = usize::from(place);
            if let Some(field) = copy.get_mut(place..).and_then(|rest| rest.first_chunk_mut()) {
                *field = u32::from_be_bytes(*field).saturating_sub(age).to_be_bytes();
            }
        }
    }
    if let Some(edns) = edns {
        // The additional section gets one record more.
        let count = u16::from_be_bytes([copy[10], copy[11]]).wrapping_add(1);
        copy[10..12].copy_from_slice(&count.to_be_bytes());
        let rdlength = out.len() + edns::OPT_LEN - 2;
        edns.push_opt(out, payload, 0);
        if edns.padded {
            edns::push_padding(out, start, rdlength);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_is_lost_for_want_of_room_for_its_text() {
        let mut notes = Notes::default();
        let names = ["a-rather-long-suffix-of-a-cluster.in-some-region.example. a-"; 4];
        for code in [ExtendedErrorCode::OTHER, ExtendedErrorCode::NETWORK_ERROR] {
            notes.add(code, "without", names.into_iter());
        }
        notes.add(ExtendedErrorCode::OTHER, "records left out", std::iter::empty());
        let codes: Vec<u16> = notes.iter().map(|(code, _)| code.to_int()).collect();
        assert_eq!(codes, [0, 23, 0]);
        assert!(notes.text.len() <= MAX_EDE_TEXT);
    }
}
