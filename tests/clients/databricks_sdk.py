#!/usr/bin/env python3
"""The unmodified databricks-sdk (PyPI) against the emulator: is the fake one that the vendor's own client takes for real?

Usage: databricks_sdk.py HOST CLIENT_ID CLIENT_SECRET DASHBOARD_ID
Needs `pip install databricks-sdk`. Set HOME to an empty folder, so that no profile of the machine is read, and
REQUESTS_CA_BUNDLE to the emulator's authority if it serves TLS.
"""

import sys

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import ResourceDoesNotExist, Unauthenticated


def main(host, client_id, client_secret, dashboard):
    client = WorkspaceClient(host=host, client_id=client_id, client_secret=client_secret)
    header = client.config.authenticate()["Authorization"]
    assert header.startswith("Bearer eyJ"), "authenticate() gives a JWT"

    viewer, value = "v/1", "a b&c=é"
    info = client.lakeview_embedded.get_published_dashboard_token_info(
        dashboard, external_viewer_id=viewer, external_value=value
    )
    assert info.custom_claim == f"urn:aibi:external_data:{value}:{viewer}:{dashboard}", info.custom_claim
    assert len(info.authorization_details) == 3
    assert info.authorization_details[2].resource_name.endswith(f"/dashboards/{dashboard}")
    assert "dashboards.query-execution" in info.scope.split()

    assert client.current_user.me().user_name == client_id

    try:
        client.lakeview_embedded.get_published_dashboard_token_info("0" * 32)
        raise SystemExit("an unknown dashboard was answered")
    except ResourceDoesNotExist:
        pass
    try:
        WorkspaceClient(host=host, token="dapi0123").current_user.me()
        raise SystemExit("a foreign token was taken")
    except Unauthenticated:
        pass
    try:
        WorkspaceClient(host=host, client_id=client_id, client_secret="dosewrong").current_user.me()
        raise SystemExit("a wrong secret was taken")
    except Exception as error:  # The SDK wraps the OAuth error in a ValueError.
        assert "invalid_client" in str(error), error
    print("ok: databricks-sdk")


if __name__ == "__main__":
    main(*sys.argv[1:5])
