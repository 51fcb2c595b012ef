//! x
pub mod cli;
pub mod config;
pub mod demo;
pub mod engine;
pub mod explain;
pub mod net;
pub mod run;
pub mod show;
pub mod wire;
