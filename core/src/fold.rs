//! The least and the greatest of every so many rows, in one pass through memory.

/// A number that has an order.
pub trait Ordered: Copy + PartialOrd {
    /// Not above any number.
    const LEAST: Self;
    /// Not below any number.
    const GREATEST: Self;
    /// What stands for a value where there is none; never asked for where every value is one.
    const NOTHING: Self;
}

macro_rules! ordered {
    ($least:ident, $greatest:ident, $nothing:ident: $($number:ident)*) => {$(
        impl Ordered for $number {
            const LEAST: Self = Self::$least;
            const GREATEST: Self = Self::$greatest;
            const NOTHING: Self = Self::$nothing;
        }
    )*};
}

ordered!(MIN, MAX, MIN: i8 i16 i32 i64 u8 u16 u32 u64);
ordered!(NEG_INFINITY, INFINITY, NAN: f32 f64);

/// Numbers side by side that are compared at once: a cache line's worth of the narrow ones.
const LANES: usize = 64;

/// Folds every `bin_rows` rows of `width` numbers: the least and the greatest of each column.
///
/// NaN counts as missing; where a bin has nothing else, it is the answer. Rows beyond the last whole
/// bin, and a width or bins of 0, give nothing.
pub fn fold<T: Ordered>(values: &[T], width: usize, bin_rows: usize) -> (Vec<T>, Vec<T>) {
    let bin = width * bin_rows;
    if bin == 0 {
        return (Vec::new(), Vec::new());
    }
    let count = values.len() / bin * width;
    let (mut low, mut high) = (vec![T::GREATEST; count], vec![T::LEAST; count]);
    let lanes = lanes(width, bin_rows);
    let (mut lows, mut highs) = (vec![T::GREATEST; lanes], vec![T::LEAST; lanes]);
    let places = low.chunks_exact_mut(width).zip(high.chunks_exact_mut(width));
    for (bin, (low, high)) in values.chunks_exact(bin).zip(places) {
        lows.fill(T::GREATEST);
        highs.fill(T::LEAST);
        bin.chunks_exact(lanes).for_each(|row| take(row, row, &mut lows, &mut highs));
        let rows = lows.chunks_exact(width).zip(highs.chunks_exact(width));
        rows.for_each(|(lows, highs)| take(lows, highs, low, high));
        low.iter_mut().zip(high).for_each(|(low, high)| mend(low, high));
    }
    (low, high)
}

/// Narrow rows are folded several at a time, as if they were one wide row.
fn lanes(width: usize, bin_rows: usize) -> usize {
    let mut rows = 1;
    while width * rows * 2 <= LANES && bin_rows.is_multiple_of(rows * 2) {
        rows *= 2;
    }
    width * rows
}

/// A comparison with NaN is false, so it changes nothing.
fn take<T: Ordered>(lows: &[T], highs: &[T], low: &mut [T], high: &mut [T]) {
    for ((value, least), (other, greatest)) in lows.iter().zip(low).zip(highs.iter().zip(high)) {
        *least = if *value < *least { *value } else { *least };
        *greatest = if *other > *greatest { *other } else { *greatest };
    }
}

/// Where no value was taken, the least is still above the greatest.
fn mend<T: Ordered>(low: &mut T, high: &mut T) {
    if *low > *high {
        (*low, *high) = (T::NOTHING, T::NOTHING);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(values: &[i16], width: usize, bin_rows: usize) -> (Vec<i16>, Vec<i16>) {
        let column = |bin: &[i16], n: usize| bin.iter().skip(n).step_by(width).copied().collect();
        let bins = values.chunks_exact(width * bin_rows);
        let columns: Vec<Vec<i16>> =
            bins.flat_map(|bin| (0..width).map(move |n| column(bin, n))).collect();
        let low = columns.iter().map(|one| *one.iter().min().unwrap()).collect();
        (low, columns.iter().map(|one| *one.iter().max().unwrap()).collect())
    }

    proptest! {
        #[test]
        fn each_bin_has_its_own_least_and_greatest(
            values in proptest::collection::vec(any::<i16>(), 0..2000),
            width in 1..70_usize,
            bin_rows in 1..70_usize,
        ) {
            prop_assert_eq!(fold(&values, width, bin_rows), naive(&values, width, bin_rows));
        }
    }

    #[test]
    fn nan_is_left_out_and_stands_where_nothing_else_is() {
        let values = [f32::NAN, 1.0, f32::INFINITY, f32::INFINITY, f32::NAN, f32::NAN];
        let (low, high) = fold(&values, 1, 2);
        assert_eq!((low[0], high[0]), (1.0, 1.0));
        assert_eq!((low[1], high[1]), (f32::INFINITY, f32::INFINITY));
        assert!(low[2].is_nan() && high[2].is_nan());
    }

    #[test]
    fn nothing_in_gives_nothing_out() {
        assert_eq!(fold::<u8>(&[], 3, 4), (vec![], vec![]));
        assert_eq!(fold(&[1_u8, 2], 0, 4), (vec![], vec![]));
        assert_eq!(fold(&[1_u8, 2], 1, 0), (vec![], vec![]));
    }
}
