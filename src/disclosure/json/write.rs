//! Writing strings.

/// Writes a string with the escapes that JSON demands and no others.
pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        out.extend_from_slice(&rest[..at]);
        let short = match rest[at] {
            b'\x08' => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            b'\x0c' => b'f',
            b'\r' => b'r',
            byte @ (b'"' | b'\\') => byte,
            _ => 0,
        };
        match short {
            0 => out.extend_from_slice(format!("\\u{:04x}", rest[at]).as_bytes()),
            _ => out.extend_from_slice(&[b'\\', short]),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}
