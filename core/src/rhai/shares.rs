//! What share of the whole run each loop is, as far as the text tells.
//!
//! Only loops with verbs in them count, and calls of functions that have such loops: the rest of a
//! script takes no time worth showing. Those of one block take equal shares; a loop divides its share
//! among its turns while it runs.

use std::collections::{HashMap, HashSet};

use ::rhai::{AST, ASTNode, Expr, FnPtr, Position, Stmt};

/// A part of what encloses a statement: a turn of a loop, a call, the run; 0 to 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    pub offset: f64,
    pub weight: f64,
    /// Where the statement ends, if it has statements inside.
    pub last: Option<Position>,
}

/// Where a node of the tree lies, which stays while the tree does.
pub(super) fn address(node: &ASTNode<'_>) -> usize {
    match node {
        ASTNode::Stmt(Stmt::Expr(inner)) => std::ptr::from_ref::<Expr>(inner).addr(),
        ASTNode::Stmt(statement) => std::ptr::from_ref::<Stmt>(statement).addr(),
        ASTNode::Expr(expression) => std::ptr::from_ref::<Expr>(expression).addr(),
        _ => 0,
    }
}

/// The shares of all loops that count, and of all statements that call them, by address.
pub(super) fn shares(
    tree: &AST,
    verbs: HashSet<String>,
    plans: HashSet<String>,
) -> HashMap<usize, Share> {
    let functions = functions(tree);
    let mut finder = Finder { found: HashMap::new(), timed: verbs, looping: plans };
    let timed = spread(&functions, &finder.timed, mentions);
    finder.timed.extend(timed);
    let looping = spread(&functions, &finder.looping, |body, names| {
        mentions(body, names) || has_timed_loop(body, &finder.timed)
    });
    finder.looping = looping;
    finder.divide(tree.as_ref(), 0.0, 1.0);
    for (_, body) in &functions {
        let busy = count(body, |statement| finder.is_busy(statement));
        let (mut index, part) = (0, 1.0 / f64::from(busy.max(1)));
        each(body, |statement| {
            if finder.is_busy(statement) {
                finder.share(statement, f64::from(index) * part, part);
                index += 1;
            }
        });
    }
    finder.found
}

/// Each function of the script, closures included, as a tree of its own.
fn functions(tree: &AST) -> Vec<(String, AST)> {
    tree.iter_functions()
        .map(|f| (f.name.to_owned(), one_function(tree, f.name, f.params.len())))
        .collect()
}

/// A tree of nothing but one function; its statements lie where they did.
pub(super) fn one_function(tree: &AST, name: &str, params: usize) -> AST {
    let mut only = tree.clone_functions_only();
    only.retain_functions(|_, _, n, p| n == name && p == params);
    only
}

/// The outermost statements of a function.
fn each(body: &AST, mut found: impl FnMut(&Stmt)) {
    body.walk(&mut |path| {
        if let [ASTNode::Stmt(statement)] = path {
            found(statement);
        }
        true
    });
}

fn count(body: &AST, is: impl Fn(&Stmt) -> bool) -> u32 {
    let mut number = 0;
    each(body, |statement| number += u32::from(is(statement)));
    number
}

struct Finder {
    found: HashMap<usize, Share>,
    timed: HashSet<String>,
    looping: HashSet<String>,
}

impl Finder {
    fn divide(&mut self, block: &[Stmt], offset: f64, weight: f64) {
        let busy: Vec<_> = block.iter().filter(|s| self.is_busy(s)).collect();
        let part = weight / busy.len().max(1) as f64;
        for (index, statement) in busy.into_iter().enumerate() {
            self.share(statement, offset + index as f64 * part, part);
        }
    }

    fn share(&mut self, statement: &Stmt, offset: f64, weight: f64) {
        let mut last = None;
        let mut weight = weight;
        match statement {
            Stmt::For(parts, _) => self.divide(parts.2.body.statements(), 0.0, 1.0),
            Stmt::While(parts, _) | Stmt::Do(parts, ..) => {
                // Nobody knows how long: what happens inside must not move the figure.
                (last, weight) = (Some(parts.body.end_position()), 0.0);
            }
            Stmt::If(parts, _) | Stmt::TryCatch(parts, _) => {
                self.divide(parts.body.statements(), offset, weight);
                return self.divide(parts.branch.statements(), offset, weight);
            }
            Stmt::Block(block) => return self.divide(block.statements(), offset, weight),
            _ => {}
        }
        self.found.insert(address(&statement.into()), Share { offset, weight, last });
    }

    fn is_busy(&self, statement: &Stmt) -> bool {
        walk_any(statement, &|node| named(node, &self.looping) || is_timed_loop(node, &self.timed))
    }
}

/// The names of the functions that have it, directly or through a function that they call.
fn spread(
    functions: &[(String, AST)],
    known: &HashSet<String>,
    has: impl Fn(&AST, &HashSet<String>) -> bool,
) -> HashSet<String> {
    let mut names = known.clone();
    loop {
        let new: Vec<_> =
            functions.iter().filter(|(n, b)| !names.contains(n) && has(b, &names)).collect();
        if new.is_empty() {
            return names;
        }
        names.extend(new.into_iter().map(|(name, _)| name.clone()));
    }
}

fn mentions(body: &AST, names: &HashSet<String>) -> bool {
    any(body, |node| named(node, names))
}

fn has_timed_loop(body: &AST, names: &HashSet<String>) -> bool {
    any(body, |node| is_timed_loop(node, names))
}

fn any(body: &AST, is: impl Fn(&ASTNode<'_>) -> bool) -> bool {
    !body.walk(&mut |path| !path.last().is_some_and(&is))
}

fn walk_any(statement: &Stmt, is: &dyn Fn(&ASTNode<'_>) -> bool) -> bool {
    !statement.walk(&mut Vec::new(), &mut |path: &[ASTNode<'_>]| !path.last().is_some_and(is))
}

fn is_timed_loop(node: &ASTNode<'_>, names: &HashSet<String>) -> bool {
    match node {
        ASTNode::Stmt(looping @ (Stmt::For(..) | Stmt::While(..) | Stmt::Do(..))) => {
            walk_any(looping, &|inner| named(inner, names))
        }
        _ => false,
    }
}

fn named(node: &ASTNode<'_>, names: &HashSet<String>) -> bool {
    match node {
        ASTNode::Stmt(Stmt::FnCall(call, _))
        | ASTNode::Expr(Expr::FnCall(call, _) | Expr::MethodCall(call, _)) => {
            names.contains(call.name.as_str())
        }
        ASTNode::Expr(Expr::Variable(variable, ..)) => names.contains(variable.1.as_str()),
        ASTNode::Expr(Expr::DynamicConstant(value, _)) => {
            value.read_lock::<FnPtr>().is_some_and(|closure| names.contains(closure.fn_name()))
        }
        _ => false,
    }
}
