//! The tile machine's code: an expression split into stages, each a short list of operations on registers.

use super::Expr;

/// Registers of the tile machine. Sub-trees are evaluated larger first, so that n components need about log2(n).
pub(super) const REGISTERS: usize = 9;

/// What fills a tile.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Leaf {
    /// Instance number.
    Component(usize),
    /// A product of components that share one exponential: instance numbers.
    Fused(Vec<usize>),
    /// Convolution: instance number and the stage it reads.
    Shift(usize, usize),
    /// A whole spectrum from the host's code: instance number. It is a stage of its own.
    Host(usize),
    /// The output of a stage, as it is.
    Given(usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum How {
    Set,
    Add,
    Multiply,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Op {
    /// Evaluate a leaf and combine it with a register.
    Leaf(Leaf, How, usize),
    /// Combine register `1` into register `2`.
    Register(How, usize, usize),
}

/// A stage's expression with its convolutions replaced by reads of earlier stages.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    Leaf(Leaf),
    Sum(Box<Tree>, Box<Tree>),
    Product(Box<Tree>, Box<Tree>),
}

/// Splits an expression into stages; the last one is the model. `stages` already holds those of the host's components, first
/// of all so that a device can be given them in one piece.
pub(super) fn stages_of(expr: &Expr, stages: &mut Vec<Tree>) -> Tree {
    match expr {
        Expr::Component(k) => match stages.iter().position(|stage| *stage == Tree::Leaf(Leaf::Host(*k))) {
            Some(slot) => Tree::Leaf(Leaf::Given(slot)),
            None => Tree::Leaf(Leaf::Component(*k)),
        },
        Expr::Sum(a, b) => Tree::Sum(Box::new(stages_of(a, stages)), Box::new(stages_of(b, stages))),
        Expr::Product(a, b) => Tree::Product(Box::new(stages_of(a, stages)), Box::new(stages_of(b, stages))),
        Expr::Convolve(k, inner) => {
            let source = stages_of(inner, stages);
            stages.push(source);
            Tree::Leaf(Leaf::Shift(*k, stages.len() - 1))
        }
    }
}

/// What [`fuse`] must know of a component, by its instance number.
pub(super) trait Traits {
    /// It is a scale times an exponential.
    fn fuses(&self, k: usize) -> bool;
    /// It is zero on most of the band.
    fn sparse(&self, k: usize) -> bool;
}

/// Gathers the factors of every product that are exponentials into one. A sum they multiply is multiplied out when that saves
/// exponentials: its terms that are exponentials join them, and the rest is zero nearly everywhere.
pub(super) fn fuse(tree: Tree, of: &impl Traits) -> Tree {
    match tree {
        Tree::Leaf(_) => tree,
        Tree::Sum(a, b) => Tree::Sum(Box::new(fuse(*a, of)), Box::new(fuse(*b, of))),
        Tree::Product(a, b) => {
            let (mut all, mut own, mut others) = (Vec::new(), Vec::new(), Vec::new());
            factors(*a, &mut all);
            factors(*b, &mut all);
            for factor in all.into_iter().map(|factor| fuse(factor, of)) {
                match exponentials(&factor, of) {
                    Some(list) => own.extend(list),
                    None => others.push(factor),
                }
            }
            if own.is_empty() {
                return join(others, Tree::Product);
            }
            if let [sum @ Tree::Sum(..)] = &others[..] {
                let (mut joined, mut rest) = (Vec::new(), Vec::new());
                terms(sum.clone(), of, &mut joined, &mut rest);
                let sparse = |term: &Tree| matches!(term, Tree::Leaf(Leaf::Component(k)) if of.sparse(*k));
                if !joined.is_empty() && rest.iter().all(sparse) {
                    let mut sum: Vec<Tree> =
                        joined.into_iter().map(|list| exponential([&own[..], &list[..]].concat())).collect();
                    if !rest.is_empty() {
                        let rest = Box::new(join(rest, Tree::Sum));
                        sum.push(Tree::Product(rest, Box::new(exponential(own))));
                    }
                    return join(sum, Tree::Sum);
                }
            }
            others.push(exponential(own));
            join(others, Tree::Product)
        }
    }
}

/// The components of a tree that is one exponential.
fn exponentials(tree: &Tree, of: &impl Traits) -> Option<Vec<usize>> {
    match tree {
        Tree::Leaf(Leaf::Component(k)) if of.fuses(*k) => Some(vec![*k]),
        Tree::Leaf(Leaf::Fused(list)) => Some(list.clone()),
        _ => None,
    }
}

fn factors(tree: Tree, out: &mut Vec<Tree>) {
    match tree {
        Tree::Product(a, b) => {
            factors(*a, out);
            factors(*b, out);
        }
        other => out.push(other),
    }
}

fn terms(tree: Tree, of: &impl Traits, joined: &mut Vec<Vec<usize>>, rest: &mut Vec<Tree>) {
    match (exponentials(&tree, of), tree) {
        (Some(list), _) => joined.push(list),
        (None, Tree::Sum(a, b)) => {
            terms(*a, of, joined, rest);
            terms(*b, of, joined, rest);
        }
        (None, other) => rest.push(other),
    }
}

fn exponential(list: Vec<usize>) -> Tree {
    match list[..] {
        [one] => Tree::Leaf(Leaf::Component(one)),
        _ => Tree::Leaf(Leaf::Fused(list)),
    }
}

/// Left to right; leaves to the right, where they are combined in place.
fn join(mut trees: Vec<Tree>, with: fn(Box<Tree>, Box<Tree>) -> Tree) -> Tree {
    trees.sort_by_key(|tree| matches!(tree, Tree::Leaf(_)));
    let joined = trees.into_iter().reduce(|a, b| with(Box::new(a), Box::new(b)));
    joined.unwrap_or(Tree::Leaf(Leaf::Fused(Vec::new())))
}

/// Registers a tree needs (Sethi & Ullman): a leaf on the right is combined in place.
pub(super) fn registers(tree: &Tree) -> usize {
    match tree {
        Tree::Leaf(_) => 1,
        Tree::Sum(a, b) | Tree::Product(a, b) => match (&**a, &**b) {
            (_, Tree::Leaf(_)) => registers(a),
            (Tree::Leaf(_), _) => registers(b),
            _ => {
                let (a, b) = (registers(a), registers(b));
                if a == b { a + 1 } else { a.max(b) }
            }
        },
    }
}

pub(super) fn compile(tree: &Tree, register: usize, ops: &mut Vec<Op>) {
    let (how, a, b) = match tree {
        Tree::Leaf(leaf) => return ops.push(Op::Leaf(leaf.clone(), How::Set, register)),
        Tree::Sum(a, b) => (How::Add, a, b),
        Tree::Product(a, b) => (How::Multiply, a, b),
    };
    match (&**a, &**b) {
        (_, Tree::Leaf(leaf)) => {
            compile(a, register, ops);
            ops.push(Op::Leaf(leaf.clone(), how, register));
        }
        (Tree::Leaf(leaf), _) => {
            compile(b, register, ops);
            ops.push(Op::Leaf(leaf.clone(), how, register));
        }
        _ => {
            let (first, second) = if registers(a) >= registers(b) { (a, b) } else { (b, a) };
            compile(first, register, ops);
            compile(second, register + 1, ops);
            ops.push(Op::Register(how, register + 1, register));
        }
    }
}
