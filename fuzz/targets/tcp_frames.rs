//! A stream cut into messages: however its octets arrive, the same messages
//! come out, and nothing is waited for that is there.
//!
//! Input: how many octets arrive at a time (one octet, then again for each
//! arrival from a list of eight), then the stream.

use super::Input;
use bytes::BytesMut;
use gathersrv::net::frames;

/// See the top of this file.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let sizes: Vec<usize> = (0..8).map(|_| 1 + usize::from(input.octet())).collect();
    let stream = input.0;

    // What is there when all of it is, found by arithmetic alone.
    let mut expected = Vec::new();
    let mut at = 0;
    while at + 2 <= stream.len() {
        let len = usize::from(stream[at]) * 256 + usize::from(stream[at + 1]);
        if at + 2 + len > stream.len() {
            break;
        }
        expected.push(&stream[at + 2..at + 2 + len]);
        at += 2 + len;
    }

    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut waiting = BytesMut::new();
    let mut rest = stream;
    for size in sizes.iter().cycle() {
        while let Some(message) = frames::first(&waiting) {
            let len = message.len();
            found.push(message.to_vec());
            frames::advance(&mut waiting, len);
        }
        if rest.is_empty() {
            break;
        }
        let (arrived, later) = rest.split_at((*size).min(rest.len()));
        waiting.extend_from_slice(arrived);
        rest = later;
    }
    assert_eq!(found, expected);
    assert_eq!(&waiting[..], &stream[at..], "octets lost or made up");

    let mut again = BytesMut::new();
    for message in &found {
        frames::push(&mut again, message);
    }
    assert_eq!(&again[..], &stream[..at]);
}
