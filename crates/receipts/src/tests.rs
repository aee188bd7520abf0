use std::collections::BTreeMap;

use outfitter_agent_protocol::{
    Approach, Detection, DetectionRule, Evidence, Method, PackageRef, RECEIPT_SCHEMA, RawSignature,
    RunningPrograms, Task, TaskKind,
};
use outfitter_ids::{AppId, RevisionId};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P256_SHA256, SigningKey as _,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::*;

const BEGIN: i64 = 1_790_000_000;
const DAY: i64 = 24 * 3600;

fn id<T: From<Uuid>>(number: u128) -> T {
    T::from(Uuid::from_u128(number))
}

fn params(name: &str, days: (i64, i64)) -> CertificateParams {
    let at = |day: i64| OffsetDateTime::from_unix_timestamp(BEGIN + day * DAY).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = at(days.0);
    params.not_after = at(days.1);
    params
}

/// An authority with one agent's certificate.
struct Fleet {
    root: CertificateDer<'static>,
    issuing: CertificateDer<'static>,
    leaf: CertificateDer<'static>,
    key: KeyPair,
}

impl Fleet {
    fn new(agent: AgentId, usage: ExtendedKeyUsagePurpose) -> Self {
        let key = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let ca = |name, below| {
            let mut params = params(name, (0, 400));
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
            params
        };
        let (root_key, issuing_key, leaf_key) = (key(), key(), key());
        let root = ca("root", 1).self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(ca("root", 1), root_key);
        let issuing = ca("issuing", 0)
            .signed_by(&issuing_key, &root_issuer)
            .unwrap();
        let issuer = Issuer::new(ca("issuing", 0), issuing_key);
        let mut leaf = params(&agent.to_string(), (10, 100));
        leaf.extended_key_usages = vec![usage];
        let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap();
        Self {
            root: root.der().clone(),
            issuing: issuing.der().clone(),
            leaf: leaf.der().clone(),
            key: leaf_key,
        }
    }

    fn sign(&self, statement: &Statement) -> Envelope {
        Envelope::seal(statement, |bytes| {
            Some(RawSignature {
                certificate_sha256: fingerprint(&self.leaf),
                bytes: self.key.sign(bytes).unwrap(),
            })
        })
    }

    fn verify(&self, envelope: &Envelope, days: (i64, i64)) -> Result<Statement, ReceiptError> {
        let at = |day: i64| Millis::new((BEGIN + day * DAY) * 1000);
        verify(
            envelope,
            Certificates {
                leaf: &self.leaf,
                intermediates: std::slice::from_ref(&self.issuing),
                roots: std::slice::from_ref(&self.root),
            },
            Window {
                from: at(days.0),
                to: at(days.1),
            },
        )
    }
}

fn fleet() -> Fleet {
    Fleet::new(id(1), ExtendedKeyUsagePurpose::ClientAuth)
}

fn task() -> Task {
    Task {
        attempt: id(2),
        job: id(3),
        project: Some(id(4)),
        kind: TaskKind::Install,
        app: id::<AppId>(5),
        app_name: "Hello".to_owned(),
        app_version: "1.0".to_owned(),
        revision: id::<RevisionId>(6),
        method: Method::Quiet,
        command: "sh ${FILE_PATH}".to_owned(),
        package: PackageRef {
            file_name: "hello.sh".to_owned(),
            sha256: Some("a".repeat(64)),
            size_bytes: Some(3),
        },
        detection: Some(DetectionRule::File {
            path: "/opt/hello".to_owned(),
            sha256: None,
            size_bytes: None,
        }),
        success_exit_codes: vec![0],
        run_limit_secs: 60,
        approach: Approach::Ordinary,
        exit_codes: BTreeMap::new(),
        running_programs: None,
        session: None,
    }
}

fn statement() -> Statement {
    let task = task();
    Statement {
        schema: RECEIPT_SCHEMA,
        agent: id(1),
        desktop: id(7),
        project: task.project,
        evidence: Evidence {
            attempt: task.attempt,
            job: task.job,
            failure: None,
            failure_detail: None,
            rule: task.detection.clone(),
            manifest_files: None,
            before: None,
            after: Some(Detection {
                holds: true,
                seen: "/opt/hello is there".to_owned(),
            }),
            already_installed: false,
            already_absent: false,
            exit_code: Some(0),
            output_tail: "done\n".to_owned(),
            package_sha256: task.package.sha256.clone(),
            package_size_bytes: Some(3),
            command: Some("sh hello.sh".to_owned()),
            sandbox_root: None,
            agent_version: "1".to_owned(),
            phases: vec![],
            ended_at_millis: 0,
        },
        task: Some(task),
    }
}

fn subject(task: &Task) -> Subject<'_> {
    Subject {
        project: id(4),
        desktop: id(7),
        agent: id(1),
        job: id(3),
        attempt: id(2),
        task,
    }
}

#[test]
fn what_the_device_signed_is_verified_and_carries_its_end() {
    let fleet = fleet();
    let statement = statement();
    let read = fleet.verify(&fleet.sign(&statement), (20, 21)).unwrap();
    assert_eq!(read, statement);
    about(&read, &subject(&task())).unwrap();
    let support = supports(&read, "succeeded");
    assert_eq!((support.proof, support.carries), (Some(Proof::Rule), true));
    assert!(!supports(&read, "exit_code").carries);
}

