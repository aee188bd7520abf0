//! Rules as the contract shows them.

use outfitter_api_types::rules::{
    AppRule as WireAppRule, PathRule as WirePathRule, ProductRule as WireProductRule,
    Rule as WireRule, RuleScope as WireRuleScope,
};
use outfitter_api_types::time::WireTime;
use outfitter_domain::fleet::{AppRuleBody, PathRule, ProductRule, RuleScope};
use outfitter_store::AppRule;

use crate::http::ApiError;

/// A checked rule of a request.
pub(super) fn body(rule: WireRule) -> Result<AppRuleBody, ApiError> {
    let body = AppRuleBody {
        scope: match rule.scope {
            WireRuleScope::Product => RuleScope::Product,
            WireRuleScope::Path => RuleScope::Path,
        },
        product_rule: rule.product_rule.map(|product| ProductRule {
            identify_condition: product.identify_condition,
            publisher: product.publisher,
            product_name: product.product_name,
            process_name: product.process_name,
            support_os: product.support_os,
            version: product.version,
            product_version: product.product_version,
        }),
        path_rule: rule.path_rule.map(|path| PathRule { path: path.path }),
    };
    body.check()
        .map_err(|error| ApiError::invalid(error.field(), error.to_string()))?;
    Ok(body)
}

pub(super) fn wire(rule: AppRule) -> WireAppRule {
    let body = rule.content.body;
    WireAppRule {
        id: rule.id.to_string(),
        name: rule.content.name,
        description: rule.content.description,
        rule: WireRule {
            scope: match body.scope {
                RuleScope::Product => WireRuleScope::Product,
                RuleScope::Path => WireRuleScope::Path,
            },
            product_rule: body.product_rule.map(|product| WireProductRule {
                identify_condition: product.identify_condition,
                publisher: product.publisher,
                product_name: product.product_name,
                process_name: product.process_name,
                support_os: product.support_os,
                version: product.version,
                product_version: product.product_version,
            }),
            path_rule: body.path_rule.map(|path| WirePathRule { path: path.path }),
        },
        rule_source: rule.source.as_str().to_owned(),
        create_time: WireTime::from_unix_millis(rule.created_at.get()),
        update_time: WireTime::from_unix_millis(rule.updated_at.get()),
    }
}
