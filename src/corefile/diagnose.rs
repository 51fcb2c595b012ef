//! What is wrong, where, and what would be right: told as a good compiler does,
//! with the line itself and the word marked, everything at once.

use super::source::{Place, Sources};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// One mistake: the operator's to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where.
    pub place: Place,
    /// What is wrong there.
    pub wrong: String,
    /// What would be right.
    pub remedy: String,
}

impl Diagnostic {
    /// A mistake at a place.
    pub fn new(place: Place, wrong: impl Into<String>, remedy: impl Into<String>) -> Self {
        Diagnostic { place, wrong: wrong.into(), remedy: remedy.into() }
    }
}

/// The mistakes of one configuration, as they are shown.
#[derive(Debug)]
pub struct Mistakes {
    /// All of them; at the end how many, where there may be several.
    pub found: String,
    counted: bool,
    /// The directories that were looked into: mending them is a change in one.
    pub directories: BTreeSet<PathBuf>,
}

impl Mistakes {
    /// One that leaves nothing to be read.
    pub(super) fn only(found: String, directories: BTreeSet<PathBuf>) -> Self {
        Mistakes { found, counted: false, directories }
    }
}

impl std::fmt::Display for Mistakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.found)?;
        if self.counted { f.write_str("; nothing is served") } else { Ok(()) }
    }
}

impl std::error::Error for Mistakes {}

/// Shows all of them, in the order of the file; of several at one word the
/// first that was found, because the others follow from it.
pub fn show(
    mut all: Vec<Diagnostic>,
    sources: &Sources,
    directories: BTreeSet<PathBuf>,
) -> Mistakes {
    let at = |mistake: &Diagnostic| (mistake.place.file, mistake.place.line, mistake.place.column);
    all.sort_by_key(at);
    all.dedup_by_key(|mistake| at(mistake));
    let mut out = String::new();
    for Diagnostic { place, wrong, remedy } in &all {
        let (line, column) = (place.line + 1, place.column + 1);
        let text = sources.line(*place).replace(char::is_control, " ");
        let (wrong, remedy) = (printable(wrong), printable(remedy));
        let margin = " ".repeat(line.to_string().len());
        let indent = " ".repeat(place.column);
        let mark = "^".repeat(place.width.max(1));
        out += &format!("{}:{line}:{column}: {wrong}\n", sources.name(place.file));
        out += &format!("  {line} | {text}\n  {margin} | {indent}{mark} {remedy}\n");
    }
    out += &if all.len() == 1 { "1 mistake".into() } else { format!("{} mistakes", all.len()) };
    Mistakes { found: out, counted: true, directories }
}

/// A word in quotes may have anything in it.
fn printable(text: &str) -> String {
    let escaped = |c: char| c.is_control().then(|| c.escape_default().to_string());
    text.chars().map(|c| escaped(c).unwrap_or_else(|| c.to_string())).collect()
}

/// The word among `known` that was probably meant.
pub fn close_to<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = match word.chars().count() {
        0..=2 => return None,
        3..=5 => 1,
        6..=12 => 2,
        _ => 3,
    };
    let near = known.into_iter().map(|name| (distance(word, name), name));
    near.filter(|(far, _)| (1..=most).contains(far)).min().map(|(_, name)| name)
}

/// Letters to add, take away or change to make one word the other.
fn distance(a: &str, b: &str) -> usize {
    // Longer words are never compared: names have 255 octets at most.
    let (a, b): (Vec<char>, Vec<char>) =
        (a.chars().take(256).collect(), b.chars().take(256).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = corner + usize::from(!x.eq_ignore_ascii_case(y));
            corner = row[j + 1];
            row[j + 1] = changed.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_words_are_found_and_distant_ones_are_not() {
        let known = ["forward", "gathersrv", "distributed.local."];
        assert_eq!(close_to("foward", known), Some("forward"));
        assert_eq!(close_to("distribiuted.local.", known), Some("distributed.local."));
        assert_eq!(close_to("kubernetes", known), None);
        assert_eq!(close_to("forward", known), None, "that is not a mistake");
    }

    #[test]
    fn longer_words_may_be_further_off() {
        // Letters, and how many of them may be wrong.
        for (len, most) in [(1, 0), (2, 0), (3, 1), (5, 1), (6, 2), (12, 2), (13, 3), (40, 3)] {
            let (known, off) = ("a".repeat(len), |n| "b".repeat(n) + &"a".repeat(len - n));
            for n in 1..=len.min(4) {
                let found = close_to(&off(n), [known.as_str()]);
                assert_eq!(found.is_some(), n <= most, "{n} of {len} letters");
            }
        }
    }

    #[test]
    fn of_several_the_closest_is_meant_and_case_is_no_difference() {
        assert_eq!(close_to("forwar", ["forwards", "forward"]), Some("forward"));
        assert_eq!(close_to("FORWAR", ["forward"]), Some("forward"));
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
    }
}
