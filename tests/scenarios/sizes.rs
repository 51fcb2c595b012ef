//! T1, K9: answers around the client's size, octet by octet.

use crate::actors::ONE;
use crate::common::text::{Question, Reply, shown};
use crate::common::{Lab, TWO, client};
use domain::base::Message;
use domain::base::iana::{Rcode, Rtype};
use domain::base::opt::Padding;
use gathersrv::engine::Transport;

/// The answer that a client of this size gets to a question that every cluster
/// answers by `reply`, which is told the letter of its name.
fn answer(
    flags: &[&str],
    mut question: Question,
    size: u16,
    reply: impl Fn(&str) -> Reply,
) -> Vec<u8> {
    let mut lab = Lab::new(flags);
    question.edns = Some(size);
    lab.udp(&question.packet());
    for asked in lab.take_asked() {
        let letter = if asked.server.to_string().starts_with("10.8") { "a" } else { "b" };
        lab.reply(asked.link, &reply(letter).to(&asked.packet));
    }
    let packet = lab.take_answers().remove(0).packet;
    assert!(packet.len() <= size.into(), "{} octets for a client of {size}", packet.len());
    packet
}

/// Three CNAMEs with names so long that they and the SOA take more than 512 octets.
fn denied_chain(_: &str) -> Reply {
    let long = |letter: &str| format!("{0}.{0}.{0}.example.", letter.repeat(60));
    let line = |from: &str, to: &str| format!("{from} 30 IN CNAME {to}");
    let chain = [
        line("web.cluster-a.local.", &long("a")),
        line(&long("a"), &long("b")),
        line(&long("b"), &long("c")),
    ];
    let chain: Vec<&str> = chain.iter().map(String::as_str).collect();
    Reply { rcode: Some(Rcode::NXDOMAIN), ..Reply::ok(&chain) }
}

#[test]
fn t1_a_negative_answer_is_whole_where_it_fits_and_cut_where_one_octet_lacks() {
    let at =
        |size| answer(&ONE, Question::new("web.distributed.local.", Rtype::A), size, denied_chain);
    let whole = at(1232);
    let lines = shown(&whole);
    assert_eq!(lines[0], "=> NXDOMAIN aa edns");
    assert_eq!(lines.iter().filter(|line| line.contains(" CNAME ")).count(), 3);
    assert!(lines.iter().any(|line| line.contains(" SOA ")), "{lines:?}");
    let size = u16::try_from(whole.len()).unwrap();
    assert!(size > 512 + 1);
    assert_eq!(shown(&at(size)), lines);
    assert_eq!(shown(&at(size + 1)), lines);
    let cut = shown(&at(size - 1));
    assert_eq!(cut[0], "=> NXDOMAIN aa tc edns");
    assert_eq!(cut[1..], lines[1..4], "the chain fits, the SOA does not");
}

