//! Where packages are: a folder of this server, or a bucket of an S3-compatible store that servers share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use outfitter_artifacts::{
    AddressStyle, Downloads, MAX_ADDRESS_SECS, ObjectCredentials, ObjectStoreOptions, PackageStore,
    PackageStoreError, Uploads,
};
use outfitter_ids::IdSource;
use serde::Deserialize;
use url::Url;

use super::{ConfigError, ServeOptions};

/// Seconds that an address for a desktop holds unless something else is said. A download that has begun goes on, and
/// an agent whose address has lapsed asks for another.
const ADDRESS_SECS: u32 = 60 * 60;

/// Largest file of certificates, in bytes: agents are told it with every address, in one frame.
const MAX_CA_BYTES: usize = 16 * 1024;

/// How desktops get packages out of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DownloadsOption {
    /// From the store, at an address signed in advance.
    Presigned,
    /// Through the server's agent listener.
    Relayed,
}

/// How uploaders bring packages into a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadsOption {
    /// Through the server's bucket listener.
    Gateway,
    /// Into the store itself.
    Direct,
}

/// Where packages are.
#[derive(Debug, Clone)]
pub enum PackagePlace {
    /// In the data folder.
    Folder,
    /// In a bucket.
    Object(Box<ObjectPlace>),
}

/// A bucket of an S3-compatible store.
#[derive(Debug, Clone)]
pub struct ObjectPlace {
    /// Everything but the certificates.
    pub options: ObjectStoreOptions,
    /// File of certificates to trust beside the system's, PEM.
    pub ca: Option<PathBuf>,
}

/// Why the package store of the configuration cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenPackagesError {
    /// The certificates cannot be read.
    #[error("cannot read the certificates for the package store, {}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// There are too many certificates.
    #[error("{} is larger than {MAX_CA_BYTES} bytes: agents are told the certificates with every address", path.display())]
    CertificatesTooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] PackageStoreError),
}

impl PackagePlace {
    /// Checks the options of the package store and fills the defaults.
    pub(super) fn resolve(options: &ServeOptions) -> Result<Self, ConfigError> {
        let Some(place) = &options.package_store else {
            return without_a_store(options);
        };
        let (bucket, prefix) = place
            .strip_prefix("s3://")
            .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
            .ok_or_else(|| value("--package-store", "s3://BUCKET or s3://BUCKET/PREFIX"))?;
        let prefix = prefix.trim_end_matches('/');
        if !is_bucket_name(bucket) {
            return Err(value(
                "--package-store",
                "a bucket's name has 3 to 63 of a-z, 0-9, '-', '.' and '_', the first and the last a letter or a digit",
            ));
        }
        if !prefix.split('/').all(is_prefix_part) && !prefix.is_empty() {
            return Err(value(
                "--package-store",
                "a prefix has letters, digits, '-', '_' and '.' between single slashes",
            ));
        }
        for (option, address) in [
            ("--package-store-endpoint", &options.package_store_endpoint),
            ("--package-store-public", &options.package_store_public),
            ("--package-store-sts", &options.package_store_sts),
        ] {
            check_address(option, address.as_deref())?;
        }
        let region = match (
            &options.package_store_region,
            &options.package_store_endpoint,
        ) {
            (Some(region), _) if is_region(region) => region.clone(),
            (Some(_), _) => {
                return Err(value("--package-store-region", "letters, digits and '-'"));
            }
            // What servers that know no regions take.
            (None, Some(_)) => "us-east-1".to_owned(),
            (None, None) => {
                return Err(ConfigError::Conflict {
                    what: "--package-store needs --package-store-region or --package-store-endpoint",
                });
            }
        };
        let path_style = options
            .package_store_path_style
            .unwrap_or(options.package_store_endpoint.is_some());
        let life = options.package_store_address_secs.unwrap_or(ADDRESS_SECS);
        if !(1..=MAX_ADDRESS_SECS).contains(&life) {
            return Err(value("--package-store-address-secs", "1 to 604800"));
        }
        let downloads = match options.package_store_downloads {
            Some(DownloadsOption::Relayed)
                if options.package_store_public.is_some()
                    && options.package_store_uploads != Some(UploadsOption::Direct) =>
            {
                return Err(ConfigError::Conflict {
                    what: "--package-store-public says nothing where downloads are relayed and uploads are not direct",
                });
            }
            Some(DownloadsOption::Relayed) => Downloads::Relayed,
            Some(DownloadsOption::Presigned) | None => Downloads::Presigned {
                endpoint: options.package_store_public.clone(),
                life: Duration::from_secs(life.into()),
            },
        };
        let credentials = credentials(options)?;
        let uploads = uploads(options, &region)?;
        Ok(Self::Object(Box::new(ObjectPlace {
            options: ObjectStoreOptions {
                bucket: bucket.to_owned(),
                prefix: prefix.to_owned(),
                endpoint: options.package_store_endpoint.clone(),
                region,
                style: if path_style {
                    AddressStyle::Path
                } else {
                    AddressStyle::VirtualHost
                },
                credentials,
                ca_pem: None,
                downloads,
                uploads,
            },
            ca: options.package_store_ca.clone(),
        })))
    }

