//! What hostile clients send: every row of `clients.txt`, over both transports,
//! and a good question behind it.

use crate::actors::{address, address_query};
use crate::common::text::shown;
use crate::common::{Lab, TWO, client};
use crate::octets::{Words, inputs};
use crate::table::{Row, each, rows, short};
use domain::base::Message;
use domain::base::iana::OptRcode;
use gathersrv::engine::Transport;

/// Answers whatever the clusters are asked; tells whether they were.
fn clusters_answer(lab: &mut Lab) -> bool {
    let asked = lab.take_asked();
    for asked in &asked {
        lab.reply(asked.link, &address(asked, 1));
    }
    !asked.is_empty()
}

/// An answer in the words of the table.
fn words(packet: &[u8], asked: bool) -> String {
    // Reads every record there is, and panics at what cannot be read.
    shown(packet);
    let message = Message::from_octets(packet).unwrap();
    let header = message.header();
    let opt = message.opt();
    let rcode = opt.as_ref().map_or(OptRcode::from_rcode(header.rcode()), |opt| opt.rcode(header));
    let mut all = rcode.to_string();
    let rest = [
        ("asked", asked),
        ("opt", opt.is_some()),
        ("question", message.header_counts().qdcount() == 1),
    ];
    for (word, _) in rest.iter().filter(|(_, there)| *there) {
        all.push(' ');
        all.push_str(word);
    }
    all
}

/// Whether it is the reaction of the table; `opt?` there leaves it open.
fn is_reaction(got: &str, wanted: &str) -> bool {
    got == wanted.replace(" opt?", "") || got == wanted.replace("opt?", "opt")
}

fn meet(packet: &[u8], transport: Transport, wanted: &str) -> Result<(), String> {
    let mut lab = Lab::new(&TWO);
    lab.query(client(transport), packet);
    let asked = clusters_answer(&mut lab);
    let answers = lab.take_answers();
    let got = match &answers[..] {
        [] if asked => "asked, and no answer".into(),
        [] => "none".into(),
        [answer] => {
            let (reply, most) = (&answer.packet, if wanted.contains("opt") { 1232 } else { 512 });
            if reply[..2] != packet[..2] || reply[2] & 0xF8 != 0x80 | packet[2] & 0x78 {
                return Err("ID, QR or opcode are not those of an answer to it".into());
            }
            if transport == Transport::Udp && reply.len() > most {
                return Err(format!("an answer of {} octets", reply.len()));
            }
            words(reply, asked)
        }
        several => format!("{} answers", several.len()),
    };
    if !is_reaction(&got, wanted) {
        return Err(format!("{got}; expected {wanted}"));
    }
    lab.assert_idle();
    lab.query(client(transport), &address_query(crate::actors::WEB));
    clusters_answer(&mut lab);
    match crate::actors::addresses(&mut lab)[..] {
        [1] => {}
        ref other => return Err(format!("the good question behind it gets {other:?}")),
    }
    lab.assert_idle();
    Ok(())
}

fn run(row: &Row) -> Result<(), String> {
    for packet in inputs(&row.octets, &Words::new())? {
        for transport in [Transport::Udp, Transport::Tcp] {
            meet(&packet, transport, &row.reaction)
                .map_err(|what| format!("{what} ({transport:?}, {})", short(&packet)))?;
        }
    }
    Ok(())
}

#[test]
fn t5_every_row_of_the_clients_has_its_reaction() {
    each(&rows("clients.txt"), run);
}
