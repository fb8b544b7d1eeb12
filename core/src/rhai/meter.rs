//! What a script has left, and whether it must end; ticked by every statement.

use std::cell::Cell;
use std::rc::Rc;

use ::rhai::{Dynamic, EvalAltResult, Position};

use super::{Host, Origin, Page, Trouble};

/// So many steps of evaluation without a statement are an operation too.
pub const STEPS_AN_OPERATION: u32 = 16;

/// What travels through the engine when the script must end.
#[derive(Clone)]
pub(super) struct End(pub Origin);

/// The budget of operations, the current line, and the stop.
pub(super) struct Meter {
    pub page: Page,
    pub host: Rc<dyn Host>,
    operations: u64,
    left: Cell<u64>,
    total_left: Cell<u64>,
    steps: Cell<u32>,
    /// Whether the script has been told to end, so that it must hear it again at every step.
    told: Cell<bool>,
}

impl Meter {
    pub fn new(page: Page, host: Rc<dyn Host>, operations: u64, total: u64) -> Self {
        let (left, total_left) = (Cell::new(operations), Cell::new(total));
        let (steps, told) = (Cell::new(0), Cell::new(false));
        Self { page, host, operations, left, total_left, steps, told }
    }

    /// Starts the budget anew.
    pub fn refill(&self) {
        self.left.set(self.operations);
        self.steps.set(0);
    }

    /// A statement begins.
    pub fn tick(&self, place: Position) -> Result<(), Box<EvalAltResult>> {
        self.at(place);
        self.spend().map_err(|trouble| self.raised(trouble, place))
    }

    pub fn at(&self, place: Position) {
        if let Some(line) = place.line() {
            self.page.at(u32::try_from(line).unwrap_or(u32::MAX));
        }
    }

    /// A step of evaluation; returns what ends the script.
    pub fn step(&self) -> Option<Dynamic> {
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        if steps <= STEPS_AN_OPERATION && !self.told.get() {
            return None;
        }
        match self.spend() {
            Err(Trouble::End(origin)) => Some(self.token(origin)),
            _ => None,
        }
    }

    fn spend(&self) -> Result<(), Trouble> {
        self.steps.set(0);
        let Some(left) = self.left.get().checked_sub(1) else {
            self.refill();
            return self.host.spent(false);
        };
        let Some(total_left) = self.total_left.get().checked_sub(1) else {
            self.total_left.set(self.operations); // for tidying up
            self.refill();
            return self.host.spent(true);
        };
        self.left.set(left);
        self.total_left.set(total_left);
        if self.told.get() || self.page.must_look() { self.host.look() } else { Ok(()) }
    }

    /// The host's trouble as the engine's error.
    pub fn raised(&self, trouble: Trouble, place: Position) -> Box<EvalAltResult> {
        match trouble {
            Trouble::End(origin) => EvalAltResult::ErrorTerminated(self.token(origin), place),
            Trouble::Error(error) => EvalAltResult::ErrorRuntime(Dynamic::from(error), place),
        }
        .into()
    }

    /// Keeps in mind that the script must end, where nothing can be raised.
    pub fn note(&self, answer: Result<Dynamic, Trouble>) {
        if let Err(Trouble::End(origin)) = answer {
            let _kept = self.token(origin);
        }
    }

    fn token(&self, origin: Origin) -> Dynamic {
        self.told.set(true);
        Dynamic::from(End(origin))
    }
}