    /// Opens the store. A store in a bucket is not asked yet.
    ///
    /// # Errors
    /// A file cannot be read, a folder not be made, or the options make no sense to the store's client.
    pub async fn open(
        &self,
        data_dir: &Path,
        ids: Arc<dyn IdSource>,
    ) -> Result<PackageStore, OpenPackagesError> {
        let place = match self {
            Self::Folder => return Ok(PackageStore::open_local(data_dir.join("packages")).await?),
            Self::Object(place) => place,
        };
        let mut options = place.options.clone();
        if let Some(path) = &place.ca {
            let pem = std::fs::read_to_string(path).map_err(|source| {
                OpenPackagesError::Certificates {
                    path: path.clone(),
                    source,
                }
            })?;
            if pem.len() > MAX_CA_BYTES {
                return Err(OpenPackagesError::CertificatesTooLarge { path: path.clone() });
            }
            options.ca_pem = Some(pem);
        }
        Ok(PackageStore::open_object(options, ids)?)
    }
}

fn value(option: &'static str, reason: &str) -> ConfigError {
    ConfigError::Value {
        option,
        reason: reason.to_owned(),
    }
}

/// Options of a store that is not named are mistakes.
fn without_a_store(options: &ServeOptions) -> Result<PackagePlace, ConfigError> {
    let given = options.package_store_endpoint.is_some()
        || options.package_store_region.is_some()
        || options.package_store_path_style.is_some()
        || options.package_store_credentials.is_some()
        || options.package_store_ca.is_some()
        || options.package_store_downloads.is_some()
        || options.package_store_public.is_some()
        || options.package_store_address_secs.is_some()
        || options.package_store_uploads.is_some()
        || options.package_store_upload_role.is_some()
        || options.package_store_sts.is_some()
        || options.package_store_machine_credentials == Some(true);
    if given {
        return Err(ConfigError::Conflict {
            what: "options of the package store need --package-store",
        });
    }
    Ok(PackagePlace::Folder)
}

/// Where uploaders put packages.
fn uploads(options: &ServeOptions, region: &str) -> Result<Uploads, ConfigError> {
    match options.package_store_uploads {
        Some(UploadsOption::Direct) => {}
        Some(UploadsOption::Gateway) | None => {
            if options.package_store_upload_role.is_some() || options.package_store_sts.is_some() {
                return Err(ConfigError::Conflict {
                    what: "--package-store-upload-role and --package-store-sts need --package-store-uploads direct",
                });
            }
            return Ok(Uploads::Gateway);
        }
    }
    let role = options
        .package_store_upload_role
        .as_deref()
        .ok_or(ConfigError::Conflict {
            what: "--package-store-uploads direct needs --package-store-upload-role",
        })?;
    if !is_role(role) {
        return Err(value(
            "--package-store-upload-role",
            "arn:PARTITION:iam::ACCOUNT:role/NAME",
        ));
    }
    let of_aws = |service: &str| format!("https://{service}.{region}.amazonaws.com");
    let endpoint = options.package_store_endpoint.as_ref();
    Ok(Uploads::Direct {
        role: role.to_owned(),
        // Servers that are not AWS have their STS at the same address.
        sts: options
            .package_store_sts
            .as_ref()
            .or(endpoint)
            .cloned()
            .unwrap_or_else(|| of_aws("sts")),
        endpoint: options
            .package_store_public
            .as_ref()
            .or(endpoint)
            .cloned()
            .unwrap_or_else(|| of_aws("s3")),
    })
}

