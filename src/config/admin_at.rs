//! Where the admin server is reached, and how much of it: CoreDNS has nothing
//! but "OK" where its `health` and `ready` are, at every address of the host, and
//! who moves from it does not expect the configuration to be shown there.

use super::plan::Plan;
use std::fmt;
use std::net::SocketAddr;

/// What is shown at an address of the admin server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shows {
    /// `/health` and `/ready`, for orchestrators.
    Probes,
    /// Everything, for operators.
    All,
}

/// An address of the admin server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminAt {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What is shown there.
    pub shows: Shows,
}

impl AdminAt {
    /// Those of all plans together.
    pub fn of(plans: &[Plan]) -> Vec<AdminAt> {
        Self::together(plans.iter().flat_map(|plan| plan.settings.admin.iter().copied()))
    }

    /// Each address once: it shows as much as it does at all.
    pub fn together(all: impl IntoIterator<Item = AdminAt>) -> Vec<AdminAt> {
        let mut each: Vec<AdminAt> = Vec::new();
        for one in all {
            match each.iter_mut().find(|known| known.addr == one.addr) {
                Some(known) => known.shows = known.shows.max(one.shows),
                None => each.push(one),
            }
        }
        each
    }
}

impl fmt::Display for AdminAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.shows {
            Shows::Probes => "health and readiness",
            Shows::All => "admin",
        };
        write!(f, "{what} on {}", self.addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_probes_and_metrics_showed_probes_only() {
        let at = |port, shows| AdminAt { addr: ([127, 0, 0, 1], port).into(), shows };
        let all =
            [at(1, Shows::Probes), at(2, Shows::Probes), at(1, Shows::All), at(1, Shows::Probes)];
        assert_eq!(AdminAt::together(all), [at(1, Shows::All), at(2, Shows::Probes)]);
    }
}
