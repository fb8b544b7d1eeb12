//! Waiting for records in a loop of events.

use std::os::fd::RawFd;
use std::sync::Arc;

use pyo3::prelude::*;

use super::reader::PyRingReader;
use crate::watch::Watch;

/// Tells by a descriptor that a record is there.
#[pyclass(name = "Watch", module = "ringdaq_core", frozen)]
pub struct PyWatch(Watch);

#[pymethods]
impl PyWatch {
    #[new]
    fn new(reader: &Bound<'_, PyRingReader>) -> PyResult<Self> {
        Ok(Self(Watch::new(Arc::clone(reader.get().ring()))?))
    }

    fn fileno(&self) -> RawFd {
        self.0.event().fd()
    }

    fn arm(&self, sequence: u64) -> PyResult<bool> {
        Ok(self.0.arm(sequence)?)
    }

    fn disarm(&self) {
        self.0.disarm();
    }
}