/// Source: AWS, "Amazon Resource Names (ARNs)"; 2,048 characters are the most that AssumeRole takes.
fn is_role(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    text.len() <= 2048
        && text.chars().all(|c| c.is_ascii_graphic())
        && matches!(parts[..], ["arn", partition, "iam", "", _, name]
            if partition.starts_with("aws") && name.starts_with("role/") && name.len() > 5)
}

fn credentials(options: &ServeOptions) -> Result<ObjectCredentials, ConfigError> {
    let keys = options.package_store_keys.as_ref();
    let file = options.package_store_credentials.as_deref();
    if options.package_store_machine_credentials == Some(true) {
        return match (keys, file) {
            (None, None) => Ok(ObjectCredentials::Machine),
            _ => Err(ConfigError::Conflict {
                what: "--package-store-machine-credentials excludes keys for the package store",
            }),
        };
    }
    match (keys, file) {
        (Some(keys), None) => Ok(ObjectCredentials::Given(keys.clone())),
        (None, Some(file)) => Ok(ObjectCredentials::File(file.to_owned())),
        (Some(_), Some(_)) => Err(ConfigError::Conflict {
            what: "OUTFITTER_PACKAGE_STORE_ACCESS_KEY excludes --package-store-credentials",
        }),
        (None, None) => Err(ConfigError::Conflict {
            what: "--package-store needs --package-store-credentials, OUTFITTER_PACKAGE_STORE_ACCESS_KEY and \
                   OUTFITTER_PACKAGE_STORE_SECRET_KEY in the environment, or --package-store-machine-credentials",
        }),
    }
}

/// Source: S3, "Bucket naming rules", and a few more for the sake of other servers.
fn is_bucket_name(name: &str) -> bool {
    (3..=63).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_'))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
}

