//! What the writer, its appender and its loans share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use pyo3::prelude::*;
use pyo3::sync::MutexExt;

use super::columns::put_value;
use super::errors::{ClosedError, InvalidError};
use crate::alarm::Alarm;
use crate::arrow::{Column, ColumnData, ColumnKind, Encoder, RowBatch, Schema};
use crate::bell::WakeFile;
use crate::debt::Debt;
use crate::error::RingError;
use crate::maker::Maker;
use crate::region::clock_nanos;
use crate::ring::{RingWriter, is_soon};

/// The ring's owner and whoever may write through it.
pub struct Shared {
    pub maker: Maker,
    debt: Arc<Debt<WakeFile>>,
    /// A row is committed before whoever is hailed for it has woken up.
    is_soon: bool,
    inner: Mutex<Inner>,
}

pub struct Inner {
    /// `None` once closed.
    pub ring: Option<RingWriter>,
    pub encoder: Encoder,
    /// Rows that wait to become a record.
    pub pending: Option<Pending>,
    /// A record is being filled in place; it is the next one, so nothing else can be written.
    pub loaned: bool,
}

/// Rows that wait, and for how long they may.
pub struct Pending {
    pub rows: RowBatch,
    pub deadline_nanos: i64,
    /// Clock of the last commit.
    pub committed_nanos: i64,
    /// Rings when the first of the rows must wait no longer, for the thread that commits them then.
    /// While rows come quickly it is set anew before it rings: waking a thread for each record would
    /// take processors from those who make the rows.
    pub alarm: Arc<Alarm>,
}

#[cold]
pub fn closed() -> PyErr {
    ClosedError::new_err("this side has closed the stream")
}

/// Says which column a value was meant for.
#[cold]
pub fn blame(py: Python<'_>, column: &Column, error: &PyErr) -> PyErr {
    let text = error.value(py).to_string();
    InvalidError::new_err(format!("channel {:?}: {text}", column.name))
}

impl Shared {
    pub fn new(ring: RingWriter, encoder: Encoder) -> Self {
        Self {
            maker: ring.maker(),
            debt: Arc::clone(ring.debt()),
            is_soon: is_soon(encoder.row_len()),
            inner: Mutex::new(Inner { ring: Some(ring), encoder, pending: None, loaned: false }),
        }
    }

    /// Begins to wake a reader that sleeps alone, for a row that comes. Needs no lock and none of the
    /// values: waking takes so much longer than all of it that it begins with it. If the row is then
    /// refused, a reader has looked in vain.
    #[inline(always)]
    pub fn hail(&self) {
        if self.is_soon && self.maker.is_here() {
            self.debt.hail();
        }
    }

    /// Refused in a fork, whose rows and counters are old copies: what it committed or closed, the
    /// maker's readers would see. A thread that did not come along may hold the lock there for ever.
    #[inline]
    pub fn lock(&self, py: Python<'_>) -> PyResult<MutexGuard<'_, Inner>> {
        self.maker.check()?;
        match self.inner.try_lock() {
            Ok(inner) => Ok(inner),
            Err(TryLockError::Poisoned(inner)) => Ok(inner.into_inner()),
            // The other may wait for the interpreter, so this thread must not keep it.
            Err(TryLockError::WouldBlock) => {
                Ok(self.inner.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner))
            }
        }
    }

    /// For threads that do not hold the interpreter.
    pub fn lock_detached(&self) -> PyResult<MutexGuard<'_, Inner>> {
        self.maker.check()?;
        Ok(self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Commits rows that have waited until the alarm rings, until the ring is closed.
    pub fn flush_in_time(&self, alarm: &Alarm) {
        loop {
            alarm.wait();
            match self.lock_detached() {
                Ok(mut inner) if inner.ring.is_some() => inner.flush_if_due(),
                _ => return,
            }
        }
    }
}

impl Inner {
    /// Begins to fetch what the row that comes will be written to.
    #[inline(always)]
    pub fn expect_row(&self) {
        if let (Some(ring), false) = (&self.ring, self.loaned) {
            ring.expect(self.encoder.row_len());
        }
    }

