//! The OpenAPI document of the agent's endpoints, made of the types that they take and give.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::answer::{ErrorDocument, JobDocument};
use super::placements::{Moved, PlacementList, Removed};
use super::request::{CancelRequest, MoveRequest, PlaceRequest, RemoveRequest};
use super::routes::{GroupPlan, HandlerList, Health, HistoryList, JobList, PREFIX};
use crate::report::{PlanReport, Report};

/// Why a call may be refused, by status.
const REFUSALS: [(&str, &str); 10] = [
    ("400", "The request cannot be what anybody means."),
    ("403", "The caller may not have that, or not see it."),
    ("404", "There is no such endpoint, image or placement."),
    ("405", "The endpoint is not asked in this way."),
    ("408", "The request did not arrive in time."),
    ("409", "Something is in the way, or the call was given up."),
    ("413", "The request has too many bytes."),
    ("422", "What is asked for is beyond a limit, or nothing here can do it."),
    ("424", "The bytes could not be had, or were not the image, or the node's disk failed."),
    ("500", "The agent or a handler has a fault."),
];

/// Where nothing but overload and the end of the agent is a server error.
const OVERLOAD: (&str, &str) =
    ("503", "There is no room now, or the agent is being stopped. `retry-after` says when to call again.");

/// The document.
pub(crate) fn document() -> Value {
    let mut endpoints = Endpoints { generator: SchemaSettings::openapi3().into_generator(), paths: Map::new() };
    endpoints.add_all();
    let schemas = endpoints.generator.take_definitions(true);
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "Landfall agent",
            "description": "Places VM images on this node. Served on a Unix socket; who calls is known by the socket's peer.",
            "version": "0",
        },
        "paths": endpoints.paths,
        "components": { "schemas": schemas },
    })
}

struct Endpoints {
    generator: SchemaGenerator,
    paths: Map<String, Value>,
}

/// What an endpoint gives when all is well: a status, what it means, and the document.
struct Answer(&'static str, &'static str, Value);

impl Endpoints {
    fn add_all(&mut self) {
        let placed = self.json::<Report>();
        let job = self.json::<JobDocument>();
        let begun = [
            Answer("200", "The disk is there.", placed),
            Answer("202", "The job has begun; with `wait: false`.", job.clone()),
        ];
        let body = self.body::<PlaceRequest>();
        self.add("/place", "post", "Place an image, or a group of them", Some(body.clone()), &begun, true);
        let plan = json!({ "anyOf": [self.json::<PlanReport>(), self.json::<GroupPlan>()] });
        self.add("/plan", "post", "Decide as `place` does, and do nothing", Some(body), &[found(plan)], true);
        let (body, removed) = (self.body::<RemoveRequest>(), self.json::<Removed>());
        self.add("/remove", "post", "Remove a placement", Some(body), &[found(removed)], true);
        let (body, given_up) = (self.body::<CancelRequest>(), self.json::<JobList>());
        let summary = "Give up all jobs of one's own for a target, and wait for their end";
        self.add("/cancel", "post", summary, Some(body), &[found(given_up)], true);
        let (body, moved) = (self.body::<MoveRequest>(), self.json::<Moved>());
        self.add("/move", "post", "Move a placement within its file system", Some(body), &[found(moved)], true);
        let jobs = self.json::<JobList>();
        self.add("/jobs", "get", "List jobs", None, &[found(jobs)], true);
        self.add("/jobs/{id}", "get", "Show a job", None, &[found(job.clone())], true);
        self.add(
            "/jobs/{id}/cancel",
            "post",
            "Give a job up; others that wait for the same bytes go on",
            None,
            &[found(job)],
            true,
        );
        self.add("/jobs/{id}/events", "get", EVENTS, None, &[Answer("200", "Events.", Value::Null)], true);
        let placements = self.json::<PlacementList>();
        self.add("/placements", "get", "List placements", None, &[found(placements)], true);
        let history = self.json::<HistoryList>();
        self.add("/history", "get", "Show what was decided and done", None, &[found(history)], true);
        let handlers = self.json::<HandlerList>();
        self.add("/handlers", "get", "List the handlers in force", None, &[found(handlers)], true);
        let health = self.json::<Health>();
        self.add("/health", "get", "Tell whether the agent serves", None, &[found(health)], false);
        let any = json!({ "type": "object" });
        self.add("/openapi.json", "get", "Show this document", None, &[found(any)], false);
        self.metrics();
    }

