//! Events of workers and their log lines.

use super::*;
use crate::cli::plan;
use crate::tell::limited::TELL_EVERY;

const A: &str = "10.8.0.1:53";
const B1: &str = "10.9.0.1:53";
const B2: &str = "10.9.0.2:53";

fn two() -> Arc<Plan> {
    plan(&[
        "--zone",
        "z.local.",
        "--cluster",
        "a.local. a- 10.8.0.1",
        "--cluster",
        "b.local. b- 10.9.0.1 10.9.0.2",
    ])
}

struct Told {
    states: States,
    now: Instant,
}

impl Told {
    fn new(workers: usize) -> Self {
        let mut states = States::default();
        states.serving(vec![((0..workers).collect(), two())]);
        Told { states, now: Instant::now() }
    }

    fn out(&mut self, worker: usize, server: &str) -> Vec<String> {
        let server = server.parse().unwrap();
        let silence = Some(Duration::from_millis(1200));
        texts(&self.states.out(self.now, worker, server, 2, silence))
    }

    fn back(&mut self, worker: usize, server: &str) -> Vec<String> {
        texts(&self.states.back(self.now, worker, server.parse().unwrap()))
    }
}

fn texts(lines: &[Line]) -> Vec<String> {
    lines.iter().map(|line| line.text.clone()).collect()
}

#[test]
fn a_change_that_all_workers_notice_is_told_once_with_its_reason() {
    let mut told = Told::new(3);
    assert_eq!(
        told.out(1, B2),
        ["server 10.9.0.2:53 is out: it left 2 questions unanswered, and was last heard \
             1.2 s ago"]
    );
    assert!(told.out(0, B2).is_empty() && told.out(2, B2).is_empty());
    told.now += Duration::from_millis(12_300);
    assert!(told.back(0, B2).is_empty() && told.back(2, B2).is_empty());
    assert_eq!(told.back(1, B2), ["server 10.9.0.2:53 is back after 12.3 s"]);
    assert!(told.back(1, B2).is_empty());
    assert!(!told.states.has_untold());
}

#[test]
fn a_cluster_is_missing_when_all_its_servers_are_out() {
    let mut told = Told::new(1);
    assert_eq!(told.out(0, B1).len(), 1);
    let lines = told.out(0, B2);
    let missing = "cluster b.local. b- of z.local. is missing: all its servers are out \
                   (10.9.0.1:53, 10.9.0.2:53)";
    assert_eq!(lines[1..], [missing]);
    assert_eq!(
        told.out(0, A)[1..],
        ["cluster a.local. a- of z.local. is missing: its server is out (10.8.0.1:53)"]
    );
    told.now += Duration::from_secs(65);
    assert_eq!(told.back(0, B1)[1..], ["cluster b.local. b- of z.local. is back after 1 min 5 s"]);
    assert_eq!(told.back(0, B2).len(), 1, "the cluster was back already");
}

#[test]
fn one_that_changes_all_the_time_is_told_a_few_times_and_how_it_ends() {
    let mut told = Told::new(1);
    let mut lines = 0;
    for _ in 0..50 {
        lines += told.out(0, A).len() + told.back(0, A).len();
    }
    lines += told.out(0, A).len();
    assert_eq!(lines, 12, "six of the server, six of its cluster");
    assert!(told.states.has_untold());
    assert!(told.states.look_again(told.now).is_empty());
    let lines = told.states.look_again(told.now + TELL_EVERY);
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0]
            .text
            .starts_with("server 10.8.0.1:53 has been out for 10.0 s; it changed 95 times"),
        "{}",
        lines[0].text
    );
    assert!(lines[1].text.contains("is missing"), "{}", lines[1].text);
    assert!(!told.states.has_untold());
}

