//! Going from record to record: what is done for each of them. In the core, as Python takes longer
//! for it than copying does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;

use super::LONG_COPY;
use super::copied::{PlainFrame, PyCopied};
use super::errors::InvalidError;
use super::reader::{PyRingReader, Room};

/// Gives one record after the other. What else may happen is for a subclass.
#[pyclass(name = "Walk", module = "ringdaq_core", frozen, subclass)]
pub struct PyWalk {
    make: Py<PyAny>,
    patience_secs: f64,
    place: Mutex<Place>,
    /// A thread is on its way to the next record.
    walking: AtomicBool,
}

/// A record's number, and the rows before it, where they are known.
type Here = (u64, Option<u64>);

/// Where a walk is, and what it has given.
struct Place {
    reader: Py<PyRingReader>,
    /// What records are made of.
    layout: Py<PyAny>,
    /// The last record, which may be still to come, and the one before it; not if they are long. A loop
    /// drops the one before when it gets the next one, which would be done with cold caches where it
    /// slept in between; held here, it is dropped before the next sleep.
    given: [Option<Py<PyCopied>>; 2],
    /// The last record is not noted yet.
    is_due: bool,
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

impl Place {
    fn note(&mut self, (rows, _, last_nanos, first_row): PlainFrame) {
        self.sequence = self.sequence.wrapping_add(1);
        self.row = Some(first_row.wrapping_add(rows));
        self.records += 1;
        self.rows = self.rows.wrapping_add(rows);
        self.last_nanos = Some(last_nanos);
    }

    /// Notes the last record if it has come: not when it came, with cold caches, but when somebody asks.
    fn settle(&mut self, py: Python<'_>) {
        let last = self.given[0].as_ref().filter(|_| self.is_due);
        if let Some((frame, len)) = last.and_then(|record| record.get().found(py)) {
            self.note(frame);
            self.is_due = false;
            self.payload_len = if len > LONG_COPY { 0 } else { len };
        }
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
    fn place(&self, py: Python<'_>) -> MutexGuard<'_, Place> {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        place.settle(py);
        place
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
        let (reader, layout, before) = {
            let mut place = self.place(py);
            (place.reader.clone_ref(py), place.layout.clone_ref(py), place.given[1].take())
        };
        drop(before);
        // Made before the record is there: what is left to do after waking is done with cold caches.
        let record = self.make.bind(py).call1((layout,))?.cast_into::<PyCopied>()?;
        let (from, expected, before) = self.expect(&record);
        drop(before);
        let room = Room::new(py, expected)?;
        let Some(len) = reader.get().next(py, from, self.patience_secs, &record, room)? else {
            return Ok(None);
        };
        if len > LONG_COPY {
            self.let_go(py);
        }
        Ok(Some(record.into_any()))
    }

    /// Takes a record for the next one; says where it is, how many bytes it may have, and what it was
    /// kept instead of.
    fn expect(&self, record: &Bound<'_, PyCopied>) -> (Here, usize, Option<Py<PyCopied>>) {
        let mut place = self.place(record.py());
        place.given.swap(0, 1);
        let before = place.given[0].replace(record.clone().unbind());
        place.is_due = true;
        ((place.sequence, place.row), place.payload_len, before)
    }

    /// Keeps the last record no longer.
    #[cold]
    fn let_go(&self, py: Python<'_>) {
        let last = self.place(py).given[0].take();
        drop(last);
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
            reader,
            layout,
            given: [None, None],
            is_due: false,
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
    fn sequence(&self, py: Python<'_>) -> u64 {
        self.place(py).sequence
    }

    #[getter]
    fn row(&self, py: Python<'_>) -> Option<u64> {
        self.place(py).row
    }

    #[getter]
    fn records(&self, py: Python<'_>) -> u64 {
        self.place(py).records
    }

    #[getter]
    fn rows(&self, py: Python<'_>) -> u64 {
        self.place(py).rows
    }

    #[getter]
    fn last_nanos(&self, py: Python<'_>) -> Option<i64> {
        self.place(py).last_nanos
    }

    fn skip_to(&self, py: Python<'_>, sequence: u64, row: Option<u64>) {
        let mut place = self.place(py);
        (place.sequence, place.row) = (sequence, row);
    }

    fn turn_to(&self, py: Python<'_>, reader: Py<PyRingReader>, layout: Py<PyAny>) {
        let before = {
            let mut place = self.place(py);
            (place.sequence, place.row) = (0, Some(0));
            let reader = std::mem::replace(&mut place.reader, reader);
            (reader, std::mem::replace(&mut place.layout, layout))
        };
        // What is dropped may call Python.
        drop(before);
    }

    fn note(&self, py: Python<'_>, record: &PyCopied) -> PyResult<()> {
        let frame = record.plain_frame()?;
        self.place(py).note(frame);
        Ok(())
    }
}
