//! What a script's text speaks of, for those who refuse mistakes before anything moves.

use std::collections::{HashMap, HashSet};

use ::rhai::{AST, ASTNode, BinaryExpr, Engine, Expr, FnCallExpr, FnPtr, Position, Stmt};

use super::engine::bare;
use super::shares::one_function;
use super::{caught, verbs};

/// The engine looks these up by name itself.
const KEYWORDS: [&str; 9] =
    ["print", "debug", "type_of", "Fn", "call", "curry", "is_shared", "is_def_var", "is_def_fn"];

/// Something that a script speaks of.
#[derive(Debug, Clone)]
pub struct Fact {
    /// `name` (read, not bound there), `verb` (`name.member(…)`), `member` (without a call),
    /// `write` (`name` or `name.member` is assigned to), `call` (no such function), `column`
    /// (`emit` names it).
    pub kind: &'static str,
    /// What it is called.
    pub name: String,
    /// The member, if any.
    pub member: String,
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
}

/// Where the text stops making sense.
#[derive(Debug)]
pub struct SyntaxError {
    /// Why.
    pub message: String,
    /// From 1; 0 if unknown.
    pub line: usize,
    /// From 1; 0 if unknown.
    pub column: usize,
}

/// The facts of a script in the order of its text, and the functions that every script has.
pub fn facts(source: &str) -> Result<(Vec<Fact>, Vec<String>), SyntaxError> {
    let engine = bare();
    let tree = engine.compile(source).map_err(|error| SyntaxError {
        message: error.err_type().to_string(),
        line: error.position().line().unwrap_or(0),
        column: error.position().position().unwrap_or(0),
    })?;
    let functions = known_functions(engine);
    let mut finder = Finder::new(&tree, &functions);
    finder.look_at(&tree.clone_statements_only(), &[], 0);
    for function in tree.iter_functions() {
        let (name, count) = (function.name, function.params.len());
        let body = one_function(&tree, name, count);
        let captured = finder.captured.get(name).copied().unwrap_or(0);
        finder.look_at(&body, &function.params, captured);
    }
    let mut facts = finder.facts;
    facts.sort_by_key(|fact| (fact.line, fact.column));
    let mut functions: Vec<_> = functions.into_iter().collect();
    functions.sort();
    Ok((facts, functions))
}

fn known_functions(mut engine: Engine) -> HashSet<String> {
    caught::register(&mut engine);
    let found = engine.collect_fn_metadata(None, |f| Some(f.metadata.name.to_string()), true);
    let speech = verbs::SPEECH.iter().chain(&verbs::GUARDS).chain(&KEYWORDS);
    found
        .into_iter()
        .filter(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'))
        .chain(speech.map(|&name| name.to_owned()))
        .collect()
}

struct Finder<'a> {
    facts: Vec<Fact>,
    functions: &'a HashSet<String>,
    own_functions: HashSet<String>,
    /// How many parameters of each closure are really variables from around it.
    captured: HashMap<String, usize>,
    /// Every variable that the script makes somewhere.
    made: HashSet<String>,
}

impl<'a> Finder<'a> {
    fn new(tree: &AST, functions: &'a HashSet<String>) -> Self {
        let mut captured = HashMap::new();
        tree.walk(&mut |path| {
            if let Some(ASTNode::Expr(Expr::FnCall(call, _))) = path.last()
                && call.name == "curry"
                && let Some(Expr::DynamicConstant(value, _)) = call.args.first()
                && let Some(closure) = value.read_lock::<FnPtr>()
            {
                captured.insert(closure.fn_name().to_owned(), call.args.len() - 1);
            }
            true
        });
        let own_functions = tree.iter_functions().map(|f| f.name.to_owned()).collect();
        Self { facts: Vec::new(), functions, own_functions, captured, made: bound(tree) }
    }

