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
    /// The EDE code of SERVFAIL: 22 if nobody has answered now (K5).
    pub failure: u16,
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
    let has_name = |part: &Part| part.fresh && part.held.view != View::NxDomain;
    let held = policy.on_missing == OnMissing::Stale;
    let known = held && is_gentle(rtype) && !parts.iter().any(has_name);
    let holders = |surely: bool| {
        let holders = parts.iter().filter(move |part| {
            known && part.is_missing() && part.exists.is_some_and(|sure| sure || !surely)
        });
        holders.map(|part| part.cluster).collect::<Clusters>()
    };
    let (sure, perhaps) = (holders(true), holders(false));
    let mut all: SmallVec<[Expected; 2]> = SmallVec::new();
    let doubtful = perhaps.iter().copied().filter(|cluster| !sure.contains(cluster)).collect();
    all.push(outcome(rtype, policy, parts, &sure, &doubtful));
    if sure.len() < perhaps.len() {
        all.push(outcome(rtype, policy, parts, &perhaps, &doubtful));
    }
    all
}

/// What the answer is if the clusters `holders` say NODATA (K4); whether
/// `perhaps` do or not is not known.
fn outcome(
    rtype: Rtype,
    policy: Policy,
    parts: &[Part],
    holders: &Clusters,
    perhaps: &Clusters,
) -> Expected {
    let is_holder = |part: &Part| holders.contains(&part.cluster);
    let is_missing = |part: &&Part| part.is_missing() && !is_holder(part);
    let stale = parts.iter().filter(|part| !part.fresh && !is_missing(part));
    let missing: Clusters = parts.iter().filter(is_missing).map(|part| part.cluster).collect();
    let records = parts.iter().filter_map(|part| match part.held.view {
        View::Records(epoch) => Some((part.cluster, epoch)),
        _ => None,
    });
    let counted = parts.len() - missing.len();
    let no_data = parts.iter().any(|part| part.held.view == View::NoData) || !holders.is_empty();
    let exists = parts.iter().any(|part| part.exists.is_some());
    let mut whole = Expected {
        rcode: Rcode::NOERROR,
        records: records.collect(),
        stale: stale.map(|part| part.cluster).collect(),
        perhaps: perhaps.clone(),
        failure: if parts.iter().any(|part| part.fresh) { 23 } else { 22 },
        by: if holders.is_empty() { By::Whole } else { By::Exists },
        missing,
    };
    let fail = |whole: Expected, by| Expected {
        rcode: Rcode::SERVFAIL,
        records: SmallVec::new(),
        by,
        ..whole
    };
    let gone = |part: &Part| !part.fresh && part.held.why != Why::Distrusted;
    if policy.on_missing == OnMissing::Fail && parts.iter().any(gone) {
        return fail(whole, By::Fail);
    }
    if counted < policy.min_clusters.min(parts.len()) {
        return fail(whole, By::TooFew);
    }
    match (whole.records.is_empty(), whole.missing.is_empty(), no_data) {
        (true, true, false) => whole.rcode = Rcode::NXDOMAIN,
        (_, true, _) => {}
        (false, false, _) => whole.by = By::Partial,
        (true, false, true) if is_gentle(rtype) => {
            if holders.is_empty() {
                whole.by = By::Gentle;
            }
        }
        (true, false, true) => return fail(whole, By::Strict),
        (true, false, false) => {
            let by = if exists && !is_gentle(rtype) { By::StrictExists } else { By::Unknown };
            return fail(whole, by);
        }
    }
    whole
}
