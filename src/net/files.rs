//! How many files the process may have open, and what of them is left for
//! clients' connections: out of files, it still has those that UDP needs.

use super::worker::Served;
use crate::config::Plan;
use crate::engine::LINKS_PER_SERVER;

/// Standard streams, runtimes, the configuration's files and the admin's.
const COMMON: usize = 64;

/// Files of a worker beside its sockets: its runtime and what wakes it.
const PER_WORKER: usize = 8;

/// Files of a server in one worker: its ports, as many that drain before they
/// are closed, and two streams.
const PER_SERVER: usize = 2 * LINKS_PER_SERVER + 2;

/// Raises the limit as far as it goes, and takes off what is needed. Where it
/// cannot be read there is none.
pub fn left_for_clients(plans: &[Served]) -> usize {
    let limit = match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
        Err(error) => {
            tracing::debug!("the limit of open files cannot be raised: {error}");
            rlimit::Resource::NOFILE
                .get_soft()
                .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
        }
    };
    let left = limit.saturating_sub(needed(plans.iter().map(|served| &*served.plan)));
    let wanted = plans.iter().map(|served| served.plan.settings.max_tcp).max().unwrap_or(0);
    if left < wanted {
        tracing::warn!(
            "{limit} open files leave {left} for connections of clients, and {wanted} are allowed: \
             raise the limit (ulimit -n, or LimitNOFILE= of systemd) by {}",
            wanted - left
        );
    }
    left
}

/// Files that plans need beside connections of clients.
fn needed<'a>(plans: impl Iterator<Item = &'a Plan>) -> usize {
    let needed = plans.map(|plan| {
        let settings = &plan.settings;
        let sockets = 2 * settings.listen.len() + settings.listen_tls.len();
        // Each is held by its worker and kept to be handed on.
        let own = PER_WORKER + 2 * sockets + plan.servers.len() * PER_SERVER;
        settings.workers.get() * own
    });
    // A change of the configuration may need as much again for a while.
    COMMON + 2 * needed.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_left_for_every_workers_sockets_and_a_change() {
        let flags = ["--zone", "z.", "--cluster", "k. a- 10.8.0.1 10.8.0.2", "--workers", "3"];
        let listen = ["--listen", "127.0.0.1:1", "--listen", "127.0.0.1:2"];
        let plan = crate::cli::plan(&[&flags[..], &listen].concat());
        // Four sockets twice, two servers; three workers; a reload beside them.
        let worker = PER_WORKER + 8 + 2 * PER_SERVER;
        assert_eq!(needed(std::iter::once(&*plan)), COMMON + 2 * 3 * worker);
        assert_eq!(needed([&*plan, &*plan].into_iter()), COMMON + 4 * 3 * worker);
    }
}
