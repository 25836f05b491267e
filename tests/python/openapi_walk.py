"""Walks what /openapi.json promises against a running sidecar: requests are made from the schemas, good ones and each
with one thing wrong, and every reply must be one that the document describes. Prints one JSON line.

    .tools/venv/bin/python tests/python/openapi_walk.py --url http://127.0.0.1:8190 --embed sales --upstream acme
"""

import argparse
import copy
import json
import urllib.error
import urllib.parse
import urllib.request

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

GOOD = {"viewer": {"id": "u-1", "value": "emea", "roles": ["Customer"], "attributes": {"region": "emea"}},
        "purpose": "renew", "min_ttl": "10m"}
WRONG_TYPES = [5, True, [1], {"a": 1}, "", "no such word"]


class Walk:
    def __init__(self, url, embed):
        self.url, self.embed, self.statuses, self.broken, self.requests = url, embed, {}, [], 0
        status, _, body = self.send("GET", "/openapi.json", {"Sidemint-Request": "true"})
        self.document = json.loads(body)
        assert status == 200 and self.document["openapi"].startswith("3.1."), status
        resource = Resource.from_contents(self.document, default_specification=DRAFT202012)
        self.registry = Registry().with_resource("urn:document", resource)

    def send(self, method, path, headers, body=None):
        self.requests += 1
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, reply.headers, reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def resolve(self, node):
        while "$ref" in node:
            found = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            node = found
        return node

    def matches(self, schema, value):
        # Local references are looked up in the whole document.
        absolute = json.loads(json.dumps(schema).replace('"$ref": "#', '"$ref": "urn:document#'))
        return not list(Draft202012Validator(absolute, registry=self.registry).iter_errors(value))

    def judge(self, what, operation, reply, wished=None):
        """The reply must be described, look as described, and have the status that the schema calls for."""
        status, headers, body = reply
        self.statuses[str(status)] = self.statuses.get(str(status), 0) + 1
        described = operation["responses"].get(str(status))
        if described is None:
            return self.broken.append(f"{what}: {status} is not described")
        if wished is not None and not wished(status):
            self.broken.append(f"{what}: {status}")
        kind = (headers.get("Content-Type") or "").split(";")[0]
        content = self.resolve(described).get("content", {})
        if content and kind not in content:
            return self.broken.append(f"{what}: {status} is {kind}")
        schema = content.get(kind, {}).get("schema")
        if schema is not None:
            value = json.loads(body) if kind.endswith("json") else body.decode()
            if not self.matches(schema, value):
                self.broken.append(f"{what}: {status} does not look as described: {body[:300]!r}")
        if headers.get("Cache-Control") != "no-store":
            self.broken.append(f"{what}: {status} may be stored")

    def post(self):
        path = self.document["paths"]["/v1/embeds/{embed}/token"]
        operation, target = path["post"], f"/v1/embeds/{self.embed}/token"
        headers = {"Sidemint-Request": "true", "Content-Type": "application/json"}
        schema = self.resolve(operation["requestBody"])["content"]["application/json"]["schema"]
        for what, body in bodies():
            fits = self.matches(schema, body)
            wished = (lambda status: status == 200) if fits else (lambda status: status in (400, 422))
            self.judge(f"POST {what}", operation, self.send("POST", target, headers, body), wished)
        refusal = lambda *statuses: lambda status: status in statuses
        odd = [("no header", {"Content-Type": "application/json"}, GOOD, (403,)),
               ("text", {**headers, "Content-Type": "text/plain"}, GOOD, (415,)),
               ("no JSON", headers, b"{", (400,)), ("large", headers, b" " * 70_000, (413,)),
               ("host", {**headers, "Host": "evil.example"}, GOOD, (403,))]
        for what, sent, body, statuses in odd:
            self.judge(f"POST {what}", operation, self.send("POST", target, sent, body), refusal(*statuses))
        missing = self.send("POST", "/v1/embeds/no-such-embed/token", headers, GOOD)
        self.judge("POST unknown embed", operation, missing, refusal(404))
        plain = self.send("POST", target, {**headers, "Accept": "text/plain"}, GOOD)
        self.judge("POST plain", operation, plain, refusal(200))

    def get(self):
        operation, target = self.document["paths"]["/v1/embeds/{embed}/token"]["get"], f"/v1/embeds/{self.embed}/token"
        headers = {"Sidemint-Request": "true"}
        named = {self.resolve(p)["name"] for p in operation.get("parameters", []) if self.resolve(p)["in"] == "query"}
        assert named == {"viewer_id", "purpose"}, named
        for query, status in [("viewer_id=u-1&purpose=renew", 200), ("purpose=renew", 422), ("viewer_id=&purpose=renew", 422),
                              ("viewer_id=u-1&purpose=show", 422), ("viewer_id=u-1&viewer_id=u-2", 422),
                              ("viewer_id=u-1&other=1", 422), ("viewer_id=%zz", 400)]:
            reply = self.send("GET", f"{target}?{query}", {**headers, "Sidemint-Viewer-Value": "em%20ea"})
            self.judge(f"GET {query}", operation, reply, lambda got, status=status: got == status)

    def authorize(self, is_boldbi):
        """What Bold BI's page client calls."""
        path = "/v1/embeds/{embed}/boldbi-authorize"
        operation, target = self.document["paths"][path]["post"], path.format(embed=self.embed)
        headers = {"Sidemint-Request": "true", "Content-Type": "application/json"}
        schema = self.resolve(operation["requestBody"])["content"]["application/json"]["schema"]
        good = {"embedQuerString": "embed_nonce=1&embed_mode=view&pinboard_name=", "dashboardServerApiUrl": "http://evil"}
        viewer = {"Sidemint-Viewer": urllib.parse.quote(json.dumps({"id": "viewer@example.com", "value": "emea"}))}
        if not is_boldbi:
            refused = self.send("POST", target, {**headers, **viewer}, good)
            return self.judge("authorize for another kind", operation, refused, lambda status: status == 404)
        for body in (good, {"embedQueryString": ""}, {}, [], 5, {"embedQuerString": 5},
                     {**good, "viewer": {"id": "x"}}, {**good, "more": 1}):
            fits = self.matches(schema, body)
            wished = (lambda status: status == 200) if fits else (lambda status: status == 422)
            self.judge(f"authorize {body}", operation, self.send("POST", target, {**headers, **viewer}, body), wished)
        value = {"Sidemint-Viewer-Value": "emea"}
        for query, sent, status in [("?viewer_id=u", value, 200), ("?viewer_id=u&purpose=renew", value, 200),
                                    ("", value, 422), ("?viewer_id=u", viewer, 422), ("?viewer_value=u", viewer, 422),
                                    ("?viewer_id=%zz", {}, 400)]:
            reply = self.send("POST", target + query, {**headers, **sent}, good)
            self.judge(f"authorize {query} {sent}", operation, reply, lambda got, status=status: got == status)

    def metadata(self, upstream, host):
        """What Databricks' SDKs call."""
        path = "/v1/upstreams/{upstream}/databricks-metadata"
        operation, target = self.document["paths"][path]["get"], path.format(upstream=upstream)
        scheme = self.document["components"]["securitySchemes"][next(iter(operation["security"][0]))]
        version, named = {scheme["name"]: "1"}, self.resolve(operation["parameters"][0])["name"]
        good = {**version, named: host or "https://host.example"}
        unknown = path.format(upstream="no-such-upstream")
        for what, asked, headers, body, status in [
                ("metadata", target, good, None, 200 if host else 404), ("of no upstream", unknown, good, None, 404),
                ("without version", target, {named: good[named]}, None, 403),
                ("of version 2", target, {**good, scheme["name"]: "2"}, None, 403),
                ("without host", target, version, None, 422 if host else 404),
                ("of another host", target, {**good, named: "https://evil.example"}, None, 422 if host else 404),
                ("with a body", target, good, GOOD, 400 if host else 404),
                ("with a large head", target, {**good, "X-Large": "x" * 17_000}, None, 431),
                ("of a page", target, {**good, "Origin": "https://evil.example"}, None, 403)]:
            reply = self.send("GET", asked, headers, body)
            self.judge(what, operation, reply, lambda got, status=status: got == status)

    def others(self):
        described = self.document["paths"]["/openapi.json"]["get"]
        self.judge("GET /openapi.json", described, self.send("GET", "/openapi.json", {"Sidemint-Request": "true"}))
        for method in ("PUT", "DELETE", "PATCH"):
            status, headers, _ = self.send(method, f"/v1/embeds/{self.embed}/token", {"Sidemint-Request": "true"})
            if status != 405 or "Allow" not in headers:
                self.broken.append(f"{method}: {status} {headers.get('Allow')}")


