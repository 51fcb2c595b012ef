//! The tables: rows of four facts, name, octets, reaction and source.

use std::path::Path;

/// One row.
#[derive(Debug, Clone)]
pub struct Row {
    /// Where it stands.
    pub place: String,
    /// What it is.
    pub name: String,
    /// The octets, in the tables' notation.
    pub octets: String,
    /// What is to come of it.
    pub reaction: String,
    /// The RFC or CVE it is from.
    pub source: String,
}

impl Row {
    /// The file it is in.
    pub fn table(&self) -> &str {
        self.place.split(':').next().unwrap_or_default()
    }
}

/// Octets for a message; of many, the first.
pub fn short(octets: &[u8]) -> String {
    let (first, dots) = if octets.len() > 80 { (&octets[..80], "...") } else { (octets, "") };
    let hex: String = first.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{} octets: {hex}{dots}", octets.len())
}

/// The rows of one table.
pub fn rows(file: &str) -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile").join(file);
    let mut rows = Vec::new();
    for (n, line) in std::fs::read_to_string(path).unwrap().lines().enumerate() {
        if line.trim().is_empty() || line.starts_with("//") || line.starts_with("# ") {
            continue;
        }
        let place = format!("{file}:{}", n + 1);
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [name, octets, reaction, source] = columns[..] else {
            panic!("{place}: four columns, not {}", columns.len());
        };
        rows.push(Row {
            place,
            name: name.into(),
            octets: octets.into(),
            reaction: reaction.into(),
            source: source.into(),
        });
    }
    rows
}

/// Runs every row; all that fail are told at once.
pub fn each(rows: &[Row], run: impl Fn(&Row) -> Result<(), String>) {
    let mut failures = Vec::new();
    for row in rows {
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(row)));
        let what = match ran {
            Ok(Ok(())) => continue,
            Ok(Err(what)) => what,
            Err(_) => "panicked".into(),
        };
        failures.push(format!("{} {}: {what}", row.place, row.name));
    }
    let all = failures.join("\n");
    assert!(failures.is_empty(), "{} of {} rows fail:\n{all}", failures.len(), rows.len());
}

/// Whether a source is an RFC or a CVE by its number.
pub fn is_source(text: &str) -> bool {
    text.split(", ").next().is_some_and(|first| {
        let number = first.strip_prefix("RFC ").or_else(|| first.strip_prefix("CVE-"));
        number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
    })
}
