//! The bytes of a packet: samples of all channels side by side, and what they are.
#![allow(unsafe_code, reason = "numbers of one size are looked at as another kind of number")]

use super::Rate;
use crate::error::RingError;

/// Lanes are padded to whole vectors of this many numbers, which also is a cache line.
pub const LANE_STEP: usize = 16;
/// The most numbers in one buffer: 1 GiB.
const MOST_NUMBERS: usize = 1 << 28;

/// What a packet's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataType {
    /// Counts of a converter, int32.
    Raw,
    /// Volts.
    Voltage,
    /// Volts after a filter.
    Filtered,
    /// Rows are frequencies, not moments.
    Fft,
}

impl DataType {
    /// The type of a name such as `voltage`.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Raw, Self::Voltage, Self::Filtered, Self::Fft];
        all.into_iter().find(|kind| kind.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Voltage => "voltage",
            Self::Filtered => "filtered",
            Self::Fft => "fft",
        }
    }
}

/// How much a pool's buffers hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    channels: usize,
    samples: usize,
}

impl Shape {
    /// 32 channels of 400 samples.
    pub const EEG: Self = Self { channels: 32, samples: 400 };

    /// So many channels of so many samples, at most.
    pub fn new(channels: usize, samples: usize) -> Result<Self, RingError> {
        let lanes = channels.checked_next_multiple_of(LANE_STEP);
        let numbers = lanes.and_then(|lanes| lanes.checked_mul(samples));
        if channels == 0 || samples == 0 || numbers.is_none_or(|numbers| numbers > MOST_NUMBERS) {
            return Err(RingError::Invalid(format!(
                "a packet needs 1 to {MOST_NUMBERS} numbers; found {channels} channels of \
                 {samples} samples"
            )));
        }
        Ok(Self { channels, samples })
    }

    /// Channels.
    pub fn channels(self) -> usize {
        self.channels
    }

    /// Samples of each channel.
    pub fn samples(self) -> usize {
        self.samples
    }

    /// Numbers from one sample of a channel to its next.
    pub fn lanes(self) -> usize {
        self.channels.next_multiple_of(LANE_STEP)
    }
}

/// What a packet's numbers are, how many there are, and when they were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the numbers are.
    pub kind: DataType,
    /// Channels in use.
    pub channels: usize,
    /// Samples of each channel, or rows of another kind.
    pub samples: usize,
    /// Time of sample 0 of the gapless stretch that this packet belongs to, ns since the epoch.
    pub origin_nanos: i64,
    /// Where the packet begins in that stretch.
    pub first_sample: u64,
    /// Samples in seconds.
    pub rate: Rate,
    /// Counts the packets of a source.
    pub frame_id: u64,
    /// The monotonic clock when it came in, for latencies; 0 if nobody has looked.
    pub entered_nanos: i64,
}

impl Header {
    /// Nothing at all.
    pub const EMPTY: Self = Self {
        kind: DataType::Raw,
        channels: 1,
        samples: 0,
        origin_nanos: 0,
        first_sample: 0,
        rate: Rate::ONE,
        frame_id: 0,
        entered_nanos: 0,
    };

    /// When a sample was taken; exact to the nanosecond, rounded down.
    #[inline]
    pub fn sample_timestamp(&self, sample: usize) -> i64 {
        self.origin_nanos.saturating_add(self.rate.nanos(self.first_sample + sample as u64))
    }

    /// Where a sample lies, counted from the packet's first and perhaps before it: the origin of its
    /// stretch and the place there.
    pub fn place(&self, sample: i64) -> (i64, u64) {
        match self.first_sample.checked_add_signed(sample) {
            Some(place) => (self.origin_nanos, place),
            None => {
                let earlier = self.rate.nanos(sample.unsigned_abs());
                (self.sample_timestamp(0).saturating_sub(earlier), 0)
            }
        }
    }
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u32; LANE_STEP]);

/// Samples of all channels, `[sample][channel]`, and their header.
///
/// Rows are padded to whole cache lines; what lies in the padding means nothing.
pub struct BufferSlab {
    lines: Box<[Line]>,
    shape: Shape,
    header: Header,
}

impl std::fmt::Debug for BufferSlab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BufferSlab")
            .field("shape", &self.shape)
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

impl BufferSlab {
    /// A buffer of zeros.
    pub fn new(shape: Shape) -> Self {
        let lines = shape.lanes() / LANE_STEP * shape.samples();
        let lines = vec![Line([0; LANE_STEP]); lines].into_boxed_slice();
        let header = Header { channels: shape.channels(), ..Header::EMPTY };
        Self { lines, shape, header }
    }

    /// How much fits.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Numbers from one sample of a channel to its next.
    #[inline]
    pub fn lanes(&self) -> usize {
        self.shape.lanes()
    }

    /// What is in it.
    #[inline]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Says what is in it.
    #[inline]
    pub fn set_header(&mut self, header: Header) -> Result<(), RingError> {
        let (channels, samples) = (header.channels, header.samples);
        if channels == 0 || channels > self.shape.channels() || samples > self.shape.samples() {
            return Err(RingError::Invalid(format!(
                "a packet of this pool holds {} channels of {} samples; found {channels} of \
                 {samples}",
                self.shape.channels(),
                self.shape.samples()
            )));
        }
        self.header = header;
        Ok(())
    }

    /// Calls the numbers something else.
    pub fn with_type(&mut self, kind: DataType) -> &mut Self {
        self.header.kind = kind;
        self
    }

    /// Forgets what is in it; the numbers stay, to be overwritten.
    pub fn reset(&mut self) {
        self.header.samples = 0;
        self.header.channels = self.shape.channels();
        (self.header.origin_nanos, self.header.first_sample, self.header.frame_id) = (0, 0, 0);
    }

