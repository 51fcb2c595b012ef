//! Numbers and times as people read them. Whatever a number is, some words come
//! out: it was read from a network.

/// Seconds, in the two largest units that matter.
pub fn span(seconds: f64) -> String {
    // A float that is no number, or below zero, becomes 0; too large, the largest.
    let all = seconds as u64;
    let (days, hours, minutes) = (all / 86_400, all / 3600 % 24, all / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{all}s"),
        (0, 0, _) => format!("{minutes}m {}s", all % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// The time from then to now.
pub fn since(now: f64, then: f64) -> String {
    span((now - then).max(0.0))
}

/// The hour of a moment.
pub fn clock(at: f64) -> String {
    let all = at as u64;
    format!("{:02}:{:02}:{:02} UTC", all / 3600 % 24, all / 60 % 60, all % 60)
}

/// So many a second.
pub fn rate(per_second: f64) -> String {
    match per_second {
        few if few > 0.0 && few < 0.05 => "<0.1".into(),
        few if few < 100.0 => format!("{:.1}", few.max(0.0)),
        many => format!("{:.0}", many.min(1e12)),
    }
}

/// A short time.
pub fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".into(),
        Some(seconds) if seconds < 0.01 => format!("{:.2} ms", seconds.max(0.0) * 1e3),
        Some(seconds) if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        Some(seconds) => format!("{:.1} s", seconds.min(1e9)),
    }
}

/// Memory.
pub fn octets(count: u64) -> String {
    const KIB: f64 = 1024.0;
    let count = count as f64;
    match count {
        few if few < KIB * KIB => format!("{:.0} KiB", few / KIB),
        more if more < KIB * KIB * KIB => format!("{:.1} MiB", more / KIB / KIB),
        most => format!("{:.1} GiB", most / KIB / KIB / KIB),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_has_words() {
        assert_eq!(span(9.9), "9s");
        assert_eq!(span(130.0), "2m 10s");
        assert_eq!(span(9_960.0), "2h 46m");
        assert_eq!(span(273_600.0), "3d 4h");
        assert_eq!(since(5.0, 9.0), "0s");
        assert_eq!(clock(1_764_040_000.0), "03:06:40 UTC");
        assert_eq!(
            (rate(0.01), rate(12.34), rate(1234.5)),
            ("<0.1".into(), "12.3".into(), "1234".into())
        );
        assert_eq!(
            (time(None), time(Some(0.0004)), time(Some(0.25))),
            ("-".into(), "0.40 ms".into(), "250 ms".into())
        );
        assert_eq!(octets(10_485_760), "10.0 MiB");
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e300] {
            for words in [span(odd), since(odd, odd), clock(odd), rate(odd), time(Some(odd))] {
                assert!((1..=24).contains(&words.len()), "{words}");
            }
        }
    }
}
