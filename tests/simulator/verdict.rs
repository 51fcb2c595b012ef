//! From the clusters' views to what the answer has to be: the rules M5 and M6
//! with K3, K4 and K5, for one choice of views.

use crate::book::{Held, View, Why};
use domain::base::iana::{Rcode, Rtype};
use gathersrv::config::OnMissing;
use smallvec::SmallVec;

/// A cluster's part in an answer.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    pub cluster: u8,
    pub held: Held,
    /// It was said to this query, or lately enough: the cluster is there.
    pub fresh: bool,
    /// K4: the name is known to exist there, or may be.
    pub exists: Option<bool>,
}

impl Part {
    fn is_missing(&self) -> bool {
        self.held.view == View::Nothing
    }
}

pub type Clusters = SmallVec<[u8; 4]>;

/// What is asked of the answer.
#[derive(Debug, Clone)]
pub struct Expected {
    pub rcode: Rcode,
    /// Clusters whose records are in it.
    pub records: SmallVec<[(u8, u8); 4]>,
    /// Clusters that EDE 3 or 19 names, and those that it may name.
    pub stale: Clusters,
    pub perhaps: Clusters,
    /// Clusters that EDE 22 or 23 names.
    pub missing: Clusters,
    pub by: By,
}

/// The rule that decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// All parts are there.
    Whole,
    /// Records without a cluster (M6).
    Partial,
    /// NODATA without a cluster (K3).
    Gentle,
    /// NODATA because the name is held (K4).
    Exists,
    /// SERVFAIL for want of a cluster's word.
    Unknown,
    /// The same, where another cluster says NODATA to a type not in K3's list.
    Strict,
    /// The same for a name that is held, and a type not in K4's list.
    StrictExists,
    /// `on-missing fail`.
    Fail,
    /// `min-clusters`.
    TooFew,
}

/// The types of K3's list.
pub fn is_gentle(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::A | Rtype::AAAA | Rtype::HTTPS | Rtype::SVCB | Rtype::NS)
}

/// The policy of a zone.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    pub on_missing: OnMissing,
    pub min_clusters: usize,
}

/// All that the answer may be, given these parts.
pub fn outcomes(rtype: Rtype, policy: Policy, parts: &[Part]) -> SmallVec<[Expected; 2]> {
    let stale = parts.iter().filter(|part| !part.fresh && !part.is_missing());
    let stale: Clusters = stale.map(|part| part.cluster).collect();
    let nothing: SmallVec<[&Part; 4]> = parts.iter().filter(|part| part.is_missing()).collect();
    let missing: Clusters = nothing.iter().map(|part| part.cluster).collect();
    let records = parts.iter().filter_map(|part| match part.held.view {
        View::Records(epoch) => Some((part.cluster, epoch)),
        _ => None,
    });
    let whole = Expected {
        rcode: Rcode::NOERROR,
        records: records.collect(),
        stale,
        perhaps: Clusters::new(),
        missing,
        by: By::Whole,
    };
    let perhaps: Clusters =
        nothing.iter().filter(|part| part.exists.is_some()).map(|part| part.cluster).collect();
    let failed = |by| Expected {
        rcode: Rcode::SERVFAIL,
        records: SmallVec::new(),
        perhaps: perhaps.clone(),
        by,
        ..whole.clone()
    };
    let mut all = SmallVec::new();
    let gone = |part: &&Part| !part.fresh && part.held.why != Why::Distrusted;
    if policy.on_missing == OnMissing::Fail && parts.iter().any(|part| gone(&part)) {
        all.push(failed(By::Fail));
        return all;
    }
    let counted = parts.len() - nothing.len();
    if counted < policy.min_clusters.min(parts.len()) {
        all.push(failed(By::TooFew));
        // A cluster that K4 makes say NODATA may count.
        if !nothing.iter().any(|part| part.exists.is_some()) {
            return all;
        }
    }
    if !whole.records.is_empty() {
        let by = if nothing.is_empty() { By::Whole } else { By::Partial };
        all.push(Expected { by, ..whole });
        return all;
    }
    let no_data = parts.iter().any(|part| part.held.view == View::NoData);
    if nothing.is_empty() {
        let rcode = if no_data { Rcode::NOERROR } else { Rcode::NXDOMAIN };
        all.push(Expected { rcode, ..whole });
        return all;
    }
    let held = policy.on_missing == OnMissing::Stale;
    let holders: SmallVec<[&Part; 4]> =
        nothing.iter().copied().filter(|part| held && part.exists.is_some()).collect();
    if !is_gentle(rtype) {
        let by = match (no_data, holders.is_empty()) {
            (true, _) => By::Strict,
            (false, true) => By::Unknown,
            (false, false) => By::StrictExists,
        };
        all.push(failed(by));
        return all;
    }
    if no_data {
        all.push(Expected { perhaps: perhaps.clone(), by: By::Gentle, ..whole });
        return all;
    }
    if !holders.is_empty() {
        let sure = holders.iter().filter(|part| part.exists == Some(true));
        let sure: Clusters = sure.map(|part| part.cluster).collect();
        let mut stale = whole.stale.clone();
        stale.extend(sure.iter().copied());
        let missing = whole.missing.iter().copied().filter(|c| !sure.contains(c)).collect();
        let surely = !sure.is_empty();
        all.push(Expected {
            perhaps: perhaps.clone(),
            stale,
            missing,
            by: By::Exists,
            ..whole.clone()
        });
        if surely {
            return all;
        }
    }
    all.push(failed(By::Unknown));
    all
}
