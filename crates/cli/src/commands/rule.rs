//! Rules of application control. They are stored and served, not enforced yet, and every answer says so.

use outfitter_api_types::rules::{
    AppRule, BatchOperateAppRulesReq, CreateAppRuleReq, PathRule, ProductRule, Rule, RuleScope,
    SetRuleRestrictionReq, ShowRuleRestrictionResponse, UpdateAppRuleReq,
};
use outfitter_client::Method;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{Session, counted, note_cut, table, text};
use crate::args::rule::{
    AddRuleArgs, ListRulesArgs, MatchArgs, RestrictionCommand, RuleCommand, RulesArg,
    SetRestrictionArgs, UpdateRuleArgs,
};
use crate::listing::{self, Listing};
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{Shade, View};

/// What is said wherever application control is switched or shown.
pub(super) const NOT_ENFORCED: &str =
    "application control is stored, not enforced yet: desktops run everything";

pub(super) async fn run(command: RuleCommand, session: &Session) -> Result<Outcome, CommandError> {
    match command {
        RuleCommand::Add(args) => add(args, session).await?,
        RuleCommand::List(args) => list(args, session).await?,
        RuleCommand::Show(args) => {
            let rule = listing::rule(&session.client, &args.rule).await?;
            session.printer.show(&rule, || card(&rule));
        }
        RuleCommand::Update(args) => update(args, session).await?,
        RuleCommand::Delete(args) => {
            change(args, paths::RULES_DELETE, "deleted", session).await?;
        }
        RuleCommand::Control(args) => {
            change(args, paths::CONTROLLED_RULES, "controlled", session).await?;
        }
        RuleCommand::Release(args) => {
            change(args, paths::CONTROLLED_RULES_DELETE, "released", session).await?;
        }
        RuleCommand::Restriction(command) => restriction(command, session).await?,
    }
    session.printer.note(NOT_ENFORCED);
    Ok(Outcome::Done)
}

async fn add(args: AddRuleArgs, session: &Session) -> Result<(), CommandError> {
    let rule = args.matched.rule().ok_or_else(|| {
        CommandError::usage("the rule describes no program")
            .hint("give --path, or --publisher, --product or --process")
    })?;
    let body = CreateAppRuleReq {
        name: args.name,
        description: args.description,
        rule,
    };
    let created: AppRule = session.client.post(paths::RULES, &body).await?;
    session.printer.show(&created, || {
        View::Line(format!("rule {} is added: {}", created.name, created.id))
    });
    Ok(())
}

impl MatchArgs {
    /// The rule; `None` when nothing is named.
    fn rule(self) -> Option<Rule> {
        if let Some(path) = self.path {
            return Some(Rule {
                scope: RuleScope::Path,
                product_rule: None,
                path_rule: Some(PathRule { path: Some(path) }),
            });
        }
        let condition = match (&self.publisher, &self.product, &self.process) {
            (Some(_), _, _) => "publisher",
            (None, Some(_), _) => "product",
            (None, None, Some(_)) => "process",
            (None, None, None) => return None,
        };
        Some(Rule {
            scope: RuleScope::Product,
            product_rule: Some(ProductRule {
                identify_condition: Some(condition.to_owned()),
                publisher: self.publisher,
                product_name: self.product,
                process_name: self.process,
                support_os: self.os,
                version: None,
                product_version: self.version,
            }),
            path_rule: None,
        })
    }
}

async fn list(args: ListRulesArgs, session: &Session) -> Result<(), CommandError> {
    let filters: Vec<_> = args.name.into_iter().map(|name| ("name", name)).collect();
    let of = if args.controlled {
        listing::CONTROLLED_RULES
    } else {
        listing::RULES
    };
    let listing: Listing<AppRule> = of.fetch(&session.client, &filters, args.list.limit).await?;
    session.printer.show(&listing, || {
        let rows = listing.items.iter().map(|rule| {
            vec![
                rule.id.clone().into(),
                rule.name.clone().into(),
                described(&rule.rule).into(),
                rule.rule_source.clone().into(),
                text(&rule.description).into(),
            ]
        });
        table(
            &["id", "name", "programs", "source", "description"],
            rows.collect(),
            "there are no such rules",
        )
    });
    note_cut(session.printer, &listing);
    Ok(())
}

