//! A configuration that changes while it is served: read and checked whole
//! first. If it is wrong, what is served stays, and the log says what is wrong;
//! if it is right, it is served from then on, and no query notices. Certificates
//! and keys are part of it.

use crate::admin::{self, Sources, board::Board};
use crate::cli::Written;
use crate::config::{AdminAt, Plan};
use crate::net::{CannotRun, Running, Served};
use crate::run::{self, Failure, Read, warn};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// What is written down, and what was made of it.
pub struct Reloader {
    written: Written,
    /// What is served, to tell whether a change is one.
    served: u64,
    watcher: Option<RecommendedWatcher>,
    /// The directories that are watched. Not the files: Kubernetes changes a
    /// mounted ConfigMap by turning a link in its directory to another one.
    watched: BTreeSet<PathBuf>,
    reloads: u64,
    failures: u64,
    /// Where operators are shown all this, once something is served.
    shown: Option<(Board, admin::Running)>,
    /// What is wrong with what is written now, if it is not served.
    refused: Option<String>,
}

/// Plans, and what is in the files they name, in a number.
fn meaning(plans: &[Plan]) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{plans:?}").hash(&mut hasher);
    for file in plans.iter().flat_map(Plan::files) {
        // One that cannot be read is told of when it is used.
        std::fs::read(file).ok().hash(&mut hasher);
    }
    hasher.finish()
}

/// How messages call it.
fn called(written: &Written) -> String {
    match written {
        Written::Flags(_) => "the configuration".into(),
        Written::File(path, _) => path.display().to_string(),
    }
}

impl Reloader {
    /// Watches what has been read; each change goes to `changes`.
    pub fn new(written: Written, read: &Read, changes: mpsc::Sender<()>) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading the files is an event, too, and no change.
            if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_))) {
                // If there is no room one is there already.
                let _ = changes.try_send(());
            }
        });
        let watcher = watcher.inspect_err(|error| unwatched(&called(&written), error)).ok();
        let served = meaning(&read.plans);
        let watched = BTreeSet::new();
        let mut reloader = Reloader {
            written,
            served,
            watcher,
            watched,
            reloads: 0,
            failures: 0,
            shown: None,
            refused: None,
        };
        reloader.watch(&read.directories);
        reloader
    }

    /// Shows operators what is served, where they are to look at it.
    pub fn show(
        &mut self,
        running: &Running,
        plans: &[Plan],
        admin: &[AdminAt],
    ) -> Result<(), CannotRun> {
        let source = match &self.written {
            Written::Flags(_) => "flags".into(),
            written => called(written),
        };
        let board = Board::new(source, plans);
        let sources = Sources {
            roster: running.roster(),
            board: board.clone(),
            reporter: running.desk().reporter().clone(),
            taps: running.tap_counts(),
        };
        let mut shown = admin::Running::new(sources, running.takes_over());
        shown.serve(shown.listen(admin)?)?;
        for at in shown.addresses() {
            println!("{at}");
        }
        self.shown = Some((board, shown));
        Ok(())
    }

    /// Another process shows operators what is served from now on.
    pub fn leave(&mut self) {
        if let Some((_, shown)) = &mut self.shown
            && let Err(error) = shown.leave()
        {
            tracing::warn!("the admin server stays: {error}");
        }
    }

    /// What is wrong with what is written now, in a line, if it is not served.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref().and_then(|why| why.lines().next())
    }

    fn watch(&mut self, directories: &BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.watched.difference(directories) {
            // It may be gone from the disk as well.
            let _ = watcher.unwatch(here(gone));
        }
        for new in directories.difference(&self.watched) {
            if let Err(error) = watcher.watch(here(new), RecursiveMode::NonRecursive) {
                unwatched(&new.display().to_string(), &error);
            }
        }
        self.watched.clone_from(directories);
    }

    /// Reads everything again. An operator who `asked` is told even that nothing
    /// has changed.
    pub fn reload(&mut self, running: &mut Running, asked: bool) {
        let done = self.try_reload(running);
        self.refused = done.as_ref().err().map(Failure::to_string);
        match done {
            Ok(true) => {
                let (name, reloads) = (called(&self.written), self.reloads);
                tracing::info!("{name} is served as it is now (change {reloads})");
                if let Some((board, _)) = &self.shown {
                    board.reloaded(&running.plans());
                }
            }
            Ok(false) => {
                if asked {
                    tracing::info!("{} says what it said before", called(&self.written));
                }
                if let Some((board, _)) = &self.shown {
                    board.put_right();
                }
            }
            Err(why) => {
                self.failures += 1;
                let (name, failures) = (called(&self.written), self.failures);
                tracing::error!("{name} is not served as it is now (mistake {failures}):\n{why}");
                if let Some((board, _)) = &self.shown {
                    board.not_reloaded(&why.to_string());
                }
            }
        }
    }

    /// Tells whether there was a change.
    fn try_reload(&mut self, running: &mut Running) -> Result<bool, Failure> {
        let read = run::read(&self.written)?;
        let meaning = meaning(&read.plans);
        if meaning == self.served {
            return Ok(false);
        }
        let admin = AdminAt::of(&read.plans);
        let plans = read.plans.into_iter().map(Served::load);
        let plans: Vec<Served> = plans.collect::<Result<_, _>>()?;
        let listeners = self.shown.as_ref().map(|(_, shown)| shown.listen(&admin)).transpose()?;
        running.reload(&plans)?;
        if let (Some((_, shown)), Some(listeners)) = (&mut self.shown, listeners) {
            shown.serve(listeners)?;
        }
        self.watch(&read.directories);
        self.served = meaning;
        self.reloads += 1;
        plans.iter().for_each(|served| warn(&served.plan));
        Ok(true)
    }
}

fn here(directory: &Path) -> &Path {
    if directory.as_os_str().is_empty() { Path::new(".") } else { directory }
}

fn unwatched(name: &str, error: &notify::Error) {
    tracing::warn!("changes in {name} are noticed on SIGHUP only: {error}");
}
