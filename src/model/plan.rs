//! The tile machine's code: an expression split into stages, each a short list of operations on registers.

use super::Expr;

/// Registers of the tile machine. Sub-trees are evaluated larger first, so that n components need about log2(n).
pub(super) const REGISTERS: usize = 9;

/// What fills a tile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Leaf {
    /// Instance number.
    Component(usize),
    /// Convolution: instance number and the stage it reads.
    Shift(usize, usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum How {
    Set,
    Add,
    Multiply,
}

#[derive(Debug, Clone, Copy, PartialEq)]
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

/// Splits an expression into stages; the last one is the model.
pub(super) fn stages_of(expr: &Expr, stages: &mut Vec<Tree>) -> Tree {
    match expr {
        Expr::Component(k) => Tree::Leaf(Leaf::Component(*k)),
        Expr::Sum(a, b) => Tree::Sum(Box::new(stages_of(a, stages)), Box::new(stages_of(b, stages))),
        Expr::Product(a, b) => Tree::Product(Box::new(stages_of(a, stages)), Box::new(stages_of(b, stages))),
        Expr::Convolve(k, inner) => {
            let source = stages_of(inner, stages);
            stages.push(source);
            Tree::Leaf(Leaf::Shift(*k, stages.len() - 1))
        }
    }
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
        Tree::Leaf(leaf) => return ops.push(Op::Leaf(*leaf, How::Set, register)),
        Tree::Sum(a, b) => (How::Add, a, b),
        Tree::Product(a, b) => (How::Multiply, a, b),
    };
    match (&**a, &**b) {
        (_, Tree::Leaf(leaf)) => {
            compile(a, register, ops);
            ops.push(Op::Leaf(*leaf, how, register));
        }
        (Tree::Leaf(leaf), _) => {
            compile(b, register, ops);
            ops.push(Op::Leaf(*leaf, how, register));
        }
        _ => {
            let (first, second) = if registers(a) >= registers(b) { (a, b) } else { (b, a) };
            compile(first, register, ops);
            compile(second, register + 1, ops);
            ops.push(Op::Register(how, register + 1, register));
        }
    }
}
