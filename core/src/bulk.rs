//! Copying many records at once, as they are, one behind the other.

use crate::error::RingError;
use crate::reader::Located;
use crate::ring::RingReader;

/// Finds records from `sequence` on, up to `end` or until they hold `max_bytes`.
///
/// A record that is gone or damaged is an error only where it is the first; else it ends the piece.
pub fn locate_many(
    ring: &RingReader,
    (sequence, end): (u64, u64),
    max_bytes: u64,
) -> Result<Vec<Located>, RingError> {
    ring.region().check_size()?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    for sequence in sequence..end {
        match ring.locate_again(sequence) {
            Ok(located) => {
                bytes += located.frame.payload_len;
                found.push(located);
            }
            Err(error) if found.is_empty() => return Err(error),
            Err(_) => break,
        }
        if bytes >= max_bytes {
            break;
        }
    }
    Ok(found)
}

/// Copies located records into a buffer of their length; returns how many of the copies are whole.
///
/// That the first one is gone meanwhile is an error.
pub fn copy_many(
    ring: &RingReader,
    records: &[Located],
    into: &mut [u8],
) -> Result<usize, RingError> {
    let mut rest = into;
    for (count, located) in records.iter().enumerate() {
        let (target, behind) = rest.split_at_mut(located.frame.payload_len as usize);
        rest = behind;
        ring.copy_payload(located, target);
        match ring.verify(located) {
            Ok(()) => {}
            Err(error) if count == 0 => return Err(error),
            Err(_) => return Ok(count),
        }
    }
    Ok(records.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::RingWriter;

    #[test]
    fn records_are_copied_until_the_bytes_are_enough_or_one_is_gone() -> Result<(), RingError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("numbers.00000001.ring");
        let mut writer = RingWriter::create(&path, b"a schema", 1024, 8)?;
        for number in 0..8u64 {
            writer.append(&number.to_le_bytes(), number as i64, number as i64, 1)?;
        }
        let reader = RingReader::open(&path)?;
        let found = locate_many(&reader, (2, 8), 24)?;
        let mut bytes = [0; 24];
        assert_eq!(copy_many(&reader, &found, &mut bytes)?, 3);
        assert_eq!(bytes[8..16], 3u64.to_le_bytes());
        writer.append(&8u64.to_le_bytes(), 8, 8, 1)?;
        let error = locate_many(&reader, (0, 8), 24).unwrap_err();
        assert!(matches!(error, RingError::Overrun { lost_records: 1, .. }));
        for number in 9..11u64 {
            writer.append(&number.to_le_bytes(), number as i64, number as i64, 1)?;
        }
        let error = copy_many(&reader, &found, &mut bytes).unwrap_err();
        assert!(matches!(error, RingError::Overrun { lost_records: 1, .. }));
        assert_eq!(locate_many(&reader, (10, 20), 1 << 20)?.len(), 1);
        Ok(())
    }
}
