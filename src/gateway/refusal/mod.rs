//! Refusals: the one place that sees every error and speaks HTTP about it (RFC 9457). What the caller reads and what
//! the log reads are different fields; no text here holds anything of an origin's answer.

mod code;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Map, Value, json};

pub use code::Code;

use super::admission;
use super::content::Content;
use crate::catalogue::route::RouteError;
use crate::lang::{Lang, Text};
use crate::purpose::bind::{NotBound, WouldWork};
use crate::purpose::{CaseRule, quota, stated};
use crate::share::{self, Outcome, Receipt, Settlement};
use crate::{disclosure, identity, ledger, origin, policy};

/// A call that is not let pass (本次调用未放行), and why.
#[derive(Debug)]
pub struct Refusal {
    /// What kind; decides status and title.
    pub code: Code,
    /// Why, for the caller.
    pub detail: Text,
    /// Why, for the log, where that says more.
    pub log: Option<String>,
    /// The determining forbids.
    pub policies: Vec<std::sync::Arc<str>>,
    /// Scenarios that this caller would pass.
    pub would_work: Vec<WouldWork>,
    /// The index of the entry that records it.
    pub entry: Option<u64>,
    /// `Share-Receipt`, where a share was granted before it failed.
    pub receipt: Option<HeaderValue>,
    extra: Option<(header::HeaderName, HeaderValue)>,
    status: StatusCode,
}

impl Refusal {
    /// A refusal of this kind.
    pub fn new(code: Code, detail: Text) -> Self {
        Self {
            status: code.status(),
            code,
            detail,
            log: None,
            policies: Vec::new(),
            would_work: Vec::new(),
            entry: None,
            receipt: None,
            extra: None,
        }
    }

    fn logged(mut self, log: impl ToString) -> Self {
        self.log = Some(log.to_string());
        self
    }

    fn with(mut self, name: header::HeaderName, value: &str) -> Self {
        self.extra = HeaderValue::from_str(value).ok().map(|value| (name, value));
        self
    }

    /// An origin's own refusal: its status stays, its content does not.
    pub fn of_origin(status: StatusCode) -> Self {
        let detail = Text::new(
            format!("提供部门的接口返回状态 {}；其内容未转交", status.as_u16()),
            format!("the department's API answered with status {}; its content is not passed on", status.as_u16()),
        );
        Self { status, ..Self::new(Code::OriginRefused, detail) }
    }

    /// The same, of a share that was granted: its receipt is told, and what became of it is settled.
    pub fn of_share(mut self, receipt: &Receipt, settlement: Settlement) -> Self {
        settlement.settle(Outcome::Failed);
        self.entry = Some(receipt.index());
        self.receipt = Some(receipt.field());
        self
    }

    /// Tells the log what the caller's document does not.
    pub fn write_log(&self, resource: &str) {
        let (code, entry, detail) = (self.code.name(), self.entry, self.log.as_deref().unwrap_or(&self.detail.en));
        if self.status.is_server_error() || self.log.is_some() {
            tracing::warn!(code, resource, entry, detail, "a call failed");
        } else {
            tracing::info!(code, resource, entry, detail, "a call is not let pass");
        }
    }

    /// The status that the caller sees.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The problem document in the caller's language, as an answer that nobody keeps.
    pub fn response(self, lang: Lang) -> Response<Content> {
        let content = Bytes::from(self.document(lang).to_string());
        let mut response = Response::new(Content::refusal(Full::new(content)));
        *response.status_mut() = self.status;
        let fields = response.headers_mut();
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        fields.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(lang.tag()));
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            fields.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(self.code.challenge()));
        }
        if let Some(receipt) = self.receipt {
            fields.insert(&super::field::SHARE_RECEIPT, receipt);
        }
        if let Some((name, value)) = self.extra {
            fields.insert(name, value);
        }
        response
    }

    fn document(&self, lang: Lang) -> Value {
        let mut document = Map::new();
        document.insert("type".into(), json!(format!("urn:kanhe:{}", self.code.name())));
        document.insert("title".into(), json!(self.code.title().get(lang)));
        document.insert("status".into(), json!(self.status.as_u16()));
        document.insert("detail".into(), json!(self.detail.get(lang)));
        document.insert("code".into(), json!(self.code.name()));
        if let Some(entry) = self.entry {
            document.insert("entry".into(), json!(entry));
        }
        if !self.would_work.is_empty() {
            let word = |case| match case {
                CaseRule::Optional => "optional",
                CaseRule::Required => "required",
            };
            let scenarios: Vec<_> = self.would_work.iter().map(|w| json!({"scenario": &*w.scenario, "case": word(w.case)})).collect();
            document.insert("would_work".into(), json!(scenarios));
        }
        Value::Object(document)
    }
}

impl From<admission::Error> for Refusal {
    fn from(error: admission::Error) -> Self {
        let code = match &error {
            admission::Error::Malformed(_) => Code::RequestMalformed,
            admission::Error::TargetAmbiguous(_) => Code::TargetAmbiguous,
            admission::Error::Upgrade(_) => Code::UpgradeRefused,
            admission::Error::ContentTooLarge(_) => Code::ContentTooLarge,
            admission::Error::TargetTooLong(_) => Code::TargetTooLong,
            admission::Error::FieldsTooLarge(_) => Code::FieldsTooLarge,
            admission::Error::Version(_) => Code::VersionUnsupported,
            admission::Error::Overloaded(_) => Code::Overloaded,
        };
        let refusal = Self::new(code, error.detail());
        if matches!(code, Code::Overloaded) { refusal.with(header::RETRY_AFTER, "1") } else { refusal }
    }
}