def bodies():
    """A good body, and the same with one thing changed at each place."""
    yield "good", GOOD
    yield "least", {"viewer": {"id": "u-1"}, "purpose": "renew"}
    places = [(), ("viewer",), ("viewer", "id"), ("viewer", "value"), ("viewer", "roles"), ("viewer", "attributes"),
              ("purpose",), ("min_ttl",)]
    for place in places:
        for value in WRONG_TYPES:
            yield f"{'.'.join(place)}={value!r}", changed(place, lambda _: value)
        if place:
            yield f"without {'.'.join(place)}", without(place)
        if place in ((), ("viewer",)):
            yield f"{'.'.join(place)} with an unknown field", changed(place, lambda old: {**old, "vlaue": "x"})


def changed(place, change):
    if not place:
        return change(GOOD)
    body = copy.deepcopy(GOOD)
    inner = body
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = change(inner[place[-1]])
    return body


def without(place):
    body = copy.deepcopy(GOOD)
    inner = body
    for name in place[:-1]:
        inner = inner[name]
    del inner[place[-1]]
    # What is left out of the least body would be a load, which is limited.
    return {"purpose": "renew", **body} if place != ("purpose",) else {**body, "purpose": "renew"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--embed", required=True)
    parser.add_argument("--upstream", required=True, help="of the embed")
    parser.add_argument("--databricks-host", help="the upstream is of Databricks, with this host, and open to SDKs")
    parser.add_argument("--boldbi", action="store_true", help="the embed is of Bold BI, for any viewer with a value")
    arguments = parser.parse_args()
    walk = Walk(arguments.url, arguments.embed)
    walk.post()
    walk.get()
    walk.others()
    walk.authorize(arguments.boldbi)
    walk.metadata(arguments.upstream, arguments.databricks_host)
    print(json.dumps({"requests": walk.requests, "statuses": walk.statuses, "broken": walk.broken}))


if __name__ == "__main__":
    main()