fn card(rule: &AppRule) -> View {
    View::Card(vec![
        ("rule", rule.name.clone()),
        ("id", rule.id.clone()),
        ("programs", described(&rule.rule)),
        ("source", rule.rule_source.clone()),
        ("description", text(&rule.description)),
        ("added", rule.create_time.to_string()),
        ("changed", rule.update_time.to_string()),
    ])
}

/// Which programs a rule is about, in words.
fn described(rule: &Rule) -> String {
    match rule.scope {
        RuleScope::Path => {
            let path = rule.path_rule.as_ref().and_then(|path| path.path.clone());
            format!("path {}", text(&path))
        }
        RuleScope::Product => {
            let product = rule.product_rule.clone().unwrap_or_default();
            [
                ("publisher", product.publisher),
                ("product", product.product_name),
                ("process", product.process_name),
                ("version", product.product_version),
                ("on", product.support_os),
            ]
            .into_iter()
            .filter_map(|(name, value)| {
                let value = value.filter(|value| !value.is_empty() && value != "*")?;
                Some(format!("{name} {value}"))
            })
            .collect::<Vec<_>>()
            .join(", ")
        }
    }
}

async fn update(args: UpdateRuleArgs, session: &Session) -> Result<(), CommandError> {
    let body = UpdateAppRuleReq {
        name: args.name,
        description: args.description,
        rule: args.matched.rule(),
    };
    let changes = json!(body);
    if changes.as_object().is_some_and(serde_json::Map::is_empty) {
        return Err(CommandError::usage("nothing to change is given"));
    }
    let id = listing::rule(&session.client, &args.rule).await?.id;
    let path = paths::one(paths::RULES, &id);
    let _: IgnoredAny = session
        .client
        .call(Method::PATCH, &path, &[], Some(&changes))
        .await?;
    session.printer.show(&json!({"id": id}), || {
        View::Line(format!("rule {} is changed", args.rule))
    });
    Ok(())
}

async fn change(
    args: RulesArg,
    path: &str,
    done: &str,
    session: &Session,
) -> Result<(), CommandError> {
    let body = BatchOperateAppRulesReq {
        items: listing::rule_ids(&session.client, &args.rules).await?,
    };
    let _: IgnoredAny = session.client.post(path, &body).await?;
    session.printer.show(&json!({done: body.items}), || {
        View::Line(format!("{} {done}", counted(body.items.len(), "rule")))
    });
    Ok(())
}

async fn restriction(command: RestrictionCommand, session: &Session) -> Result<(), CommandError> {
    let client = &session.client;
    match command {
        RestrictionCommand::Show => {}
        RestrictionCommand::Enable => {
            let _: IgnoredAny = client
                .call(Method::POST, paths::RESTRICTION_ENABLE, &[], None)
                .await?;
        }
        RestrictionCommand::Disable => {
            let _: IgnoredAny = client
                .call(Method::POST, paths::RESTRICTION_DISABLE, &[], None)
                .await?;
        }
        RestrictionCommand::Set(args) => {
            let _: IgnoredAny = client.post(paths::RESTRICTION_SET, &wanted(&args)).await?;
        }
    }
    let switches: ShowRuleRestrictionResponse = client.get(paths::RESTRICTION_SHOW, &[]).await?;
    let mut document = json!(switches);
    document["enforced"] = false.into();
    session.printer.show(&document, || {
        let state = |on: Option<bool>| match on {
            Some(true) => Shade::Doubtful("on (stored, not enforced yet)".to_owned()),
            _ => "off".into(),
        };
        let number = |number: Option<i64>| number.unwrap_or_default().to_string();
        table(
            &["switch", "state"],
            vec![
                vec![
                    "application control".into(),
                    state(switches.app_restrict_rule_switch),
                ],
                vec!["mode".into(), number(switches.app_control_mode).into()],
                vec!["periodic look".into(), state(switches.app_periodic_switch)],
                vec![
                    "every (minutes)".into(),
                    number(switches.app_periodic_interval).into(),
                ],
                vec![
                    "end forbidden programs".into(),
                    state(switches.app_force_kill_proc_switch),
                ],
            ],
            "there are no switches",
        )
    });
    Ok(())
}

fn wanted(args: &SetRestrictionArgs) -> SetRuleRestrictionReq {
    SetRuleRestrictionReq {
        app_restrict_rule_switch: args.enabled,
        app_control_mode: args.mode,
        app_periodic_switch: args.periodic,
        app_periodic_interval: args.interval_minutes,
        app_force_kill_proc_switch: args.force_kill,
    }
}
