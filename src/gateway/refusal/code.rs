//! The kinds of refusal, with their names, statuses and titles (DESIGN section 4). The names never change.

use hyper::StatusCode;

use crate::lang::Text;
use crate::purpose::bind::Reason;

/// A kind of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is explained by its title below")]
pub enum Code {
    RequestMalformed,
    TargetAmbiguous,
    PurposeMalformed,
    UpgradeRefused,
    CredentialsMissing,
    TokenInvalid,
    TokenExpired,
    CertificateRequired,
    CertificateMismatch,
    RequesterUnknown,
    RequesterSuspended,
    PurposeMissing,
    PurposeUnknown,
    PurposeNotGranted,
    PurposeExpired,
    CaseRequired,
    PolicyDenied,
    NotShared,
    ResourceUnknown,
    MethodNotAllowed,
    ContentTooLarge,
    TargetTooLong,
    FieldsTooLarge,
    RateLimited,
    OriginUnreachable,
    DisclosureFailed,
    OriginRefused,
    Overloaded,
    LedgerUnavailable,
    OriginTimeout,
    VersionUnsupported,
}

impl Code {
    /// The name in `code`, `type` and the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RequestMalformed => "request_malformed",
            Self::TargetAmbiguous => "target_ambiguous",
            Self::PurposeMalformed => "purpose_malformed",
            Self::UpgradeRefused => "upgrade_refused",
            Self::CredentialsMissing => "credentials_missing",
            Self::TokenInvalid => "token_invalid",
            Self::TokenExpired => "token_expired",
            Self::CertificateRequired => "certificate_required",
            Self::CertificateMismatch => "certificate_mismatch",
            Self::RequesterUnknown => "requester_unknown",
            Self::RequesterSuspended => "requester_suspended",
            Self::PurposeMissing => "purpose_missing",
            Self::PurposeUnknown => "purpose_unknown",
            Self::PurposeNotGranted => "purpose_not_granted",
            Self::PurposeExpired => "purpose_expired",
            Self::CaseRequired => "case_required",
            Self::PolicyDenied => "policy_denied",
            Self::NotShared => "not_shared",
            Self::ResourceUnknown => "resource_unknown",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::ContentTooLarge | Self::TargetTooLong | Self::FieldsTooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::OriginUnreachable => "origin_unreachable",
            Self::DisclosureFailed => "disclosure_failed",
            Self::OriginRefused => "origin_refused",
            Self::Overloaded => "overloaded",
            Self::LedgerUnavailable => "ledger_unavailable",
            Self::OriginTimeout => "origin_timeout",
            Self::VersionUnsupported => "version_unsupported",
        }
    }

    /// The status code; an origin's own refusal keeps the origin's.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::RequestMalformed | Self::TargetAmbiguous | Self::PurposeMalformed | Self::UpgradeRefused => StatusCode::BAD_REQUEST,
            Self::CredentialsMissing
            | Self::TokenInvalid
            | Self::TokenExpired
            | Self::CertificateRequired
            | Self::CertificateMismatch
            | Self::RequesterUnknown => StatusCode::UNAUTHORIZED,
            Self::RequesterSuspended
            | Self::PurposeMissing
            | Self::PurposeUnknown
            | Self::PurposeNotGranted
            | Self::PurposeExpired
            | Self::CaseRequired
            | Self::PolicyDenied
            | Self::NotShared => StatusCode::FORBIDDEN,
            Self::ResourceUnknown => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::ContentTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::FieldsTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::OriginUnreachable | Self::DisclosureFailed | Self::OriginRefused => StatusCode::BAD_GATEWAY,
            Self::Overloaded | Self::LedgerUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::OriginTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::VersionUnsupported => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }

    /// What it is called.
    pub fn title(self) -> Text {
        let (zh, en) = match self {
            Self::RequestMalformed => ("请求格式有误", "the request is malformed"),
            Self::TargetAmbiguous => ("请求目标有歧义", "the request target is ambiguous"),
            Self::PurposeMalformed => ("使用用途字段格式有误", "the stated purpose is malformed"),
            Self::UpgradeRefused => ("不接受协议升级", "upgrades are refused"),
            Self::CredentialsMissing => ("缺少身份凭证", "credentials are missing"),
            Self::TokenInvalid => ("令牌无效", "the token is not valid"),
            Self::TokenExpired => ("令牌已过期", "the token has expired"),
            Self::CertificateRequired => ("需要客户端证书", "a client certificate is required"),
            Self::CertificateMismatch => ("客户端证书不符", "the client certificate does not match"),
            Self::RequesterUnknown => ("未登记系统", "the requester is not registered"),
            Self::RequesterSuspended => ("需求系统已暂停使用", "the requester is suspended"),
            Self::PurposeMissing => ("未说明使用场景", "no scenario is stated"),
            Self::PurposeUnknown => ("使用场景未登记", "the scenario is not registered"),
            Self::PurposeNotGranted => ("此使用场景未获授权", "the scenario is not granted for this call"),
            Self::PurposeExpired => ("使用场景或授权不在有效期内", "the scenario or grant is out of its term"),
            Self::CaseRequired => ("需要业务编号", "a case is required"),
            Self::PolicyDenied => ("本次调用未放行", "this call is not let pass"),
            Self::NotShared => ("不予共享的数据资源", "the resource is not shared"),
            Self::ResourceUnknown => ("没有此数据资源", "no such resource"),
            Self::MethodNotAllowed => ("不支持此方法", "the method is not allowed"),
            Self::ContentTooLarge | Self::TargetTooLong | Self::FieldsTooLarge => ("请求过大", "the request is too large"),
            Self::RateLimited => ("超出授权额度", "the grant's quota is used up"),
            Self::OriginUnreachable => ("提供部门接口不可达", "the origin cannot be reached"),
            Self::DisclosureFailed => ("应答无法按授权处理", "the answer could not be disclosed as allowed"),
            Self::OriginRefused => ("提供部门接口未予应答", "the origin refused"),
            Self::Overloaded => ("网关繁忙", "the gateway is overloaded"),
            Self::LedgerUnavailable => ("共享台账不可用", "the ledger is unavailable"),
            Self::OriginTimeout => ("提供部门接口超时", "the origin timed out"),
            Self::VersionUnsupported => ("不支持此 HTTP 版本", "the HTTP version is not supported"),
        };
        Text::new(zh, en)
    }

    /// `WWW-Authenticate` (RFC 9110 section 11.6.1, RFC 6750 section 3).
    pub const fn challenge(self) -> &'static str {
        match self {
            Self::TokenInvalid | Self::TokenExpired | Self::CertificateMismatch => r#"Bearer realm="kanhe", error="invalid_token""#,
            _ => r#"Bearer realm="kanhe""#,
        }
    }

    /// The code of a call that could not be bound.
    pub const fn of_bind(reason: Reason) -> Self {
        match reason {
            Reason::NotShared => Self::NotShared,
            Reason::PurposeMissing => Self::PurposeMissing,
            Reason::PurposeUnknown => Self::PurposeUnknown,
            Reason::PurposeNotGranted => Self::PurposeNotGranted,
            Reason::PurposeExpired => Self::PurposeExpired,
            Reason::CaseRequired => Self::CaseRequired,
        }
    }
}
