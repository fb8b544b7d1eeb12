//! Waiting for records in a loop of events.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pyo3::prelude::*;

use super::reader::PyRingReader;
use crate::bell::{MOST_WORDS, futex_wake};
use crate::ring::LONGEST_SLEEP;
use crate::watch::{Watch, sleep_on};

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

/// Lets one thread sleep for many rings by itself, and others wake it.
#[pyclass(name = "Sleeper", module = "ringdaq_core", frozen)]
pub struct PySleeper(AtomicU32);

#[pymethods]
impl PySleeper {
    #[new]
    fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    #[classattr]
    #[pyo3(name = "MOST_RINGS")]
    fn most_rings() -> usize {
        MOST_WORDS - 1
    }

    fn wakes(&self) -> u32 {
        // Acquire: pairs with the release in `wake`, so that its reason is seen before the sleep.
        self.0.load(Ordering::Acquire)
    }

    fn wake(&self) {
        // Release: whoever sees the count sees the reason; the kernel compares it before a sleep.
        self.0.fetch_add(1, Ordering::Release);
        futex_wake(&self.0, 1);
    }

    fn sleep(
        &self,
        py: Python<'_>,
        wakes: u32,
        watches: Vec<(Py<PyWatch>, u64)>,
        timeout_secs: f64,
    ) -> PyResult<bool> {
        let ring_of =
            |(watch, sequence): &(Py<PyWatch>, u64)| (Arc::clone(watch.get().0.ring()), *sequence);
        let rings: Vec<_> = watches.iter().map(ring_of).collect();
        let timeout = Duration::try_from_secs_f64(timeout_secs.max(0.0)).unwrap_or(LONGEST_SLEEP);
        Ok(py.detach(|| sleep_on((&self.0, wakes), &rings, timeout))?)
    }
}
