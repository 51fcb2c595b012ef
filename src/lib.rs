//! gathersrv: a DNS daemon for services that live in several clusters at once.
//!
//! It is asked once under a common zone, asks every cluster's DNS under that
//! cluster's own zone, rewrites names both ways, and gives one merged answer.
//!
//! # The path of a query
//!
//! 1. A datagram or a frame over TCP or TLS comes in at a listener of one worker
//!    ([`net`]: `datagrams`, `streams`). Datagrams come in batches; the time is
//!    read once for each.
//! 2. The worker's engine takes it apart ([`wire::query`]), looks whether its
//!    client gets an answer ([`engine`]: `admit`), finds the zone its name
//!    belongs to ([`config::Plan::route`]) and either answers at once or
//!    takes it into flight ([`engine`]: `query`).
//! 3. Each cluster gets its own sub-question, on a random socket under a random
//!    ID ([`engine`]: `ask`, `links`). The engine only writes it into the
//!    [`engine::Outbox`]; the worker sends it (`net::worker`).
//! 4. A reply that comes on that socket with that ID and that question counts
//!    ([`wire::reply`]; [`engine`]: `reply`); what may be forged is looked at
//!    twice (`suspect`, `guard`). A truncated one is asked again over
//!    TCP; a server that is silent or refuses is asked again, or another is
//!    (`retry`).
//!    What counts is noted for all workers ([`engine::LastGood`]).
//! 5. When the last sub-question is settled, or the deadline has come (`wheel`),
//!    what is held stands in for clusters that are missing (`stand_in`), chains
//!    that lead into other clusters are followed there (`follow`), and
//!    the replies are merged ([`engine::merge`]): names rewritten
//!    ([`wire::rewrite`], [`wire::names`]), chains settled, equal records dropped,
//!    and the answer written with every name as short as the rules allow
//!    ([`wire::compress`]), straight into the outbox.
//! 6. The worker sends all answers of a batch at once ([`net::batch`]).
//!
//! # The rooms
//!
//! Imports run one way: [`wire`] knows nothing of the others; [`config`] makes a
//! [`config::Plan`] that all share, from flags or from a file ([`corefile`]);
//! [`engine`] is a state machine without sockets, tasks or clock; [`net`] has the
//! only sockets; [`run`] is what the command line ([`cli`]) asks for, and
//! [`reload`] what a changed file does. [`demo`] and [`explain`] go through the
//! same engine and sockets as the daemon; [`show`] prints messages.
//!
//! Operators look on from beside: workers count for themselves
//! ([`engine::meters`]) and say so when asked, [`admin`] shows the sums over HTTP,
//! and [`top`] in a terminal. What happens goes through [`tell`] to the log
//! ([`log`]), copies of packets through [`tap`] to the query log and to dnstap.
//!
//! Rules such as `R2` or `M5` in comments, tests and answers are those of the
//! contract in `docs/semantics.md`.

pub mod admin;
pub mod cli;
pub mod config;
pub mod corefile;
pub mod demo;
pub mod engine;
pub mod explain;
pub mod log;
pub mod net;
pub mod reload;
pub mod run;
pub mod show;
pub mod tap;
pub mod tell;
pub mod top;
pub mod wire;
