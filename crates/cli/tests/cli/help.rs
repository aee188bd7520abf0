use crate::Run;

/// Every command by its words.
const COMMANDS: &[&str] = &[
    "",
    "serve",
    "demo",
    "doctor",
    "config check",
    "store",
    "store check",
    "store import",
    "app",
    "app add",
    "app list",
    "app show",
    "app update",
    "app delete",
    "app deleted",
    "app restore",
    "app accept-link",
    "app enable",
    "app disable",
    "app authorize",
    "app revoke",
    "app install",
    "app uninstall",
    "app outdated",
    "app exit-codes",
    "app detect",
    "app detection",
    "app verify",
    "job",
    "job list",
    "job show",
    "job receipt",
    "job verify",
    "job retry",
    "job cancel",
    "job delete",
    "job wait",
    "deployment",
    "deployment list",
    "deployment show",
    "deployment cancel",
    "deployment resume",
    "deployment wait",
    "why",
    "freeze",
    "freeze on",
    "freeze off",
    "freeze show",
    "desktop",
    "desktop add",
    "desktop list",
    "desktop delete",
    "user",
    "user add",
    "user list",
    "user delete",
    "group",
    "group add",
    "group list",
    "group add-member",
    "group remove-member",
    "group delete",
    "token",
    "token create",
    "token list",
    "token revoke",
    "project",
    "project add",
    "project list",
    "project quota",
    "project packages",
    "project programs",
    "project logged-in",
    "project copies",
    "store collect",
    "download-limits",
    "download-limits show",
    "download-limits set",
    "directory",
    "directory set",
    "directory show",
    "directory test",
    "directory sync",
    "directory status",
    "directory remove",
    "audit",
    "audit list",
    "audit show",
    "audit export",
    "audit verify",
    "audit prune",
    "iam",
    "iam user add",
    "iam user list",
    "iam user enable",
    "iam user disable",
    "iam policy add",
    "iam policy list",
    "iam policy show",
    "iam policy update",
    "iam policy delete",
    "iam policy attach",
    "iam policy detach",
    "iam policy attachments",
    "iam group add",
    "iam group list",
    "iam group add-member",
    "iam group remove-member",
    "iam group delete",
    "iam group map",
    "iam explain",
    "iam decode",
    "iam password",
    "server-key show",
    "server-key rotate",
    "server-key retire",
    "iam key rotate",
    "iam key add",
    "iam key list",
    "iam key enable",
    "iam key disable",
    "iam key delete",
    "app authorizations",
    "app categories",
    "rule",
    "rule add",
    "rule list",
    "rule show",
    "rule update",
    "rule delete",
    "rule control",
    "rule release",
    "rule restriction show",
    "rule restriction enable",
    "rule restriction disable",
    "rule restriction set",
    "profile",
    "profile show",
    "profile set",
    "agent",
    "agent status",
    "agent roots",
    "agent install",
    "agent install-command",
    "agent waiting",
    "agent approve",
    "agent refuse",
    "agent release",
    "agent release add",
    "agent release list",
    "agent release show",
    "agent release roll-out",
    "agent release halt",
    "agent release resume",
    "workspace-job",
    "workspace-job list",
    "workspace-job show",
    "workspace-job wait",
    "workspace-job retry",
    "workspace-job delete",
    "desktop reach set",
    "desktop reach show",
    "desktop reach networks",
    "desktop reach forget",
    "desktop reach forget-network",
    "desktop probe",
    "desktop log",
    "desktop identity",
    "desktop import",
    "desktop show",
    "desktop inventory",
    "desktop software",
    "desktop find",
    "desktop attach",
    "desktop detach",
    "desktop tag list",
    "desktop tag add",
    "desktop tag remove",
    "user import",
    "user show",
    "user update",
    "group import",
    "group show",
    "group update",
    "iam whoami",
];

fn help(words: &str) -> String {
    let mut arguments: Vec<&str> = words.split_whitespace().collect();
    arguments.push("--help");
    Run::new(&arguments).end()
}

#[test]
fn the_first_screen() {
    insta::assert_snapshot!(help(""));
}

#[test]
fn commands_with_many_options() {
    insta::assert_snapshot!("serve", help("serve"));
    insta::assert_snapshot!("app_add", help("app add"));
    insta::assert_snapshot!("app_install", help("app install"));
    insta::assert_snapshot!("demo", help("demo"));
}

#[test]
fn every_command_explains_itself_and_its_options() {
    for words in COMMANDS {
        let text = help(words);
        assert!(text.starts_with("exit code: 0\n"), "{words}: {text}");
        assert!(text.ends_with("----- stderr\n"), "{words}: {text}");
        let usage = format!("Usage: {}", format!("outfitter {words}").trim());
        assert!(text.contains(&usage), "{words}: {text}");
        assert!(text.contains("--json"), "{words}: {text}");
        let talks =
            !["serve", "demo", "config check"].contains(words) && !words.starts_with("server-key");
        for option in ["--bootstrap", "--profile", "--project", "--ca"] {
            assert_eq!(text.contains(option), talks, "{words}: {option}: {text}");
        }
        // The sentence stands beside the option, or below it where there is no room.
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            let option = pair[0].trim_start();
            if option.starts_with("--") && !option.starts_with("-----") {
                let beside = option.split_once("  ").is_some();
                let below = pair[1].starts_with("          ") && !pair[1].trim().is_empty();
                assert!(beside || below, "{words}: {option:?} says nothing");
            }
        }
    }
}

#[test]
fn no_command_is_forgotten_here() {
    // Each noun's help lists its verbs; all of them are above.
    let mut nouns = vec![String::new()];
    while let Some(noun) = nouns.pop() {
        let text = help(&noun);
        let Some((_, commands)) = text.split_once("Commands:\n") else {
            assert!(COMMANDS.contains(&noun.as_str()), "{noun} is not tested");
            continue;
        };
        for line in commands.lines().take_while(|line| !line.is_empty()) {
            if !line.starts_with("  ") || line.starts_with("   ") {
                continue;
            }
            let verb = line.split_whitespace().next().unwrap();
            if verb != "help" {
                nouns.push(format!("{noun} {verb}").trim().to_owned());
            }
        }
    }
}