    /// One scope: the statements outside functions, or one function.
    fn look_at(&mut self, body: &AST, params: &[&str], captured: usize) {
        let mut known = bound(body);
        known.extend(params.iter().map(|&p| p.to_owned()));
        let outside: HashSet<&str> = params.iter().take(captured).copied().collect();
        body.walk(&mut |path| {
            if let Some(node) = path.last() {
                self.look(node, &known, &outside);
            }
            true
        });
    }

    fn look(&mut self, node: &ASTNode<'_>, known: &HashSet<String>, outside: &HashSet<&str>) {
        let foreign = |name: &str| {
            !known.contains(name) || (outside.contains(name) && !self.made.contains(name))
        };
        match node {
            ASTNode::Expr(Expr::Variable(variable, _, place))
                if variable.2.is_empty() && !known.contains(variable.1.as_str()) =>
            {
                self.note("name", &variable.1, "", *place);
            }
            ASTNode::Expr(Expr::Dot(parts, ..)) => {
                if let Some(name) = variable(&parts.lhs).filter(|name| foreign(name)) {
                    self.look_at_member(name, &parts.rhs);
                }
            }
            ASTNode::Stmt(Stmt::Assignment(parts)) => {
                let target = &parts.1.lhs;
                let name = root(target).filter(|name| foreign(name));
                if let Some(name) = name {
                    self.note("write", name, "", target.start_position());
                }
            }
            ASTNode::Stmt(Stmt::FnCall(call, place)) | ASTNode::Expr(Expr::FnCall(call, place)) => {
                self.look_at_call(call, *place, known);
            }
            _ => {}
        }
    }

    fn look_at_member(&mut self, name: &str, member: &Expr) {
        match member {
            Expr::MethodCall(call, place) => self.note("verb", name, &call.name, *place),
            Expr::Property(property, place) => self.note("member", name, &property.2, *place),
            Expr::Dot(parts, ..) | Expr::Index(parts, ..) => self.look_at_member(name, &parts.lhs),
            _ => {}
        }
    }

    fn look_at_call(&mut self, call: &FnCallExpr, place: Position, known: &HashSet<String>) {
        let name = call.name.as_str();
        if call.op_token.is_none()
            && call.namespace.is_empty()
            && !self.functions.contains(name)
            && !self.own_functions.contains(name)
            && !known.contains(name)
            && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        {
            self.note("call", name, "", place);
        }
        if let ("emit", Some(Expr::Map(entries, _))) = (name, call.args.first()) {
            for (column, _) in &entries.0 {
                self.note("column", &column.name, "", column.pos);
            }
        }
    }

    fn note(&mut self, kind: &'static str, name: &str, member: &str, place: Position) {
        self.facts.push(Fact {
            kind,
            name: name.to_owned(),
            member: member.to_owned(),
            line: place.line().unwrap_or(0),
            column: place.position().unwrap_or(0),
        });
    }
}

fn variable(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Variable(variable, ..) if variable.2.is_empty() => Some(&variable.1),
        _ => None,
    }
}

/// The variable that an assignment reaches into.
fn root(target: &Expr) -> Option<&str> {
    match target {
        Expr::Dot(parts, ..) | Expr::Index(parts, ..) => {
            let BinaryExpr { lhs, .. } = &**parts;
            root(lhs)
        }
        _ => variable(target),
    }
}

/// The variables that a tree makes, at whatever depth.
fn bound(tree: &AST) -> HashSet<String> {
    let mut found = HashSet::new();
    let mut add = |name: &str| {
        found.insert(name.to_owned());
    };
    tree.walk(&mut |path| {
        match path.last() {
            Some(ASTNode::Stmt(Stmt::Var(parts, ..))) => add(&parts.0.name),
            Some(ASTNode::Stmt(Stmt::For(parts, _))) => {
                add(&parts.0.name);
                if let Some(counter) = &parts.1 {
                    add(&counter.name);
                }
            }
            Some(ASTNode::Stmt(Stmt::TryCatch(parts, _))) => {
                if let Some(name) = variable(&parts.expr) {
                    add(name);
                }
            }
            _ => {}
        }
        true
    });
    found
}
