//! How large a shader becomes when every call in it is replaced by what it calls, which is what most drivers' compilers do before
//! anything else: a function that stands in two branches of a function that is called from three places counts six times.

use naga::{Block, Function, Handle, Module, Statement};

/// Expressions and statements of a module's entry points, all calls inlined, and what they consist of.
pub struct Size {
    /// Expressions and statements in all.
    pub total: u64,
    /// Each function with the number of its copies and what they have in sum, largest sum first.
    pub parts: Vec<Part>,
}

/// A function's share of a module's size.
pub struct Part {
    /// The function's name.
    pub name: String,
    /// Paths of calls that lead to it from the entry points.
    pub copies: u64,
    /// Expressions and statements of all copies, without those of what they call.
    pub sum: u64,
}

impl Size {
    /// The functions that take most, in words.
    pub fn largest(&self) -> String {
        let parts =
            self.parts.iter().take(12).map(|part| format!("{}: {} in {} copies", part.name, part.sum, part.copies));
        parts.collect::<Vec<_>>().join(", ")
    }
}

/// The inlined size of a module. Functions stand before their callers in a module, and none calls itself.
pub fn inlined(module: &Module) -> Size {
    let mut copies = vec![0u64; module.functions.len()];
    let mut parts = Vec::new();
    for entry in &module.entry_points {
        let (own, calls) = own(&entry.function);
        parts.push(Part { name: entry.name.clone(), copies: 1, sum: own });
        calls.iter().for_each(|callee| copies[callee.index()] += 1);
    }
    for (handle, function) in module.functions.iter().collect::<Vec<_>>().into_iter().rev() {
        let (own, calls) = own(function);
        let times = copies[handle.index()];
        for callee in calls {
            copies[callee.index()] = copies[callee.index()].saturating_add(times);
        }
        let name = function.name.clone().unwrap_or_default();
        parts.push(Part { name, copies: times, sum: own.saturating_mul(times) });
    }
    parts.sort_by_key(|part| std::cmp::Reverse(part.sum));
    Size { total: parts.iter().fold(0, |sum, part| sum.saturating_add(part.sum)), parts }
}

/// Expressions and statements of a function, and what it calls, as often as it calls it.
fn own(function: &Function) -> (u64, Vec<Handle<Function>>) {
    let mut calls = Vec::new();
    let statements = statements(&function.body, &mut calls);
    (function.expressions.len() as u64 + statements, calls)
}

fn statements(block: &Block, calls: &mut Vec<Handle<Function>>) -> u64 {
    let mut sum = 0;
    for statement in block {
        sum += 1 + match statement {
            Statement::Call { function, .. } => {
                calls.push(*function);
                0
            }
            Statement::Block(block) => statements(block, calls),
            Statement::If { accept, reject, .. } => statements(accept, calls) + statements(reject, calls),
            Statement::Loop { body, continuing, .. } => statements(body, calls) + statements(continuing, calls),
            Statement::Switch { cases, .. } => cases.iter().map(|case| statements(&case.body, calls)).sum(),
            _ => 0,
        };
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::inlined;

    #[test]
    fn copies_multiply_along_calls() {
        let text = "
            fn leaf(x: f32) -> f32 { return x * x; }
            fn branch(x: f32) -> f32 { if x > 0.0 { return leaf(x); } return leaf(-x); }
            @compute @workgroup_size(1) fn main() {
                var sum = branch(1.0) + branch(2.0);
                for (var k = 0u; k < 3u; k++) { sum += branch(3.0); }
                sum += leaf(4.0);
            }";
        let size = inlined(&naga::front::wgsl::parse_str(text).unwrap());
        let copies = |name: &str| size.parts.iter().find(|part| part.name == name).map(|part| part.copies);
        assert_eq!((copies("main"), copies("branch"), copies("leaf")), (Some(1), Some(3), Some(7)));
        assert_eq!(size.total, size.parts.iter().map(|part| part.sum).sum());
        // Two expressions (an argument and a product) and one statement that evaluates, one that returns.
        assert_eq!(size.parts.iter().find(|part| part.name == "leaf").map(|part| part.sum), Some(7 * 4));
    }
}