/// Each cluster has 20 addresses.
fn addresses(letter: &str) -> Reply {
    let octet = if letter == "a" { 8 } else { 9 };
    let lines: Vec<String> =
        (0..20).map(|n| format!("web.cluster-{letter}.local. 30 IN A 10.{octet}.0.{n}")).collect();
    Reply::ok(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn t1_a_positive_answer_is_whole_where_it_fits_and_k9_cuts_it_to_what_does() {
    let at =
        |size| answer(&TWO, Question::new("web.distributed.local.", Rtype::A), size, addresses);
    let whole = at(1232).len();
    assert_eq!(whole, 12 + 27 + 40 * 16 + 11);
    for size in 512..=whole + 1 {
        let packet = at(size as u16);
        let lines = shown(&packet);
        let fit = (size - (whole - 40 * 16)) / 16;
        assert_eq!(lines[0].contains(" tc"), size < whole, "{size}");
        assert_eq!(lines.len() - 1, fit.min(40), "every record that fits into {size}");
        let of_a = lines.iter().filter(|line| line.contains(" A 10.8.")).count();
        assert_eq!(of_a, fit.min(40).div_ceil(2), "in turns: {size}");
    }
}

/// Three members of a service, each with two addresses.
fn members(letter: &str) -> Reply {
    let suffix = format!("s.cluster-{letter}.local.");
    let host = |n| format!("{n}{}.{suffix}", "x".repeat(40));
    let srv = (0..3).map(|n| format!("_t._tcp.{suffix} 30 IN SRV 0 1 80 {}", host(n)));
    let octet = if letter == "a" { 8 } else { 9 };
    let address = |n: u8, m: u8| format!("{} 30 IN A 10.{octet}.{m}.{n}", host(n));
    let additional = (0..3).flat_map(|n| [address(n, 0), address(n, 1)]);
    let sections = [srv.collect(), vec![], additional.collect()];
    Reply { aa: true, sections, ..Reply::default() }
}

#[test]
fn t1_additional_rrsets_are_dropped_whole_and_no_cluster_loses_all_of_its_own_first() {
    let question = || Question::new("_t._tcp.s.distributed.local.", Rtype::SRV);
    let at = |size| answer(&TWO, question(), size, members);
    let whole = at(1232);
    let (size, one) = (whole.len(), 2 * 16);
    assert_eq!(shown(&whole).iter().filter(|line| line.contains(" A 10.")).count(), 12);
    let bare = size - 6 * one;
    assert!(bare > 512, "{bare}");
    for room in bare..=size + 1 {
        let lines = shown(&at(room as u16));
        assert_eq!(lines[0], "=> NOERROR aa edns", "no TC with {room}");
        let of =
            |octet| lines.iter().filter(|line| line.contains(&format!(" A 10.{octet}."))).count();
        let fit = ((room - bare) / one).min(6);
        assert_eq!((of(8), of(9)), (2 * fit.div_ceil(2), 2 * (fit / 2)), "{room}");
    }
}

/// TXT data of this number of octets on the wire.
fn text(octets: usize) -> String {
    let mut words = String::new();
    let mut left = octets;
    while left > 0 {
        let len = left.min(256) - 1;
        words += &format!(" \"{}\"", "x".repeat(len));
        left -= len + 1;
    }
    format!("s.cluster-a.local. 30 IN TXT{words}")
}

fn padding_options(packet: &[u8]) -> usize {
    let message = Message::from_octets(packet).unwrap();
    let opt = message.opt().expect("an OPT record");
    opt.opt().iter::<Padding<_>>().map(Result::unwrap).count()
}

#[test]
fn k9_an_answer_that_is_padded_is_no_larger_than_a_message_can_be() {
    let mut padded = Question::new("s.distributed.local.", Rtype::TXT).packet();
    padded[11] += 1;
    padded.extend(b"\0\0\x29\x04\xD0\0\0\0\0\0\x08\0\x0C\0\x04\0\0\0\0");
    let bare = 12 + 25 + 12 + 11;
    // As many octets as there would be without padding.
    for size in [1000, 65_000, 65_063, 65_064, 65_516, 65_517, 65_520, 65_535] {
        let mut lab = Lab::new(&[&ONE[..], &["--cache", "10"]].concat());
        let line = text(size - bare);
        let mut texts = Vec::new();
        // Merged, and given again.
        for _ in 0..3 {
            lab.query(client(Transport::Tls), &padded);
            for asked in lab.take_asked() {
                lab.reply(asked.link, &Reply::ok(&[&line]).to(&asked.packet));
            }
            let packet = lab.take_answers().remove(0).packet;
            assert!(packet.len() <= 65_535, "{} octets for {size}", packet.len());
            assert_eq!(packet.len() % 468, 0, "{size}");
            assert_eq!(padding_options(&packet), 1, "{size}");
            texts.push(shown(&packet).iter().filter(|line| line.contains(" TXT ")).count());
        }
        let fits = usize::from(size <= 65_063);
        assert_eq!(texts, [fits; 3], "{size}");
    }
}
