//! The smallest world with the whole line in it: one resource of 10 items, one scenario, one grant, the starting
//! policies; and as many further policies, grants and requesters as a case wants.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// How large a world is, and what its answers are.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Items of 10 that are masked; the others are revealed.
    pub masked: usize,
    /// Policies in all, the starting ones among them.
    pub policies: usize,
    /// Grants in all.
    pub grants: usize,
    /// Requesters, each with a token of its own.
    pub requesters: usize,
    /// Whether the gateway listens with TLS.
    pub tls: bool,
    /// Whether it demands client certificates.
    pub verify_clients: bool,
}

/// The full line: nothing masked, 20 policies, 20 grants, one requester, no TLS.
pub const FULL: Shape = Shape { masked: 0, policies: 20, grants: 20, requesters: 1, tls: false, verify_clients: false };

/// The path of each operation: a small answer, one of a mebibyte, one of a hundred.
pub const SMALL: &str = "/bench/query";
pub const MEBI: &str = "/bench/mebi";
pub const HUNDRED: &str = "/bench/hundred";
/// An operation that no policy permits.
pub const DENIED: &str = "/bench/denied";

/// Certificates for listeners and clients.
pub struct Pki {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub client: (PathBuf, PathBuf),
    pub verify_clients: bool,
}

/// What was written.
pub struct World {
    pub config: PathBuf,
    pub jwks: PathBuf,
    pub tokens: Vec<String>,
    pub pki: Option<Pki>,
}

/// Writes configuration, keys, control folder and tokens.
pub fn write(folder: &Path, origin: &str, shape: &Shape) -> World {
    let control = folder.join("policies");
    for below in ["catalogue", "scenarios", "grants", "tests", "invariants"] {
        fs::create_dir_all(control.join(below)).expect("a folder");
    }
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    for file in ["schema.cedarschema", "base.cedar"] {
        fs::copy(shipped.join(file), control.join(file)).expect("the starting policies");
    }
    parties(&control, shape);
    catalogue(&control, origin, shape);
    grants(&control, shape);
    policies(&control, shape);
    let tokens = keys_and_tokens(folder, shape);
    let pki = shape.tls.then(|| certificates(folder, shape.verify_clients));
    let config = folder.join("kanhe.toml");
    let tls = pki.as_ref().map_or(String::new(), |pki| {
        let auth = if pki.verify_clients { "required" } else { "off" };
        format!("[gateway.tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\nclient_ca = \"ca.pem\"\nclient_crl = []\nclient_auth = \"{auth}\"\n")
    });
    fs::write(&config, CONFIG.replace("# tls", &tls)).expect("the configuration");
    World { config, jwks: folder.join("jwks.json"), tokens, pki }
}

const CONFIG: &str = r#"
[gateway]
name = "bench.example"
listen = "127.0.0.1:0"
# tls
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

fn parties(control: &Path, shape: &Shape) {
    let mut departments = String::new();
    let mut requesters = String::new();
    let department = |id: &str| {
        format!(
            "[[departments]]\nid = \"{id}\"\nname = {{ zh = \"{id}\", en = \"{id}\" }}\ntier = \"province\"\nregion = \"990000\"\ncode = \"{id}\"\nparent = \"\"\nauthority = false\n"
        )
    };
    let requester = |id: &str, department: &str| {
        format!(
            "[[requesters]]\nid = \"{id}\"\ndepartment = \"{department}\"\nserves = []\nname = {{ zh = \"压测\", en = \"bench\" }}\nclearance = 3\nroles = []\nstatus = \"active\"\n"
        )
    };
    for id in ["demander", "provider", "other"] {
        departments += &department(id);
    }
    for n in 0..shape.requesters {
        requesters += &requester(&format!("bench-app-{n}"), "demander");
    }
    for n in 1..shape.grants {
        requesters += &requester(&format!("other-app-{n}"), "other");
    }
    fs::write(control.join("departments.toml"), departments).expect("departments");
    fs::write(control.join("requesters.toml"), requesters).expect("requesters");
    let scenario = "id = \"bench\"\nname = { zh = \"压测\", en = \"bench\" }\npurpose = \"bench\"\nlead = \"demander\"\nparticipants = [\"provider\", \"other\"]\nresources = [\"provider.*\"]\nkinds = [\"query\"]\nlegal_basis = \"bench\"\nmatter_codes = []\ncase = \"optional\"\nmax_grade = 4\nvalid_from = \"2026-01-01\"\nvalid_until = \"2099-12-31\"\nstatus = \"approved\"\n";
    fs::write(control.join("scenarios/bench.toml"), scenario).expect("a scenario");
}

