//! A stage that is a Python callable; it is lent the packet itself.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::packet::PyPacket;
use super::values::flag;
use crate::error::RingError;
use crate::pipeline::chain::Held;
use crate::pipeline::stage::{Context, Flow, Format, Place, Stage};
use crate::python::errors::InvalidError;

/// Calls Python for each packet.
pub struct Callable {
    call: Py<PyAny>,
    in_place: bool,
}

impl Callable {
    /// `call` takes a packet; `in_place` lets it write.
    pub fn from_parameters(found: &Bound<'_, PyDict>) -> PyResult<Self> {
        let call = found.get_item("call")?.filter(Bound::is_callable);
        let call = call.ok_or_else(|| InvalidError::new_err("\"call\" must be callable"))?;
        Ok(Self { call: call.unbind(), in_place: flag(found, "in_place")? })
    }
}

/// What Python said, with its own traceback.
fn told(py: Python<'_>, error: &PyErr) -> RingError {
    let traceback = error.traceback(py).and_then(|traceback| traceback.format().ok());
    RingError::Invalid(format!("{}{error}", traceback.unwrap_or_default()))
}

impl Callable {
    fn call(&self, py: Python<'_>, packet: &Bound<'_, PyPacket>) -> Result<Flow, RingError> {
        let said = self.call.bind(py).call1((packet,)).map_err(|error| told(py, &error))?;
        let dropped = said.extract::<bool>().is_ok_and(|said| !said);
        Ok(if dropped { Flow::Nothing } else { Flow::Next })
    }

    fn lend_now(&self, py: Python<'_>, held: Held) -> (Option<Held>, Result<Flow, RingError>) {
        let (lent, kept) = if self.in_place {
            (held, None)
        } else {
            let packet = held.share();
            (Held::Shared(packet.clone()), Some(Held::Shared(packet)))
        };
        let packet = match Bound::new(py, PyPacket::new(lent)) {
            Ok(packet) => packet,
            Err(error) => return (kept, Err(told(py, &error))),
        };
        let said = self.call(py, &packet);
        match (packet.get().take(), kept) {
            (Ok(back), None) => (Some(back), said),
            (_, Some(kept)) => (Some(kept), said),
            (Err(_), None) => {
                let text = "the stage kept a writable view of its packet; copy what is to be kept";
                (None, said.and(Err(RingError::Invalid(text.into()))))
            }
        }
    }
}

impl Stage for Callable {
    fn plan(&mut self, input: Format) -> Result<Format, RingError> {
        Ok(input)
    }

    fn place(&self) -> Place {
        if self.in_place { Place::LentToWrite } else { Place::Lent }
    }

    fn lend(&mut self, held: Held, _: &mut Context) -> (Option<Held>, Result<Flow, RingError>) {
        let mut held = Some(held);
        let done = Python::try_attach(|py| held.take().map(|held| self.lend_now(py, held)));
        match done.flatten() {
            Some(done) => done,
            None => (held, Err(RingError::Invalid("the interpreter is going away".into()))),
        }
    }
}
