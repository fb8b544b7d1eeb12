//! Scripts in the Rhai language, which see the same verbs and limits as Python's.
//!
//! - The engine computes; everything else it asks of a [`Host`], whose answers it waits for.
//! - One operation is a statement, or [`STEPS_AN_OPERATION`] steps of evaluation without one, so that
//!   a budget means the same as in Python, and an empty loop uses it up too.
//! - The current line and the progress lie in a [`Page`] that others may read at any moment.
//! - What ends a script from outside cannot be caught in it: `catch` blocks are passed by, and a
//!   native function that swallows errors is stopped again at the next step.

mod caught;
mod check;
mod engine;
mod loops;
mod meter;
mod page;
mod plans;
mod shares;
mod verbs;

use std::any::Any;
use std::rc::Rc;

use ::rhai::{Dynamic, Map};

pub use caught::Caught;
pub use check::{Fact, SyntaxError, facts};
pub use engine::{Failure, Script, run};
pub use meter::STEPS_AN_OPERATION;
pub use page::Page;
pub use verbs::Instrument;

/// What a host has to give back to whoever runs the script: an exception, say.
pub type Origin = Rc<dyn Any>;

/// Why a host did not do what a script asked.
#[derive(Debug)]
pub enum Trouble {
    /// The script must end, and cannot prevent it.
    End(Origin),
    /// An error that the script may catch.
    Error(Caught),
}

/// Verbs, and the decision to go on.
pub trait Host {
    /// Carries out a verb of an instrument; `named` are arguments by name.
    fn verb(
        &self,
        instrument: &str,
        verb: &str,
        args: &[Dynamic],
        named: Map,
    ) -> Result<Dynamic, Trouble>;
    /// Carries out a verb that belongs to no instrument, such as `sleep`.
    fn say(&self, verb: &str, args: &[Dynamic], named: Map) -> Result<Dynamic, Trouble>;
    /// Carries out a scan; `region` is where in the run it begins, and how much of the run it is.
    fn plan(
        &self,
        name: &str,
        args: &[Dynamic],
        named: Map,
        region: (f64, f64),
    ) -> Result<Dynamic, Trouble>;
    /// Fails if the script must end and is not tidying up.
    fn look(&self) -> Result<(), Trouble>;
    /// The budget of operations is used up: the one between two verbs, or that of the whole run.
    fn spent(&self, whole_run: bool) -> Result<(), Trouble>;
    /// Tidying up begins or ends.
    fn shield(&self, begins: bool);
}
