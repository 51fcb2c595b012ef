//! Snippets and imports: what stands elsewhere is put where it is wanted.
//!
//! `(name) { ... }` is kept, `import name` puts it in place, `import PATTERN`
//! the files that match. An import of itself is found; depth, files and words
//! are bounded, so that a few lines cannot fill the memory.

use super::diagnose::{Diagnostic, close_to};
use super::lexer::{self, Environment};
use super::source::{Place, Sources, Token};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Imports inside imports.
const MOST_DEPTH: usize = 16;

/// Imports of one configuration. Depth alone would not do: eight in each of
/// sixteen are more than anybody has time for.
const MOST_IMPORTS: usize = 10_000;

/// Words of one configuration: some thousand zones.
const MOST_WORDS: usize = 1 << 20;

/// Octets of one file.
pub const MOST_OCTETS: u64 = 16 << 20;

/// Reads the files of a configuration and puts them together.
pub struct Expander<'a> {
    environment: Environment<'a>,
    /// No file is read but the one given: for tests of what is in it.
    pub alone: bool,
    /// What has been read.
    pub sources: Sources,
    /// The directories of what was read and looked for, for whoever watches
    /// them.
    pub directories: BTreeSet<PathBuf>,
    /// What was wrong so far.
    pub mistakes: Vec<Diagnostic>,
    snippets: BTreeMap<String, Vec<Token>>,
    out: Vec<Token>,
    /// The files and snippets being put in place.
    open: Vec<String>,
    imports: usize,
}

/// A file's text, or why there is none.
pub fn read_file(path: &Path) -> Result<String, String> {
    let told = |error: std::io::Error| format!("cannot be read: {error}");
    let size = std::fs::metadata(path).map_err(told)?.len();
    if size > MOST_OCTETS {
        return Err(format!("has {size} octets, more than any configuration"));
    }
    std::fs::read_to_string(path).map_err(told)
}

impl<'a> Expander<'a> {
    /// Nothing read yet.
    pub fn new(environment: Environment<'a>, alone: bool) -> Self {
        Expander {
            environment,
            alone,
            sources: Sources::default(),
            directories: BTreeSet::new(),
            mistakes: Vec::new(),
            snippets: BTreeMap::new(),
            out: Vec::new(),
            open: Vec::new(),
            imports: 0,
        }
    }

    /// The words of a file, with everything it imports.
    pub fn expand(&mut self, path: &Path, text: &str) -> Vec<Token> {
        self.open.push(path.display().to_string());
        self.file(path, text);
        std::mem::take(&mut self.out)
    }

    fn file(&mut self, path: &Path, text: &str) {
        self.directories.insert(beside(path, ""));
        let file = self.sources.add(path.display().to_string(), text);
        let tokens = lexer::words(file, text, self.environment, &mut self.mistakes);
        self.tokens(tokens, path);
    }

