//! `kanhe policy keygen | approve | gate | publish | rollback`: from a folder that somebody wrote to the one in force.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::super::{Exit, Format, Settings, open_config, out, print_problems, print_trouble};
use crate::app::publish;
use crate::config::Config;
use crate::lang::Text;
use crate::ledger::Signer;
use crate::snapshot::place::{self, Files};
use crate::snapshot::{Refused, Snapshot, approval};
use crate::sys;
use crate::written::{Problem, is_id};

#[derive(Args)]
pub struct KeygenArgs {
    /// 审批人的名称，写入公钥 · the approver's name, which goes into the key
    #[arg(long)]
    name: String,
    /// 私钥写到此文件（不得已存在） · where the private key is written; must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Args)]
pub struct ApproveArgs {
    /// 要批准的控制目录；缺省为配置中的目录 · the control folder to approve; by default the configured one
    folder: Option<PathBuf>,
    /// 审批人的名称，与其公钥一致 · the approver's name, as in the key
    #[arg(long)]
    name: String,
    /// 审批人的私钥 · the approver's private key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// 起草人；起草人的签名不计入批准 · who wrote it; the author's own signature does not count
    #[arg(long)]
    author: Option<String>,
}

#[derive(Args)]
pub struct FolderArgs {
    /// 控制目录；缺省为配置中的目录 · the control folder; by default the configured one
    folder: Option<PathBuf>,
}

#[derive(Args)]
pub struct PublishArgs {
    /// 要发布的控制目录 · the control folder to publish
    folder: PathBuf,
}

#[derive(Args)]
pub struct RollbackArgs {
    /// 台账所存快照的摘要，至少前 8 位 · digest of a snapshot that the ledger keeps, at least its first 8 digits
    digest: String,
}

/// Makes an approver's key pair; prints the public key as `[control] approvers` lists it.
pub fn keygen(args: &KeygenArgs, settings: &Settings) -> Exit {
    if !is_id(&args.name) {
        let name = &args.name;
        let text = Text::new(format!("`{name}` 不是合法标识"), format!("`{name}` is not an identifier"));
        return trouble(&text, settings);
    }
    let made = write_key(&args.out).map_err(|error| unwritten(&args.out, &error));
    match made.and_then(|()| Signer::read(&args.name, &args.out).map_err(|error| error.text())) {
        Ok(signer) => {
            out(&signer.verifier_key());
            Exit::Yes
        }
        Err(text) => trouble(&text, settings),
    }
}

/// PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes it, readable by its owner alone.
fn write_key(path: &Path) -> io::Result<()> {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    // RFC 8410: version 0, Ed25519, and the seed; what stands before it is the same in every such key.
    let mut der = vec![0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    der.extend(sys::random::<32>());
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", BASE64_STANDARD.encode(der))?;
    sys::sync(&file)
}

/// Signs the digest of a folder that loads, into the folder of approvals.
pub fn approve(args: &ApproveArgs, settings: &Settings) -> Exit {
    let config = match open_config(settings) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    if let Some(author) = args.author.as_deref().filter(|author| !is_id(author)) {
        return trouble(&Text::new(format!("`{author}` 不是合法标识"), format!("`{author}` is not an identifier")), settings);
    }
    let snapshot = match super::load(args.folder.as_deref().unwrap_or(&config.control), settings) {
        Ok(snapshot) => snapshot,
        Err(exit) => return exit,
    };
    let signer = match Signer::read(&args.name, &args.key) {
        Ok(signer) => signer,
        Err(error) => return trouble(&error.text(), settings),
    };
    if !config.publishing.approvers.iter().any(|known| **known == *signer.verifier_key()) {
        let key = signer.verifier_key();
        let text = Text::new(
            format!("此私钥的公钥不在 `[control] approvers` 中：{key}"),
            format!("this key is not among `[control] approvers`: {key}"),
        );
        return trouble(&text, settings);
    }
    let note = signer.sign(&approval::text(&snapshot.digest, args.author.as_deref()));
    let folder = &config.publishing.approval_folder;
    let path = folder.join(format!("{}.{}.note", snapshot.hex().get(..16).unwrap_or_default(), args.name));
    match fs::create_dir_all(folder).and_then(|()| sys::write_whole(&path, &note)) {
        Ok(()) => {
            tell(&snapshot.digest, &path, settings, ("已批准", "approved"));
            Exit::Yes
        }
        Err(error) => trouble(&unwritten(&path, &error), settings),
    }
}

/// Holds a folder to everything that `[control]` requires, and changes nothing.
pub fn gate(args: &FolderArgs, settings: &Settings) -> Exit {
    let config = match open_config(settings) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    match pass(&config, args.folder.as_deref().unwrap_or(&config.control), settings) {
        Ok(snapshot) => {
            tell(&snapshot.digest, Path::new(""), settings, ("可以发布", "may be published"));
            Exit::Yes
        }
        Err(exit) => exit,
    }
}

/// Holds a folder to what is required, and puts a copy of it in place.
pub fn publish(args: &PublishArgs, settings: &Settings) -> Exit {
    let config = match open_config(settings) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    match pass(&config, &args.folder, settings) {
        Ok(mut snapshot) => {
            let files = std::mem::take(&mut snapshot.files);
            put(&config, &snapshot.digest, &files, settings)
        }
        Err(exit) => exit,
    }
}

/// Puts a snapshot that the ledger keeps in place again.
pub fn rollback(args: &RollbackArgs, settings: &Settings) -> Exit {
    let config = match open_config(settings) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    match place::recorded(&config.ledger.folder, &args.digest) {
        Ok((digest, files)) => put(&config, &digest, &files, settings),
        Err(text) => trouble(&text, settings),
    }
}

/// The folder's snapshot where it passes; else everything that stands in the way is printed.
fn pass(config: &Config, folder: &Path, settings: &Settings) -> Result<Snapshot, Exit> {
    let refuse = |problems: &[Problem]| {
        print_problems(problems, settings);
        Exit::No
    };
    let (snapshot, warnings) = match Snapshot::load(folder) {
        Ok(loaded) => loaded,
        Err(Refused { errors, .. }) => return Err(refuse(&errors)),
    };
    publish::pass(config, &snapshot, &warnings).map(|_| snapshot).map_err(|problems| refuse(&problems))
}

fn put(config: &Config, digest: &str, files: &Files, settings: &Settings) -> Exit {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    match place::put_in_place(files, &config.control, hex) {
        Ok(former) => {
            tell(digest, &former, settings, ("已就位，原目录在", "is in place; the former folder is"));
            if config.publishing.watch.is_none() && settings.format == Format::Human {
                out(Text::new("向网关发送 SIGHUP 即启用", "send the gateway a SIGHUP to put it in force").get(settings.lang));
            }
            Exit::Yes
        }
        Err(error) => trouble(&unwritten(&config.control, &error), settings),
    }
}

fn tell(digest: &str, path: &Path, settings: &Settings, (zh, en): (&str, &str)) {
    let path = path.display();
    match settings.format {
        Format::Json => out(&json!({"ok": true, "snapshot": digest, "path": path.to_string()}).to_string()),
        Format::Human => {
            out(Text::new(format!("{digest} {zh} {path}"), format!("{digest} {en} {path}")).get(settings.lang).trim_end());
        }
    }
}

fn unwritten(path: &Path, error: &io::Error) -> Text {
    let path = path.display();
    Text::new(format!("无法写入 {path}：{error}"), format!("{path} cannot be written: {error}"))
}

fn trouble(text: &Text, settings: &Settings) -> Exit {
    print_trouble(text, settings);
    Exit::Trouble
}
