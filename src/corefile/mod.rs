//! The configuration file of the plugin's users: CoreDNS's Corefile.
//!
//! A file's words ([`lexer`]), with snippets and imports in their places
//! ([`expand`]), have a shape ([`blocks`]) and a meaning ([`directives`]), from
//! which plans are made ([`sites`]), one for each set of addresses that is
//! listened on. They are the plans that flags would make. All mistakes of a
//! file are told at once, each with its line ([`diagnose`]).

mod blocks;
mod diagnose;
mod directives;
mod expand;
mod lexer;
mod sites;
mod source;

pub use diagnose::{Mistakes, close_to};

use crate::config::{Plan, Settings};
use expand::Expander;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A configuration that can be served.
#[derive(Debug)]
pub struct Corefile {
    /// One plan for each set of addresses.
    pub plans: Vec<Plan>,
    /// The directories it was read from: a change of it is a change in one of
    /// them.
    pub directories: BTreeSet<PathBuf>,
}

/// Reads a file and what it imports. `defaults` hold where it says nothing.
pub fn read(path: &Path, defaults: &Settings) -> Result<Corefile, Mistakes> {
    let text = expand::read_file(path).map_err(|told| {
        let place = BTreeSet::from([expand::beside(path, "")]);
        Mistakes::only(format!("{}: the file {told}", path.display()), place)
    })?;
    let environment = |name: &str| std::env::var(name).ok();
    understand(path, &text, defaults, Expander::new(&environment, false))
}

/// Reads a text, and no file beside it.
pub fn read_text(name: &str, text: &str, defaults: &Settings) -> Result<Corefile, Mistakes> {
    let environment = |_: &str| None;
    understand(Path::new(name), text, defaults, Expander::new(&environment, true))
}

fn understand(
    path: &Path,
    text: &str,
    defaults: &Settings,
    mut expander: Expander<'_>,
) -> Result<Corefile, Mistakes> {
    let alone = expander.alone;
    let tokens = expander.expand(path, text);
    let Expander { sources, mut directories, mut mistakes, .. } = expander;
    let before = mistakes.len();
    let blocks = blocks::parse(tokens, &mut mistakes);
    if mistakes.len() > before {
        // With braces in the wrong places no word means what it seems to.
        return Err(diagnose::show(mistakes, &sources, directories));
    }
    let beside = RefCell::new(BTreeSet::new());
    let read_file = |path: &Path| {
        if alone {
            return Err("is not read".to_string());
        }
        beside.borrow_mut().insert(expand::beside(path, ""));
        expand::read_file(path)
    };
    let mut reader = directives::Reader { mistakes: &mut mistakes, read_file: &read_file };
    let sites: Vec<directives::Site> = blocks.iter().map(|block| reader.site(block)).collect();
    let mut assembler =
        sites::Assembler { sites: &sites, defaults, sources: &sources, mistakes: &mut mistakes };
    let plans = assembler.plans();
    if plans.is_empty() && mistakes.is_empty() {
        let told = format!(
            "{}: there is no server block; write one, such as 'distributed.local. {{'",
            path.display()
        );
        return Err(Mistakes::only(told, directories));
    }
    directories.append(&mut beside.take());
    if mistakes.is_empty() {
        Ok(Corefile { plans, directories })
    } else {
        Err(diagnose::show(mistakes, &sources, directories))
    }
}
