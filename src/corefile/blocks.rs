//! The shape of a Corefile: server blocks, directives in them, lines in those.
//! What the words mean is not known here.

use super::diagnose::Diagnostic;
use super::source::{Place, Token};

/// A server block as written.
#[derive(Debug)]
pub struct Block {
    /// What it serves: `distributed.local.:1053`, `dns://.`.
    pub keys: Vec<Token>,
    /// What it does.
    pub directives: Vec<Directive>,
}

/// A directive as written.
#[derive(Debug)]
pub struct Directive {
    /// Its name.
    pub name: Token,
    /// The words behind it on its line.
    pub args: Vec<Token>,
    /// The lines between its braces, if it has any. None is empty.
    pub body: Option<Vec<Vec<Token>>>,
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    mistakes: Vec<Diagnostic>,
}

/// Finds the blocks.
pub fn parse(tokens: Vec<Token>, mistakes: &mut Vec<Diagnostic>) -> Vec<Block> {
    let mut parser = Parser { tokens, at: 0, mistakes: Vec::new() };
    let mut blocks = Vec::new();
    while parser.peek().is_some() {
        let before = parser.at;
        blocks.extend(parser.block());
        if parser.at == before {
            parser.at += 1;
        }
    }
    mistakes.append(&mut parser.mistakes);
    blocks
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn next_is(&self, word: &str) -> bool {
        self.peek().is_some_and(|token| token.is(word))
    }

    fn wrong(&mut self, place: Place, wrong: &str, remedy: &str) {
        self.mistakes.push(Diagnostic::new(place, wrong, remedy));
    }

    fn block(&mut self) -> Option<Block> {
        let mut keys: Vec<Token> = Vec::new();
        let mut goes_on = true;
        // The keys end with the line, unless that ends with a comma.
        while let Some(token) = self.peek().cloned() {
            if token.is("{") || !keys.is_empty() && token.starts_line && !goes_on {
                break;
            }
            self.at += 1;
            if token.is("}") {
                self.wrong(token.place, "nothing is open here", "take this brace out");
                return None;
            }
            goes_on = token.text.ends_with(',');
            keys.extend(split_at_commas(token));
        }
        let braces = self.next_is("{");
        if keys.is_empty() {
            let place = self.peek().map(|token| token.place)?;
            let remedy = "write what the block serves, such as 'distributed.local. {'";
            self.wrong(place, "the server block has no name", remedy);
        }
        if braces {
            self.at += 1;
        }
        // Without braces everything that follows is this one block's.
        let open = self.tokens.get(self.at.saturating_sub(1)).map(|token| token.place);
        let directives = self.directives(braces, open);
        Some(Block { keys, directives })
    }

    fn directives(&mut self, braces: bool, open: Option<Place>) -> Vec<Directive> {
        let mut found = Vec::new();
        while let Some(name) = self.next() {
            if name.is("}") {
                if braces {
                    return found;
                }
                self.wrong(name.place, "nothing is open here", "take this brace out");
                continue;
            }
            if name.is("{") {
                let remedy = "open the block at the end of the line above";
                self.wrong(name.place, "nothing stands in front of this brace", remedy);
                self.body(name.place);
                continue;
            }
            let mut args = self.line();
            let ends_open = args.pop_if(|last| last.is("{"));
            let stray = args.iter().find(|word| word.is("{")).map(|word| word.place);
            if let Some(place) = stray {
                self.wrong(place, "a block cannot begin here", "open it at the end of the line");
            }
            let body = ends_open.map(|open| open.place).or(stray).map(|open| self.body(open));
            found.push(Directive { name, args, body });
        }
        if let Some(open) = open.filter(|_| braces) {
            self.wrong(open, "the server block is not closed", "end it with '}'");
        }
        found
    }

    /// The words up to the end of the line, or to a brace that closes.
    fn line(&mut self) -> Vec<Token> {
        let mut words = Vec::new();
        while let Some(token) = self.peek() {
            if token.starts_line || token.is("}") {
                break;
            }
            words.extend(self.next());
        }
        words
    }

    fn body(&mut self, open: Place) -> Vec<Vec<Token>> {
        let mut lines = Vec::new();
        while let Some(first) = self.next() {
            if first.is("}") {
                return lines;
            }
            let mut line = vec![first];
            line.extend(self.line());
            if let Some(brace) = line.iter().find(|word| word.is("{")).map(|word| word.place) {
                self.wrong(brace, "no block can be in this one", "take it out");
                self.body(brace);
            }
            lines.push(line);
        }
        self.wrong(open, "this brace is not closed", "end the block with '}' on a line of its own");
        lines
    }
}

/// `a,b,` is two keys.
fn split_at_commas(token: Token) -> Vec<Token> {
    let mut column = token.place.column;
    let mut keys = Vec::new();
    for part in token.text.split(',') {
        let width = part.chars().count();
        if width > 0 {
            // In quotes what is written is not what it says.
            let part_of = Place { column, width, ..token.place };
            let place = if token.quoted { token.place } else { part_of };
            keys.push(Token { text: part.into(), place, ..token.clone() });
        }
        column += width + 1;
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile::lexer::words;

    fn read(text: &str) -> Vec<String> {
        let mut mistakes = Vec::new();
        let tokens = words(0, text, &|_| None, &mut mistakes);
        let blocks = parse(tokens, &mut mistakes);
        let join = |words: &[Token]| {
            words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
        };
        let mut out = Vec::new();
        for block in blocks {
            out.push(join(&block.keys));
            for directive in block.directives {
                out.push(format!("  {} {}", directive.name.text, join(&directive.args)));
                out.extend(
                    directive.body.iter().flatten().map(|line| format!("    {}", join(line))),
                );
            }
        }
        out.extend(mistakes.iter().map(|m| format!("! {}", m.wrong)));
        out
    }

    #[test]
    fn blocks_directives_and_lines() {
        let text = "a.,b.:5 c. {\n x 1 2 {\n  y 3\n }\n z\n}\nd.,\ne. {\n}";
        let shape = ["a. b.:5 c.", "  x 1 2", "    y 3", "  z ", "d. e."];
        assert_eq!(read(text), shape);
        assert_eq!(read(".:53\nwhoami\nlog"), [".:53", "  whoami ", "  log "]);
    }

    #[test]
    fn braces_that_do_not_match() {
        assert_eq!(read("a. {\n x"), ["a.", "  x ", "! the server block is not closed"]);
        assert_eq!(read("}"), ["! nothing is open here"]);
        assert_eq!(
            read("a. {\n x {\n y"),
            [
                "a.",
                "  x ",
                "    y",
                "! this brace is not closed",
                "! the server block is not closed"
            ]
        );
        assert_eq!(read("{\n}"), ["", "! the server block has no name"]);
    }
}
