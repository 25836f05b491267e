//! Filters and custom attributes: how they are written in either flow, and the rows that they let through.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::authorize::Members;
use super::refused;
use crate::emulator::dashboard::sales::{self, Row};
use crate::emulator::wire::Reply;

/// The one column that is filtered here. Filters on others are carried along and change nothing.
const COLUMN: &str = "region";

/// All that decides which rows a viewer sees.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Filters {
    pub datasource: Vec<Filter>,
    pub parameters: Vec<Filter>,
    pub attributes: Map<String, Value>,
}

/// A condition on one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Filter {
    pub name: String,
    pub operator: Operator,
    pub values: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Operator {
    #[serde(rename = "=")]
    Is,
    #[serde(rename = "IN")]
    In,
    #[serde(rename = "NOT IN")]
    NotIn,
}

impl Filters {
    /// The rows of a dashboard. Each filter and attribute that is there narrows; where there is none, all is seen, as
    /// with a user whose rights nothing narrows.
    pub fn rows(&self, dashboard_id: &str) -> Vec<Row> {
        sales::rows(dashboard_id).into_iter().filter(|row| self.lets(row.region)).collect()
    }

    /// The conditions on the one column, for people.
    pub fn shown(&self) -> Vec<String> {
        self.conditions().map(|filter| filter.shown()).collect()
    }

    fn lets(&self, region: &str) -> bool {
        self.conditions().all(|filter| filter.lets(region))
    }

    fn conditions(&self) -> impl Iterator<Item = Filter> {
        let attributes = self.attributes.iter().map(|(name, value)| {
            let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            Filter { name: name.clone(), operator: Operator::In, values }
        });
        let filters = self.datasource.iter().chain(&self.parameters).cloned().chain(attributes);
        filters.filter(|filter| filter.name.eq_ignore_ascii_case(COLUMN))
    }
}

impl Filter {
    fn lets(&self, found: &str) -> bool {
        let listed = self.values.iter().any(|value| text(value) == found);
        listed != (self.operator == Operator::NotIn)
    }

