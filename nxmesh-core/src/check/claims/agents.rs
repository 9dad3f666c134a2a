//! Which servers may be for the same agents, found without comparing
//! every two of them.

use std::collections::{BTreeMap, BTreeSet};

use super::Claim;
use crate::model::{
    LabelValues, Requirement, Selector,
    value::{LabelKey, LabelValue},
};

/// The most requirements compared in one check: some tenths of a second. Whether
/// two of many selectors have an agent in common may take their number squared.
const MAX_STEPS: usize = 5_000_000;

/// So few are compared one by one.
const FEW: usize = 8;

/// The work that is left.
#[derive(Debug)]
pub(super) struct Steps(usize);

impl Default for Steps {
    fn default() -> Self {
        Self(MAX_STEPS)
    }
}

/// More work would be needed than is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Steps {
    fn take(&mut self, steps: usize) -> Result<(), Exhausted> {
        self.0 = self.0.checked_sub(steps).ok_or(Exhausted)?;
        Ok(())
    }
}

/// What a selector asks of a label. `notin` is left to the comparison.
#[derive(Clone, Copy)]
enum Ask<'a> {
    Value(&'a LabelValues),
    Present,
    Absent,
}

/// What a selector asks, by the rank of the label, each label once.
type Asks<'a> = Vec<(usize, Ask<'a>)>;

/// Claims in a tree, by what they ask of one label after the other, those first
/// that tell most apart.
pub(super) struct Index<'a> {
    ranks: BTreeMap<&'a LabelKey, usize>,
    /// Of each claim, in the order of the list.
    asks: Vec<Asks<'a>>,
    root: Node<'a>,
}

#[derive(Default)]
struct Node<'a> {
    /// In the order of the list. They ask nothing more, or are few.
    here: Vec<(usize, Claim<'a>)>,
    below: BTreeMap<usize, Branches<'a>>,
}

/// Those that ask something of one label.
#[derive(Default)]
struct Branches<'a> {
    by_value: BTreeMap<&'a LabelValue, Node<'a>>,
    present: Node<'a>,
    absent: Node<'a>,
}

/// A claim on its way down the tree.
#[derive(Clone, Copy)]
struct Entry<'a, 'i> {
    place: usize,
    claim: Claim<'a>,
    /// What decides about the way that is left.
    asks: &'i [(usize, Ask<'a>)],
    /// Whether it may still be put into several branches.
    single: bool,
}

impl<'a> Index<'a> {
    pub(super) fn of(claims: &[Claim<'a>]) -> Self {
        let mut named: BTreeMap<&LabelKey, BTreeSet<Option<&LabelValue>>> = BTreeMap::new();
        for claim in claims {
            for requirement in claim.selector.requirements() {
                match requirement {
                    Requirement::In(key, values) => {
                        let named = named.entry(key).or_default();
                        named.extend(values.iter().map(Some));
                    }
                    Requirement::Exists(key) | Requirement::Absent(key) => {
                        named.entry(key).or_default().insert(None);
                    }
                    Requirement::NotIn(..) => {}
                }
            }
        }
        let mut labels: Vec<_> = named.into_iter().collect();
        labels.sort_by_key(|(_, values)| std::cmp::Reverse(values.len()));
        let ranks = labels.into_iter().enumerate();
        let mut index = Self {
            ranks: ranks.map(|(rank, (key, _))| (key, rank)).collect(),
            asks: Vec::new(),
            root: Node::default(),
        };
        index.asks = claims.iter().map(|claim| index.asks(claim)).collect();
        let entries = claims
            .iter()
            .zip(&index.asks)
            .enumerate()
            .map(|(place, (claim, asks))| Entry {
                place,
                claim: *claim,
                asks,
                single: true,
            });
        index.root = Node::of(entries.collect());
        index
    }

    fn asks(&self, claim: &Claim<'a>) -> Asks<'a> {
        let requirements = claim.selector.requirements().iter();
        let mut asks: Asks<'a> = requirements
            .filter_map(|requirement| {
                let (key, ask) = match requirement {
                    Requirement::In(key, values) => (key, Ask::Value(values)),
                    Requirement::Exists(key) => (key, Ask::Present),
                    Requirement::Absent(key) => (key, Ask::Absent),
                    Requirement::NotIn(..) => return None,
                };
                Some((*self.ranks.get(key)?, ask))
            })
            .collect();
        asks.sort_by_key(|(rank, _)| *rank);
        asks.dedup_by_key(|(rank, _)| *rank);
        asks
    }

    /// One of the claims before that at `place`, whose owner is another
    /// and may be for the same agents.
    pub(super) fn before(
        &self,
        place: usize,
        claim: &Claim<'a>,
        steps: &mut Steps,
    ) -> Result<Option<Claim<'a>>, Exhausted> {
        self.search(claim, &self.asks[place], place, steps)
    }

    /// One of all claims whose owner is another than that of `claim` and
    /// may be for the same agents.
    pub(super) fn any(
        &self,
        claim: &Claim<'a>,
        steps: &mut Steps,
    ) -> Result<Option<Claim<'a>>, Exhausted> {
        self.search(claim, &self.asks(claim), self.asks.len(), steps)
    }

