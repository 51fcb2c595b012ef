//! Floods of names never asked before, existing or not, at thousands a second.

use crate::names::{Kind, Name};
use crate::weather::Weather;
use domain::base::iana::Rtype;
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::Duration;

/// Microseconds between two of its questions, on average.
const PACE: u64 = 400;

/// The questions of all floods of a world, and when they come. `before` is how
/// many names have been used up.
pub fn questions(weather: &Weather, before: u16, rng: &mut StdRng) -> Vec<(Duration, Name, Rtype)> {
    let mut all = Vec::new();
    let mut number = before;
    for flood in &weather.floods {
        let mut time = weather.over.mul_f64(flood.at);
        for _ in 0..flood.names {
            let kind = if flood.existing { Kind::Made } else { Kind::Absent };
            let rtype = if rng.random_range(0..10) == 0 { Rtype::AAAA } else { Rtype::A };
            all.push((time, Name::plain(kind, number), rtype));
            time += Duration::from_micros(rng.random_range(0..2 * PACE));
            number = number.wrapping_add(1);
        }
    }
    all
}
