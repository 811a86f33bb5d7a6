//! Control snapshots beside the log: there, and with the digest under which entries name them.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};

/// Snapshots already looked at, and whether each holds.
pub(super) struct Snapshots(HashMap<String, bool>);

impl Snapshots {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    /// Whether the snapshot `sha256:HEX` is there whole.
    pub(super) fn hold(&mut self, folder: &Path, digest: &str) -> bool {
        if let Some(holds) = self.0.get(digest) {
            return *holds;
        }
        let hex = digest.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let holds = hex.is_some_and(|hex| computed(&folder.join("snapshots").join(hex)).is_ok_and(|own| own == hex));
        self.0.insert(digest.to_owned(), holds);
        holds
    }
}

/// SHA-256 over path and content of each file in the order of their paths, each after its length as eight bytes.
fn computed(folder: &Path) -> io::Result<String> {
    let mut files = BTreeMap::new();
    list(folder, "", &mut files)?;
    let mut context = Context::new(&SHA256);
    for part in files.iter().flat_map(|(path, content)| [path.as_bytes(), content]) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    Ok(hex::encode(context.finish()))
}

fn list(root: &Path, within: &str, files: &mut BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    for file in fs::read_dir(root.join(within))? {
        let file = file?;
        let name = file.file_name().into_string().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let path = if within.is_empty() { name } else { format!("{within}/{name}") };
        if file.file_type()?.is_dir() {
            list(root, &path, files)?;
        } else {
            files.insert(path.clone(), fs::read(root.join(&path))?);
        }
    }
    Ok(())
}
