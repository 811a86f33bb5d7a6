//! The demonstration, from outside: each step of its story comes out as told, and what it prints can be copied.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise, in its helpers too")]

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// A folder of this test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kanhe-it-demo-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn demo(folder: &Folder, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kanhe")).arg("demo").arg("--dir").arg(&folder.0).args(arguments).output().unwrap()
}

#[test]
fn every_step_comes_out_as_told() {
    let folder = Folder::new("story");
    let output = demo(&folder, &["--exit", "--format", "json", "--lang", "en"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let told: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for step in told.iter().filter(|line| line.get("step").is_some()) {
        assert_eq!(step["ok"], true, "{step:#}");
    }
    let steps: Vec<&str> = told.iter().filter_map(|line| line["step"].as_str()).collect();
    let told = ["1", "2a", "2b", "2c", "3", "3b", "3c", "4a", "4b", "4c", "5a", "5b", "5c", "6a", "6b", "7", "8", "9", "10", "11"];
    assert_eq!(steps, told);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for token in ["housing", "housing-operator", "patrol", "flood", "stats", "stranger"] {
        assert!(folder.0.join(format!("tokens/{token}.jwt")).is_file());
    }
}

#[test]
fn a_taken_port_and_a_folder_in_use_are_told_plainly() {
    let folder = Folder::new("trouble");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = demo(&folder, &["--exit", "--lang", "en", "--port", &port]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("port `{port}` cannot be used")));
    std::fs::write(folder.0.join("thesis.tex"), "ten years of work").unwrap();
    let output = demo(&folder, &["--exit", "--lang", "zh"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("不是演示文件夹"));
}
