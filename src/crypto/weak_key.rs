//! Heuristics for weak keys. They never reject a key; the doctor reports them.

/// Why a key may be easier to guess than its length suggests, in ascending severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Doubt {
    /// Random, but created by this process and lost with it.
    Generated,
    /// Printable text, so probably not random bytes.
    Text,
    /// Fewer distinct bytes than random data plausibly has.
    Repetitive,
}

/// 32 random bytes have about 30 distinct values. Fewer than this happens once in about 10^20 keys.
const MIN_DIFFERENT: usize = 16;

pub(super) fn doubt(key: &[u8]) -> Option<Doubt> {
    let mut seen = [false; 256];
    for byte in key {
        if let Some(seen) = seen.get_mut(usize::from(*byte)) {
            *seen = true;
        }
    }
    let different = seen.iter().filter(|seen| **seen).count();
    if different < MIN_DIFFERENT {
        Some(Doubt::Repetitive)
    } else if key.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        Some(Doubt::Text)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_repetition_are_told_from_chance() {
        assert_eq!(doubt(&[7; 32]), Some(Doubt::Repetitive));
        assert_eq!(doubt(b"0101010101010101010101010101010101"), Some(Doubt::Repetitive));
        assert_eq!(doubt(b"correct horse battery staple, twice over"), Some(Doubt::Text));
        for _ in 0..1000 {
            assert_eq!(doubt(&crate::crypto::random::bytes::<32>()[..]), None);
        }
    }
}
