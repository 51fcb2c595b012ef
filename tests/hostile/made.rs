//! Rows that a program makes: inputs too long to be written, or of more than
//! one packet. The same four facts as in the tables; how each is played is in
//! `plays.rs`.

use crate::plays;

/// One row.
pub struct Made {
    pub name: &'static str,
    /// What the octets are, in words.
    pub octets: &'static str,
    pub reaction: &'static str,
    pub source: &'static str,
    run: fn(),
}

pub const ALL: [Made; 14] = [
    Made {
        name: "every ID but the right one",
        octets: "65,535 forged answers, each with another ID",
        reaction: "the port is closed, and the good answer over TCP wins",
        source: "CVE-2008-1447",
        run: plays::every_wrong_id,
    },
    Made {
        name: "the right ID at the wrong socket",
        octets: "each cluster's answer, on the other cluster's socket",
        reaction: "ignored, and the good answers win",
        source: "CVE-2020-25705",
        run: plays::wrong_socket,
    },
    Made {
        name: "the same answer again and again",
        octets: "the good answer a hundred times, while another cluster is waited for",
        reaction: "the first is used, the others are ignored",
        source: "RFC 5452, 9.1",
        run: plays::again_and_again,
    },
    Made {
        name: "an answer behind the deadline",
        octets: "the good answer, a second late",
        reaction: "SERVFAIL at the deadline, and then nothing",
        source: "RFC 5452, 9.1",
        run: plays::late,
    },
    Made {
        name: "a thousand broken answers",
        octets: "the good answer and one octet, a thousand times",
        reaction: "asked eight times more, and the good answer wins",
        source: "RFC 1035, 7.1",
        run: plays::broken_for_ever,
    },
    Made {
        name: "one cluster that sends nothing but rubbish",
        octets: "ones, once a millisecond, until the deadline",
        reaction: "the answer has the other cluster's records",
        source: "RFC 5452, 9.1",
        run: plays::rubbish_until_the_deadline,
    },
    Made {
        name: "truncated, and then rubbish over TCP",
        octets: "TC; over TCP ones, half an answer, an answer with an octet behind it",
        reaction: "ignored, and the good answer wins",
        source: "RFC 2181, 9",
        run: plays::rubbish_over_tcp,
    },
    Made {
        name: "truncated, and truncated over TCP",
        octets: "TC; over TCP TC again",
        reaction: "the next server is asked, and its good answer wins",
        source: "RFC 2181, 9",
        run: plays::truncated_over_tcp,
    },
    Made {
        name: "250 records",
        octets: "250 different addresses of one name",
        reaction: "used: all over TCP, and TC with whole records over UDP",
        source: "CVE-2024-1737",
        run: plays::many_records,
    },
    Made {
        name: "5,000 names that share no suffix",
        octets: "2,500 MINFO records with two names each, over TCP",
        reaction: "used, all of them",
        source: "CVE-2024-8508",
        run: plays::no_common_suffix,
    },
    Made {
        name: "a rewrite that grows past 65,535 octets",
        octets: "2,000 SRV records whose targets share 230 octets that are written once",
        reaction: "used: as many whole records as fit, without TC",
        source: "RFC 1035, 4.2.2",
        run: plays::growth,
    },
    Made {
        name: "a chain without end",
        octets: "2,000 CNAME records, each leading to the next",
        reaction: "used: cut as resolvers cut it",
        source: "RFC 1034, 3.6.2",
        run: plays::long_chain,
    },
    Made {
        name: "labels that the prefix makes too long",
        octets: "SRV records whose targets begin with labels of 61 and of 62 octets",
        reaction: "used: the one that fits, and EDE 0",
        source: "RFC 1035, 2.3.4",
        run: plays::long_labels,
    },
    Made {
        name: "truncated, and then silence over TCP",
        octets: "TC; over TCP nothing",
        reaction: "the next server is asked before the deadline, and its good answer wins",
        source: "RFC 7766, 5",
        run: plays::silence_over_tcp,
    },
];

fn play(rows: &[Made]) {
    let mut failures = Vec::new();
    for made in rows {
        if std::panic::catch_unwind(made.run).is_err() {
            failures.push(format!("{}: expected {}", made.name, made.reaction));
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), rows.len(), failures.join("\n"));
}

#[test]
fn every_made_row_has_its_reaction() {
    play(&ALL);
}