    fn json<T: JsonSchema>(&mut self) -> Value {
        self.generator.subschema_for::<T>().to_value()
    }

    fn body<T: JsonSchema>(&mut self) -> Value {
        json!({ "required": true, "content": { "application/json": { "schema": self.json::<T>() } } })
    }

    fn add(
        &mut self,
        path: &str,
        method: &str,
        summary: &str,
        body: Option<Value>,
        answers: &[Answer],
        can_be_refused: bool,
    ) {
        let refused = json!({ "application/json": { "schema": self.json::<ErrorDocument>() } });
        let mut responses = Map::new();
        for Answer(status, text, schema) in answers {
            let content = match schema {
                Value::Null => json!({ "text/event-stream": { "schema": {
                    "type": "string",
                    "description": EVENTS_FORM,
                } } }),
                schema => json!({ "application/json": { "schema": schema } }),
            };
            responses.insert((*status).to_owned(), json!({ "description": text, "content": content }));
        }
        // Whoever it is may ask how the agent is, if there is a connection for it.
        let refusals = REFUSALS.iter().filter(|(status, _)| can_be_refused || *status == "405").chain([&OVERLOAD]);
        for (status, text) in refusals {
            // What became of a placement that failed is told in full.
            let content = if path == "/place" {
                json!({ "application/json": { "schema": {
                    "anyOf": [self.json::<ErrorDocument>(), self.json::<Report>()]
                } } })
            } else {
                refused.clone()
            };
            responses.insert((*status).to_owned(), json!({ "description": text, "content": content }));
        }
        let mut operation = json!({ "summary": summary, "responses": responses });
        let mut parameters = Vec::new();
        if path.contains("{id}") {
            parameters.push(json!({ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }));
        }
        if method == "get" && matches!(path, "/jobs" | "/placements") {
            parameters.push(json!({
                "name": "path", "in": "query", "description": "Only those of this target, an absolute path.",
                "schema": { "type": "string" },
            }));
        }
        if path == "/history" {
            let schema = json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX, "default": 20 });
            parameters.push(json!({
                "name": "most", "in": "query", "description": "How many entries.", "schema": schema
            }));
        }
        if let Some(members) = operation.as_object_mut() {
            if !parameters.is_empty() {
                members.insert("parameters".to_owned(), Value::Array(parameters));
            }
            if let Some(body) = body {
                members.insert("requestBody".to_owned(), body);
            }
        }
        self.paths.insert(format!("{PREFIX}{path}"), json!({ method: operation }));
    }

    fn metrics(&mut self) {
        let refused = self.json::<ErrorDocument>();
        let text = json!({ "application/openmetrics-text": { "schema": { "type": "string" } } });
        let operation = json!({
            "summary": "Show counters for Prometheus",
            "responses": {
                "200": { "description": "Counters.", "content": text },
                "403": { "description": REFUSALS[1].1, "content": { "application/json": { "schema": refused } } },
                "405": { "description": REFUSALS[3].1, "content": { "application/json": { "schema": refused } } },
                "503": { "description": OVERLOAD.1, "content": { "application/json": { "schema": refused } } },
            },
        });
        self.paths.insert("/metrics".to_owned(), json!({ "get": operation }));
    }
}

const EVENTS: &str =
    "Follow a job: server-sent events `progress`, with a job's progress, and at last `end`, with the job";
/// What OpenAPI 3.0 has no words for.
const EVENTS_FORM: &str = "`event: progress`, whose `data` is a `Progress` in one line; at last `event: end`, whose `data` is a \
     `JobDocument` with its `report`. Lines that begin with a colon show that the connection lives.";

fn found(schema: Value) -> Answer {
    Answer("200", "What was asked for.", schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_document_is_that_of_the_types() {
        let path = format!("{}/../docs/schemas/agent.openapi.json", env!("CARGO_MANIFEST_DIR"));
        let text = serde_json::to_string_pretty(&document()).unwrap() + "\n";
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "{path} is not up to date; UPDATE_GOLDEN=1 writes it");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        let references: Vec<&str> =
            text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(references.len() > 20);
        for reference in references {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}