    /// The ring, ready for a record that follows all waiting rows.
    #[inline(always)]
    pub fn ready(&mut self) -> PyResult<(&mut RingWriter, &mut Encoder)> {
        if self.loaned {
            return Err(InvalidError::new_err("a record that was loaned must be committed first"));
        }
        let ring = self.ring.as_mut().ok_or_else(closed)?;
        if let Some(pending) = &mut self.pending
            && pending.rows.rows() > 0
        {
            pending.rows.flush(&mut self.encoder, ring)?;
        }
        Ok((ring, &mut self.encoder))
    }

    pub fn write(
        &mut self,
        rows: u64,
        span: (i64, i64),
        columns: &[ColumnData<'_>],
    ) -> PyResult<u64> {
        let (ring, encoder) = self.ready()?;
        Ok(encoder.write(ring, rows, span, columns)?)
    }

    /// Writes waiting rows as a record.
    pub fn flush(&mut self) -> Result<(), RingError> {
        if let (Some(pending), Some(ring)) = (&mut self.pending, &mut self.ring)
            && pending.rows.rows() > 0
        {
            pending.rows.flush(&mut self.encoder, ring)?;
            pending.committed_nanos = clock_nanos();
        }
        Ok(())
    }

    /// Commits rows that have waited for the whole deadline; those that came later have set the
    /// alarm for themselves.
    fn flush_if_due(&mut self) {
        let due = |pending: &Pending| {
            clock_nanos() - pending.rows.first_clock() >= pending.deadline_nanos
        };
        if self.pending.as_ref().is_some_and(due) {
            // The rows fit: the appender was refused otherwise.
            let _ = self.flush();
        }
    }

    /// Lets the thread that commits rows see that the ring is gone.
    pub fn dismiss_flusher(&self) {
        if let Some(pending) = &self.pending {
            pending.alarm.set(0);
        }
    }

    /// Fills the row image; false if a value is missing or rows vary in size.
    #[inline(always)]
    pub fn fill_row<'a, 'py: 'a>(
        &mut self,
        py: Python<'py>,
        schema: &Schema,
        time_nanos: i64,
        values: impl Iterator<Item = Borrowed<'a, 'py, PyAny>>,
    ) -> PyResult<bool> {
        let (places, image) = self.encoder.row_parts();
        let Some(((_, time_at), places)) = places.split_first() else {
            return Ok(false);
        };
        image[*time_at..*time_at + 8].copy_from_slice(&time_nanos.to_le_bytes());
        for (index, ((kind, place), value)) in places.iter().zip(values).enumerate() {
            if value.is_none() {
                return Ok(false);
            }
            put_value(*kind, &value, &mut image[*place..])
                .map_err(|e| blame(py, &schema.columns()[index + 1], &e))?;
        }
        Ok(true)
    }
}

impl Pending {
    /// Adds a row; false if a value is missing.
    #[inline]
    pub fn push<'a, 'py: 'a>(
        &mut self,
        py: Python<'py>,
        schema: &Schema,
        (time_nanos, clock): (i64, i64),
        values: impl Iterator<Item = Borrowed<'a, 'py, PyAny>>,
    ) -> PyResult<bool> {
        let columns = schema.columns().iter().enumerate().skip(1);
        for ((index, column), value) in columns.zip(values) {
            let put = self.put(index, column.kind, &value);
            if !put.map_err(|e| blame(py, column, &e))? {
                return Ok(false);
            }
        }
        self.rows.push(time_nanos, clock);
        if self.rows.rows() == 1 {
            self.alarm.set(clock + self.deadline_nanos);
        }
        Ok(true)
    }

    /// Sets the next row's value of a column; false if it is missing.
    #[inline]
    fn put(&mut self, index: usize, kind: ColumnKind, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        if value.is_none() {
            return Ok(false);
        }
        match kind {
            ColumnKind::Bool => self.rows.set_bool(index, value.extract()?),
            kind => put_value(kind, value, self.rows.place(index))?,
        }
        Ok(true)
    }

    /// Whether no row waits and none came for a while.
    pub fn is_idle(&self, clock: i64) -> bool {
        self.rows.rows() == 0 && clock - self.committed_nanos >= self.deadline_nanos
    }

    /// Whether the waiting rows are to be committed by whoever added the last one: long before the
    /// alarm rings, so that it does only where no more rows come.
    pub fn is_due(&self, clock: i64) -> bool {
        self.rows.is_full() || clock - self.rows.first_clock() >= self.deadline_nanos / 2
    }
}
