//! Nothing at all.

use crate::error::RingError;
use crate::pipeline::slab::BufferSlab;
use crate::pipeline::stage::{Context, Flow, Format, Stage};

/// Gives packets on as they are.
#[derive(Debug)]
pub struct Pass;

impl Stage for Pass {
    fn plan(&mut self, input: Format) -> Result<Format, RingError> {
        Ok(input)
    }

    fn change(&mut self, _: &mut BufferSlab, _: &mut Context) -> Result<Flow, RingError> {
        Ok(Flow::Next)
    }
}
