//! Icons that come inside a call: read, checked, and served back by address.

use std::io::Cursor;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use outfitter_domain::app::{FieldProblem, IconChange, PngIcon, is_web_address};
use outfitter_domain::text::is_blank;
use outfitter_ids::AppId;
use sha2::{Digest as _, Sha256};

const FIELD: &str = "app_icon_url";

/// Prefixes of an image inside a call: the right one, and the one of the official reference (contract,
/// section 3).
const PNG_PREFIXES: [&str; 2] = ["data:image/png;base64,", "data;image/png;base64,"];

/// Widest and highest image, in pixels: 64 KB of PNG can unpack to far more than an icon.
const MAX_SIDE_PIXELS: u32 = 2048;

/// Most memory that decoding may take, in bytes: a row of the widest image and the decoder's own.
const MAX_DECODER_BYTES: usize = 1024 * 1024;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads an icon as it is sent: an http or https address, a PNG as data URI or bare base64; blank clears.
///
/// # Errors
/// Names what is wrong with it.
pub async fn read(text: &str) -> Result<IconChange, FieldProblem> {
    if is_blank(text) {
        return Ok(IconChange::Clear);
    }
    let scheme = text
        .split_once("://")
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    if matches!(scheme.as_deref(), Some("http" | "https")) {
        return if is_web_address(text) {
            Ok(IconChange::Link(text.to_owned()))
        } else {
            Err(FieldProblem::new(FIELD, "is no full http or https URL"))
        };
    }
    let base64 = PNG_PREFIXES
        .iter()
        .find_map(|prefix| {
            text.get(..prefix.len())
                .filter(|start| start.eq_ignore_ascii_case(prefix))
                .and_then(|_| text.get(prefix.len()..))
        })
        .unwrap_or(text);
    let bytes = BASE64.decode(base64).map_err(|_| {
        FieldProblem::new(
            FIELD,
            "must be an http or https URL, or a PNG as data:image/png;base64,...",
        )
    })?;
    // A rejected image is the caller's; a decoder that panics on it is treated alike.
    tokio::task::spawn_blocking(move || {
        check_png(&bytes)?;
        Ok(IconChange::Png(PngIcon {
            sha256: hex::encode(Sha256::digest(&bytes)),
            bytes,
        }))
    })
    .await
    .unwrap_or_else(|_| Err(FieldProblem::new(FIELD, "is no PNG that can be read")))
}

/// Decodes the image row by row and keeps nothing of it.
fn check_png(bytes: &[u8]) -> Result<(), FieldProblem> {
    let broken =
        |error: png::DecodingError| FieldProblem::new(FIELD, format!("is no whole PNG: {error}"));
    let limits = png::Limits {
        bytes: MAX_DECODER_BYTES,
    };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    // What is beside the image may unpack to anything, and nobody looks at it.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info().map_err(broken)?;
    let (width, height) = reader.info().size();
    if width > MAX_SIDE_PIXELS || height > MAX_SIDE_PIXELS {
        return Err(FieldProblem::new(
            FIELD,
            format!(
                "has {width} x {height} pixels, more than {MAX_SIDE_PIXELS} x {MAX_SIDE_PIXELS}"
            ),
        ));
    }
    while reader.next_row().map_err(broken)?.is_some() {}
    reader.finish().map_err(broken)
}

/// Where an app's image is served. The address changes with the image, so that it may be cached for ever.
pub fn address(endpoint: &str, app: AppId, sha256: &str) -> String {
    format!("{endpoint}{}", path_and_query(app, sha256))
}

/// Whether an address is the one of this image, under whatever name the server was reached.
pub fn is_address_of(address: &str, app: AppId, sha256: &str) -> bool {
    address.ends_with(&path_and_query(app, sha256))
}

/// Names an image in its address.
pub fn version(sha256: &str) -> &str {
    sha256.get(..16).unwrap_or(sha256)
}

fn path_and_query(app: AppId, sha256: &str) -> String {
    format!("/icons/{app}?v={}", version(sha256))
}

#[cfg(test)]
mod tests {
    use outfitter_ids::{IdSource as _, SystemIds};

    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let row = usize::try_from(width.div_ceil(8)).unwrap();
        let rows = vec![0; row * usize::try_from(height).unwrap()];
        encoder
            .write_header()
            .unwrap()
            .write_image_data(&rows)
            .unwrap();
        bytes
    }

    async fn refused(text: &str) -> String {
        let problem = read(text).await.unwrap_err();
        assert_eq!(problem.field, "app_icon_url");
        problem.reason
    }

    #[tokio::test]
    async fn a_png_is_taken_in_every_spelling_of_the_contract() {
        let bytes = png(64, 64);
        let base64 = base64::engine::general_purpose::STANDARD.encode(&bytes);
        for text in [
            base64.clone(),
            base64.trim_end_matches('=').to_owned(),
            format!("data:image/png;base64,{base64}"),
            format!("data;image/png;base64,{base64}"),
            format!("DATA:image/PNG;base64,{base64}"),
        ] {
            match read(&text).await.unwrap() {
                IconChange::Png(icon) => {
                    assert_eq!(icon.bytes, bytes);
                    assert_eq!(icon.sha256, hex::encode(Sha256::digest(&bytes)));
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(read(" ").await.unwrap(), IconChange::Clear);
    }

    #[tokio::test]
    async fn what_is_no_whole_png_is_refused() {
        let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let whole = png(64, 64);
        let mut damaged = whole.clone();
        let middle = damaged.len() - 20;
        damaged[middle] ^= 1;
        for bytes in [
            b"GIF89a".to_vec(),
            whole[..8].to_vec(),
            whole[..whole.len() - 16].to_vec(),
            damaged,
        ] {
            assert!(refused(&encode(&bytes)).await.contains("no whole PNG"));
        }
        assert!(
            refused("data:image/jpeg;base64,AAAA")
                .await
                .contains("must be an http")
        );
        assert!(refused("iVBO...").await.contains("must be an http"));
    }

    #[tokio::test]
    async fn an_image_that_unpacks_too_far_is_refused() {
        let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        assert!(read(&encode(&png(2048, 2048))).await.is_ok());
        assert!(refused(&encode(&png(2049, 1))).await.contains("2049 x 1"));
    }

    #[tokio::test]
    async fn addresses_are_kept_and_must_be_whole() {
        let address = "HTTPS://a.example/icon.png";
        assert_eq!(
            read(address).await.unwrap(),
            IconChange::Link(address.to_owned())
        );
        assert!(refused("https://").await.contains("URL"));
        assert!(refused("ftp://a.example/i.png").await.contains("URL"));
    }

    #[test]
    fn our_own_address_is_known_under_any_name_of_the_server() {
        let app = AppId::new(SystemIds.uuid(1));
        let sha256 = "0123456789abcdef".repeat(4);
        let ours = address("https://one.example", app, &sha256);
        assert_eq!(
            ours,
            format!("https://one.example/icons/{app}?v=0123456789abcdef")
        );
        assert!(is_address_of(
            &address("http://two:8080", app, &sha256),
            app,
            &sha256
        ));
        assert!(!is_address_of(&ours, app, &"f".repeat(64)));
    }
}