#[test]
fn a_new_configuration_forgets_what_concerns_nobody_any_more() {
    let mut told = Told::new(2);
    told.out(0, A);
    told.out(1, A);
    let other = plan(&["--zone", "z.local.", "--cluster", "b.local. b- 10.9.0.1"]);
    told.states.serving(vec![(vec![0, 1], other.clone())]);
    assert!(told.out(0, A).is_empty(), "said before it heard of the new plan");
    assert!(told.back(0, A).is_empty());
    assert_eq!(told.out(0, B1).len(), 2);
    // Worker 0 is gone, and with it what it said.
    told.states.serving(vec![(vec![1], other)]);
    assert_eq!(told.out(1, B1).len(), 2);
    told.states.serving(vec![(vec![1], two())]);
    assert!(told.states.places.len() == 3 && !told.states.has_untold());
}

#[test]
fn a_server_of_very_many_zones_fills_no_screen() {
    let mut words = Vec::new();
    let zones: Vec<String> = (0..100).map(|n| format!("z{n}.")).collect();
    for zone in &zones {
        words.extend(["--zone", zone, "--cluster", "a.local. a- 10.8.0.1"]);
    }
    let mut told = Told::new(1);
    told.states.serving(vec![(vec![0], plan(&words))]);
    let lines = told.out(0, A);
    assert_eq!(lines.len(), 1 + TOLD_AT_ONCE + 1);
    assert!(lines[1..11].is_sorted(), "{lines:?}");
    assert_eq!(lines[11], "and 90 clusters of zones more are missing with that server");
    let lines = told.states.back(told.now, 0, A.parse().unwrap());
    let last = lines.last().unwrap();
    assert_eq!(last.text, "and 90 clusters of zones more are back with that server");
    assert_eq!((last.event, last.level), ("cluster_back", Level::INFO));
    let lines = told.states.out(told.now, 0, A.parse().unwrap(), 2, None);
    let last = lines.last().unwrap();
    assert_eq!((last.event, last.level), ("cluster_missing", Level::WARN));
}

/// The cluster that has the forward beside it.
fn with_forward() -> Arc<Plan> {
    plan(&["--zone", "z.", "--cluster", "a.local. a- 10.8.0.1", "--forward", "f. 10.8.0.1"])
}

#[test]
fn a_forward_is_missing_and_back_as_a_cluster_is() {
    let mut told = Told::new(1);
    told.states.serving(vec![(vec![0], with_forward())]);
    assert_eq!(
        told.out(0, A)[1..],
        [
            "forward f. is missing: its server is out (10.8.0.1:53)",
            "cluster a.local. a- of z. is missing: its server is out (10.8.0.1:53)"
        ]
    );
    let lines = told.states.back(told.now, 0, A.parse().unwrap());
    let zones: Vec<_> = lines.iter().map(|line| (line.event, line.zone.as_deref())).collect();
    let wanted =
        [("server_back", None), ("cluster_back", Some("f.")), ("cluster_back", Some("z."))];
    assert_eq!(zones, wanted);
    let clusters: Vec<_> = lines.iter().map(|line| line.cluster.as_deref()).collect();
    assert_eq!(clusters, [None, None, Some("a.local. a-")]);
}

#[test]
fn the_facts_of_a_change_stand_beside_its_text() {
    let mut told = Told::new(1);
    let server = A.parse().unwrap();
    let lines = told.states.out(told.now, 0, server, 1, None);
    let wanted = "server 10.8.0.1:53 is out: it left 1 question unanswered, and was never heard";
    assert_eq!(lines[0].text, wanted);
    let facts = |line: &Line| (line.event, line.level, line.questions, line.seconds, line.more);
    assert_eq!(facts(&lines[0]), ("server_out", Level::WARN, Some(1), None, Some(0)));
    assert_eq!(lines[0].server.as_deref(), Some(A));
    assert_eq!(facts(&lines[1]), ("cluster_missing", Level::WARN, None, None, Some(0)));
    told.now += Duration::from_secs(2);
    let lines = told.states.back(told.now, 0, server);
    assert_eq!(facts(&lines[0]), ("server_back", Level::INFO, None, Some(2.0), Some(0)));
    assert_eq!(facts(&lines[1]), ("cluster_back", Level::INFO, None, Some(2.0), Some(0)));
    // How long it is out this time, not in all.
    told.now += Duration::from_secs(3);
    told.states.out(told.now, 0, server, 2, Some(Duration::from_secs(3)));
    told.now += Duration::from_secs(4);
    let lines = told.states.back(told.now, 0, server);
    assert_eq!((lines[0].seconds, lines[1].seconds), (Some(4.0), Some(4.0)));
}