    /// Takes words over; `path` is the file that relative imports start from.
    fn tokens(&mut self, tokens: Vec<Token>, path: &Path) {
        let mut tokens = tokens.into_iter().peekable();
        let mut depth = 0usize;
        while let Some(token) = tokens.next() {
            if self.out.len() >= MOST_WORDS {
                let remedy = "look for imports that multiply";
                self.mistakes.push(Diagnostic::new(
                    token.place,
                    "there are too many words",
                    remedy,
                ));
                return;
            }
            let snippet = token.text.strip_prefix('(').and_then(|name| name.strip_suffix(')'));
            if let Some(name) = snippet.filter(|_| depth == 0 && token.starts_line)
                && tokens.peek().is_some_and(|next| next.is("{"))
            {
                let body = self.body(&mut tokens, token.place);
                self.snippets.insert(name.to_string(), body);
                continue;
            }
            if token.starts_line && token.is("import") {
                let mut wanted = Vec::new();
                while let Some(next) = tokens.next_if(|next| !next.starts_line) {
                    wanted.push(next);
                }
                match &wanted[..] {
                    [one] => self.import(one, path),
                    [] => self.wrong(token.place, "what is to be imported is missing"),
                    [_, more, ..] => self.wrong(more.place, "an import takes one name"),
                }
                continue;
            }
            match &token {
                open if open.is("{") => depth += 1,
                close if close.is("}") => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.out.push(token);
        }
    }

    fn wrong(&mut self, place: Place, wrong: &str) {
        let remedy = "write 'import SNIPPET' or 'import FILE'";
        self.mistakes.push(Diagnostic::new(place, wrong, remedy));
    }

    /// The words between braces.
    fn body(
        &mut self,
        tokens: &mut std::iter::Peekable<std::vec::IntoIter<Token>>,
        place: Place,
    ) -> Vec<Token> {
        let mut body = Vec::new();
        let mut depth = 0usize;
        for token in tokens.by_ref() {
            if token.is("{") {
                depth += 1;
                if depth == 1 {
                    continue;
                }
            } else if token.is("}") {
                depth -= 1;
                if depth == 0 {
                    return body;
                }
            }
            body.push(token);
        }
        self.mistakes.push(Diagnostic::new(place, "the snippet is not closed", "end it with '}'"));
        body
    }

    fn import(&mut self, wanted: &Token, from: &Path) {
        self.imports += 1;
        if self.imports > MOST_IMPORTS {
            return;
        }
        let name = &wanted.text;
        let mut wrong = |told: String, remedy: &str| {
            self.mistakes.push(Diagnostic::new(wanted.place, told, remedy));
        };
        if self.imports == MOST_IMPORTS {
            return wrong("there are too many imports".into(), "look for imports that multiply");
        }
        if self.open.len() > MOST_DEPTH {
            return wrong("imports go too deep".into(), "import from fewer files in a row");
        }
        if let Some(body) = self.snippets.get(name).cloned() {
            let known = format!("({name})");
            if self.open.contains(&known) {
                return wrong(format!("the snippet '{name}' imports itself"), "take this line out");
            }
            self.open.push(known);
            self.tokens(body, from);
            self.open.pop();
            return;
        }
        let looks_like_file = name.contains(['/', '.', '*', '?', '[']);
        if self.alone || !looks_like_file && !beside(from, name).exists() {
            let near = close_to(name, self.snippets.keys().map(String::as_str));
            let remedy = match near {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("define it above as '({name}) {{ ... }}', or name a file"),
            };
            return wrong(format!("there is no snippet and no file '{name}'"), &remedy);
        }
        self.directories.insert(beside(&beside(from, name), ""));
        let found = match glob::glob(&beside(from, name).to_string_lossy()) {
            Ok(paths) => paths.filter_map(Result::ok).filter(|path| path.is_file()).collect(),
            Err(error) => {
                return wrong(format!("the pattern makes no sense: {error}"), "name a file");
            }
        };
        let found: Vec<PathBuf> = found;
        // As with CoreDNS, a pattern may match nothing and a name may not.
        if found.is_empty() && !name.contains(['*', '?', '[']) {
            return wrong(format!("there is no file '{name}'"), "name one that is there");
        }
        for path in found {
            let known = path.display().to_string();
            let told = if self.open.contains(&known) {
                Err("imports itself".to_string())
            } else {
                read_file(&path)
            };
            match told {
                Ok(text) => {
                    self.open.push(known);
                    self.file(&path, &text);
                    self.open.pop();
                }
                Err(told) => self.mistakes.push(Diagnostic::new(
                    wanted.place,
                    format!("the file '{known}' {told}"),
                    "name another, or mend it",
                )),
            }
        }
    }
}

/// A path as written in the file `from`; its directory for an empty name.
pub fn beside(from: &Path, name: &str) -> PathBuf {
    from.parent().unwrap_or(Path::new("")).join(name)
}
