//! Frame streams, as much as who sends dnstap needs: the handshake in both
//! directions, data frames, and the end. A frame is its length and its octets; a
//! length of zero announces a control frame.

use std::io::{self, Read};

/// What is in the frames.
pub const CONTENT: &[u8] = b"protobuf:dnstap.Dnstap";

/// The longest control frame there is.
const LONGEST_CONTROL: usize = 512;

/// The field of a control frame that names what is in the frames.
const CONTENT_FIELD: u32 = 1;

/// Control frames, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// The reader takes what the writer has.
    Accept = 1,
    /// Data follow.
    Start = 2,
    /// No data follow.
    Stop = 3,
    /// The writer says what it has.
    Ready = 4,
    /// The reader has everything.
    Finish = 5,
}

fn push_number(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&(number as u32).to_be_bytes());
}

/// Appends a data frame.
pub fn push(out: &mut Vec<u8>, octets: &[u8]) {
    push_number(out, octets.len());
    out.extend_from_slice(octets);
}

/// A control frame, which names the content where that is customary.
pub fn control(what: Control) -> Vec<u8> {
    let mut inner = Vec::new();
    push_number(&mut inner, what as usize);
    if matches!(what, Control::Ready | Control::Start | Control::Accept) {
        push_number(&mut inner, CONTENT_FIELD as usize);
        push(&mut inner, CONTENT);
    }
    let mut frame = Vec::new();
    push_number(&mut frame, 0);
    push(&mut frame, &inner);
    frame
}

fn number(octets: &mut &[u8]) -> io::Result<u32> {
    let mut four = [0; 4];
    octets.read_exact(&mut four)?;
    Ok(u32::from_be_bytes(four))
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

/// Reads a control frame that has to be this one.
pub fn expect(reader: &mut impl Read, what: Control) -> io::Result<()> {
    let mut head = [0; 8];
    reader.read_exact(&mut head)?;
    let mut left = &head[..];
    let (escape, len) = (number(&mut left)?, number(&mut left)? as usize);
    if escape != 0 || !(4..=LONGEST_CONTROL).contains(&len) {
        return Err(wrong("it does not speak frame streams"));
    }
    let mut frame = vec![0; len];
    reader.read_exact(&mut frame)?;
    let mut left = &frame[..];
    if number(&mut left)? != what as u32 {
        return Err(wrong("it sent another control frame than the one that was due"));
    }
    // Who names no content takes all.
    let (mut named, mut ours) = (false, false);
    while !left.is_empty() {
        let (field, len) = (number(&mut left)?, number(&mut left)? as usize);
        let value = left.split_off(..len).ok_or_else(|| wrong("a control frame is cut"))?;
        if field == CONTENT_FIELD {
            named = true;
            ours |= value == CONTENT;
        }
    }
    if named && !ours {
        return Err(wrong("it does not take dnstap"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_the_protocol_has_them() {
        let mut out = Vec::new();
        push(&mut out, b"abc");
        assert_eq!(out, b"\0\0\0\x03abc");
        assert_eq!(control(Control::Stop), b"\0\0\0\0\0\0\0\x04\0\0\0\x03");
        let ready = b"\0\0\0\0\0\0\0\x22\0\0\0\x04\0\0\0\x01\0\0\0\x16protobuf:dnstap.Dnstap";
        assert_eq!(control(Control::Ready), ready);
    }

    #[test]
    fn an_answer_has_to_be_the_one_that_is_due_and_for_what_we_have() {
        let read = |octets: &[u8]| expect(&mut &octets[..], Control::Accept);
        assert!(read(&control(Control::Accept)).is_ok());
        assert!(read(b"\0\0\0\0\0\0\0\x04\0\0\0\x01").is_ok(), "takes all");
        assert!(read(&control(Control::Ready)).is_err());
        let other = b"\0\0\0\0\0\0\0\x0d\0\0\0\x01\0\0\0\x01\0\0\0\x01x";
        assert!(read(other).unwrap_err().to_string().contains("does not take dnstap"));
        for bad in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"\0\0\0\0\xff\xff\xff\xff",
            b"\0\0\0\0\0\0\0\x0d\0\0\0\x01\0\0\0\x01\0\0\0\xffx",
            b"\0\0\0\0\0\0\0\x02\0\0",
            b"\0\0",
            b"",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
