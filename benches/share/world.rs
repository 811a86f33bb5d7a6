//! The smallest world with the whole line in it: one resource of 10 items, one scenario, one grant, the starting policies
//! and enough further ones to make 20.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// The benchmark's operation.
pub const PATH: &str = "/bench/query";

/// Policies in all.
const POLICIES: usize = 20;

/// What was written.
pub struct World {
    pub config: PathBuf,
    pub token: String,
}

/// Writes configuration, keys, control folder and a token.
pub fn write(folder: &Path, origin: &str) -> World {
    let control = folder.join("policies");
    for below in ["catalogue", "scenarios", "grants", "tests", "invariants"] {
        fs::create_dir_all(control.join(below)).expect("a folder");
    }
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    for file in ["schema.cedarschema", "base.cedar"] {
        fs::copy(shipped.join(file), control.join(file)).expect("the starting policies");
    }
    write_control(&control, origin);
    let token = write_keys(folder);
    let config = folder.join("kanhe.toml");
    fs::write(&config, CONFIG).expect("the configuration");
    World { config, token }
}

const CONFIG: &str = r#"
[gateway]
name = "bench.example"
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[[issuers]]
issuer = "https://iam.example"
audience = "kanhe"
jwks = "file:jwks.json"
algorithms = ["EdDSA"]
[control]
folder = "policies"
[disclosure]
pseudonym_key = "pseudonym.key"
[ledger]
folder = "ledger"
key = "ledger.key"
subject_key = "subject.key"
register = "off"
[telemetry]
log = "warn"
"#;

fn write_control(control: &Path, origin: &str) {
    let department = |id: &str| {
        format!(
            "[[departments]]\nid = \"{id}\"\nname = {{ zh = \"{id}\", en = \"{id}\" }}\ntier = \"province\"\nregion = \"990000\"\ncode = \"{id}\"\nparent = \"\"\nauthority = false\n"
        )
    };
    fs::write(control.join("departments.toml"), department("demander") + &department("provider")).expect("departments");
    let requester = "[[requesters]]\nid = \"bench-app\"\ndepartment = \"demander\"\nserves = []\nname = { zh = \"压测\", en = \"bench\" }\nclearance = 3\nroles = []\nstatus = \"active\"\n";
    fs::write(control.join("requesters.toml"), requester).expect("requesters");
    let scenario = "id = \"bench\"\nname = { zh = \"压测\", en = \"bench\" }\npurpose = \"bench\"\nlead = \"demander\"\nparticipants = [\"provider\"]\nresources = [\"provider.data\"]\nkinds = [\"query\"]\nlegal_basis = \"bench\"\nmatter_codes = []\ncase = \"optional\"\nmax_grade = 4\nvalid_from = \"2026-01-01\"\nvalid_until = \"2099-12-31\"\nstatus = \"approved\"\n";
    fs::write(control.join("scenarios/bench.toml"), scenario).expect("a scenario");
    let mut resource = format!(
        "id = \"provider.data\"\ncode = \"1/1\"\nname = {{ zh = \"数据\", en = \"data\" }}\nprovider = \"provider\"\nsharing = \"conditional\"\nconditions = [\"bench\"]\nlegal_basis = \"\"\nmode = \"service_interface\"\nformat = \"json\"\nupdate_cycle = \"daily\"\nlevel = \"general\"\ngrade = 2\nclasses = []\nversion = \"1\"\nregion_item = \"\"\n[origin]\nurl = \"http://{origin}\"\n[[operations]]\nkind = \"query\"\nmethod = \"GET\"\npath = \"{PATH}\"\ncontent = \"json\"\nrecords = \"$.data[*]\"\nmax_records = 100\n"
    );
    let mut items = String::new();
    for n in 0..10 {
        let _ = write!(resource, "[[items]]\nname = \"item{n}\"\ntitle = {{ zh = \"项\", en = \"item\" }}\npath = \"$.data[*].item{n}\"\n");
        let _ = write!(items, "{}item{n} = [\"reveal\"]", if n == 0 { "" } else { ", " });
    }
    fs::write(control.join("catalogue/provider.data.toml"), resource).expect("a resource");
    let approval = |side: &str| {
        format!("[[grants.approvals]]\nside = \"{side}\"\nname = \"a\"\npost = \"b\"\ndate = \"2026-01-04\"\ndocument = \"c\"\n")
    };
    let grant = format!(
        "[[grants]]\nid = \"g-1\"\nrequester = \"bench-app\"\nresource = \"provider.data\"\nscenario = \"bench\"\nkinds = [\"query\"]\nitems = {{ {items} }}\nregions = []\napplication = \"a\"\nlegal_basis = \"b\"\nmode = \"service_interface\"\nvalid_from = \"2026-01-01\"\nvalid_until = \"2099-12-31\"\nstatus = \"active\"\n{}{}",
        approval("demander"),
        approval("provider")
    );
    fs::write(control.join("grants/bench.toml"), grant).expect("a grant");
    let base = fs::read_to_string(control.join("base.cedar")).expect("the starting policies").matches("@id(").count();
    let more: String = (base..POLICIES).map(|n| format!("@id(\"more-{n}\")\nforbid (principal, action == Action::\"mask\", resource == Item::\"provider.data#item1\") when {{ resource.grade > {n} }};\n")).collect();
    fs::write(control.join("more.cedar"), more).expect("further policies");
}

/// Keys, the issuer's JWKS, and a token that lasts a day.
fn write_keys(folder: &Path) -> String {
    let random = || STANDARD.encode(kanhe::sys::random::<32>());
    fs::write(folder.join("pseudonym.key"), random()).expect("a key");
    fs::write(folder.join("subject.key"), random()).expect("a key");
    let ledger = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    fs::write(folder.join("ledger.key"), ledger.serialize_pem()).expect("a key");
    let issuer = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let pair = Ed25519KeyPair::from_pkcs8(&issuer.serialize_der()).expect("the same key");
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    fs::write(
        folder.join("jwks.json"),
        format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"k1","x":"{x}"}}]}}"#),
    )
    .expect("a key set");
    let expires = kanhe::sys::now().as_second() + 86_400;
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","typ":"at+jwt","kid":"k1"}"#);
    let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"iss":"https://iam.example","aud":"kanhe","exp":{expires},"sub":"bench-app"}}"#));
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(format!("{header}.{claims}").as_bytes()));
    format!("{header}.{claims}.{signature}")
}
