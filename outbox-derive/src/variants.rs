//! The part of the checks that sees all variants of an enum side by side.

use std::collections::HashMap;

use crate::errors::Errors;
use crate::model::Model;

pub(crate) fn check_variants(model: &Model<'_>, errors: &mut Errors) {
    if !model.input.is_enum {
        return;
    }
    let mut seen = HashMap::new();
    for shape in &model.shapes {
        let ident = &shape.raw.ident;
        if let Some(skip) = &shape.raw.serde.skip {
            errors.at(
                skip,
                format_args!(
                    "`#[serde({skip})]` makes `{ident}` an event that can never be written: remove it, or the variant"
                ),
            );
        }
        // Without a topic something else is wrong, and told.
        let event = (&shape.topic, &shape.event_type, shape.version);
        let Some(first) = seen.insert(event, ident).filter(|_| !shape.topic.is_empty()) else { continue };
        errors.at(
            ident,
            format_args!(
                "`{first}` and `{ident}` are both `{}` of `{}`: give one another `event_type`, or another `version`",
                shape.event_type, shape.topic
            ),
        );
    }
}
