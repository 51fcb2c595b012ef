//! A configuration file of any text: it is read or its mistakes are told, and
//! every mistake is at a place that is in the file.
//!
//! Input: the text.

use gathersrv::config::Settings;
use gathersrv::corefile::read_text;

/// See the top of this file.
pub fn run(data: &[u8]) {
    let text = &String::from_utf8_lossy(data);
    let Err(mistakes) = read_text("Corefile", text, &Settings::default()) else { return };
    let lines: Vec<&str> = text.lines().collect();
    for told in mistakes.to_string().lines() {
        let mut place = told.strip_prefix("Corefile:").unwrap_or("").splitn(3, ':');
        let number = |part: Option<&str>| part.and_then(|part| part.parse::<usize>().ok());
        if let (Some(line), Some(column)) = (number(place.next()), number(place.next())) {
            let content = lines.get(line - 1).expect("a line of the file");
            assert!((1..=content.chars().count().max(1)).contains(&column), "{told}\n{text}");
        }
    }
}
