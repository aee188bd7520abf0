use std::collections::BTreeMap;

use outfitter_domain::Millis;
use outfitter_domain::fleet::{AppRuleBody, Feature, PathRule, Restriction, RuleScope};
use outfitter_ids::RuleId;
use outfitter_store::{Control, Page, RuleContent, RuleScopeFilter};

use crate::database::{NOW, id, on_both};

fn rule(name: &str) -> RuleContent {
    RuleContent {
        name: name.to_owned(),
        description: None,
        body: AppRuleBody {
            scope: RuleScope::Path,
            product_rule: None,
            path_rule: Some(PathRule {
                path: Some("C:\\Games".to_owned()),
            }),
        },
    }
}

on_both! {
    async fn rules_are_listed_controlled_changed_and_deleted(test: TestStore) {
        let (first, second) = (RuleId::new(id()), RuleId::new(id()));
        let tx = test.store.write().await.unwrap();
        tx.rule_insert(test.project, first, &rule("Games"), NOW).await.unwrap();
        tx.rule_insert(test.project, second, &rule("Tools"), NOW).await.unwrap();
        tx.rule_insert(test.other_project, RuleId::new(id()), &rule("Games"), NOW).await.unwrap();
        tx.commit().await.unwrap();
        let tx = test.store.write().await.unwrap();
        assert!(tx.rule_insert(test.project, RuleId::new(id()), &rule("GAMES"), NOW).await.unwrap_err().is_conflict());
        drop(tx);

        let db = test.store.db();
        let names = async |scope, part: Option<&str>| -> Vec<String> {
            let listed = db.rule_list(test.project, scope, part, Page::ALL).await.unwrap();
            assert_eq!(listed.total, i64::try_from(listed.items.len()).unwrap());
            listed.items.into_iter().map(|rule| rule.content.name).collect()
        };
        assert_eq!(names(RuleScopeFilter::All, None).await, ["Tools", "Games"]);
        assert_eq!(names(RuleScopeFilter::All, Some("AME")).await, ["Games"]);
        assert!(db.rules_find(test.other_project, &[first]).await.unwrap().is_empty());
        let found = db.rules_find(test.project, &[first]).await.unwrap();
        assert_eq!(found[0].content, rule("Games"));

        let tx = test.store.write().await.unwrap();
        tx.project_lock(test.project).await.unwrap();
        tx.rules_control(&[found[0].key], Control::On).await.unwrap();
        let changed = RuleContent { description: Some("all".to_owned()), ..rule("Play") };
        tx.rule_update(found[0].key, &changed, Millis::new(NOW.get() + 1)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(names(RuleScopeFilter::Restricted, None).await, ["Play"]);
        let found = db.rules_find(test.project, &[first]).await.unwrap();
        assert_eq!((&found[0].content, found[0].created_at, found[0].updated_at), (&changed, NOW, Millis::new(NOW.get() + 1)));

        let tx = test.store.write().await.unwrap();
        tx.rules_control(&[found[0].key], Control::Off).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(names(RuleScopeFilter::Restricted, None).await, [""; 0]);
        let tx = test.store.write().await.unwrap();
        tx.rules_delete(&[found[0].key]).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(names(RuleScopeFilter::All, None).await, ["Tools"]);
    }

    async fn settings_are_the_contracts_until_they_are_set(test: TestStore) {
        let db = test.store.db();
        assert_eq!(db.restriction(test.project).await.unwrap(), Restriction::default());
        let known: BTreeMap<_, _> = [("app_center".to_owned(), true), ("app_restriction".to_owned(), true)].into();
        assert_eq!(db.features(test.project).await.unwrap(), known);
        assert!(db.feature_enabled(test.project, Feature::AppCenter).await.unwrap());

        let strict = Restriction { enabled: true, control_mode: 0, periodic: true, periodic_interval_minutes: 30, force_kill: true };
        for restriction in [Restriction { enabled: true, ..Restriction::default() }, strict] {
            let tx = test.store.write().await.unwrap();
            tx.restriction_set(test.project, &restriction).await.unwrap();
            tx.features_set(test.project, &[("app_center".to_owned(), false), ("x".to_owned(), true)].into()).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(db.restriction(test.project).await.unwrap(), restriction);
        }
        assert_eq!(db.restriction(test.other_project).await.unwrap(), Restriction::default());
        assert!(!db.feature_enabled(test.project, Feature::AppCenter).await.unwrap());
        assert!(db.feature_enabled(test.other_project, Feature::AppCenter).await.unwrap());
        assert_eq!(db.features(test.project).await.unwrap().len(), 3);
    }
}
