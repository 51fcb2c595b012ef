//! What operators see of the daemon over HTTP. [`status`] is the form in which
//! it is told how things stand; who serves it and who reads it share the types.

pub mod status;