fn resource(id: &str, code: usize, origin: &str, content: &str, operations: &[(&str, &str)]) -> String {
    let mut text = format!(
        "id = \"{id}\"\ncode = \"1/{code}\"\nname = {{ zh = \"数据\", en = \"data\" }}\nprovider = \"provider\"\nsharing = \"conditional\"\nconditions = [\"bench\"]\nlegal_basis = \"\"\nmode = \"service_interface\"\nformat = \"json\"\nupdate_cycle = \"daily\"\nlevel = \"general\"\ngrade = 2\nclasses = []\nversion = \"1\"\nregion_item = \"\"\n[origin]\nurl = \"http://{origin}\"\n"
    );
    for (method, path) in operations {
        let records = if content == "json" { "records = \"$.data[*]\"\nmax_records = 100000\n" } else { "max_records = 1\n" };
        let _ =
            write!(text, "[[operations]]\nkind = \"query\"\nmethod = \"{method}\"\npath = \"{path}\"\ncontent = \"{content}\"\n{records}");
    }
    text
}

fn items(text: &mut String) {
    for n in 0..10 {
        let _ = write!(
            text,
            "[[items]]\nname = \"item{n}\"\ntitle = {{ zh = \"项\", en = \"item\" }}\npath = \"$.data[*].item{n}\"\nmask = \"keep:2,2\"\n"
        );
    }
}

/// How many further resources carry the policies beyond the first 20.
fn others(shape: &Shape) -> usize {
    shape.policies.saturating_sub(20).div_ceil(20)
}

fn catalogue(control: &Path, origin: &str, shape: &Shape) {
    let mut data = resource("provider.data", 1, origin, "json", &[("GET", SMALL), ("POST", SMALL), ("GET", MEBI)]);
    items(&mut data);
    let mut denied = resource("provider.denied", 2, origin, "json", &[("GET", DENIED)]);
    items(&mut denied);
    let file = resource("provider.file", 3, origin, "opaque", &[("GET", HUNDRED)]);
    for (name, text) in [("data", data), ("denied", denied), ("file", file)] {
        fs::write(control.join(format!("catalogue/provider.{name}.toml")), text).expect("a resource");
    }
    for n in 0..others(shape) {
        let path = format!("/other/{n}");
        let mut other = resource(&format!("provider.other{n}"), 10 + n, origin, "json", &[("GET", &path)]);
        items(&mut other);
        fs::write(control.join(format!("catalogue/provider.other{n}.toml")), other).expect("a resource");
    }
}

fn grant(id: &str, holder: &str, resource: &str, items: &str) -> String {
    let approval = |side: &str| {
        format!("[[grants.approvals]]\nside = \"{side}\"\nname = \"a\"\npost = \"b\"\ndate = \"2026-01-04\"\ndocument = \"c\"\n")
    };
    format!(
        "[[grants]]\nid = \"{id}\"\n{holder}\nresource = \"{resource}\"\nscenario = \"bench\"\nkinds = [\"query\"]\nitems = {{ {items} }}\nregions = []\napplication = \"a\"\nlegal_basis = \"b\"\nmode = \"service_interface\"\nvalid_from = \"2026-01-01\"\nvalid_until = \"2099-12-31\"\nstatus = \"active\"\n{}{}",
        approval("demander"),
        approval("provider")
    )
}

