//! Values of flags: words to choose from, and numbers and times with bounds.

use crate::config::{Behaviour, DEADLINES, LAME_DUCKS, words};
use clap::ValueEnum;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Missing {
    /// Fill in the cluster's last good answer, else leave it out
    Stale,
    /// Answer without it, and say so
    Partial,
    /// Answer SERVFAIL
    Fail,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Order {
    /// The first, and the others when it fails
    Sequential,
    /// Each in turn
    RoundRobin,
    /// Any
    Random,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Truncated {
    /// The whole records that fit
    Records,
    /// None
    Empty,
}

pub(super) fn deadline(word: &str) -> Result<Duration, String> {
    let remedy = "write a time such as '800ms', between 10ms and 60s";
    let time = humantime::parse_duration(word).map_err(|error| format!("{error}; {remedy}"))?;
    if DEADLINES.contains(&time) { Ok(time) } else { Err(remedy.into()) }
}

pub(super) fn cache_for(word: &str) -> Result<Duration, String> {
    let most = Behaviour::default().cache_for;
    let time = span(word)?;
    if time <= most { Ok(time) } else { Err("write a time up to '1h'".into()) }
}

pub(super) fn span(word: &str) -> Result<Duration, String> {
    humantime::parse_duration(word).map_err(|error| format!("{error}; write a time such as '30s'"))
}

pub(super) fn lame_duck(word: &str) -> Result<Duration, String> {
    let time = span(word)?;
    if time <= LAME_DUCKS { Ok(time) } else { Err("write a time up to '10m'".into()) }
}

pub(super) fn workers(word: &str) -> Result<NonZeroUsize, String> {
    /// More threads than any machine this is for has cores.
    const MOST: usize = 1024;
    let number = word.parse::<usize>().ok().filter(|&n| n <= MOST).and_then(NonZeroUsize::new);
    number.ok_or_else(|| format!("write a number from 1 to {MOST}"))
}

pub(super) fn interval(word: &str) -> Result<Duration, String> {
    let allowed = Duration::from_millis(100)..=Duration::from_secs(3600);
    let time = span(word)?;
    if allowed.contains(&time) { Ok(time) } else { Err("write a time from 100ms to 1h".into()) }
}

pub(super) fn admin(word: &str) -> Result<SocketAddr, String> {
    words::admin("--admin", word).map_err(|error| error.to_string())
}
