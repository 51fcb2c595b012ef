//! Names outside every zone (Q7): whose answer is passed on, and with which bits.

use crate::common::text::{Question, Reply, shown};
use crate::common::{Asked, Lab, client};
use domain::base::iana::{Rcode, Rtype};
use gathersrv::engine::Transport;

/// The AD bit and, in a query, DO of an OPT record without options (RFC 6840, 5.7).
const AD: u8 = 0x20;

fn lab(forward: &str) -> Lab {
    Lab::new(&["--zone", "z.", "--cluster", "k. a- 10.8.0.1", "--forward", forward])
}

#[test]
fn q7_a_validated_answer_is_marked_for_clients_that_ask_for_the_mark() {
    let plain = || Question { edns: Some(1232), ..Question::new("www.example.", Rtype::A) };
    let with_do = Question { dnssec_ok: true, ..plain() }.packet();
    let mut with_ad = plain().packet();
    with_ad[3] |= AD;
    for (packet, validated, marked) in [
        (&plain().packet(), true, false),
        (&with_do, true, true),
        (&with_ad, true, true),
        (&with_do, false, false),
    ] {
        let mut lab = lab(". 192.0.2.53");
        lab.query(client(Transport::Udp), packet);
        let asked = lab.take_asked().remove(0);
        let mut reply = Reply::ok(&["www.example. 30 IN A 192.0.2.1"]).to(&asked.packet);
        reply[3] |= if validated { AD } else { 0 };
        lab.reply(asked.link, &reply);
        let answer = lab.take_answers().remove(0).packet;
        assert_eq!(answer[3] & AD != 0, marked, "{:?}", shown(&answer));
        lab.assert_idle();
    }
}

#[test]
fn q7_the_last_servers_refusal_is_passed_on() {
    let mut lab = lab(". 192.0.2.1 192.0.2.2 192.0.2.3");
    let refusal = |asked: &Asked| Reply::rcode(Rcode::REFUSED).to(&asked.packet);
    lab.udp(&Question::new("www.example.", Rtype::A).packet());
    for server in ["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"] {
        assert!(lab.take_answers().is_empty());
        let asked = lab.take_asked().remove(0);
        assert_eq!(asked.server.to_string(), server);
        lab.reply(asked.link, &refusal(&asked));
    }
    let lines = shown(&lab.take_answers().remove(0).packet);
    assert!(lines[0].starts_with("=> REFUSED"), "{lines:?}");
    lab.assert_idle();
}
