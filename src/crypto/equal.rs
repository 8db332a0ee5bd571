//! Comparison of secrets.

use subtle::ConstantTimeEq;

/// Whether two values are equal, in a time that depends only on their lengths. Compares words, since
/// subtle's comparison of slices goes byte by byte.
pub fn are_equal(a: &[u8], b: &[u8]) -> bool {
    let ((a_words, a_rest), (b_words, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let words = a_words.iter().zip(b_words).fold(0, |difference, (a, b)| {
        difference | (u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b))
    });
    let rest = a_rest.iter().zip(b_rest).fold(0, |difference, (a, b)| difference | (a ^ b));
    a.len() == b.len() && bool::from((words | u64::from(rest)).ct_eq(&0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_the_length_count() {
        for length in 0..40 {
            let value: Vec<_> = (0..length).collect();
            assert!(are_equal(&value, &value.clone()));
            for place in 0..value.len() {
                let mut other = value.clone();
                other[place] ^= 1;
                assert!(!are_equal(&value, &other), "{length}: {place}");
            }
            let longer = [value.as_slice(), &[0]].concat();
            assert!(!are_equal(&value, &longer) && !are_equal(&longer, &value), "{length}");
        }
    }
}
