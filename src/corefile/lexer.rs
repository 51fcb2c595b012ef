//! Words of a Corefile, as Caddy's lexer has them: split at white space; in
//! quotes, where `\"` is a quote, anything; `#` at the start of a word begins
//! a comment. `{$NAME}` and `{%NAME%}` are variables of the environment.

use super::diagnose::Diagnostic;
use super::source::{Place, Token};

/// The variables of the environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Splits the text of file number `file` into words.
pub fn words(
    file: usize,
    text: &str,
    environment: Environment<'_>,
    mistakes: &mut Vec<Diagnostic>,
) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut lines = text.lines().enumerate();
    let mut last_line = usize::MAX;
    while let Some((line, content)) = lines.next() {
        let mut rest: Vec<char> = content.chars().collect();
        let mut at = 0;
        let mut line = line;
        while at < rest.len() {
            let c = rest[at];
            if c.is_whitespace() || c == '\u{feff}' {
                at += 1;
                continue;
            }
            if c == '#' {
                break;
            }
            let place = |end: usize| Place { file, line, column: at, width: end - at };
            let starts_line = last_line != line;
            last_line = line;
            if c != '"' {
                let len = rest[at..].iter().take_while(|c| !c.is_whitespace()).count();
                let word: String = rest[at..at + len].iter().collect();
                let place = place(at + len);
                let text = fill_in(&word, place, environment, mistakes);
                tokens.push(Token { text, place, starts_line, quoted: false });
                at += len;
                continue;
            }
            // A word in quotes may go on over lines; it is marked where it begins.
            let begin = place(rest.len());
            let mut word = String::new();
            at += 1;
            loop {
                match rest.get(at) {
                    Some('\\') if rest.get(at + 1) == Some(&'"') => {
                        word.push('"');
                        at += 2;
                    }
                    Some('"') => {
                        at += 1;
                        break;
                    }
                    Some(&c) => {
                        word.push(c);
                        at += 1;
                    }
                    None => match lines.next() {
                        Some((next, content)) => {
                            word.push('\n');
                            (line, at, rest) = (next, 0, content.chars().collect());
                        }
                        None => {
                            mistakes.push(Diagnostic::new(
                                begin,
                                "the quote is not closed",
                                "end the word with '\"'",
                            ));
                            break;
                        }
                    },
                }
            }
            last_line = line;
            let width = if line == begin.line { at - begin.column } else { begin.width };
            let place = Place { width, ..begin };
            let text = fill_in(&word, place, environment, mistakes);
            tokens.push(Token { text, place, starts_line, quoted: true });
        }
    }
    tokens
}

/// Puts variables into a word.
fn fill_in(
    word: &str,
    place: Place,
    environment: Environment<'_>,
    mistakes: &mut Vec<Diagnostic>,
) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some(at) = rest.find("{$").into_iter().chain(rest.find("{%")).min() {
        let closing = if rest[at..].starts_with("{$") { "}" } else { "%}" };
        let (before, from) = rest.split_at(at);
        out += before;
        let Some(end) = from[2..].find(closing) else {
            rest = from;
            break;
        };
        let name = &from[2..2 + end];
        match environment(name) {
            Some(value) => out += &value,
            None => mistakes.push(Diagnostic::new(
                place,
                format!("the environment has no variable '{name}'"),
                "set it, or write its value",
            )),
        }
        rest = &from[2 + end + closing.len()..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let environment = |name: &str| (name == "PORT").then(|| "1053".to_string());
        let mut mistakes = Vec::new();
        let words = words(0, text, &environment, &mut mistakes);
        let marked = words.iter().map(|token| {
            let mark = if token.starts_line { "/" } else { "" };
            format!("{mark}{}", token.text)
        });
        marked.chain(mistakes.iter().map(|m| format!("! {}", m.wrong))).collect()
    }

    #[test]
    fn words_are_split_as_caddy_splits_them() {
        assert_eq!(
            read("a.b.:53 {  # one\n\tbind ::1\n}"),
            ["/a.b.:53", "{", "/bind", "::1", "/}"]
        );
        assert_eq!(read("x \"a # \\\"b\" y#z"), ["/x", "a # \"b", "y#z"]);
        assert_eq!(read("x \"a\nb\" c\nd"), ["/x", "a\nb", "c", "/d"]);
        assert_eq!(read("x \"a"), ["/x", "a", "! the quote is not closed"]);
        assert_eq!(read("\u{feff}a\r\n\r\nb"), ["/a", "/b"]);
    }

    #[test]
    fn variables_are_filled_in() {
        assert_eq!(read(".:{$PORT} {%PORT%}x {$"), ["/.:1053", "1053x", "{$"]);
        assert_eq!(read("{$NO}"), ["/", "! the environment has no variable 'NO'"]);
    }
}
