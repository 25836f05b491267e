"""Reads a list of {about, version, document}; prints a list of what is wrong, by the schemas of that Kubernetes."""

import json
import sys

import kubernetes_validate

# Resources of others, which tests/chart/resources judges, or nobody.
FOREIGN = ("monitoring.coreos.com/", "cert-manager.io/")

wrong = []
known = {}
for item in json.load(sys.stdin):
    document = item["document"]
    if document["apiVersion"].startswith(FOREIGN):
        continue
    # Most objects are the same for each version of Helm and Kubernetes, and a look at one takes milliseconds.
    key = json.dumps([item["version"], document], sort_keys=True)
    if key not in known:
        try:
            kubernetes_validate.validate(document, item["version"], strict=True)
            known[key] = None
        except kubernetes_validate.ValidationError as error:
            place = ".".join(str(part) for part in error.path)
            known[key] = f"{document['kind']} {place}: {error.message}"
        except Exception as error:  # no schema, an unknown version: nothing was looked at
            known[key] = f"{document['kind']}: {type(error).__name__}: {error}"
    if known[key]:
        wrong.append(f"{item['about']}: {known[key]}")
print(json.dumps(wrong))
