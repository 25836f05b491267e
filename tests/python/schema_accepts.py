"""Whether a JSON Schema accepts YAML files: one line for each, `accepted` or what is wrong.

    .tools/venv/bin/python tests/python/schema_accepts.py schema.json config.yaml...
"""

import json
import sys

import yaml
from jsonschema import Draft202012Validator


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    # A schema that is none accepts anything.
    Draft202012Validator.check_schema(schema)
    if schema.get("$schema") != "https://json-schema.org/draft/2020-12/schema":
        raise SystemExit(f"another dialect than this validator's: {schema.get('$schema')}")
    validator = Draft202012Validator(schema)
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as file:
            errors = [error.message for error in validator.iter_errors(yaml.safe_load(file))]
        print(" | ".join(errors).replace("\n", " ") or "accepted")


if __name__ == "__main__":
    main()
