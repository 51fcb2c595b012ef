//! DNS cookies towards servers (RFC 7873, 5.3): who has given one is believed by
//! datagram only with it.

use crate::actors::{MS, ONE, address, addresses, ask_web};
use crate::common::{Asked, Lab};
use crate::{cookie_of, with_cookie};
use gathersrv::engine::Transport;

const SERVER: &[u8] = b"serverly";

/// The server's answer with our cookie and its own.
fn vouched(asked: &Asked, last: u8, own: &[u8]) -> Vec<u8> {
    let ours = &cookie_of(&asked.packet).expect("a cookie")[..8];
    with_cookie(address(asked, last), &[ours, own].concat(), 0)
}

/// A laboratory whose server has given its cookie.
fn introduced() -> Lab {
    let mut lab = Lab::new(&ONE);
    let asked = ask_web(&mut lab).remove(0);
    assert_eq!(cookie_of(&asked.packet).map(<[u8]>::len), Some(8), "only ours at first");
    lab.reply(asked.link, &vouched(&asked, 1, SERVER));
    assert_eq!(addresses(&mut lab), [1]);
    lab
}

#[test]
fn a_server_without_cookies_is_asked_for_one_on_each_new_port_only() {
    let mut lab = Lab::new(&ONE);
    let mut with = 0;
    for n in 0..50 {
        let asked = ask_web(&mut lab).remove(0);
        with += usize::from(cookie_of(&asked.packet).is_some());
        lab.reply(asked.link, &address(&asked, n));
        assert_eq!(addresses(&mut lab), [n]);
        lab.pass(MS);
    }
    assert_eq!(with, lab.opened.len());
}

#[test]
fn a_server_is_shown_its_own_cookie() {
    let mut lab = introduced();
    let asked = ask_web(&mut lab).remove(0);
    assert_eq!(&cookie_of(&asked.packet).unwrap()[8..], SERVER);
    lab.reply(asked.link, &vouched(&asked, 2, b"another one"));
    assert_eq!(addresses(&mut lab), [2]);
    let asked = ask_web(&mut lab).remove(0);
    assert_eq!(&cookie_of(&asked.packet).unwrap()[8..], b"another one");
}

#[test]
fn u1_a_datagram_without_the_cookie_or_with_a_wrong_one_does_not_count() {
    let mut lab = introduced();
    let asked = ask_web(&mut lab).remove(0);
    let wrong = with_cookie(address(&asked, 66), b"12345678serverly", 0);
    for bad in [address(&asked, 66), wrong] {
        lab.reply(asked.link, &bad);
        assert!(lab.answers.is_empty());
    }
    let over_tcp = lab.take_asked();
    assert_eq!(over_tcp.len(), 1, "asked over TCP beside, once");
    assert_eq!(over_tcp[0].transport, Transport::Tcp);
    lab.reply(asked.link, &vouched(&asked, 1, SERVER));
    assert_eq!(addresses(&mut lab), [1]);
}

#[test]
fn a_server_that_has_given_cookies_up_says_so_over_tcp() {
    let mut lab = introduced();
    let asked = ask_web(&mut lab).remove(0);
    lab.reply(asked.link, &address(&asked, 1));
    let over_tcp = lab.take_asked().remove(0);
    lab.reply(over_tcp.link, &address(&over_tcp, 1));
    assert_eq!(addresses(&mut lab), [1]);
    let asked = ask_web(&mut lab).remove(0);
    assert_eq!(asked.transport, Transport::Udp);
    lab.reply(asked.link, &address(&asked, 2));
    assert_eq!(addresses(&mut lab), [2]);
}

#[test]
fn badcookie_is_asked_again_with_the_new_one_and_then_over_tcp() {
    let mut lab = introduced();
    let asked = ask_web(&mut lab).remove(0);
    let ours = cookie_of(&asked.packet).unwrap()[..8].to_vec();
    let refusal = |asked: &Asked, own: &[u8]| {
        let mut packet = crate::actors::truncated(asked);
        packet[2..4].copy_from_slice(&[0x84, 7]);
        with_cookie(packet, &[&ours, own].concat(), 1)
    };
    lab.reply(asked.link, &refusal(&asked, b"renewed!"));
    assert!(lab.answers.is_empty());
    let again = lab.take_asked().remove(0);
    assert_eq!(again.transport, Transport::Udp);
    assert_eq!(&cookie_of(&again.packet).unwrap()[8..], b"renewed!");
    lab.reply(again.link, &refusal(&again, b"and anew"));
    let over_tcp = lab.take_asked().remove(0);
    assert_eq!(over_tcp.transport, Transport::Tcp);
    lab.reply(over_tcp.link, &vouched(&over_tcp, 1, b"and anew"));
    assert_eq!(addresses(&mut lab), [1]);
}

#[test]
fn a_forged_formerr_does_not_talk_us_out_of_cookies() {
    let mut lab = introduced();
    let asked = ask_web(&mut lab).remove(0);
    let mut formerr = asked.packet[..12].to_vec();
    formerr[2..].copy_from_slice(&[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    lab.reply(asked.link, &formerr);
    let next = lab.take_asked().remove(0);
    assert_eq!(next.transport, Transport::Tcp);
    assert!(cookie_of(&next.packet).is_some());
}
