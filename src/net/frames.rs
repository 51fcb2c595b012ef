//! Where a DNS message ends in a stream: two octets of length in front of each
//! (RFC 1035, 4.2.2).
//!
//! Both ends of the daemon read streams, clients' and clusters', and both are
//! fed by strangers. What they have in common is pure and here, so that it can
//! be tested and fuzzed without a socket.

use bytes::{Buf, BytesMut};

/// Octets in front of each message.
pub const LENGTH: usize = 2;

/// The message at the front of the input, if all of it is there.
pub fn first(input: &[u8]) -> Option<&[u8]> {
    let (&length, rest) = input.split_first_chunk::<LENGTH>()?;
    rest.get(..usize::from(u16::from_be_bytes(length)))
}

/// Takes a message of `len` octets, and its length, off the front of the input.
pub fn advance(input: &mut BytesMut, len: usize) {
    input.advance((LENGTH + len).min(input.len()));
}

/// Appends a message with its length in front. No message is longer than a
/// length can say: that is the bound of every buffer they are written into.
pub fn push(out: &mut BytesMut, message: &[u8]) {
    out.extend_from_slice(&(message.len() as u16).to_be_bytes());
    out.extend_from_slice(message);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t4_a_frame_is_there_when_its_last_octet_is() {
        let whole = [0, 3, b'a', b'b', b'c', 0];
        for cut in 0..5 {
            assert_eq!(first(&whole[..cut]), None, "cut at {cut}");
        }
        assert_eq!(first(&whole), Some(&b"abc"[..]));
        assert_eq!(first(&[0, 0, 9]), Some(&b""[..]));
    }

    #[test]
    fn t4_what_was_pushed_comes_out_again() {
        let mut stream = BytesMut::new();
        let messages = [&b""[..], b"x", &[7; 65_535]];
        for message in messages {
            push(&mut stream, message);
        }
        for message in messages {
            assert_eq!(first(&stream), Some(message));
            advance(&mut stream, message.len());
        }
        assert!(stream.is_empty());
    }
}
