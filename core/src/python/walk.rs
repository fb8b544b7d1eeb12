//! Going from record to record: what is done for each of them. In the core, as Python takes longer
//! for it than copying does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;

use super::LONG_COPY;
use super::copied::{PlainFrame, PyCopied, plain};
use super::errors::InvalidError;
use super::reader::{PyRingReader, Room};
use crate::frame::Frame;

/// Gives one record after the other. What else may happen is for a subclass.
#[pyclass(name = "Walk", module = "ringdaq_core", frozen, subclass)]
pub struct PyWalk {
    make: Py<PyAny>,
    patience_secs: f64,
    place: Mutex<Place>,
    /// A thread is on its way to the next record.
    walking: AtomicBool,
}

/// Where a walk is, and what it has given.
struct Place {
    ring: Arc<Ring>,
    /// The last record that was given, and the one before it.
    given: [Option<Py<PyAny>>; 2],
    /// Bytes of the last record, 0 if it was long.
    payload_len: usize,
    /// The record that comes next.
    sequence: u64,
    /// Rows before it, where they are known.
    row: Option<u64>,
    records: u64,
    rows: u64,
    last_nanos: Option<i64>,
}

/// What is read, and the layout that its records are made of.
struct Ring {
    reader: Py<PyRingReader>,
    layout: Py<PyAny>,
}

impl Place {
    fn note(&mut self, (rows, _, last_nanos, first_row): PlainFrame) {
        self.sequence = self.sequence.wrapping_add(1);
        self.row = Some(first_row.wrapping_add(rows));
        self.records += 1;
        self.rows = self.rows.wrapping_add(rows);
        self.last_nanos = Some(last_nanos);
    }

    /// Notes a record, and keeps it for a while unless it is long. A loop drops the one before when it
    /// gets this one, which would be done with cold caches where it slept in between; held here, it is
    /// dropped before the next sleep.
    #[inline(always)]
    fn take(&mut self, frame: &Frame, record: Py<PyAny>) {
        self.note(plain(frame));
        let len = frame.payload_len as usize;
        let is_long = len > LONG_COPY;
        self.payload_len = if is_long { 0 } else { len };
        self.given.swap(0, 1);
        self.given[0] = (!is_long).then_some(record);
    }
}

/// Ends with the way of one thread to the next record.
struct Way<'a>(&'a AtomicBool);

impl Drop for Way<'_> {
    fn drop(&mut self) {
        // Release: pairs with the acquire of whoever comes next.
        self.0.store(false, Ordering::Release);
    }
}

impl PyWalk {
    /// Nothing is called and nobody waits while it is held.
    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_out(&self) -> PyResult<Way<'_>> {
        // Acquire: pairs with the release of whoever was here before.
        if self.walking.swap(true, Ordering::Acquire) {
            return Err(InvalidError::new_err(
                "another thread waits for this follower's next record",
            ));
        }
        Ok(Way(&self.walking))
    }

    /// The next record; nothing after the timeout.
    fn step<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (ring, from, expected, dropped) = {
            let mut place = self.place();
            let from = (place.sequence, place.row);
            (Arc::clone(&place.ring), from, place.payload_len, place.given[1].take())
        };
        drop(dropped);
        // Made before the record is there: what is left to do after waking is done with cold caches.
        let record = self.make.bind(py).call1((&ring.layout,))?;
        let kept = record.clone().unbind();
        let room = Room::new(py, expected)?;
        let (reader, into) = (ring.reader.get(), record.cast::<PyCopied>()?);
        let Some(frame) = reader.next(py, from, self.patience_secs, into, room)? else {
            return Ok(None);
        };
        self.place().take(&frame, kept);
        Ok(Some(record))
    }

    /// The next record; nothing at the end.
    fn walk<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        loop {
            let event = match slf.get().step(py) {
                Ok(Some(record)) => return Ok(Some(record)),
                Ok(None) => None,
                Err(error) => Some(error),
            };
            if !Self::goes_on(slf, event)? {
                return Ok(None);
            }
        }
    }

    #[cold]
    fn goes_on(slf: &Bound<'_, Self>, event: Option<PyErr>) -> PyResult<bool> {
        let py = slf.py();
        let event = event.map(|error| error.into_value(py));
        slf.call_method1(intern!(py, "otherwise"), (event,))?.is_truthy()
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
        let place = Place {
            ring: Arc::new(Ring { reader, layout }),
            given: [None, None],
            payload_len: 0,
            sequence,
            row: None,
            records: 0,
            rows: 0,
            last_nanos: None,
        };
        Self { make, patience_secs, place: Mutex::new(place), walking: AtomicBool::new(false) }
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match slf.get().set_out() {
            Ok(_way) => Self::walk(slf),
            Err(error) => Self::goes_on(slf, Some(error)).map(|_| None),
        }
    }

    #[getter]
    fn sequence(&self) -> u64 {
        self.place().sequence
    }

    #[getter]
    fn row(&self) -> Option<u64> {
        self.place().row
    }

    #[getter]
    fn records(&self) -> u64 {
        self.place().records
    }

    #[getter]
    fn rows(&self) -> u64 {
        self.place().rows
    }

    #[getter]
    fn last_nanos(&self) -> Option<i64> {
        self.place().last_nanos
    }

    fn skip_to(&self, sequence: u64, row: Option<u64>) {
        let mut place = self.place();
        (place.sequence, place.row) = (sequence, row);
    }

    fn turn_to(&self, reader: Py<PyRingReader>, layout: Py<PyAny>) {
        let before = {
            let mut place = self.place();
            (place.sequence, place.row) = (0, Some(0));
            std::mem::replace(&mut place.ring, Arc::new(Ring { reader, layout }))
        };
        // What is dropped may call Python.
        drop(before);
    }

    fn note(&self, record: &PyCopied) -> PyResult<()> {
        let frame = record.plain_frame()?;
        self.place().note(frame);
        Ok(())
    }
}