/// One grant of the department, which every requester comes under, and those of other requesters.
fn grants(control: &Path, shape: &Shape) {
    let form = |n: usize| if n < shape.masked { "mask" } else { "reveal" };
    let items: Vec<String> = (0..10).map(|n| format!("item{n} = [\"{}\"]", form(n))).collect();
    let items = items.join(", ");
    let mut text = grant("g-0", "department = \"demander\"", "provider.data", &items);
    text += &grant("g-file", "department = \"demander\"", "provider.file", "\"*\" = [\"reveal\"]");
    text += &grant("g-denied", "department = \"demander\"", "provider.denied", "item0 = [\"reveal\"]");
    for n in 1..shape.grants {
        text += &grant(&format!("g-{n}"), &format!("requester = \"other-app-{n}\""), "provider.data", &items);
    }
    fs::write(control.join("grants/bench.toml"), text).expect("grants");
}

/// The starting policies, one that denies, some on the resource that is asked for up to 20, the rest on other resources.
fn policies(control: &Path, shape: &Shape) {
    let base = fs::read_to_string(control.join("base.cedar")).expect("the starting policies").matches("@id(").count();
    let mut text =
        "@id(\"bench-denied\")\nforbid (principal, action in Action::\"share\", resource == Resource::\"provider.denied\");\n".to_owned();
    for n in base + 1..shape.policies.min(20) {
        let _ = write!(
            text,
            "@id(\"more-{n}\")\nforbid (principal, action == Action::\"mask\", resource == Item::\"provider.data#item1\") when {{ resource.grade > {n} }};\n"
        );
    }
    for n in 20..shape.policies {
        let other = (n - 20) / 20;
        let _ = write!(
            text,
            "@id(\"other-{n}\")\nforbid (principal, action in Action::\"share\", resource == Resource::\"provider.other{other}\") when {{ resource.grade > {} }};\n",
            n % 20
        );
    }
    fs::write(control.join("more.cedar"), text).expect("further policies");
}

/// Keys, the issuer's JWKS, and a token for each requester that lasts a day.
fn keys_and_tokens(folder: &Path, shape: &Shape) -> Vec<String> {
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
    let token = |n: usize| {
        let claims = format!(r#"{{"iss":"https://iam.example","aud":"kanhe","exp":{expires},"sub":"bench-app-{n}"}}"#);
        let claims = URL_SAFE_NO_PAD.encode(claims);
        let signature = URL_SAFE_NO_PAD.encode(pair.sign(format!("{header}.{claims}").as_bytes()));
        format!("{header}.{claims}.{signature}")
    };
    (0..shape.requesters).map(token).collect()
}

/// An authority, the listener's certificate and one client's.
fn certificates(folder: &Path, verify_clients: bool) -> Pki {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
    let key = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "bench ca");
    let ca = CertifiedIssuer::self_signed(ca, key()).expect("an authority");
    let signed = |name: &str, names: Vec<String>, usage| {
        let mut parameters = CertificateParams::new(names).expect("parameters");
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.extended_key_usages = vec![usage];
        let key = key();
        let certificate = parameters.signed_by(&key, &ca).expect("a certificate");
        let (certificate_path, key_path) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        fs::write(&certificate_path, certificate.pem()).expect("a certificate");
        fs::write(&key_path, key.serialize_pem()).expect("a key");
        (certificate_path, key_path)
    };
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let (certificate, key) = signed("server", names, ExtendedKeyUsagePurpose::ServerAuth);
    let client = signed("client", Vec::new(), ExtendedKeyUsagePurpose::ClientAuth);
    fs::write(folder.join("ca.pem"), ca.pem()).expect("an authority");
    Pki { ca: folder.join("ca.pem"), certificate, key, client, verify_clients }
}
