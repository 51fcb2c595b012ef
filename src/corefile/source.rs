//! Where things stand: the files of a configuration, and places in them.

/// A stretch of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file, as [`Sources`] numbers them.
    pub file: usize,
    /// Its line, from 0.
    pub line: usize,
    /// Characters in front of it, from 0.
    pub column: usize,
    /// Its width in characters.
    pub width: usize,
}

/// A word of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it says, quotes taken off and variables filled in.
    pub text: String,
    /// Where it stands.
    pub place: Place,
    /// It is the first of its line.
    pub starts_line: bool,
    /// It stood in quotes, so it is a word whatever it says.
    pub quoted: bool,
}

impl Token {
    /// It is this word, and not in quotes.
    pub fn is(&self, word: &str) -> bool {
        !self.quoted && self.text == word
    }
}

/// The files read so far.
#[derive(Debug, Default)]
pub struct Sources(Vec<(String, Vec<String>)>);

impl Sources {
    /// Takes in a file; its number.
    pub fn add(&mut self, name: String, text: &str) -> usize {
        self.0.push((name, text.lines().map(str::to_string).collect()));
        self.0.len() - 1
    }

    /// What a file is called.
    pub fn name(&self, file: usize) -> &str {
        self.0.get(file).map_or("", |(name, _)| name)
    }

    /// A line of a file; empty behind its end.
    pub fn line(&self, place: Place) -> &str {
        let lines = self.0.get(place.file).map(|(_, lines)| lines);
        lines.and_then(|lines| lines.get(place.line)).map_or("", String::as_str)
    }
}
