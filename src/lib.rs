//! x
pub mod config;
pub mod engine;
pub mod wire;
