//! History rings in shared memory.
//!
//! - One writer fills a ring, in its whole life; it never waits for a reader.
//! - Any number of readers, in any process, read it. They write nothing into it and hold nothing, so
//!   they may be killed at any moment.
//! - When the ring is full, the writer gives up the oldest records. A reader that wanted them gets
//!   [`RingError::Overrun`] with the records and rows it lost and where to go on.
//! - What a reader copied or looked at was whole if the check afterwards says so; nothing else is
//!   ever believed.
//! - The writer may die at any instruction. What it committed stays; a record that it had not
//!   committed never existed. The kernel takes its lock away, by which readers notice.
//! - A damaged or cut file is [`RingError::Corrupt`], never a crash and never an endless loop.
//! - At steady state, writing and reading into a given buffer allocate nothing.
//!
//! ```
//! use ringdaq_core::{RingError, RingReader, RingWriter};
//!
//! # fn main() -> Result<(), RingError> {
//! # let directory = tempfile::tempdir().unwrap();
//! let path = directory.path().join("numbers.00000001.ring");
//! let mut writer = RingWriter::create(&path, b"a schema", 1024, 8)?;
//! for number in 0..100u64 {
//!     writer.append(&number.to_le_bytes(), number as i64, number as i64, 1)?;
//! }
//! let reader = RingReader::open(&path)?;
//! let (frame, payload) = reader.read(99)?;
//! assert_eq!((frame.rows, payload), (1, 99u64.to_le_bytes().to_vec()));
//! let lost = reader.read(0).unwrap_err();
//! assert!(matches!(lost, RingError::Overrun { lost_records: 92, lost_rows: Some(92), resume_at: 92 }));
//! # Ok(())
//! # }
//! ```
#![deny(missing_docs, missing_debug_implementations, unsafe_op_in_unsafe_fn, unsafe_code)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod checksum;
pub mod debt;
pub mod error;
pub mod frame;
pub mod index;
pub mod layout;
pub mod memory;
pub mod pipeline;
pub mod reader;
pub mod sync;
pub mod wake;
pub mod writer;

#[cfg(not(loom))]
pub mod alarm;
#[cfg(not(loom))]
pub mod arrow;
#[cfg(not(loom))]
pub mod bell;
#[cfg(not(loom))]
pub mod bulk;
#[cfg(not(loom))]
pub mod fold;
#[cfg(not(loom))]
pub mod format;
#[cfg(not(loom))]
pub mod gather;
#[cfg(not(loom))]
mod long_copy;
#[cfg(not(loom))]
pub mod maker;
#[cfg(not(loom))]
pub mod once;
#[cfg(not(loom))]
pub mod region;
#[cfg(all(feature = "rhai", not(loom)))]
pub mod rhai;
#[cfg(not(loom))]
pub mod ring;
#[cfg(not(loom))]
pub mod watch;

#[cfg(all(feature = "python", not(loom)))]
mod python;

#[cfg(all(test, not(loom)))]
mod allocation_tests;
#[cfg(all(test, not(loom)))]
mod damage_tests;
#[cfg(all(test, not(loom)))]
mod death_tests;
#[cfg(all(test, not(loom)))]
mod heap;
#[cfg(all(test, loom))]
mod loom_death_tests;
#[cfg(all(test, loom))]
mod loom_group_tests;
#[cfg(all(test, loom))]
mod loom_memory;
#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, loom))]
mod loom_wake_tests;
#[cfg(all(test, not(loom)))]
mod model_tests;
#[cfg(all(test, not(loom)))]
mod vector_tests;

pub use error::RingError;
#[cfg(not(loom))]
pub use ring::{Origin, RingReader, RingWriter};
