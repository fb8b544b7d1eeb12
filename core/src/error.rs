//! What can go wrong with a ring.

use std::fmt;
use std::io;

/// Why a ring cannot give or take what was asked.
#[derive(Debug)]
pub enum RingError {
    /// The operating system refused; the text says what was tried.
    Io(String, io::Error),
    /// A header, an index entry, a record or a message fails its check.
    Corrupt(String),
    /// The writer lapped the reader.
    Overrun {
        /// Records between the one asked for and the oldest left.
        lost_records: u64,
        /// Their rows; `None` where the ring no longer knows.
        lost_rows: Option<u64>,
        /// Sequence number of the oldest record left.
        resume_at: u64,
    },
    /// The record lies in the future.
    NotYetWritten {
        /// The record asked for.
        sequence: u64,
        /// The one that will be written next.
        next: u64,
    },
    /// The writer closed the ring, and everything was read.
    EndOfStream,
    /// The writer died, and everything was read.
    WriterGone,
    /// This process is a fork of the one that made the ring, which alone writes it.
    Forked {
        /// The process that made it.
        maker: u32,
    },
    /// The file system has no room for the ring.
    NoSpace {
        /// Bytes of the ring's file.
        needed: u64,
        /// Bytes that the file system has left.
        free: u64,
    },
    /// A record does not fit into the ring.
    TooLarge {
        /// Bytes of the record.
        record: u64,
        /// Bytes of the ring.
        capacity: u64,
    },
    /// The caller asked for something senseless.
    Invalid(String),
}

impl RingError {
    /// A failed check.
    pub fn corrupt(text: impl Into<String>) -> Self {
        Self::Corrupt(text.into())
    }

    /// The last error of the operating system.
    pub fn last_os_error(tried: impl Into<String>) -> Self {
        Self::Io(tried.into(), io::Error::last_os_error())
    }
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(tried, error) => write!(f, "{tried}: {error}"),
            Self::Corrupt(text) | Self::Invalid(text) => f.write_str(text),
            Self::Overrun { lost_records, lost_rows, resume_at } => {
                write!(f, "the writer lapped this reader: {lost_records} records ")?;
                match lost_rows {
                    Some(rows) => write!(f, "({rows} rows) ")?,
                    None => f.write_str("(rows unknown) ")?,
                }
                write!(f, "are lost; the oldest left is {resume_at}")
            }
            Self::NotYetWritten { sequence, next } => {
                write!(f, "record {sequence} is not written yet; the next one will be {next}")
            }
            Self::EndOfStream => {
                f.write_str("the writer closed the stream, and all of it was read")
            }
            Self::WriterGone => {
                f.write_str("the stream's writer died; what it committed is readable")
            }
            Self::Forked { maker } => write!(
                f,
                "only process {maker}, which made this ring, writes it; found process {}, a fork of \
                 it: make a writer of your own",
                std::process::id()
            ),
            Self::NoSpace { needed, free } => {
                write!(f, "the ring needs {needed} bytes; {free} are free")
            }
            Self::TooLarge { record, capacity } => {
                write!(f, "a record of {record} bytes does not fit into a ring of {capacity} bytes")
            }
        }
    }
}

impl std::error::Error for RingError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            _ => None,
        }
    }
}
