//! One script from its text to its end.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use ::rhai::debugger::{DebuggerCommand, DebuggerEvent};
use ::rhai::module_resolvers::DummyModuleResolver;
use ::rhai::packages::{Package, StandardPackage};
use ::rhai::{
    AST, ASTNode, Dynamic, Engine, EvalAltResult, EvalContext, Map, OptimizationLevel, Position,
    Scope, Stmt,
};

use super::caught::{self, Caught};
use super::loops::{self, Progress};
use super::meter::{End, Meter};
use super::plans;
use super::shares::{Share, address, shares};
use super::verbs::{self, Instrument};
use super::{Host, Origin, Page};

/// More functions than this, closures included, make a script slow to read.
const MOST_FUNCTIONS: usize = 1_000;
/// How deep expressions and blocks may nest, outside functions and in them.
const DEEPEST_NESTING: (usize, usize) = (64, 48);
/// Keywords that would bring in text from elsewhere, or make code at run time.
pub(super) const WITHHELD: [&str; 3] = ["eval", "import", "export"];

/// What is to be run, and what it may spend.
#[derive(Debug)]
pub struct Script {
    /// The text.
    pub source: String,
    /// What it was started with.
    pub parameters: Map,
    /// The granted instruments with their verbs.
    pub instruments: Vec<(String, Vec<String>)>,
    /// The scans that the host carries out; `adaptive` is always there.
    pub plans: Vec<String>,
    /// Operations between two verbs.
    pub operations: u64,
    /// Operations in all.
    pub total_operations: u64,
    /// How deep functions may call each other.
    pub depth: usize,
}

/// Why a script did not come to its end.
#[derive(Debug)]
pub enum Failure {
    /// The host's own error, and where the script was.
    Host(Origin, u32),
    /// A limit that the engine keeps itself: its name and the line.
    Limit(&'static str, u32),
    /// The script failed: what, line, column, and the calls that led there as line and function.
    Script(String, u32, u32, Vec<(u32, String)>),
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("End")
    }
}

/// Runs a script.
pub fn run(script: Script, page: Page, host: Rc<dyn Host>) -> Result<(), Failure> {
    let mut engine = bare();
    engine.set_max_call_levels(script.depth);
    let meter = Rc::new(Meter::new(page, host, script.operations, script.total_operations));
    let progress = Rc::new(Progress::new(page));
    let mut all: Vec<String> = script.instruments.iter().flat_map(|(_, v)| v.clone()).collect();
    all.sort();
    all.dedup();
    caught::register(&mut engine);
    verbs::register(&mut engine, &all, &meter, &progress);
    plans::register(&mut engine, &script.plans, &meter, &progress);
    loops::register(&mut engine, &progress);
    resolve_globals(&mut engine, &script);
    let tree = engine.compile(&script.source).map_err(|error| failure(&error.into(), 0))?;
    all.extend(script.instruments.into_iter().map(|(name, _)| name));
    all.push("sleep".into());
    let plans = script.plans.into_iter().chain(["adaptive".to_owned()]).collect();
    let shares = shares(&tree, all.into_iter().collect(), plans);
    watch(&mut engine, &tree, shares, meter, progress);
    engine
        .run_ast_with_scope(&mut Scope::new(), &tree)
        .map_err(|error| failure(&error, page.line.load(Ordering::Relaxed)))
}

/// An engine that can compute, and reach nothing.
pub(super) fn bare() -> Engine {
    let mut engine = Engine::new_raw();
    StandardPackage::new().register_into_engine(&mut engine);
    engine.set_module_resolver(DummyModuleResolver::new());
    engine.set_optimization_level(OptimizationLevel::None);
    engine.set_max_functions(MOST_FUNCTIONS);
    engine.set_max_expr_depths(DEEPEST_NESTING.0, DEEPEST_NESTING.1);
    for keyword in WITHHELD {
        engine.disable_symbol(keyword);
    }
    engine
}

