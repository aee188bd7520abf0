//! One entry of a search's answer.

use ldap3::SearchEntry;

/// An entry whose attributes are found without regard to case.
pub(crate) struct Entry(SearchEntry);

impl Entry {
    pub(crate) fn new(entry: SearchEntry) -> Self {
        Self(entry)
    }

    pub(crate) fn dn(&self) -> &str {
        &self.0.dn
    }

    /// The first value, as text; `None` when it is absent, empty or no text.
    pub(crate) fn text(&self, attribute: &str) -> Option<&str> {
        self.texts(attribute).find(|text| !text.is_empty())
    }

    /// Every value that is text.
    pub(crate) fn texts(&self, attribute: &str) -> impl Iterator<Item = &str> {
        self.0
            .attrs
            .iter()
            .filter(move |(name, _)| name.eq_ignore_ascii_case(attribute))
            .flat_map(|(_, values)| values.iter().map(String::as_str))
            .chain(
                self.0
                    .bin_attrs
                    .iter()
                    .filter(move |(name, _)| name.eq_ignore_ascii_case(attribute))
                    .flat_map(|(_, values)| {
                        values
                            .iter()
                            .filter_map(|value| std::str::from_utf8(value).ok())
                    }),
            )
    }

    /// The first value, as bytes. The library sorts values that happen to be text into another map.
    pub(crate) fn bytes(&self, attribute: &str) -> Option<&[u8]> {
        let of_texts = self
            .0
            .attrs
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(attribute))
            .flat_map(|(_, values)| values.iter().map(String::as_bytes));
        let of_bytes = self
            .0
            .bin_attrs
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(attribute))
            .flat_map(|(_, values)| values.iter().map(Vec::as_slice));
        of_bytes.chain(of_texts).next()
    }

    /// The option `range=` of an attribute that came in part: the index after the last value, or `None` when these
    /// are the last ones. Source: \[MS-ADTS\], section 3.1.1.3.1.3.3.
    pub(crate) fn range(&self, attribute: &str) -> Option<RangedValues<'_>> {
        self.0.attrs.iter().find_map(|(name, values)| {
            let (base, range) = name.split_once(';')?;
            let (first, last) = range.strip_prefix("range=")?.split_once('-')?;
            let first: usize = first.parse().ok()?;
            (base.eq_ignore_ascii_case(attribute)).then_some(())?;
            let next = match last {
                "*" => None,
                last => Some(last.parse::<usize>().ok()?.checked_add(1)?),
            };
            Some(RangedValues {
                first,
                next,
                values,
            })
        })
    }
}

/// Some values of an attribute.
pub(crate) struct RangedValues<'a> {
    /// Index of the first.
    pub(crate) first: usize,
    /// Index after the last; `None`: there are no more.
    pub(crate) next: Option<usize>,
    pub(crate) values: &'a [String],
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn entry(attrs: &[(&str, &[&str])], bin_attrs: &[(&str, &[&[u8]])]) -> Entry {
        Entry::new(SearchEntry {
            dn: "cn=x".to_owned(),
            attrs: attrs
                .iter()
                .map(|(name, values)| {
                    (
                        (*name).to_owned(),
                        values.iter().map(|value| (*value).to_owned()).collect(),
                    )
                })
                .collect(),
            bin_attrs: bin_attrs
                .iter()
                .map(|(name, values)| {
                    (
                        (*name).to_owned(),
                        values.iter().map(|value| value.to_vec()).collect(),
                    )
                })
                .collect::<HashMap<_, _>>(),
        })
    }

    #[test]
    fn attributes_are_found_in_both_maps_whatever_their_case() {
        let entry = entry(
            &[("objectSid", &["abc"]), ("Mail", &["", "a@b"])],
            &[("jpegPhoto", &[&[0xff]])],
        );
        assert_eq!(entry.bytes("objectsid"), Some(&b"abc"[..]));
        assert_eq!(entry.bytes("JPEGPHOTO"), Some(&[0xff][..]));
        assert_eq!(entry.text("mail"), Some("a@b"));
        assert_eq!(entry.text("jpegPhoto"), None);
    }

    #[test]
    fn ranges_are_read() {
        let first = entry(&[("member", &[]), ("member;range=0-1", &["a", "b"])], &[]);
        let ranged = first.range("member").unwrap();
        assert_eq!(
            (ranged.first, ranged.next, ranged.values.len()),
            (0, Some(2), 2)
        );
        let last = entry(&[("Member;range=2-*", &["c"])], &[]);
        assert_eq!(last.range("member").unwrap().next, None);
        assert!(entry(&[("member", &["a"])], &[]).range("member").is_none());
    }
}
