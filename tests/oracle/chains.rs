//! M4 and K8: which records of the answer sections count, and which CNAME is
//! given at the question's name.

use crate::labels::Labels;
use crate::merge::{Context, Outcome, Rewrites, Row, Sub};

const CNAME: u16 = 5;
const DNAME: u16 = 39;

/// The longest chain that is followed.
const MAX_CHAIN: usize = 11;

/// What the answer section is made of.
#[derive(Default)]
pub struct Settled {
    pub rows: Vec<Row>,
    /// How often it is said that something had to give way (EDE 0).
    pub conflicts: usize,
    /// There is data of the type asked for among it.
    pub has_data: bool,
    /// The clusters differ at the question's name.
    pub flattened: bool,
    /// Where the CNAMEs that are given lead, and whose they are.
    pub led: Vec<(usize, Labels)>,
    /// Where some chain ends, NOERROR is said.
    pub any_noerror: bool,
}

/// One cluster's way from the question on.
struct Chain<'a> {
    links: Vec<&'a Row>,
    data: Vec<&'a Row>,
    end: Labels,
    /// Nothing more would be followed.
    stuck: bool,
    /// The sub-question in whose reply it ends.
    last: usize,
    /// The cluster has the name asked for.
    exists: bool,
}

fn target(row: &Row) -> &Labels {
    row.record.names().next().expect("a CNAME has a target")
}

/// The cluster that the target of a CNAME is a name of.
fn home(context: &Context, subs: &[Sub], link: &Row) -> Option<usize> {
    let raw = link.target.as_ref().expect("a CNAME has a target");
    context.zone.whose(subs[link.sub].cluster, raw).map(|(_, cluster)| cluster)
}

/// The other cluster's name that a chain with this last link goes on at.
fn beyond(context: &Context, subs: &[Sub], link: &Row) -> Option<(usize, Labels)> {
    let cluster = home(context, subs, link).filter(|&home| home != subs[link.sub].cluster)?;
    Some((cluster, link.target.clone()?))
}

fn walk<'a>(context: &Context, subs: &[Sub], rows: &'a [Row], sub: usize) -> Chain<'a> {
    let at = |reply: usize, name: &Labels, rtype: u16| {
        let counts = move |row: &&Row| {
            row.sub == reply && row.record.rtype == rtype && row.record.owner.same(name)
        };
        rows.iter().filter(counts).collect::<Vec<&Row>>()
    };
    let (mut last, mut end) = (sub, context.question.clone());
    let mut links: Vec<&Row> = Vec::new();
    let mut visited = vec![end.folded()];
    let mut circle = false;
    let mut data = Vec::new();
    loop {
        let most = if context.rtype == CNAME { 1 } else { MAX_CHAIN };
        while !circle
            && links.len() < most
            && let Some(link) = at(last, &end, CNAME).first()
        {
            links.push(link);
            end = target(link).clone();
            circle = visited.contains(&end.folded());
            visited.push(end.folded());
        }
        if !circle && context.rtype != CNAME {
            data = at(last, &end, context.rtype);
        }
        let beyond = links.last().and_then(|link| beyond(context, subs, link));
        let next = beyond.and_then(|(cluster, name)| {
            subs.iter().position(|s| s.follows && s.cluster == cluster && s.name.same(&name))
        });
        match next {
            Some(next) if data.is_empty() && !circle && links.len() < most && next != last => {
                last = next;
            }
            _ => break,
        }
    }
    let stuck = circle || context.rtype == CNAME || links.len() == MAX_CHAIN;
    let Outcome::Answered(packet) = &subs[sub].outcome else { panic!("no reply") };
    let here = [CNAME, context.rtype].iter().any(|&t| !at(sub, &context.question, t).is_empty());
    Chain { links, data, end, stuck, last, exists: packet.flags & 15 != 3 || here }
}

fn walk_all<'a>(context: &Context, subs: &[Sub], rows: &'a [Row]) -> Vec<Chain<'a>> {
    let answered =
        |n: &usize| matches!(subs[*n].outcome, Outcome::Answered(_)) && !subs[*n].follows;
    (0..subs.len()).filter(answered).map(|n| walk(context, subs, rows, n)).collect()
}

/// The names of other clusters that have to be asked next, and the clusters.
pub fn open_ends(context: &Context, subs: &[Sub]) -> Vec<(usize, Labels)> {
    let rewrites = Rewrites::of(context, subs);
    let mut ends: Vec<(usize, Labels)> = Vec::new();
    for chain in walk_all(context, subs, &rewrites.answer) {
        let Some(link) = chain.links.last().filter(|_| !chain.stuck && chain.data.is_empty())
        else {
            continue;
        };
        let Some((cluster, name)) = beyond(context, subs, link) else { continue };
        let asked = subs.iter().filter(|s| s.follows).map(|s| (s.cluster, &s.name));
        let known = ends
            .iter()
            .map(|(cluster, name)| (*cluster, name))
            .chain(asked)
            .any(|(other, known)| other == cluster && known.same(&name));
        if !known {
            ends.push((cluster, name));
        }
    }
    ends
}

