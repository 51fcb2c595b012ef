//! A configuration file that changes while it is served: read and checked whole
//! first. If it is wrong, what is served stays, and the log says what is wrong;
//! if it is right, it is served from then on, and no query notices.

use crate::config::{Plan, Settings};
use crate::corefile::{self, Corefile};
use crate::net::Running;
use crate::run::warn;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

/// The file, and what was made of it.
pub struct Reloader {
    path: PathBuf,
    defaults: Settings,
    /// What is served, to tell whether a change is one.
    served: String,
    watcher: Option<RecommendedWatcher>,
    /// The directories that are watched. Not the files: Kubernetes changes a
    /// mounted ConfigMap by turning a link in its directory to another one.
    watched: BTreeSet<PathBuf>,
    reloads: u64,
    failures: u64,
}

fn meaning(plans: &[Plan]) -> String {
    format!("{plans:?}")
}

impl Reloader {
    /// Watches what has been read; each change goes to `changes`.
    pub fn new(
        path: PathBuf,
        defaults: Settings,
        read: &Corefile,
        changes: mpsc::UnboundedSender<()>,
    ) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading the files is an event, too, and no change.
            if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_))) {
                let _ = changes.send(());
            }
        });
        let watcher = watcher.inspect_err(|error| unwatched(&path, error)).ok();
        let served = meaning(&read.plans);
        let watched = BTreeSet::new();
        let mut reloader =
            Reloader { path, defaults, served, watcher, watched, reloads: 0, failures: 0 };
        reloader.watch(&read.directories);
        reloader
    }

    fn watch(&mut self, directories: &BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.watched.difference(directories) {
            // It may be gone from the disk as well.
            let _ = watcher.unwatch(here(gone));
        }
        for new in directories.difference(&self.watched) {
            if let Err(error) = watcher.watch(here(new), RecursiveMode::NonRecursive) {
                unwatched(new, &error);
            }
        }
        self.watched.clone_from(directories);
    }

    /// Reads the file again. An operator who `asked` is told even that nothing
    /// has changed.
    pub fn reload(&mut self, running: &mut Running, asked: bool) {
        let read = match corefile::read(&self.path, &self.defaults) {
            Ok(read) => read,
            Err(mistakes) => return self.failed(&mistakes),
        };
        let meaning = meaning(&read.plans);
        if meaning == self.served {
            if asked {
                tracing::info!("{} says what it said before", self.path.display());
            }
            return;
        }
        let plans: Vec<Arc<Plan>> = read.plans.into_iter().map(Arc::new).collect();
        if let Err(error) = running.reload(&plans) {
            return self.failed(&error);
        }
        self.watch(&read.directories);
        self.served = meaning;
        self.reloads += 1;
        plans.iter().for_each(|plan| warn(plan));
        let (path, reloads) = (self.path.display(), self.reloads);
        tracing::info!("{path} is served as it is now (change {reloads})");
    }

    fn failed(&mut self, why: &dyn std::fmt::Display) {
        self.failures += 1;
        let (path, failures) = (self.path.display(), self.failures);
        tracing::error!("{path} is not served as it is now (mistake {failures}):\n{why}");
    }
}

fn here(directory: &Path) -> &Path {
    if directory.as_os_str().is_empty() { Path::new(".") } else { directory }
}

fn unwatched(path: &Path, error: &notify::Error) {
    tracing::warn!("changes in {} are noticed on SIGHUP only: {error}", path.display());
}
