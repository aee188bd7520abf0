//! Schema keywords that the derive of `utoipa` cannot state.
//!
//! [`amended!`] defines a struct, derives its schema as usual, and then applies the listed
//! amendments, so that `ToSchema` of the struct is complete by itself.

use serde_json::{Value, json};
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::{Object, RefOr};

/// Defines a request or response struct whose schema needs more than the derive can say.
macro_rules! amended {
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident {
            $(
                $(#[doc = $field_doc:literal])*
                $(#[serde($($serde:tt)*)])?
                $(#[schema($($schema:tt)*)])?
                pub $field:ident: $type:ty,
            )*
        }
        with [$($amendment:expr),* $(,)?]
    ) => {
        $(#[doc = $doc])*
        #[serde_with::skip_serializing_none]
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            $(
                $(#[doc = $field_doc])*
                $(#[serde($($serde)*)])?
                pub $field: $type,
            )*
        }

        const _: () = {
            $(#[doc = $doc])*
            #[derive(utoipa::ToSchema)]
            #[expect(dead_code, reason = "only its derived schema is used")]
            struct Derived {
                $(
                    $(#[doc = $field_doc])*
                    $(#[serde($($serde)*)])?
                    $(#[schema($($schema)*)])?
                    $field: $type,
                )*
            }

            impl utoipa::PartialSchema for $name {
                fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                    $crate::amend::apply(
                        <Derived as utoipa::PartialSchema>::schema(),
                        &[$(&$amendment),*],
                    )
                }
            }

            impl utoipa::ToSchema for $name {
                fn name() -> std::borrow::Cow<'static, str> {
                    std::borrow::Cow::Borrowed(stringify!($name))
                }

                fn schemas(
                    schemas: &mut Vec<(
                        String,
                        utoipa::openapi::RefOr<utoipa::openapi::Schema>,
                    )>,
                ) {
                    <Derived as utoipa::ToSchema>::schemas(schemas);
                }
            }
        };
    };
}
pub(crate) use amended;

/// Applies amendments to the schema of a struct.
pub(crate) fn apply(schema: RefOr<Schema>, amendments: &[&dyn Fn(&mut Object)]) -> RefOr<Schema> {
    let RefOr::T(Schema::Object(mut object)) = schema else {
        panic!("a struct with named members derives an object schema");
    };
    for amendment in amendments {
        amendment(&mut object);
    }
    RefOr::T(Schema::Object(object))
}

fn property<'a>(object: &'a mut Object, name: &str) -> &'a mut Schema {
    match object.properties.get_mut(name) {
        Some(RefOr::T(schema)) => schema,
        _ => panic!("the struct has no inline member {name}"),
    }
}

fn add_keyword(object: &mut Object, keyword: &str, value: Value) {
    object
        .extensions
        .get_or_insert_default()
        .insert(keyword.to_owned(), value);
}

fn add_condition(object: &mut Object, condition: Value) {
    let all_of = object
        .extensions
        .get_or_insert_default()
        .entry("allOf".to_owned())
        .or_insert_with(|| json!([]));
    all_of
        .as_array_mut()
        .expect("allOf is always an array here")
        .push(condition);
}

/// The array refuses equal items.
pub(crate) fn unique_items(name: &'static str) -> impl Fn(&mut Object) {
    move |object| match property(object, name) {
        Schema::Array(array) => array.unique_items = true,
        _ => panic!("the member {name} is no array"),
    }
}

/// The member may be an integer as well as text.
pub(crate) fn text_or_integer(name: &'static str) -> impl Fn(&mut Object) {
    move |object| match property(object, name) {
        Schema::Object(member) => {
            let mut types = match &member.schema_type {
                SchemaType::Array(types) => types.clone(),
                _ => vec![Type::String],
            };
            types.push(Type::Integer);
            member.schema_type = SchemaType::Array(types);
        }
        _ => panic!("the member {name} is no plain text"),
    }
}

/// The member has this one value.
pub(crate) fn constant(name: &'static str, value: impl Into<Value>) -> impl Fn(&mut Object) {
    let value = value.into();
    move |object| match property(object, name) {
        Schema::Object(member) => add_keyword(member, "const", value.clone()),
        _ => panic!("the member {name} is no plain value"),
    }
}

/// While `member` has one of `values`, `other` must be present, with the JSON type given.
pub(crate) fn requires_when(
    member: &'static str,
    values: &'static [&'static str],
    other: &'static str,
    json_type: &'static str,
) -> impl Fn(&mut Object) {
    move |object| {
        add_condition(
            object,
            json!({
                "if": {"properties": {member: {"enum": values}}, "required": [member]},
                "then": {"required": [other], "properties": {other: {"type": json_type}}},
            }),
        );
    }
}

/// While `member` has one of `values`, the text of `other` must not be empty if it is present.
pub(crate) fn not_empty_when(
    member: &'static str,
    values: &'static [&'static str],
    other: &'static str,
) -> impl Fn(&mut Object) {
    move |object| {
        add_condition(
            object,
            json!({
                "if": {"properties": {member: {"enum": values}}, "required": [member]},
                "then": {"properties": {other: {"minLength": 1}}},
            }),
        );
    }
}

/// All members of at least one alternative must be present, each with the JSON type given.
pub(crate) fn one_of_members(
    alternatives: &'static [&'static [(&'static str, &'static str)]],
) -> impl Fn(&mut Object) {
    move |object| {
        let alternatives = alternatives.iter().map(|members| {
            let names: Vec<_> = members.iter().map(|(name, _)| *name).collect();
            let properties: serde_json::Map<_, _> = members
                .iter()
                .map(|(name, json_type)| ((*name).to_owned(), json!({"type": json_type})))
                .collect();
            json!({"required": names, "properties": properties})
        });
        add_keyword(object, "anyOf", alternatives.collect());
    }
}