    fn shown(&self) -> String {
        let values: Vec<_> = self.values.iter().map(text).collect();
        let sign = if self.operator == Operator::NotIn { "≠" } else { "=" };
        format!("{} {sign} {}", self.name, values.join(", "))
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Filters of the object model: `[{name, value, operator?}]`. Without an operator a list is `IN`, anything else `=`.
pub(super) fn filters(list: &str, given: &Value) -> Result<Vec<Filter>, Reply> {
    items(list, given)?
        .into_iter()
        .map(|item| {
            let (name, value) = named(list, &item)?;
            let values = values(list, value)?;
            let operator = match item.0.get("operator").filter(|operator| !operator.is_null()) {
                None if value.is_array() => Operator::In,
                None => Operator::Is,
                Some(Value::String(word)) => {
                    operator(word).ok_or_else(|| refused(&format!("{list}: there is no operator {word}")))?
                }
                Some(_) => return Err(refused(&format!("{list}: the operator must be a text"))),
            };
            if operator == Operator::Is && value.is_array() {
                return Err(refused(&format!("{list}: the operator of a list is IN or NOT IN")));
            }
            Ok(Filter { name, operator, values })
        })
        .collect()
}

/// Custom attributes of the object model: `[{name, value}]`.
pub(super) fn attributes(given: &Value) -> Result<Map<String, Value>, Reply> {
    let mut attributes = Map::new();
    for item in items("customattributes", given)? {
        let (name, value) = named("customattributes", &item)?;
        values("customattributes", value)?;
        add(&mut attributes, name, value.clone())?;
    }
    Ok(attributes)
}

/// Custom attributes of a signed query: `[{"name":"value"}]`.
pub(super) fn attributes_in(text: &str) -> Result<Map<String, Value>, Reply> {
    let list: Vec<Map<String, Value>> =
        serde_json::from_str(text).map_err(|_| refused("embed_custom_attribute is no list of objects"))?;
    let mut attributes = Map::new();
    for (name, value) in list.into_iter().flatten() {
        values("embed_custom_attribute", &value)?;
        add(&mut attributes, name, value)?;
    }
    Ok(attributes)
}

fn add(attributes: &mut Map<String, Value>, name: String, value: Value) -> Result<(), Reply> {
    if attributes.keys().any(|known| known.eq_ignore_ascii_case(&name)) {
        return Err(refused(&format!("the attribute {name} is given more than once")));
    }
    attributes.insert(name, value);
    Ok(())
}

/// Filters of a signed query: `[{A=1&B=IN(2,3)&C=NOTIN(4)}]`, with one `&`, two or none in front of the first.
pub(super) fn filters_in(text: &str) -> Result<Vec<Filter>, Reply> {
    let malformed = || refused("embed_datasource_filter is not of the form [{name=value&…}]");
    let inner = text.trim().strip_prefix("[{").and_then(|text| text.strip_suffix("}]")).ok_or_else(malformed)?;
    let conditions = inner.split('&').filter(|condition| !condition.is_empty());
    conditions
        .map(|condition| {
            let (name, value) = condition.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(malformed)?;
            let (operator, values) = listed(value);
            Ok(Filter { name: name.to_owned(), operator, values })
        })
        .collect()
}

/// `IN(a,b)`, `NOTIN(a,b)`, or a single value, which may have commas.
fn listed(value: &str) -> (Operator, Vec<Value>) {
    let list = value.split_once('(').and_then(|(word, rest)| Some((operator(word)?, rest.strip_suffix(')')?)));
    match list {
        Some((operator, list)) => (operator, list.split(',').map(|one| one.trim().into()).collect()),
        None => (Operator::Is, vec![value.into()]),
    }
}

fn operator(word: &str) -> Option<Operator> {
    match word.trim().to_ascii_uppercase().as_str() {
        "=" => Some(Operator::Is),
        "IN" => Some(Operator::In),
        "NOT IN" | "NOTIN" => Some(Operator::NotIn),
        _ => None,
    }
}

fn items(list: &str, given: &Value) -> Result<Vec<Members>, Reply> {
    let wrong = || refused(&format!("{list} must be a list of objects"));
    let object = |item: &Value| item.as_object().cloned().ok_or_else(wrong).and_then(Members::of);
    given.as_array().ok_or_else(wrong)?.iter().map(object).collect()
}

fn named<'a>(list: &str, item: &'a Members) -> Result<(String, &'a Value), Reply> {
    let name = item.required("name").map_err(|_| refused(&format!("{list}: every item needs a name")))?;
    let value = item.0.get("value").ok_or_else(|| refused(&format!("{list}: {name} has no value")))?;
    Ok((name.to_owned(), value))
}

/// A single value or a list of them. An empty list would be a filter that filters nothing, or all.
fn values(list: &str, value: &Value) -> Result<Vec<Value>, Reply> {
    let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    let single = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    if values.is_empty() || !values.iter().all(single) {
        return Err(refused(&format!("{list}: a value is a text, a number, true, false, or a list of these")));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_vendors_examples_are_read() {
        let given = json!([
            {"name": "shipCountry", "value": "India", "operator": "="},
            {"name": "Region", "value": ["North", "East"], "operator": "in"},
            {"Name": "CustomerId", "Value": [1001, 1002], "Operator": "Not In"},
            {"name": "Region", "value": ["North"]},
        ]);
        let read = filters("datasourcefilters", &given).expect("filters");
        let operators: Vec<_> = read.iter().map(|filter| filter.operator).collect();
        assert_eq!(operators, [Operator::Is, Operator::In, Operator::NotIn, Operator::In]);
        for text in ["[{Param=Value}]", "[{&Param=Value}]", "[{&&Param=Value}]"] {
            let filter = Filter { name: "Param".to_owned(), operator: Operator::Is, values: vec!["Value".into()] };
            assert_eq!(filters_in(text).expect("a filter"), [filter]);
        }
        let several = filters_in("[{&A=1&B=IN(2, 3)&C=NOTIN(4)}]").expect("filters");
        assert_eq!(several[1].values, ["2", "3"]);
        assert_eq!(several[2].operator, Operator::NotIn);
        assert_eq!(attributes_in(r#"[{"a":"1"},{"b":["2"]}]"#).expect("attributes").len(), 2);
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for given in [
            json!({}),
            json!(["a"]),
            json!([{"name": "a"}]),
            json!([{"value": "a"}]),
            json!([{"name": "a", "value": {}}]),
            json!([{"name": "a", "value": null}]),
            json!([{"name": "a", "value": []}]),
            json!([{"name": "a", "value": [["b"]]}]),
            json!([{"name": "a", "value": "b", "operator": "LIKE"}]),
            json!([{"name": "a", "value": ["b"], "operator": "="}]),
            json!([{"name": "a", "Name": "b", "value": "c"}]),
        ] {
            assert!(filters("datasourcefilters", &given).is_err(), "{given}");
        }
        assert!(attributes(&json!([{"name": "a", "value": "1"}, {"name": "A", "value": "2"}])).is_err());
        assert!(attributes_in(r#"{"a":"1"}"#).is_err() && attributes_in(r#"[{"a":null}]"#).is_err());
        assert!(filters_in("a=b").is_err() && filters_in("[{a}]").is_err() && filters_in("[{=b}]").is_err());
    }
}
