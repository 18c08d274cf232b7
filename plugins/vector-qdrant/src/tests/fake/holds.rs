//! What Qdrant's conditions mean, of those the plugin uses; others are refused.

use qdrant_client::qdrant::{
    self, Condition, FieldCondition, condition::ConditionOneOf, r#match::MatchValue, value::Kind,
};
use tonic::Status;

use super::{Payload, name_of};

/// Whether a filter lets a point through.
pub(super) fn is_so(filter: &qdrant::Filter, id: &String, payload: &Payload) -> Result<bool, Status> {
    let all = |conditions: &[Condition], wanted: bool| -> Result<bool, Status> {
        for condition in conditions {
            if holds(condition, id, payload)? != wanted {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let is_one = filter.should.is_empty() || !all(&filter.should, false)?;
    Ok(is_one && all(&filter.must, true)? && all(&filter.must_not, false)?)
}

fn holds(condition: &Condition, id: &String, payload: &Payload) -> Result<bool, Status> {
    match &condition.condition_one_of {
        Some(ConditionOneOf::Filter(filter)) => is_so(filter, id, payload),
        Some(ConditionOneOf::HasId(ids)) => {
            Ok(ids.has_id.iter().map(name_of).collect::<Result<Vec<_>, _>>()?.contains(id))
        }
        Some(ConditionOneOf::Field(field)) => field_holds(field, payload),
        other => Err(Status::unimplemented(format!("{other:?}"))),
    }
}

fn field_holds(field: &FieldCondition, payload: &Payload) -> Result<bool, Status> {
    // A key, or a key of an object in quotation marks.
    let kind = match field.key.split_once(".\"") {
        None => payload.get(&field.key).and_then(|value| value.kind.as_ref()),
        Some((object, key)) => {
            let key = key.strip_suffix('"').filter(|key| !key.contains(['"', '\\']));
            let key = key.ok_or_else(|| Status::invalid_argument(format!("`{}` is no path", field.key)))?;
            match payload.get(object).and_then(|value| value.kind.as_ref()) {
                Some(Kind::StructValue(object)) => object.fields.get(key).and_then(|value| value.kind.as_ref()),
                _ => None,
            }
        }
    };
    let values: Vec<&Kind> = match kind {
        Some(Kind::ListValue(list)) => list.values.iter().filter_map(|value| value.kind.as_ref()).collect(),
        kind => kind.into_iter().collect(),
    };
    if let Some(range) = &field.range {
        return Ok(values.iter().any(|value| {
            let number = match value {
                Kind::DoubleValue(number) => *number,
                Kind::IntegerValue(number) => *number as f64,
                _ => return false,
            };
            range.gt.is_none_or(|bound| number > bound)
                && range.gte.is_none_or(|bound| number >= bound)
                && range.lt.is_none_or(|bound| number < bound)
                && range.lte.is_none_or(|bound| number <= bound)
        }));
    }
    match field.r#match.as_ref().and_then(|wanted| wanted.match_value.as_ref()) {
        Some(MatchValue::Keyword(wanted)) => {
            Ok(values.iter().any(|value| matches!(value, Kind::StringValue(value) if value == wanted)))
        }
        Some(MatchValue::Keywords(wanted)) => {
            Ok(values.iter().any(|value| matches!(value, Kind::StringValue(value) if wanted.strings.contains(value))))
        }
        Some(MatchValue::Boolean(wanted)) => {
            Ok(values.iter().any(|value| matches!(value, Kind::BoolValue(value) if value == wanted)))
        }
        other => Err(Status::unimplemented(format!("{other:?}"))),
    }
}
