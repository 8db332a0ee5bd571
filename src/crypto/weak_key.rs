//! Heuristics for weak keys. They never reject a key; the doctor reports them.

/// Why a key may be easier to guess than its length suggests, in ascending severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weakness {
    /// Random, but created by this process and lost with it.
    Generated,
    /// Printable text, so probably not random bytes.
    Text,
    /// Fewer distinct bytes than random data plausibly has.
    Repetitive,
}

/// 32 random bytes have about 30 distinct values. Fewer than this happens once in about 10^20 keys.
const MIN_DIFFERENT: usize = 16;

pub fn find_weakness(key: &[u8]) -> Option<Weakness> {
    let mut seen = [false; 256];
    for byte in key {
        if let Some(seen) = seen.get_mut(usize::from(*byte)) {
            *seen = true;
        }
    }
    let different = seen.iter().filter(|seen| **seen).count();
    if different < MIN_DIFFERENT {
        Some(Weakness::Repetitive)
    } else if key.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        Some(Weakness::Text)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_text_and_repetition_but_accepts_random_bytes() {
        assert_eq!(find_weakness(&[7; 32]), Some(Weakness::Repetitive));
        assert_eq!(
            find_weakness(b"0101010101010101010101010101010101"),
            Some(Weakness::Repetitive)
        );
        assert_eq!(
            find_weakness(b"correct horse battery staple, twice over"),
            Some(Weakness::Text)
        );
        for _ in 0..1000 {
            assert_eq!(find_weakness(&crate::crypto::random::bytes::<32>()[..]), None);
        }
    }
}