fn is_prefix_part(part: &str) -> bool {
    !part.is_empty()
        && part != "."
        && part != ".."
        && part.len() <= 200
        && part
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn is_region(region: &str) -> bool {
    (1..=64).contains(&region.len())
        && region
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// Refuses what is no address of a server.
pub(super) fn check_address(
    option: &'static str,
    address: Option<&str>,
) -> Result<(), ConfigError> {
    match address {
        Some(address) if !is_address(address) => Err(value(
            option,
            "http://HOST[:PORT] or https://HOST[:PORT], without path, name or password",
        )),
        _ => Ok(()),
    }
}

fn is_address(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> Result<PackagePlace, ConfigError> {
        PackagePlace::resolve(&ServeOptions::from_toml(text).expect("TOML"))
    }

    fn place(text: &str) -> ObjectStoreOptions {
        let text = format!("package_store_credentials = '/keys'\n{text}");
        match resolved(&text).expect("a place") {
            PackagePlace::Object(place) => place.options,
            PackagePlace::Folder => panic!("a bucket was named"),
        }
    }

    #[test]
    fn a_bucket_is_named_with_or_without_a_prefix() {
        let on_aws =
            place("package_store = 's3://pack-ages/a/b.c/'\npackage_store_region = 'eu-west-1'");
        assert_eq!(
            (on_aws.bucket.as_str(), on_aws.prefix.as_str(), on_aws.style),
            ("pack-ages", "a/b.c", AddressStyle::VirtualHost)
        );
        let own = place(
            "package_store = 's3://packages'\npackage_store_endpoint = 'http://127.0.0.1:9000'",
        );
        assert_eq!(
            (own.prefix.as_str(), own.region.as_str(), own.style),
            ("", "us-east-1", AddressStyle::Path)
        );
        assert_eq!(
            own.downloads,
            Downloads::Presigned {
                endpoint: None,
                life: Duration::from_secs(3600)
            }
        );
    }

    #[test]
    fn what_cannot_be_is_refused_and_the_option_named() {
        let store = "package_store = 's3://packages'\npackage_store_credentials = '/keys'\n";
        let own = format!("{store}package_store_endpoint = 'http://127.0.0.1:9000'\n");
        for (text, named) in [
            ("package_store = '/folder'".to_owned(), "--package-store"),
            ("package_store = 's3://B'".to_owned(), "--package-store"),
            (
                "package_store = 's3://packages/a//b'".to_owned(),
                "--package-store",
            ),
            (
                "package_store = 's3://packages/../b'".to_owned(),
                "--package-store",
            ),
            (store.to_owned(), "--package-store-region"),
            (
                "package_store = 's3://packages'\npackage_store_region = 'r'".to_owned(),
                "--package-store-credentials",
            ),
            (
                format!("{store}package_store_endpoint = 'ftp://h'"),
                "--package-store-endpoint",
            ),
            (
                format!("{store}package_store_endpoint = 'http://h/p'"),
                "--package-store-endpoint",
            ),
            (
                format!("{store}package_store_endpoint = 'http://u:p@h'"),
                "--package-store-endpoint",
            ),
            (
                format!("{own}package_store_address_secs = 0"),
                "--package-store-address-secs",
            ),
            (
                format!("{own}package_store_address_secs = 604801"),
                "--package-store-address-secs",
            ),
            (
                format!(
                    "{own}package_store_downloads = 'relayed'\npackage_store_public = 'http://h'"
                ),
                "--package-store-public",
            ),
            ("package_store_region = 'r'".to_owned(), "--package-store"),
        ] {
            let error = resolved(&text).expect_err(&text).to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn uploads_go_past_the_server_only_with_a_role() {
        let own =
            "package_store = 's3://packages'\npackage_store_endpoint = 'http://127.0.0.1:9000'\n";
        let role = "package_store_uploads = 'direct'\npackage_store_upload_role = 'arn:aws:iam::123456789012:role/up'\n";
        assert_eq!(place(own).uploads, Uploads::Gateway);
        let Uploads::Direct { sts, endpoint, .. } = place(&format!("{own}{role}")).uploads else {
            panic!("uploads are direct");
        };
        assert_eq!(
            (sts.as_str(), endpoint.as_str()),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000")
        );
        let aws = "package_store = 's3://packages'\npackage_store_region = 'eu-west-1'\n";
        let Uploads::Direct { sts, endpoint, .. } = place(&format!("{aws}{role}")).uploads else {
            panic!("uploads are direct");
        };
        assert_eq!(
            (sts.as_str(), endpoint.as_str()),
            (
                "https://sts.eu-west-1.amazonaws.com",
                "https://s3.eu-west-1.amazonaws.com"
            )
        );
        let keys = "package_store_credentials = '/keys'\n";
        for (text, named) in [
            (
                format!("{own}{keys}package_store_uploads = 'direct'"),
                "--package-store-upload-role",
            ),
            (
                format!("{own}{keys}package_store_sts = 'http://h'"),
                "--package-store-sts",
            ),
            (
                format!("{own}{keys}{role}package_store_sts = 'h'"),
                "--package-store-sts",
            ),
            (
                format!(
                    "{own}{keys}package_store_uploads = 'direct'\npackage_store_upload_role = 'up'"
                ),
                "--package-store-upload-role",
            ),
            (
                format!("{own}{keys}package_store_machine_credentials = true"),
                "--package-store-machine-credentials",
            ),
            (
                "package_store_machine_credentials = true".to_owned(),
                "--package-store",
            ),
        ] {
            let error = resolved(&text).expect_err(&text).to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
        let machine =
            resolved(&format!("{own}package_store_machine_credentials = true")).expect("a place");
        let PackagePlace::Object(place) = machine else {
            panic!("a bucket was named")
        };
        assert!(matches!(
            place.options.credentials,
            ObjectCredentials::Machine
        ));
    }

    #[test]
    fn keys_are_no_part_of_the_file() {
        assert!(ServeOptions::from_toml("package_store_keys = 'k'").is_err());
        assert!(ServeOptions::from_toml("package_store_secret_key = 'k'").is_err());
    }
}
