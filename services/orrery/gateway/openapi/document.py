"""The OpenAPI document: what FastAPI knows of the routes, and what only we know of bodies, answers and headers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from orrery.gateway.openapi import answers
from orrery.gateway.openapi.bodies import EXAMPLES, bodies
from orrery.gateway.openapi.operations import (
    EVENTS,
    IF_NONE_MATCH,
    IF_RANGE,
    JSON,
    KEY,
    OPERATIONS,
    RANGE,
    TENANT,
    Operation,
    Told,
)
from orrery.gateway.settings import GatewaySettings
from orrery.gateway.terms import TENANT_NAME

Node = dict[str, Any]

REF = "#/components/schemas/{model}"
ERRORS = {"4XX": "What the client did.", "503": "What the gateway needs does not answer.", "504": "Not ready in time."}

HEADERS: dict[str, tuple[str, Node]] = {
    TENANT: ("Whose the request is.", {"type": "string", "pattern": f"^{TENANT_NAME}$"}),
    KEY: (
        "The client's own name for the request: again under it is the same job.",
        {"type": "string", "pattern": "^[ -~]{1,255}$"},
    ),
    RANGE: ("One part of the file, in bytes.", {"type": "string"}),
    IF_RANGE: ("The ETag of the file that the part is to be of.", {"type": "string"}),
    IF_NONE_MATCH: ("ETags of what the client has.", {"type": "string"}),
}
EVENT: Node = {
    "type": "object",
    "description": "One event; `data` is JSON.",
    "properties": {name: {"type": "string"} for name in ("id", "event", "data")} | {"retry": {"type": "integer"}},
}
LAST_EVENT_ID = {"type": "string", "pattern": "^([0-9]{1,20}(-[0-9]{1,20})?)?$"}

ANSWERED_ID = "$response.body#/id"
BODIES_OF_LINKS: dict[str, Node] = {
    "extendVideo": {"prompt": "it goes on", "video": {"id": ANSWERED_ID}},
    "editVideo": {"prompt": "it falls", "video": {"id": ANSWERED_ID}},
    "createBatch": {"input_file_id": ANSWERED_ID, "endpoint": "/v1/videos", "completion_window": "24h"},
}

_PLACE = re.compile(r"\{(\w+)\}")


def install_document(app: FastAPI, settings: GatewaySettings) -> None:
    """Has the app tell the document of the models that it serves."""

    def document() -> Node:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, settings)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way


def _document(app: FastAPI, settings: GatewaySettings) -> Node:
    base = get_openapi(title=app.title, version=version("orrery-serve"), routes=app.routes, summary="Worlds on request.")
    paths: Node = {
        path: {method: _operation(method, path, known) for method, known in methods.items()}
        for path, methods in base["paths"].items()
    }
    schemas = _answers() | bodies(settings)
    bearer = {"type": "http", "scheme": "bearer", "description": "An API key, where the gateway asks for one."}
    components = {"schemas": schemas, "securitySchemes": {"key": bearer}}
    return base | {"paths": paths, "components": components, "security": [{}, {"key": []}]}


def _answers() -> Node:
    models = [told.model for operation in OPERATIONS.values() for told in operation.told.values() if told.model is not None]
    every: dict[type[BaseModel], None] = dict.fromkeys([*models, answers.Refusal])
    inputs: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, "serialization") for model in every]
    _, found = models_json_schema(inputs, ref_template=REF)
    schemas: Node = found["$defs"]
    for schema in schemas.values():
        optional = [name for name, field in schema.get("properties", {}).items() if field.pop("x-optional", False)]
        schema["required"] = [name for name in schema.get("required", []) if name not in optional]
    return schemas


def _operation(method: str, path: str, known: Node) -> Node:
    operation = OPERATIONS[method, path]
    parameters = [_exact(parameter) for parameter in known.get("parameters", [])]
    parameters += [_header(name) for name in operation.headers]
    told = {str(status): _told(one, operation, method) for status, one in operation.told.items()}
    refusals = {status: _refusal(text, method) for status, text in ERRORS.items() if status not in told}
    kept = {key: known[key] for key in ("summary", "description") if key in known}
    taken = {"requestBody": _taken(operation)} if operation.bodies else {}
    return kept | {"operationId": operation.id, "parameters": parameters, "responses": told | refusals} | taken


def _exact(parameter: Node) -> Node:
    """FastAPI writes that an optional parameter may be null, which nothing in a URL or header is."""
    schema = parameter["schema"]
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if kinds:
        schema = {key: value for key, value in schema.items() if key not in ("anyOf", "title")} | kinds[0]
    if parameter["name"] == "last-event-id":
        schema = LAST_EVENT_ID
    return parameter | {"schema": schema}


def _header(name: str) -> Node:
    description, schema = HEADERS[name]
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def _taken(operation: Operation) -> Node:
    content = {media_type: {"schema": _ref(name)} | _example(name) for media_type, name in operation.bodies.items()}
    return {"required": True, "content": content}


def _example(name: str) -> Node:
    return {"example": EXAMPLES[name]} if name in EXAMPLES else {}


def _told(told: Told, operation: Operation, method: str) -> Node:
    headers = {name: {"schema": {"type": "string"}} for name in told.headers}
    answer: Node = {"description": (told.model.__doc__ or "") if told.model else "", "headers": headers}
    if told.model is not None:
        answer["content"] = {JSON: {"schema": _ref(told.model.__name__)}}
    elif told.media_types and method != "head":
        answer["content"] = {media_type: {"schema": _content(media_type)} for media_type in told.media_types}
    if operation.leads_to:
        answer["links"] = dict(_links(operation))
    return answer


def _content(media_type: str) -> Node:
    if media_type == EVENTS:
        return EVENT
    return {"type": "string"} if media_type.startswith("text/") else {"type": "string", "format": "binary"}


def _links(operation: Operation) -> Iterator[tuple[str, Node]]:
    """The answer's id goes where the target has a place for it: into its path, or into its body."""
    places = {row.id: _PLACE.findall(path) for (_, path), row in OPERATIONS.items()}
    for target in operation.leads_to:
        parameters = dict.fromkeys(places[target], ANSWERED_ID)
        body = {"requestBody": BODIES_OF_LINKS[target]} if target in BODIES_OF_LINKS else {}
        yield target, {"operationId": target, "parameters": parameters} | body


def _refusal(description: str, method: str) -> Node:
    content = {} if method == "head" else {"content": {JSON: {"schema": _ref(answers.Refusal.__name__)}}}
    return {"description": description, **content}


def _ref(name: str) -> Node:
    return {"$ref": REF.format(model=name)}
