//! M4: which records of the answer sections count, and what becomes of CNAMEs.

use crate::labels::Labels;
use crate::merge::{Context, Row};

const CNAME: u16 = 5;
const DNAME: u16 = 39;

/// The longest chain that is followed.
const MAX_CHAIN: usize = 11;

/// What the answer section is made of.
pub struct Settled {
    pub rows: Vec<Row>,
    /// A cluster's CNAME had to give way (EDE 0).
    pub conflict: bool,
    /// There is data of the type asked for among it.
    pub has_data: bool,
}

/// One reply, read from the question on.
struct Chain<'a> {
    links: Vec<&'a Row>,
    data: Vec<&'a Row>,
    /// Something stands beside one of its CNAMEs.
    broken: bool,
}

fn target(row: &Row) -> &Labels {
    row.record.names().next().expect("a CNAME has a target")
}

fn follow<'a>(context: &Context, rows: &[&'a Row]) -> Chain<'a> {
    let at = |name: &Labels, rtype: u16| {
        let equal = |row: &&&Row| row.record.rtype == rtype && row.record.owner.same(name);
        rows.iter().filter(equal).copied().collect::<Vec<&'a Row>>()
    };
    let mut links: Vec<&Row> = Vec::new();
    let mut end = context.question.clone();
    let mut visited = vec![end.folded()];
    while links.len() < MAX_CHAIN
        && let Some(link) = at(&end, CNAME).first()
    {
        links.push(link);
        end = target(link).clone();
        if visited.contains(&end.folded()) {
            break;
        }
        visited.push(end.folded());
    }
    let broken = links.iter().any(|link| {
        let owner = &link.record.owner;
        at(owner, CNAME).iter().any(|other| !target(other).same(target(link)))
            || !at(owner, context.rtype).is_empty()
    });
    Chain { links, data: at(&end, context.rtype), broken }
}

/// Decides about the rows of the answer sections of `subs` replies.
pub fn settle(context: &Context, subs: usize, rows: &[Row]) -> Settled {
    let of = |sub: usize| rows.iter().filter(|row| row.sub == sub).collect::<Vec<&Row>>();
    if context.rtype == CNAME {
        return one_target(context, rows);
    }
    let chains: Vec<Chain<'_>> = (0..subs).map(|sub| follow(context, &of(sub))).collect();
    let links: Vec<&Row> = chains.iter().flat_map(|chain| chain.links.clone()).collect();
    let data: Vec<&Row> = chains.iter().flat_map(|chain| chain.data.clone()).collect();
    if context.rtype == DNAME && links.is_empty() {
        return one_target(context, rows);
    }
    let has_data = !data.is_empty();
    let disagree = chains.iter().any(|chain| chain.broken)
        || links.iter().any(|link| {
            let owner = &link.record.owner;
            let other =
                |row: &&Row| row.record.owner.same(owner) && !target(row).same(target(link));
            links.iter().any(other) || data.iter().any(|row| row.record.owner.same(owner))
        });
    if !disagree {
        let dnames = rows.iter().filter(|row| row.record.rtype == DNAME);
        // A DNAME goes with the CNAME made from it.
        let dnames = dnames.filter(|_| !links.is_empty() && context.rtype != DNAME);
        let rows = links.iter().copied().chain(dnames).chain(data).cloned().collect();
        return Settled { rows, conflict: false, has_data };
    }
    let mut settled = Settled { rows: Vec::new(), conflict: false, has_data };
    let mut kept = has_data;
    for chain in chains.iter().filter(|chain| !chain.links.is_empty() || !chain.data.is_empty()) {
        if !chain.data.is_empty() {
            let shortest = chain.links.iter().map(|link| link.record.ttl).min();
            for row in &chain.data {
                let mut row = (*row).clone();
                row.record.owner = context.question.clone();
                row.record.ttl = row.record.ttl.min(shortest.unwrap_or(u32::MAX));
                settled.rows.push(row);
            }
        } else if !kept {
            kept = true;
            settled.rows.extend(chain.links.iter().copied().cloned());
        } else {
            settled.conflict = true;
        }
    }
    settled
}

/// The CNAME itself is asked for, or a DNAME: one target, the first.
fn one_target(context: &Context, rows: &[Row]) -> Settled {
    let counts =
        |row: &&Row| row.record.rtype == context.rtype && row.record.owner.same(&context.question);
    let all: Vec<&Row> = rows.iter().filter(counts).collect();
    let equal = |row: &&&Row| target(row).same(target(all[0]));
    let kept: Vec<Row> = all.iter().filter(equal).map(|row| (*row).clone()).collect();
    Settled { conflict: kept.len() < all.len(), has_data: !kept.is_empty(), rows: kept }
}
