//! A configuration that changes while it is served: read and checked whole
//! first. If it is wrong, what is served stays, and the log says what is wrong;
//! if it is right, it is served from then on, and no query notices. Certificates
//! and keys are part of it.

use crate::admin::{self, Sources, board::Board};
use crate::cli::Written;
use crate::config::{AdminAt, Plan};
use crate::net::{CannotRun, Running, Served};
use crate::run::{self, Failure, Read};
use crate::tell::Reporter;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;
use tracing::Level;

/// What is written down, and what was made of it.
pub struct Reloader {
    written: Written,
    /// What is served, to tell whether a change is one. Nothing if it is not
    /// served as a whole.
    served: Option<u64>,
    watcher: Option<RecommendedWatcher>,
    /// Says that a file may have changed.
    changes: mpsc::Sender<()>,
    /// Where a change would change what is served.
    directories: BTreeSet<PathBuf>,
    /// The directories that are watched: those, and where it went wrong. Not the
    /// files: Kubernetes changes a mounted ConfigMap by turning a link in its
    /// directory to another one.
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
        let changed = changes.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading the files is an event, too, and no change.
            if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_))) {
                // If there is no room one is there already.
                let _ = changed.try_send(());
            }
        });
        let mut unwatched = Vec::new();
        let watcher = watcher.map_err(|error| unwatched.push(not_seen(&called(&written), &error)));
        let mut reloader = Reloader {
            written,
            served: Some(meaning(&read.plans)),
            watcher: watcher.ok(),
            changes,
            directories: read.directories.clone(),
            watched: BTreeSet::new(),
            reloads: 0,
            failures: 0,
            shown: None,
            refused: None,
        };
        unwatched.extend(reloader.watch(&read.directories));
        unwatched.iter().for_each(|text| tracing::warn!("{text}"));
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
            run::say(&at.to_string());
        }
        self.shown = Some((board, shown));
        Ok(())
    }

    /// Another process shows operators what is served from now on.
    pub fn leave(&mut self, told: &Reporter) {
        if let Some((_, shown)) = &mut self.shown
            && let Err(error) = shown.leave()
        {
            let text = format!("the admin server stays: {error}");
            told.line(Level::WARN, "admin_not_left", text);
        }
    }

    /// What is wrong with what is written now, in a line, if it is not served.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref().and_then(|why| why.lines().next())
    }

    /// Watches these directories and no others; what will not be seen.
    fn watch(&mut self, directories: &BTreeSet<PathBuf>) -> Vec<String> {
        let Some(watcher) = &mut self.watcher else { return Vec::new() };
        let wanted: BTreeSet<PathBuf> = directories.iter().map(|path| there(path)).collect();
        for gone in self.watched.difference(&wanted) {
            // It may be gone from the disk as well.
            let _ = watcher.unwatch(gone);
        }
        let mut unwatched = Vec::new();
        for directory in &wanted {
            // Those that are watched, too: one may have been taken away and put back.
            let done = watcher.watch(directory, RecursiveMode::NonRecursive);
            if let Err(error) = done
                && !self.watched.contains(directory)
            {
                unwatched.push(not_seen(&directory.display().to_string(), &error));
            }
        }
        self.watched = wanted;
        unwatched
    }

    /// Watches where something may be wrong, beside what is served.
    fn watch_also(&mut self, directories: &BTreeSet<PathBuf>, told: &Reporter) {
        let before = self.watched.clone();
        for text in self.watch(&self.directories.union(directories).cloned().collect()) {
            told.line(Level::WARN, "unwatched", text);
        }
        if !self.watched.is_subset(&before) {
            // It may have changed before it was watched.
            let _ = self.changes.try_send(());
        }
    }

    /// Reads everything again. An operator who `asked` is told even that nothing
    /// has changed.
    pub fn reload(&mut self, running: &mut Running, asked: bool) {
        let told = running.desk().reporter().clone();
        let name = called(&self.written);
        let info = |event, text| told.line(Level::INFO, event, text);
        match self.try_reload(running, &told) {
            Ok(true) => {
                self.refused = None;
                info(
                    "reloaded",
                    format!("{name} is served as it is now (change {})", self.reloads),
                );
            }
            Ok(false) => {
                if let Some((board, _)) = &self.shown {
                    board.put_right();
                }
                if self.refused.take().is_some() {
                    info("reload_undone", format!("{name} is again what is served"));
                } else if asked {
                    info("reload_unchanged", format!("{name} says what it said before"));
                }
            }
            Err(why) => self.refuse(why.found(), asked, &told),
        }
    }

    /// Says once what is wrong: other files may change in the same directories as
    /// often as they like.
    fn refuse(&mut self, why: String, asked: bool, told: &Reporter) {
        if !asked && self.refused.as_ref() == Some(&why) {
            return;
        }
        self.failures += 1;
        let (name, failures) = (called(&self.written), self.failures);
        if let Some((board, _)) = &self.shown {
            board.not_reloaded(&why);
        }
        let text = format!(
            "{name} is not served as it is now (mistake {failures}):\n{why}; what was served \
             before stays"
        );
        told.line(Level::ERROR, "reload_refused", text);
        self.refused = Some(why);
    }

    /// Tells whether there was a change.
    fn try_reload(&mut self, running: &mut Running, told: &Reporter) -> Result<bool, Failure> {
        let read = run::read(&self.written).inspect_err(|why| {
            if let Failure::Corefile(mistakes) = why {
                self.watch_also(&mistakes.directories, told);
            }
        })?;
        self.watch_also(&read.directories, told);
        let meaning = meaning(&read.plans);
        let changed = self.served != Some(meaning);
        if changed {
            self.serve(read.plans, meaning, running, told)?;
        }
        // No directory of something that was wrong before.
        self.watch(&read.directories);
        self.directories = read.directories;
        Ok(changed)
    }

    fn serve(
        &mut self,
        plans: Vec<Plan>,
        meaning: u64,
        running: &mut Running,
        told: &Reporter,
    ) -> Result<(), Failure> {
        let admin = AdminAt::of(&plans);
        let plans = plans.into_iter().map(Served::load);
        let plans: Vec<Served> = plans.collect::<Result<_, _>>()?;
        let listeners = self.shown.as_ref().map(|(_, shown)| shown.listen(&admin)).transpose()?;
        running.reload(&plans)?;
        self.served = Some(meaning);
        self.reloads += 1;
        // First, so that who reads /config at a new address reads the new plan.
        if let Some((board, _)) = &self.shown {
            board.reloaded(&running.plans());
        }
        if let (Some((_, shown)), Some(listeners)) = (&mut self.shown, listeners)
            && let Err(error) = shown.serve(listeners)
        {
            // The rest is served, so this is no reload that was refused.
            self.served = None;
            let text = format!("the admin server stays as it was: {error}; SIGHUP tries again");
            told.line(Level::ERROR, "admin_unchanged", text);
        }
        for text in plans.iter().flat_map(|served| served.plan.warnings.clone()) {
            told.line(Level::WARN, "config_warning", text);
        }
        Ok(())
    }
}

/// The directory, or the one in which it, or what it is in, would come to be.
fn there(directory: &Path) -> PathBuf {
    let found = directory.ancestors().map(here).find(|path| path.is_dir());
    found.unwrap_or(Path::new(".")).to_path_buf()
}

fn here(directory: &Path) -> &Path {
    if directory.as_os_str().is_empty() { Path::new(".") } else { directory }
}

fn not_seen(name: &str, error: &notify::Error) -> String {
    format!("changes in {name} are noticed on SIGHUP only: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_not_there_yet_was_not_watched() {
        let home = std::env::temp_dir();
        assert_eq!(there(&home), home);
        assert_eq!(there(&home.join("gathersrv-is-not-there/nor-this")), home);
        for name in ["", "gathersrv-is-not-there", "gathersrv-is-not-there/nor-this"] {
            assert_eq!(there(Path::new(name)), Path::new("."), "{name:?}");
        }
    }
}
