//! Where what stands on the screen. It depends on what is given to it and on
//! nothing else, so a test can look at it.

use super::lines;
use super::problems::problems;
use super::words::span;
use crate::admin::status::Status;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Paragraph};
use std::net::SocketAddr;
use std::time::Duration;

/// Rows from which on the graph and the events have a place of their own.
const ROOMY: u16 = 20;

/// What there is to show.
#[derive(Debug, Clone)]
pub struct Shown<'a> {
    /// Whom it is about.
    pub admin: SocketAddr,
    /// What it said last.
    pub status: Option<&'a Status>,
    /// Why it says nothing now, and for how long.
    pub silent: Option<(&'a str, Duration)>,
    /// Nothing is asked for the moment.
    pub paused: bool,
    /// The keys are told.
    pub help: bool,
    /// Lines of the list above the screen.
    pub scroll: usize,
}

/// What came of it: where the list stands, and how much of it is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fitted {
    /// The scroll, if it was too far.
    pub scroll: usize,
    /// Lines of the list on the screen.
    pub page: usize,
}

const KEYS: [&str; 7] = [
    "q        end",
    "Up Down  scroll",
    "PgUp     a page up",
    "PgDn     a page down",
    "Home End the first, the last",
    "p        pause, go on",
    "?        these keys; any key goes back",
];

/// Takes rows from the top of what is left.
struct Rows(Rect);

impl Rows {
    fn take(&mut self, height: usize) -> Rect {
        let height = u16::try_from(height).unwrap_or(u16::MAX).min(self.0.height);
        let taken = Rect { height, ..self.0 };
        self.0.y += height;
        self.0.height -= height;
        taken
    }
}

fn reversed(color: Color) -> Style {
    Style::new().fg(color).add_modifier(Modifier::BOLD | Modifier::REVERSED)
}

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, shown: &Shown<'_>) -> Fitted {
    let whole = frame.area();
    let mut rows = Rows(whole);
    let foot = "q quit  arrows scroll  p pause  ? help";
    let foot_row =
        Rect { y: whole.bottom().saturating_sub(1), height: whole.height.min(1), ..whole };
    rows.0.height = rows.0.height.saturating_sub(1);
    if let Some((why, lasting)) = shown.silent {
        let text = format!(
            "NO ANSWER from {} for {}: {why}; trying again",
            shown.admin,
            span(lasting.as_secs_f64())
        );
        frame.render_widget(Paragraph::new(text).style(reversed(Color::Red)), rows.take(1));
    }
    let fitted = match shown.status {
        Some(status) => draw_status(frame, shown, status, rows),
        None => {
            let lines = nothing_yet(shown);
            frame.render_widget(Paragraph::new(lines), rows.0);
            Fitted { scroll: 0, page: 1 }
        }
    };
    let foot = match shown.paused {
        true => Line::styled(format!("PAUSED  {foot}"), reversed(Color::Yellow)),
        false => Line::styled(foot, Style::new().add_modifier(Modifier::DIM)),
    };
    frame.render_widget(Paragraph::new(foot), foot_row);
    if shown.help {
        draw_keys(frame, whole);
    }
    fitted
}

fn nothing_yet(shown: &Shown<'_>) -> Vec<Line<'static>> {
    match shown.silent {
        None => vec![Line::from(format!("asking {} ...", shown.admin))],
        Some(_) => vec![
            Line::from("Is the daemon running, and was it given this address?"),
            Line::from(format!("  gathersrv ... --admin {}", shown.admin)),
            Line::from("Another one is looked at with"),
            Line::from("  gathersrv top --admin ADDR:PORT"),
        ],
    }
}

fn draw_status(
    frame: &mut Frame<'_>,
    shown: &Shown<'_>,
    status: &Status,
    mut rows: Rows,
) -> Fitted {
    let roomy = rows.0.height + 1 >= ROOMY;
    let old = shown.silent.is_some();
    let put = |frame: &mut Frame<'_>, lines: Vec<Line<'static>>, place: Rect| {
        // What was said before the silence may have changed since.
        let style = if old { Style::new().add_modifier(Modifier::DIM) } else { Style::new() };
        frame.render_widget(Paragraph::new(lines).style(style), place);
    };
    let mut head = lines::head(status, shown.admin);
    head.truncate(if roomy { 5 } else { 2 });
    let place = rows.take(head.len());
    put(frame, head, place);
    let most = usize::from(rows.0.height / 4).max(1);
    let trouble = lines::trouble(&problems(status), most);
    let place = rows.take(trouble.len());
    put(frame, trouble, place);
    if roomy {
        let graph = lines::graph(status, rows.0.width.into());
        let place = rows.take(graph.len());
        put(frame, graph, place);
    }
    let mut list = lines::body(status);
    let events = lines::events(status);
    if roomy {
        // A fifth of the screen, if so much happened.
        let height = events.len().min(usize::from(frame.area().height) / 5);
        let list_height = usize::from(rows.0.height).saturating_sub(height + 1);
        let fitted = draw_list(frame, list, rows.take(list_height), shown.scroll, put);
        let title = Line::styled("events, newest first", Style::new().add_modifier(Modifier::BOLD));
        let place = rows.take(1);
        put(frame, vec![title], place);
        let place = rows.take(height);
        put(frame, events, place);
        return fitted;
    }
    list.push(Line::from("events, newest first"));
    list.extend(events);
    draw_list(frame, list, rows.0, shown.scroll, put)
}

fn draw_list(
    frame: &mut Frame<'_>,
    list: Vec<Line<'static>>,
    place: Rect,
    scroll: usize,
    put: impl Fn(&mut Frame<'_>, Vec<Line<'static>>, Rect),
) -> Fitted {
    let page = usize::from(place.height);
    let scroll = scroll.min(list.len().saturating_sub(page));
    let seen: Vec<Line> = list.into_iter().skip(scroll).take(page).collect();
    put(frame, seen, place);
    Fitted { scroll, page }
}

fn draw_keys(frame: &mut Frame<'_>, whole: Rect) {
    let height = (KEYS.len() as u16 + 2).min(whole.height);
    let width = 42.min(whole.width);
    let place = Rect {
        x: whole.x + (whole.width - width) / 2,
        y: whole.y + (whole.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, place);
    let keys = KEYS.iter().map(|&key| Line::from(key)).collect::<Vec<_>>();
    frame.render_widget(Paragraph::new(keys).block(Block::bordered().title(" keys ")), place);
}