/// Makes instruments and parameters known, in functions too, where the script has no such name.
#[allow(deprecated, reason = "marked so because it may change; the version is pinned")]
fn resolve_globals(engine: &mut Engine, script: &Script) {
    let mut globals = Map::new();
    for (name, _) in &script.instruments {
        let instrument = Dynamic::from(Instrument(name.into()));
        globals.insert(name.into(), instrument);
    }
    globals.insert("parameters".into(), script.parameters.clone().into());
    engine.on_var(move |name, index, context| {
        let own = index > 0 || context.scope().contains(name);
        Ok(if own { None } else { globals.get(name).cloned() })
    });
}

/// Lets every statement tick, and every step of evaluation count.
#[allow(deprecated, reason = "marked so because it may change; the version is pinned")]
fn watch(
    engine: &mut Engine,
    tree: &AST,
    shares: HashMap<usize, Share>,
    meter: Rc<Meter>,
    progress: Rc<Progress>,
) {
    let expressions = expression_statements(tree);
    let steps = Rc::clone(&meter);
    engine.on_progress(move |_| steps.step());
    let pass = move |context: EvalContext<'_, '_, '_, '_, '_, '_>,
                     _: DebuggerEvent,
                     node: ASTNode<'_>,
                     _: Option<&str>,
                     place: Position| {
        let address = address(&node);
        let made_up = matches!(node, ASTNode::Stmt(Stmt::Noop(_) | Stmt::Share(_)));
        if !made_up && (node.is_stmt() || expressions.contains(&address)) {
            let level = context.call_level();
            progress.pass(level, place);
            let share = shares.get(&address).copied();
            match (node, share) {
                (ASTNode::Stmt(Stmt::For(..)), _) => progress.expect(level, share),
                (_, Some(share)) => progress.enter(level, share, place),
                _ => {}
            }
            meter.tick(place)?;
        }
        Ok(DebuggerCommand::StepInto)
    };
    engine.register_debugger(|_, debugger| debugger, pass);
}

/// The expressions that are statements, by address.
fn expression_statements(tree: &AST) -> HashSet<usize> {
    let mut found = HashSet::new();
    tree.walk(&mut |path| {
        if let Some(node @ ASTNode::Stmt(Stmt::Expr(_))) = path.last() {
            found.insert(address(node));
        }
        true
    });
    found
}

/// The engine does not always know the place of an error; `now` is the line of the last statement.
fn failure(error: &EvalAltResult, now: u32) -> Failure {
    let mut trace = Vec::new();
    let mut function = "<script>".to_owned();
    let mut inner = error;
    while let EvalAltResult::ErrorInFunctionCall(name, _, cause, place) = inner {
        trace.push((line_of(*place), std::mem::replace(&mut function, spoken(name))));
        inner = cause;
    }
    let place = inner.position();
    let line = if place.is_none() { now } else { line_of(place) };
    trace.push((line, function));
    match inner {
        EvalAltResult::ErrorTerminated(token, _) => match token.read_lock::<End>() {
            Some(end) => Failure::Host(Rc::clone(&end.0), line),
            None => told(inner, line, column_of(place), trace),
        },
        EvalAltResult::ErrorRuntime(value, _) => match value.read_lock::<Caught>() {
            Some(error) => Failure::Host(Rc::clone(&error.origin), line),
            None => Failure::Script(value.to_string(), line, column_of(place), trace),
        },
        EvalAltResult::ErrorStackOverflow(_) => Failure::Limit("recursion", line),
        _ => told(inner, line, column_of(place), trace),
    }
}

fn told(error: &EvalAltResult, line: u32, column: u32, trace: Vec<(u32, String)>) -> Failure {
    let text = error.to_string();
    let words = text.rsplit_once(" (line ").map_or(text.as_str(), |(words, _)| words);
    Failure::Script(words.to_owned(), line, column, trace)
}

/// A closure's name is made up by the engine.
fn spoken(function: &str) -> String {
    if function.starts_with("anon$") { "<closure>".into() } else { function.into() }
}

fn line_of(place: Position) -> u32 {
    place.line().and_then(|line| u32::try_from(line).ok()).unwrap_or(0)
}

fn column_of(place: Position) -> u32 {
    place.position().and_then(|column| u32::try_from(column).ok()).unwrap_or(0)
}
