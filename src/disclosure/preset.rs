//! Mask presets: named, documented, tested (DESIGN section 4).

/// A mask preset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preset {
    /// `null`.
    Null,
}
