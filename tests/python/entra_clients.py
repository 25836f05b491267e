"""The vendor's own Python libraries, unmodified, against an Entra that is not the vendor's: the emulator.

    .tools/venv/bin/python tests/python/entra_clients.py --authority https://127.0.0.1:PORT --ca FILE --tenant T \\
        --client-id C --certificate FILE --token-file FILE --machine http://127.0.0.1:PORT

The secret is in AZURE_CLIENT_SECRET, what App Service would set in IDENTITY_HEADER. `--certificate` holds a private key
and its certificate, `--token-file` a JWT of another issuer, and `--machine` answers for managed identities.

Prints one line of JSON: for each client the claims of its token, or its error. No token is printed.
"""

import argparse
import base64
import json
import os
import re
import sys
import tempfile

SCOPE = "https://analysis.windows.net/powerbi/api/.default"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("authority", "ca", "tenant", "client-id", "certificate", "token-file", "machine"):
        parser.add_argument(f"--{name}", required=True)
    return parser.parse_args()


def claims(token):
    """The payload of a JWT, unverified."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def by_msal(args, credential, **options):
    import msal

    # Without `instance_discovery` it would ask the vendor whether the authority is a good one.
    application = msal.ConfidentialClientApplication(
        args.client_id,
        authority=f"{args.authority}/{args.tenant}",
        client_credential=credential,
        **{"instance_discovery": False, **options},
    )
    answer = application.acquire_token_for_client([SCOPE])
    if "access_token" not in answer:
        raise AssertionError(f"{answer.get('error')}: {answer.get('error_description')}")
    return claims(answer["access_token"])


def msal_secret(args):
    return by_msal(args, os.environ["AZURE_CLIENT_SECRET"])


def msal_wrong_secret(args):
    return by_msal(args, "wrong")


def msal_certificate(args):
    text = open(args.certificate, encoding="ascii").read()
    certificate = re.search(r"-----BEGIN CERTIFICATE-----.*", text, re.DOTALL).group()
    return by_msal(args, {"private_key": text, "public_certificate": certificate})


def environment(args, **variables):
    """Twice: the second token is to come out of the library's cache."""
    from azure.identity import EnvironmentCredential

    shared = {
        "AZURE_AUTHORITY_HOST": args.authority, "AZURE_TENANT_ID": args.tenant, "AZURE_CLIENT_ID": args.client_id,
    }
    before = dict(os.environ)
    try:
        if "AZURE_CLIENT_CERTIFICATE_PATH" in variables:
            del os.environ["AZURE_CLIENT_SECRET"]
        os.environ.update(shared, **variables)
        credential = EnvironmentCredential(disable_instance_discovery=True)
        first, second = credential.get_token(SCOPE), credential.get_token(SCOPE)
    finally:
        os.environ.clear()
        os.environ.update(before)
    if first.token != second.token:
        raise AssertionError("the second token is another one")
    return claims(first.token)


def environment_secret(args):
    return environment(args)


def environment_certificate(args):
    return environment(args, AZURE_CLIENT_CERTIFICATE_PATH=args.certificate)


def workload_identity(args):
    from azure.identity import WorkloadIdentityCredential

    credential = WorkloadIdentityCredential(
        tenant_id=args.tenant, client_id=args.client_id, token_file_path=args.token_file, authority=args.authority
    )
    return claims(credential.get_token(SCOPE).token)


def managed_identity(**variables):
    from azure.identity import ManagedIdentityCredential

    before = dict(os.environ)
    try:
        os.environ.pop("IDENTITY_HEADER", None)
        os.environ.update(variables)
        return claims(ManagedIdentityCredential().get_token(SCOPE).token)
    finally:
        os.environ.clear()
        os.environ.update(before)


def app_service(args):
    header = os.environ["IDENTITY_HEADER"]
    return managed_identity(IDENTITY_ENDPOINT=f"{args.machine}/msi/token", IDENTITY_HEADER=header)


def virtual_machine(args):
    return managed_identity(AZURE_POD_IDENTITY_AUTHORITY_HOST=args.machine)


CLIENTS = (
    msal_secret, msal_wrong_secret, msal_certificate, environment_secret, environment_certificate, workload_identity,
    app_service, virtual_machine,
)


def main():
    args = arguments()
    result = {}
    with tempfile.TemporaryDirectory(prefix="sidemint-home-") as home:
        # This variable, and not an option of the libraries: they prefer it to what they are told.
        os.environ.update(HOME=home, REQUESTS_CA_BUNDLE=args.ca)
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost,::1"
        for client in CLIENTS:
            try:
                result[client.__name__] = client(args)
            except Exception as error:  # whatever it is, the caller wants it as a line of JSON
                result[client.__name__] = {"failed": f"{type(error).__name__}: {error}"}
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