    /// When a sample was taken; exact to the nanosecond, rounded down.
    pub fn sample_timestamp(&self, sample: usize) -> i64 {
        self.header.sample_timestamp(sample)
    }

    fn numbers(&self) -> usize {
        self.header.samples * self.lanes()
    }

    /// The numbers in use, padding included, as floats.
    #[inline]
    pub fn samples(&self) -> &[f32] {
        let len = self.numbers();
        debug_assert!(len <= self.lines.len() * LANE_STEP);
        // SAFETY: `set_header` keeps the rows within the lines; an `f32` has the size and alignment
        // of a `u32`, and every pattern of bits is one.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), len) }
    }

    /// The same to be written.
    #[inline]
    pub fn samples_mut(&mut self) -> &mut [f32] {
        let len = self.numbers();
        // SAFETY: as above, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), len) }
    }

    /// The numbers in use, padding included, as counts.
    #[inline]
    pub fn raw(&self) -> &[i32] {
        let len = self.numbers();
        // SAFETY: as above; an `i32` has the size and alignment of a `u32`.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), len) }
    }

    /// The same to be written.
    #[inline]
    pub fn raw_mut(&mut self) -> &mut [i32] {
        let len = self.numbers();
        // SAFETY: as above, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), len) }
    }

    /// One channel's samples.
    pub fn channel(&self, channel: usize) -> Option<impl ExactSizeIterator<Item = f32> + '_> {
        (channel < self.header.channels).then(|| {
            self.samples()[channel.min(self.numbers())..].iter().step_by(self.lanes()).copied()
        })
    }

    /// Copies another buffer's header and numbers; they must fit.
    pub fn copy_from(&mut self, other: &Self) -> Result<(), RingError> {
        self.set_header(other.header)?;
        let (to, from) = (self.lanes(), other.lanes());
        let used = other.header.channels.next_multiple_of(LANE_STEP);
        let rows = self.samples_mut().chunks_exact_mut(to).zip(other.samples().chunks_exact(from));
        rows.for_each(|(to, from)| to[..used].copy_from_slice(&from[..used]));
        Ok(())
    }

    /// Takes rows of numbers without padding, as bytes; the padding becomes 0.
    pub fn fill_rows(&mut self, bytes: &[u8]) -> Result<(), RingError> {
        let (channels, samples) = (self.header.channels, self.header.samples);
        if bytes.len() != channels * samples * 4 {
            return Err(RingError::Invalid(format!(
                "{channels} channels of {samples} samples are {} bytes; found {}",
                channels * samples * 4,
                bytes.len()
            )));
        }
        let lanes = self.lanes();
        let numbers = self.raw_mut();
        if lanes == channels {
            // In one piece, which copies twice as fast as row by row.
            copy_numbers(numbers, bytes);
            return Ok(());
        }
        let rows = numbers.chunks_exact_mut(lanes).zip(bytes.chunks_exact(channels * 4));
        for (row, bytes) in rows {
            copy_numbers(&mut row[..channels], bytes);
            row[channels..].fill(0);
        }
        Ok(())
    }
}

/// Takes numbers as they lie in Arrow's buffers.
fn copy_numbers(numbers: &mut [i32], bytes: &[u8]) {
    for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(4)) {
        *number = i32::from_le_bytes(std::array::from_fn(|i| bytes[i]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slab(channels: usize, samples: usize) -> BufferSlab {
        let mut slab = BufferSlab::new(Shape::new(channels, samples).unwrap());
        let header = Header { channels, samples, ..*slab.header() };
        slab.set_header(header).unwrap();
        slab
    }

    #[test]
    fn a_channel_is_every_lane_th_number() {
        let mut slab = slab(5, 3);
        assert_eq!(slab.lanes(), 16);
        for (index, number) in slab.samples_mut().iter_mut().enumerate() {
            *number = index as f32;
        }
        let third: Vec<f32> = slab.channel(3).unwrap().collect();
        assert_eq!(third, [3.0, 19.0, 35.0]);
        assert!(slab.channel(5).is_none());
    }

    #[test]
    fn more_than_fits_is_refused() {
        let mut slab = slab(2, 3);
        for (channels, samples) in [(3, 1), (0, 1), (2, 4)] {
            let header = Header { channels, samples, ..*slab.header() };
            assert!(slab.set_header(header).is_err());
        }
        assert!(slab.fill_rows(&[0; 23]).is_err());
        assert!(Shape::new(0, 1).is_err() && Shape::new(usize::MAX, 2).is_err());
    }

    #[test]
    fn reset_leaves_the_numbers() {
        let mut slab = slab(1, 1);
        slab.raw_mut()[0] = 9;
        slab.reset();
        assert!(slab.samples().is_empty());
        let header = Header { samples: 1, ..*slab.header() };
        slab.set_header(header).unwrap();
        assert_eq!(slab.raw()[0], 9);
    }

    #[test]
    fn timestamps_are_exact_over_a_day() {
        for hertz in [250u64, 4_000, 16_000, 3_000] {
            let mut header = *slab(1, 400).header();
            header.rate = Rate::new(hertz, 1).unwrap();
            header.origin_nanos = 1_700_000_000_123_456_789;
            for packet in (0..hertz * 86_400 / 400).step_by(1009) {
                header.first_sample = packet * 400;
                for sample in [0, 1, 399] {
                    let index = i128::from(header.first_sample) + sample as i128;
                    let wanted = index * 1_000_000_000 / i128::from(hertz);
                    let found = i128::from(header.sample_timestamp(sample));
                    assert_eq!(found - i128::from(header.origin_nanos), wanted);
                }
            }
        }
    }
}