#[test]
fn every_altered_byte_of_a_receipt_is_found() {
    let fleet = fleet();
    let signed = fleet.sign(&statement());
    let text = signed.text().unwrap();
    let signature = signed.signatures.first().cloned();
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(altered) = String::from_utf8(bytes) else {
            continue;
        };
        let forged = Envelope::of_text(&altered, signature.clone());
        let found = fleet.verify(&forged, (20, 21));
        assert!(matches!(found, Err(ReceiptError::Signature)), "byte {at}");
    }
}

#[test]
fn a_signature_over_the_bare_statement_is_none_over_the_receipt() {
    let fleet = fleet();
    let text = fleet.sign(&statement()).text().unwrap();
    // The same key, the same bytes, without the type in front: what another protocol might have had it sign.
    let mut bare = fleet.sign(&statement());
    let other = Envelope::seal(&statement(), |_| {
        Some(RawSignature {
            certificate_sha256: fingerprint(&fleet.leaf),
            bytes: fleet.key.sign(text.as_bytes()).unwrap(),
        })
    });
    bare.signatures = other.signatures;
    assert!(matches!(
        fleet.verify(&bare, (20, 21)),
        Err(ReceiptError::Signature)
    ));
}

#[test]
fn a_receipt_without_a_signature_or_with_two_is_none() {
    let fleet = fleet();
    let mut signed = fleet.sign(&statement());
    signed.signatures.push(signed.signatures[0].clone());
    let read = fleet.verify(&signed, (20, 21));
    assert!(matches!(read, Err(ReceiptError::Unreadable(_))));
    signed.signatures.clear();
    let read = fleet.verify(&signed, (20, 21));
    assert!(matches!(read, Err(ReceiptError::Unsigned)));
}

#[test]
fn another_authority_another_usage_and_another_agent_are_refused() {
    let (ours, theirs) = (fleet(), fleet());
    let mixed = Fleet {
        root: ours.root.clone(),
        ..theirs
    };
    let read = mixed.verify(&mixed.sign(&statement()), (20, 21));
    assert!(matches!(read, Err(ReceiptError::Chain(_))), "{read:?}");
    let listener = Fleet::new(id(1), ExtendedKeyUsagePurpose::ServerAuth);
    let read = listener.verify(&listener.sign(&statement()), (20, 21));
    assert!(matches!(read, Err(ReceiptError::Chain(_))), "{read:?}");
    let other = Fleet::new(id(9), ExtendedKeyUsagePurpose::ClientAuth);
    let read = other.verify(&other.sign(&statement()), (20, 21));
    assert!(matches!(read, Err(ReceiptError::OtherAgent(_))), "{read:?}");
    let mut renamed = ours.sign(&statement());
    renamed.signatures[0].keyid = "0".repeat(64);
    let read = ours.verify(&renamed, (20, 21));
    assert!(matches!(read, Err(ReceiptError::OtherCertificate)));
}

#[test]
fn the_certificate_counts_at_the_time_of_the_attempt() {
    let fleet = fleet();
    let signed = fleet.sign(&statement());
    // It is valid from day 10 to day 100.
    for (days, holds) in [
        ((99, 300), true),
        ((5, 11), true),
        ((1, 9), false),
        ((101, 102), false),
    ] {
        let read = fleet.verify(&signed, days);
        assert_eq!(read.is_ok(), holds, "{days:?}");
    }
}

#[test]
fn a_receipt_of_another_attempt_desktop_or_task_is_about_something_else() {
    type Change = fn(&mut Statement);
    let asked = task();
    let (good, subject) = (statement(), subject(&asked));
    let table: [(&str, Change); 6] = [
        ("desktop", |it| it.desktop = id(70)),
        ("project", |it| it.project = Some(id(70))),
        ("job", |it| it.evidence.job = id(70)),
        ("attempt", |it| it.evidence.attempt = id(70)),
        ("task", |it| {
            it.task.as_mut().unwrap().success_exit_codes = vec![0, 1];
        }),
        ("task", |it| it.task = None),
    ];
    for (what, change) in table {
        let mut changed = good.clone();
        change(&mut changed);
        let found = about(&changed, &subject);
        assert!(
            matches!(found, Err(ReceiptError::About(about)) if about == what),
            "{what}: {found:?}"
        );
    }
}

#[test]
fn a_task_is_answered_by_an_agent_that_did_not_know_all_of_it() {
    let mut asked = task();
    asked.running_programs = Some(RunningPrograms::Stop);
    let mut told = statement();
    about(&told, &subject(&asked)).unwrap();
    told.task.as_mut().unwrap().running_programs = Some(RunningPrograms::Ask { wait_secs: 1 });
    assert!(about(&told, &subject(&asked)).is_err());
    told.task = Some(asked.clone());
    about(&told, &subject(&asked)).unwrap();
    // What nobody asked for is not answered.
    assert!(about(&told, &subject(&task())).is_err());
}
