//! The flags of the daemon. The first line of each is the short help; the rest
//! is what `gathersrv help FLAG`, the manual page and docs/reference.md say.

// Brackets in a help are no links.
#![allow(rustdoc::broken_intra_doc_links)]

use super::values::{Missing, Order, Truncated, cache_for, deadline, lame_duck, span, workers};
use crate::config::Settings;
use crate::log::{Log, LogFormat, LogLevel};
use crate::wire::edns::DEFAULT_PAYLOAD;
use clap::{Args, ValueHint};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// The flags that a start needs: `--help` says a line about each of these.
pub(super) const ZONES: &str = "Zones and listeners";
const TLS: &str = "TLS";
const FAILURES: &str = "Failures";
const MEMORY: &str = "Memory";
const CLIENTS: &str = "Clients";
const ANSWERS: &str = "Answers";

/// Flags of the daemon.
#[derive(Debug, Args)]
#[command(next_help_heading = "Process")]
pub(super) struct Serve {
    /// A zone in front of the --cluster flags that follow
    ///
    /// Clients ask for names in this zone. Each is asked of every cluster behind it, under
    /// that cluster's own suffix, and the answers are merged into one. Repeatable: a --cluster
    /// belongs to the --zone in front of it. With one zone the order does not matter.
    ///
    /// Of zones inside each other the longest that covers a name is asked. Names that could
    /// meet are an error at the start, told with an example.
    ///
    /// In a Corefile: gathersrv ZONE { ... }
    ///
    /// Example: --zone distributed.local.
    #[arg(long, value_name = "NAME", help_heading = ZONES)]
    pub(super) zone: Vec<String>,
    /// A cluster of the zone: 'SUFFIX PREFIX SERVER...'
    ///
    /// SUFFIX is the cluster's own zone, PREFIX what marks its names in answers and in what is
    /// asked (1 to 62 letters, digits and '-'), SERVER its DNS server: 10.8.0.1, 10.8.0.1:5353,
    /// 2001:db8::1 or [2001:db8::1]:5353; at most 16, asked as --policy says. Repeatable; at
    /// least one for each zone. Clusters may share a suffix.
    ///
    /// Over TLS a server is tls://10.8.0.1#NAME, port 853 unless another is given, with the
    /// name in its certificate. Behind the servers may stand ca=FILE, the authorities that are
    /// believed in place of the system's, and case=random, which makes forged answers harder.
    ///
    /// In a Corefile: a line SUFFIX PREFIX [SERVER...] in the block of gathersrv.
    ///
    /// Example: --cluster 'cluster-a.local. a- 10.8.0.1 10.8.0.2:5353'
    #[arg(long, value_name = "WORDS", help_heading = ZONES)]
    pub(super) cluster: Vec<String>,
    /// Servers for names outside every zone: 'ZONE SERVER...'
    ///
    /// Names at or under ZONE go to these servers as they are; '.' is every name. Of several
    /// the longest that covers a name is asked. Servers are written as those of a --cluster,
    /// with ca=FILE and case=random if wanted. Repeatable. Names that no zone and no forward
    /// covers are REFUSED.
    ///
    /// In a Corefile: forward FROM TO...
    ///
    /// Example: --forward '. 192.0.2.53 192.0.2.54'
    #[arg(long, value_name = "WORDS", help_heading = ZONES)]
    pub(super) forward: Vec<String>,
    /// Where to listen, over UDP and TCP
    ///
    /// An address of this host and a port, 53 if none is given; port 0 is a free one, which
    /// the start lines tell. Repeatable. 0.0.0.0 and [::] are every address of the host: who
    /// reaches one may then ask, unless --allow says who may.
    ///
    /// Default: 127.0.0.1:53, and [::1]:53 if the host has IPv6.
    ///
    /// In a Corefile: bind ADDR... and the port behind the block's zone.
    ///
    /// Example: --listen 10.0.0.53:53 --listen '[2001:db8::53]:53'
    #[arg(long, value_name = "ADDR:PORT", help_heading = ZONES)]
    pub(super) listen: Vec<String>,
    /// A Corefile, in place of the flags above and those of TLS
    ///
    /// Server blocks in the form of CoreDNS; what it may say is in docs/reference.md. Flags
    /// that can stand beside it hold where the file says nothing. It is read again on SIGHUP
    /// and when it changes; if it is wrong then, what was served stays.
    ///
    /// 'gathersrv check --config FILE' says what would be served, or all that is wrong.
    ///
    /// Example: --config /etc/gathersrv/Corefile
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = ZONES,
          conflicts_with_all = ["listen", "listen_tls", "tls_cert", "tls_key", "zone", "cluster", "forward"])]
    pub(super) config: Option<PathBuf>,
    /// Where to listen for DNS over TLS
    ///
    /// An address of this host and a port, 853 if none is given. Repeatable. It needs
    /// --tls-cert and --tls-key. With it and without --listen there is no UDP and no TCP.
    ///
    /// In a Corefile: tls://ZONE[:PORT] in front of a block.
    ///
    /// Example: --listen-tls 10.0.0.53:853
    #[arg(long, value_name = "ADDR:PORT", requires_all = ["tls_cert", "tls_key"], help_heading = TLS)]
    pub(super) listen_tls: Vec<String>,
    /// The certificate that clients over TLS are shown
    ///
    /// A file in PEM: the certificate, and behind it those between it and its authority. It
    /// is read again on SIGHUP and when it changes; if it does not fit its key then, the pair
    /// before it is kept and the log says why.
    ///
    /// In a Corefile: tls CERT KEY
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_key", help_heading = TLS)]
    pub(super) tls_cert: Option<PathBuf>,
    /// The certificate's private key
    ///
    /// A file in PEM that the daemon's user can read. It is read again together with the
    /// certificate.
    ///
    /// In a Corefile: tls CERT KEY
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_cert", help_heading = TLS)]
    pub(super) tls_key: Option<PathBuf>,
    /// Answer every query within this time
    ///
    /// From 10ms to 60s. When it has passed, the clusters that have not answered are missing,
    /// and --on-missing decides what becomes of the answer. Asking again and the next server
    /// all happen inside it. The default is below one second because HAProxy and the resolver
    /// of the JVM give up after that.
    ///
    /// In a Corefile: deadline TIME in the block of gathersrv; cancel [TIME] for a whole block.
    ///
    /// Example: --deadline 500ms
    #[arg(long, value_name = "TIME", default_value = "800ms", value_parser = deadline, help_heading = FAILURES)]
    pub(super) deadline: Duration,
    /// What to do when a cluster does not answer
    ///
    /// Applies when some cluster gave records and another is missing: down, late, or answering
    /// SERVFAIL or REFUSED. With stale and partial the answer says which
    /// cluster is missing (EDE 3 or 23), and its TTLs are cut to five seconds. If nobody has
    /// records, somebody is missing and nothing is held of them, the answer is SERVFAIL, or for
    /// A, AAAA, HTTPS, SVCB and NS an empty one if another cluster has the name: NXDOMAIN is
    /// never guessed.
    ///
    /// In a Corefile: on-missing POLICY in the block of gathersrv.
    #[arg(long, value_name = "POLICY", default_value = "stale", help_heading = FAILURES)]
    pub(super) on_missing: Missing,
    /// Answer SERVFAIL when fewer clusters than this are in the answer
    ///
    /// A last good answer that fills in counts as one. Negative answers become SERVFAIL as
    /// positive ones do. N may not be larger than the number of a zone's clusters. 0 is no
    /// demand.
    ///
    /// In a Corefile: min-clusters N in the block of gathersrv.
    ///
    /// Example: --min-clusters 2
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = FAILURES)]
    pub(super) min_clusters: usize,
    /// Which server of a cluster to ask first
    ///
    /// The others are asked when it does not answer in time, or answers SERVFAIL or REFUSED.
    /// Servers that are out are passed over.
    ///
    /// In a Corefile: policy sequential, round_robin or random in the block of a forward.
    #[arg(long, value_name = "POLICY", default_value = "sequential", help_heading = FAILURES)]
    pub(super) policy: Order,
    /// Take a server out after it left this many questions unanswered
    ///
    /// In a row, and unheard for a quarter of the deadline. Queries do not wait for a server
    /// that is out. It is asked in the background, a quarter of a second later at first and
    /// every second at last, and is back with its first reply. 0: never take one out; then
    /// none is ever told as out, in the log, on the status page or in metrics.
    ///
    /// In a Corefile: max_fails N in the block of a forward.
    #[arg(long, value_name = "N", default_value_t = 2, help_heading = FAILURES)]
    pub(super) max_fails: u32,
    /// Merged answers to keep and give again
    ///
    /// Over all workers. An answer is given again while its TTLs last, and for --cache-for at
    /// most; one in demand is refreshed before it ends. Answers that lack a cluster are not
    /// kept as whole ones. 0: the clusters are asked every time.
    ///
    /// In a Corefile: cache { success ENTRIES }; without the directive nothing is given again.
    #[arg(long, value_name = "ENTRIES", default_value_t = Settings::default().cache, help_heading = MEMORY)]
    pub(super) cache: usize,
    /// Longest time to give an answer again
    ///
    /// Whatever its TTLs, which are not changed by it. At most 1h.
    ///
    /// In a Corefile: cache SECONDS
    ///
    /// Example: --cache-for 10s
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = cache_for, help_heading = MEMORY)]
    pub(super) cache_for: Duration,
    /// Questions whose last good answers are held for when a cluster is missing
    ///
    /// What each cluster last said to them, held for all workers together, also through
    /// changes of the configuration; with --on-missing stale it fills in, however long ago its
    /// TTLs ended, up to --keep-for. As many negative answers are held beside them, and
    /// addresses of SRV, MX and CNAME targets. What is asked once displaces nothing that is
    /// asked again. 0: nothing is held, and missing clusters are left out.
    ///
    /// There is no directive for it: give it beside --config.
    #[arg(long, value_name = "ENTRIES", default_value_t = Settings::default().keep, help_heading = MEMORY)]
    pub(super) keep: usize,
    /// How old a last good answer may be
    ///
    /// Older ones do not fill in for a missing cluster. NXDOMAIN does for an hour at most after
    /// the cluster went missing.
    ///
    /// In a Corefile: serve_stale [TIME] in the block of cache; 1h without a time.
    ///
    /// Example: --keep-for 2h
    #[arg(long, value_name = "TIME", default_value = "1day", value_parser = span, help_heading = MEMORY)]
    pub(super) keep_for: Duration,
    /// How long not to believe a cluster that had records and says it has none
    ///
    /// A cluster's DNS that has just started may not know its services yet. For this time
    /// its last good answer stands in place of its NXDOMAIN or empty answer; that is held by
    /// --keep. 0s: it is believed at once.
    ///
    /// In a Corefile: keep-on-empty TIME in the block of gathersrv.
    ///
    /// Example: --keep-on-empty 30s
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = span, help_heading = MEMORY)]
    pub(super) keep_on_empty: Duration,
    /// A network that may ask
    ///
    /// An address, or a network such as 10.0.0.0/8 or 2001:db8::/32. Repeatable. Everybody
    /// else is REFUSED, whatever is cached, and connections of theirs are closed at once.
    ///
    /// Default: whoever reaches a listener.
    ///
    /// In a Corefile: acl { allow net NET... } and a last line 'block'.
    ///
    /// Example: --allow 10.0.0.0/8 --allow ::1
    #[arg(long, value_name = "NET", help_heading = CLIENTS)]
    pub(super) allow: Vec<String>,
    /// UDP answers a second to one client network
    ///
    /// A network is an IPv4 /24 or an IPv6 /56. Of what is above it every second query is
    /// told to come over TCP, and the rest is dropped. Clients that show a DNS cookie or come
    /// over TCP are not counted. Each worker counts its share. 0: no limit.
    ///
    /// There is no directive for it: give it beside --config.
    ///
    /// Example: --rate-limit 200
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = CLIENTS)]
    pub(super) rate_limit: u32,
    /// UDP queries a second to answer without a DNS cookie
    ///
    /// Of all clients together. Above it, those without a cookie get one (BADCOOKIE), or, if
    /// they know nothing of cookies, are told to come over TCP by an answer no larger than
    /// their question. It stops floods with forged senders. 0: answer all of them.
    ///
    /// There is no directive for it: give it beside --config.
    ///
    /// Example: --require-cookies-above 2000
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = CLIENTS)]
    pub(super) require_cookies_above: u32,
    /// Queries in flight
    ///
    /// Over all workers. More are answered SERVFAIL at once.
    ///
    /// In a Corefile: max_concurrent N in the block of a forward.
    #[arg(long, value_name = "N", default_value_t = Settings::default().max_queries, help_heading = CLIENTS)]
    pub(super) max_queries: usize,
    /// Queries in flight from one client address
    ///
    /// More are answered SERVFAIL at once. 0: no limit. Leave it so where clients come
    /// through one resolver.
    ///
    /// There is no directive for it: give it beside --config.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = CLIENTS)]
    pub(super) max_queries_per_client: usize,
    /// Connections of clients, over TCP and TLS
    ///
    /// In all; further ones are closed at once. A connection costs some ten kilobytes, one over
    /// TLS forty. The limit of open files may leave fewer: those that UDP and the clusters
    /// need are reserved. The more are open, the sooner those that do nothing are closed:
    /// after ten seconds up to half of them, after one when all are taken.
    ///
    /// There is no directive for it: give it beside --config.
    #[arg(long, value_name = "N", default_value_t = Settings::default().max_tcp, help_heading = CLIENTS)]
    pub(super) max_tcp: usize,
    /// Connections of one client address
    ///
    /// The addresses of one IPv6 /64 are one client. Further connections are closed at once.
    ///
    /// There is no directive for it: give it beside --config.
    #[arg(long, value_name = "N", default_value_t = Settings::default().max_tcp_per_client, help_heading = CLIENTS)]
    pub(super) max_tcp_per_client: usize,
    /// Largest UDP answer in octets
    ///
    /// From 512 to 4096, and never more than the client takes. Larger answers lose records
    /// they can do without, and are truncated if that does not help; the client then comes
    /// over TCP. The default passes every usual network in one piece.
    ///
    /// In a Corefile: bufsize N
    #[arg(long, value_name = "OCTETS", default_value_t = DEFAULT_PAYLOAD, help_heading = ANSWERS,
          value_parser = clap::value_parser!(u16).range(512..=4096))]
    pub(super) max_udp_payload: u16,
    /// What a truncated answer carries
    ///
    /// A client that is told that an answer is truncated should ask again over TCP. Some use
    /// the records they got; others take half an answer for a whole one.
    ///
    /// There is no directive for it: give it beside --config.
    #[arg(long, value_name = "WHAT", default_value = "records", help_heading = ANSWERS)]
    pub(super) truncated: Truncated,
    /// Where to serve the status page and metrics over HTTP
    ///
    /// An address of this host and a port, 9153 if none is given; port 0 is a free one, which
    /// the start lines tell. Repeatable. There are / (the page), /status.json, /metrics for
    /// Prometheus, /health, /ready, /ready?strict (every cluster has a live server) and
    /// /config (what 'gathersrv check' prints).
    ///
    /// It has no login and changes nothing: who reaches it may see all of it. On loopback it
    /// has to be called by address or localhost, so that no page of a stranger reads it
    /// through a browser. Where only health or ready of a Corefile says so, there are
    /// /health and /ready and nothing else.
    ///
    /// Default: nowhere.
    ///
    /// In a Corefile: prometheus [ADDR], health [ADDR], ready [ADDR]
    ///
    /// Example: --admin 127.0.0.1:9153
    #[arg(long, value_name = "ADDR:PORT")]
    pub(super) admin: Vec<String>,
    /// How long to serve on after SIGTERM, and say that it is not ready
    ///
    /// Whoever sends queries here according to /ready has this time to stop doing so. Queries
    /// are answered as ever, connections are accepted; then the daemon ends. A second SIGTERM
    /// ends the wait, and if another process shares the listeners there is none. At most 10
    /// minutes.
    ///
    /// In a Corefile: health { lameduck TIME }
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = lame_duck)]
    pub(super) lame_duck: Duration,
    /// Share the listeners with the process that serves there now
    ///
    /// For replacing it without a loss: when this one is ready, stop the other, and it hands
    /// over what comes from then on, answers what it has, and ends. Both have to run as the
    /// same user. Without it, an address where somebody listens is an error. Where sockets
    /// are handed over by systemd it changes nothing.
    ///
    /// There is no directive for it: give it beside --config.
    #[arg(long)]
    pub(super) take_over: bool,
    /// Worker threads
    ///
    /// From 1 to 1024, each with sockets and memory of its own. Equal questions come to the
    /// same worker, so that they share one fan-out.
    ///
    /// Default: as many as there are cores.
    ///
    /// There is no directive for it: give it beside --config.
    #[arg(long, value_name = "N", value_parser = workers)]
    pub(super) workers: Option<NonZeroUsize>,
    /// What to log, on standard error
    ///
    /// Each level has the lines of those before it. Lines that any client could cause are
    /// limited in their rate.
    ///
    /// There is no directive for it: give it beside --config.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(super) log: LogLevel,
    /// What a line of the log looks like
    ///
    /// Text for people, or a JSON object on each line for programs, with the facts of an event
    /// as fields of their own.
    ///
    /// There is no directive for it: give it beside --config.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: LogFormat,
    /// Log queries as they are answered
    ///
    /// 1 for every query, 1/100 for one of a hundred, picked at random. One line for each, at
    /// every level of --log: client, transport, name, type, rcode, flags, octets, time taken,
    /// whether it was kept, and EDE codes. Lines that whoever reads the log does not keep up
    /// with are dropped, and counted.
    ///
    /// Default: none.
    ///
    /// In a Corefile: log
    ///
    /// Example: --query-log 1/100
    #[arg(long, value_name = "RATE")]
    pub(super) query_log: Option<String>,
    /// Send a copy of every packet to a collector of dnstap
    ///
    /// unix:PATH or tcp:ADDR:PORT, where a collector that speaks frame streams listens, such as
    /// fstrm_capture: queries, answers, sub-questions and what came back. The connection is made
    /// again when it breaks; what the collector does not keep up with is dropped, and counted.
    ///
    /// Default: nowhere.
    ///
    /// In a Corefile: dnstap ENDPOINT
    ///
    /// Example: --dnstap unix:/run/dnstap.sock
    #[arg(long, value_name = "ENDPOINT")]
    pub(super) dnstap: Option<String>,
}

impl Serve {
    /// What is logged, and how.
    pub(super) fn log(&self) -> Log {
        Log { level: self.log, format: self.log_format }
    }
}
