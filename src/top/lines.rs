//! A status as lines of text: the same for the screen and for `--once`. What a
//! colour says, a word says too.

use super::problems::{Problem, Weight};
use super::words::{octets, rate, since, span, time};
use crate::admin::status::{
    Cluster, ClusterState, Level, Server, ServerState, Status, Zone, ZoneState,
};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use std::net::SocketAddr;

/// Names are padded to each other up to this width.
const NAMES: usize = 40;

const GOOD: Style = Style::new().fg(Color::Green);
const POOR: Style = Style::new().fg(Color::Yellow);
const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().fg(Color::DarkGray);
const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);

/// Eighths of a column's height.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Who is looked at, and how it does: the more important first.
pub fn head(status: &Status, admin: SocketAddr) -> Vec<Line<'static>> {
    let latency = &status.latency;
    let failed = if status.rates.failed > 0.0 { BAD } else { Style::new() };
    let config = &status.config;
    let listens = status.listen.iter().map(|l| format!("{} {}", l.addr, l.service));
    let mut listens: Vec<String> = listens.collect();
    if listens.len() > 4 {
        let more = listens.len() - 3;
        listens.truncate(3);
        listens.push(format!("and {more} more"));
    }
    vec![
        Line::from(vec![
            Span::styled(format!("gathersrv {}", status.version), STRONG),
            format!(" at {admin}  up {}", since(status.now, status.started)).into(),
            format!("  pid {}", status.pid).into(),
            if status.ready {
                Span::styled("  ready", GOOD)
            } else {
                Span::styled("  not ready", BAD)
            },
        ]),
        Line::from(vec![
            Span::styled(format!("{} queries/s", rate(status.rates.queries)), STRONG),
            Span::styled(format!("  {} failed/s", rate(status.rates.failed)), failed),
            format!("  {} from cache/s", rate(status.rates.from_cache)).into(),
            format!("  {} in flight", status.in_flight).into(),
        ]),
        Line::from(format!(
            "p50 {}  p90 {}  p99 {}  memory {}  {} workers",
            time(latency.p50),
            time(latency.p90),
            time(latency.p99),
            octets(status.memory),
            status.workers
        )),
        Line::from(format!(
            "from {}, read {} ago, {} reloads, {} turned down",
            config.source,
            since(status.now, config.loaded),
            config.reloads,
            config.failures
        )),
        Line::from(format!("on {}", listens.join(", "))),
    ]
}

/// Trouble, of at most so many lines.
pub fn trouble(problems: &[Problem], most: usize) -> Vec<Line<'static>> {
    let shown = if problems.len() > most { most.saturating_sub(1) } else { problems.len() };
    let mut lines: Vec<Line> = problems[..shown]
        .iter()
        .map(|problem| {
            let style = if problem.weight == Weight::Bad { BAD } else { POOR };
            Line::styled(format!("! {}", problem.text), style)
        })
        .collect();
    if shown < problems.len() && most > 0 {
        let more = problems.len() - shown;
        lines.push(Line::styled(format!("! and {more} more, in the list below"), BAD));
    }
    lines
}

/// The last minutes: a bar for each moment, and a mark below those in which
/// something was missing.
pub fn graph(status: &Status, width: usize) -> Vec<Line<'static>> {
    let history = &status.history;
    let skipped = history.queries.len().saturating_sub(width);
    let shown = &history.queries[skipped..];
    let highest = shown.iter().copied().fold(0.0, f64::max);
    let some = |list: &[f64], n: usize| list.get(n + skipped).is_some_and(|&rate| rate > 0.0);
    let mut bars = Vec::new();
    let mut marks = Vec::new();
    for (n, &queries) in shown.iter().enumerate() {
        let share = if highest > 0.0 { queries.max(0.0) / highest } else { 0.0 };
        // What is not nothing is seen.
        let bar = BARS.get((share * 8.0).ceil() as usize).copied().unwrap_or('█');
        let (style, mark) = match (some(&history.failed, n), some(&history.incomplete, n)) {
            (true, _) => (BAD, "!"),
            (false, true) => (POOR, "~"),
            (false, false) => (GOOD, " "),
        };
        bars.push(Span::styled(bar.to_string(), style));
        marks.push(Span::styled(mark, style));
    }
    let period = span(history.step * shown.len() as f64);
    vec![
        Line::from(vec![
            format!("last {period}, highest {} queries/s  ", rate(highest)).into(),
            Span::styled("~ stale or partial  ", POOR),
            Span::styled("! failed", BAD),
        ]),
        Line::from(bars),
        Line::from(marks),
    ]
}