/// Decides about the rows of the answer sections.
pub fn settle(context: &Context, subs: &[Sub], rows: &[Row]) -> Settled {
    let chains = walk_all(context, subs, rows);
    let noerror = |chain: &Chain<'_>| matches!(&subs[chain.last].outcome, Outcome::Answered(packet) if packet.flags & 15 == 0);
    let mut settled = match () {
        _ if chains.iter().all(|chain| chain.links.is_empty()) => {
            let rows: Vec<Row> =
                chains.iter().flat_map(|chain| &chain.data).map(|row| (*row).clone()).collect();
            Settled { has_data: !rows.is_empty(), rows, ..Settled::default() }
        }
        _ => match common_target(context, subs, &chains) {
            Some(name) => keep(context, &chains, &name),
            None => flatten(context, subs, &chains),
        },
    };
    let links = settled.rows.iter().filter(|row| row.record.rtype == CNAME);
    settled.led = links.map(|link| (link.sub, target(link).clone())).collect();
    let given = common_target(context, subs, &chains);
    let speaks = |chain: &&Chain<'_>| {
        let Some(given) = &given else { return true };
        chain.links.first().is_some_and(|link| target(link).same(given))
    };
    settled.any_noerror = chains.iter().filter(speaks).any(noerror);
    if context.rtype == DNAME {
        one_dname(&mut settled);
    }
    settled
}

/// The target of the CNAME given at the question's name.
fn common_target(context: &Context, subs: &[Sub], chains: &[Chain<'_>]) -> Option<Labels> {
    let having = || chains.iter().filter(|chain| chain.exists);
    if having().any(|chain| chain.links.is_empty()) {
        return None;
    }
    let first = target(having().next()?.links[0]);
    let equal = having().all(|chain| target(chain.links[0]).same(first));
    let all_leave = having().all(|chain| home(context, subs, chain.links[0]).is_none());
    (equal || all_leave).then(|| first.clone())
}

/// What has been said of a name: where its CNAME leads, or that it has data.
type Said = (Labels, Option<Labels>);

/// The chains that begin with this CNAME; where they part, the first to say
/// something about a name is right.
fn keep(context: &Context, chains: &[Chain<'_>], name: &Labels) -> Settled {
    let mut said: Vec<Said> = Vec::new();
    let (mut links, mut data): (Vec<&Row>, Vec<&Row>) = Default::default();
    let mut conflicts = 0;
    for chain in chains.iter().filter(|chain| !chain.links.is_empty()) {
        let parted_at_once = !target(chain.links[0]).same(name);
        let mut parted = parted_at_once;
        for link in chain.links.iter().filter(|_| !parted_at_once) {
            let claim = (link.record.owner.folded(), Some(target(link).folded()));
            parted = said.iter().any(|other| other.0 == claim.0 && other.1 != claim.1);
            if parted {
                break;
            }
            said.push(claim);
            links.push(link);
        }
        if !parted && !chain.data.is_empty() {
            let end = chain.end.folded();
            parted = said.iter().any(|other| other.0 == end && other.1.is_some());
            if !parted {
                said.push((end, None));
                data.extend(&chain.data);
            }
        }
        conflicts |= usize::from(parted);
    }
    let has_data = !data.is_empty() || context.rtype == CNAME;
    let rows = links.iter().copied().chain(data).cloned().collect();
    Settled { rows, conflicts, has_data, ..Settled::default() }
}

/// Everything under the question's name.
fn flatten(context: &Context, subs: &[Sub], chains: &[Chain<'_>]) -> Settled {
    let mut settled = Settled { flattened: true, ..Settled::default() };
    for chain in chains {
        let leaves = chain.links.last().is_some_and(|link| home(context, subs, link).is_none());
        if leaves || (context.rtype == CNAME && !chain.links.is_empty()) {
            settled.conflicts = 1;
            continue;
        }
        let shortest = chain.links.iter().map(|link| link.record.ttl).min();
        for row in &chain.data {
            let mut row = (*row).clone();
            row.record.owner = context.question.clone();
            row.record.ttl = row.record.ttl.min(shortest.unwrap_or(u32::MAX));
            settled.rows.push(row);
        }
    }
    settled.has_data = !settled.rows.is_empty();
    settled
}

/// One DNAME for an owner, the first.
fn one_dname(settled: &mut Settled) {
    let mut kept: Vec<Row> = Vec::new();
    for row in &settled.rows {
        let differs = row.record.rtype == DNAME
            && kept.iter().any(|other| {
                other.record.same_set(&row.record) && !target(other).same(target(row))
            });
        if !differs {
            kept.push(row.clone());
        }
    }
    settled.conflicts += usize::from(kept.len() < settled.rows.len());
    settled.rows = kept;
}
