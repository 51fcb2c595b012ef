//! `gathersrv top`: how a running daemon does, in a terminal. It asks the
//! daemon's admin address again and again ([`client`]) and draws what it says
//! ([`view`], [`lines`], [`problems`]); keys and signals end it, and the
//! terminal is then as it was before.

pub mod client;
pub mod lines;
pub mod problems;
pub mod view;
mod words;

use crate::admin::status::Status;
use crate::cli::View;
use client::Unreached;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::fmt;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// Looks and keys that wait for the drawing.
const QUEUE: usize = 16;

/// Why nothing can be shown.
#[derive(Debug)]
pub enum TopError {
    /// The daemon, asked once.
    Daemon(SocketAddr, Unreached),
    /// There is no terminal to draw on.
    NoTerminal,
    /// The terminal, or the system.
    Terminal(io::Error),
}

impl fmt::Display for TopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TopError::Daemon(admin, why) => write!(
                f,
                "top: {admin}: {why}; start the daemon with --admin {admin}, or name its address \
                 with 'gathersrv top --admin ADDR:PORT'"
            ),
            TopError::NoTerminal => {
                write!(f, "top: standard output is no terminal; use --once for plain text")
            }
            TopError::Terminal(error) => {
                write!(f, "top: {error}; use --once for plain text")
            }
        }
    }
}

impl std::error::Error for TopError {}

impl From<io::Error> for TopError {
    fn from(error: io::Error) -> Self {
        TopError::Terminal(error)
    }
}

/// The view as plain text.
pub fn once(admin: SocketAddr) -> Result<String, TopError> {
    let looked = runtime()?.block_on(client::look(admin));
    let status = looked.map_err(|why| TopError::Daemon(admin, why))?;
    Ok(lines::plain(&status, &problems::problems(&status), admin))
}

/// Shows the view until a key or a signal ends it.
pub fn watch(view: &View) -> Result<(), TopError> {
    if !io::stdout().is_terminal() {
        return Err(TopError::NoTerminal);
    }
    let runtime = runtime()?;
    // It also has a panic leave the terminal as it was.
    let mut terminal = ratatui::try_init()?;
    let done = runtime.block_on(drive(&mut terminal, view));
    let restored = ratatui::try_restore();
    done?;
    Ok(restored?)
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()
}

/// What is on the screen, and what led to it.
#[derive(Debug, Default)]
struct Screen {
    status: Option<Status>,
    silent: Option<(String, Instant)>,
    paused: bool,
    help: bool,
    scroll: usize,
    page: usize,
}

/// What a key asks for.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    End,
    Draw,
}

impl Screen {
    fn looked(&mut self, looked: Result<Status, Unreached>) {
        match looked {
            Ok(status) => {
                self.status = Some(status);
                self.silent = None;
            }
            Err(why) => {
                let since = self.silent.take().map_or_else(Instant::now, |(_, since)| since);
                self.silent = Some((why.to_string(), since));
            }
        }
    }

    fn pressed(&mut self, key: KeyEvent) -> Then {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if key.code == KeyCode::Char('c') && control {
            return Then::End;
        }
        if self.help {
            self.help = false;
            return Then::Draw;
        }
        match key.code {
            KeyCode::Char('q' | 'Q') => return Then::End,
            KeyCode::Char('p' | 'P') => self.paused = !self.paused,
            KeyCode::Char('?' | 'h') => self.help = true,
            KeyCode::Up | KeyCode::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.scroll = self.scroll.saturating_add(1),
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(self.page.max(1)),
            KeyCode::PageDown | KeyCode::Char(' ') => {
                self.scroll = self.scroll.saturating_add(self.page.max(1));
            }
            KeyCode::Home => self.scroll = 0,
            // Too far, which drawing mends.
            KeyCode::End => self.scroll = usize::MAX,
            _ => {}
        }
        Then::Draw
    }

    fn draw(&mut self, terminal: &mut DefaultTerminal, admin: SocketAddr) -> io::Result<()> {
        let silent = self.silent.as_ref().map(|(why, since)| (why.as_str(), since.elapsed()));
        let shown = view::Shown {
            admin,
            status: self.status.as_ref(),
            silent,
            paused: self.paused,
            help: self.help,
            scroll: self.scroll,
        };
        let mut fitted = None;
        terminal.draw(|frame| fitted = Some(view::draw(frame, &shown)))?;
        if let Some(fitted) = fitted {
            (self.scroll, self.page) = (fitted.scroll, fitted.page);
        }
        Ok(())
    }
}

async fn drive(terminal: &mut DefaultTerminal, view: &View) -> Result<(), TopError> {
    let mut ends = [
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        signal(SignalKind::hangup())?,
    ];
    let [terminate, interrupt, hangup] = &mut ends;
    let (pause, paused) = watch::channel(false);
    let mut looks = looks(view.admin, view.interval, paused);
    let mut events = events()?;
    // A silence gets longer even if nothing comes.
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut screen = Screen::default();
    loop {
        screen.draw(terminal, view.admin)?;
        tokio::select! {
            Some(looked) = looks.recv() => {
                // An answer to what was asked before the pause comes too late.
                if !screen.paused { screen.looked(looked) }
            }
            event = events.recv() => match event.transpose()? {
                Some(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                    if screen.pressed(key) == Then::End { break }
                    pause.send_if_modified(|paused| {
                        std::mem::replace(paused, screen.paused) != screen.paused
                    });
                }
                Some(_) => {}
                None => break,
            },
            _ = tick.tick() => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => break,
        }
    }
    Ok(())
}

/// Looks again and again, but while it is paused.
fn looks(
    admin: SocketAddr,
    interval: Duration,
    mut paused: watch::Receiver<bool>,
) -> mpsc::Receiver<Result<Status, Unreached>> {
    let (to, looks) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        while paused.wait_for(|paused| !paused).await.is_ok() {
            if to.send(client::look(admin).await).await.is_err() {
                break;
            }
            tokio::time::sleep(interval).await;
        }
    });
    looks
}

/// Keys and changes of size. The thread ends with the process: reading cannot be
/// interrupted.
fn events() -> io::Result<mpsc::Receiver<io::Result<Event>>> {
    let (to, events) = mpsc::channel(QUEUE);
    std::thread::Builder::new().name("keys".into()).spawn(move || {
        loop {
            let event = event::read();
            let last = event.is_err();
            if to.blocking_send(event).is_err() || last {
                break;
            }
        }
    })?;
    Ok(events)
}

#[cfg(test)]
mod tests;