/// Zones with their clusters and servers, then forwards.
pub fn body(status: &Status) -> Vec<Line<'static>> {
    let now = status.now;
    let mut lines = Vec::new();
    for zone in &status.zones {
        lines.push(of_zone(zone));
        let wide = width(
            zone.clusters.iter().map(|c| c.prefix.chars().count() + 1 + c.suffix.chars().count()),
        );
        for cluster in &zone.clusters {
            lines.push(of_cluster(cluster, wide, now));
            let wide = width(cluster.servers.iter().map(|s| s.addr.chars().count()));
            lines.extend(cluster.servers.iter().map(|server| of_server(server, wide, now)));
        }
    }
    for forward in &status.forwards {
        lines.push(Line::from(vec![
            Span::styled(format!("forward {}", forward.name), STRONG),
            format!("  {}/s", rate(forward.queries)).into(),
        ]));
        let wide = width(forward.servers.iter().map(|s| s.addr.chars().count()));
        lines.extend(forward.servers.iter().map(|server| of_server(server, wide, now)));
    }
    if lines.is_empty() {
        lines.push(Line::from("nothing is served"));
    }
    lines
}

fn width(names: impl Iterator<Item = usize>) -> usize {
    names.max().unwrap_or_default().min(NAMES)
}

fn of_zone(zone: &Zone) -> Line<'static> {
    let (style, word) = match zone.state {
        ZoneState::Whole => (GOOD, "whole"),
        ZoneState::Stale => (POOR, "stale"),
        ZoneState::Partial => (BAD, "partial"),
        ZoneState::Failed => (BAD, "failed"),
        ZoneState::Idle => (DIM, "idle"),
    };
    let answers = &zone.answers;
    Line::from(vec![
        Span::styled(format!("zone {}", zone.name), STRONG),
        Span::styled(format!("  {word}"), style),
        format!("  {}/s", rate(zone.queries)).into(),
        format!("  last minute {} whole", answers.whole).into(),
        counted(answers.stale, "stale", POOR),
        counted(answers.partial, "partial", BAD),
        counted(answers.failed, "failed", BAD),
    ])
}

fn counted(count: u64, what: &str, style: Style) -> Span<'static> {
    Span::styled(format!(", {count} {what}"), if count > 0 { style } else { Style::new() })
}

fn of_cluster(cluster: &Cluster, wide: usize, now: f64) -> Line<'static> {
    let (style, word) = match cluster.state {
        ClusterState::Up => (GOOD, "up"),
        ClusterState::Degraded => (POOR, "degraded"),
        ClusterState::Down => (BAD, "down"),
        ClusterState::Unknown => (DIM, "unknown"),
    };
    let answers = &cluster.answers;
    let age = cluster.stale_age.map(|age| format!(", {} old", span(age))).unwrap_or_default();
    let name = format!("{} {}", cluster.prefix, cluster.suffix);
    Line::from(vec![
        format!("  {name:<wide$}").into(),
        Span::styled(format!("  {}", lasting(word, cluster.since, now)), style),
        format!("  {} fresh", answers.fresh).into(),
        counted(answers.stale, "stale", POOR),
        Span::styled(age, POOR),
        counted(answers.missing, "missing", BAD),
    ])
}

fn of_server(server: &Server, wide: usize, now: f64) -> Line<'static> {
    let (style, word) = match server.state {
        ServerState::Up => (GOOD, "up"),
        ServerState::Out => (BAD, "out"),
        ServerState::Unknown => (DIM, "unknown"),
    };
    let failures = if server.failures > 0.0 { POOR } else { Style::new() };
    let heard = match server.heard {
        Some(at) => format!("  heard {} ago", since(now, at)),
        None => "  never heard".into(),
    };
    let mut line = vec![
        format!("    {:<wide$} {}", server.addr, server.transport).into(),
        Span::styled(format!("  {}", lasting(word, server.since, now)), style),
        format!("  rtt {}  {}/s", time(server.rtt), rate(server.queries)).into(),
        Span::styled(format!("  {} failures/s", rate(server.failures)), failures),
        heard.into(),
    ];
    if server.besieged {
        line.push(Span::styled("  besieged, asked over TCP", BAD));
    }
    Line::from(line)
}

/// A state, and for how long.
fn lasting(word: &str, then: Option<f64>, now: f64) -> String {
    let text = match then {
        Some(then) => format!("{word} for {}", since(now, then)),
        None => word.to_string(),
    };
    format!("{text:<16}")
}

/// What happened, newest first.
pub fn events(status: &Status) -> Vec<Line<'static>> {
    let mut lines: Vec<Line> = status
        .events
        .iter()
        .map(|event| {
            let (style, word) = match event.level {
                Level::Info => (Style::new(), "info"),
                Level::Warn => (POOR, "warn"),
                Level::Error => (BAD, "error"),
            };
            let ago = format!("{} ago", since(status.now, event.at));
            Line::styled(format!("{ago:>11}  {word:<5}  {}", event.text), style)
        })
        .collect();
    if lines.is_empty() {
        lines.push(Line::styled("nothing happened yet", DIM));
    }
    lines
}

/// Everything, as plain text.
pub fn plain(status: &Status, problems: &[Problem], admin: SocketAddr) -> String {
    let parts = [
        head(status, admin),
        trouble(problems, usize::MAX),
        graph(status, 150),
        body(status),
        vec![Line::from("events")],
        events(status),
    ];
    let lines = parts.iter().flatten().map(|line| {
        let text: String = line.spans.iter().map(|span| span.content.as_ref()).collect();
        text.trim_end().to_string() + "\n"
    });
    lines.collect()
}
