//! What a look at a key's bytes says against it. These are guesses, so they refuse nothing; the
//! doctor tells of them.

/// Why a key may be easier to guess than its length says; the worst comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// Random, but made by this very process and lost with it.
    Generated,
    /// Printable text: a sentence rather than random bytes.
    Text,
    /// So few different bytes as chance does not draw.
    Repetitive,
}

/// Of 32 random bytes some 30 differ; fewer than this come about once in 10^20 keys.
const MIN_DIFFERENT: usize = 16;

pub fn doubt(key: &[u8]) -> Option<Doubt> {
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