impl From<identity::Error> for Refusal {
    fn from(error: identity::Error) -> Self {
        let code = match &error {
            identity::Error::CredentialsMissing => Code::CredentialsMissing,
            identity::Error::TokenInvalid { .. } => Code::TokenInvalid,
            identity::Error::TokenExpired => Code::TokenExpired,
            identity::Error::CertificateRequired => Code::CertificateRequired,
            identity::Error::CertificateMismatch => Code::CertificateMismatch,
            identity::Error::RequesterUnknown { .. } => Code::RequesterUnknown,
            identity::Error::RequesterSuspended { .. } => Code::RequesterSuspended,
        };
        Self::new(code, error.reason())
    }
}

impl From<RouteError> for Refusal {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Unknown => {
                Self::new(Code::ResourceUnknown, Text::new("目录中没有此路径的资源", "no resource of the catalogue has this path"))
            }
            RouteError::Method(methods) => {
                let allow = methods.iter().map(hyper::Method::as_str).collect::<Vec<_>>().join(", ");
                let detail = Text::new(format!("此路径只接受：{allow}"), format!("this path takes {allow} only"));
                Self::new(Code::MethodNotAllowed, detail).with(header::ALLOW, &allow)
            }
        }
    }
}

impl From<stated::Malformed> for Refusal {
    fn from(error: stated::Malformed) -> Self {
        Self::new(Code::PurposeMalformed, error.detail())
    }
}

impl From<NotBound> for Refusal {
    fn from(error: NotBound) -> Self {
        let code = Code::of_bind(error.reason);
        Self { would_work: error.would_work, ..Self::new(code, error.detail) }
    }
}

impl From<policy::Denial> for Refusal {
    fn from(denial: policy::Denial) -> Self {
        let detail = denial.detail();
        let refusal = Self { policies: denial.policies, ..Self::new(Code::PolicyDenied, detail) };
        if denial.errors.is_empty() { refusal } else { refusal.logged(denial.errors.join("; ")) }
    }
}

impl From<quota::Refused> for Refusal {
    fn from(error: quota::Refused) -> Self {
        match error {
            quota::Refused::Exceeded(exceeded) => exceeded.into(),
            quota::Refused::Unavailable => {
                let zh = "本网关没有余额，而各网关共用的额度账目暂时不可用；无法计数就不提供数据";
                let en = "this gateway holds nothing of the grant's quota, and the book that all gateways share cannot be asked now";
                Self::new(Code::LedgerUnavailable, Text::new(zh, en))
                    .logged("no portion of the quota can be drawn")
                    .with(header::RETRY_AFTER, "5")
            }
        }
    }
}

impl From<quota::Exceeded> for Refusal {
    fn from(error: quota::Exceeded) -> Self {
        let wait = error.retry_after.as_secs() + u64::from(error.retry_after.subsec_nanos() > 0);
        Self::new(Code::RateLimited, error.what).with(header::RETRY_AFTER, &wait.max(1).to_string())
    }
}

impl From<share::Error> for Refusal {
    fn from(error: share::Error) -> Self {
        if let share::Error::Unavailable(ledger::Unavailable::Overloaded) = error {
            let detail = Text::new("等待记入共享台账的调用过多，请稍后再试", "too many calls wait for the ledger; try again soon");
            return Self::new(Code::Overloaded, detail).with(header::RETRY_AFTER, "1");
        }
        let detail =
            Text::new("共享台账暂时无法写入；没有记录就不提供数据", "the ledger cannot be written now; what is not recorded is not shared");
        Self::new(Code::LedgerUnavailable, detail).logged(error).with(header::RETRY_AFTER, "5")
    }
}

impl From<origin::Error> for Refusal {
    fn from(error: origin::Error) -> Self {
        match error {
            origin::Error::Unreachable(log) => {
                let detail = Text::new("无法连接提供部门的接口", "the department's API cannot be reached");
                Self::new(Code::OriginUnreachable, detail).logged(log)
            }
            origin::Error::Timeout(stage) => {
                let detail = Text::new("提供部门的接口未在时限内应答", "the department's API did not answer in time");
                Self::new(Code::OriginTimeout, detail).logged(stage)
            }
            origin::Error::ContentTooLarge(limit) => {
                let detail = Text::new(format!("请求内容超过 {limit} 字节"), format!("the content is over {limit} bytes"));
                Self::new(Code::ContentTooLarge, detail)
            }
            origin::Error::ContentBroken => {
                Self::new(Code::RequestMalformed, Text::new("请求内容未完整到达", "the content did not arrive whole"))
            }
        }
    }
}

impl From<disclosure::Error> for Refusal {
    fn from(error: disclosure::Error) -> Self {
        Self::new(Code::DisclosureFailed, error.public()).logged(error)
    }
}
