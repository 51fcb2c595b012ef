//! What the manual pages say beside the flags: a table, so that prose and the
//! making of pages stay apart.

/// A piece of a section.
pub(super) enum Piece {
    /// A paragraph.
    Text(&'static str),
    /// A word, and what it means.
    Word(&'static str, &'static str),
    /// Lines as they are written at a shell.
    Code(&'static [&'static str]),
}

use Piece::{Code, Text, Word};

/// Sections of a page, each with its heading, in their order.
pub(super) type Sections = &'static [(&'static str, &'static [Piece])];

/// The last change of these texts.
pub(super) const DATE: &str = "2026-11-25";

/// The daemon, in a line that is short enough for a list of pages.
pub(super) const ABOUT: &str = "one merged DNS answer from several clusters";

/// What the daemon is.
pub(super) const DESCRIPTION: &[Piece] = &[
    Text(
        "gathersrv is a DNS daemon for services that live in several clusters at once. Clients ask \
         once, under one common zone. gathersrv asks every cluster's DNS under that cluster's own \
         zone, rewrites the names, and gives one merged answer. A prefix marks each cluster's \
         names in it, and a name with a prefix can be asked in turn: it goes to that cluster \
         alone.",
    ),
    Text(
        "Flags, or a Corefile given with --config, say what is served. It prints a line for each \
         zone and cluster, then 'ready' once its sockets are bound, and logs to standard error.",
    ),
    Text(
        "When a cluster is missing, its last good answer fills in, and the answer says so with an \
         extended DNS error; --on-missing chooses otherwise. NXDOMAIN is given only when every \
         cluster has confirmed it.",
    ),
];

const EXITS: &[Piece] = &[
    Word("0", "It was asked to stop, or did what it was asked to do."),
    Word("1", "It cannot run. The message says what is in the way."),
    Word(
        "2",
        "Words that cannot be followed. The message names the word, what is wrong, and what would be right.",
    ),
];

/// Behind the flags of gathersrv(1).
pub(super) const DAEMON: Sections = &[
    (
        "SIGNALS",
        &[
            Word("SIGTERM, SIGINT", "Stop when the queries in flight are answered."),
            Word(
                "SIGHUP",
                "Read the Corefile, certificates, keys and authorities again. They are checked \
                 whole first; if they are wrong, what was served stays and the log says why. \
                 Changes of these files are also noticed as they happen.",
            ),
        ],
    ),
    ("EXIT STATUS", EXITS),
    (
        "FILES",
        &[
            Word("/etc/gathersrv/Corefile", "What the systemd unit serves."),
            Word("/etc/default/gathersrv", "Flags beside it, as GATHERSRV_FLAGS=..."),
        ],
    ),
    (
        "EXAMPLES",
        &[
            Text("One zone in front of two clusters; everything else goes to another server:"),
            Code(&[
                "gathersrv --listen 10.0.0.53:53 --zone distributed.local. \\",
                "    --cluster 'cluster-a.local. a- 10.8.0.1:53' \\",
                "    --cluster 'cluster-b.local. b- 10.9.0.1:53 10.9.0.2' \\",
                "    --forward '. 192.0.2.53'",
            ]),
            Text("The same from a Corefile, looked at first:"),
            Code(&["gathersrv check --config Corefile", "gathersrv --config Corefile"]),
            Text("The whole of it without any cluster at hand:"),
            Code(&["gathersrv demo"]),
        ],
    ),
    (
        "SEE ALSO",
        &[Text(
            "gathersrv-check(1), gathersrv-explain(1), gathersrv-top(1), gathersrv-demo(1), \
             gathersrv-completions(1), gathersrv-man(1), dig(1), systemd.service(5)",
        )],
    ),
];

/// Behind the flags of each command's page: its examples, and what else to see.
pub(super) const COMMANDS: &[(&str, Sections)] = &[
    (
        "check",
        &[
            ("EXIT STATUS", EXITS),
            ("EXAMPLES", &[Code(&["gathersrv check --config /etc/gathersrv/Corefile"])]),
        ],
    ),
    (
        "explain",
        &[
            ("EXIT STATUS", EXITS),
            (
                "EXAMPLES",
                &[Code(&[
                    "gathersrv explain --config Corefile \\",
                    "    _demo._tcp.demo-service.default.svc.distributed.local SRV",
                ])],
            ),
        ],
    ),
    (
        "top",
        &[
            (
                "EXIT STATUS",
                &[
                    Word("0", "It was ended."),
                    Word(
                        "1",
                        "With --once: the daemon cannot be reached. Otherwise: standard output is no terminal.",
                    ),
                    Word("2", "Words that cannot be followed."),
                ],
            ),
            (
                "ENVIRONMENT",
                &[Word(
                    "NO_COLOR",
                    "If it is set and not empty, there are no colours. States are also told in words.",
                )],
            ),
            (
                "EXAMPLES",
                &[
                    Code(&["gathersrv top --admin 127.0.0.1:9153"]),
                    Text("For a script:"),
                    Code(&["gathersrv top --once | grep down"]),
                ],
            ),
        ],
    ),
    ("demo", &[("EXIT STATUS", EXITS), ("EXAMPLES", &[Code(&["gathersrv demo --once"])])]),
    (
        "completions",
        &[
            ("EXIT STATUS", EXITS),
            (
                "EXAMPLES",
                &[Code(&[
                    "gathersrv completions bash \\",
                    "    >/usr/share/bash-completion/completions/gathersrv",
                ])],
            ),
        ],
    ),
    (
        "man",
        &[
            ("EXIT STATUS", EXITS),
            (
                "EXAMPLES",
                &[Code(&[
                    "gathersrv man | man -l -",
                    "gathersrv man --dir /usr/local/share/man/man1",
                ])],
            ),
        ],
    ),
    (
        "help",
        &[
            ("EXIT STATUS", EXITS),
            ("EXAMPLES", &[Code(&["gathersrv help on-missing", "gathersrv help flags"])]),
        ],
    ),
];
