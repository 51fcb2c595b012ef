//! The notation of the tables: from readable text to octets.
//!
//! What the words mean is told at the top of `clients.txt`. A text may stand
//! for several inputs: `[a b]` is one of them each time, and `CUT` every
//! beginning of what is in it. So everything here is a list of possibilities,
//! and what stands side by side is each with each.

use std::collections::HashMap;

/// Every input that a text stands for.
pub type Inputs = Vec<Vec<u8>>;

/// Words that one side defines for itself: `ID`, `ASKED`.
pub type Words = HashMap<&'static str, Vec<u8>>;

/// Reads a text.
pub fn inputs(text: &str, words: &Words) -> Result<Inputs, String> {
    let mut reader = Reader { rest: text, words };
    let found = reader.run()?;
    match reader.rest {
        "" => Ok(found),
        rest => Err(format!("cannot go on at '{rest}'")),
    }
}

/// Every input of the first followed by every one of the second.
fn joined(first: &[Vec<u8>], second: &[Vec<u8>]) -> Inputs {
    first.iter().flat_map(|a| second.iter().map(move |b| [&a[..], b].concat())).collect()
}

struct Reader<'a> {
    rest: &'a str,
    words: &'a Words,
}

impl<'a> Reader<'a> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.rest = &self.rest[wanted.len_utf8()..];
        }
        found
    }

    fn take(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn close(&mut self, end: char) -> Result<(), String> {
        if self.eat(end) { Ok(()) } else { Err(format!("no '{end}' at '{}'", self.rest)) }
    }

    /// Items side by side, up to a closing bracket or the end.
    fn run(&mut self) -> Result<Inputs, String> {
        let mut all = vec![Vec::new()];
        while self.peek().is_some_and(|c| c != ')' && c != ']') {
            let item = self.item()?;
            all = joined(&all, &item);
        }
        Ok(all)
    }

    /// One thing, and how often.
    fn item(&mut self) -> Result<Inputs, String> {
        let once = self.once()?;
        if !self.eat('*') {
            return Ok(once);
        }
        let times = self.number()?;
        Ok(match &once[..] {
            [one] => vec![one.repeat(times)],
            several => (0..times).fold(vec![Vec::new()], |all, _| joined(&all, several)),
        })
    }

    fn once(&mut self) -> Result<Inputs, String> {
        if self.eat('(') {
            let inner = self.run()?;
            return self.close(')').map(|()| inner);
        }
        if self.eat('[') {
            return self.one_of();
        }
        if self.eat('"') {
            let text = self.take(|c| c != '"');
            self.close('"')?;
            return Ok(vec![label(text.as_bytes())]);
        }
        let octets = self.take(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
        if !octets.is_empty() {
            return Ok(vec![hex(octets)?]);
        }
        match self.take(|c| c.is_ascii_uppercase()) {
            "" => Err(format!("what is '{}'?", self.rest)),
            word => self.part(word),
        }
    }

    /// Behind `[`: possibilities, and ranges of them as `80..ff`.
    fn one_of(&mut self) -> Result<Inputs, String> {
        let mut all = Vec::new();
        while !self.eat(']') {
            let item = self.item()?;
            if !self.rest.starts_with("..") {
                all.extend(item);
                continue;
            }
            self.rest = &self.rest[2..];
            let last = self.item()?;
            let number = |octets: &[u8]| octets.iter().fold(0u64, |n, &o| n << 8 | u64::from(o));
            let width = item[0].len();
            for n in number(&item[0])..=number(&last[0]) {
                all.push(n.to_be_bytes()[8 - width..].to_vec());
            }
        }
        Ok(all)
    }

    fn number(&mut self) -> Result<usize, String> {
        self.peek();
        let word = self.take(|c| c.is_ascii_alphanumeric());
        let number = match word.strip_prefix("0x") {
            Some(digits) => usize::from_str_radix(digits, 16),
            None => word.parse(),
        };
        number.map_err(|_| format!("'{word}' is no number"))
    }

    fn numbers(&mut self) -> Result<Vec<usize>, String> {
        let mut all = Vec::new();
        if self.eat('(') {
            while !self.eat(')') {
                all.push(self.number()?);
                self.eat(',');
            }
        }
        Ok(all)
    }

    /// A part that has a name.
    fn part(&mut self, word: &str) -> Result<Inputs, String> {
        if word == "SIZED" || word == "CUT" {
            self.close('(')?;
            let inner = self.run()?;
            self.close(')')?;
            let beginnings = |octets: &Vec<u8>| -> Inputs {
                (0..octets.len()).map(|n| octets[..n].to_vec()).collect()
            };
            return Ok(match word {
                "SIZED" => inner.iter().map(|octets| sized(octets)).collect(),
                _ => inner.iter().flat_map(beginnings).collect(),
            });
        }
        if let Some(octets) = self.words.get(word) {
            return Ok(vec![octets.clone()]);
        }
        let given = self.numbers()?;
        let n = |place: usize, otherwise: usize| given.get(place).copied().unwrap_or(otherwise);
        let twos = |list: &[usize]| -> Vec<u8> {
            list.iter().flat_map(|&n| (n as u16).to_be_bytes()).collect()
        };
        Ok(vec![match word {
            "NOTHING" => Vec::new(),
            "HEADER" => twos(&[0x4242, n(4, 0x0100), n(0, 0), n(1, 0), n(2, 0), n(3, 0)]),
            "REPLY" => {
                let id = self.words.get("ID").ok_or("REPLY is for clusters")?;
                [&id[..], &twos(&[n(4, 0x8400), n(0, 0), n(1, 0), n(2, 0), n(3, 0)])].concat()
            }
            "NAME" => web(),
            "QUESTION" => [web(), twos(&[n(0, 1), n(1, 1)])].concat(),
            "LABEL" => label(&vec![b'x'; n(0, 1)]),
            "RR" => [twos(&[n(0, 1), 1]), (n(1, 30) as u32).to_be_bytes().to_vec()].concat(),
            "OPT" => [vec![0], twos(&[41, 1232, 0, 0, 0])].concat(),
            "OPTHEAD" => [vec![0], twos(&[41, 1232, 0, 0])].concat(),
            "COOKIE" => [twos(&[10]), sized(&vec![0xC5; n(0, 8)])].concat(),
            _ => return Err(format!("there is no part '{word}'")),
        }])
    }
}

/// The name that everybody asks for.
fn web() -> Vec<u8> {
    [label(b"web"), label(b"distributed"), label(b"local"), vec![0]].concat()
}

/// Octets with their number in front, as one octet.
fn label(octets: &[u8]) -> Vec<u8> {
    [&[octets.len() as u8], octets].concat()
}

/// Octets with their number in front, as two octets.
fn sized(octets: &[u8]) -> Vec<u8> {
    [&(octets.len() as u16).to_be_bytes(), octets].concat()
}

fn hex(digits: &str) -> Result<Vec<u8>, String> {
    if !digits.len().is_multiple_of(2) {
        return Err(format!("half an octet in '{digits}'"));
    }
    let octet = |n| u8::from_str_radix(&digits[n..n + 2], 16).map_err(|why| why.to_string());
    (0..digits.len()).step_by(2).map(octet).collect()
}

#[test]
fn the_notation_says_what_it_means() {
    let words = Words::from([("ID", vec![1, 2])]);
    let one = |text: &str| {
        let found = inputs(text, &words).unwrap();
        assert_eq!(found.len(), 1, "{text}");
        found[0].clone()
    };
    assert_eq!(one("c00c 00*3 \"ab\""), b"\xC0\x0C\0\0\0\x02ab");
    assert_eq!(one("(01 \"a\")*2"), b"\x01\x01a\x01\x01a");
    assert_eq!(one("SIZED(0a000001)"), b"\0\x04\x0A\0\0\x01");
    assert_eq!(one("HEADER(1,0,0,2,0x8000)"), b"\x42\x42\x80\0\0\x01\0\0\0\0\0\x02");
    assert_eq!(one("REPLY(1,1,0,0)"), b"\x01\x02\x84\0\0\x01\0\x01\0\0\0\0");
    assert_eq!(one("RR(5,60)"), b"\0\x05\0\x01\0\0\0\x3C");
    assert_eq!(one("OPTHEAD SIZED(COOKIE(1))"), b"\0\0\x29\x04\xD0\0\0\0\0\0\x05\0\x0A\0\x01\xC5");
    assert_eq!(one("OPT"), one("OPTHEAD SIZED(NOTHING)"));
    let several = inputs("00 [01 0203 7e..80]", &words).unwrap();
    assert_eq!(several, [&b"\0\x01"[..], b"\0\x02\x03", b"\0\x7E", b"\0\x7F", b"\0\x80"]);
    assert_eq!(inputs("CUT(0102)", &words).unwrap(), [&b""[..], b"\x01"]);
    for wrong in ["0", "(00", "WHAT", "00)", "\"a", "x"] {
        assert!(inputs(wrong, &words).is_err(), "{wrong}");
    }
}