#[test]
fn a_server_is_back_when_no_worker_says_any_more_that_it_is_out() {
    let mut told = Told::new(2);
    assert_eq!(told.out(0, A).len(), 2);
    told.out(1, A);
    assert!(told.back(0, A).is_empty());
    assert!(told.back(0, A).is_empty(), "the same worker twice");
    assert_eq!(told.back(1, A).len(), 2);
}

#[test]
fn what_was_not_told_meanwhile_is_counted_when_it_is_told_again() {
    let mut told = Told::new(1);
    for _ in 0..5 {
        told.out(0, A);
        told.back(0, A);
    }
    // Six of ten changes have been told.
    told.now += TELL_EVERY;
    let lines = told.out(0, A);
    assert!(lines[0].ends_with("(it changed 4 times more since this was last told)"), "{lines:?}");
    assert!(lines[1].ends_with("(it changed 4 times more since this was last told)"), "{lines:?}");
    told.now += TELL_EVERY;
    assert_eq!(told.back(0, A)[0], "server 10.8.0.1:53 is back after 10.0 s");
}

#[test]
fn that_a_server_and_its_cluster_are_back_is_told_late_rather_than_never() {
    let mut told = Told::new(1);
    for _ in 0..3 {
        told.out(0, A);
        told.back(0, A);
    }
    told.now += TELL_EVERY;
    told.out(0, A);
    told.back(0, A);
    assert!(told.states.has_untold());
    told.now += TELL_EVERY;
    let lines = told.states.look_again(told.now);
    let facts = |line: &Line| (line.event, line.level, line.more);
    assert_eq!(facts(&lines[0]), ("server_back", Level::INFO, Some(1)));
    assert_eq!(facts(&lines[1]), ("cluster_back", Level::INFO, Some(1)));
    let texts = texts(&lines);
    assert!(texts[0].starts_with("server 10.8.0.1:53 has been back for 10.0 s"), "{texts:?}");
    assert!(
        texts[1].starts_with("cluster a.local. a- of z.local. has been back for 10.0 s"),
        "{texts:?}"
    );
    assert!(!told.states.has_untold() && told.states.look_again(told.now).is_empty());
}

#[test]
fn a_cluster_whose_servers_are_others_now_is_missing_when_those_are_out() {
    let mut told = Told::new(1);
    told.out(0, B1);
    told.out(0, B2);
    told.out(0, A);
    told.back(0, A);
    // A reload later one of them is another, and b is not missing any more. Nobody
    // asks a, which was back, and what was known of it is forgotten.
    let words = ["--zone", "z.local.", "--cluster", "b.local. b- 10.9.0.1 10.9.0.3"];
    told.states.serving(vec![(vec![0], plan(&words))]);
    assert_eq!((told.states.servers.len(), told.states.clusters.len()), (1, 0));
    assert!(!told.states.has_untold());
    assert_eq!(told.out(0, "10.9.0.3:53").len(), 2, "and now it is again");
    // The worker that said so is gone.
    told.states.serving(vec![(vec![1], plan(&words))]);
    assert!(told.states.out.is_empty() && told.states.servers.is_empty());
    assert!(!told.states.has_untold());
    assert_eq!(told.out(1, B1).len(), 1, "one of two");
    assert_eq!(told.out(1, "10.9.0.3:53").len(), 2, "the server, and the cluster again");
}

#[test]
fn a_cluster_of_which_a_server_is_not_known_to_be_out_any_more_is_told_of_anew() {
    let mut told = Told::new(2);
    told.out(0, B1);
    let lines = told.out(1, B2);
    let down = |lines: &[String]| lines.iter().any(|line| line.starts_with("cluster b.local."));
    assert!(down(&lines), "{lines:?}");
    // The worker that missed the first server has ended.
    told.states.serving(vec![(vec![1], two())]);
    let lines = told.out(1, B1);
    assert!(down(&lines), "{lines:?}");
}
