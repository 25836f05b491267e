"""The vendor's own Python SDK, unmodified, against a host: the emulator, or the sidecar's metadata service.

    .tools/venv/bin/python tests/python/sdk_against_emulator.py --host http://127.0.0.1:PORT \\
        --dashboard-id D --viewer-id V --external-value X

The credentials, and all that chooses how the SDK gets its token, come from the SDK's own variables: DATABRICKS_CLIENT_ID
and DATABRICKS_CLIENT_SECRET; DATABRICKS_AUTH_TYPE and DATABRICKS_METADATA_SERVICE_URL; DATABRICKS_OIDC_TOKEN_FILEPATH;
and DATABRICKS_DISCOVERY_URL where the host has no /.well-known/databricks-config.

Prints one line of JSON. Exit code 0: every call worked and the claim is the right one; 1: the line's `error` and `step`
say what failed. No token is printed, only what is in it.
"""

import argparse
import base64
import json
import os
import sys
import tempfile


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default=os.environ.get("DATABRICKS_HOST"), help="default: DATABRICKS_HOST")
    parser.add_argument("--dashboard-id", required=True)
    parser.add_argument("--viewer-id", required=True)
    parser.add_argument("--external-value", required=True)
    args = parser.parse_args()
    if not args.host:
        parser.error("no host: --host or DATABRICKS_HOST")
    return args


def claims(token):
    """The payload of a JWT, unverified; None if it is none."""
    try:
        payload = token.split(".")[1]
        return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return None


def run(args, result):
    # Imported here: the SDK looks at HOME while it is loaded, and a failing import is a result too.
    result["step"] = "import"
    from databricks.sdk import WorkspaceClient, version
    from databricks.sdk.core import Config

    result["sdk"] = version.__version__

    result["step"] = "config"
    # Without these limits the SDK retries a dead host for five minutes.
    config = Config(host=args.host, http_timeout_seconds=10, retry_timeout_seconds=20)
    client = WorkspaceClient(config=config)
    result["auth_type"] = config.auth_type

    result["step"] = "authenticate"
    header = client.config.authenticate()["Authorization"]
    scheme, _, token = header.partition(" ")
    result["scheme"] = scheme
    result["token_claims"] = claims(token)
    if scheme != "Bearer" or not token:
        raise AssertionError("the Authorization header is no Bearer token")

    result["step"] = "token_info"
    info = client.lakeview_embedded.get_published_dashboard_token_info(
        args.dashboard_id,
        external_viewer_id=args.viewer_id,
        external_value=args.external_value,
    )
    result["custom_claim"] = info.custom_claim
    result["scope"] = info.scope
    result["authorization_details"] = len(info.authorization_details or [])
    expected = f"urn:aibi:external_data:{args.external_value}:{args.viewer_id}:{args.dashboard_id}"
    if info.custom_claim != expected:
        raise AssertionError(f"custom_claim is not {expected}")

    result["step"] = "me"
    result["me"] = client.current_user.me().user_name
    if not result["me"]:
        raise AssertionError("current_user.me() has no user name")

    del result["step"]


def main():
    args = arguments()
    # Nothing of the machine's own decides: no profile in the home directory, no proxy between two local programs.
    with tempfile.TemporaryDirectory(prefix="sidemint-home-") as home:
        os.environ["HOME"] = home
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost,::1"
        os.environ.pop("DATABRICKS_CONFIG_PROFILE", None)
        result = {"ok": False}
        try:
            run(args, result)
            result["ok"] = True
        except Exception as error:  # whatever it is, the caller wants it as a line of JSON
            result["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
