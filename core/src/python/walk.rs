//! Going from record to record: what is done for each of them. In the core, as Python takes longer
//! for it than copying does.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;

use super::copied::{PlainFrame, PyCopied};
use super::reader::PyRingReader;

/// Gives one record after the other, each once. What else may happen is for a subclass.
#[pyclass(name = "Walk", module = "ringdaq_core", frozen, subclass)]
pub struct PyWalk {
    make: Py<PyAny>,
    patience_secs: f64,
    place: Mutex<Place>,
}

/// Where a walk is.
struct Place {
    ring: Ring,
    /// The record that comes next.
    sequence: u64,
    stretch: Option<Stretch>,
}

/// What is read, and the layout that its records are made of.
struct Ring {
    reader: Py<PyRingReader>,
    layout: Py<PyAny>,
}

impl Ring {
    fn clone_ref(&self, py: Python<'_>) -> Self {
        Self { reader: self.reader.clone_ref(py), layout: self.layout.clone_ref(py) }
    }
}

/// Records that were given since the last gap.
#[derive(Clone, Copy)]
struct Stretch {
    first_sequence: u64,
    first_row: u64,
    last: PlainFrame,
}

impl Place {
    fn is_at(&self, ring: &Ring, sequence: u64) -> bool {
        self.ring.reader.is(&ring.reader) && self.sequence == sequence
    }

    fn note(&mut self, frame: PlainFrame) {
        let begun = Stretch { first_sequence: self.sequence, first_row: frame.3, last: frame };
        self.stretch.get_or_insert(begun).last = frame;
        self.sequence = self.sequence.wrapping_add(1);
    }
}

impl PyWalk {
    /// Nothing is called and nobody waits while it is held.
    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next record; nothing after the timeout.
    fn step<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        loop {
            let (ring, sequence) = {
                let place = self.place();
                (place.ring.clone_ref(py), place.sequence)
            };
            // Made before the record is there: what is left to do after waking is done with cold caches.
            let record = self.make.bind(py).call1((&ring.layout,))?;
            let (reader, into) = (ring.reader.get(), record.cast::<PyCopied>()?);
            let Some(frame) = reader.next(py, sequence, self.patience_secs, into)? else {
                return Ok(None);
            };
            let mut place = self.place();
            // Another thread may have been given it meanwhile.
            if place.is_at(&ring, sequence) {
                place.note(frame);
                drop(place);
                return Ok(Some(record));
            }
        }
    }
}

#[pymethods]
impl PyWalk {
    #[new]
    fn new(
        make: Py<PyAny>,
        patience_secs: f64,
        reader: Py<PyRingReader>,
        layout: Py<PyAny>,
        sequence: u64,
    ) -> Self {
        let ring = Ring { reader, layout };
        Self { make, patience_secs, place: Mutex::new(Place { ring, sequence, stretch: None }) }
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        loop {
            let event = match slf.get().step(py) {
                Ok(Some(record)) => return Ok(Some(record)),
                Ok(None) => None,
                Err(error) => Some(error.into_value(py)),
            };
            let goes_on = slf.call_method1(intern!(py, "otherwise"), (event,))?;
            if !goes_on.is_truthy()? {
                return Ok(None);
            }
        }
    }

    #[getter]
    fn sequence(&self) -> u64 {
        self.place().sequence
    }

    /// Goes on at another record.
    fn skip_to(&self, sequence: u64) {
        self.place().sequence = sequence;
    }

    /// Goes on at the beginning of another ring.
    fn turn_to(&self, reader: Py<PyRingReader>, layout: Py<PyAny>) {
        let before = {
            let mut place = self.place();
            place.sequence = 0;
            std::mem::replace(&mut place.ring, Ring { reader, layout })
        };
        // What is dropped may call Python.
        drop(before);
    }

    /// Notes the record that was due, as if it had been given.
    fn note(&self, record: &PyCopied) -> PyResult<()> {
        let frame = record.plain_frame()?;
        self.place().note(frame);
        Ok(())
    }

    /// What was given since the last gap: records, rows, and the frame of the last one. What comes is
    /// counted anew.
    fn add_up(&self) -> Option<(u64, u64, PlainFrame)> {
        let mut place = self.place();
        let Stretch { first_sequence, first_row, last } = place.stretch.take()?;
        let rows = last.3.wrapping_add(last.0).wrapping_sub(first_row);
        Some((place.sequence.wrapping_sub(first_sequence), rows, last))
    }
}