    fn search(
        &self,
        claim: &Claim<'a>,
        asks: &[(usize, Ask<'a>)],
        among: usize,
        steps: &mut Steps,
    ) -> Result<Option<Claim<'a>>, Exhausted> {
        let mut search = Search {
            claim,
            among,
            asks,
            others: &self.asks,
            steps,
        };
        search.node(&self.root)
    }
}

impl<'a> Node<'a> {
    fn of(entries: Vec<Entry<'a, '_>>) -> Self {
        let mut node = Self::default();
        let few = entries.len() <= FEW;
        let mut below: BTreeMap<usize, Parting<'_, '_>> = BTreeMap::new();
        for entry in entries {
            match entry.asks.split_first() {
                Some(((rank, ask), rest)) if !few => {
                    let asks = rest;
                    below
                        .entry(*rank)
                        .or_default()
                        .add(*ask, Entry { asks, ..entry });
                }
                _ => node.here.push((entry.place, entry.claim)),
            }
        }
        for (rank, parting) in below {
            let by_value = parting.by_value.into_iter();
            let branches = Branches {
                by_value: by_value
                    .map(|(value, few)| (value, Self::of(few)))
                    .collect(),
                present: Self::of(parting.present),
                absent: Self::of(parting.absent),
            };
            node.below.insert(rank, branches);
        }
        node
    }
}

/// Entries parted by what they ask of a label.
#[derive(Default)]
struct Parting<'a, 'i> {
    by_value: BTreeMap<&'a LabelValue, Vec<Entry<'a, 'i>>>,
    present: Vec<Entry<'a, 'i>>,
    absent: Vec<Entry<'a, 'i>>,
}

impl<'a, 'i> Parting<'a, 'i> {
    fn add(&mut self, ask: Ask<'a>, entry: Entry<'a, 'i>) {
        match ask {
            // Again and again, the copies would be more than all pairs.
            Ask::Value(values) if values.len() > 1 && !entry.single => self.present.push(entry),
            Ask::Value(values) => {
                let single = entry.single && values.len() == 1;
                for value in values {
                    let entry = Entry { single, ..entry };
                    self.by_value.entry(value).or_default().push(entry);
                }
            }
            Ask::Present => self.present.push(entry),
            Ask::Absent => self.absent.push(entry),
        }
    }
}

struct Search<'s, 'a> {
    claim: &'s Claim<'a>,
    among: usize,
    asks: &'s [(usize, Ask<'a>)],
    others: &'s [Asks<'a>],
    steps: &'s mut Steps,
}

impl<'a> Search<'_, 'a> {
    fn node(&mut self, node: &Node<'a>) -> Result<Option<Claim<'a>>, Exhausted> {
        let own = self.claim.selector;
        for (place, other) in &node.here {
            if *place >= self.among {
                break;
            }
            if other.owner == self.claim.owner {
                continue;
            }
            if self.excludes(&self.others[*place])? {
                continue;
            }
            let theirs = other.selector;
            let pairs = own.requirements().len() * theirs.requirements().len();
            self.steps.take(pairs)?;
            if may_share_agents(theirs, own) {
                return Ok(Some(*other));
            }
        }
        for (rank, branches) in &node.below {
            let ask = self.asks.binary_search_by_key(rank, |(rank, _)| *rank);
            let ask = ask.ok().map(|found| self.asks[found].1);
            if let Some(found) = self.branches(branches, ask)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Whether no agent is asked for by both, as far as `asks` tell.
    fn excludes(&mut self, mut others: &[(usize, Ask<'a>)]) -> Result<bool, Exhausted> {
        let mut own = self.asks;
        loop {
            self.steps.take(1)?;
            let ([(rank, ask), own_rest @ ..], [(other_rank, other), other_rest @ ..]) =
                (own, others)
            else {
                return Ok(false);
            };
            let excluded = match (ask, other) {
                _ if rank != other_rank => false,
                (Ask::Value(values), Ask::Value(others)) => values.is_disjoint(others),
                (Ask::Absent, Ask::Value(_) | Ask::Present)
                | (Ask::Value(_) | Ask::Present, Ask::Absent) => true,
                _ => false,
            };
            if excluded {
                return Ok(true);
            }
            if rank <= other_rank {
                own = own_rest;
            }
            if other_rank <= rank {
                others = other_rest;
            }
        }
    }

    fn branches(
        &mut self,
        branches: &Branches<'a>,
        ask: Option<Ask<'a>>,
    ) -> Result<Option<Claim<'a>>, Exhausted> {
        self.steps.take(1)?;
        let Branches {
            by_value,
            present,
            absent,
        } = branches;
        match ask {
            Some(Ask::Absent) => return self.node(absent),
            Some(Ask::Value(values)) => {
                for node in values.iter().filter_map(|value| by_value.get(value)) {
                    if let Some(found) = self.node(node)? {
                        return Ok(Some(found));
                    }
                }
            }
            Some(Ask::Present) | None => {
                for node in by_value.values() {
                    self.steps.take(1)?;
                    if let Some(found) = self.node(node)? {
                        return Ok(Some(found));
                    }
                }
                if ask.is_none()
                    && let Some(found) = self.node(absent)?
                {
                    return Ok(Some(found));
                }
            }
        }
        self.node(present)
    }
}

/// Whether some set of labels could satisfy both selectors. Only the clear
/// cases are told apart; the rest counts as shared.
#[must_use]
pub fn may_share_agents(one: &Selector, other: &Selector) -> bool {
    !one.requirements()
        .iter()
        .any(|a| other.requirements().iter().any(|b| exclude(a, b)))
}

/// Whether no set of labels satisfies both.
fn exclude(one: &Requirement, other: &Requirement) -> bool {
    use Requirement::{Absent, Exists, In, NotIn};
    match (one, other) {
        (In(key, values), In(same, others)) => key == same && values.is_disjoint(others),
        (In(key, values), NotIn(same, others)) | (NotIn(same, others), In(key, values)) => {
            key == same && values.is_subset(others)
        }
        (In(key, _) | Exists(key), Absent(same)) | (Absent(key), In(same, _) | Exists(same)) => {
            key == same
        }
        _ => false,
    }
}
